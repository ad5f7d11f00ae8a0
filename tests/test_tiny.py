"""Steps of one sample each through layers of one line: the bits of the way that blocks go.

The same numbers are taken both ways: a norm that no gradient reaches sends them through blocks.
Scratch tells which way it was: it is poisoned, and this way needs none.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import STEPS
from twins import COSTS, DTYPES, flat, pairs, poison, poisoned, twins

import fastbp
from fastbp import network2, parameters
from fastbp._dispatch import core
from fastbp.functions import ACTIVATIONS, HIDDEN, OUTPUTS
from fastbp.functions import COSTS as CODES
from fastbp.optimizers import SGD

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(not core.HAS_FAST_PATHS, reason="the core's fast paths are switched off"),
]

both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
LINE = {np.float64: 8, np.float32: 16}
PAIRS = [(cost, output) for cost, outputs in OUTPUTS.items() for output in outputs]
FAR = 1e300  # a norm


def options(max_norm=np.inf, l2=0.0, alpha=0.0, costs=None):
    """Return what the core is told beyond plain steps."""
    return core.Options(
        max_norm, core.OPTIMIZERS["sgd"], 0.0, l2, alpha, 0.0, 0.0, 0.0, False, None,
        None, 0, 0, 0, costs,
    )  # fmt: skip


class Net:
    """A network's block, data, and buffers that are poisoned."""

    def __init__(self, sizes, dtype, activations=None, seed=0, n=40, inputs=None):
        self.layout = parameters.layout(tuple(sizes), np.dtype(dtype), activations)
        rng = np.random.default_rng(seed)
        shapes = self.layout.fresh()
        self.start = self.layout.pack(
            *([rng.uniform(-0.5, 0.5, a.shape).astype(dtype) for a in part] for part in shapes)
        )
        self.X = rng.uniform(-1, 1, (n, sizes[0])).astype(inputs or dtype)
        self.Y = rng.uniform(0.1, 1, (n, sizes[-1])).astype(dtype)
        self.order = rng.permutation(n)

    def train(self, cost="quadratic", decay=1.0, position=0, seconds=1e9, batch=1, **told):
        """Return the block that training ends at, the position and whether it was this way."""
        if not position:
            self.block = self.layout.empty()
            self.block[:] = self.start
        grads = self.layout.empty()
        workspace = poison(self.layout.workspace(self.layout.rows(batch)))
        grads[:] = np.nan
        reached = core.train(
            self.block, grads, self.layout.layers, *workspace, core.Samples(self.X, self.Y),
            self.order, position, batch, CODES[cost], 0.02, decay, seconds, options(**told),
        )  # fmt: skip
        return self.block, reached, bool(np.isnan(workspace.buffers).all())


