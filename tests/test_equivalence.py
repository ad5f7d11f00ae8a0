"""The core against the reference: activations, gradients, steps. The outputs are poisoned."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import (
    GRADIENT,
    GRADIENT_MOST,
    STEPS,
    TINY_STEPS,
    UNIT,
    WORST_LAYER,
    activation_bounds,
)
from twins import (
    COSTS,
    DTYPES,
    flat,
    norm_error,
    pairs,
    poison,
    poisoned,
    reference_gradient,
    same_parameters,
    twins,
)

from fastbp import Dataset, network, network2, parameters, samples, train
from fastbp._dispatch import core
from fastbp.functions import COSTS as CODES
from fastbp.optimizers import SGD
from fastbp.reference import network as reference1

pytestmark = pytest.mark.core

both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
both_costs = pytest.mark.parametrize("cost", COSTS)

# Around every vector and tile width; a layer of one neuron; the book's input.
WIDTHS = (
    [1, 1],
    [1, 3, 1],
    [15, 16, 17],
    [16, 15, 1, 16],
    [31, 32, 33, 31],
    [33, 31, 32],
    [7, 8, 9, 8, 7],
    [64, 63, 65],
    [784, 30, 10],
    [784, 1, 784],
)


class Block:
    """The core's own view of a network: its block, and buffers that are poisoned."""

    def __init__(self, net, batch):
        layout, biases, weights = net._checked()
        self.layout = layout
        self.params = layout.pack(biases, weights)
        self.grads = layout.empty()
        self.rows = layout.rows(batch)
        self.workspace = poison(layout.workspace(self.rows))
        self.grads[:] = np.nan

    def train(self, X, Y, order, batch, cost, rate=0.0, decay=1.0, position=0, seconds=1e9):
        """Call the core's loop; return the position it reached."""
        return core.train(
            self.params, self.grads, self.layout.layers, *self.workspace,
            core.Samples(X, np.ascontiguousarray(Y, self.params.dtype)), order,
            position, batch, cost, rate, decay, seconds,
        )  # fmt: skip

    def padding(self, block):
        """Return the values of the block that are no parameter: they must stay zero."""
        parts = self.layout.fresh()
        for part in (*parts[0], *parts[1]):
            part[:] = 1
        return block[self.layout.pack(*parts) == 0]


def block_gradient(net, data, cost):
    """Return the gradient that the core sums over ``data``, and its padding."""
    X, Y = (np.hstack(columns).T.copy() for columns in zip(*data, strict=True))
    block = Block(net, len(data))
    code = CODES["quadratic" if cost == "QuadraticCost" else "cross_entropy"]
    core.gradient(
        block.params, block.layout.layers, *block.workspace, core.Samples(X, Y.astype(net.dtype)),
        0, len(data), code, 1.0, block.grads,
    )  # fmt: skip
    return *block.layout.unpack(block.grads), block.padding(block.grads)


sizes_of_nets = st.lists(st.integers(1, 24), min_size=2, max_size=5)
seeds = st.integers(0, 2**32 - 1)


@both_dtypes
@settings(max_examples=250)
@given(sizes=sizes_of_nets, batch=st.integers(1, 17), cost=st.sampled_from(COSTS), seed=seeds)
def test_gradients_equal_the_references(dtype, sizes, batch, cost, seed):
    """The gradient of a batch and of each sample is the reference's, norm-wise and by layer."""
    reference, fast = twins(sizes, cost, dtype, seed)
    data = pairs(sizes, batch, seed, dtype)
    right = reference_gradient(reference, data)
    *found, padding = block_gradient(fast, data, cost)
    assert norm_error(flat(*found), flat(*right)) <= GRADIENT[dtype]
    for f, r in zip(found[0] + found[1], right[0] + right[1], strict=True):
        assert np.abs(f - r).max() <= WORST_LAYER[dtype] * np.abs(r).max()
    assert not padding.any()
    each = [fast.backprop(x, y) for x, y in data]
    for (x, y), gradient in zip(data, each, strict=True):
        assert norm_error(flat(*gradient), flat(*reference.backprop(x, y))) <= GRADIENT[dtype]
        assert all(a.dtype == dtype and a.flags.c_contiguous for part in gradient for a in part)
        for part, own in zip(gradient, (fast.biases, fast.weights), strict=True):
            assert [a.shape for a in part] == [a.shape for a in own]


