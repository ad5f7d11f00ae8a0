"""The drop-in contract, row by row, on the plain reference and on the compiled core alike."""

import copy
import io
import json
import pickle
import random
import sys
import threading
from contextlib import nullcontext
from fractions import Fraction
from itertools import pairwise
from types import MethodType, ModuleType, SimpleNamespace

import numpy as np
import pytest
from tolerances import PUBLISHED_COST, STEPS, activation_bounds

from fastbp import Dataset, network, network2
from fastbp.reference import network as reference
from fastbp.reference import network2 as reference2

pytestmark = pytest.mark.core

SIZES = [5, 4, 3]
BOOKS = {
    "reference.network": reference,
    "network": network,
    "reference.network2": reference2,
    "network2": network2,
}
SPECIFICATION = {network: reference, network2: reference2} | {m: m for m in (reference, reference2)}


def modules(*names):
    @pytest.fixture(params=names)
    def fixture(request):
        return BOOKS[request.param]

    return fixture


book = modules(*BOOKS)
book1 = modules("reference.network", "network")
book2 = modules("reference.network2", "network2")
fast = modules("network", "network2")


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch):
    """Fill what ``np.empty`` returns with NaN: no result may be what lay there before."""
    empty = np.empty

    def poisoned(*args, **options):
        array = empty(*args, **options)
        array.view(np.uint8)[...] = 0xFF
        return array

    monkeypatch.setattr(np, "empty", poisoned)


# -- helpers -------------------------------------------------------------------------


def samples(n=10, dtype=np.float64, seed=5):
    """Return n pairs of columns, the second one-hot."""
    draw = np.random.default_rng(seed)
    return [
        (draw.standard_normal((5, 1)).astype(dtype), np.eye(3, dtype=dtype)[:, [draw.integers(3)]])
        for _ in range(n)
    ]


def labelled(n=6, seed=6):
    """Return n pairs of a column and its class."""
    return [(x, int(np.argmax(y))) for x, y in samples(n, seed=seed)]


def start(cls, *args, sizes=SIZES, **options):
    """Return a new network, drawn from fixed seeds of both global generators."""
    random.seed(3)
    np.random.seed(4)
    return cls(sizes, *args, **options)


def train(net, data, epochs=2, size=4, eta=0.5, lmbda=0.3, test=None, **options):
    """Call ``SGD`` of either chapter; with test data chapter 3 watches all four curves."""
    if hasattr(net, "accuracy"):
        watch = [test is not None] * 4
        return net.SGD(data, epochs, size, eta, lmbda, test, *watch, **options)
    return net.SGD(data, epochs, size, eta, test, **options)


def train_in_order(net, data):
    train(net, data, shuffle=False)


def step(net, batch, eta=0.5, lmbda=0.3, n=10):
    """Call ``update_mini_batch`` of either chapter."""
    net.update_mini_batch(batch, eta, *([lmbda, n] if hasattr(net, "accuracy") else []))


def count(net, data):
    """Call ``evaluate`` or ``accuracy``."""
    return net.accuracy(data) if hasattr(net, "accuracy") else net.evaluate(data)


def parameters(net):
    return [*net.biases, *net.weights]


def states():
    """Return the states of both global generators, comparable by ``==``."""
    name, keys, *rest = np.random.get_state()
    return random.getstate(), (name, keys.tolist(), *rest)


def assert_close(got, expected, steps=100, dtype=np.float64):
    """Hold arrays against the table's row on weights after so many steps."""
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert np.max(np.abs(a - b)) <= STEPS[dtype][steps] * max(1, np.max(np.abs(b)))


def assert_curves(got, expected):
    """Hold the four lists of chapter 3 (None in chapter 1) against expected ones."""
    assert (got is None) == (expected is None)
    for curve, other in zip(got or (), expected or (), strict=True):
        assert isinstance(curve, list)
        assert curve == pytest.approx(other, rel=PUBLISHED_COST, abs=0)


def by_hand(net, data, size, eta=0.5, lmbda=0.3, *, n=None):
    """Return the parameters after one epoch over ``data`` as it lies, in whole matrices."""
    biases, weights = [b.copy() for b in net.biases], [w.copy() for w in net.weights]
    cross_entropy = getattr(getattr(net, "cost", None), "__name__", "") == "CrossEntropyCost"
    decay = 1 - eta * lmbda / (n or len(data)) if hasattr(net, "cost") else 1.0
    for first in range(0, len(data), size):
        x, y = (np.hstack(columns) for columns in zip(*data[first : first + size], strict=True))
        activations = [x]
        for b, w in zip(biases, weights, strict=True):
            activations.append(1 / (1 + np.exp(-(w @ activations[-1] + b))))
        slopes = [a * (1 - a) for a in activations]
        delta = (activations[-1] - y) * (1 if cross_entropy else slopes[-1])
        for l in reversed(range(len(weights))):
            below = slopes[l] * (weights[l].T @ delta)
            weights[l] = decay * weights[l] - eta * (delta @ activations[l].T) / x.shape[1]
            biases[l] = biases[l] - eta * delta.mean(axis=1, keepdims=True)
            delta = below
    return [*biases, *weights]


def is_chapter_3(module):
    return hasattr(module, "CrossEntropyCost")


def methods(names):
    """Return the cases (module, name) in which the book's class has a method ``name``."""
    return pytest.mark.parametrize(
        ("module", "name"),
        [
            pytest.param(module, name, id=f"{book}-{name}")
            for book, module in BOOKS.items()
            for name in names
            if hasattr(SPECIFICATION[module].Network, name.split()[0])
        ],
    )


# -- the start -----------------------------------------------------------------------


def drawn(scaled):
    biases = [np.random.randn(n, 1) for n in SIZES[1:]]
    weights = [np.random.randn(n, m) for m, n in pairwise(SIZES)]
    return biases + [w / np.sqrt(w.shape[1]) if scaled else w for w in weights]


