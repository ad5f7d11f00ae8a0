"""The tests themselves are tested: a core with a seeded bug must turn them red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SOUND = ("vectors", "plain")  # builds without a bug: of simd_vector.h, of simd_plain.h

# name: (file, [(old text, new text)]); each old text is unique in its file.
BUGS = {
    "kernels that do nothing": (
        "layers.pxi",
        [
            (f'    """{first_words}', f'    return\n    """{first_words}')
            for first_words in (
                "Compute z = a W + bias",
                "Compute delta_prev = W delta",
                "Compute a^T delta",
                "Add the summed steps",
            )
        ],
    ),
    "no bias in the forward pass of a block": (
        "layers.pxi",
        [("        FROM_ROW, n, width, fan_in", "        FROM_ZERO, n, width, fan_in")],
    ),
    "no gradient of the bias": (
        "layers.pxi",
        [("bias[j] += delta[s * width + j]", "bias[j] += 0 * delta[s * width + j]")],
    ),
    "the last row of a block is skipped": (
        "layers.pxi",
        [("start, own, width, n, a", "start, own, width, n - (n > 1), a")],
    ),
    "the last input is skipped": (
        "layers.pxi",
        [("FROM_ROW, n, width, fan_in, a", "FROM_ROW, n, width, fan_in - 1, a")],
    ),
    "the last output is skipped on the way back": (
        "layers.pxi",
        [("FROM_ZERO, fan_in, columns, fan_out, W", "FROM_ZERO, fan_in, columns, fan_out - 1, W")],
    ),
    "no slope in the hidden layers": (
        "layers.pxi",
        [
            (
                "            n * width,\n            scratch + place",
                "            0,\n            scratch + place",
            )
        ],
    ),
    "few samples: no bias": ("simd_vector.h", [("total = start[s * start_row + i] +", "total =")]),
    "few samples: what is left of a sum is skipped": (
        "simd_vector.h",
        [("p = n / SIZE * SIZE; p < n", "p = n / SIZE * SIZE; p < n - 1")],
    ),
    "few samples: long sums start anew": ("simd_vector.h", [("p ? z : bias + i", "bias + i")]),
    "few samples: the last columns are skipped": (
        "simd_vector.h",
        [("j < n) {", "j + SIZE <= n) {")],
    ),
    "few samples: no slope": (
        "few.pxi",
        [("<int> below.activation, fan_in, a", "<int> below.activation, 0, a")],
    ),
    "few samples: the last errors are left out of the bias": (
        "few.pxi",
        [
            (
                "        for s in range(n):\n            for j in range(fan_out):",
                "        for s in range(n - (n > 1)):\n            for j in range(fan_out):",
            )
        ],
    ),
    "few samples: no decay": (
        "few.pxi",
        [("w if few.add else NULL, decay,", "w if few.add else NULL, 1,")],
    ),
    "a step divided by the full batch": (
        "passes.pxi",
        [("-steps.rate / (end - first)", "-steps.rate / batch")],
    ),
    "the permutation is ignored": (
        "passes.pxi",
        [("i = run.order[position + s]", "i = position + s")],
    ),
    "each thread adds to the biases": (
        "layers.pxi",
        [("    if high <= fan_in:\n", "    if high < 0:\n")],
    ),
    "threads do not wait for each other": ("threads.h", [("[ARRIVALS]) < all", "[ARRIVALS]) < 0")]),
    "a single row is skipped": ("simd_vector.h", [("while (n_rows > 0)", "while (n_rows > 1)")]),
    "long sums start anew": ("simd_vector.h", [("done ? FROM_C : from", "from")]),
    "a packed panel repeats its first row": (
        "simd_vector.h",
        [
            (
                "packed[p * columns + v] = ((const VEC *)(Y + p * y_row))",
                "packed[p * columns + v] = ((const VEC *)Y)",
            )
        ],
    ),
    "transposed activations without the last square": (
        "layers.pxi",
        [
            (
                "transpose(n, own, a, width_in, turned, x_row)",
                "transpose(n, own - own % 16, a, width_in, turned, x_row)",
            )
        ],
    ),
    "subnormal numbers stay flushed": (
        "passes.pxi",
        [("restore(mode)\n    return position", "return position")],
    ),
    "no end of the sigmoid": ("simd_vector.h", [("(BITS)a & ~large", "(BITS)a")]),
    "the sigmoid leaves out the remainder": ("simd_vector.h", [("if (i < n)", "if (i > n)")]),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Return a function that starts the build and the core tests of a copy with a bug."""

    def start(name):
        """Start with the bug of this name, or with none in one of the SOUND builds."""
        folder = tmp_path_factory.mktemp("broken")
        for part in ("src_cython", "fastbp", "tests"):
            ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / part, folder / part)
        if name in BUGS:
            file, edits = BUGS[name]
            path = folder / "src_cython" / file
            text = path.read_text(encoding="utf-8")
            for old, new in edits:
                assert text.count(old) == 1, f"{old!r} is not in {file} once"
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        command = (
            f"{sys.executable} setup.py -q build_ext --inplace && "
            f"{sys.executable} -m pytest -q -x -p no:cacheprovider "
            "tests/test_equivalence.py tests/test_sigmoid.py tests/test_few.py "
            "tests/test_threads.py::test_the_bits_do_not_depend_on_the_number_of_threads"
        )
        environment = {
            **os.environ,
            "FASTBP_DEBUG": "1",
            "FASTBP_LEVEL": "base",  # the one built here: an installed fastbp may have others
            "FASTBP_PLAIN": "1" if name == "plain" else "",
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
    """Each seeded bug fails the core tests; the copies without one pass, as do plain loops."""
    waiting, running, outcomes = [*SOUND, *BUGS], {}, {}
    while waiting or running:
        while waiting and len(running) < 2:
            name = waiting.pop(0)
            running[name] = broken(name)
        name = next(iter(running))
        output, _ = running.pop(name).communicate(timeout=200)
        outcomes[name] = output.splitlines()
    for name in SOUND:
        assert " passed" in outcomes[name][-1], "\n".join(outcomes[name])
        assert " failed" not in outcomes[name][-1], "\n".join(outcomes[name])
    survivors = [name for name in BUGS if " failed" not in outcomes[name][-1]]
    assert not survivors, "\n\n".join("\n".join([n, *outcomes[n][-30:]]) for n in survivors)