@both_dtypes
@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=8),
    wide=st.booleans(),
    hidden=st.sampled_from(HIDDEN),
    pair=st.sampled_from(PAIRS),
    decay=st.sampled_from([1.0, 0.97]),
    alpha=st.sampled_from([0.0, 0.3]),
    inputs=st.sampled_from(DTYPES),
    n=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_bits_are_those_of_blocks(
    dtype, sizes, wide, hidden, pair, decay, alpha, inputs, n, seed
):
    """Of every activation and cost, with decay, of inputs of either type; costs as well.

    Costs with a penalty are not asked for: they are no matter of tiny steps.
    """
    sizes = [size * LINE[dtype] // 8 for size in sizes] if wide else sizes
    activations = (hidden,) * (len(sizes) - 2) + (pair[1],)
    net = Net(sizes, dtype, activations, seed, n, inputs)
    costs, right_costs = (poisoned(n, np.float64) if alpha == 0 else None for _ in range(2))
    found, reached, tiny = net.train(pair[0], decay, alpha=alpha, costs=costs)
    right, _, in_blocks = net.train(pair[0], decay, alpha=alpha, costs=right_costs, max_norm=FAR)
    assert (tiny, in_blocks, reached) == (True, False, n)
    assert np.isfinite(right).all()
    assert found.tobytes() == right.tobytes()
    if alpha == 0:
        assert np.isfinite(costs).all()
        assert costs.tobytes() == right_costs.tobytes()


def test_every_activation_and_pair_is_met():
    """What the test above draws from is all that networks may have."""
    assert {output for _, output in PAIRS} | set(HIDDEN) == set(ACTIVATIONS)
    assert {cost for cost, _ in PAIRS} == set(CODES)


@both_dtypes
def test_other_layers_and_steps_go_through_blocks(dtype):
    """A layer of more than a line, a ninth layer, a second sample, a cost's penalty is seen."""
    line = LINE[dtype]
    assert Net([line] * 8, dtype).train()[2]
    assert not Net([3] * 9, dtype).train()[2]
    for place in range(3):
        sizes = [3, 3, 3]
        sizes[place] = line + 1
        assert not Net(sizes, dtype).train()[2]
    assert not Net([2, 3, 1], dtype).train(batch=2)[2]
    assert not Net([2, 3, 1], dtype).train(max_norm=1.0)[2]
    costs = np.empty(40)
    assert Net([2, 3, 1], dtype).train(costs=costs)[2]
    assert not Net([2, 3, 1], dtype).train(costs=costs, alpha=0.1)[2]
    assert not Net([2, 3, 1], dtype).train(costs=costs, l2=0.1)[2]


@both_dtypes
def test_a_rule_or_a_penalty_is_not_left_out(dtype):
    """Other steps than plain ones are those that blocks take, one sample a mini-batch."""
    sizes = [3, 4, 2]
    data = [(x, y) for x, y in pairs(sizes, 50, 1, dtype)]
    plain, *others = (twins(sizes, dtype=dtype)[1] for _ in range(6))
    told = (
        {},
        {"optimizer": SGD(momentum=0.5)},
        {"l1": 0.05},
        {"dropout": 0.3},
        {"sample_weight": np.linspace(0, 1, 50)},
        {"clip_norm": 0.01},
    )
    for net, one in zip((plain, *others), told, strict=True):
        given = {"optimizer": "sgd"} | one
        fastbp.train(net, data, epochs=1, mini_batch_size=1, shuffle=False, **given)
    for net in others:
        assert flat(net.weights).tobytes() != flat(plain.weights).tobytes()


@both_dtypes
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("lmbda", [0.0, 0.7])
def test_a_hundred_steps_equal_the_references(dtype, cost, lmbda):
    """Book networks, one sample a mini-batch, end at the reference's weights."""
    for sizes in ([2, 3, 1], [1, 1], [5, 8, 7, 3], [3, 2, 4, 1, 2]):
        reference, fast = twins(sizes, cost, dtype, seed=len(sizes))
        data = pairs(sizes, 100, 3, dtype)
        for net in (reference, fast):
            net.SGD(list(data), 1, 1, 0.5, lmbda, shuffle=False, verbose=False)
        right = flat(reference.weights, reference.biases)
        limit = STEPS[dtype][100] * max(1, np.abs(right).max())
        assert np.abs(flat(fast.weights, fast.biases) - right).max() <= limit


@both_dtypes
def test_a_pause_changes_no_bit(dtype):
    """Calls that return at each look at the clock end at the bits of one call."""
    net = Net([4, 8, 3], dtype, n=3500)
    right = net.train(decay=0.99)[0].tobytes()
    stops, position = [], 0
    while position < 3500:
        found, position, _ = net.train(decay=0.99, position=position, seconds=0.0)
        stops.append(position)
    assert len(stops) == 4
    assert found.tobytes() == right


@both_dtypes
def test_padding_stays_zero(dtype):
    """What is no parameter stays 0 in the block."""
    net = Net([3, 5, 2], dtype)
    ones = net.layout.fresh()
    for part in (*ones[0], *ones[1]):
        part[:] = 1
    padding = net.layout.pack(*ones) == 0
    assert padding.any()
    assert not net.train(decay=0.9)[0][padding].any()


@both_dtypes
@pytest.mark.parametrize("size", [1e3, 1e30])
def test_saturated_neurons(dtype, size):
    """Sigmoids of weighted inputs far out are exactly 0 and 1, in blocks and here."""
    net = Net([3, 4, 2], dtype)
    net.X *= dtype(size)
    found = net.train("cross_entropy")[0].tobytes()
    assert np.isfinite(net.block).all()
    assert found == net.train("cross_entropy", max_norm=FAR)[0].tobytes()
    activations = network2.Network([3, 2], dtype=dtype)
    activations.weights = [np.full((2, 3), size, dtype) * dtype([[1], [-1]])]
    assert activations.feedforward(np.ones((3, 1))).ravel().tolist() == [1, 0]


@pytest.mark.parametrize("size", [1e39, -1e300])
def test_doubles_beyond_float32(size):
    """Inputs of float64 that float32 cannot hold saturate neurons, in blocks and here."""
    net = Net([3, 4, 2], np.float32)
    net.X = np.full(net.X.shape, size)
    found = net.train("cross_entropy")[0]
    assert np.isfinite(found).all()
    assert found.tobytes() == net.train("cross_entropy", max_norm=FAR)[0].tobytes()


@both_dtypes
@pytest.mark.parametrize("case", ["padding", "relu"])
def test_an_error_that_overflows_where_the_slope_is_0(case, dtype):
    """In the padding, and behind a relu that is off, training goes on as through blocks."""
    one, big = np.ones((1, 1)), {np.float64: 1e160, np.float32: 1e25}[dtype]
    if case == "padding":  # what the first steps leave there is multiplied by the last errors
        net = network2.Network([1, 1, 1], dtype=dtype)
        weights, biases = [[[-800.0]], [[1.0]]], [one * 0, one * 0]
        X, Y = np.ones((6, 1)), np.full((6, 1), big)
    else:
        net = network2.Network(
            [1, 2, 1], network2.QuadraticCost, activation="relu", output_activation="linear",
            dtype=dtype,
        )  # fmt: skip
        weights = [[[1.0], [-1.0]], [[1.0, 1e30 if dtype is np.float32 else 1e300]]]
        biases = [np.zeros((2, 1)), one * 0]
        X, Y = np.ones((1, 1)), np.full((1, 1), 1e10)
    found = []
    for told in ({}, {"sample_weight": np.ones(len(X))}):  # this way, and blocks
        net.weights = [np.array(w, dtype) for w in weights]
        net.biases = [b.astype(dtype) for b in biases]
        fastbp.train(
            net, fastbp.Dataset(X, Y), epochs=1, mini_batch_size=1, optimizer=SGD(eta=0.5),
            shuffle=False, evaluate=False, **told,
        )  # fmt: skip
        found.append(np.concatenate([p.ravel() for p in (*net.biases, *net.weights)]))
    assert np.isfinite(found[0]).all()
    assert found[0].tobytes() == found[1].tobytes()


@both_dtypes
def test_the_sign_of_a_zero(dtype):
    """A step of 0 leaves a weight of -0, as through blocks."""
    found = []
    for told in ({}, {"sample_weight": np.ones(1)}):  # this way, and blocks
        net = network2.Network([1, 1, 1], dtype=dtype)
        net.weights = [np.full((1, 1), -0.0, dtype)] * 2
        net.biases = [np.full((1, 1), -0.0, dtype)] * 2
        data = fastbp.Dataset([[0.0]], [[0.5]])
        fastbp.train(
            net, data, epochs=1, mini_batch_size=1, optimizer=SGD(eta=1.0), shuffle=False,
            evaluate=False, **told,
        )  # fmt: skip
        found.append(np.concatenate([p.ravel() for p in (*net.biases, *net.weights)]))
    assert found[0].tobytes() == found[1].tobytes()
    assert np.signbit(found[0]).any()
