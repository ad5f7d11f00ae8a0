"""The extension modules and what building them needs; everything else is in pyproject.toml."""

import sys


def missing(where, expected, got, hint):
    """Return the one sentence that ends a build for which something is missing."""
    return SystemExit(f"fastbp: {where}: expected {expected}, got {got}; {hint}")


# Checked first, as an older Python cannot run what follows.
if sys.version_info < (3, 11):
    raise missing(
        "Python",
        "3.11 or newer",
        "{}.{}.{} ({})".format(*sys.version_info[:3], sys.executable),
        "install a newer Python and make the environment with it: python3.11 -m venv .venv",
    )

import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

# pip installs these for an isolated build; for any other they must be installed already.
PYPROJECT = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
for name, least in re.findall(r"(\w+)>=([\d.]+)", " ".join(PYPROJECT["build-system"]["requires"])):
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    found, needed = (tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (version, least))
    if found < needed:
        raise missing(
            name, f"{least} or newer", version or "none", f"pip install '{name}>={least}'"
        )

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# FASTBP_DEBUG=1 builds a core that checks indices of lists, fast to compile and slow to run;
# FASTBP_PLAIN=1 one of plain loops in place of vector types, as other compilers get it;
# FASTBP_FLAGS="..." one with these flags alone, to compile and to link, as a sanitizer needs it;
# FASTBP_LEVELS="..." has these SIMD levels alone.
DEBUG = bool(os.environ.get("FASTBP_DEBUG"))
PLAIN = ["-DFASTBP_PLAIN"] if os.environ.get("FASTBP_PLAIN") else []
OWN_FLAGS = os.environ.get("FASTBP_FLAGS", "").split()

# Flags for gcc and clang. Each is used only if the compiler knows it: some are gcc's alone.
FLAGS: list[str] = []

if DEBUG and not OWN_FLAGS:
    FLAGS = ["-O0", "-g"]
elif not OWN_FLAGS:
    # -O2, with loops vectorised as -O3 does: the rest of -O3 adds a fourth to the size, most of it
    # around Python arguments, and three modules of it would be more than the 1 MB of a wheel.
    # -fno-math-errno and -fno-trapping-math let loops with comparisons vectorise;
    # -g0 because the interpreter's own flags carry -g and triple the size.
    FLAGS = ["-O2", "-fvect-cost-model=cheap", "-fno-math-errno", "-fno-trapping-math"]
    FLAGS += ["-ffp-contract=fast", "-g0"]
    # A twentieth of the modules, and no speed: tables to walk the stack by, which only debuggers
    # do, and another vectorised loop for what one leaves over (rows of blocks are whole vectors).
    FLAGS += ["-fno-asynchronous-unwind-tables", "--param=vect-epilogues-nomask=0"]

MSVC_FLAGS = ["/O2"]

# Without the names of static functions, which only a debugger reads.
LINK = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG and not OWN_FLAGS else OWN_FLAGS

SOURCES = Path("src_cython")

# The flags of each SIMD level; fastbp/_dispatch.py picks one at import.
LEVELS = {"base": []}
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32" and not DEBUG:
    LEVELS["x86v3"] = ["-march=x86-64-v3"]
    # Without -fno-ivopts, gcc keeps addresses in registers that the loops over tiles need: a
    # thirtieth more code and up to 6 % more time. The other levels are faster with it.
    LEVELS["x86v4"] = ["-march=x86-64-v4", "-mprefer-vector-width=512", "-fno-ivopts"]


if "FASTBP_LEVELS" in os.environ:
    LEVELS = {level: LEVELS[level] for level in os.environ["FASTBP_LEVELS"].split()}


INSTALL_COMPILER = (
    "install gcc or clang (Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; "
    "macOS: xcode-select --install)"
)


