"""Pick the compiled core for this processor: one module a SIMD level, best first.

``FASTBP_LEVEL`` forces a level; it is an error if that is not built or not supported.
"""

import importlib
import os
from types import ModuleType

from fastbp.errors import text

LEVELS = ("x86v4", "x86v3", "base")


def _built(level: str) -> ModuleType | None:
    """Return the module of a level, None if it is not built; a broken one raises."""
    name = f"fastbp._core_{level}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _load() -> ModuleType:
    base = _built("base")
    if base is None:
        raise ImportError(
            "fastbp._core_base is not built; 'pip install .' (or 'pip install -e .' to work "
            "in a checkout) builds the compiled core"
        )
    supported = [level for level in LEVELS if level in base.SUPPORTED]
    forced = os.environ.get("FASTBP_LEVEL")
    if forced is not None and forced not in supported:
        expected = f"a level of this processor, {' or '.join(supported)}"
        raise ImportError(text("FASTBP_LEVEL", expected, repr(forced)))
    for level in [forced] if forced else supported:
        module = _built(level)
        if module is not None:
            return module
    raise ImportError(text("FASTBP_LEVEL", "a level that is built", repr(forced)))


core = _load()


def kernel_info() -> dict[str, str]:
    """Return the SIMD level in use, and the compiler and flags that built it."""
    return {"level": core.LEVEL, "compiler": core.COMPILED_BY, "flags": core.FLAGS}
