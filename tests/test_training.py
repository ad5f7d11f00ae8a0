"""``fastbp.train``: activations, costs, optimizers and techniques against the reference."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tolerances import COMPLEX_STEP, GRADIENT, RUNNING_COST, STEPS
from twins import DTYPES, flat, norm_error

import fastbp
from fastbp import Dataset, gradients, network2, optimizers, samples, schedules
from fastbp.functions import ACTIVATIONS, COSTS, HIDDEN, OUTPUTS
from fastbp.reference import functions as reference
from fastbp.training import loop

CLASSES = {
    "quadratic": network2.QuadraticCost,
    "cross_entropy": network2.CrossEntropyCost,
    "log_likelihood": network2.LogLikelihoodCost,
    "poisson": network2.PoissonCost,
}
PAIRS = [(h, o, c) for c, outputs in OUTPUTS.items() for o in outputs for h in HIDDEN]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


def network_of(sizes, hidden, output, cost, dtype=np.float64, seed=0):
    """Return a network of these functions; exponentials need small weights."""
    return network2.Network(
        sizes, CLASSES[cost], activation=hidden, output_activation=output,
        initializer="lecun", dtype=dtype, random_state=seed,
    )  # fmt: skip


def data_of(sizes, n, seed=0):
    """Return n samples; targets between 0 and 1, as every cost admits them."""
    rng = np.random.default_rng(seed)
    return Dataset(rng.uniform(-1, 1, (n, sizes[0])), rng.uniform(0, 1, (n, sizes[-1])))


def reference_gradient(net, data, cost, weights=None):
    """Return the reference's gradient of the summed, weighted cost, as one vector."""
    biases, w = ([a.astype(np.float64) for a in part] for part in (net.biases, net.weights))
    weights = np.ones(len(data)) if weights is None else weights
    return sum(
        factor * flat(*reference.gradient(biases, w, net.activations, cost, x, y))
        for factor, (x, y) in zip(weights, data, strict=True)
    )


# -- activations and costs -----------------------------------------------------------------


def test_the_tables_agree():
    """The reference knows the same activations; every cost has outputs and a class."""
    assert reference.ACTIVATIONS.keys() == ACTIVATIONS.keys()
    assert OUTPUTS.keys() == COSTS.keys() == CLASSES.keys()


@pytest.mark.core
@both_dtypes
@pytest.mark.parametrize(("hidden", "output", "cost"), PAIRS)
def test_gradient_of_every_pair(hidden, output, cost, dtype):
    """A block's gradient, each sample's, and the outputs, with sample weights."""
    sizes = [5, 7, 4, 3]
    net, data = network_of(sizes, hidden, output, cost, dtype), data_of(sizes, 150)
    data = Dataset(data.X.astype(dtype), data.Y.astype(dtype))
    weights = np.random.default_rng(1).uniform(0, 2, len(data)).astype(dtype)
    right = reference_gradient(net, data, cost, weights)
    found = gradients.gradient(net, data, sample_weight=weights, reduction="sum")
    assert norm_error(flat(*found), right) <= GRADIENT[dtype]
    x, y = data[3]
    assert norm_error(
        flat(*net.backprop(x, y)), reference_gradient(net, data[3:4], cost)
    ) <= GRADIENT[dtype]  # fmt: skip
    a = x
    for b, w, name in zip(net.biases, net.weights, net.activations, strict=True):
        a = reference.ACTIVATIONS[name][0](w.astype(np.float64) @ a + b)
    assert norm_error(net.feedforward(x), a) <= GRADIENT[dtype]


@pytest.mark.parametrize(("hidden", "output", "cost"), PAIRS)
def test_complex_step_of_every_pair(hidden, output, cost):
    """The gradient is the derivative of the cost that the history shows, penalties included."""
    sizes = [4, 5, 3, 2]
    net, data = network_of(sizes, hidden, output, cost, seed=3), data_of(sizes, 6, 3)
    check = gradients.check_gradient(net, data)
    assert check.worst <= COMPLEX_STEP, str(check)
    each = gradients.per_sample_costs(net, data)
    a = net.feedforward(data)
    right = [reference.cost(cost, p, q) for p, q in zip(a, data.Y, strict=True)]
    np.testing.assert_allclose(each, right, rtol=1e-12)


@both_dtypes
@pytest.mark.parametrize(("hidden", "output", "cost"), PAIRS)
def test_second_derivatives_of_every_pair(hidden, output, cost, dtype):
    """A Hessian product is the gradient's change; the Jacobian the outputs'."""
    sizes, h = [4, 5, 3, 2], 1e-6
    net, data = network_of(sizes, hidden, output, cost, dtype, seed=3), data_of(sizes, 6, 3)
    theta = gradients.flatten(net).astype(np.float64)
    v = np.random.default_rng(0).standard_normal(theta.size)
    double = network_of(sizes, hidden, output, cost)

    def gradient_at(vector):
        double.biases, double.weights = gradients.unflatten(double, vector)
        return flat(*gradients.gradient(double, data))

    right = (gradient_at(theta + h * v) - gradient_at(theta - h * v)) / (2 * h)
    accept = 1e-6 if dtype == np.float64 else 1e-3
    assert norm_error(gradients.hessian_vector_product(net, data, v), right) <= accept
    double.biases, double.weights = gradients.unflatten(double, theta)
    J = gradients.jacobian(net, data.X)
    for k, step in enumerate(np.eye(sizes[0]) * h):
        above, below = (double.feedforward((data.X + s * step).T.copy()).T for s in (1, -1))
        assert norm_error(J[:, :, k], (above - below) / (2 * h)) <= accept


@pytest.mark.core
@both_dtypes
@pytest.mark.parametrize("n", [2, 8, 10, 17])
def test_softmax_of_large_weighted_inputs(n, dtype):
    """A shift of all of them changes no bit, wherever the largest is; of one sample and of many."""
    net = network_of([1, n], "sigmoid", "softmax", "log_likelihood", dtype)
    net.weights, X = [np.zeros((n, 1), dtype)], Dataset(np.ones((5, 1)), np.zeros(5))
    for largest in range(n):
        z = np.zeros((n, 1), dtype)
        z[largest] = 3
        found = []
        for shift in (0, 10_000, -10_000):
            net.biases = [z + dtype(shift)]
            found += [net.feedforward(np.ones((1, 1))).T, *net.feedforward(X)]
        assert {row.tobytes() for row in found} == {found[0].tobytes()}
        assert found[0].argmax() == largest
        assert np.isfinite(found[0]).all()


@both_dtypes
def test_saturated_costs_keep_their_digits(dtype):
    """Where an output is 1 to rounding, the cost is still that of its weighted input."""
    for cost, output in (("cross_entropy", "sigmoid"), ("log_likelihood", "softmax")):
        net = network_of([1, 2], "sigmoid", output, cost, dtype)
        net.weights, net.biases = [np.array([[60.0], [-60.0]], dtype)], [np.zeros((2, 1), dtype)]
        found = gradients.per_sample_costs(net, Dataset([[1.0]], [[0.0, 1.0]]))
        np.testing.assert_allclose(found, 120.0, rtol=1e-6)