@both_dtypes
def test_wide_layers_and_blocks_of_many_samples(dtype):
    """Where panels are packed, activations transposed and sums cut, gradients are the same."""
    sizes = [130, 530, 70, 5]
    reference, fast = twins(sizes, dtype=dtype, seed=2)
    data = pairs(sizes, 150, 2, dtype)
    right = reference_gradient(reference, data)
    *found, padding = block_gradient(fast, data, "CrossEntropyCost")
    for f, r in zip(found[0] + found[1], right[0] + right[1], strict=True):
        assert np.abs(f - r).max() <= WORST_LAYER[dtype] * np.abs(r).max()
    assert not padding.any()


@both_dtypes
def test_subnormal_numbers_are_zero_in_kernels_alone(dtype):
    """They would slow the core a hundredfold; outside it they are what they were."""
    sizes, least = [40, 20, 3], np.finfo(dtype).smallest_subnormal
    _, fast = twins(sizes, dtype=dtype)
    _, right = twins(sizes, dtype=dtype)
    Y = np.linspace(0, 1, 30).reshape(10, 3)
    for net, value in ((fast, 1000 * least), (right, 0)):
        X = np.full((10, 40), value, dtype)
        net.SGD(Dataset(X, Y), 2, 5, 0.5, shuffle=False, verbose=False)
    assert flat(fast.weights, fast.biases).tobytes() == flat(right.weights, right.biases).tobytes()
    x, nothing = np.full((40, 1), 1000 * least, dtype), np.zeros((40, 1), dtype)
    y = np.linspace(0, 1, 3).reshape(3, 1)
    assert fast.feedforward(x).tobytes() == right.feedforward(nothing).tobytes()
    for found, expected in zip(fast.backprop(x, y)[1], right.backprop(nothing, y)[1], strict=True):
        assert found.tobytes() == expected.tobytes()
    numbers = np.full(64, least)
    assert (numbers * dtype(3) > 0).all()


@both_dtypes
def test_most_gradients_are_far_inside_the_bound(dtype):
    """99 of 100 gradients are as near to the reference as rounding allows."""
    rng = random.Random(5)
    errors = []
    for seed in range(200):
        sizes = [rng.randint(1, 24) for _ in range(rng.randint(2, 5))]
        cost = rng.choice(COSTS)
        reference, fast = twins(sizes, cost, dtype, seed)
        data = pairs(sizes, rng.randint(1, 17), seed, dtype)
        found = block_gradient(fast, data, cost)[:2]
        errors.append(norm_error(flat(*found), flat(*reference_gradient(reference, data))))
    assert np.quantile(errors, 0.99) <= GRADIENT_MOST[dtype]


@both_dtypes
@settings(max_examples=100)
@given(sizes=sizes_of_nets, n=st.integers(1, 17), scale=st.sampled_from([0.1, 1, 10]), seed=seeds)
def test_activations_are_within_the_bound(dtype, sizes, n, scale, seed):
    """Every layer's activations, of one sample and of blocks, are inside the computed bound."""
    reference, fast = twins(sizes, dtype=dtype, seed=seed, scale=scale)
    data = pairs(sizes, n, seed, dtype)
    X = np.hstack([x for x, _ in data]).T.copy()
    layout, biases, weights = fast._checked()
    out = poisoned((n, sizes[-1]), dtype)
    workspace = poison(layout.workspace(3))
    core.forward(
        layout.pack(biases, weights), layout.layers, *workspace, core.Samples(X), 0, n, out
    )
    for (x, _), row in zip(data, out, strict=True):
        bounds = activation_bounds(reference.weights, reference.biases, x, dtype)
        for l, (right, error) in enumerate(bounds, 1):  # of the network cut off there
            above, found = (
                parameters.layout(tuple(sizes[: l + 1]), layout.dtype),
                poisoned((sizes[l], 1), dtype),
            )
            rows = above.rows_for(1, 1)
            rows[:] = np.nan
            assert core.feedforward(
                above.layers, rows, biases[:l], weights[:l], x.astype(dtype), found
            )
            assert (np.abs(found - right) <= error).all()
        assert (np.abs(row.reshape(-1, 1) - bounds[-1][0]) <= bounds[-1][1]).all()


