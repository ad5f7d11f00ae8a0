"""setup.py: one sentence says what is missing; the compiler gets only flags that it knows."""

import ast
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Modules with next to nothing in them, which compile in seconds.
SOURCES = {
    "src_cython/cpu.pyx": "",
    "src_cython/_core.pyx": "cdef extern from *:\n    const char* FASTBP_FLAGS\n"
    "FLAGS = FASTBP_FLAGS.decode()\n",
    "fastbp/__init__.py": "",
}
CC = shlex.split(sysconfig.get_config_var("CC") or "")
CLANGS = ("clang", *(f"clang-{version}" for version in range(14, 30)))
X86 = platform.machine().lower() in ("x86_64", "amd64")

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.name == "nt", reason="the compiler on Windows is another"),
]


@pytest.fixture
def checkout(tmp_path):
    """Return a folder with setup.py and small sources."""
    folder = tmp_path / "checkout"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(folder, python=(sys.executable,), **environment):
    """Return the finished run of setup.py; a variable that is None is not set."""
    own = ("FASTBP_DEBUG", "FASTBP_FLAGS", "FASTBP_LEVELS", "FASTBP_PLAIN")
    given = {**os.environ, **dict.fromkeys(own), **environment}
    given = {name: str(value) for name, value in given.items() if value is not None}
    command = [*map(str, python), "setup.py", "-q", "build_ext", "--inplace"]
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True)


def flags(folder, module):
    """Return the flags of a built module, None if it was not built."""
    if not list((folder / "fastbp").glob(f"{module}.*")):
        return None
    code = f"import fastbp.{module} as module; print(module.FLAGS)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    return done.stdout.split()