@pytest.mark.parametrize("options", [
    {"activation": "softmax"}, {"activation": "swish"}, {"output_activation": "softmax"},
    {"activation": ["relu"]}, {"activation": ["relu", "sigmoid"], "output_activation": "tanh"},
    {"initializer": "best"}, {"initializer": lambda sizes, generator: 3},
    {"initializer": lambda sizes, generator: ([np.zeros((9, 1))], [])},
])  # fmt: skip
def test_what_does_not_fit_is_refused(options):
    """A pair that is not admitted, an unknown name, a wrong number of names: an error."""
    with pytest.raises((ValueError, TypeError), match="expected"):
        network2.Network([3, 4, 2], **options)


@pytest.mark.parametrize(("name", "std"), [
    ("glorot", np.sqrt(2 / 700)), ("he", np.sqrt(2 / 400)), ("lecun", np.sqrt(1 / 400)),
    ("book", np.sqrt(1 / 400)), ("large", 1.0),
])  # fmt: skip
def test_initializers(name, std):
    """The spread of the weights is the rule's; the new rules begin without biases."""
    net = network2.Network([400, 300, 10], initializer=name, random_state=0)
    assert abs(net.weights[0].std() / std - 1) < 0.01
    assert (net.biases[0] == 0).all() == (name not in ("book", "large"))


def test_a_file_keeps_the_activations(tmp_path):
    """What is saved and loaded gives the same outputs, whatever its functions."""
    net = network_of([3, 4, 2], "tanh", "softmax", "log_likelihood")
    net.save(tmp_path / "net.json")
    again = network2.load(tmp_path / "net.json")
    x = np.ones((3, 1))
    assert again.activations == ("tanh", "softmax")
    assert (again.feedforward(x) == net.feedforward(x)).all()


# -- optimizers ----------------------------------------------------------------------------

RULES = {
    "sgd": (optimizers.SGD(eta=0.3), reference.Momentum(0.3, 0.0)),
    "momentum": (optimizers.SGD(eta=0.1, momentum=0.8), reference.Momentum(0.1, 0.8)),
    "nesterov": (
        optimizers.SGD(eta=0.1, momentum=0.8, nesterov=True),
        reference.Momentum(0.1, 0.8, nesterov=True),
    ),
    "rmsprop": (optimizers.RMSprop(eta=0.01, rho=0.7), reference.RMSprop(0.01, 0.7, 1e-8)),
    "adam": (
        optimizers.Adam(eta=0.01, beta_1=0.8, beta_2=0.95),
        reference.Adam(0.01, 0.8, 0.95, 1e-8),
    ),
    "adamw": (
        optimizers.AdamW(eta=0.01, weight_decay=0.3),
        reference.Adam(0.01, 0.9, 0.999, 1e-8, decay=0.3),
    ),
}


def test_every_optimizer_is_tested():
    """Each name has a rule of the reference's beside it; L-BFGS is SciPy's."""
    assert RULES.keys() | {"lbfgs"} == optimizers.TABLE.keys()


@pytest.mark.core
@both_dtypes
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    "penalties",
    [(0.0, 0.0, 0.0), (0.01, 0.02, 0.0), (0.0, 0.0, 0.3), (0.01, 0.02, 0.3)],
    ids=["plain", "l1 and l2", "alpha", "all"],
)
@pytest.mark.parametrize("name", RULES)
def test_a_hundred_steps(name, penalties, dtype, n_threads):
    """Each optimizer's steps are the reference's, with a ragged last mini-batch, and weights."""
    import copy

    rule, judge = RULES[name]
    judge = copy.deepcopy(judge)
    l1, l2, alpha = penalties if name != "adamw" else (penalties[0], 0.0, 0.0)
    sizes, batch, n = [4, 6, 3], 10, 95
    net, data = network_of(sizes, "tanh", "sigmoid", "cross_entropy", dtype), data_of(sizes, n)
    data = Dataset(data.X.astype(dtype), data.Y.astype(dtype))
    weights = np.random.default_rng(1).uniform(0, 2, n).astype(dtype).astype(np.float64)
    theta = gradients.flatten(net).astype(np.float64)
    twin = network_of(sizes, "tanh", "sigmoid", "cross_entropy")
    is_weight = np.arange(theta.size) >= sum(sizes[1:])
    for epoch in range(10):
        order = np.random.default_rng([7, epoch]).permutation(n)
        for start in range(0, n, batch):
            rows = order[start : start + batch]
            twin.biases, twin.weights = gradients.unflatten(twin, theta)
            g = reference_gradient(twin, data[rows], "cross_entropy", weights[rows])
            total = weights[rows].sum()
            g = g / total
            decayed = is_weight * ((l2 + alpha / total) * theta + l1 * np.sign(theta))
            if name == "adamw":  # the reference decays all: the biases are put back
                before = theta
                theta = judge.step(theta, g + decayed)
                theta = theta + ~is_weight * (judge.eta * judge.decay * before)
            else:
                theta = judge.step(theta, g + decayed)
    history = fastbp.train(
        net, data, epochs=10, mini_batch_size=batch, optimizer=rule, l1=l1, l2=l2, alpha=alpha,
        sample_weight=weights, random_state=7, n_threads=n_threads,
    )  # fmt: skip
    assert history.epochs == 10
    # Adam divides by gradients' sizes: where those are small, rounding counts for more.
    accept = STEPS[dtype][100] * (10 if name in ("adam", "adamw", "rmsprop") else 1)
    error = np.abs(gradients.flatten(net) - theta).max() / max(1, np.abs(theta).max())
    assert error <= accept


@both_dtypes
def test_epsilon_hat_is_added_before_the_correction(dtype):
    """Step by step, it counts as an epsilon over the root of 1 - beta_2^t, in algorithm 1."""
    data, ends = data_of([4, 6, 3], 30), []
    for hat in (True, False):
        state, net = optimizers.State(), network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")
        for t in range(1, 6):
            epsilon = 0.01 if hat else 0.01 / np.sqrt(1 - 0.9**t)
            rule = optimizers.Adam(eta=0.01, beta_2=0.9, epsilon=epsilon, epsilon_hat=hat)
            fastbp.train(net, data, epochs=1, optimizer=rule, shuffle=False, state=state)
        ends.append(gradients.flatten(net))
    assert np.abs(ends[0] - ends[1]).max() <= STEPS[np.float64][10]


