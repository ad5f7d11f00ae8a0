"""Pick the core for this processor: one module a SIMD level, best first.

``FASTBP_LEVEL`` forces a level; it is an error if that is not built or not supported.
"""

import importlib
import os
from types import ModuleType

from fastbp.errors import text

LEVELS = ("x86v4", "x86v3", "base")


def _built(name: str) -> ModuleType | None:
    """Return a compiled module, None if it is not built; a broken one raises."""
    name = f"fastbp.{name}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _load() -> tuple[tuple[str, ...], ModuleType]:
    cpu = _built("_cpu")
    if cpu is None:
        raise ImportError(
            "the compiled core of fastbp is not built; 'pip install .' (or 'pip install -e .' to "
            "work in a checkout) builds it"
        )
    supported = tuple(level for level in LEVELS if level in cpu.SUPPORTED)
    forced = os.environ.get("FASTBP_LEVEL")
    if forced is not None and forced not in supported:
        expected = f"a level of this processor, {' or '.join(supported)}"
        raise ImportError(text("FASTBP_LEVEL", expected, repr(forced)))
    for level in [forced] if forced else supported:
        core = _built(f"_core_{level}")
        if core is not None:
            return supported, core
    raise ImportError(text("FASTBP_LEVEL", "a level that is built", repr(forced)))


SUPPORTED, core = _load()  # the levels of this processor, best first; the one that is used


def kernel_info() -> dict[str, str]:
    """Return the SIMD level in use, and the compiler and flags that built it."""
    return {"level": core.LEVEL, "compiler": core.COMPILED_BY, "flags": core.FLAGS}