def program(path, *lines):
    """Write a program for the shell and return its path."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


# -- what is missing -----------------------------------------------------------------------


def old_python(folder):
    code = "import sys; sys.version_info = (3, 10, 13, 'final', 0); exec(open('setup.py').read())"
    return {"python": (sys.executable, "-c", code)}


def no_setuptools(folder):
    return {"python": (sys.executable, "-I", "-S")}


def old_cython(folder):
    metadata = folder / "other" / "Cython-3.0.12.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: Cython\nVersion: 3.0.12\n")
    return {"PYTHONPATH": folder / "other"}


def no_compiler(folder):
    (folder / "bin").mkdir()
    return {"PATH": folder / "bin", "CC": "gcc"}


def another_compiler(folder):
    return {"PATH": program(folder / "bin" / "clang").parent, "CC": "gcc"}


def compiler_without_a_c_library(folder):
    lines = "echo 'a.c:1:10: fatal error: stdlib.h: No such file' >&2", "exit 1"
    return {"CC": program(folder / "bin" / "gcc", *lines)}


def no_headers(folder):
    """Run a Python that is the same but for the folder where its headers should be."""
    library = Path(sysconfig.get_path("stdlib"))
    data = next(iter(library.glob("_sysconfigdata_*.py")), None)
    if data is None:
        pytest.skip("this Python has no folder of headers that could be changed")
    copy = folder / "python" / sys.platlibdir / library.name
    copy.mkdir(parents=True)
    for path in library.iterdir():
        if path != data:
            (copy / path.name).symlink_to(path)
    headers = sysconfig.get_config_var("INCLUDEPY")
    (copy / data.name).write_text(data.read_text().replace(headers, str(folder / "none")))
    python = folder / "python" / "bin" / "python3"
    python.parent.mkdir()
    shutil.copy(os.path.realpath(sys.executable), python)
    packages = [path for path in sys.path if path.endswith("-packages")]
    return {"python": (python,), "PYTHONPATH": os.pathsep.join(packages)}


MISSING = {
    old_python: r"Python: expected 3\.11 or newer, got 3\.10\.13 \(.+\); install a newer Python",
    no_setuptools: r"setuptools: expected [\d.]+ or newer, got none; pip install 'setuptools>=",
    old_cython: r"Cython: expected [\d.]+ or newer, got 3\.0\.12; pip install 'Cython>=",
    no_compiler: r"C compiler: expected 'gcc', got none; install gcc or clang \(Debian, Ubuntu: ",
    another_compiler: r"C compiler: expected 'gcc', got none; set CC=clang, which is installed",
    compiler_without_a_c_library: r"C compiler: expected '.+/gcc' to compile a file, "
    r"got a\.c:1:10: fatal error: stdlib\.h: No such file; install gcc or clang \(",
    no_headers: r"Python\.h: expected a file in .+, got none; install the headers of Python 3\.",
}


@pytest.mark.parametrize("missing", MISSING, ids=lambda missing: missing.__name__)
def test_the_last_line_says_what_is_missing(missing, checkout):
    """The build ends with one sentence on what is missing and what to do, and no traceback."""
    done = build(checkout, **missing(checkout))
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert re.match(f"fastbp: {MISSING[missing]}", output.splitlines()[-1]), output


def test_an_older_python_can_read_setup_py():
    """It is no SyntaxError there, so that the sentence on the version is reached."""
    ast.parse((ROOT / "setup.py").read_text("utf-8"), feature_version=(3, 7))


# -- flags ---------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("gcc",), CLANGS], ids=["gcc", "clang"])
def test_gcc_and_clang_build_without_a_warning(names, checkout):
    """Each compiler gets the flags that it knows, and does not complain of any."""
    compiler = next(filter(shutil.which, names), None)
    if compiler is None:
        pytest.skip(f"{names[0]} is not installed")
    done = build(checkout, CC=compiler)
    assert (done.returncode, done.stderr) == (0, "")
    found = flags(checkout, "_core_base")
    assert found[:1] == ["-O2"]
    assert f"-ffp-contract={'fast' if compiler == 'gcc' else 'on'}" in found
    assert ("-fvect-cost-model=cheap" in found) == (compiler == "gcc")
    if X86:
        assert flags(checkout, "_core_x86v4")[len(found) :][0] == "-march=x86-64-v4"


def test_flags_that_the_compiler_does_not_know_are_left_out(checkout):
    """Refused or warned of, ours or Python's own; and a level that is none without its flag."""
    given = shlex.split(sysconfig.get_config_var("CFLAGS") or "")
    pythons = next((flag for flag in given if flag[:2] in ("-f", "-W")), "-fnone")
    compiler = program(
        checkout / "bin" / "cc",
        'case " $* " in',
        '*" -fno-plt "*|*" -march=x86-64-v3 "*) echo "error: unknown argument" >&2; exit 1;;',
        f'*" -fno-align-"*|*" {pythons} "*) echo "warning: not supported" >&2;',
        '  case " $* " in *" -Werror "*) exit 1;; esac',
        "esac",
        f'exec {shlex.join(CC)} "$@"',
    )
    done = build(checkout, CC=compiler)
    assert (done.returncode, done.stderr) == (0, "")
    found = flags(checkout, "_core_base")
    assert {"-O2", "-fno-math-errno", "-ffp-contract=fast"} <= set(found)
    assert [flag for flag in found if re.match("-fno-(plt|align)", flag)] == []
    assert flags(checkout, "_core_x86v3") is None
    assert (flags(checkout, "_core_x86v4") is not None) == X86


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTBP_DEBUG": "1"}, {"base": ["-O0", "-g"]}),
        (
            {"FASTBP_FLAGS": "-O1", "FASTBP_PLAIN": "1", "FASTBP_LEVELS": "x86v3"},
            {"x86v3": ["-O1", "-march=x86-64-v3", "-DFASTBP_PLAIN"]},
        ),
    ],
)
def test_variables_choose_flags_and_levels(environment, expected, checkout):
    """A build has the flags and the levels that it was asked for, and no others."""
    if "x86v3" in expected and not X86:
        pytest.skip("a level of x86-64")
    done = build(checkout, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    levels = ("base", "x86v3", "x86v4")
    found = {level: flags(checkout, f"_core_{level}") for level in levels}
    assert {level: used for level, used in found.items() if used is not None} == expected