@both_dtypes
@pytest.mark.parametrize("name", RULES)
def test_a_state_goes_on(name, dtype):
    """Two calls with one state take the steps of one call; without it they do not."""
    data = data_of([4, 6, 3], 50)

    def end(*epochs, **more):
        net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood", dtype)
        for n in epochs:
            fastbp.train(
                net, data, epochs=n, mini_batch_size=7, random_state=3, dropout=0.3,
                optimizer=RULES[name][0], shuffle=False, **more,
            )  # fmt: skip
        return gradients.flatten(net)

    state = optimizers.State()
    whole = end(5, state=state)
    assert (end(2, 3, state=(again := optimizers.State())) == whole).all()
    assert (again.updates, again.samples) == (state.updates, state.samples) == (40, 250)
    if state.moments is not None:
        assert (again.moments == state.moments).all()
        assert not (end(2, 3) == whole).all()
        with pytest.raises(ValueError, match="state: expected the memory of this network's"):
            fastbp.train(
                network_of([4, 99, 3], "tanh", "softmax", "log_likelihood"), data, epochs=1,
                optimizer=RULES[name][0], state=state,
            )  # fmt: skip


def test_a_shuffle_of_ones_own():
    """A function's order is the epochs', one upon the other; False is the order of the data."""
    data, order, ours = data_of([4, 3], 23), np.arange(23), np.random.RandomState(5)
    kinds = {"optimizer": optimizers.SGD(eta=0.5), "epochs": 1, "shuffle": False}
    rows = {}
    for epochs in (1, 2, 3):
        ours.shuffle(order)
        rows[epochs] = order.copy()
    net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")
    for epochs in rows:
        fastbp.train(net, data[rows[epochs]], mini_batch_size=7, **kinds)
    theirs = np.random.RandomState(5).shuffle
    theta, _ = trained(data, **kinds | {"epochs": 3, "shuffle": theirs})
    assert (theta == gradients.flatten(net)).all()


def assert_costs_before_each_step(begin, data, batch, weights, penalties, **options):
    """The cost in the history is that of each mini-batch, with penalties, before its step.

    The second mini-batch weighs nothing, and has no cost but those of l1 and l2.
    """
    l1, l2, alpha = penalties
    options |= {"l1": l1, "l2": l2, "alpha": alpha, "epochs": 1, "mini_batch_size": batch}
    order, each = np.random.default_rng(2).permutation(len(data)), []
    weights[order[batch : 2 * batch]] = 0

    def reorder(rows):
        rows[:] = order

    for start in range(0, len(data), batch):
        before, done, rows = begin(), order[:start], order[start : start + batch]
        if start:
            fastbp.train(
                before, data[done], sample_weight=weights[done], shuffle=False, **options
            )  # fmt: skip
        total, costs = weights[rows].sum(), gradients.per_sample_costs(before, data[rows])
        cost = np.average(costs, weights=weights[rows]) if total else 0.0
        shared = l2 + (alpha / total if total else 0.0)
        for w in before.weights:
            w = w.astype(np.float64)
            cost += l1 * np.abs(w).sum() + shared / 2 * (w**2).sum()
        each += [cost] * len(costs)
    net = begin()
    (found,) = fastbp.train(
        net, data, sample_weight=weights, shuffle=reorder, evaluate=False, **options
    )["cost"]  # fmt: skip
    assert found == pytest.approx(np.mean(each), rel=RUNNING_COST[net.dtype.type])
    return found


@both_dtypes
@pytest.mark.parametrize(("hidden", "output", "cost"), PAIRS[::6] + PAIRS[-1:])
def test_the_cost_of_mini_batches(hidden, output, cost, dtype):
    """It is that of the samples, by their weights, of every activation and cost."""
    sizes, weights = [4, 6, 3], np.random.default_rng(0).uniform(0, 2, 95)
    assert_costs_before_each_step(
        lambda: network_of(sizes, hidden, output, cost, dtype), data_of(sizes, 95), 10, weights,
        (0.01, 0.1, 0.3), optimizer=optimizers.SGD(eta=0.1),
    )  # fmt: skip


BATCHES = {
    "the last is shorter": (95, 10),
    "of one sample each": (9, 1),
    "larger than a block": (350, 150),
    "with pauses within": (3500, 1500),
}


