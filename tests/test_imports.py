"""Who may import whom: the arrows of the design, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import fastbp

PACKAGE = Path(fastbp.__file__).parent

# module: what it may import of the package. Everybody may import errors; nobody
# imports the tests, the benchmarks or the command line.
MAY_IMPORT = {
    "__init__": {  # the last three: for type checkers, and when they are asked for
        "network",
        "network2",
        "gradients",
        "fitting",
        "checkpoint",
        "history",
        "loading",
        "optimizers",
        "schedules",
        "samples",
        "shuffling",
        "_dispatch",
        "datasets",
        "mnist_loader",
        "reference",
    },
    "__main__": {"cli"},
    "cli": {
        "shuffling",
        "network2",
        "training",
        "reference",
        "datasets",
        "samples",
        "options",
        "storage",
        "tables",
        "_dispatch",
    },
    "options": {"tables"},
    "tables": {"_checks"},
    "network": {"_model", "_checks", "samples", "shuffling", "storage", "training", "functions"},
    "loading": {"network", "network2", "storage"},
    "storage": set(),
    "network2": {
        "_model",
        "storage",
        "_checks",
        "parameters",
        "samples",
        "shuffling",
        "training",
        "functions",
    },
    "mnist_loader": {"datasets"},
    "_model": {
        "_checks",
        "_dispatch",
        "functions",
        "parameters",
        "samples",
        "shuffling",
        "storage",
        "training",
    },
    "training": {
        "_checks",
        "_dispatch",
        "_threads",
        "functions",
        "parameters",
        "records",
        "samples",
        "shuffling",
    },
    "fitting": {
        "_checks",
        "_model",
        "checkpoint",
        "history",
        "objective",
        "optimizers",
        "parameters",
        "samples",
        "schedules",
        "shuffling",
        "trainer",
    },
    "trainer": {
        "_checks",
        "_dispatch",
        "_model",
        "checkpoint",
        "history",
        "objective",
        "optimizers",
        "parameters",
        "quasi_newton",
        "samples",
        "schedules",
        "shuffling",
        "training",
    },
    "quasi_newton": {
        "_checks",
        "_dispatch",
        "_model",
        "gradients",
        "objective",
        "optimizers",
        "training",
    },
    "objective": {"_checks", "functions", "parameters", "samples", "training"},
    "estimators": {"_perceptron", "network2", "samples"},
    "_perceptron": {"_checks", "fitting", "network2", "objective", "optimizers", "samples"},
    "optimizers": {"_checks", "_dispatch"},
    "history": {"_checks", "schedules"},
    "schedules": {"_checks"},
    "checkpoint": {"_checks", "history", "parameters", "storage"},
    "records": {"_dispatch"},
    "samples": {"_checks", "_dispatch"},
    "parameters": {"_checks", "_dispatch", "functions"},
    "functions": {"_dispatch"},
    "_checks": {"_dispatch"},
    "_threads": {"_dispatch"},
    # They are handed a network, and import none.
    "gradients.__init__": {"gradients"},
    "gradients.exact": {"gradients", "_checks", "_dispatch", "functions", "parameters", "samples"},
    "gradients.numerical": {"gradients", "_checks", "functions", "samples"},
    "gradients.work": {"_checks", "_dispatch", "functions", "parameters", "samples"},
    "datasets": {"pickles", "samples"},
    "pickles": set(),
    "shuffling": {"samples", "_dispatch"},
    "errors": set(),
    "_dispatch": set(),
    "reference.__init__": set(),
    "reference.functions": set(),
    "reference.network": set(),
    "reference.network2": set(),
}
OUTSIDE = {"numpy", "tqdm"}
EXTRA = {
    "estimators": {"sklearn", "scipy"},
    "_perceptron": {"sklearn", "scipy"},
    "quasi_newton": {"scipy"},
}


def imports(path):
    """Return the modules that a source file imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module in ("fastbp", "fastbp.reference"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_arrow_is_in_the_design():
    """Each module imports what the list allows, and every module is in the list."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name] = {
            module.split(".")[1] for module in imports(path) if module.startswith("fastbp.")
        }
        outside = {module.split(".")[0] for module in imports(path)} - {"fastbp"}
        assert outside <= OUTSIDE | EXTRA.get(name, set()) | set(sys.stdlib_module_names), name
        if name.startswith("reference"):
            assert not found[name], f"{name} leans on what it judges"
    assert found.keys() == MAY_IMPORT.keys()
    for name, modules in found.items():
        assert modules - {"errors"} <= MAY_IMPORT[name], name


def test_import_takes_numpy_alone():
    """Importing the package loads NumPy and nothing else from outside, and no reference."""
    code = (
        "import sys; before = set(sys.modules); import numpy; numpy_only = set(sys.modules);"
        "import fastbp; new = {m.split('.')[0] for m in set(sys.modules) - numpy_only};"
        "assert 'fastbp.reference' not in sys.modules;"
        "assert 'fastbp.cli' not in sys.modules;"
        "print(sorted(new - set(sys.stdlib_module_names) - {'fastbp', 'numpy'}))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    extra = ast.literal_eval(output)
    # Cython's runtime registers its shared types under its own name.
    assert [name for name in extra if not name.startswith(("_cython", "cython_runtime"))] == []


def test_every_name_is_there_after_a_plain_import():
    """All of ``__all__``, and the modules the README names, need no further import."""
    code = (
        "import fastbp; [getattr(fastbp, name) for name in fastbp.__all__];"
        "fastbp.datasets.load_digits; fastbp.mnist_loader.load_data_wrapper;"
        "fastbp.shuffling.python2; fastbp.reference; hasattr(fastbp, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
