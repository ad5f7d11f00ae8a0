"""Pick the compiled core for this processor: one module a SIMD level, best first."""

import importlib
import os
from types import ModuleType

from fastbp.errors import text

LEVELS = ("base",)


def _load() -> ModuleType:
    forced = os.environ.get("FASTBP_LEVEL")
    if forced is not None and forced not in LEVELS:
        raise ImportError(text("FASTBP_LEVEL", f"one of {', '.join(LEVELS)}", repr(forced)))
    name = f"fastbp._core_{forced or LEVELS[0]}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # built, but broken: its own error says why
            raise
        raise ImportError(
            f"{name} is not built; 'pip install .' (or 'pip install -e .' to work "
            "in a checkout) builds the compiled core"
        ) from error


core = _load()


def kernel_info() -> dict[str, str]:
    """Return the SIMD level in use, and the compiler and flags that built it."""
    return {"level": core.LEVEL, "compiler": core.COMPILED_BY, "flags": core.FLAGS}
