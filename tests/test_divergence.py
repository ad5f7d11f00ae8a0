"""Divergence: the step that did it is named, and the network is as it was before that step."""

import itertools
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from test_interrupts import bits, each_class, each_dtype

import fastbp
from fastbp import Dataset, DivergenceError, network2, optimizers
from fastbp._dispatch import core
from fastbp.training import loop

SIZES, SIZE, N = [3, 40, 2], 10, 4000  # some looks at the clock in an epoch
PER_EPOCH = N // SIZE


def data_with_nan_at(i):
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((N, SIZES[0])), rng.random((N, SIZES[-1]))
    X[i] = np.nan
    return Dataset(X, Y, check_finite=False)


@pytest.fixture(params=["many looks", "few looks"])
def looks(request, monkeypatch):
    """Return a function; after its call the parameters are looked at often, or hardly ever."""

    def set_pace():
        if request.param == "many looks":
            monkeypatch.setattr(loop, "_SECONDS", 0.0)
            # By this clock every tenth return from the core, wherever that is in a mini-batch.
            clock = SimpleNamespace(perf_counter=itertools.count().__next__)
            monkeypatch.setattr(loop, "time", clock)

    return set_pace


@pytest.mark.core
@each_class
@each_dtype
@pytest.mark.parametrize("size", [10, 700], ids=["small", "of many blocks"])
@pytest.mark.parametrize("i", [0, 9, 10, 1753, N - 1])
def test_the_mini_batch_is_named_and_undone(i, size, module, dtype, looks):
    """One bad sample: its mini-batch is named, and the steps before it are kept, bit for bit."""
    looks()
    net, replay = (module.Network(SIZES, dtype=dtype, random_state=1) for _ in range(2))
    data = data_with_nan_at(i)
    options = {"shuffle": False, "verbose": False, "check_finite": False}
    with pytest.raises(DivergenceError, match=f"epoch 0, mini-batch {i // size}: .*NaN") as caught:
        net.SGD(data, 2, size, 0.5, **options)
    error = caught.value
    assert (error.epoch, error.mini_batch, error.eta) == (0, i // size, 0.5)
    if i // size:
        replay.SGD(data[: i // size * size], 1, size, 0.5, **options)
    assert bits(net) == bits(replay)


@pytest.mark.core
@each_class
@each_dtype
def test_a_users_backprop_is_named_as_well(module, dtype):
    """Through ``update_mini_batch`` and an overridden ``backprop``, too."""
    net = module.Network(SIZES, dtype=dtype, random_state=1)
    calls, shipped = 0, net.backprop

    def backprop(x, y):
        nonlocal calls
        calls += 1
        nabla_b, nabla_w = shipped(x, y)
        return nabla_b, [nabla * (np.inf if calls == N + 57 else 1) for nabla in nabla_w]

    net.backprop = backprop
    good = Dataset(np.ones((N, 3)), np.ones((N, 2)))
    with pytest.raises(DivergenceError) as caught:
        net.SGD(good, 2, SIZE, 0.5, verbose=False)
    assert (caught.value.epoch, caught.value.mini_batch, caught.value.eta) == (1, 5, 0.5)


@each_class
def test_a_single_step_has_no_number(module):
    """``update_mini_batch`` names eta alone; the exception survives pickling."""
    net = module.Network(SIZES, random_state=1)
    rest = () if module is not network2 else (0.0, 1)
    batch = [(np.ones((3, 1)), np.full((2, 1), 1e20))]
    with pytest.raises(DivergenceError, match=r"mini_batch: .*try a smaller eta") as caught:
        net.update_mini_batch(batch, 1e300, *rest)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.epoch, error.mini_batch, error.eta) == (None, None, 1e300)
        assert str(error) == str(caught.value)


class Watch:
    """A core that takes one mini-batch at a time, and notes where a parameter first turns bad."""

    def __init__(self):
        self.steps, self.bad, self.before = 0, None, None

    def train(self, *arguments):
        """Do as ``core.train`` does."""
        block, order, position, size = (arguments[i] for i in (0, 6, 7, 8))
        while position < len(order):
            before = block.copy()
            stop = min(position + size, len(order))
            while position < stop:
                position = core.train(*arguments[:6], order[:stop], position, *arguments[8:])
            if self.bad is None and not np.isfinite(block).all():
                self.bad, self.before = self.steps, before
            self.steps += 1
        return position


def training_of(optimizer, dtype, dropout):
    """Train until it diverges; return the error and the network."""
    net = network2.Network(
        SIZES,
        network2.QuadraticCost,
        activation="leaky_relu",
        output_activation="linear",
        dtype=dtype,
        random_state=1,
    )
    rng = np.random.default_rng(2)
    data = rng.standard_normal((N, SIZES[0])), rng.standard_normal((N, SIZES[-1]))
    huge = float(np.finfo(dtype).max) ** 0.75
    with pytest.raises(DivergenceError) as caught:
        fastbp.train(
            net,
            data,
            epochs=200,
            mini_batch_size=SIZE,
            optimizer=optimizer,
            dropout=dropout,
            schedule=lambda epoch, history: 1.0 if epoch < 2 else huge,
            random_state=4,
        )
    return caught.value, net


@each_dtype
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(eta=0.01),
        optimizers.SGD(eta=0.01, momentum=0.9),
        optimizers.SGD(eta=0.01, momentum=0.9, nesterov=True),
        optimizers.RMSprop(eta=0.01),
        optimizers.Adam(eta=0.01),
        optimizers.AdamW(eta=0.01, weight_decay=0.1),
        optimizers.AdamW(
            eta=1.0, weight_decay=3.0
        ),  # by its decay: doubles the weights at each step
    ],
    ids=repr,
)
def test_train_names_the_step_at_which_a_plain_replay_turns_bad(
    optimizer, dropout, dtype, looks, monkeypatch
):
    """Epoch, mini-batch, eta and state, with what the optimizer carries along and dropout."""
    watch = Watch()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "core", SimpleNamespace(**{**vars(core), "train": watch.train}))
        training_of(optimizer, dtype, dropout)
    looks()
    error, net = training_of(optimizer, dtype, dropout)
    assert error.epoch * PER_EPOCH + error.mini_batch == watch.bad > 0
    assert error.eta == optimizer.eta * (
        1.0 if error.epoch < 2 else float(np.finfo(dtype).max) ** 0.75
    )
    before = [a.tobytes() for part in net._layout().unpack(watch.before) for a in part]
    assert bits(net) == before


