"""Columns that are rows of one array already, as MNIST's, are read where they lie."""

import random

import numpy as np
import pytest
from twins import flat

from fastbp import network, samples

SIZES = (5, 4, 3)


def rows_of(n=40, dtype=np.float64):
    """Return inputs and targets, the rows of which pairs are made of."""
    rng = np.random.default_rng(0)
    return rng.random((n, SIZES[0])).astype(dtype), rng.random((n, SIZES[-1]))


def pairs(X, Y):
    """Return the book's list, of views."""
    return list(zip(X[:, :, None], Y[:, :, None], strict=True))


def gated(data):
    """Return the inputs as the core reads them."""
    return samples.gate(data, SIZES, "data", y="columns").X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("part", [slice(None), slice(7, 19), slice(3, 4), slice(39, 40)], ids=str)
def test_nothing_is_copied(part, dtype):
    """All rows, or some that follow one another, are a view."""
    X, Y = rows_of(dtype=dtype)
    found = gated(pairs(X, Y)[part])
    assert np.shares_memory(found, X)
    assert found.dtype == dtype
    assert (found == X[part]).all()


def apart(X):
    wide = np.full((len(X), SIZES[0] + 1), np.nan)
    wide[:, :-1] = X
    return list(wide[:, :-1, None])


def between_the_numbers(X):
    """Aligned columns whose base is not: its numbers begin in the middle of theirs."""
    memory = bytearray(X.nbytes + 24)
    skipped = -np.frombuffer(memory, "u1").ctypes.data % 8
    base = np.frombuffer(memory, float, X.size + 1, skipped + 4)
    xs = [np.ndarray((5, 1), buffer=base, offset=4 + 40 * i) for i in range(len(X))]
    assert xs[0].base is base
    assert xs[0].flags.aligned
    for x, row in zip(xs, X, strict=True):
        x[:, 0] = row
    return xs


def neighbours(X):
    """Columns that follow one another in memory, each with a base of its own."""
    memory = bytearray(X.tobytes())
    return [np.frombuffer(memory, float, 5, 40 * i)[:, None] for i in range(len(X))]


@pytest.mark.parametrize("columns", [
    lambda X: list(X[::-1, :, None]),
    lambda X: list(X[::2, :, None]),
    lambda X: [*X[:20, :, None], *X[21:, :, None]],
    lambda X: [X[3][:, None]] * 4,
    lambda X: [x[:, None].copy() for x in X],
    lambda X: list(np.asfortranarray(X).copy(order="F")[:, :, None]),
    lambda X: list(np.concatenate([X.T, X.T]).T.copy()[:, :5, None]),
    lambda X: [X[0][:, None], np.ones((5, 1))],
    lambda X: [X[0][:, None], X[1][:, None].astype("f")],
    lambda X: list(X.view(np.uint64).view(np.float64).reshape(-1, 5, 1)),
    lambda X: list(X.view(np.uint8).view(np.float64)[:, :, None]),
    lambda X: list(np.frombuffer(X.tobytes()).reshape(-1, 5, 1)),
    lambda X: list(np.frombuffer(b"1234" + X.tobytes(), "u1")[4:].view(float).reshape(-1, 5, 1)),
    apart,
    between_the_numbers,
    neighbours,
    lambda X: np.split(X.T.copy("F"), 40, axis=1),
])  # fmt: skip
def test_whatever_they_are_views_of(columns):
    """The values are right, rows of one array or not."""
    X, Y = rows_of()
    xs = columns(X)
    expected = np.array(xs, float)[:, :, 0]
    found = gated(list(zip(xs, Y[: len(xs), :, None], strict=True)))
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_a_shuffled_list_of_views_trains_to_the_bits_of_copies(n, dtype):
    """Two calls of SGD, the second on the list as the first has left it."""
    ends, lists = [], []
    for copied in (False, True):
        X, Y = rows_of(n, dtype)
        data = pairs(X, Y)
        if copied:
            data = [(x.copy(), y) for x, y in data]
        given = list(data)
        random.seed(1)
        net = network.Network(list(SIZES), random_state=0)
        for _ in range(2):
            net.SGD(data, 2, 3, 0.5, verbose=False)
        ends.append(flat(net.biases, net.weights).tobytes())
        lists.append([next(i for i, g in enumerate(given) if g is pair) for pair in data])
    assert ends[0] == ends[1]
    assert lists[0] == lists[1]


def test_each_column_is_of_the_first_ones_type():
    """Also where later ones lie as rows of the first one's type would."""
    n, k, first = 5000, 4, 4096  # as many as are looked at at once
    X = np.random.default_rng(0).random((n, k))
    X[first:] = 0
    X.view(np.float32)[first:, :k] = 7
    xs = [*X[:first, :, None], *X.view(np.float32)[first:, :k, None]]
    found = samples.gate(list(zip(xs, np.ones((n, 3, 1)), strict=True)), (k, 3), "d", y="columns")
    assert (found.X[first:] == 7).all()


@pytest.mark.parametrize(("value", "said"), [(np.nan, r"\[2\]: expected"), (None, ": expected")])
def test_a_bad_sample_is_named_by_its_place_in_the_list(value, said):
    """Of a shuffled list too."""
    X, Y = rows_of()
    data = pairs(X, Y)
    random.Random(0).shuffle(data)
    for i in (13, 11, 12):
        x, y = data[i]
        if value is None:
            data[i] = (x, y[:2])
        else:
            y[2] = value
    net = network.Network(list(SIZES), random_state=0)
    before = flat(net.biases, net.weights).tobytes()
    with pytest.raises(ValueError, match=r"^training_data\[11\]\[1\]" + said):
        net.SGD(data, 1, 3, 0.5, shuffle=False, verbose=False)
    assert flat(net.biases, net.weights).tobytes() == before