class Build(build_ext):
    """Compile with the flags that the compiler knows, or say what is missing."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()  # each level takes half a minute

    def build_extensions(self):
        if self.compiler.compiler_type != "msvc":
            self._look_for_tools()
            self._ask_for_flags()
        super().build_extensions()

    def _look_for_tools(self):
        """Refuse to build without a compiler that finds Python's headers."""
        given = self.compiler.compiler_so
        folders = [f"-I{folder}" for folder in self.include_dirs]
        error = _error([*given, *folders], "#include <Python.h>\n")
        if error is None:
            return
        if shutil.which(given[0]) is None:
            other = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
            hint = f"set CC={other}, which is installed" if other else INSTALL_COMPILER
            raise missing("C compiler", repr(given[0]), "none", hint)
        if not any(Path(folder, "Python.h").exists() for folder in self.include_dirs):
            version = sysconfig.get_python_version()
            hint = f"install the headers of Python {version} (Debian, Ubuntu: apt install "
            hint += f"python{version}-dev; Fedora: dnf install python3-devel)"
            raise missing("Python.h", f"a file in {sysconfig.get_path('include')}", "none", hint)
        raise missing("C compiler", f"{given[0]!r} to compile a file", error, INSTALL_COMPILER)

    def _ask_for_flags(self):
        """Find out which flags the compiler knows: ours, and those that Python was built with."""
        given = self.compiler.compiler_so
        pythons = set(shlex.split(sysconfig.get_config_var("CFLAGS") or ""))
        pythons = {flag for flag in pythons if flag[:2] in ("-f", "-m", "-W")}
        bare = [word for word in given if word not in pythons]
        if _error([*bare, "-Werror"]) is None:
            bare.append("-Werror")

        def known(flags):
            if _error([*bare, *flags]) is None:  # asking for all at once saves a second
                return set(flags)
            return {flag for flag in flags if _error([*bare, flag]) is None}

        unknown = pythons - known(sorted(pythons))
        self.compiler.compiler_so = [word for word in given if word not in unknown]
        # With "fast", clang chooses which product of several it fuses with a sum, not the same one
        # in the fast paths as elsewhere; with "on", an expression says so. gcc knows "on" as "off".
        if _error(bare, "#ifndef __clang__\n#error another\n#endif\nint nothing;\n") is None:
            FLAGS[:] = [flag.replace("contract=fast", "contract=on") for flag in FLAGS]
        levels = [flag for flags in LEVELS.values() for flag in flags]
        self.known = known([*FLAGS, *levels])
        # The first flag of a level selects its instructions: without it, the level is not built.
        self.extensions[:] = [
            ext for ext in self.extensions if self.known.issuperset(ext.level_flags[:1])
        ]

    def build_extension(self, ext):
        flags = [*FLAGS, *ext.level_flags]
        if self.compiler.compiler_type == "msvc":
            flags = MSVC_FLAGS
        else:
            flags = OWN_FLAGS + [flag for flag in flags if flag in self.known]
            ext.extra_link_args = LINK
            # The compiler judges what to inline: as Cython asks for it, modules are larger by 5 %.
            ext.define_macros += [("CYTHON_INLINE", "__attribute__((unused))")]
        ext.extra_compile_args = flags + PLAIN
        # For fastbp.kernel_info().
        ext.define_macros += [("FASTBP_FLAGS", '"{}"'.format(" ".join(ext.extra_compile_args)))]
        super().build_extension(ext)


def _error(command, source="int nothing;\n"):
    """Return the first error of a compiler on a file with this source, None if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.c")
        file.write_text(source)
        words = [*command, "-c", str(file), "-o", str(file.with_suffix(".o"))]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
        except OSError as error:
            return str(error)
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    return (errors or ["an error"])[0] if done.returncode else None


def extension(name: str, source: str, level: str = "base") -> Extension:
    """Return a module of one SIMD level."""
    (module,) = cythonize(
        [Extension(f"fastbp.{name}", [str(SOURCES / source)])],
        include_path=[str(SOURCES)],
        build_dir=f"build/cython/{name}",  # of its own: the name is in the C
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,  # a view that may be None is asked for by name
            "embedsignature": True,
            "embedsignature.format": "clinic",
            "autotestdict": False,
        },
    )
    module.level_flags = LEVELS.get(level, [])
    module.include_dirs = [str(SOURCES)]
    module.depends += [str(header) for header in sorted(SOURCES.glob("*.h"))]
    module.define_macros = [("FASTBP_LEVEL", f'"{level}"')]
    return module


setup(
    cmdclass={"build_ext": Build},
    ext_modules=[
        extension("_cpu", "cpu.pyx"),
        *(extension(f"_core_{level}", "_core.pyx", level) for level in LEVELS),
    ],
)
