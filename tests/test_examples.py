"""The examples run, are short, and show what they say; so do the pages' snippets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name):
    """Return what an example prints."""
    command = [sys.executable, str(ROOT / "examples" / name)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_short(path):
    """Each is less than 40 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def test_mislabelled_digits():
    """The norms find most of the labels that were changed."""
    changed, longest, found = re.search(
        r"(\d+) of 1797 labels.*\nAmong the (\d+) longest gradients are (\d+)",
        run("mislabelled_digits.py"),
    ).groups()
    assert int(changed) == int(longest) == 89
    assert int(found) > 60


def test_vanishing_gradient():
    """Every layer's gradient is shorter than the next one's, and the more layers the more so."""
    output = run("vanishing_gradient.py")
    slower = [int(n) for n in re.findall(r"learns (\d+) times", output)]
    assert slower == sorted(slower)
    assert len(slower) == 3
    for line in re.findall(r"hidden layers: (.*)", output):
        speeds = [float(speed) for speed in line.split()]
        assert speeds == sorted(speeds)


def test_ways_to_the_gradient():
    """Differences agree with backpropagation, and take a pass or two for each parameter."""
    output = run("ways_to_the_gradient.py")
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines()[2:]}
    assert int(rows["forward"][0]) == 1511
    assert int(rows["central"][0]) == 3020
    assert float(rows["forward"][2]) < 1e-4
    assert float(rows["central"][2]) < 1e-7


CLOCK = """
import itertools, runpy, sys, time
count = itertools.count()
time.perf_counter = lambda: next(count) + 1000 * len(sys.modules)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_what_is_timed_has_no_import():
    """By a clock on which an import takes 1,000 seconds, backpropagation takes a tick."""
    path = ROOT / "examples" / "ways_to_the_gradient.py"
    command = [sys.executable, "-c", CLOCK, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    row = next(line for line in output.splitlines() if line.startswith("backpropagation"))
    assert [float(cell) for cell in row.split()[1:]] == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore:.*converge")  # a page takes few epochs
@pytest.mark.filterwarnings("ignore:.*standardised columns")
@pytest.mark.parametrize("page", ["files.md", "gradients.md", "training.md", "estimators.md"])
def test_the_snippets_of_a_page(page):
    """The Python of a page runs, from top to bottom."""
    if page == "estimators.md":
        pytest.importorskip("sklearn", reason="needs scikit-learn")
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {})
