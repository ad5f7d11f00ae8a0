"""The core built for x86v3: what it holds is in _core_base.pyi."""

from fastbp._core_base import *
