"""The tests themselves are tested: a core with a seeded bug must turn them red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LOOP = "    for s in range(n):\n"

# name: (file, [(old text, new text)]); each old text is unique in its file.
BUGS = {
    "kernels that do nothing": (
        "layers.pxi",
        [
            (f'    """{first_words}', f'    return\n    """{first_words}')
            for first_words in (
                "Compute activation(w a + b)",
                "Compute w^T delta",
                "Compute the gradient by the weights of one layer",
                "Compute z = a W + bias",
                "Compute delta_prev = W delta",
                "Add the block's gradient",
                "Take one step down",
            )
        ],
    ),
    "no bias in the forward pass of a block": (
        "layers.pxi",
        [("copy(width, W + fan_in * width, z + s * width)", "clear(width, z + s * width)")],
    ),
    "no gradient of the bias": ("layers.pxi", [("g[j] += d[j]", "g[j] += 0 * d[j]")]),
    "the last row of a block is skipped": (
        "layers.pxi",
        [
            (
                "        g = G + k * width\n        for s in range(n):",
                "        g = G + k * width\n        for s in range(n - (n > 1)):",
            )
        ],
    ),
    "the last input is skipped": (
        "layers.pxi",
        [
            (
                "    for k in range(fan_in):\n        w = W",
                "    for k in range(fan_in - 1):\n        w = W",
            )
        ],
    ),
    "no slope in the hidden layers": (
        "layers.pxi",
        [
            (
                "            n * width,\n            scratch + rows",
                "            0,\n            scratch + rows",
            )
        ],
    ),
    "one sample: no bias": (
        "layers.pxi",
        [("out[j] = dot(n_in, w + j * n_in, a) + b[j]", "out[j] = dot(n_in, w + j * n_in, a)")],
    ),
    "a step divided by the full batch": (
        "core.pyx",
        [("rate / (end - first)", "rate / batch")],
    ),
    "the permutation is ignored": ("core.pyx", [("i = order[position + s]", "i = position + s")]),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Return a function that starts the build and the core tests of a copy with a bug."""

    def start(name):
        folder = tmp_path_factory.mktemp("broken")
        for part in ("src_cython", "fastbp", "tests"):
            ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, folder / part)
        if name is not None:
            file, edits = BUGS[name]
            path = folder / "src_cython" / file
            text = path.read_text(encoding="utf-8")
            for old, new in edits:
                assert text.count(old) == 1, f"{old!r} is not in {file} once"
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        command = (
            f"{sys.executable} setup.py -q build_ext --inplace && "
            f"{sys.executable} -m pytest -q -x -p no:cacheprovider tests/test_equivalence.py"
        )
        environment = {
            **os.environ,
            "FASTBP_DEBUG": "1",
            "FASTBP_HYPOTHESIS": "first_failure",
            "PYTHONPATH": str(folder),
        }
        return subprocess.Popen(
            command,
            shell=True,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return start


def test_seeded_bugs_turn_the_tests_red(broken):
    """Each seeded bug fails the core tests, and the copy without one passes them."""
    waiting, running, outcomes = [None, *BUGS], {}, {}
    while waiting or running:
        while waiting and len(running) < 2:
            name = waiting.pop(0)
            running[name] = broken(name)
        name = next(iter(running))
        process = running.pop(name)
        output, _ = process.communicate(timeout=200)
        outcomes[name] = output
    assert " passed" in outcomes[None].splitlines()[-1], outcomes[None]
    assert " failed" not in outcomes[None].splitlines()[-1], outcomes[None]
    survivors = {
        name: output
        for name, output in outcomes.items()
        if name is not None and " failed" not in output.splitlines()[-1]
    }
    assert not survivors, "\n\n".join(f"{n}\n{o[-2000:]}" for n, o in survivors.items())
