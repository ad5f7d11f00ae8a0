"""A user's code that runs within a call, and what it changes there, on both twins alike."""

import copy
import os
import threading
from contextlib import suppress

import numpy as np
import pytest
from tolerances import STEPS
from twins import flat, pairs

from fastbp import Dataset, DivergenceError, network, network2, samples
from fastbp.reference import network as reference
from fastbp.reference import network2 as reference2

pytestmark = pytest.mark.core

SIZES = [4, 5, 3]
CHAPTERS = pytest.mark.parametrize(
    "twins", [(network, reference), (network2, reference2)], ids=["network", "network2"]
)


def parameters(net):
    return flat(net.weights, net.biases)


def trained_alike(twins, change, epochs=3, data=None):
    """Train both twins, ``change(net)`` after each epoch, and hold the ends together."""
    ends = []
    for module in twins:
        net = module.Network(SIZES, random_state=0)

        class Own(module.Network):
            """Changes itself where the book's classes look at the data."""

            def evaluate(self, test_data, module=module):
                change(self, module)
                return 0

            def accuracy(self, data, convert=False, module=module):
                change(self, module)
                return 0

        net.__class__ = Own
        own = list(data or pairs(SIZES, 12, 1))
        watch = {"monitor_training_accuracy": True} if hasattr(net, "cost") else {"test_data": [1]}
        net.SGD(own, epochs, 5, 0.5, shuffle=False, verbose=False, **watch)
        ends.append(parameters(net))
    assert np.abs(ends[0] - ends[1]).max() <= STEPS[np.float64][10] * max(1, np.abs(ends[1]).max())


def own_backprop(net, module):
    plain = type(net).backprop
    net.backprop = lambda x, y: [[2 * a for a in part] for part in plain(net, x, y)]


def own_cost_derivative(net, module):
    net.cost_derivative = lambda a, y: 3 * (a - y)


def another_cost(net, module):
    if hasattr(net, "cost"):
        net.cost = module.QuadraticCost


def other_weights(net, module):
    net.weights = [0.5 * w for w in net.weights]


@CHAPTERS
@pytest.mark.parametrize("change", [own_backprop, own_cost_derivative, another_cost, other_weights])
def test_what_is_overridden_between_epochs_is_called_from_then_on(twins, change):
    """An override, a cost or weights that come in the midst of training count at once."""
    trained_alike(twins, change)


@CHAPTERS
def test_a_replaced_sigmoid_counts_from_the_next_epoch_on(twins, monkeypatch):
    """A module's function that is replaced in the midst of training counts at once."""

    def change(net, module):
        monkeypatch.setattr(module, "sigmoid", lambda z: 0.5 + 0.25 * np.tanh(z))

    trained_alike(twins, change)


@CHAPTERS
def test_sizes_may_change_between_epochs(twins):
    """A network that is given another width goes on with it; the data is held against it."""

    def wider(net, module):
        if list(net.sizes) == SIZES:
            net.sizes = [4, 6, 3]
            net.weights = [np.full((6, 4), 0.1), np.full((3, 6), 0.2)]
            net.biases = [np.zeros((6, 1)), np.zeros((3, 1))]

    trained_alike(twins, wider)
    net = twins[0].Network(SIZES, random_state=0)

    def too_wide(cards):
        net.sizes = [200_000, 3, 3]
        net.weights = [np.zeros((3, 200_000)), np.zeros((3, 3))]
        net.biases = [np.zeros((3, 1)), np.zeros((3, 1))]

    with pytest.raises(ValueError, match="200000 inputs"):
        net.SGD(pairs(SIZES, 6), 2, 2, 0.5, shuffle=too_wide, verbose=False)


