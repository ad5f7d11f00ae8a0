"""Types of the public functions: a type checker finds a user's mistakes."""

from pathlib import Path
from typing import get_args

import pytest

from fastbp import _network, functions, optimizers, typing

PROGRAM = Path(__file__).parent / "typed" / "mistakes.py"


def test_names_in_types_are_those_that_are_taken():
    """Each table of names has its type."""
    assert set(get_args(typing.HiddenActivation)) == set(functions.HIDDEN)
    assert set(get_args(typing.OutputActivation)) == set(functions.ACTIVATIONS)
    assert set(get_args(typing.OptimizerName)) == set(optimizers.TABLE)
    names = {"book", "large", *_network.INITIALIZERS}
    assert set(get_args(typing.InitializerName)) == names


def test_a_type_checker_finds_the_mistakes_of_a_program():
    """Each line marked so has an error, and no other line has one."""
    api = pytest.importorskip("mypy.api", reason="mypy is in the extra lint")
    output, _, _ = api.run(["--strict", "--no-incremental", str(PROGRAM)])
    found = {int(line.split(":")[1]) for line in output.splitlines() if ": error:" in line}
    lines = PROGRAM.read_text(encoding="utf-8").splitlines()
    assert found == {i for i, line in enumerate(lines, 1) if line.endswith("# error")}, output
