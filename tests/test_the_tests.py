"""The tests themselves are tested: a core with a seeded bug must turn them red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SOUND = ("vectors", "plain")  # builds without a bug: of simd_vector.h, of simd_plain.h

TESTS = [
    "tests/test_equivalence.py",
    "tests/test_sigmoid.py",
    "tests/test_few.py",
    "tests/test_gradient_forms.py",
    "tests/test_training.py",
    "tests/test_threads.py::test_the_bits_do_not_depend_on_the_number_of_threads",
]
# The tests that are about a file come first: a bug in it is found sooner.
FIRST = {
    "few.pxi": ["tests/test_few.py"],
    "functions.pxi": ["tests/test_training.py"],
    "gradients.pxi": ["tests/test_gradient_forms.py"],
}

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
        [("        start, n, width, fan_in", "        FROM_ZERO, n, width, fan_in")],
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
        [("start, n, width, fan_in, a", "start, n, width, fan_in - 1, a")],
    ),
    "the last output is skipped on the way back": (
        "layers.pxi",
        [("FROM_ZERO, fan_in, columns, fan_out, W", "FROM_ZERO, fan_in, columns, fan_out - 1, W")],
    ),
    "no slope in the hidden layers": (
        "layers.pxi",
        [("<int> layers[l - 1].activation, n, layers", "LINEAR, n, layers")],
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
        [("<int> below.activation, 1, fan_in", "LINEAR, 1, fan_in")],
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
        [("total = <double> (end - first)", "total = <double> batch")],
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
    "gradients: sample weights are ignored": (
        "gradients.pxi",
        [
            (
                "    if weights != NULL:\n        for s in range(n):",
                "    if weights != NULL:\n        for s in range(0):",
            )
        ],
    ),
    "norms without the biases": ("gradients.pxi", [("        1 + squares(", "        squares(")]),
    "norms of the first layer alone": (
        "gradients.pxi",
        [
            (
                "    for l in range(1, last + 1):\n        total += layer_squares",
                "    for l in range(1, 2):\n        total += layer_squares",
            )
        ],
    ),
    "norms leave out what is left of a vector": (
        "simd_vector.h",
        [
            (
                "for (; i < n; i++) total += (double)values[i]",
                "for (; i < 0; i++) total += (double)values[i]",
            )
        ],
    ),
    "clipping leaves the output layer": (
        "gradients.pxi",
        [
            (
                "    for l in range(1, last + 1):\n        delta = deltas",
                "    for l in range(1, max(last, 2)):\n        delta = deltas",
            )
        ],
    ),
    "clipped gradients keep their length": (
        "gradients.pxi",
        [("<real> (most / size))", "<real> 1)")],
    ),
    "moments are not squared": ("gradients.pxi", [("values[i] *= values[i]", "values[i] *= 1")]),
    "sums of later blocks start anew": (
        "gradients.pxi",
        [
            (
                "FROM_C if total.add or position else FROM_ZERO",
                "FROM_ZERO",
            )
        ],
    ),
    "gradients of samples: the last neuron is left out": (
        "gradients.pxi",
        [
            (
                "for j in range(layer.fan_out):\n                    times",
                "for j in range(layer.fan_out - 1):\n                    times",
            )
        ],
    ),
    "the Jacobian without the slope of the outputs": (
        "gradients.pxi",
        [("<int> top.activation, n, top.fan_out", "LINEAR, n, top.fan_out")],
    ),
    "the Hessian without the direction's bias": (
        "gradients.pxi",
        [("FROM_ROW, n, layer.fan_in", "FROM_ZERO, n, layer.fan_in")],
    ),
    "the Hessian without the change of activations": (
        "gradients.pxi",
        [
            (
                "for l in range(2, last + 1):\n            layer = layers + l",
                "for l in range(3, last + 1):\n            layer = layers + l",
            )
        ],
    ),
    "no curvature": ("functions.pxi", [("factor[j] *= 1 - 2 * a[j]", "factor[j] *= 1")]),
    "the change of the quadratic cost's error has no slope": (
        "functions.pxi",
        [("        times_slope(activation, 1, n, n, a, change)\n", "")],
    ),
    "tanh has no slope": ("functions.pxi", [("(1 - a[j]) * (1 + a[j])", "1")]),
    "leaky neurons leak nothing on the way back": (
        "functions.pxi",
        [("<real> 1 if a[j] > 0 else <real> LEAK", "<real> 1 if a[j] > 0 else <real> 0")],
    ),
    "softmax is not normalised": ("functions.pxi", [("z[j] /= total", "z[j] /= 1")]),
    "the log-likelihood takes its targets for one-hot": (
        "functions.pxi",
        [("            total += delta[j]", "            total += delta[j] * 0 + <real> 1 / n")],
    ),
    "softplus loses its tail": ("simd_vector.h", [("2 * (s + s * s2 * sum)", "2 * s")]),
    "the second moment is forgotten": (
        "layers.pxi",
        [("v[i] = nu * v[i] + left * g * g", "v[i] = left * g * g")],
    ),
    "moments are not corrected": (
        "layers.pxi",
        [("(1 - pow(rule.second, <double> t))", "(1 - 0 * pow(rule.second, <double> t))")],
    ),
    "Nesterov's steps are plain momentum": (
        "layers.pxi",
        [("w[i] += mu * u[i] - g", "w[i] += u[i]")],
    ),
    "biases are penalised": ("layers.pxi", [("high - bias, False", "high - bias, True")]),
    "no penalty of sizes": ("layers.pxi", [("return l1 if w > 0 else", "return 0 if w > 0 else")]),
    "mini-batches are divided by their samples, not their weights": (
        "passes.pxi",
        [("total += weights[run.order[s]]", "total += 1")],
    ),
    "alpha counts for each sample": (
        "passes.pxi",
        [("steps.rule.l2 + steps.rule.alpha / total", "steps.rule.l2 + steps.rule.alpha")],
    ),
    "plain steps know no alpha": (
        "passes.pxi",
        [("if steps.rule.alpha != 0:", "if steps.rule.alpha < 0:")],
    ),
    "the costs of a block overwrite the last one's": (
        "passes.pxi",
        [("steps.costs + position + own", "steps.costs + own")],
    ),
    "a thread's costs go where the first one's do": (
        "passes.pxi",
        [("steps.costs + position + own", "steps.costs + position")],
    ),
    "the cost of what is 0 is left out": (
        "functions.pxi",
        [("if y[j] != 1:", "if y[j] == 0:")],
    ),
    "the quadratic cost is not halved": (
        "functions.pxi",
        [("total += 0.5 * (<double> a[j] - y[j])", "total += (<double> a[j] - y[j])")],
    ),
    "epsilon is always that of algorithm 1": ("layers.pxi", [("if rule.hat:", "if not rule.hat:")]),
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
        tests = sorted(TESTS, key=lambda test: test not in FIRST.get(BUGS.get(name, [""])[0], []))
        command = (
            f"{sys.executable} setup.py -q build_ext --inplace && "
            f"{sys.executable} -m pytest -q -x -p no:cacheprovider {' '.join(tests)} "
            "-k 'not killed and not memory'"
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