@CHAPTERS
def test_a_list_of_sizes_may_go_on_to_the_next_network(twins):
    """Editing the list that one network was made from leaves that network as it is."""
    module, _ = twins
    sizes = list(SIZES)
    net = module.Network(sizes, random_state=0)
    sizes[1] = 9
    module.Network(sizes).SGD(pairs(SIZES, 3), 1, 2, 0.5, verbose=False)
    for kept in (net, copy.deepcopy(net)):
        kept.SGD(pairs(SIZES, 3), 1, 2, 0.5, verbose=False)
        assert kept.feedforward(np.ones((4, 1))).shape == (3, 1)


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_a_dataset_keeps_its_arrays():
    """X and Y cannot be exchanged, and shapes assigned to the arrays given do not reach it."""
    X, Y = np.ones((6, 4)), np.zeros((6, 3))
    data = Dataset(X, Y)
    for name in ("X", "Y"):
        with pytest.raises(AttributeError):
            setattr(data, name, np.ones((2, 2)))
    X.shape = (3, 8)
    assert data.X.shape == (6, 4)
    assert np.shares_memory(data.X, X)
    for index in (True, None, (0, 1), np.array(1), [[0]], ["a"], [0.5]):
        with pytest.raises(TypeError, match="index: expected an integer, a slice"):
            data[index]
    assert data[np.int64(1)][0].shape == (4, 1)


def test_slices_and_rows_of_a_dataset_are_trained_on_as_they_are():
    """A strided slice or a choice of rows is the same data as a Dataset of copies."""
    rng = np.random.default_rng(0)
    data = Dataset(rng.random((10, 4)), np.arange(10) % 3)
    for index in (slice(None, None, 2), [7, 1, 1, 4], np.arange(10) % 2 == 0):
        ends = []
        for part in (data[index], Dataset(data.X[index].copy(), data.Y[index].copy())):
            net = network.Network(SIZES, random_state=0)
            net.SGD(part, 2, 2, 0.5, verbose=False)
            ends.append(parameters(net).tobytes())
        assert ends[0] == ends[1]


def test_samples_that_run_code_cannot_move_the_ground():
    """An input whose conversion reshapes the weights, or grows the list, ends in no crash."""
    net = network.Network(SIZES, random_state=0)

    class Reshapes:
        def __array__(self, dtype=None, copy=None):
            net.weights = [np.zeros((3000, 2)), np.zeros((3, 3000))]
            return np.ones((4, 1))

    with pytest.raises(ValueError, match=r"weights\[0\]: expected shape"):
        net.feedforward(Reshapes())
    net = network.Network(SIZES, random_state=0)
    with pytest.raises(ValueError, match=r"weights\[0\]: expected shape"):
        net.backprop(Reshapes(), np.zeros((3, 1)))
    net = network.Network(SIZES, random_state=0)
    data = pairs(SIZES, 3)

    class Grows:
        def __array__(self, dtype=None, copy=None):
            data.extend(pairs(SIZES, 500))
            return np.ones((4, 1))

    data[1] = (Grows(), data[1][1])
    with pytest.raises(ValueError, match=r"training_data: expected 3 samples .*, got 503"):
        net.SGD(data, 1, 2, 0.5, shuffle=False, verbose=False)


def test_a_list_that_another_thread_grows_is_memory_safe():
    """What is trained on is a copy of the list; a longer one is refused at the next epoch."""
    data, done = pairs(SIZES, 200), threading.Event()

    def grow():
        while not done.is_set():
            data.extend(pairs(SIZES, 3))
            del data[200:]

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        for _ in range(20):
            net = network.Network(SIZES, random_state=0)
            with suppress(ValueError):
                net.SGD(data, 2, 10, 0.5, shuffle=False, verbose=False)
            assert np.isfinite(parameters(net)).all()
    finally:
        done.set()
        thread.join()


@CHAPTERS
@pytest.mark.parametrize("fresh", ["all", "one"])
def test_new_samples_from_a_shuffle(twins, fresh):
    """Samples that a shuffle puts in, in every epoch anew, are the ones trained on."""

    def shuffle(cards):
        if fresh == "all":
            cards[:] = [(x + 0.01, y) for x, y in cards]
        else:
            x, y = cards.pop()
            cards.insert(0, (x + 0.1, y))

    ends = []
    for module in twins:
        net = module.Network(SIZES, random_state=0)
        net.SGD(pairs(SIZES, 30, 2), 20, 7, 0.5, shuffle=shuffle, verbose=False)
        ends.append(parameters(net))
    assert np.abs(ends[0] - ends[1]).max() <= STEPS[np.float64][100] * np.abs(ends[1]).max()


