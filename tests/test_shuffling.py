"""The orders of epochs: Python 2's shuffle, and what any other leaves of the samples."""

import random

import numpy as np
import pytest
from tolerances import STEPS
from twins import flat, pairs, twins

from fastbp import Dataset, shuffling

SIZES = [3, 4, 2]
# After random.seed(12345678): random.shuffle(range(12)), and the next random.random().
PYTHON_2 = [11, 3, 10, 1, 0, 5, 7, 4, 9, 2, 6, 8], 0.023482955664146488


def test_python2_is_python_2s():
    """The permutation, and the generator after it, are those that Python 2.7.18 gave."""
    random.seed(12345678)
    x = list(range(12))
    shuffling.python2(x)
    assert x == PYTHON_2[0]
    assert random.random() == PYTHON_2[1]


@pytest.mark.parametrize(
    "left",
    [[0, 1, 2, 5], [0, -1, 2], [0.0, 1.0], ["0"], [None]],
    ids=repr,
)
def test_row_numbers_that_a_shuffle_leaves_are_checked(left):
    """A shuffle of a Dataset's rows may not send the core beyond them."""
    _, fast = twins(SIZES)
    before = flat(fast.weights, fast.biases).tobytes()

    def shuffle(rows):
        rows[:] = left

    data = Dataset(np.ones((5, 3)), np.zeros(5))
    with pytest.raises(ValueError, match="shuffle: expected row numbers below 5"):
        fast.SGD(data, 1, 2, 0.5, shuffle=shuffle)
    assert flat(fast.weights, fast.biases).tobytes() == before


@pytest.mark.parametrize("dataset", [False, True])
def test_a_shuffle_that_leaves_nothing_is_an_error(dataset):
    """No samples are no epoch, whoever took them away."""
    _, fast = twins(SIZES)
    data = Dataset(np.ones((5, 3)), np.zeros(5)) if dataset else pairs(SIZES, 5)
    with pytest.raises(ValueError, match="training_data: expected at least one sample"):
        fast.SGD(data, 1, 2, 0.5, shuffle=lambda cards: cards.clear())


def test_a_shuffle_may_leave_out_and_repeat_samples():
    """What it leaves is trained on; decay keeps the n of the start, as in the book."""

    def shuffle(cards):
        cards[:] = [cards[3], cards[1], cards[1]]

    nets = twins(SIZES)
    for net in nets:
        net.SGD(pairs(SIZES, 5), 1, 5, 0.5, 1.0, shuffle=shuffle, verbose=False)
    reference, fast = (flat(net.weights, net.biases) for net in nets)
    assert np.abs(fast - reference).max() <= STEPS[np.float64][10]
    _, by_rows = twins(SIZES)
    X, Y = (np.hstack(columns).T for columns in zip(*pairs(SIZES, 5), strict=True))
    by_rows.SGD(Dataset(X, Y), 1, 5, 0.5, 1.0, shuffle=shuffle, verbose=False)
    assert flat(by_rows.weights, by_rows.biases).tobytes() == fast.tobytes()
