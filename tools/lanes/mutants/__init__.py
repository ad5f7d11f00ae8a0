"""Seeded bugs: a table of what to replace in a source file, by what, and who must notice.

name: (file, [(old text, new text)]); each old text is unique in its file. A bug that no test
can notice, as the program is as right with it, is in ``EQUIVALENT`` with the reason.
"""

from lanes.mutants import build, core, gate, storage, training

BUGS = {**core.BUGS, **gate.BUGS, **training.BUGS, **storage.BUGS, **build.BUGS}

# name: (file, [(old text, new text)], reason).
EQUIVALENT: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "errors of samples that are not there are not cleared": (
        "src_cython/backprop.pxi",
        [("        clear(layer.fan_out * columns, transposed)\n", "        pass\n")],
        "what is computed of them goes to columns that nobody reads; cleared, no number is read "
        "that was never written",
    ),
    "few samples: the errors of the padding are not cleared": (
        "src_cython/public_arrays.pxi",
        [
            (
                "            clear(below.width - below.fan_out, &delta[s, inputs + below.fan_out])\n",
                "            pass\n",
            )
        ],
        "what is computed of them stays in the padding, which nobody reads; cleared, no number is "
        "read that was never written",
    ),
    "few samples: garbage is collected while nothing is held": (
        "src_cython/public_arrays.pxi",
        [("    bint PyGC_Disable() noexcept", '    bint PyGC_Disable "PyGC_IsEnabled"() noexcept')],
        "nothing that these calls allocate now sets off a collection; disabled, nothing that a later "
        "Python or Cython allocates can",
    ),
    "softmax: the last is never the largest": (
        "src_cython/functions.pxi",
        [
            (
                "for j in range(1, layer.fan_out):\n        largest",
                "for j in range(1, layer.fan_out - 1):\n        largest",
            )
        ],
        "exponentials end at the smallest and at some largest number: how far the last is above the "
        "others cancels in the quotient, but for the smallest numbers",
    ),
    "the gate of the core takes misaligned arrays": (
        "src_cython/public_arrays.pxi",
        [("        and <uintptr_t> view.buf % view.itemsize == 0\n", "")],
        "NumPy writes an order of bytes before the format of what is misaligned, which the gate "
        "refuses by itself",
    ),
}

# Who should notice, the most specific first.
TESTS = {
    "src_cython/_core.pyx": ["entry_points", "equivalence", "threads"],
    "src_cython/backprop.pxi": [
        "equivalence",
        "training",
        "gradient_forms",
        "bad_input",
        "threads",
        "contract",
    ],
    "src_cython/functions.pxi": ["training", "gradient_forms", "tiny"],
    "src_cython/gradients.pxi": ["gradient_forms", "sparse", "entry_points", "training"],
    "src_cython/holding.pxi": ["entry_points", "contract"],
    "src_cython/one_line_layers.pxi": ["tiny", "training", "bad_input"],
    "src_cython/optimizers.pxi": ["training", "equivalence", "threads"],
    "src_cython/options.pxi": ["training", "entry_points"],
    "src_cython/packed_inputs.pxi": ["sparse", "records", "entry_points"],
    "src_cython/parameters.pxi": ["entry_points"],
    "src_cython/public_arrays.pxi": ["few", "entry_points", "bad_input", "contract", "user_hooks"],
    "src_cython/samples.pxi": ["entry_points", "bad_input", "equivalence"],
    "src_cython/shuffling.pxi": ["shuffling", "entry_points"],
    "src_cython/simd.h": ["sparse", "records"],
    "src_cython/simd_vector.h": [
        "equivalence",
        "sparse",
        "sigmoid",
        "few",
        "gradient_forms",
        "training",
        "bad_input",
        "tiny",
    ],
    "src_cython/simd_lists.h": ["sparse", "records"],
    "src_cython/threads.h": ["threads"],
    "src_cython/train.pxi": [
        "equivalence",
        "sparse",
        "training",
        "gradient_forms",
        "threads",
        "interrupts",
        "entry_points",
    ],
    "setup.py": ["build"],
    "fastbp/errors.py": ["options", "storage", "bad_input"],
    "fastbp/cli/tables.py": ["cli"],
    "fastbp/cli/__init__.py": ["cli"],
    "fastbp/pickles.py": ["datasets"],
    "fastbp/datasets.py": ["datasets"],
    "fastbp/_checks.py": ["options", "bad_input", "training", "contract", "gradients"],
    "fastbp/training/packing.py": ["records"],
    "fastbp/samples.py": [
        "rows_in_place",
        "bad_input",
        "contract",
        "user_code",
        "gradient_forms",
        "training",
        "user_hooks",
    ],
    "fastbp/parameters.py": [
        "options",
        "bad_input",
        "equivalence",
        "few",
        "training",
        "user_code",
        "user_hooks",
    ],
    "fastbp/training/loop.py": [
        "records",
        "divergence",
        "equivalence",
        "interrupts",
        "contract",
        "bad_input",
        "user_code",
        "training",
        "gradient_forms",
    ],
    "fastbp/_network.py": [
        "threads_contract",
        "bad_input",
        "contract",
        "user_code",
        "equivalence",
        "gradient_forms",
    ],
    "fastbp/gradients/exact.py": ["threads_contract", "gradient_forms"],
    "fastbp/training/train.py": ["options", "training"],
    "fastbp/training/history.py": ["training"],
    "fastbp/training/early_stopping.py": ["training", "options"],
    "fastbp/training/options.py": ["training", "options"],
    "fastbp/schedules.py": ["training"],
    "fastbp/estimators/perceptron.py": ["estimators", "estimators_random"],
    "fastbp/estimators/__init__.py": ["estimators", "estimators_random"],
    "fastbp/training/trainer.py": ["training", "options"],
    "fastbp/training/objective.py": ["training"],
    "fastbp/optimizers.py": ["options", "fixtures"],
    "fastbp/training/lbfgs.py": ["training", "divergence"],
    "fastbp/training/checkpoint.py": ["training", "storage"],
    "fastbp/training/threads.py": ["threads"],
    "fastbp/files.py": ["storage", "faults", "training"],
    "fastbp/shuffling.py": ["shuffling", "user_code"],
}

# A few of each kind, for each change.
SHORT = (
    "kernels that do nothing",
    "no slope in the hidden layers",
    "a step divided by the full batch",
    "threads do not wait for each other",
    "no rollback",
    "columns of any shape are taken",
    "the permutation is ignored",
    "decay on biases",
    "few samples: no slope",
    "gradients: sample weights are ignored",
    "the gate of the core takes any shape",
    "a number may be infinite",
    "labels are not looked at",
    "sparse: threads cut pairs",
    "the digest is not looked at",
    "weights of another shape are taken",
    "no commit after an epoch",
    "divergence is not looked for",
    "the last parameters count as the best",
)
