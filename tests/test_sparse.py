"""Inputs many of which are 0 take a way of their own: to the bits that the other way comes to."""

import numpy as np
import pytest
from test_equivalence import Block, both_dtypes
from tolerances import STEPS
from twins import flat, poison, same_parameters, twins

from fastbp import Dataset, gradients, parameters
from fastbp._dispatch import core
from fastbp.functions import COSTS
from fastbp.training import threads

pytestmark = pytest.mark.core

# The core looks at the first 16 samples of an entry to choose the way.
LOOKED_AT = 16
CASES = pytest.mark.parametrize(
    ("sizes", "batch"),
    [
        ([64, 5, 3], 1),
        ([70, 5, 3], 6),  # a row of the first layer in four vectors at most
        ([65, 30, 10], 7),  # an odd number of samples, and of inputs
        ([130, 33, 17, 4], 10),
        ([784, 100, 10], 9),
        ([300, 170, 4], 64),  # several panels of columns; wide enough to be transposed
        ([90, 20, 4], 300),  # more than a block
    ],
    ids=str,
)


def samples(sizes, n, seed=0, share=0.1):
    """Return X, Y; few inputs are not 0, and of some samples none or all."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, sizes[0])) * (rng.random((n, sizes[0])) < share)
    X[3::11] = 0
    X[LOOKED_AT + 5 :: 17] = rng.uniform(-1, 1, (len(X[LOOKED_AT + 5 :: 17]), sizes[0]))
    return X.astype(np.float32).astype(np.float64), rng.uniform(0, 1, (n, sizes[-1]))


def trained(net, X, Y, order, batch, decay, entries):
    """Return the parameters after the samples of ``order``, in so many entries to the core."""
    block = Block(net, batch)
    for part in np.split(order, entries):
        end = block.train(X, Y, part, batch, COSTS["quadratic"], rate=0.3, decay=decay)
        assert end == len(part)
        block.grads[:] = np.nan
        poison(block.workspace)
    assert not block.padding(block.params).any()
    return block.params


@both_dtypes
@CASES
@pytest.mark.parametrize("decay", [1.0, 0.75])
@pytest.mark.parametrize("single", [True, False], ids=["float X", "double X"])
def test_the_way_changes_no_bit(sizes, batch, decay, single, dtype):
    """An entry that begins with full samples goes the full way: to the same bits."""
    full = -(-LOOKED_AT // batch) * batch
    X, Y = samples(sizes, 2 * full + 3 * batch)
    X[:full] = np.random.default_rng(1).uniform(-1, 1, (full, sizes[0])).astype(np.float32)
    X = X.astype(np.float32 if single else np.float64)
    _, net = twins(sizes, "QuadraticCost", dtype)
    order = np.arange(len(X))
    one_way = trained(net, X, Y, order, batch, decay, 1)
    assert one_way.tobytes() == trained(net, X, Y, order, batch, decay, [full]).tobytes()


@both_dtypes
@CASES
def test_steps_equal_the_references(sizes, batch, dtype):
    """Three mini-batches and a shorter one, with decay, are the reference's."""
    reference, fast = twins(sizes, "QuadraticCost", dtype)
    X, Y = samples(sizes, 3 * batch + (batch + 1) // 2, seed=2)
    data = [(x[:, None], y[:, None]) for x, y in zip(X, Y, strict=True)]
    start = flat(fast.biases, fast.weights)
    for net, given in ((reference, data), (fast, Dataset(X, Y))):
        net.SGD(given, 1, batch, 0.3, 0.5, shuffle=False, verbose=False)
    found, right = flat(fast.biases, fast.weights), flat(reference.biases, reference.weights)
    assert np.abs(found - start).max() > 0
    assert np.abs(found - right).max() <= STEPS[dtype][10] * max(1, np.abs(right).max())


@both_dtypes
@CASES
def test_outputs_are_the_same_bits(sizes, batch, dtype):
    """Evaluation too: whatever stands first in the data."""
    reference, fast = twins(sizes, "QuadraticCost", dtype)
    X, Y = samples(sizes, LOOKED_AT + 3 * batch)
    full = np.random.default_rng(1).uniform(-1, 1, (LOOKED_AT, sizes[0]))
    alone = fast.feedforward(Dataset(X, Y))
    behind = fast.feedforward(Dataset(np.vstack([full, X]), np.vstack([Y[:LOOKED_AT], Y])))
    assert alone.tobytes() == behind[LOOKED_AT:].tobytes()
    same_parameters(reference, fast)
    right = reference.feedforward(X.T).T
    assert np.abs(alone - right).max() <= STEPS[dtype][10]


@both_dtypes
@pytest.mark.skipif(not core.TEAMS, reason="this build computes with one thread")
@pytest.mark.parametrize("decay", [1.0, 0.75])
@pytest.mark.parametrize("batch", [13, 90])
def test_the_bits_do_not_depend_on_the_number_of_threads(batch, decay, dtype):
    """Threads share the lists: odd samples, more threads than pairs, pauses within a batch."""
    sizes = [130, 40, 10]
    X, Y = samples(sizes, 4 * batch + 9)
    _, net = twins(sizes, "QuadraticCost", dtype)

    def epoch(parts, rows):
        block = Block(net, batch)
        block.workspace = poison(block.layout.workspace(rows, parts))
        end = threads.enter(
            parts, core.train, block.params, block.grads, block.layout.layers, *block.workspace,
            core.Samples(X, Y.astype(dtype)), np.arange(len(X)), 0, batch, COSTS["quadratic"], 0.7,
            decay, 1e9, None,
        )  # fmt: skip
        assert end == len(X)
        return block.params.tobytes()

    alone = epoch(1, batch)
    assert all(epoch(parts, batch) == alone for parts in (2, 3, 7))
    in_blocks = epoch(1, 5)
    assert all(epoch(parts, 5) == in_blocks for parts in (2, 3, 7))


BLOCK = 17  # samples: the last of a block has no second one
FORMS = {
    "gradient": lambda net, data: gradients.gradient(
        net, data, sample_weight=np.linspace(0, 2, len(data))
    ),
    "moment": gradients.gradient_second_moment,
    "clipped": lambda net, data: gradients.clipped_gradient(net, data, 0.5),
    "norms": lambda net, data: gradients.per_sample_gradient_norms(net, data, per_layer=True),
    "activations": gradients.activations,
    "deltas": gradients.deltas,
    "each": lambda net, data: gradients.per_sample_gradients(
        net,
        data,
        flat=True,
        out=np.full((len(data), len(gradients.flatten(net))), np.nan, net.dtype),
    ),
    "inputs": gradients.input_gradient,
    "jacobian": gradients.jacobian,
    "hessian": lambda net, data: gradients.hessian_vector_product(
        net, data, np.random.default_rng(3).standard_normal(len(gradients.flatten(net)))
    ),
}


def numbers(result):
    """Return all numbers of a result, however nested, as one array."""
    if isinstance(result, np.ndarray):
        return result.ravel()
    return np.concatenate([numbers(part) for part in result])


@both_dtypes
@pytest.mark.parametrize("sizes", [case[0] for case in CASES.args[1]], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_the_same_bits(form, sizes, dtype, monkeypatch):
    """Entered once, behind full samples, or three times, in blocks that are alike."""
    n = 3 * BLOCK
    X, Y = samples(sizes, 2 * n + BLOCK + 4)
    X[:LOOKED_AT] = np.random.default_rng(1).uniform(-1, 1, (LOOKED_AT, sizes[0]))
    _, net = twins(sizes, "CrossEntropyCost", dtype)
    layout = parameters.layout(tuple(sizes), np.dtype(dtype))
    aligned = core.aligned

    def poisoned(length, dtype):
        array = aligned(length, dtype)
        array[:] = np.nan
        return array

    monkeypatch.setattr(core, "aligned", poisoned)
    monkeypatch.setattr(layout, "block_rows", BLOCK)
    found = []
    for rows in (len(X), n):
        monkeypatch.setattr(layout, "rows_per_call", rows)
        found.append(numbers(FORMS[form](net, Dataset(X, Y))))
    assert np.isfinite(found[0]).all()
    assert np.abs(found[0]).max() > 0
    assert found[0].tobytes() == found[1].tobytes()