@both_dtypes
@both_costs
@pytest.mark.parametrize("sizes", WIDTHS, ids=str)
def test_widths_around_the_vectors(sizes, cost, dtype):
    """Layers around every vector width, and of one neuron, have the reference's gradient."""
    for batch in (1, 2, 5, 11):
        reference, fast = twins(sizes, cost, dtype, seed=batch)
        data = pairs(sizes, batch, batch, dtype)
        *found, padding = block_gradient(fast, data, cost)
        right = reference_gradient(reference, data)
        assert norm_error(flat(*found), flat(*right)) <= GRADIENT[dtype]
        assert not padding.any()
        x, y = data[-1]
        assert (
            norm_error(flat(*fast.backprop(x, y)), flat(*reference.backprop(x, y)))
            <= (GRADIENT[dtype])
        )


INPUTS = {
    "zeros": np.zeros,
    "one-hot": lambda n: np.eye(n)[-1],
    "first": lambda n: np.eye(n)[0],
    "huge": lambda n: np.where(np.arange(n) % 2, -1e8, 1e8),
    "subnormal": lambda n: np.full(n, 5e-310),
    "ones": np.ones,
}


@both_dtypes
@pytest.mark.parametrize("kind", INPUTS)
def test_extreme_inputs(kind, dtype):
    """Zeros, one-hot, huge and subnormal inputs, each row repeated, give the right gradient."""
    sizes = [17, 9, 5]
    reference, fast = twins(sizes, dtype=dtype, seed=1)
    x = INPUTS[kind](17).reshape(-1, 1)
    y = np.linspace(0, 1, 5).astype(dtype).astype(float).reshape(-1, 1)
    data = [(x, y)] * 7
    right = reference_gradient(reference, data)
    found = block_gradient(fast, data, "CrossEntropyCost")[:2]
    assert norm_error(flat(*found), flat(*right)) <= GRADIENT[dtype]


@both_dtypes
@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 24), min_size=2, max_size=4),
    batch=st.integers(1, 13),
    full=st.integers(0, 8),
    last=st.integers(1, 12),
    cost=st.sampled_from(COSTS),
    lmbda=st.sampled_from([0.0, 0.7]),
    seed=seeds,
)
def test_ragged_steps_equal_the_references(dtype, sizes, batch, full, last, cost, lmbda, seed):
    """Up to nine steps of SGD with decay, the last batch shorter, end at the same weights."""
    n = full * batch + min(last, batch)
    reference, fast = twins(sizes, cost, dtype, seed)
    data = pairs(sizes, n, seed, dtype)
    for net in (reference, fast):
        net.SGD(list(data), 1, batch, 0.5, lmbda, shuffle=False, verbose=False)
    steps = 1 if n <= batch else 10
    for found, right in zip(
        fast.weights + fast.biases, reference.weights + reference.biases, strict=True
    ):
        assert np.abs(found - right).max() <= STEPS[dtype][steps] * max(1, np.abs(right).max())


