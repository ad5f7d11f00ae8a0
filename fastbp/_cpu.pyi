"""What the processor has, src_cython/cpu.pyx."""

from typing import Final

SUPPORTED: Final[tuple[str, ...]]