def test_new_samples_are_checked_once(monkeypatch):
    """After new samples came in once, later epochs find them known."""
    calls = []
    gate = samples.gate
    monkeypatch.setattr(samples, "gate", lambda *a, **k: calls.append(1) or gate(*a, **k))
    epochs = iter(range(4))

    def shuffle(cards):
        if next(epochs) == 0:
            cards[:] = [(x + 0.1, y) for x, y in cards]

    network.Network(SIZES).SGD(pairs(SIZES, 12), 4, 5, 0.5, shuffle=shuffle, verbose=False)
    assert len(calls) == 2


def test_mini_batches_of_several_blocks():
    """Several mini-batches, each larger than a block of samples, are each one step."""
    ends = []
    for module in (network, reference):
        net = module.Network(SIZES, random_state=0)
        net.SGD(pairs(SIZES, 700), 1, 300, 0.5, shuffle=False, verbose=False)
        ends.append(parameters(net))
    assert np.abs(ends[0] - ends[1]).max() <= STEPS[np.float64][10] * np.abs(ends[1]).max()


def test_nan_that_user_code_sets_between_epochs_is_named():
    """A weight that becomes NaN between epochs is found before the next one."""
    net = network.Network(SIZES, random_state=0)

    def evaluate(_):
        net.weights[0][0, 0] = np.nan
        return 0

    net.evaluate = evaluate
    with pytest.raises(ValueError, match=r"weights\[0\]\[0, 0\]"):
        net.SGD(pairs(SIZES, 6), 2, 3, 0.5, [1], verbose=False)


def test_divergence_by_hand_names_the_mini_batch():
    """Where a user's backprop diverges, a note says in which epoch and mini-batch."""

    class Own(network2.Network):
        calls = 0

        def backprop(self, x, y):
            self.calls += 1
            b, w = super().backprop(x, y)
            return b, [a * (np.inf if self.calls == 12 else 1) for a in w]

    with pytest.raises(DivergenceError) as caught:
        Own(SIZES, random_state=0).SGD(pairs(SIZES, 20), 1, 5, 0.5, shuffle=False, verbose=False)
    assert caught.value.__notes__ == ["in epoch 0, mini-batch 2"]


def test_gradients_of_the_wrong_shape_are_not_committed():
    """A user's backprop that returns other shapes is an error, and changes nothing."""
    net = network.Network(SIZES, random_state=0)
    before = parameters(net).tobytes()
    plain = network.Network.backprop
    net.backprop = lambda x, y: [[np.ravel(a) for a in part] for part in plain(net, x, y)]
    with pytest.raises(ValueError, match="shape"):
        net.update_mini_batch(pairs(SIZES, 3), 0.5)
    assert parameters(net).tobytes() == before


@pytest.mark.parametrize("convert", [True, False])
def test_labels_of_a_dataset_with_an_own_feedforward(convert):
    """A Dataset's labels are labels, also where a user's feedforward is asked."""

    class Own(network2.Network):
        def feedforward(self, a):
            return super().feedforward(a)

    data = Dataset(np.random.default_rng(0).standard_normal((20, 4)), np.arange(20) % 3)
    plain, own = (cls(SIZES, random_state=0) for cls in (network2.Network, Own))
    assert own.accuracy(data, convert=convert) == plain.accuracy(data, convert=convert)
    found, right = (net.total_cost(data, 0.1, convert=convert) for net in (own, plain))
    assert abs(found - right) <= STEPS[np.float64][10] * right


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_in_the_midst_of_training_trains():
    """The guard that another thread of the parent holds does not bind the child."""
    net = network.Network(SIZES, random_state=0)
    held, release = threading.Event(), threading.Event()

    def hold():
        with net._writing():
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        try:
            net.update_mini_batch(pairs(SIZES, 3), 0.5)
            os._exit(0)
        except BaseException:
            os._exit(1)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
