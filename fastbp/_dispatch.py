"""Pick the kernels for this processor: one module a SIMD level, best first.

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


def _load() -> tuple[ModuleType, ModuleType]:
    core = _built("_core")
    if core is None:
        raise ImportError(
            "fastbp._core is not built; 'pip install .' (or 'pip install -e .' to work "
            "in a checkout) builds the compiled core"
        )
    supported = [level for level in LEVELS if level in core.SUPPORTED]
    forced = os.environ.get("FASTBP_LEVEL")
    if forced is not None and forced not in supported:
        expected = f"a level of this processor, {' or '.join(supported)}"
        raise ImportError(text("FASTBP_LEVEL", expected, repr(forced)))
    for level in [forced] if forced else supported:
        kernels = _built(f"_kernels_{level}")
        if kernels is not None:
            core.use(kernels.TABLE)
            return core, kernels
    raise ImportError(text("FASTBP_LEVEL", "a level that is built", repr(forced)))


core, kernels = _load()


def kernel_info() -> dict[str, str]:
    """Return the SIMD level in use, and the compiler and flags that built it."""
    return {"level": kernels.LEVEL, "compiler": kernels.COMPILED_BY, "flags": kernels.FLAGS}
