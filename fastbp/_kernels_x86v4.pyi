"""The kernels of level x86v4."""

from fastbp._kernels_base import *
