"""The kernels of one SIMD level, src_cython/kernels.pyx."""

from typing import Final

LEVEL: Final[str]
FLAGS: Final[str]
COMPILED_BY: Final[str]
VECTOR: Final[int]
TABLE: Final[object]