@both_dtypes
@pytest.mark.parametrize(("n", "batch"), BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("penalties", [(0.0, 0.2, 0.0), (0.05, 0.0, 2.0)], ids=["l2", "l1, alpha"])
def test_the_penalty_of_mini_batches(penalties, name, n, batch, dtype, monkeypatch):
    """It is that of the weights before each step, whatever the batch; threads change no bit."""
    monkeypatch.setattr("fastbp.training.threads._WORK", 1.0)
    monkeypatch.setattr("fastbp.training.loop._SECONDS", 0.0)
    sizes, weights = [4, 6, 3], np.random.default_rng(0).uniform(0.1, 2, n)
    if name == "adamw":  # its decay is no part of the cost
        penalties, name = (penalties[0], 0.0, 0.0), optimizers.AdamW(weight_decay=0.5)
    found = [
        assert_costs_before_each_step(
            lambda: network_of(sizes, "tanh", "softmax", "log_likelihood", dtype),
            data_of(sizes, n), batch, weights, penalties, optimizer=name, n_threads=n_threads,
        )
        for n_threads in (1, 2)
    ]  # fmt: skip
    assert found[0] == found[1]


def test_a_score_of_ones_own():
    """It is told targets and outputs, noted, and what early stopping goes by."""
    data, validation = data_of([4, 3], 30), data_of([4, 3], 9, 1)
    seen, scores = [], [0.1, 0.7, 0.2, 0.3, 0.9]

    def score(targets, outputs):
        seen.append((targets, outputs))
        return scores[len(seen) - 1]

    states = []
    theta, history = trained(
        data, epochs=9, validation=validation, score=score, early_stopping=2,
        callbacks=[lambda net, history: states.append((gradients.flatten(net), net))],
    )  # fmt: skip
    assert history["validation_score"] == scores[:4]
    assert (history.stopped, history["validation_accuracy"]) == ("early stopping", [])
    assert (theta == states[1][0]).all()
    assert (seen[0][0] == validation.Y).all()
    net = states[1][1]
    np.testing.assert_allclose(seen[1][1], net.feedforward(validation))


def test_lbfgs_finds_the_minimum():
    """The quasi-Newton method ends where the gradient, with its penalty, vanishes."""
    pytest.importorskip("scipy", reason="L-BFGS is SciPy's")
    sizes = [4, 3]
    net, data = network_of(sizes, "tanh", "softmax", "log_likelihood"), data_of(sizes, 40)
    weights = np.random.default_rng(0).uniform(0.5, 2, 40)
    history = fastbp.train(
        net, data, epochs=500, optimizer=optimizers.LBFGS(tolerance=1e-9), l2=0.1,
        sample_weight=weights,
    )  # fmt: skip
    assert history.stopped == "converged"
    g = reference_gradient(net, data, "log_likelihood", weights) / weights.sum()
    g[sizes[1] :] += 0.1 * net.weights[0].ravel()
    assert np.abs(g).max() < 1e-8
    assert history["cost"] == sorted(history["cost"], reverse=True)


# -- weights of samples, penalties -----------------------------------------------------------


def trained(data, dtype=np.float64, **options):
    """Return the parameters after some epochs from a fixed start, and the history."""
    sizes = [data.X.shape[1], 6, 3]
    net = network_of(sizes, "tanh", "softmax", "log_likelihood", dtype)
    options = {"epochs": 3, "mini_batch_size": 7, "random_state": 3} | options
    history = fastbp.train(net, data, **options)
    return gradients.flatten(net), history


@both_dtypes
def test_weight_two_is_the_sample_twice(dtype):
    """On the full batch a weight of 2 counts as a second copy, of 0 as none."""
    data = data_of([4, 6, 3], 30)
    counts = np.random.default_rng(0).integers(0, 3, 30)
    repeated = data[np.repeat(np.arange(30), counts)]
    options = {"mini_batch_size": 100, "optimizer": "sgd", "dtype": dtype, "epochs": 5}
    weighted, history = trained(data, sample_weight=counts, **options)
    twice, again = trained(repeated, **options)
    error = np.abs(weighted - twice).max() / max(1, np.abs(twice).max())
    assert error <= STEPS[dtype][10]
    np.testing.assert_allclose(history["cost"], again["cost"], rtol=1e-5)


def test_class_weights_are_sample_weights():
    """A factor on a class, or the balance of all, is that factor on each of its samples."""
    X = data_of([4, 3], 30).X
    labels = np.array([0] * 20 + [1] * 8 + [2] * 2)
    data = Dataset(X, labels)
    by_class, _ = trained(data, class_weight={0: 0.5, 2: 3.0})
    by_sample, _ = trained(data, sample_weight=np.array([0.5, 1.0, 3.0])[labels])
    assert (by_class == by_sample).all()
    balanced, _ = trained(data, class_weight="balanced")
    factors = 30 / (3 * np.array([20, 8, 2]))
    by_sample, _ = trained(data, sample_weight=factors[labels])
    assert (balanced == by_sample).all()


RULES_BY_WEIGHT = {
    "sgd": {"optimizer": "sgd", "clip_norm": 0.25},
    "adam": {"optimizer": "adam", "evaluate": False, "mini_batch_size": 7},
    "lbfgs": {"optimizer": "lbfgs"},
    "classes": {"optimizer": "momentum", "class_weight": {0: 0.5, 2: 3.0}},
}


@both_dtypes
@pytest.mark.parametrize("exponent", [-1060, -900, -140, -3, 1, 100, 1020])
@pytest.mark.parametrize("options", RULES_BY_WEIGHT.values(), ids=RULES_BY_WEIGHT)
def test_no_unit_of_weights_changes_a_bit(options, exponent, dtype):
    """Weights times a power of two, alpha and clip_norm alike: the same parameters and costs."""
    if options["optimizer"] == "lbfgs":
        pytest.importorskip("scipy", reason="L-BFGS is SciPy's")
    data = Dataset(data_of([4, 3], 30).X, np.arange(30) % 3)
    weights, ends = np.random.default_rng(0).integers(0, 17, 30) / 8, []
    weights[10:20] = 0  # a mini-batch that weighs nothing
    for unit in (1.0, 2.0**exponent):
        told = dict(options, shuffle=False, mini_batch_size=10, sample_weight=weights * unit)
        told |= {"alpha": unit / 64}
        if "clip_norm" in told:
            told["clip_norm"] *= unit
        ends.append(trained(data, dtype, **told))
    assert (ends[0][0] == ends[1][0]).all()
    assert ends[0][1]["cost"] == ends[1][1]["cost"]
    assert not (ends[0][0] == trained(data, dtype, epochs=0)[0]).all()


ODD = np.arange(30) % 2
# Options that leave the weights in the second column.
EXTREMES = {
    "large floats": ({"sample_weight": np.full(30, 1e37, np.float32)}, np.ones(30)),
    "small floats": ({"sample_weight": np.full(30, 1e-38, np.float32)}, np.ones(30)),
    "smallest floats": ({"sample_weight": np.full(30, 1e-45, np.float32)}, np.ones(30)),
    "large": ({"sample_weight": np.full(30, 1e308)}, np.ones(30)),
    "largest": ({"sample_weight": np.full(30, np.finfo(float).max)}, np.ones(30)),
    "small": ({"sample_weight": np.full(30, 1e-300)}, np.ones(30)),
    "smallest": ({"sample_weight": np.full(30, 5e-324)}, np.ones(30)),
    "large beside small": ({"sample_weight": np.where(ODD, 1e308, 1e-308)}, ODD),
    "large beside 0": ({"sample_weight": np.where(ODD, 1e308, 0)}, ODD),
    "classes": ({"class_weight": {0: 1e300, 1: 3e300, 2: 1e300}}, np.tile([1.0, 3.0, 1.0], 10)),
    "a product beyond floats": (
        {"sample_weight": np.full(30, 1e300), "class_weight": dict.fromkeys(range(3), 1e300)},
        np.ones(30),
    ),
    "a product below floats": (
        {"sample_weight": np.full(30, 1e-320), "class_weight": dict.fromkeys(range(3), 1e-9)},
        np.ones(30),
    ),
}  # fmt: skip


@both_dtypes
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("given", "weights"), EXTREMES.values(), ids=EXTREMES)
def test_the_mean_is_free_of_scale(given, weights, optimizer, dtype):
    """Weights of any size that a float has train as plain ones of the same proportions."""
    data = Dataset(data_of([4, 3], 30).X, np.arange(30) % 3)
    found, history = trained(data, dtype, optimizer=optimizer, **given)
    right, plain = trained(data, dtype, optimizer=optimizer, sample_weight=weights)
    error = np.abs(found - right).max() / max(1, np.abs(right).max())
    assert error <= STEPS[dtype][100]
    np.testing.assert_allclose(history["cost"], plain["cost"], rtol=RUNNING_COST[dtype])
    assert not (found == trained(data, dtype, epochs=0)[0]).all()


@both_dtypes
def test_weights_are_a_copy(dtype):
    """Whoever edits the array of weights while a run goes on changes nothing in it."""
    data, weights = data_of([4, 3], 30), np.ones(30, dtype)

    def edit(net, history):
        weights[:] = 0
        weights[0] = 1

    right, _ = trained(data, dtype, sample_weight=weights)
    found, _ = trained(data, dtype, sample_weight=weights, callbacks=[edit])
    assert (found == right).all()


def test_l2_is_the_books_decay():
    """With l2 = lmbda / n, plain steps are those of the book's SGD."""
    data = data_of([4, 6, 3], 30)
    ours = network_of([4, 6, 3], "sigmoid", "sigmoid", "cross_entropy")
    book = network_of([4, 6, 3], "sigmoid", "sigmoid", "cross_entropy")
    fastbp.train(
        ours, data, epochs=1, mini_batch_size=7, optimizer=optimizers.SGD(eta=0.5), l2=0.6 / 30,
        random_state=3,
    )  # fmt: skip
    order = np.random.default_rng([3, 0]).permutation(30)
    book.SGD(data[order], 1, 7, 0.5, lmbda=0.6, shuffle=False, verbose=False)
    assert (gradients.flatten(ours) == gradients.flatten(book)).all()


