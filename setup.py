"""The extension modules; everything else is in pyproject.toml."""

import os
import platform
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# FASTBP_DEBUG=1 builds a core that checks every index, fast to compile and slow to run;
# FASTBP_PLAIN=1 one of plain loops in place of vector types, as other compilers get it.
DEBUG = bool(os.environ.get("FASTBP_DEBUG"))

if sys.platform == "win32":
    FLAGS = ["/O2"]
elif DEBUG:
    FLAGS = ["-O0", "-g"]
else:
    # -O2, with loops vectorised as -O3 does: the rest of -O3 adds a fifth to the size, most
    # of which is the code around Python arguments, and no speed to the kernels.
    # -fno-math-errno and -fno-trapping-math let loops with comparisons vectorise;
    # -g0 because the interpreter's own flags carry -g and triple the size.
    FLAGS = ["-O2", "-fvect-cost-model=dynamic", "-fno-math-errno", "-fno-trapping-math"]
    FLAGS += ["-ffp-contract=fast", "-g0"]

# Without the names of static functions, which only a debugger reads.
LINK = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG else []

if os.environ.get("FASTBP_PLAIN"):
    FLAGS += ["-DFASTBP_PLAIN"]

HEADERS = [f"src_cython/{name}.h" for name in ("simd", "simd_vector", "simd_plain", "threads")]

# The flags of each SIMD level; fastbp/_dispatch.py picks one at import.
LEVELS = {"base": []}
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32" and not DEBUG:
    LEVELS["x86v3"] = ["-march=x86-64-v3"]
    LEVELS["x86v4"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]

# Cython's memoryviews, compiled once: else the module of each level would hold them all.
SHARED = "fastbp._cyutility"


def shared() -> Extension:
    """Return the module of Cython's own code, small as it is entered a few times per pass."""
    small = ["/O1"] if sys.platform == "win32" else ["-Os", "-g0"]
    (module,) = cythonize(
        # cythonize writes the source
        [Extension(SHARED, [], extra_compile_args=small, extra_link_args=LINK)],
        shared_utility_qualified_name=SHARED,
        module_name=SHARED,  # else it enters itself in sys.modules without the package
        build_dir="build/cython",
    )
    return module


def extension(level: str) -> Extension:
    """Return the core built for one SIMD level; the module carries its name and flags."""
    (module,) = cythonize(
        [Extension(f"fastbp._core_{level}", ["src_cython/core.pyx"])],
        include_path=["src_cython"],
        shared_utility_qualified_name=SHARED,
        build_dir=f"build/cython/{level}",  # of its own: the name is in the C
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "binding": True,
            "embedsignature": False,
            "autotestdict": False,
        },
    )
    # Set now: cythonize would give all modules of one source the flags of the first.
    flags = FLAGS + LEVELS[level]
    module.extra_compile_args = flags
    module.extra_link_args = LINK
    module.include_dirs = ["src_cython"]
    module.depends += HEADERS
    module.define_macros = [
        ("FASTBP_LEVEL", f'"{level}"'),
        ("FASTBP_FLAGS", '"{}"'.format(" ".join(flags))),
    ]
    return module


setup(ext_modules=[shared(), *(extension(level) for level in LEVELS)])
