"""The extension modules; everything else is in pyproject.toml."""

import os
import platform
import sys
import zlib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# FASTBP_DEBUG=1 builds a core that checks indices of lists, fast to compile and slow to run;
# FASTBP_PLAIN=1 one of plain loops in place of vector types, as other compilers get it;
# FASTBP_FLAGS="..." one with these flags alone, to compile and to link, as a sanitizer needs it;
# FASTBP_LEVELS="..." has these SIMD levels alone.
DEBUG = bool(os.environ.get("FASTBP_DEBUG"))
OWN_FLAGS = os.environ.get("FASTBP_FLAGS", "").split()

CORE: list[str] = []  # what the core has beyond the kernels' flags

if sys.platform == "win32":
    FLAGS = ["/O2"]
elif OWN_FLAGS:
    FLAGS = OWN_FLAGS
elif DEBUG:
    FLAGS = ["-O0", "-g"]
else:
    # -O2, with loops vectorised as -O3 does: the rest of -O3 adds a fifth to the size, most
    # of which is the code around Python arguments, and no speed to the kernels.
    # -fno-math-errno and -fno-trapping-math let loops with comparisons vectorise;
    # -g0 because the interpreter's own flags carry -g and triple the size.
    FLAGS = ["-O2", "-fvect-cost-model=cheap", "-fno-math-errno", "-fno-trapping-math"]
    FLAGS += ["-ffp-contract=fast", "-g0"]
    # A tenth of the kernels, and no speed: tables to walk the stack by, which only debuggers
    # do, another vectorised loop for what one leaves over (rows of blocks are whole vectors),
    # jumps to Python's functions by way of others, and what fills up to the next line of code.
    FLAGS += ["-fno-asynchronous-unwind-tables", "--param=vect-epilogues-nomask=0", "-fno-plt"]
    FLAGS += [f"-fno-align-{what}" for what in ("functions", "jumps", "labels", "loops")]
    CORE = ["-Os"]  # a fourth of the core; a hundredth of a call, 0.1 ms of a shuffle of 50,000

# Without the names of static functions, which only a debugger reads.
LINK = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG and not OWN_FLAGS else OWN_FLAGS

if os.environ.get("FASTBP_PLAIN"):
    FLAGS += ["-DFASTBP_PLAIN"]

SOURCES = Path("src_cython")

# Both sides of the table of kernels carry it: kernels built from other sources than the core
# are an error, not a crash.
INTERFACE = f"fastbp {zlib.crc32((SOURCES / 'interface.pxd').read_bytes()):08x}"

# The flags of each SIMD level; fastbp/_dispatch.py picks one at import.
LEVELS = {"base": []}
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32" and not DEBUG:
    LEVELS["x86v3"] = ["-march=x86-64-v3"]
    # Without -fno-ivopts, gcc keeps addresses in registers that the loops over tiles need: a
    # thirtieth more code and up to 6 % more time. The other levels are faster with it.
    LEVELS["x86v4"] = ["-march=x86-64-v4", "-mprefer-vector-width=512", "-fno-ivopts"]


if "FASTBP_LEVELS" in os.environ:
    LEVELS = {level: LEVELS[level] for level in os.environ["FASTBP_LEVELS"].split()}


def extension(name: str, source: str, level: str = "base") -> Extension:
    """Return a module; it carries its level and flags."""
    (module,) = cythonize(
        [Extension(f"fastbp.{name}", [str(SOURCES / source)])],
        include_path=[str(SOURCES)],
        build_dir=f"build/cython/{name}",  # of its own: the name is in the C
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            # Plain built-in functions, a sixth of the core smaller than Cython's own kind;
            # help() and stubtest read their signatures where they do those of C functions.
            "binding": False,
            "embedsignature": True,
            "embedsignature.format": "clinic",
            "autotestdict": False,
        },
    )
    # Set now: cythonize would give all modules of one source the flags of the first.
    flags = FLAGS + LEVELS[level] + (CORE if name == "_core" else [])
    module.extra_compile_args = flags
    module.extra_link_args = LINK
    module.include_dirs = [str(SOURCES)]
    module.depends += [str(header) for header in sorted(SOURCES.glob("*.h"))]
    module.define_macros = [
        ("FASTBP_INTERFACE", f'"{INTERFACE}"'),
        ("FASTBP_LEVEL", f'"{level}"'),
        ("FASTBP_FLAGS", '"{}"'.format(" ".join(flags))),
    ]
    return module


setup(
    ext_modules=[
        extension("_core", "core.pyx"),
        *(extension(f"_kernels_{level}", "kernels.pyx", level) for level in LEVELS),
    ]
)
