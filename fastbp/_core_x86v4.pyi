"""The compiled core of level x86v4."""

from fastbp._core_base import *  # noqa: F403
