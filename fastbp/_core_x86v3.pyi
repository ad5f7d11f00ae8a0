"""The compiled core of level x86v3."""

from fastbp._core_base import *  # noqa: F403