@both_dtypes
def test_lockstep_at_the_books_eta(dtype):
    """At eta 3.0, where runs part, each stretch of 100 steps still equals the reference's."""
    sizes = [20, 12, 5]
    data = pairs(sizes, 1003, 3, dtype)
    np.random.seed(3)
    fast = network.Network(sizes, dtype=dtype)
    reference = reference1.Network(sizes)
    for _ in range(3):
        same_parameters(reference, fast)
        for net in (reference, fast):
            net.SGD(list(data[:1000]), 1, 10, 3.0, shuffle=False, verbose=False)
        for found, right in zip(
            fast.weights + fast.biases, reference.weights + reference.biases, strict=True
        ):
            limit = STEPS[dtype][100] * max(1, np.abs(right).max())
            assert np.abs(found - right).max() <= limit


@both_dtypes
def test_update_mini_batch_equals_the_references(dtype):
    """One step by update_mini_batch, of both chapters, ends at the reference's weights."""
    sizes = [13, 7, 3]
    reference, fast = twins(sizes, dtype=dtype, seed=2)
    data = pairs(sizes, 6, 2, dtype)
    for net in (reference, fast):
        net.update_mini_batch(data, 0.3, 2.0, 40)
    assert_step(fast, reference, dtype)
    reference, fast = reference1.Network(sizes), network.Network(sizes, dtype=dtype)
    same_parameters(reference, fast)
    for net in (reference, fast):
        net.update_mini_batch(data, 0.3)
    assert_step(fast, reference, dtype)


def assert_step(fast, reference, dtype):
    """Hold one step of ``fast`` against the table."""
    found = flat(fast.weights, fast.biases)
    right = flat(reference.weights, reference.biases)
    assert np.abs(found - right).max() <= STEPS[dtype][1] * max(1, np.abs(right).max())


@both_dtypes
def test_a_mini_batch_larger_than_a_block(dtype):
    """A mini-batch of several blocks of samples, the last one ragged, is one gradient."""
    sizes = [9, 6, 4]
    reference, fast = twins(sizes, dtype=dtype, seed=4)
    rows = parameters.layout(tuple(sizes), np.dtype(dtype)).block_rows
    data = pairs(sizes, 2 * rows + 3, 4, dtype)
    found = block_gradient(fast, data, "CrossEntropyCost")[:2]
    right = reference_gradient(reference, data)
    assert norm_error(flat(*found), flat(*right)) <= GRADIENT[dtype]
    X = np.hstack([x for x, _ in data]).T.copy()
    outputs = fast.feedforward(Dataset(X, np.zeros(len(X))))
    single = np.hstack([reference.feedforward(x) for x, _ in data]).T
    bounds = [
        activation_bounds(reference.weights, reference.biases, x, dtype)[-1][1][:, 0]
        for x, _ in data
    ]
    assert (np.abs(outputs - single) <= np.array(bounds)).all()


@pytest.mark.parametrize("share", [1.0, 0.2], ids=["full", "mostly zeros"])
@pytest.mark.parametrize("decay", [1.0, 1 - 2.0**-20])
def test_many_tiny_steps_are_rounded_once(share, decay):
    """A float32 weight does not move by one sample's step here, but by the sum of 100."""
    sizes, batch = [80, 20, 5], 100
    reference, fast = twins(sizes, "CrossEntropyCost", np.float32, scale=4.0)
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, 1, (batch, sizes[0])) * (rng.random((batch, sizes[0])) < share)
    X, Y = X.astype(np.float32), rng.uniform(0, 1, (batch, sizes[-1])).astype(np.float32)
    X[:, 0] = 1
    data = [(x[:, None], y[:, None]) for x, y in zip(X.astype(float), Y.astype(float), strict=True)]
    nabla_b, nabla_w = reference_gradient(reference, data)
    rate, before = 2e-6, flat(fast.biases, fast.weights).astype(float)
    block = Block(fast, batch)
    order = np.arange(batch)
    block.train(X, Y, order, batch, CODES["cross_entropy"], rate=rate, decay=decay)
    found = flat(*block.layout.unpack(block.params)).astype(float)
    right = flat(
        [b - rate / batch * g for b, g in zip(reference.biases, nabla_b, strict=True)],
        [decay * w - rate / batch * g for w, g in zip(reference.weights, nabla_w, strict=True)],
    )
    assert np.abs(right - before).max() > 10 * UNIT[np.float32]
    assert np.all(np.abs(found - right) <= 2.2 * UNIT[np.float32] * np.abs(right) + 1e-9)


