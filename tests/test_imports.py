"""Who may import whom: the arrows of the design, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import fastbp

PACKAGE = Path(fastbp.__file__).parent

# The rooms of the package from the ground up, and what each may import of those below it. Everybody
# may import errors; nobody imports the command line, the tests or the benchmarks.
ROOMS = {
    "errors": "",
    "reference": "",
    "pickles": "",
    "files": "",
    "_dispatch": "",
    "_checks": "_dispatch",
    "functions": "_dispatch",
    "parameters": "_checks _dispatch functions",
    "samples": "_checks _dispatch",
    "typing": "samples",
    "shuffling": "_dispatch samples",
    "schedules": "_checks",
    "optimizers": "_checks _dispatch",
    "gradients": "_checks _dispatch functions parameters samples typing",
    "training": "_checks _dispatch files functions gradients optimizers parameters samples typing "
    "schedules shuffling",
    "_network": "_checks _dispatch files functions parameters samples shuffling training",
    "network": "_checks _network files functions samples shuffling training typing",
    "network2": "_checks _network files functions parameters samples shuffling training typing",
    "loading": "files network network2",
    "datasets": "pickles samples",
    "mnist_loader": "datasets",
    "estimators": "_checks network2 optimizers samples training",
    "_old_paths": "files training",
    # What is not needed by every program, when it is asked for.
    "__init__": "_dispatch datasets gradients loading mnist_loader network network2 optimizers "
    "reference samples schedules shuffling training",
    "cli": "_checks _dispatch datasets files network2 reference samples shuffling training",
    "__main__": "cli",
}
OUTSIDE = {"numpy", "tqdm"}
EXTRA = {"estimators": {"sklearn", "scipy"}, "training": {"scipy"}}


def imports(path):
    """Return the modules that a source file imports, as dotted names; not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = [
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
    ]
    for node in ast.walk(tree):
        if node in typed:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "fastbp":
                yield from (f"fastbp.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_arrow_is_in_the_design():
    """Each room imports what the list allows, which is below it, and every room is in the list."""
    rooms = list(ROOMS)
    assert {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/*.py")
    } == set(rooms)
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        found = {name.split(".")[1] for name in imports(path) if name.startswith("fastbp.")}
        found -= {"errors", room}
        assert found <= set(ROOMS[room].split()), path
        assert all(rooms.index(other) < rooms.index(room) for other in found), path
        outside = {name.split(".")[0] for name in imports(path)} - {"fastbp"}
        assert outside <= OUTSIDE | EXTRA.get(room, set()) | set(sys.stdlib_module_names), path


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


def test_modules_that_have_moved_are_found_under_their_old_paths():
    """In a new process: what was public keeps its path, and is one module, not two."""
    code = (
        "import fastbp.history, fastbp.checkpoint, fastbp.fitting, fastbp.storage as storage;"
        "import fastbp;"
        "assert fastbp.history.History is fastbp.History;"
        "assert fastbp.checkpoint.Checkpoint is fastbp.Checkpoint;"
        "assert fastbp.fitting.train is fastbp.train;"
        "assert storage is fastbp.files"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