@pytest.mark.parametrize("scale", [1e100, 1e300])
def test_lbfgs_that_diverges_keeps_its_last_iterate(scale):
    """The quasi-Newton method, too, raises and leaves a finite state."""
    net = network2.Network(
        SIZES,
        network2.QuadraticCost,
        activation="leaky_relu",
        output_activation="linear",
        random_state=1,
    )
    before, rng = bits(net), np.random.default_rng(2)
    data = (scale * rng.standard_normal((20, 3)), scale * rng.standard_normal((20, 2)))
    with pytest.raises(DivergenceError, match=r"epoch 0, .*try l2, or data scaled") as caught:
        fastbp.train(net, data, epochs=20, optimizer="lbfgs")
    assert (caught.value.epoch, caught.value.mini_batch, caught.value.eta) == (0, 0, 1.0)
    assert bits(net) == before


@pytest.mark.parametrize("epochs", [1, 3])
def test_lbfgs_beyond_float32_is_not_committed(epochs, monkeypatch):
    """An iterate that float64 holds and the network's type does not is divergence."""
    scipy = pytest.importorskip("scipy.optimize")

    def minimize(function, theta, callback, **_):
        for epoch in range(epochs):
            callback(scipy.OptimizeResult(x=theta * (epoch + 1), fun=1.0))
        callback(scipy.OptimizeResult(x=np.full_like(theta, 1e39), fun=1.0))

    monkeypatch.setattr(scipy, "minimize", minimize)
    net = network2.Network(SIZES, dtype=np.float32, random_state=1)
    data = np.ones((20, 3)), np.ones((20, 2))
    start = net.weights[0]
    with pytest.raises(DivergenceError) as caught:
        fastbp.train(net, data, epochs=20, optimizer="lbfgs")
    assert caught.value.epoch == epochs
    np.testing.assert_array_equal(net.weights[0], np.float32(epochs) * start)
