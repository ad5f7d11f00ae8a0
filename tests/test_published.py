"""The book author's own result files come back, where training is stable."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from tolerances import LOCKED_WEIGHTS, PUBLISHED_COST, STEPS
from twins import same_parameters

from fastbp import mnist_loader, network, network2, shuffling
from fastbp.reference import network as reference1

PUBLISHED = Path(__file__).parent / "published"
SEED = 12345678


def read(name):
    """Return the content of one of the author's files."""
    return json.loads((PUBLISHED / name).read_text(encoding="utf-8"))


def seeded_data(path):
    """Seed both generators, as the author's programs do first, and load the data."""
    random.seed(SEED)
    np.random.seed(SEED)
    return mnist_loader.load_data_wrapper(path)


@pytest.mark.mnist
@pytest.mark.published
def test_weight_initialization_30(mnist_path):
    """Both curves of accuracies, 60 epochs on the full set, are equal to the digit."""
    published = read("weight_initialization_30.json")
    training_data, validation_data, _ = seeded_data(mnist_path)
    net = network2.Network([784, 30, 10], cost=network2.CrossEntropyCost)
    for curve in ("default_weight_initialization", "large_weight_initialization"):
        if curve == "large_weight_initialization":
            net.large_weight_initializer()
        found = net.SGD(
            training_data,
            30,
            10,
            0.1,
            lmbda=5.0,
            evaluation_data=validation_data,
            monitor_evaluation_accuracy=True,
            shuffle=shuffling.python2,
            verbose=False,
        )
        assert list(found) == published[curve]


@pytest.mark.mnist
@pytest.mark.published
def test_multiple_eta(mnist_path):
    """The costs on the training data at eta 0.025 and 0.25 are equal to rounding."""
    training_data, validation_data, _ = seeded_data(mnist_path)
    # The file's third run, at eta 2.5, is chaotic: no two programs stay together there.
    for eta, published in zip((0.025, 0.25), read("multiple_eta.json"), strict=False):
        net = network2.Network([784, 30, 10])
        found = net.SGD(
            training_data,
            30,
            10,
            eta,
            lmbda=5.0,
            evaluation_data=validation_data,
            monitor_training_cost=True,
            shuffle=shuffling.python2,
            verbose=False,
        )
        np.testing.assert_allclose(found[2], published[2], rtol=PUBLISHED_COST, atol=0)
        assert (found[0], found[1], found[3]) == ([], [], [])


@pytest.mark.mnist
@pytest.mark.published
def test_chapter_1_side_by_side(mnist_path, capsys):
    """At eta 0.5 whole epochs on MNIST leave equal streams, order, lines, and weights."""
    results = []
    for module in (reference1, network):
        training_data, _, test_data = seeded_data(mnist_path)
        order = {id(x): i for i, (x, _) in enumerate(training_data)}
        net = module.Network([784, 30, 10])
        net.SGD(training_data, 1, 10, 0.5, test_data=test_data)
        few = training_data[:1000]
        net.SGD(few, 3, 10, 0.5, test_data=test_data[:1000])
        results.append(
            {
                "order": [order[id(x)] for x, _ in training_data + few],
                "python": random.getstate(),
                "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],
                "lines": capsys.readouterr().out,
                "net": net,
            }
        )
    reference, fast = results
    for found, right in zip(
        fast["net"].weights + fast["net"].biases,
        reference["net"].weights + reference["net"].biases,
        strict=True,
    ):
        assert np.abs(found - right).max() <= LOCKED_WEIGHTS
    assert fast["lines"].count("\n") == 4
    for key in ("order", "python", "numpy", "lines"):
        assert fast[key] == reference[key], key


@pytest.mark.mnist
@pytest.mark.published
def test_chapter_1_in_lockstep_at_eta_3(mnist_path):
    """At eta 3.0, which is chaotic, each 100 steps from equal weights end at equal weights."""
    training_data, *_ = seeded_data(mnist_path)
    fast, reference = network.Network([784, 30, 10]), reference1.Network([784, 30, 10])
    for start in range(0, 10_000, 1000):
        same_parameters(reference, fast)
        for net in (reference, fast):
            net.SGD(training_data[start : start + 1000], 1, 10, 3.0, shuffle=False, verbose=False)
        for found, right in zip(
            fast.weights + fast.biases, reference.weights + reference.biases, strict=True
        ):
            limit = STEPS[np.float64][100] * max(1, np.abs(right).max())
            assert np.abs(found - right).max() <= limit
