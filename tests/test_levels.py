"""The choice of the compiled level: what is forced is had, or is an error."""

import os
import subprocess
import sys

import pytest

from fastbp._dispatch import LEVELS, SUPPORTED, core


def run(level, code):
    """Return the finished process of ``code`` with this level forced."""
    environment = {**os.environ, "FASTBP_LEVEL": level}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("level", SUPPORTED)
def test_a_level_of_this_processor_can_be_forced(level):
    """Each level that the processor has is built, and is the one that runs when forced."""
    done = run(level, "import fastbp; print(fastbp.kernel_info()['level'])")
    assert done.stdout.strip() == level, done.stderr


@pytest.mark.parametrize("level", ["", "avx9", *(set(LEVELS) - set(SUPPORTED))])
def test_what_cannot_be_had_is_an_error(level):
    """A level that is unknown or not this processor's is refused, with the ones there are."""
    done = run(level, "import fastbp")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: FASTBP_LEVEL: expected a level")
    assert SUPPORTED[-1] in done.stderr


def test_the_best_level_is_the_choice():
    """Without a word the first of the list that the processor has is taken."""
    environment = {k: v for k, v in os.environ.items() if k != "FASTBP_LEVEL"}
    code = "import fastbp; print(fastbp.kernel_info()['level'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == next(level for level in LEVELS if level in SUPPORTED)


@pytest.mark.skipif(sys.platform == "win32", reason="teams of threads are POSIX's")
def test_gcc_and_clang_build_teams_of_threads():
    """The tests of threads may be skipped with other compilers alone."""
    assert core.TEAMS or not core.COMPILED_BY.startswith(("gcc", "clang"))


def test_broken_is_not_taken_for_absent(tmp_path):
    """A module that is there and fails to load says so; a slower one is not taken for it."""
    code = (
        "import sys, importlib.util, importlib.machinery\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('fastbp._core_') and name != 'fastbp._core_base':\n"
        "            raise ImportError('undefined symbol')\n"
        "        if name == 'fastbp._core_base' and len(sys.argv) > 1:\n"
        "            raise ImportError('undefined symbol')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "import fastbp\n"
    )
    arguments = [] if len(SUPPORTED) > 1 else ["base"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "undefined symbol" in done.stderr


_BITS = """
import hashlib
import numpy as np
from fastbp import Dataset, gradients, network2
rng = np.random.default_rng(0)
bits = hashlib.sha256()
for dtype in ("float32", "float64"):
    for sizes, batch in (([2, 3, 1], 1), ([90, 33, 4], 10), ([90, 80, 4], 7), ([90, 12, 4], 100)):
        X = rng.random((230, sizes[0])) * (rng.random((230, sizes[0])) < 0.3 + (sizes[0] < 9))
        data = Dataset(X.astype(dtype), rng.random((230, sizes[-1])).astype(dtype))
        net = network2.Network(sizes, dtype=dtype, random_state=1)
        net.SGD(data, 2, batch, 0.5, lmbda=0.1, verbose=False)
        for array in (*net.biases, *net.weights, *sum(gradients.gradient(net, data), [])):
            bits.update(array.tobytes())
print(bits.hexdigest())
"""


def test_the_fast_paths_change_no_bit():
    """Sparse inputs and small layers have the same results without their own ways."""
    found = set()
    for switch in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", _BITS],
            env={**os.environ, "FASTBP_FAST_PATHS": switch},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