# -- dropout ---------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    """Over many samples the dropped activations have the rate, and their sum the old mean.

    One step of linear units on one repeated sample: the gradient by an output weight is the
    mean of its dropped activation times the error, which is the same in all samples.
    """
    rate, n = 0.3, 20000
    net = network_of([1, 64, 1], "linear", "linear", "quadratic")
    net.weights = [np.ones((64, 1)), np.zeros((1, 64))]
    data = Dataset(np.ones((n, 1)), np.full((n, 1), -1.0))  # error a - y = 1
    fastbp.train(
        net, data, epochs=1, mini_batch_size=n, optimizer=optimizers.SGD(eta=1.0), dropout=rate,
        random_state=0,
    )  # fmt: skip
    means = -net.weights[1][0]  # of 0 or 1 / (1 - rate): its deviation is sqrt(rate / (1 - rate))
    deviation = np.sqrt(rate / (1 - rate) / n)
    assert np.abs(means - 1).max() < 4.5 * deviation
    assert 0.7 < means.std() / deviation < 1.3
    assert len(set(means)) > 50, "units share their draws"


@both_dtypes
def test_dropout_is_a_gradient_through_the_kept(dtype):
    """A step is that of the network without the dropped units, the kept ones scaled up."""
    sizes, rate = [3, 8, 2], 0.5
    for seed in range(5):
        for hidden in ("sigmoid", "relu", "linear", "tanh", "softplus"):
            net = network_of(sizes, hidden, "sigmoid", "cross_entropy", dtype)
            data = data_of(sizes, 1, seed)
            data = Dataset(data.X.astype(dtype), data.Y.astype(dtype))
            before = [a.astype(np.float64) for a in (*net.biases, *net.weights)]
            fastbp.train(
                net, data, epochs=1, optimizer=optimizers.SGD(eta=1.0), dropout=[rate],
                random_state=seed,
            )  # fmt: skip
            b1, b2, w1, w2 = before
            step_b1, step_b2, step_w1, step_w2 = (
                old - new for old, new in zip(before, (*net.biases, *net.weights), strict=True)
            )
            x, y = data[0]
            value, prime = reference.ACTIVATIONS[hidden]
            z = w1 @ x + b1
            a1 = value(z)
            # Which were kept shows in the step of the second weights.
            kept = (np.abs(step_w2).max(axis=0) > 0) / (1 - rate)
            if hidden == "relu":
                kept[a1[:, 0] == 0] = 0
            dropped = a1 * kept[:, None]
            a2 = 1 / (1 + np.exp(-(w2 @ dropped + b2)))
            delta = a2 - y
            right = [w2.T @ delta * prime(z) * kept[:, None], delta, None, delta @ dropped.T]
            right[2] = right[0] @ x.T
            found = flat([step_b1, step_b2, step_w1, step_w2])
            assert norm_error(found, flat(right)) <= 10 * GRADIENT[dtype] ** 0.9


def test_dropout_does_not_depend_on_threads_or_pauses(monkeypatch):
    """The same bits with one thread and with two, and where each look at the clock returns."""

    data = data_of([30, 3], 400)
    options = {"dropout": 0.4, "mini_batch_size": 150, "optimizer": "adam", "epochs": 2}
    whole, _ = trained(data, **options)
    monkeypatch.setattr(loop, "_SECONDS", 0.0)
    paused, _ = trained(data, **options)
    assert (whole == paused).all()
    monkeypatch.setattr("fastbp.training.threads._WORK", 1.0)
    shared, _ = trained(data, n_threads=2, **options)
    assert (whole == shared).all()


# -- schedules, stopping, callbacks ------------------------------------------------------------


def test_schedules():
    """Each schedule's factors are those of its formula."""
    history = {}
    assert [schedules.constant()(e, history) for e in range(3)] == [1, 1, 1]
    assert [schedules.step(2, 0.1)(e, history) for e in range(5)] == [1, 1, 0.1, 0.1, 0.1**2]
    assert [schedules.inverse(0.5)(e, history) for e in range(3)] == [1, 1 / 1.5, 0.5]
    cosine = schedules.cosine(4, 0.2)
    np.testing.assert_allclose([cosine(e, history) for e in (0, 2, 4, 9)], [1, 0.6, 0.2, 0.2])


def test_the_books_halving():
    """Two epochs without a better accuracy halve eta; below 1/128 the run ends."""
    halving, accuracy, factors = schedules.halving(2), [], []
    for epoch, now in enumerate([0.5, 0.6, 0.6, 0.5, 0.7, 0.7, 0.7] + [0.1] * 20):
        factors.append(halving(epoch, {"validation_accuracy": accuracy}))
        accuracy.append(now)
    assert factors[:8] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert factors[-1] is None
    assert 1 / 128 in factors
    assert None not in factors[: factors.index(1 / 128)]


def test_a_schedule_rules_the_steps():
    """The factor is on eta, the history has the product, and None ends the run."""
    data = data_of([4, 3], 20)
    seen = []

    def schedule(epoch, history):
        seen.append(epoch)
        return 0.0 if epoch < 2 else None

    theta, history = trained(data, optimizer=optimizers.SGD(eta=0.5), schedule=schedule)
    still, _ = trained(data, epochs=0)
    assert (theta == still).all()
    assert history["eta"] == [0.0, 0.0]
    assert (history.stopped, seen) == ("schedule", [0, 1, 2])


def test_early_stopping_restores_the_best():
    """The run ends so many epochs after the best one, with that one's parameters."""
    data, validation = data_of([4, 3], 30, 0), data_of([4, 3], 300, 1)
    states = []
    options = {
        "optimizer": optimizers.SGD(eta=3.0), "validation": validation, "epochs": 500,
        "callbacks": [lambda net, history: states.append(gradients.flatten(net))],
    }  # fmt: skip
    theta, history = trained(data, early_stopping=4, **options)
    assert history.stopped == "early stopping"
    scores = history["validation_accuracy"]
    assert history.best_epoch == scores.index(max(scores))
    assert history.epochs == history.best_epoch + 5
    assert (theta == states[history.best_epoch]).all()
    states.clear()
    stopping = fastbp.EarlyStopping(4, restore_best=False)
    theta, history = trained(data, early_stopping=stopping, **options)
    assert (theta == states[-1]).all()


NAN, INF = float("nan"), float("inf")
# Scores of the epochs, the best of them, and how many there are with a patience of 3.
SCORES = {
    "all are numbers": ([1, 3, 2, 3, 0, 9], 1, 5),
    "one in between is NaN": ([1, 2, NAN, 4, 5, 3, 2, 1, 0], 4, 8),
    "the first is NaN": ([NAN, 1, 2, 1, 1, 1, 9], 2, 6),
    "the best is the only number": ([NAN, NAN, 0, NAN, NAN, NAN, 9], 2, 6),
    "NaN after the best": ([5, NAN, NAN, NAN, 9], 0, 4),
    "all are NaN": ([NAN, NAN, NAN, NAN], None, 3),
    "none is more than minus infinity": ([-INF, NAN, -INF, -INF], None, 3),
    "numbers after minus infinity": ([-INF, -2, -INF, -1, NAN, NAN, NAN], 3, 7),
}