def numpys_steps(net, X, Y, batch, epochs, eta):
    """Train as NumPy's matrix form does, in the type of the arrays; sigmoids and cross-entropy."""
    biases, weights = ([p.copy() for p in part] for part in (net.biases, net.weights))
    eta = weights[0].dtype.type(eta)
    for start in [s for _ in range(epochs) for s in range(0, len(X), batch)]:
        a = [X[start : start + batch]]
        for b, w in zip(biases, weights, strict=True):
            a.append(1 / (1 + np.exp(-(a[-1] @ w.T + b.T))))
        delta, step = a[-1] - Y[start : start + batch], eta / eta.dtype.type(len(a[0]))
        for l in range(len(weights) - 1, -1, -1):
            nabla_b, nabla_w = delta.sum(0)[:, None], delta.T @ a[l]
            delta = delta @ weights[l] * (a[l] * (1 - a[l]))
            biases[l] -= step * nabla_b
            weights[l] -= step * nabla_w
    return flat(biases, weights).astype(float)


@pytest.mark.parametrize("share", [1.0, 0.2], ids=["full", "mostly zeros"])
@pytest.mark.parametrize("how", ["SGD", "update_mini_batch"])
def test_tiny_steps_are_rounded_once_a_mini_batch(how, share):
    """Of 10 epochs of float32 steps, no more is lost than twice what NumPy's matrix form loses."""
    rng = np.random.default_rng(4)
    sizes, n, epochs, eta = [80, 20, 5], 192, 10, 1e-4
    _, net = twins(sizes, "CrossEntropyCost", np.float32, scale=4.0)
    exact = twins(sizes, "CrossEntropyCost", np.float64, scale=4.0)[1]
    exact.biases = [b.astype(float) for b in net.biases]
    exact.weights = [w.astype(float) for w in net.weights]
    X = (rng.uniform(0.5, 1, (n, 80)) * (rng.random((n, 80)) < share)).astype(np.float32)
    Y = rng.uniform(0, 1, (n, 5)).astype(np.float32)
    pairs = [(x[:, None], y[:, None]) for x, y in zip(X, Y, strict=True)]
    begin = net.biases, net.weights
    before, worst = flat(*begin).astype(float), {}
    for batch in [*range(1, 65), 96, 128]:
        right = numpys_steps(exact, X.astype(float), Y.astype(float), batch, epochs, eta) - before
        numpys = numpys_steps(net, X, Y, batch, epochs, eta) - before
        net.biases, net.weights = begin
        if how == "SGD":
            train(
                net, Dataset(X, Y), epochs=epochs, mini_batch_size=batch, optimizer=SGD(eta=eta),
                shuffle=False, evaluate=False,
            )  # fmt: skip
        else:
            for start in [s for _ in range(epochs) for s in range(0, n, batch)]:
                net.update_mini_batch(pairs[start : start + batch], eta, 0.0, n)
        ours = flat(net.biases, net.weights).astype(float) - before
        net.biases, net.weights = begin
        worst[batch] = np.linalg.norm(ours - right) / np.linalg.norm(numpys - right)
    assert max(worst.values()) <= TINY_STEPS, worst


@both_dtypes
def test_decay_in_mini_batches_larger_than_a_block(dtype):
    """Steps that are summed up over blocks decay the weights alone, as the reference's do."""
    sizes = [9, 6, 4]
    reference, fast = twins(sizes, dtype=dtype, seed=5)
    rows = parameters.layout(tuple(sizes), np.dtype(dtype)).block_rows
    data = pairs(sizes, 6 * rows, 5, dtype)
    for net in (reference, fast):
        net.SGD(list(data), 1, 3 * rows, 0.5, 700.0, shuffle=False, verbose=False)
    found, right = (flat(net.weights, net.biases) for net in (fast, reference))
    assert np.abs(found - right).max() <= STEPS[dtype][10] * max(1, np.abs(right).max())


