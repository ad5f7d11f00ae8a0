"""The kernels of level x86v3."""

from fastbp._kernels_base import *