@pytest.mark.parametrize(("scores", "best", "epochs"), SCORES.values(), ids=SCORES)
def test_a_score_that_is_nan_is_never_the_best(scores, best, epochs, tmp_path):
    """The parameters of the best epoch come back, the last stay if there is none; resumed too."""
    data, states, left = data_of([4, 3], 30), [], iter(scores)
    options = {
        "optimizer": optimizers.SGD(eta=0.1), "validation": data_of([4, 3], 9, 1),
        "score": lambda targets, outputs: next(left), "early_stopping": 3,
        "callbacks": [lambda net, history: states.append(gradients.flatten(net))],
    }  # fmt: skip
    theta, history = trained(data, epochs=99, **options)
    assert (history.epochs, history.stopped) == (epochs, "early stopping")
    assert history.best_epoch == best
    assert (theta == states[-1 if best is None else best]).all()
    keep, left = fastbp.Checkpoint(tmp_path / "run"), iter(scores)
    for n in (2, 99):
        again, resumed = trained(data, epochs=n, checkpoint=keep, **options)
    assert (resumed.best_epoch, resumed.epochs) == (best, epochs)
    assert (again == theta).all()


def test_the_best_epoch_is_of_what_stopping_goes_by(tmp_path):
    """Of the training cost, if that is watched, whatever the validation says."""
    data, states = data_of([4, 3], 30), []
    options = {
        "optimizer": optimizers.SGD(eta=6.0), "validation": data_of([4, 3], 300, 1),
        "early_stopping": fastbp.EarlyStopping(6, "cost"), "epochs": 40,
        "callbacks": [lambda net, history: states.append(gradients.flatten(net))],
    }  # fmt: skip
    theta, history = trained(data, **options, checkpoint=fastbp.Checkpoint(tmp_path / "run"))
    best, accuracy = int(np.argmin(history["cost"])), history["validation_accuracy"]
    assert best not in (accuracy.index(max(accuracy)), history.epochs - 1)
    assert history.best_epoch == best
    assert (theta == states[best]).all()
    theta, history = trained(data, **options, checkpoint=fastbp.Checkpoint(tmp_path / "run"))
    assert history.best_epoch == best
    assert (theta == states[best]).all()


def test_callbacks_read_stop_and_raise():
    """A callback sees the network of its epoch; True ends the run; what it raises comes out."""
    data = data_of([4, 3], 30)
    seen = []

    def watch(net, history):
        seen.append((gradients.flatten(net), history.epochs))
        return len(seen) == 2

    theta, history = trained(data, callbacks=[watch], epochs=9)
    assert [epochs for _, epochs in seen] == [1, 2]
    assert (history.stopped, history.epochs) == ("callback", 2)
    assert (theta == seen[-1][0]).all()
    net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")

    def fail(net, history):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fastbp.train(net, data, epochs=3, mini_batch_size=7, random_state=3, callbacks=[fail])
    one, _ = trained(data, epochs=1)
    assert (gradients.flatten(net) == one).all()


def test_the_history_is_true():
    """Costs and accuracies are those of the network as it was, penalties with the training's."""
    data, validation = data_of([4, 3], 30), Dataset(data_of([4, 3], 9, 1).X, [0, 1, 2] * 3)
    net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")
    history = fastbp.train(net, data, epochs=3, l1=0.01, l2=0.1, validation=validation)
    penalty = sum(0.01 * np.abs(w).sum() + 0.05 * (w**2).sum() for w in net.weights)
    cost = gradients.per_sample_costs(net, data).mean() + penalty
    np.testing.assert_allclose(history["cost"][-1], cost, rtol=1e-12)
    np.testing.assert_allclose(
        history["validation_cost"][-1], gradients.per_sample_costs(net, validation).mean()
    )
    assert history["validation_accuracy"][-1] == net.accuracy(validation) / 9
    assert len(history["seconds"]) == 3
    assert history["eta"] == [0.001] * 3


# -- resume ------------------------------------------------------------------------------------

OPTIONS = {
    "optimizer": "adam", "dropout": 0.2, "l2": 1e-3, "schedule": schedules.step(2),
    "validation": data_of([4, 3], 40, 9), "early_stopping": 30, "epochs": 12,
}  # fmt: skip


def test_a_resumed_run_has_the_same_bits(tmp_path):
    """A run in two parts ends like one, parameters and history; a run that is over stays."""
    data = data_of([4, 3], 50)
    whole, history = trained(data, **OPTIONS)
    keep = fastbp.Checkpoint(tmp_path / "run.safetensors", every=2)
    trained(data, **OPTIONS | {"epochs": 5}, checkpoint=keep)
    parts, again = trained(data, **OPTIONS, checkpoint=keep)
    assert (parts == whole).all()
    for key in ("cost", "accuracy", "validation_cost", "eta"):
        assert again[key] == history[key]
    over, once_more = trained(data, **OPTIONS, checkpoint=keep)
    assert (over == whole).all()
    assert once_more.epochs == 12
    assert os.listdir(tmp_path) == ["run.safetensors"]