@both_dtypes
@pytest.mark.parametrize("batch", [7, 300])
def test_a_pause_changes_no_bit(dtype, batch):
    """Calls that return at each look at the clock, also within a batch, end at the same bits."""
    sizes = [70, 90, 20]
    _, fast = twins(sizes, dtype=dtype, seed=6)
    n = 650
    X, Y = (np.hstack(c).T.copy() for c in zip(*pairs(sizes, n, 6, dtype), strict=True))
    order = np.random.default_rng(0).permutation(n)
    whole, paused = Block(fast, batch), Block(fast, batch)
    whole.train(X, Y, order, batch, CODES["quadratic"], 0.5, 0.99)
    stops, position = [], 0
    while position < n:
        position = paused.train(
            X, Y, order, batch, CODES["quadratic"], 0.5, 0.99, position, seconds=0.0
        )
        stops.append(position)
    assert len(stops) > 2
    assert (batch < paused.rows * 2) or any(stop % batch for stop in stops[:-1])
    assert whole.params.tobytes() == paused.params.tobytes()


@both_dtypes
def test_the_order_is_the_one_given(dtype):
    """Samples are taken in the order of the permutation: as if the data had been permuted."""
    sizes = [8, 5, 3]
    _, fast = twins(sizes, dtype=dtype, seed=7)
    X, Y = (np.hstack(c).T.copy() for c in zip(*pairs(sizes, 23, 7, dtype), strict=True))
    order = np.random.default_rng(1).permutation(23)
    by_order, by_data = Block(fast, 4), Block(fast, 4)
    by_order.train(X, Y, order, 4, CODES["cross_entropy"], 0.7)
    by_data.train(X[order], Y[order], np.arange(23), 4, CODES["cross_entropy"], 0.7)
    assert by_order.params.tobytes() == by_data.params.tobytes()


@both_dtypes
def test_padding_stays_zero(dtype):
    """Training leaves the padding of the block at zero: it would leak into later layers."""
    _, fast = twins([5, 3, 9, 2], dtype=dtype, seed=8)
    X, Y = (np.hstack(c).T.copy() for c in zip(*pairs([5, 3, 9, 2], 31, 8), strict=True))
    block = Block(fast, 4)
    block.train(X, Y, np.arange(31), 4, CODES["quadratic"], 3.0, 0.9)
    assert len(block.padding(block.params))
    assert not block.padding(block.params).any()


@both_dtypes
def test_outputs_in_several_calls_of_the_core(dtype, monkeypatch):
    """A set that is too large for one call has the outputs that its parts have."""
    _, fast = twins([5, 3, 2], dtype=dtype, seed=8)
    X = np.random.default_rng(0).random((50, 5))
    whole = fast.feedforward(Dataset(X, np.zeros(50)))
    monkeypatch.setattr(fast._layout(), "rows_per_call", 7)
    np.testing.assert_array_equal(fast.feedforward(Dataset(X, np.zeros(50))), whole)


@both_dtypes
def test_parts_of_one_allocation_do_not_touch(dtype):
    """Blocks and workspace are aligned and whole, and none lies over another."""
    layout = twins([5, 17, 4], dtype=dtype, seed=9)[1]._layout()
    blocks, workspace = layout.work(2, 3)
    parts = [*blocks, *workspace]
    sizes = [layout.empty().size] * 2 + [part.size for part in layout.workspace(3)]
    assert [part.size for part in parts] == sizes
    for i, part in enumerate(parts):
        assert part.ctypes.data % core.ALIGNMENT == 0
        assert not any(np.shares_memory(part, other) for other in parts[:i])


