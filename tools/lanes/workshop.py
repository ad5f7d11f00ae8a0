"""What the lanes share: a copy of the sources, a build and runs in it, and the count."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tools" / "programs"

_FOLDERS = ("src_cython", "fastbp", "tests", "tools", "examples", "docs")
_FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")


class LackingError(Exception):
    """Something that a lane needs is not on this machine; the text says what."""


class BuildError(Exception):
    """The copy does not build; the text is the compiler's."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def copied() -> Iterator[Path]:
    """Hold a folder with a copy of the sources, without anything that was built of them."""
    with tempfile.TemporaryDirectory(prefix="fastbp-") as name:
        folder = Path(name) / "copy"
        copy(ROOT, folder, built=False)
        yield folder


def copy(source: Path, target: Path, *, built: bool) -> None:
    """Copy the sources, with their times; ``built``: with what was built of them, too."""
    ignored = shutil.ignore_patterns("__pycache__", *(() if built else ("*.so", "*.pyd")))
    for part in (*_FOLDERS, *(("build",) if built else ())):
        shutil.copytree(source / part, target / part, ignore=ignored)
    for part in _FILES:
        shutil.copy2(source / part, target / part)


def build(folder: Path, **environment: str) -> None:
    """Build the copy in place."""
    needs("gcc")
    found = command(folder, ["setup.py", "-q", "build_ext", "--inplace"], **environment)
    if found.returncode:
        raise BuildError(found.stdout)


def command(
    folder: Path,
    arguments: list[str],
    *,
    before: tuple[str, ...] = (),
    timeout: float = 600,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, behind the words ``before``; a run that hangs ends with -SIGKILL."""
    given: Mapping[str, str] = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FASTBP_HYPOTHESIS": "first_failure",
        **environment,
    }
    process = subprocess.Popen(
        [*before, sys.executable, *arguments],
        cwd=folder,
        env=given,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # it and all that it starts can be ended at once
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nstill running after {timeout:g} s"
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(arguments, process.returncode, output)


def levels(folder: Path) -> list[str]:
    """Return the SIMD levels of this processor, the best first."""
    code = "from fastbp._dispatch import SUPPORTED; print(*SUPPORTED)"
    return command(folder, ["-c", code]).stdout.split()


def core_tests(folder: Path, level: str) -> str:
    """Run the core tests at a SIMD level; return what they print if one fails, or ""."""
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "core"]
    found = command(folder, arguments, FASTBP_LEVEL=level)
    return found.stdout if found.returncode else ""


def needs(*programs: str) -> None:
    """Say which of these programs are not on this machine."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise LackingError(f"no {' and no '.join(missing)}")


def first(programs: list[str]) -> str:
    """Return the first of these programs that is on this machine."""
    found = next(filter(shutil.which, programs), None)
    if found is None:
        raise LackingError(f"no {programs[0]}")
    return found


def library(name: str) -> str:
    """Return where gcc has this library."""
    needs("gcc")
    path = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(path):  # gcc's answer for what it does not have
        raise LackingError(f"gcc has no {name}")
    return path


def judge(
    checks: Mapping[str, Callable[[], str]], options: object, workers: int = 1
) -> tuple[int, int]:
    """Run checks, of which each returns what is wrong, or ""; return how many passed and failed."""
    names = [name for name in checks if getattr(options, "only", "") in name]
    if not names:
        raise LackingError(f"no check named {getattr(options, 'only', '')!r}")
    failed = 0

    def timed(name: str) -> tuple[str, float]:
        started = time.perf_counter()
        try:
            wrong = checks[name]()
        except BuildError as error:
            wrong = f"does not build:\n{error}"
        return wrong, time.perf_counter() - started

    with ThreadPoolExecutor(workers) as pool:
        for name, (wrong, seconds) in zip(names, pool.map(timed, names), strict=True):
            print(f"{'FAIL' if wrong else 'ok  '} {name} ({seconds:.1f} s)", flush=True)
            if wrong:
                failed += 1
                print("\n".join(f"     {line}" for line in wrong.splitlines()[-40:]), flush=True)
    return len(names) - failed, failed