RUN = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np, fastbp
import test_training as t
data = t.data_of([4, 3], 3000)
theta, history = t.trained(
    data, **t.OPTIONS | {"epochs": 60, "early_stopping": None},
    checkpoint=fastbp.Checkpoint(sys.argv[1]),
)
np.save(sys.argv[1] + ".end.npy", theta)
"""


@pytest.mark.thorough
def test_killed_and_resumed_has_the_same_bits(tmp_path):
    """A process that is killed at random moments, and started again, ends like one that is not."""
    here = os.path.dirname(__file__)

    def start(name):
        return subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / name), here])

    start("whole").wait()
    rng = np.random.default_rng(0)
    for _ in range(20):
        process = start("killed")
        time.sleep(rng.uniform(0.25, 0.5))
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
    assert start("killed").wait() == 0
    ends = [(tmp_path / f"{name}.end.npy").read_bytes() for name in ("whole", "killed")]
    assert ends[0] == ends[1]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    """Other options, or another file, are an error that changes neither network nor file."""
    data, keep = data_of([4, 3], 50), fastbp.Checkpoint(tmp_path / "run.safetensors")
    trained(data, checkpoint=keep)
    before = (tmp_path / "run.safetensors").read_bytes()
    for options in (
        {"l2": 0.5}, {"mini_batch_size": 8}, {"optimizer": "sgd"}, {"dropout": 0.1},
        {"early_stopping": 3, "validation": data_of([4, 3], 40, 9)},  # the best is not in the file
        {"random_state": 8},
    ):  # fmt: skip
        with pytest.raises(
            ValueError, match=r"run.safetensors: expected .*, as the run in this file"
        ):
            trained(data, checkpoint=keep, **options)
    assert (tmp_path / "run.safetensors").read_bytes() == before
    (tmp_path / "run.safetensors").write_bytes(before[:-100])
    with pytest.raises(fastbp.FormatError, match=r"run.safetensors: expected .* bytes of arrays"):
        trained(data, checkpoint=keep)


def test_a_run_that_goes_on_with_more_to_count(tmp_path):
    """NaN stands for epochs in which a quantity was not counted; the file can be gone on with."""
    data, keep = data_of([4, 3], 50), fastbp.Checkpoint(tmp_path / "run")
    validation = data_of([4, 3], 40, 9)
    trained(data, epochs=3, checkpoint=keep)
    trained(data, epochs=5, checkpoint=keep, validation=validation)
    _, history = trained(data, epochs=6, checkpoint=keep, evaluate=False)
    _, once_more = trained(data, epochs=6, checkpoint=keep)
    np.testing.assert_equal(once_more, history)
    cost = np.array(history["validation_cost"])
    assert np.isfinite(cost).tolist() == [False] * 3 + [True] * 2 + [False]
    assert np.isfinite(history["accuracy"]).tolist() == [True] * 5 + [False]
    assert np.isfinite(history["cost"]).all()
    assert history.best_epoch == int(np.nanargmax(history["validation_accuracy"]))


def test_the_best_parameters_are_those_that_were_judged():
    """Not what a callback makes of them afterwards, in place."""
    judged = []

    def spoil(net, history):
        judged.append(flat(net.biases, net.weights).copy())
        net.weights[0][:] = 0
        net.weights[1] *= 0.0

    data, validation = data_of([4, 3], 50), data_of([4, 3], 40, 9)
    theta, history = trained(
        data, epochs=6, validation=validation, early_stopping=9, callbacks=[spoil]
    )
    assert (theta == judged[history.best_epoch]).all()


@pytest.mark.thorough
def test_a_long_run_with_everything_fits_its_file(tmp_path):
    """Thousands of epochs, a callback's own lists and an infinite cost come back."""
    data, keep = data_of([2, 1], 1), fastbp.Checkpoint(tmp_path / "run", every=10**6)

    def note(net, history):
        history.setdefault("own", []).append(history.epochs)
        history.setdefault("words", ["a", None])
        history["now"] = history.epochs
        history["cost"][-1] = np.inf

    options = {"callbacks": [note], "optimizer": "adam", "random_state": 0}
    net = network_of([2, 1], "sigmoid", "sigmoid", "quadratic")
    history = fastbp.train(net, data, epochs=12_000, checkpoint=keep, **options)
    again = fastbp.train(net, data, epochs=12_000, checkpoint=keep, **options)
    assert again == history
    assert len(again["own"]) == 12_000
    assert again["cost"][-1] == np.inf


@pytest.mark.parametrize(
    "name", ["weights.0", "moments.1.biases.0", "history.cost", "best.weights.1"]
)
def test_a_checkpoint_that_lacks_something_is_refused(name, tmp_path):
    """Another array, none, one too many, or another number that the run could not go on with.

    It is a FormatError, and the network is as it was.
    """
    data, keep = data_of([4, 3], 50), fastbp.Checkpoint(tmp_path / "run")
    options = OPTIONS | {"epochs": 2, "random_state": 3, "checkpoint": keep}
    net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")
    before = flat(net.biases, net.weights).copy()
    fastbp.train(network_of([4, 6, 3], "tanh", "softmax", "log_likelihood"), data, **options)
    facts, arrays = keep.read()
    array = arrays[name]
    files = [({}, {name: None}), ({}, {name: array[:-1]}), ({}, {"more": array})]
    files += [({}, {name: array[None]}), ({"run": None}, {}), ({"seed": "x"}, {})]
    files += [({"seed": None}, {}), ({"history": []}, {}), ({"stopped": 1}, {})]
    files += [({}, {"history.eta": np.array(1.0)}), ({"history": {"validation_score": 1.0}}, {})]
    files += [({}, {"history.cost": None, "history.eta": None})]
    # Numbers that would fail, or make the run fail, after the first step.
    files += [({"seed": seed}, {}) for seed in (2**64, -1, 1.0, True, 10**4000)]
    for key in ("weights.0", "best.biases.1", "moments.0.weights.1"):
        files += [({}, {key: np.full_like(arrays[key], x)}) for x in (np.nan, np.inf, -np.inf)]
    key = "moments.1.biases.1"  # mean squares
    files += [({}, {key: np.full_like(arrays[key], x)}) for x in (np.nan, -1e-300, -np.inf)]
    for other_facts, others in files:
        left = {k: v for k, v in (arrays | others).items() if v is not None}
        keep.write(facts | other_facts, left)
        with pytest.raises(fastbp.FormatError, match="run: "):
            fastbp.train(net, data, **options)
        assert (flat(net.biases, net.weights) == before).all()
    keep.write(facts | {"seed": 2**64 - 1}, arrays)
    fastbp.train(net, data, **options | {"random_state": 2**64 - 1})
    assert (flat(net.biases, net.weights) != before).any()


def test_a_mean_square_of_infinity_comes_back(tmp_path):
    """It may have become that in float32, where it makes steps of 0."""
    data, keep = data_of([4, 3], 50), fastbp.Checkpoint(tmp_path / "run")
    options = {"optimizer": "rmsprop", "random_state": 3, "checkpoint": keep}
    first, _ = trained(data, epochs=2, **options)
    facts, arrays = keep.read()
    for name in [name for name in arrays if name.startswith("moments.0.")]:
        arrays[name] = np.full_like(arrays[name], np.inf)
    keep.write(facts, arrays)
    again, history = trained(data, epochs=5, **options)
    assert history.epochs == 5
    assert (again == first).all()


