"""Programs of readers of the book, run unchanged on the reference and on the fast modules."""

import random
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tolerances import LOCKED_WEIGHTS

from fastbp import mnist_loader, network, network2
from fastbp.reference import network as reference
from fastbp.reference import network2 as reference2

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
BOOK = {"network": reference, "network2": reference2}
FAST = {"network": network, "network2": network2}

NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?")

programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)


def vectorized_result(j):
    return np.eye(10)[:, [j]]


def load_data():
    """Return noisy copies of ten random images, in the form of the book's three sets."""
    draw = np.random.default_rng(1)
    digits = draw.random((10, 784))
    labels = draw.integers(10, size=1100)
    images = np.clip(digits[labels] / 2 + draw.normal(0, 0.3, (1100, 784)), 0, 1)
    images = images.astype(np.float32)
    cuts = [600, 800]
    return tuple(zip(np.split(images, cuts), np.split(labels, cuts), strict=True))


def load_data_wrapper():
    sets = [list(zip(images[:, :, None], labels, strict=True)) for images, labels in load_data()]
    sets[0] = [(x, vectorized_result(j)) for x, j in sets[0]]
    return tuple(sets)


def run(program, modules, loader, monkeypatch, capsys):
    """Return what a program prints with these modules, and where it leaves both generators."""
    with monkeypatch.context() as patch:
        for name, module in {**modules, "mnist_loader": loader}.items():
            patch.setitem(sys.modules, name, module)
        for module in modules.values():  # a program may replace them
            for name in ("sigmoid", "sigmoid_prime"):
                patch.setattr(module, name, getattr(module, name))
        runpy.run_path(str(program), run_name="__main__")
    _, keys, *rest = np.random.get_state()
    return capsys.readouterr().out, (random.getstate(), keys.tolist(), rest)


def same_output(program, loader, monkeypatch, capsys, folder):
    """Run a program twice; hold numbers with a point together as costs, all else to the letter."""
    monkeypatch.chdir(folder)
    (expected, streams), (got, got_streams) = (
        run(program, modules, loader, monkeypatch, capsys) for modules in (BOOK, FAST)
    )
    assert NUMBER.sub("#", got) == NUMBER.sub("#", expected)
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (got, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=LOCKED_WEIGHTS, abs=0)
    assert len(numbers[0]) > 5
    assert got.count("Epoch") > 4
    assert got_streams == streams


@programs
def test_program_prints_the_same(program, monkeypatch, capsys, tmp_path):
    """A reader's program prints the same lines after the swap, here on made-up digits."""
    loader = SimpleNamespace(
        load_data=load_data,
        load_data_wrapper=load_data_wrapper,
        vectorized_result=vectorized_result,
    )
    same_output(program, loader, monkeypatch, capsys, tmp_path)


@pytest.mark.mnist
@programs
def test_program_prints_the_same_on_mnist(program, mnist_path, monkeypatch, capsys, tmp_path):
    """A reader's program, with all three modules swapped, prints the same lines on MNIST."""
    monkeypatch.setenv("FASTBP_DATA", str(mnist_path.resolve()))
    same_output(program, mnist_loader, monkeypatch, capsys, tmp_path)