def test_start_is_drawn_as_in_the_book(book):
    """All biases, then all weights come from NumPy's global generator, and nothing else does."""
    net = start(book.Network)
    after = states()
    np.random.seed(4)
    for got, expected in zip(parameters(net), drawn(is_chapter_3(book)), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert states() == after


def test_large_weight_initializer_draws_again(book2):
    """The old start of chapter 1 is drawn after the default one, from the same stream."""
    net = start(book2.Network)
    assert net.large_weight_initializer() is None
    large = parameters(net)
    net.default_weight_initializer()
    after = states()
    np.random.seed(4)
    drawn(True)
    for got, expected in zip(
        [*large, *parameters(net)], [*drawn(False), *drawn(True)], strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    assert states() == after


@pytest.mark.parametrize("sizes", [[5, 4, 3], (5, 1, 3), np.array([1, 4, 1]), [2, 3]])
def test_attributes(book, sizes):
    """Sizes, number of layers and both lists of owned C-ordered arrays are public, at any time."""
    net = start(book.Network, sizes=sizes)
    data = [(np.ones((sizes[0], 1)), np.zeros((sizes[-1], 1)))] * 3
    for change in (lambda: None, lambda: step(net, data), lambda: train(net, data, verbose=False)):
        change()
        assert net.sizes is sizes
        assert net.num_layers == len(sizes)
        assert type(net.biases) is type(net.weights) is list
        assert [b.shape for b in net.biases] == [(n, 1) for n in sizes[1:]]
        assert [w.shape for w in net.weights] == [(n, m) for m, n in pairwise(sizes)]
        for array in parameters(net):
            assert type(array) is np.ndarray
            assert array.dtype == np.float64
            assert array.flags.owndata
            assert array.flags.c_contiguous
            assert array.flags.writeable


def test_backprop_returns_two_lists(book):
    """``backprop`` gives fresh nabla_b and nabla_w in the parameters' shapes, biases first."""
    net, (pair, other) = start(book.Network), samples(2)
    nabla_b, nabla_w = net.backprop(*pair)
    kept = copy.deepcopy([*nabla_b, *nabla_w])
    assert type(nabla_b) is type(nabla_w) is list
    assert [a.shape for a in kept] == [a.shape for a in parameters(net)]
    net.backprop(*other)
    for array, value in zip([*nabla_b, *nabla_w], kept, strict=True):
        np.testing.assert_array_equal(array, value)


# -- streams and order ---------------------------------------------------------------


@pytest.mark.parametrize(("n", "epochs"), [(10, 2), (7, 1), (1, 3), (10, 0)])
def test_sgd_shuffles_the_callers_list(book, n, epochs):
    """Each epoch takes one ``random.shuffle`` of the caller's list, in place, and no more."""
    data = samples(n)
    order, net = list(data), start(book.Network)
    before = states()
    for _ in range(epochs):
        random.shuffle(order)
    after = states()
    random.setstate(before[0])
    train(net, data, epochs, test=labelled())
    assert [id(pair) for pair in data] == [id(pair) for pair in order]
    assert states() == after


@pytest.mark.parametrize("where", ["globally", "in the module"])
def test_replaced_shuffle_is_honoured(book, where, monkeypatch):
    """Whoever replaces ``random.shuffle``, or the module's ``random``, orders the samples."""
    calls = []

    def turn(x):
        calls.append(x)
        x.append(x.pop(0))

    if where == "globally":
        monkeypatch.setattr(random, "shuffle", turn)
    else:
        monkeypatch.setattr(book, "random", SimpleNamespace(shuffle=turn))
    data, net = samples(), start(book.Network)
    order = data[1:] + data[:1]
    expected = by_hand(net, order, 3)
    train(net, data, 1, 3)
    assert [id(x) for x in calls] == [id(data)]
    assert [id(pair) for pair in data] == [id(pair) for pair in order]
    assert_close(parameters(net), expected, 10)


def test_shuffle_may_put_in_new_samples(book):
    """Samples that a user's shuffle puts into the list are those that are trained on."""
    nets = [start(module.Network) for module in (book, SPECIFICATION[book])]

    def augment(x):
        x[:] = [(value + 0.1, y) for value, y in x[::-1]]

    for net in nets:
        train(net, samples(), 3, shuffle=augment)
    assert_close(parameters(nets[0]), parameters(nets[1]))
    plain = start(book.Network)
    train(plain, samples(), 3, shuffle=list.reverse)
    assert not np.array_equal(plain.weights[0], nets[0].weights[0])


# -- mini-batches, step and decay ----------------------------------------------------


@pytest.mark.parametrize("observed", ["update_mini_batch", "backprop"])
def test_mini_batches_are_consecutive_slices(book, observed):
    """The shuffled list is cut in order into the caller's own pairs, the rest kept as the last."""
    seen = []

    class Own(book.Network):
        def update_mini_batch(self, mini_batch, eta, *rest):
            if observed == "update_mini_batch":
                assert isinstance(mini_batch, list)
                assert (eta, *rest) == ((0.5, 0.3, 10) if rest else (0.5,))
                seen.append([id(x) for x, _ in mini_batch])
            super().update_mini_batch(mini_batch, eta, *rest)

        def backprop(self, x, y):
            if observed == "backprop":
                seen.append([id(x)])
            return super().backprop(x, y)

    data = samples()
    train(start(Own), data, 1, 4)
    lengths = [4, 4, 2] if observed == "update_mini_batch" else [1] * 10
    assert [len(batch) for batch in seen] == lengths
    assert [i for batch in seen for i in batch] == [id(x) for x, _ in data]


@pytest.mark.parametrize("size", [1, 3, 4, 10, 50])
@pytest.mark.parametrize("lmbda", [0.0, 2.0])
def test_an_epoch_equals_hand_worked_steps(book, size, lmbda):
    """Each batch counts with its own length; decay takes n of the whole set, and weights only."""
    data, net = samples(), start(book.Network)
    random.shuffle(data)
    expected = by_hand(net, data, size, 0.5, lmbda)
    train(net, data, 1, size, 0.5, lmbda, shuffle=False)
    assert_close(parameters(net), expected, 10)


@pytest.mark.parametrize("m", [1, 3, 7])
def test_update_mini_batch_is_one_step(book, m):
    """One step divides by the length of its batch, and decays by the ``n`` it is given."""
    net = start(book.Network)
    expected = by_hand(net, samples(m), m, 0.5, 5.0, n=50)
    step(net, samples(m), 0.5, 5.0, 50)
    assert_close(parameters(net), expected, 1)


# -- public arrays -------------------------------------------------------------------


@pytest.mark.parametrize("change", [step, train])
def test_arrays_taken_earlier_keep_their_values(book, change):
    """Training rebinds both lists; lists, arrays and views taken before stay as they were."""
    net, other = start(book.Network), start(book.Network)
    other.weights, other.biases = net.weights, net.biases
    for _ in range(2):  # the second time the arrays are those of a commit
        lists, arrays = (net.biases, net.weights), parameters(net)
        views, values = [a.ravel() for a in arrays], copy.deepcopy(arrays)
        change(net, samples())
        for array, view, value in zip(arrays, views, values, strict=True):
            np.testing.assert_array_equal(array, value)
            np.testing.assert_array_equal(view, value.ravel())
        assert [id(a) for both in lists for a in both] == [id(a) for a in arrays]
        assert not {id(a) for a in parameters(net)} & {id(a) for a in arrays}
        assert not any(np.shares_memory(a, b) for a in parameters(net) for b in arrays)
    np.testing.assert_array_equal(other.weights[0], start(book.Network).weights[0])


EDITS = {
    "assign a list": None,
    "replace an array": lambda arrays, i, value: arrays.__setitem__(i, value),
    "write into it": lambda arrays, i, value: np.copyto(arrays[i], value),
    "write by ravel": lambda arrays, i, value: np.copyto(arrays[i].ravel(), value.ravel()),
    "write by reshape": lambda arrays, i, value: np.copyto(arrays[i].reshape(-1), value.ravel()),
    "write one entry": lambda arrays, i, value: arrays[i].__setitem__((1, 0), value[1, 0]),
}


def saved(net, path):
    net.save(path)
    return json.loads(path.read_text())["weights"][0]


READERS = {
    "feedforward": lambda net, path: net.feedforward(samples(1)[0][0]),
    "feedforward of a matrix": lambda net, path: net.feedforward(np.eye(5)),
    "backprop": lambda net, path: net.backprop(*samples(1)[0])[1][0],
    "evaluate": lambda net, path: net.evaluate([(x, 1) for x, _ in samples(40)]),
    "accuracy": lambda net, path: net.accuracy([(x, 1) for x, _ in samples(40)]),
    "total_cost": lambda net, path: net.total_cost(samples(), 0.5),
    "update_mini_batch": lambda net, path: step(net, samples()) or net.weights[0],
    "SGD": lambda net, path: train_in_order(net, samples()) or net.weights[0],
    "save": saved,
}


def edited(net, edit):
    """Change the first weights and the last biases."""
    for name, i in (("weights", 0), ("biases", -1)):
        value = getattr(net, name)[i].copy()
        value[1] += 4.0
        if edit is None:
            arrays = list(getattr(net, name))
            arrays[i] = value
            setattr(net, name, arrays)
            assert getattr(net, name) is arrays
        else:
            edit(getattr(net, name), i, value)


@pytest.mark.parametrize("edit", EDITS)
@methods(READERS)
def test_the_next_call_sees_an_edit(module, name, edit, tmp_path):
    """Whatever way a user changes parameters, the next call of each method works with them."""
    results = []
    for side in (module, SPECIFICATION[module]):
        net, read = start(side.Network), READERS[name]
        step(net, samples())
        before = np.array(read(net, tmp_path / "net.json"))  # fills a cache, were there one
        edited(net, EDITS[edit])
        results.append(np.array(read(net, tmp_path / "net.json")))
        assert not np.array_equal(before, results[-1])
    assert_close(np.atleast_1d(results[0]), np.atleast_1d(results[1]))


@pytest.mark.parametrize("change", [step, train_in_order])
def test_one_array_in_two_layers_is_harmless(book, change):
    """A weight array or bias array that serves two layers is trained as two."""
    nets = [start(module.Network, sizes=[5, 5, 5, 3]) for module in (book, SPECIFICATION[book])]
    for net in nets:
        net.weights[1], net.biases[1] = net.weights[0], net.biases[0]
        change(net, samples())
        assert not np.array_equal(net.weights[0], net.weights[1])
    separate = start(book.Network, sizes=[5, 5, 5, 3])
    separate.weights[1], separate.biases[1] = separate.weights[0].copy(), separate.biases[0].copy()
    change(separate, samples())
    assert_close(parameters(nets[0]), parameters(nets[1]))
    assert_close(parameters(nets[0]), parameters(separate))


# -- what a user overrides -----------------------------------------------------------


def doubled(original, net, x, y):
    nabla_b, nabla_w = original(net, x, y)
    return [2 * nabla for nabla in nabla_b], [2 * nabla for nabla in nabla_w]


# What the override does, and its calls in 2 epochs on 10 samples in batches of 4, with 6
# samples to test on: chapter 3 looks at both sets twice an epoch.
OVERRIDES = {
    "cost_derivative": (lambda original, net, a, y: 2 * original(net, a, y), 20, None),
    "backprop": (doubled, 20, 20),
    "update_mini_batch": (
        lambda original, net, batch, eta, *rest: original(net, batch, eta / 2, *rest),
        6,
        6,
    ),
    "feedforward": (lambda original, net, a: 1 - original(net, a), 12, 64),
    "evaluate": (lambda original, net, data: 40 + original(net, data), 2, None),
    "accuracy": (lambda original, net, data, convert=False: 40 + len(data) + convert, None, 4),
    "total_cost": (
        lambda original, net, data, lmbda, convert=False: len(data) + lmbda + convert / 2,
        None,
        4,
    ),
    "SGD": (lambda original, net, data, *rest: original(net, data[:8], *rest), 1, 1),
}


def counted(function, calls):
    def wrapper(*args, **options):
        calls.append(args)
        return function(*args, **options)

    return wrapper


def outcome(net, capsys):
    """Return parameters and curves, or in chapter 1 the lines, of a short training."""
    capsys.readouterr()
    curves = train(net, samples(), test=labelled())
    return parameters(net), curves or capsys.readouterr().out


def overridden(module, name, way, calls, monkeypatch):
    """Return a new network with the override, made in one of three ways."""
    original, change = getattr(module.Network, name), OVERRIDES[name][0]
    method = counted(lambda net, *args, **options: change(original, net, *args, **options), calls)
    if way == "subclass":
        return start(type("Own", (module.Network,), {name: method}))
    if way == "class":
        monkeypatch.setattr(module.Network, name, method)
    net = start(module.Network)
    if way == "instance":
        setattr(net, name, MethodType(method, net))
    return net


@pytest.mark.parametrize("way", ["subclass", "instance", "class"])
@methods(OVERRIDES)
def test_override_is_called_and_its_result_used(module, name, way, monkeypatch, capsys):
    """An overridden method is called as often as in the book, and what it returns counts."""
    plain = outcome(start(module.Network), capsys)
    expected = outcome(overridden(SPECIFICATION[module], name, "subclass", [], monkeypatch), capsys)
    calls = []
    got = outcome(overridden(module, name, way, calls, monkeypatch), capsys)
    assert len(calls) == OVERRIDES[name][1 + is_chapter_3(module)]
    assert_close(got[0], expected[0])
    if is_chapter_3(module):
        assert_curves(got[1], expected[1])
    else:
        assert got[1] == expected[1]
    assert got[1] != plain[1] or not np.array_equal(got[0][0], plain[0][0])


@methods(["evaluate", "accuracy", "total_cost"])
def test_overridden_monitor_gets_the_callers_samples(module, name):
    """An own ``evaluate``, ``accuracy`` or ``total_cost`` sees lists of the caller's own pairs."""
    data, test, seen = samples(), labelled(), []
    net = start(module.Network)
    setattr(net, name, lambda data, *rest, **options: seen.append(data) or 1)
    train(net, data, 1, test=test)
    sets = [test] if name == "evaluate" else [data, test]
    assert [[id(pair) for pair in one] for one in seen] == [[id(p) for p in one] for one in sets]
    assert all(type(one) is list for one in seen)


@pytest.mark.parametrize("way", ["subclass", "class"])
def test_overridden_initializer_makes_the_start(book2, way, monkeypatch):
    """The constructor calls an overridden default initialiser once, and keeps what it sets."""
    calls = []

    def ones(net):
        calls.append(net)
        net.biases = [np.ones((n, 1)) for n in net.sizes[1:]]
        net.weights = [np.ones((n, m)) for m, n in pairwise(net.sizes)]

    cls = book2.Network
    if way == "class":
        monkeypatch.setattr(cls, "default_weight_initializer", ones)
    else:
        cls = type("Own", (cls,), {"default_weight_initializer": ones})
    net = start(cls)
    assert calls == [net]
    assert all(np.all(array == 1) for array in parameters(net))


def test_overridden_backprop_may_change_the_network(book):
    """What an overriding ``backprop`` assigns is what the step starts from, as in the book."""
    nets = []
    for module in (book, SPECIFICATION[book]):

        class Own(module.Network):
            def backprop(self, x, y):
                gradient = super().backprop(x, y)
                self.biases = [0.9 * b for b in self.biases]
                return gradient

        nets.append(start(Own))
        train(nets[-1], samples())
    assert_close(parameters(nets[0]), parameters(nets[1]))


def test_user_code_between_epochs_may_change_the_network(book):
    """Weights that a shuffle or a monitor assigns are those the next epoch starts from."""
    nets = [start(module.Network) for module in (book, SPECIFICATION[book])]
    name = "accuracy" if is_chapter_3(book) else "evaluate"
    for net in nets:

        def halve(data, net=net):
            net.weights = [w / 2 for w in net.weights]

        def clear(data, net=net, **options):
            net.biases[0][:] = 0
            return 0

        setattr(net, name, clear)
        train(net, samples(), 3, test=labelled(), shuffle=halve)
    assert_close(parameters(nets[0]), parameters(nets[1]))


def softmax(z):
    """A function of the whole column: it must not be handed several samples at once."""
    return np.exp(z) / np.sum(np.exp(z))


FUNCTIONS = {
    "sigmoid": [lambda z: 0.5 + 0.5 * np.tanh(z), softmax],
    "sigmoid_prime": [lambda z: 0.25 + 0 * z],
}


@pytest.mark.parametrize(
    ("module", "cost"),
    [
        pytest.param(module, cost, id=f"{name}-{cost}")
        for name, module in BOOKS.items()
        for cost in (["QuadraticCost", "CrossEntropyCost"] if is_chapter_3(module) else [None])
    ],
)
@pytest.mark.parametrize(
    ("name", "function"), [(name, f) for name, functions in FUNCTIONS.items() for f in functions]
)
def test_replaced_module_function_is_honoured(module, cost, name, function, monkeypatch, capsys):
    """A module's own ``sigmoid`` or ``sigmoid_prime`` serves every method that uses it."""

    def run(module):
        net = start(module.Network, *([getattr(module, cost)] if cost else []))
        result, curves = outcome(net, capsys)
        x, y = samples(1)[0]
        nabla_b, nabla_w = net.backprop(x, y)
        return [*result, net.feedforward(x), *nabla_b, *nabla_w], curves

    plain = run(module)
    for side in (module, SPECIFICATION[module]):
        monkeypatch.setattr(side, name, function)
    (got, curves), (expected, expected_curves) = run(module), run(SPECIFICATION[module])
    assert_close(got, expected)
    if cost:
        assert_curves(curves, expected_curves)
    else:
        assert curves == expected_curves
    assert not np.array_equal(got[0], plain[0][0])


def test_replaced_sigmoid_keeps_the_shape_of_predictions(fast, monkeypatch):
    """With a replaced ``sigmoid``, too, a Dataset is predicted with one row a sample."""
    net, rows = start(fast.Network), np.eye(5)[:4]
    expected = net.feedforward(Dataset(rows, [0, 1, 2, 0]))
    monkeypatch.setattr(fast, "sigmoid", lambda z: 1 / (1 + np.exp(-z)))
    got = net.feedforward(Dataset(rows, [0, 1, 2, 0]))
    assert_close([got], [expected], 1)


# -- costs ---------------------------------------------------------------------------


def odd_fn(a, y):
    """A cost that is not a sum over samples."""
    return np.sqrt(np.sum(np.abs(a - y)))


def odd_delta(z, a, y):
    return 0.3 * (a - y) ** 3


class Scaled:
    """A cost with a state of its own, whose functions are methods."""

    def __init__(self, scale, calls):
        self.scale, self.calls = scale, calls

    def fn(self, a, y):
        self.calls["fn"].append(y)
        return self.scale * odd_fn(a, y)

    def delta(self, z, a, y):
        self.calls["delta"].append(y)
        return self.scale * odd_delta(z, a, y)


def own_cost(kind, module, calls, monkeypatch):
    """Return a cost with fn or delta of the user's own, each counting its calls."""
    fn, delta = counted(odd_fn, calls["fn"]), counted(odd_delta, calls["delta"])
    if kind == "instance":
        return Scaled(0.5, calls)
    if kind == "namespace":
        return SimpleNamespace(fn=fn, delta=delta)
    if kind == "class":
        return type("Own", (), {"fn": staticmethod(fn), "delta": staticmethod(delta)})
    name, how, *_, base = kind.split()
    function = {"fn": fn, "delta": delta}[name]
    if how == "of":
        return type("Own", (getattr(module, base),), {name: staticmethod(function)})
    monkeypatch.setattr(getattr(module, base), name, staticmethod(function))
    return getattr(module, base)


COSTS = ["class", "instance", "namespace"] + [
    f"{name} {how} {base}"
    for name in ("fn", "delta")
    for how in ("of", "patched in")
    for base in ("QuadraticCost", "CrossEntropyCost")
]


@pytest.mark.parametrize("kind", COSTS)
def test_own_cost_is_called_and_its_result_used(book2, kind, monkeypatch, capsys):
    """An own cost, or an own half of a built-in one, is asked once a sample, and counts."""
    base = kind.split()[-1] if " " in kind else "CrossEntropyCost"
    plain = outcome(start(book2.Network, getattr(book2, base)), capsys)
    results = []
    for module in (SPECIFICATION[book2], book2):
        calls = {"fn": [], "delta": []}
        net = start(module.Network, own_cost(kind, module, calls, monkeypatch))
        results.append(outcome(net, capsys))
        monkeypatch.undo()
    for name, times in (("fn", 32), ("delta", 20)):
        assert len(calls[name]) == (times if " " not in kind or kind.startswith(name) else 0)
    expected, got = results
    assert_close(got[0], expected[0])
    assert_curves(got[1], expected[1])
    assert (got[1][2] != plain[1][2]) or not np.array_equal(got[0][0], plain[0][0])


@pytest.mark.parametrize("own", [None, "feedforward"])
def test_an_own_cost_may_return_an_array_of_one_number(own, monkeypatch):
    """As ``np.dot`` of two columns does; an array of several is refused."""

    class Cost(network2.QuadraticCost):
        @staticmethod
        def fn(a, y):
            return 0.5 * np.dot((a - y).T, a - y)

    net = start(network2.Network, Cost)
    if own is not None:
        net.feedforward = net.feedforward
    plain = start(network2.Network, network2.QuadraticCost).total_cost(samples(), 0.5)
    got = net.total_cost(samples(), 0.5)
    assert type(got) is float
    assert got == pytest.approx(plain)
    monkeypatch.setattr(Cost, "fn", lambda a, y: (a - y) ** 2)
    with pytest.raises(ValueError, match=r"^cost.fn\(a, y\): expected a number, got shape \("):
        net.total_cost(samples(), 0.5)


@pytest.mark.parametrize("name", ["QuadraticCost", "CrossEntropyCost"])
@pytest.mark.parametrize("made", [False, True])
def test_cost_may_be_class_or_instance(book2, name, made, tmp_path, capsys):
    """A built-in cost works as class and as instance, in training and in ``save``."""
    cost = getattr(book2, name)
    expected = outcome(start(reference2.Network, getattr(reference2, name)), capsys)
    net = start(book2.Network, cost() if made else cost)
    got = outcome(net, capsys)
    assert_close(got[0], expected[0])
    assert_curves(got[1], expected[1])
    net.save(tmp_path / "net.json")
    assert json.loads((tmp_path / "net.json").read_text())["cost"] == name


def test_cost_may_be_changed_later(book2):
    """Each call goes by the cost that the network has then; cross-entropy is the default."""
    net = start(book2.Network)
    assert net.cost is book2.CrossEntropyCost
    for cost in (book2.QuadraticCost, book2.CrossEntropyCost):
        net.cost = cost
        expected = by_hand(net, samples(), 10)
        step(net, samples())
        assert_close(parameters(net), expected, 1)


def test_values_of_the_costs(book2):
    """``fn`` and ``delta`` are static and hold the book's formulas; 0 ln 0 counts as 0."""
    a, y, z = np.array([[0.25], [0.5]]), np.array([[1.0], [0.0]]), np.array([[0.0], [1000.0]])
    quadratic, cross_entropy = book2.QuadraticCost, book2.CrossEntropyCost
    relative = {"rel": PUBLISHED_COST, "abs": 0}
    assert quadratic.fn(a, y) == pytest.approx(0.5 * (0.75**2 + 0.5**2), **relative)
    assert cross_entropy.fn(a, y) == pytest.approx(np.log(4) + np.log(2), **relative)
    np.testing.assert_array_equal(quadratic.delta(z, a, y), [[-0.75 / 4], [0.0]])
    np.testing.assert_array_equal(cross_entropy.delta(z, a, y), [[-0.75], [0.5]])
    assert cross_entropy.fn(y, y) == 0
    assert cross_entropy.fn(np.array([[0.0], [0.0]]), y) == np.finfo(np.float64).max


@pytest.mark.parametrize(("bias", "expected"), [([800.0, 0, 0], "finite"), ([800.0] * 3, "inf")])
def test_cost_of_saturated_outputs(book2, bias, expected):
    """An output at exactly the wrong end costs what the book says, without a warning."""
    net = start(book2.Network)
    net.weights[-1][:], net.biases[-1][:, 0] = 0, bias
    data = [(x, np.eye(3)[:, [i % 2]]) for i, (x, _) in enumerate(samples(4))]
    cost = 0.0
    for x, y in data:
        cost += net.cost.fn(net.feedforward(x), y) / 4
    assert np.isfinite(cost) == (expected == "finite")
    assert net.total_cost(data, 0.0) == pytest.approx(cost, rel=PUBLISHED_COST, abs=0)


@pytest.mark.parametrize("convert", [False, True])
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("name", ["QuadraticCost", "CrossEntropyCost"])
def test_total_cost_is_the_books_formula(book2, name, n, convert):
    """Mean cost plus decay over twice the length of the data given; ``convert`` takes digits."""
    net = start(book2.Network, getattr(book2, name))
    expected = sum(2.0 * np.sum(w**2) for w in net.weights) / (2 * n)
    for x, y in samples(n):
        a = x
        for b, w in zip(net.biases, net.weights, strict=True):
            a = 1 / (1 + np.exp(-(w @ a + b)))
        quadratic, entropy = 0.5 * (a - y) ** 2, -y * np.log(a) - (1 - y) * np.log(1 - a)
        expected += np.sum(quadratic if name == "QuadraticCost" else entropy) / n
    data = [(x, int(np.argmax(y))) for x, y in samples(n)] if convert else samples(n)
    got = net.total_cost(data, 2.0, convert)
    assert got == pytest.approx(expected, rel=PUBLISHED_COST, abs=0)
    assert got == net.total_cost(data, lmbda=2.0, convert=convert)


def test_accuracy_and_evaluate_count(book):
    """Labels are compared with the largest output; ``convert`` says that ``y`` is one-hot."""
    net, pairs = start(book.Network), samples(60)
    right = sum(int(np.argmax(net.feedforward(x)) == np.argmax(y)) for x, y in pairs)
    assert 0 < right < 60
    got = [count(net, labelled(60, seed=5))]
    if is_chapter_3(book):
        got += [net.accuracy(pairs, True), net.accuracy(pairs, convert=True)]
    assert set(got) == {right}
    assert all(type(number) is int for number in got)
    assert count(net, []) == 0


def test_vectorized_result(book2):
    """A digit becomes a float column of ten (or ``n``) rows with 1.0 at the digit."""
    for j in (3, 3.0, np.uint8(3), np.array([3])):
        for column, n in ((book2.vectorized_result(j), 10), (book2.vectorized_result(j, 4), 4)):
            assert column.dtype == np.float64
            np.testing.assert_array_equal(column, np.eye(n)[:, [3]])


def test_sigmoid_and_its_derivative(book):
    """Both hold the book's values for every z, without its overflow warning."""
    z = np.array([-1e300, -1000.0, -2.0, 0.0, 2.0, 1000.0, 1e300])
    s = np.array([0, 0, 1 / (1 + np.exp(2.0)), 0.5, 1 / (1 + np.exp(-2.0)), 1, 1])
    np.testing.assert_array_equal(book.sigmoid(z), s)
    np.testing.assert_array_equal(book.sigmoid_prime(z), s * (1 - s))
    assert book.sigmoid(-1000) == 0
    assert book.sigmoid_prime(0) == 0.25


def test_training_saturated_neurons_gives_no_warning(book):
    """Very large weighted inputs of either sign saturate quietly, in every method."""
    net = start(book.Network)
    net.biases[0][:, 0] = [800, -800, 1e300, -1e300]
    with np.errstate(over="ignore"):
        expected = by_hand(net, samples(), 10)
    train(net, samples(), 1, 10, test=labelled(), shuffle=False)
    assert_close(parameters(net), expected, 1)


# -- data ----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 300])
@pytest.mark.parametrize("order", ["C", "F"])
def test_feedforward_of_a_matrix_predicts_columns(book, k, order):
    """Each column of a matrix is one sample, and so is each column of the result."""
    net = start(book.Network)
    X = np.random.default_rng(1).standard_normal((5, k))
    truth, bound = activation_bounds(net.weights, net.biases, X, np.float64)[-1]
    out = net.feedforward(np.asarray(X, order=order))
    assert out.shape == (3, k)
    assert np.all(np.abs(out - truth) <= bound)


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_empty_test_data_means_none(book, nothing, capsys):
    """Without test samples the line of the epoch stands alone."""
    options = {"evaluation_data" if is_chapter_3(book) else "test_data": nothing}
    start(book.Network).SGD(samples(), 2, 4, 0.5, **options)
    lines = "Epoch {} training complete\n\n" if is_chapter_3(book) else "Epoch {} complete\n"
    assert capsys.readouterr().out == lines.format(0) + lines.format(1)


@pytest.mark.parametrize(
    "kind",
    [int, float, bool, np.uint8, np.int64, np.float32, np.array, lambda j: np.array([j]), Fraction],
)
def test_labels_of_any_type(book, kind):
    """A label counts by the integer that it equals, whatever its type."""
    net = start(book.Network)
    net.biases[-1][2] = -10
    plain = [(x, min(label, 1)) for x, label in labelled(40)]
    odd = [(x, kind(label)) for x, label in plain]
    assert count(net, odd) == count(net, plain) > 0
    if is_chapter_3(book):
        assert net.total_cost(odd, 0.1, convert=True) == net.total_cost(plain, 0.1, convert=True)


def test_float32_columns_are_computed_in_float64(book):
    """Float32 inputs give the bits that the same values in float64 give, in float64."""
    single = samples(dtype=np.float32)
    double = [(x.astype(np.float64), y.astype(np.float64)) for x, y in single]
    nets = []
    for data in (single, double):
        net = start(book.Network)
        train(net, data)
        step(net, data)
        nabla_b, nabla_w = net.backprop(*data[0])
        nets.append([*parameters(net), net.feedforward(data[0][0]), *nabla_b, *nabla_w])
    for a, b in zip(*nets, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_array_equal(a, b)


ITERABLES = {
    "tuple": tuple,
    "zip": lambda data: zip(*zip(*data, strict=True), strict=True),
    "generator": lambda data: (pair for pair in data),
    "map": lambda data: map(tuple, data),
}


@pytest.mark.parametrize("kind", ITERABLES)
def test_any_iterable_is_materialised_once(book, kind, capsys):
    """Tuples and one-shot iterables of samples train and test as the list does."""
    make = ITERABLES[kind]
    nets, outputs = [start(book.Network)], []
    outputs.append(train(nets[0], samples(), test=labelled()))
    after, lines = states(), capsys.readouterr().out
    nets.append(start(book.Network))
    outputs.append(train(nets[1], make(samples()), test=make(labelled())))
    assert states() == after
    assert capsys.readouterr().out == lines
    assert outputs[0] == outputs[1]
    for a, b in zip(parameters(nets[0]), parameters(nets[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_tuple_is_not_reordered(book):
    """What is not a list is copied, and left in its order."""
    data = tuple(samples())
    order = [id(pair) for pair in data]
    train(start(book.Network), data)
    assert [id(pair) for pair in data] == order


@pytest.mark.parametrize("place", ["training_data", "test_data"])
def test_an_exhausted_iterator_is_an_error(fast, place):
    """An iterator that has been used up is refused by name, and nothing has changed."""
    net, used = start(fast.Network), iter([])
    before, values = states(), parameters(net)
    name = "evaluation_data" if is_chapter_3(fast) and place == "test_data" else place
    with pytest.raises(ValueError, match=rf"{name}.*exhausted"):
        train(net, used if place == "training_data" else samples(), test=used)
    assert states() == before
    assert all(a is b for a, b in zip(parameters(net), values, strict=True))


# -- copies, subclasses --------------------------------------------------------------


def other_init(self, hidden, note):
    type(self).__mro__[1].__init__(self, [5, hidden, 3])
    self.note = note


OWN = {
    module: type(f"Own{i}", (module.Network,), {"__init__": other_init, "__module__": __name__})
    for i, module in enumerate(BOOKS.values())
}
globals().update({cls.__name__: cls for cls in OWN.values()})  # where pickle looks for them

COPIES = {"deepcopy": copy.deepcopy, "copy": copy.copy} | {
    f"pickle {protocol}": lambda net, protocol=protocol: pickle.loads(pickle.dumps(net, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_are_whole_and_independent(book, way):
    """Copies and pickles keep class, state and the user's attributes, and train on their own."""
    np.random.seed(4)
    net = OWN[book](4, note={"best": [1, 2]})
    net.extra = np.arange(3)
    twin = COPIES[way](net)
    assert type(twin) is OWN[book]
    assert twin.note == {"best": [1, 2]}
    assert twin.extra.tolist() == [0, 1, 2]
    assert (twin.sizes, twin.num_layers) == (net.sizes, net.num_layers)
    values = copy.deepcopy(parameters(net))
    step(twin, samples())
    for array, value in zip(parameters(net), values, strict=True):
        np.testing.assert_array_equal(array, value)
    step(net, samples())
    for a, b in zip(parameters(net), parameters(twin), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pickle_holds_no_more_than_the_arrays(book):
    """A pickle is as large as the public arrays: neither block nor workspace is in it."""
    net = start(book.Network, sizes=[40, 41, 1])
    step(net, [(np.ones((40, 1)), np.zeros((1, 1)))])
    assert len(pickle.dumps(net)) <= sum(a.nbytes for a in parameters(net)) + 2048


@pytest.mark.parametrize(
    "own", [["__getstate__"], ["__setstate__"], ["__getstate__", "__setstate__"]]
)
def test_own_getstate_may_copy_the_dict(book, own):
    """A class may say by ``self.__dict__`` which of its attributes a copy takes along."""

    def getstate(self):
        return {name: value for name, value in self.__dict__.items() if name != "log"}

    def setstate(self, state):
        self.__dict__.update(state)
        self.__dict__.pop("log", None)

    hooks = {"__getstate__": getstate, "__setstate__": setstate}
    net = start(type("Own", (book.Network,), {name: hooks[name] for name in own}))
    net.log = open  # stands for what cannot be pickled or is not wanted
    twin = copy.deepcopy(net)
    assert not hasattr(twin, "log")
    step(twin, samples())
    step(net, samples())
    np.testing.assert_array_equal(twin.weights[0], net.weights[0])


def test_the_best_network_can_be_copied_in_training(book):
    """A copy made by an overridden monitor, while training runs, is a network like any other."""
    name = "accuracy" if is_chapter_3(book) else "evaluate"
    kept = []

    def keep(self, data, *rest, **options):
        kept.append(copy.deepcopy(self))
        step(kept[-1], samples())
        return 0

    net = start(type("Own", (book.Network,), {name: keep}))
    train(net, samples(), 1, test=labelled())
    step(net, samples())
    np.testing.assert_array_equal(kept[-1].weights[0], net.weights[0])


def test_weights_may_be_set_before_the_books_init(book):
    """A subclass may set weights first: the book's ``__init__`` then draws over them."""

    class Own(book.Network):
        def __init__(self, sizes):
            self.weights = [np.zeros((4, 5)), np.zeros((3, 4))]
            assert not hasattr(self, "biases")
            super().__init__(sizes)

    np.testing.assert_array_equal(start(Own).weights[0], start(book.Network).weights[0])


def test_a_subclass_need_not_call_the_books_init(book):
    """A subclass that sets every attribute by itself trains like any other."""
    donor = start(book.Network)

    class Own(book.Network):
        def __init__(self):
            self.sizes, self.num_layers = SIZES, 3
            self.weights, self.biases = donor.weights, donor.biases
            if is_chapter_3(book):
                self.cost = book.CrossEntropyCost

    nets = [Own(), donor]
    for net in nets:
        random.seed(1)
        train(net, samples(), test=labelled())
    for a, b in zip(*map(parameters, nets), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_without_weights_has_no_such_attribute(book):
    """Until they are set, ``weights`` and ``biases`` are absent, as any attribute would be."""
    net = book.Network.__new__(book.Network)
    assert not hasattr(net, "weights")
    assert getattr(net, "biases", None) is None


# -- where the book's class keeps its state ------------------------------------------


def books_network(module):
    """Return an object as the book's own program pickles it: its class has a plain ``__dict__``."""
    name = module.__name__.rpartition(".")[2]
    program = ModuleType(name)
    exec("class Network(object): pass\nclass CrossEntropyCost(object): pass\n", vars(program))
    net = program.Network()
    donor = start(BOOKS[f"reference.{name}"].Network)
    net.num_layers, net.sizes = 3, list(SIZES)
    net.biases, net.weights = donor.biases, donor.weights
    if is_chapter_3(module):
        net.cost = program.CrossEntropyCost
    return program, net


def of_python_2(net, protocol):
    """Return what Python 2 writes of an object of a class without a base, as the book has them."""
    state = pickle.dumps(vars(net), 0)
    return b"(i" + f"{type(net).__module__}\nNetwork\n".encode() + state[:-1] + b"b."


PICKLES = {f"protocol {n}": pickle.dumps for n in range(pickle.HIGHEST_PROTOCOL + 1)}
PICKLES["a class of Python 2"] = of_python_2


@pytest.mark.parametrize("way", PICKLES)
@pytest.mark.parametrize("module", [network, network2])
def test_a_pickle_of_the_books_own_class(module, way, monkeypatch):
    """A network that the book's program pickled is, read where our module has its name, ours."""
    program, theirs = books_network(module)
    protocol = int(way[-1]) if way[-1].isdigit() else 0
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, program.__name__, program)
        written = PICKLES[way](theirs, protocol)
    monkeypatch.setitem(sys.modules, program.__name__, module)
    net, right = pickle.loads(written), start(SPECIFICATION[module].Network)
    assert type(net) is module.Network
    for used in (net, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert_close([used.feedforward(samples()[0][0])], [right.feedforward(samples()[0][0])], 1)
        assert count(used, labelled()) == count(right, labelled())
    ends = []
    for trained in (net, right):
        random.seed(1)
        train(trained, samples(), test=labelled())
        ends.append(parameters(trained))
    assert_close(*ends)


KEEPERS = {
    "vars": lambda net, state: vars(net).update(state),
    "__dict__": lambda net, state: net.__dict__.update(state),
    "setattr": lambda net, state: [setattr(net, name, value) for name, value in state.items()],
}


@pytest.mark.parametrize("way", KEEPERS)
def test_a_state_may_be_put_into_the_dict(book, way):
    """What a program puts into ``net.__dict__``, as its own ``load`` does, is the network's."""
    net, other = start(book.Network, sizes=[5, 2, 3]), start(book.Network)
    state = {name: vars(other)[name] for name in ("num_layers", "sizes", "biases", "weights")}
    KEEPERS[way](net, state)
    assert vars(net)["weights"] is other.weights
    assert net.biases is other.biases
    right = start(SPECIFICATION[book].Network)
    x, y = samples()[0]
    assert_close([net.feedforward(x)], [right.feedforward(x)], 1)
    assert_close(net.backprop(x, y)[1], right.backprop(x, y)[1], 1)
    step(net, samples())
    step(right, samples())
    assert vars(net)["weights"] is net.weights
    assert_close(parameters(net), parameters(right))


def test_vars_can_be_pickled_and_shared(book):
    """The dict itself may be pickled, copied and given to another network, trained or not."""
    net, twin = start(book.Network), start(book.Network)
    step(net, samples())
    for state in (pickle.loads(pickle.dumps(vars(net))), copy.deepcopy(vars(net)), vars(net)):
        vars(twin).update(state)
        before = twin.weights
        with net._writing() if book in (network, network2) else nullcontext():
            thread = threading.Thread(target=step, args=(twin, samples()))
            thread.start()
            thread.join(60)
        assert twin.weights is not before


def test_weights_may_be_deleted(book):
    """``del net.weights`` is Python's own, and what is missing is an AttributeError."""
    net = start(book.Network)
    kept = net.weights
    del net.weights
    assert "weights" not in vars(net)
    with pytest.raises(AttributeError, match="weights"):
        net.feedforward(samples()[0][0])
    with pytest.raises(AttributeError):
        del net.weights
    net.weights = kept
    step(net, samples())


class Kept:
    """A descriptor that keeps what is set, transposed, under another name."""

    def __get__(self, net, cls):
        return self if net is None else [w.T.copy() for w in net.transposed]

    def __set__(self, net, weights):
        net.transposed = [w.T.copy() for w in weights]


@pytest.mark.parametrize("when", ["in a subclass", "later, in the class"])
def test_an_own_property_of_that_name(book, when, monkeypatch):
    """A property ``weights`` of a user's class is read and set; nothing is kept beside it."""
    cls = type("Own", (book.Network,), {"weights": Kept()} if when == "in a subclass" else {})
    net, plain = cls.__new__(cls), start(book.Network)
    if when != "in a subclass":
        monkeypatch.setattr(book.Network, "weights", Kept(), raising=False)
    random.seed(3)
    np.random.seed(4)
    net.__init__(SIZES)
    random.seed(1)
    train(net, samples(), test=labelled())
    step(net, samples())
    assert "weights" not in vars(net)
    ours = [*net.biases, *(w.T for w in net.transposed)]
    monkeypatch.undo()
    random.seed(1)
    train(plain, samples(), test=labelled())
    step(plain, samples())
    assert_close(ours, parameters(plain))


def test_an_own_setattr_is_told(book):
    """A class that watches its attributes sees each assignment, as with the book's program."""
    seen = []

    class Own(book.Network):
        def __setattr__(self, name, value):
            seen.append(name)
            super().__setattr__(name, value)

    net = start(Own)
    seen.clear()
    step(net, samples())
    assert seen == ["weights", "biases"]
    seen.clear()
    net.SGD(samples(), 2, 5, 0.5)
    assert seen == ["weights", "biases"] * 4


@pytest.mark.parametrize("when", ["weights", "biases"])
def test_an_own_property_is_set_after_each_mini_batch(book, when):
    """A property that changes what is set, as a bound on each weight does, acts on each step."""

    def bounded(module):
        def set_to(net, values):
            net.times = getattr(net, "times", 0) + 1
            net.bounded = [np.clip(value, -0.1, 0.1) for value in values]

        return type("Own", (module.Network,), {when: property(lambda net: net.bounded, set_to)})

    both = start(bounded(SPECIFICATION[book])), start(bounded(book))
    for net in both:
        random.seed(1)
        train(net, samples(), test=labelled())
    assert both[0].times == both[1].times > 3
    assert_close(parameters(both[1]), parameters(both[0]))


@pytest.mark.parametrize("value", [np.float64, "float64", float, np.dtype(np.float64)])
def test_an_attribute_dtype(book, value):
    """A program may keep the type of its arrays where fastbp does, in any form of it."""
    net, plain = start(book.Network), start(book.Network)
    net.dtype = value
    for trained in (net, plain):
        random.seed(1)
        step(trained, samples())
        train(trained, samples(), test=labelled())
        trained.backprop(*samples()[0])
    for a, b in zip(parameters(net), parameters(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    net.feedforward(samples()[0][0])


def test_slots_of_a_subclass_are_copied(book):
    """They are, and what comes back trains, whatever takes the copy."""
    net = start(type("Own", (book.Network,), {"__slots__": ("extra",)}))
    net.extra = [1]
    again = copy.deepcopy(net)
    assert again.extra == [1]
    assert again.extra is not net.extra
    step(again, samples())


def test_weights_may_be_an_array_of_arrays(book):
    """An object array serves as a list does, and training makes it one."""
    net, plain = start(book.Network), start(book.Network)
    both = np.array([[None] * len(net.weights)] * 2)
    both[0], both[1] = net.weights, net.biases
    net.weights, net.biases = both
    for trained in (net, plain):
        random.seed(1)
        step(trained, samples())
        train(trained, samples())
    assert_close(parameters(net), parameters(plain), 1)


class Slotted:
    """A class whose objects have a layout of their own."""

    __slots__ = ("note",)


@pytest.mark.parametrize("other", [Slotted, list, Exception])
def test_a_second_base_may_have_a_layout_of_its_own(book, other):
    """A network may derive from another class too, whatever its objects look like."""

    class Own(other, book.Network):
        def __init__(self, sizes):
            book.Network.__init__(self, sizes)

    net, plain = start(Own), start(book.Network)
    for trained in (net, plain):
        random.seed(1)
        train(trained, samples(), test=labelled())
    for a, b in zip(parameters(net), parameters(plain), strict=True):
        np.testing.assert_array_equal(a, b)


SCALARS = {
    "a float": float,
    "an int": round,
    "()": np.array,
    "(1,)": lambda y: np.array([y]),
    "float32": np.float32,
    "(1, 1)": lambda y: np.array([[y]]),
}


@pytest.mark.parametrize("kind", SCALARS)
def test_a_target_of_one_output_may_be_a_number(book, kind):
    """With one output, a target of shape (), (1,) or (1, 1) is the same, wherever pairs go in."""
    pairs = [(x, SCALARS[kind](float(s % 2))) for s, (x, _) in enumerate(samples())]
    plain = [(x, np.array([[float(s % 2)]])) for s, (x, _) in enumerate(samples())]
    ends = []
    for data in (pairs, plain):
        net = start(book.Network, sizes=[5, 4, 1])
        nabla_b, nabla_w = net.backprop(*data[1])
        assert [g.shape for g in nabla_w] == [(4, 5), (1, 4)]
        step(net, data)
        step(net, data[:1])
        train(net, list(data))
        costs = [net.total_cost(data, 0.1)] if is_chapter_3(book) else []
        ends.append([*nabla_b, *nabla_w, *parameters(net), np.array(costs)])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


STARS = {
    "network": ["Network", "np", "random", "sigmoid", "sigmoid_prime"],
    "network2": ["CrossEntropyCost", "Network", "QuadraticCost", "json", "load", "np", "random",
                 "sigmoid", "sigmoid_prime", "sys", "vectorized_result"],
    "mnist_loader": ["gzip", "load_data", "load_data_wrapper", "np", "pickle",
                     "vectorized_result"],
}  # fmt: skip


@pytest.mark.parametrize("name", STARS)
def test_star_imports_bring_what_the_books_modules_do(name, monkeypatch):
    """``from network2 import *`` also brings the modules that the book's imports."""
    from fastbp import mnist_loader

    module = {"network": network, "network2": network2, "mnist_loader": mnist_loader}[name]
    monkeypatch.setitem(sys.modules, name, module)
    brought = {}
    exec(f"from {name} import *", brought)
    assert {n for n in brought if n[0] != "_"} == set(STARS[name])
    for library in ("np", "random", "json", "sys", "gzip", "pickle"):
        if library in brought:
            assert brought[library] is sys.modules[{"np": "numpy"}.get(library, library)]
            assert getattr(module, library) is brought[library]


# -- printed lines -------------------------------------------------------------------


def test_lines_of_chapter_1(book1, capsys):
    """Each epoch prints its count of right answers, ``verbose=False`` nothing."""
    net, data, test = start(book1.Network), samples(), labelled()
    for _ in range(3):  # one epoch a call, so that each count can be taken again
        assert net.SGD(data, 1, 4, 0.5, test_data=test) is None
        assert capsys.readouterr().out == f"Epoch 0: {net.evaluate(test)} / 6\n"
    net.SGD(data, 2, 4, 0.5, test, verbose=False)
    net.SGD(data, 3, 4, 0.5)
    assert capsys.readouterr().out == "Epoch 0 complete\nEpoch 1 complete\nEpoch 2 complete\n"


MONITORS = {  # in the order of the lines; where its list stands among the four returned
    "monitor_training_cost": (2, "Cost on training data: {}\n"),
    "monitor_training_accuracy": (3, "Accuracy on training data: {} / 10\n"),
    "monitor_evaluation_cost": (0, "Cost on evaluation data: {}\n"),
    "monitor_evaluation_accuracy": (1, "Accuracy on evaluation data: {} / 6\n"),
}


@pytest.mark.parametrize("chosen", [*((name,) for name in MONITORS), (), tuple(MONITORS)])
def test_lines_and_lists_of_chapter_3(book2, chosen, capsys):
    """Monitors print in the book's order with a blank line an epoch, and fill their lists."""
    data, test, options = samples(), labelled(), dict.fromkeys(chosen, True)
    net = start(book2.Network)
    curves = net.SGD(data, 3, 4, 0.5, 0.3, evaluation_data=test, **options)
    assert isinstance(curves, tuple)
    expected = ""
    for epoch in range(3):
        expected += f"Epoch {epoch} training complete\n"
        for name in filter(chosen.__contains__, MONITORS):
            place, line = MONITORS[name]
            expected += line.format(curves[place][epoch])
        expected += "\n"
    assert capsys.readouterr().out == expected
    filled = {MONITORS[name][0] for name in chosen}
    assert [len(curve) for curve in curves] == [3 * (i in filled) for i in range(4)]
    last = (
        net.total_cost(test, 0.3, convert=True),
        net.accuracy(test),
        net.total_cost(data, 0.3),
        net.accuracy(data, convert=True),
    )
    for i in filled:
        assert curves[i][-1] == pytest.approx(last[i], rel=PUBLISHED_COST, abs=0)
    net.SGD(data, 2, 4, 0.5, 0.3, evaluation_data=test, **options, verbose=False)
    assert capsys.readouterr().out == ""


class Stream(io.StringIO):
    """A stream that knows what was written since the last flush."""

    waiting = ""

    def write(self, text):
        assert "\n" not in self.waiting, "a line was printed while another waited"
        self.waiting += text
        return super().write(text)

    def flush(self):
        self.waiting = ""


def test_each_line_is_flushed(book, monkeypatch):
    """A line is seen when it is printed, also through a pipe."""
    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    for test in (None, labelled()):
        train(start(book.Network), samples(), test=test)
        assert stream.waiting == ""
    assert stream.getvalue().count("Epoch") == 4


# -- early stopping ------------------------------------------------------------------


@pytest.mark.parametrize("monitored", [False, True])
@pytest.mark.parametrize(
    ("n", "accuracies", "epochs"),
    [
        (1, [3, 5, 5, 6], 3),
        (2, [3, 5, 5, 6, 6, 2, 7], 6),
        (2, [0, 0, 0, 0], 2),  # the best of the Python 3 ports counts from 0
        (3, [0, 0, 1, 0, 0, 0], 6),
        (3, [1, 2, 3, 4], 4),
        (0, [3, 3, 3, 3], 4),
    ],
)
def test_early_stopping(book2, n, accuracies, epochs, monitored):
    """Training ends after ``n`` epochs without a new best; 0 never ends it; lists so far return."""
    net, left = start(book2.Network), list(accuracies)
    net.accuracy = lambda data, convert=False: left.pop(0) if left else 0
    watch = [True, monitored, False, False]
    curves = net.SGD(samples(), len(accuracies), 4, 0.5, 0.0, labelled(), *watch, n)
    assert len(curves[0]) == epochs
    assert curves[1] == (accuracies[:epochs] if monitored else [])
    assert curves[2:] == ([], [])


# -- files ---------------------------------------------------------------------------

TO = {"reference to fast": (reference2, network2), "fast to reference": (network2, reference2)}
TO |= {"reference": (reference2, reference2), "fast": (network2, network2)}


@pytest.mark.parametrize("way", TO)
@pytest.mark.parametrize("name", ["QuadraticCost", "CrossEntropyCost"])
def test_files_go_both_ways(way, name, tmp_path):
    """JSON with exactly the book's keys carries every bit from any writer to any reader."""
    writer, reader = TO[way]
    net = start(writer.Network, getattr(writer, name), sizes=np.array(SIZES))
    train(net, samples())
    net.save(str(tmp_path / "net.json"))
    content = json.loads((tmp_path / "net.json").read_text())
    assert content.keys() == {"sizes", "weights", "biases", "cost"}
    assert (content["sizes"], content["cost"]) == (SIZES, name)
    got = reader.load(str(tmp_path / "net.json"))
    assert type(got) is reader.Network
    assert got.cost is getattr(reader, name)
    assert (got.sizes, got.num_layers) == (SIZES, 3)
    for a, b in zip(parameters(got), parameters(net), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_array_equal(a, b)
    step(got, samples())


def test_load_draws_as_a_new_network_does(book2, tmp_path):
    """``load`` makes a network first, as the book does: the random streams go on alike."""
    start(book2.Network).save(tmp_path / "net.json")
    after = states()
    np.random.seed(4)
    book2.load(tmp_path / "net.json")
    assert states() == after


@pytest.mark.parametrize("name", ["Network", "json", "sigmoid", "__doc__", "load", ""])
def test_cost_names_are_looked_up_in_a_table(book2, name, tmp_path):
    """A name of a file that is no cost is refused, whatever the module calls by that name."""
    path = tmp_path / "net.json"
    start(book2.Network).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cost": name}))
    with pytest.raises((KeyError, ValueError)):
        book2.load(path)


# -- options -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: 7, lambda: np.random.default_rng(7)])
def test_random_state_replaces_the_global_streams(book, make):
    """One generator gives start and order, the same in both classes; the global ones rest."""
    results = []
    for module in (book, SPECIFICATION[book]):
        data = samples()
        random.seed(3)
        np.random.seed(4)
        before, numbers = states(), {id(pair): i for i, pair in enumerate(data)}
        net = module.Network(SIZES, random_state=make())
        first = parameters(net)
        train(net, data, 3)
        if is_chapter_3(module):
            net.large_weight_initializer()
            first += net.weights
        assert states() == before
        results.append((first, parameters(net), [numbers[id(pair)] for pair in data]))
    generator = np.random.default_rng(7)
    biases = [generator.standard_normal((n, 1)) for n in SIZES[1:]]
    np.testing.assert_array_equal(results[0][0][1], biases[1])
    for a, b in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert_close(results[0][1], results[1][1])
    assert results[0][2] == results[1][2] != list(range(10))


def test_shuffle_option(book):
    """False keeps order and generator; a function takes the place of ``random.shuffle``."""
    data = samples()
    for option, order in ((False, list(data)), (list.reverse, data[::-1])):
        net = start(book.Network)
        before = states()
        expected = by_hand(net, order, 4)
        train(net, data, 1, shuffle=option)
        assert states() == before
        assert [id(pair) for pair in data] == [id(pair) for pair in order]
        assert_close(parameters(net), expected, 10)


def test_dtype_option(fast):
    """A float32 network is drawn in float64, then cast, and stays float32 within its bounds."""
    net, wide = start(fast.Network, dtype=np.float32), start(SPECIFICATION[fast].Network)
    for a, b in zip(parameters(net), parameters(wide), strict=True):
        np.testing.assert_array_equal(a, b.astype(np.float32))
        b[:] = a
    for each in (net, wide):
        train_in_order(each, samples())
        step(each, samples())
    assert {a.dtype for a in parameters(net)} == {np.dtype(np.float32)}
    assert net.feedforward(np.ones((5, 1))).dtype == np.float32
    assert_close(parameters(net), parameters(wide), 10, np.float32)


def test_check_finite_option(fast):
    """NaN is looked for before anything happens, unless ``check_finite=False``."""
    data, net = samples(), start(fast.Network)
    data[3][0][2] = np.nan
    train(net, data, 0, check_finite=False)
    before = states()
    with pytest.raises(ValueError, match=r"training_data\[3\]\[0\]\[2\]"):
        train(net, data, 1)
    assert states() == before


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("random_state", [None, 7])
def test_sgd_never_reorders_a_dataset(fast, own, random_state):
    """A Dataset is trained in the order of the list, from the same stream, and stays as it is."""
    pairs = samples()
    X, Y = (np.hstack(columns).T.copy() for columns in zip(*pairs, strict=True))
    data, nets = Dataset(X.copy(), Y.copy()), []
    for given in (pairs, data):
        net = start(fast.Network, random_state=random_state)
        if own:
            net.backprop = net.backprop
        train(net, given)
        nets.append((parameters(net), states()))
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.Y, Y)
    assert nets[0][1] == nets[1][1]
    assert_close(nets[0][0], nets[1][0])


def test_any_way_to_shuffle_serves_a_dataset(fast):
    """A function may reorder by writing equal values: the order it leaves is the one trained in."""
    rows = np.random.default_rng(0)
    data = Dataset(rows.standard_normal((300, 5)), rows.integers(3, size=300))
    nets = [start(fast.Network), start(fast.Network)]
    order = np.random.default_rng(1).permutation(300)

    def reorder(x):
        x[:] = [x[int(i)] + 0 if isinstance(x[i], int) else x[i] for i in order]

    train(nets[0], data, 1, 50, shuffle=reorder)
    train(nets[1], data[order], 1, 50, shuffle=False)
    assert_close(parameters(nets[0]), parameters(nets[1]), 10)
