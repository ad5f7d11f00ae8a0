"""Seeded bugs, each in a copy of its own: the tests must turn red."""

import shutil
import signal
import tempfile
import time
from functools import partial
from pathlib import Path

from lanes import workshop
from lanes.mutants import BUGS, EQUIVALENT, SHORT, TESTS

# What judges one build of the core.
_CORE_TESTS = [
    f"tests/test_{test}.py"
    for test in ("equivalence", "sparse", "tiny", "sigmoid", "few", "gradient_forms", "training")
]

# A core that checks indices of lists, quick to compile. An installed fastbp may have other levels.
_BUILT = {"FASTBP_DEBUG": "1", "FASTBP_LEVEL": "base"}

# They need a core as fast as the shipped one, or are about other things.
_LEFT_OUT = "not killed and not memory and not ctrl_c"

# A bug may let a program wait for ever. What is still running after so many seconds has as many
# times as long as the same tests take without the bug, here and now, before it is said to hang.
_PATIENCE = 120.0
_TIMES = 5


def run(options):
    """Try all bugs, or a sample."""
    with workshop.copied() as sound:
        workshop.build(sound, **_BUILT)
        names = SHORT if options.short else BUGS
        checks = {"the table fits the sources": table}
        checks["without a bug: plain loops"] = plain
        if not options.short:  # where tests fail without a bug, every bug would seem to be noticed
            tests = dict.fromkeys(test for file, _ in BUGS.values() for test in TESTS[file])
            checks |= {
                f"without a bug: {test}": partial(unharmed, sound, f"tests/test_{test}.py")
                for test in tests
            }
        checks |= {f"{BUGS[name][0]}: {name}": partial(seed, sound, name) for name in names}
        passed, failed = workshop.judge(checks, options, workshop.processors())
    if not options.short:
        for name, (file, _, reason) in EQUIVALENT.items():
            print(f"left out as equivalent: {file}: {name}: {reason}")
    return passed, failed


def table():
    """Return which texts of the table are not in their files once, "" if all are."""
    wrong = []
    for name, (file, edits, *_) in (BUGS | EQUIVALENT).items():
        text = (workshop.ROOT / file).read_text(encoding="utf-8")
        for old, new in edits:
            if text.count(old) != 1 or old == new:
                wrong.append(f"{name}: {old!r} is {text.count(old)} times in {file}")
            text = text.replace(old, new)
    wrong += [f"{file} has no tests" for file, _ in BUGS.values() if file not in TESTS]
    wrong += [f"{name} is no bug" for name in SHORT if name not in BUGS]
    for test in {test for each in TESTS.values() for test in each}:
        if not (workshop.ROOT / f"tests/test_{test}.py").exists():
            wrong.append(f"there is no tests/test_{test}.py")
    return "\n".join(wrong)


def plain():
    """Return what the core's tests say of a build of plain loops, "" if they pass."""
    with workshop.copied() as folder:
        return judged(folder, _CORE_TESTS, FASTBP_PLAIN="1")


def seed(sound, name):
    """Return "" if the tests notice the bug of this name, else what they said."""
    file, edits = BUGS[name]
    with tempfile.TemporaryDirectory(prefix="fastbp-bug-") as scratch:
        folder = Path(scratch) / "copy"
        workshop.copy(sound, folder, built=True)
        path = folder / file
        text = path.read_text(encoding="utf-8")
        for old, new in edits:
            if text.count(old) != 1:
                return f"{old!r} is {text.count(old)} times in {file}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        if file.startswith("src_cython"):
            workshop.build(folder, **_BUILT)
        output = ""
        for test in TESTS[file]:
            tests = [f"tests/test_{test}.py"]
            found = _tests(folder, tests)
            if found.returncode == -signal.SIGKILL:
                started = time.perf_counter()
                if wrong := unharmed(sound, *tests):
                    return f"no answer, and without the bug:\n{wrong}"
                patience = _TIMES * (time.perf_counter() - started)
                if patience > _PATIENCE:
                    found = _tests(folder, tests, timeout=patience)
            if found.returncode < 0 or (found.returncode == 1 and " failed" in found.stdout):
                return ""
            if found.returncode:  # an error of the bug's own: of syntax, of an import
                return found.stdout
            output += found.stdout
        return f"survived {', '.join(TESTS[file])}\n{output[-600:]}"


def judged(folder, tests, **environment):
    """Build a copy without a bug; return what the tests say of it, "" if they pass."""
    workshop.build(folder, **_BUILT, **environment)
    return unharmed(folder, *tests, **environment)


def unharmed(folder, *tests, **environment):
    """Return what the tests say of a built copy without a bug, "" if they pass."""
    found = _tests(folder, tests, timeout=_TIMES * _PATIENCE, **environment)
    return "" if found.returncode == 0 and " passed" in found.stdout else found.stdout


def _tests(folder, tests, timeout=_PATIENCE, **environment):
    shutil.rmtree(folder / ".hypothesis", ignore_errors=True)
    arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests, "-k", _LEFT_OUT]
    arguments += ["-m", "not published"]
    return workshop.command(folder, arguments, timeout=timeout, **_BUILT, **environment)