@pytest.mark.parametrize("sizes", [[5, 17, 4], [1, 8, 1, 3]], ids=str)
def test_pack_and_unpack_are_inverse(sizes):
    """What is packed comes back, in fresh arrays of the book's shapes."""
    _, fast = twins(sizes, seed=9)
    layout, biases, weights = fast._checked()
    assert layout.pack(biases, weights).ctypes.data % core.ALIGNMENT == 0
    found_b, found_w = layout.unpack(layout.pack(biases, weights))
    for found, own in zip(found_b + found_w, biases + weights, strict=True):
        assert found.tobytes() == own.tobytes()
        assert found.shape == own.shape
        assert found.flags.c_contiguous
        assert found.flags.owndata
        assert not np.shares_memory(found, own)


def test_what_does_not_fit_is_not_packed():
    """Arrays that another thread changed since they were looked at are an error, not noise."""
    _, fast = twins([5, 4, 3], seed=9)
    layout, biases, weights = fast._checked()
    for wrong in (weights[::-1], weights[:1], [w.astype(np.float32) for w in weights]):
        with pytest.raises(RuntimeError, match="changed in the midst of a call"):
            layout.pack(biases, wrong)


@both_dtypes
def test_float32_and_float64_inputs_are_the_same_numbers(dtype):
    """X keeps its dtype: equal values in float32 and in float64 give equal bits."""
    _, fast = twins([12, 6, 3], dtype=dtype, seed=10)
    X = np.random.default_rng(0).random((21, 12), np.float32)
    Y = np.arange(21) % 3
    results = []
    for x in (X, X.astype(np.float64)):
        _, fast = twins([12, 6, 3], dtype=dtype, seed=10)
        fast.SGD(Dataset(x, Y), 2, 4, 0.5, shuffle=False, verbose=False)
        results.append((flat(fast.weights, fast.biases).tobytes(), fast.feedforward(Dataset(x, Y))))
    assert results[0][0] == results[1][0]
    assert results[0][1].tobytes() == results[1][1].tobytes()


@both_dtypes
def test_counts_and_costs_equal_the_references(dtype):
    """evaluate, accuracy and total_cost are the reference's, of pairs and of Datasets."""
    sizes = [10, 8, 4]
    rng = np.random.default_rng(11)
    X, labels = rng.uniform(-3, 3, (300, 10)).astype(dtype), rng.integers(0, 4, 300)
    columns = [x.reshape(-1, 1) for x in X]
    labelled = list(zip(columns, labels, strict=True))
    one_hot = [(x, network2.vectorized_result(j, 4)) for x, j in labelled]
    for cost in COSTS:
        reference, fast = twins(sizes, cost, dtype, seed=12)
        for data in (labelled, Dataset(X, labels)):
            assert fast.accuracy(data) == reference.accuracy(labelled)
        for data in (one_hot, Dataset(X, samples.one_hot(labels)), Dataset(X, labels)):
            assert fast.accuracy(data, convert=True) == reference.accuracy(one_hot, convert=True)
        right = reference.total_cost(one_hot, 0.3)
        for data, convert in (
            (one_hot, False),
            (labelled, True),
            (Dataset(X, labels), True),
            (Dataset(X, labels), False),
            (Dataset(X, samples.one_hot(labels)), False),
        ):
            found = fast.total_cost(data, 0.3, convert=convert)
            assert abs(found - right) <= GRADIENT[dtype] * abs(right)
        first = network.Network(sizes, dtype=dtype)
        first.weights, first.biases = fast.weights, fast.biases
        assert first.evaluate(labelled) == reference.accuracy(labelled)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@both_dtypes
def test_all_finite_sees_every_place(dtype, bad):
    """A single value that is not finite is seen wherever it stands."""
    for n in (1, 7, 8, 9, 40):
        values = np.full(n, np.finfo(dtype).max, dtype)
        assert core.all_finite(values)
        for i in range(n):
            values[i] = bad
            assert not core.all_finite(values)
            values[i] = -1
    assert core.all_finite(np.empty(0, dtype))