@pytest.mark.parametrize(
    "seed", [2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**40, 10**5000], ids=int.bit_length
)
def test_a_seed_of_any_size(seed, tmp_path):
    """A random_state is a seed however large it is, the same each time, also of a checkpoint."""
    data = data_of([4, 3], 50)
    options = {"dropout": 0.5, "checkpoint": fastbp.Checkpoint(tmp_path / "run")}
    theta, _ = trained(data, epochs=4, dropout=0.5, random_state=seed)
    trained(data, epochs=2, random_state=seed, **options)
    again, _ = trained(data, epochs=4, random_state=seed, **options)
    assert (again == theta).all()
    for other in {seed - 1, seed % 2**64} - {seed}:
        assert (trained(data, epochs=4, dropout=0.5, random_state=other)[0] != theta).any()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"epochs": -1}, {"mini_batch_size": 0}, {"optimizer": "best"}, {"l1": -1}, {"l2": np.nan},
    {"dropout": 1.0}, {"dropout": [0.1, 0.2]}, {"clip_norm": 0}, {"sample_weight": [1.0]},
    {"sample_weight": np.zeros(20)}, {"class_weight": {0: 0, 1: 0, 2: 0}},
    {"class_weight": {7: 1.0}}, {"class_weight": "even"}, {"early_stopping": 3},
    {"early_stopping": 0, "validation": data_of([4, 3], 5)}, {"validation": data_of([5, 3], 5)},
    {"random_state": -1}, {"n_threads": 0}, {"optimizer": "adamw", "l2": 0.1},
    {"optimizer": "lbfgs", "dropout": 0.1}, {"schedule": lambda epoch, history: "fast"},
    {"alpha": -1}, {"optimizer": "adamw", "alpha": 0.1}, {"shuffle": "yes"}, {"state": 3},
    {"score": "best"}, {"evaluate": 2},
    {"shuffle": random.shuffle, "checkpoint": fastbp.Checkpoint("nowhere.npz")},
    {"state": optimizers.State(), "checkpoint": fastbp.Checkpoint("nowhere.npz")},
])  # fmt: skip
def test_bad_options_change_nothing(options):
    """Each is one clear error, and the network stays as it was."""
    net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")
    before, state = gradients.flatten(net), np.random.get_state()[1].tobytes()
    drawn = net._generator.bit_generator.state
    with pytest.raises((ValueError, TypeError), match=r": expected .*, got "):
        fastbp.train(net, data_of([4, 3], 20), **{"epochs": 2} | options)
    assert (gradients.flatten(net) == before).all()
    assert np.random.get_state()[1].tobytes() == state
    if "schedule" not in options:  # it is asked in each epoch
        assert net._generator.bit_generator.state == drawn


@pytest.mark.parametrize("options", [
    {"callbacks": 3}, {"progress": True}, {"evaluate": None},
])  # fmt: skip
def test_nothing_goes_on_before_all_is_looked_at(options, tmp_path, monkeypatch):
    """What fails last in the gate leaves the network where it was, not where the file is."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    data, keep = data_of([4, 3], 50), fastbp.Checkpoint(tmp_path / "run")
    trained(data, **OPTIONS, checkpoint=keep)
    net = network_of([4, 6, 3], "tanh", "softmax", "log_likelihood")
    before = flat(net.biases, net.weights)
    with pytest.raises((TypeError, ImportError)):
        fastbp.train(net, data, mini_batch_size=7, checkpoint=keep, **OPTIONS | options)
    assert (flat(net.biases, net.weights) == before).all()


@pytest.mark.parametrize(("kind", "numbers"), [
    (optimizers.SGD, {"eta": -1.0}), (optimizers.SGD, {"momentum": 1.0}),
    (optimizers.Adam, {"beta_1": 1.0}), (optimizers.Adam, {"epsilon": np.inf}),
    (optimizers.RMSprop, {"rho": -0.1}), (optimizers.AdamW, {"weight_decay": "much"}),
])  # fmt: skip
def test_bad_numbers_of_an_optimizer(kind, numbers):
    """A number out of its range is refused where it is given."""
    with pytest.raises((ValueError, TypeError), match=": expected "):
        kind(**numbers)


def test_a_network_with_parts_of_ones_own_is_refused():
    """The core cannot take a user's cost or methods: that is said, with the way out."""

    class Own(network2.CrossEntropyCost):
        @staticmethod
        def delta(z, a, y):
            return 2 * (a - y)

    with pytest.raises(ValueError, match="SGD takes a network with parts of your own"):
        fastbp.train(network2.Network([4, 3], Own), data_of([4, 3], 20), epochs=1)


@pytest.mark.parametrize("options", [
    {}, {"evaluate": False}, {"evaluate": False, "sample_weight": np.linspace(0.1, 1, 300)},
    {"evaluate": False, "dropout": 0.1}, {"optimizer": "momentum"},
    {"evaluate": False, "optimizer": "adam"}, {"evaluate": False, "mini_batch_size": 300},
    {"evaluate": False, "n_threads": 2},
])  # fmt: skip
def test_divergence_is_an_error_and_rolled_back(options, monkeypatch):
    """Steps that explode raise, and the network is that before the mini-batch that exploded."""
    monkeypatch.setattr("fastbp.training.threads._WORK", 1.0)
    monkeypatch.setattr("fastbp.training.threads.processors", lambda: 2)
    kinds = {"momentum": optimizers.SGD(eta=1e6, momentum=0.5), "adam": optimizers.Adam(eta=1e307)}
    optimizer = kinds.get(options.get("optimizer"), optimizers.SGD(eta=1e6))
    net = network_of([4, 6, 3], "relu", "linear", "quadratic")
    before = gradients.flatten(net)
    with pytest.raises(fastbp.DivergenceError, match="try a smaller eta") as raised:
        fastbp.train(
            net, data_of([4, 3], 300), **{"epochs": 500} | options | {"optimizer": optimizer}
        )  # fmt: skip
    assert all(np.isfinite(a).all() for a in (*net.biases, *net.weights))
    first = raised.value.epoch == raised.value.mini_batch == 0
    assert (gradients.flatten(net) == before).all() == first
    assert not first or options.get("mini_batch_size") == 300


def test_dropout_draws_anew_in_each_epoch():
    """On samples that are all alike two epochs of one step each differ: other neurons drop."""
    net = network2.Network([2, 30, 1], network2.QuadraticCost, random_state=1)
    X, Y = np.ones((40, 2)), np.full((40, 1), 0.2)
    states = [net.weights[-1].copy()]
    fastbp.train(
        net, (X, Y), epochs=2, mini_batch_size=40, optimizer=optimizers.SGD(eta=1e-6),
        dropout=0.5, random_state=3, callbacks=[lambda net, _: states.append(net.weights[-1])],
    )  # fmt: skip
    one, two = np.diff(states, axis=0)
    assert np.abs(one).min() > 0
    assert np.abs(one / two - 1).max() > 0.01


def test_one_output_is_right_on_its_side_of_a_half():
    """A single sigmoid neuron says yes above 0.5, however little."""
    net = network2.Network([1, 1], random_state=1)
    net.weights, net.biases = [np.ones((1, 1))], [np.zeros((1, 1))]
    X = np.array([[0.01], [0.02], [-0.01], [3.0], [0.01]])
    Y = np.array([[1.0], [1.0], [0.0], [1.0], [0.0]])
    history = fastbp.train(net, (X, Y), epochs=1, optimizer=optimizers.SGD(eta=1e-9))
    assert history["accuracy"] == [0.8]


@pytest.mark.parametrize("as_pairs", [False, True])
def test_samples_pass_the_gate_once(as_pairs, monkeypatch):
    """On their way from SGD to the core, whatever the number of epochs."""
    data = data_of([4, 3], 20)
    data = list(data) if as_pairs else data
    visits = []
    gate = samples.gate
    monkeypatch.setattr(samples, "gate", lambda *a, **k: visits.append(a) or gate(*a, **k))
    network_of([4, 6, 3], "sigmoid", "sigmoid", "quadratic").SGD(data, 3, 5, 0.1, verbose=False)
    assert len(visits) == 1
