"""The extension modules; everything else is in pyproject.toml."""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# FASTBP_DEBUG=1 builds a core that checks every index, fast to compile and slow to run.
DEBUG = bool(os.environ.get("FASTBP_DEBUG"))

if sys.platform == "win32":
    FLAGS = ["/O2"]
elif DEBUG:
    FLAGS = ["-O0", "-g"]
else:
    # -fno-math-errno and -fno-trapping-math let the sigmoid's clamp vectorise;
    # -g0 because the interpreter's own flags carry -g and triple the size.
    FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-g0"]


def level(name: str, *flags: str) -> Extension:
    """Return the core built for one SIMD level; the module carries its name and flags."""
    flags = (*FLAGS, *flags)
    return Extension(
        f"fastbp._core_{name}",
        ["src_cython/core.pyx"],
        extra_compile_args=list(flags),
        define_macros=[
            ("FASTBP_LEVEL", f'"{name}"'),
            ("FASTBP_FLAGS", '"{}"'.format(" ".join(flags))),
        ],
    )


setup(
    ext_modules=cythonize(
        [level("base")],
        include_path=["src_cython"],
        build_dir="build/cython",
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
)
