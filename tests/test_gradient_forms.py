"""``fastbp.gradients``: every form against gradients of single samples by the reference."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import GRADIENT
from twins import COSTS, DTYPES, flat, norm_error, pairs, twins

import fastbp
from fastbp import Dataset, gradients, network, network2
from fastbp.reference import network2 as reference2

both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
sizes_of_nets = st.lists(st.integers(1, 24), min_size=2, max_size=5)


def rows(reference, data):
    """Return the reference's gradient of each sample, a row each in the documented order."""
    return np.array([flat(*reference.backprop(x, y)) for x, y in data])


def close(found, right, dtype):
    """Whether all found is right, by the table."""
    return norm_error(np.asarray(found, np.float64), right) <= GRADIENT[dtype]


def compare_all(sizes, n, cost, dtype, seed):
    """Compare every sum, norm and product with those of the materialised reference."""
    reference, net = twins(sizes, cost, dtype, seed)
    data = pairs(sizes, n, seed, dtype)
    each = rows(reference, data)
    norms = np.linalg.norm(each, axis=1)
    weights = np.random.default_rng(seed).uniform(0, 2, n).astype(dtype).astype(np.float64)
    assert close(flat(*gradients.gradient(net, data)), each.mean(axis=0), dtype)
    summed = gradients.gradient(net, data, sample_weight=weights, reduction="sum")
    assert close(flat(*summed), weights @ each, dtype)
    mean = gradients.gradient(net, data, sample_weight=weights)
    assert close(flat(*mean), weights @ each / weights.sum(), dtype)

    out = np.full(each.shape, np.nan, dtype)
    assert gradients.per_sample_gradients(net, data, out=out, flat=True) is out
    assert close(out, each, dtype)
    one = flat(*net.backprop(*data[n // 2]))
    assert close(out[n // 2], one.astype(np.float64), dtype)
    shaped = gradients.per_sample_gradients(net, data)
    for part in shaped:
        for array in part:
            array[:] = np.nan
    assert gradients.per_sample_gradients(net, data, out=shaped) is shaped
    assert (np.hstack([a.reshape(n, -1) for part in shaped for a in part]) == out).all()

    assert close(gradients.per_sample_gradient_norms(net, data), norms, dtype)
    by_layer = gradients.per_sample_gradient_norms(net, data, per_layer=True)
    squares = [[(b[s] ** 2).sum() + (w[s] ** 2).sum() for b, w in zip(*shaped, strict=True)]
               for s in range(n)]  # fmt: skip
    assert close(by_layer, np.sqrt(squares), dtype)
    moment = gradients.gradient_second_moment(net, data)
    assert close(flat(*moment), (each**2).sum(axis=0), dtype)
    assert close(gradients.gradient_gram(net, data), each @ each.T, dtype)
    other = data[: n // 2 + 1]
    assert close(gradients.gradient_gram(net, data, other), each @ each[: len(other)].T, dtype)
    most = float(np.median(norms)) or 1.0
    factors = np.minimum(1, most / np.maximum(norms, 1e-300))
    clipped, found = gradients.clipped_gradient(net, data, most)
    assert close(flat(*clipped), factors @ each, dtype)
    assert close(found, norms, dtype)
    clipped, _ = gradients.clipped_gradient(net, data, most, reduction="mean")
    assert close(flat(*clipped), factors @ each / n, dtype)

    biases = [np.array([g.ravel() for g in layer]) for layer in zip(
        *(reference.backprop(x, y)[0] for x, y in data), strict=True)]  # fmt: skip
    for delta, right in zip(gradients.deltas(net, data), biases, strict=True):
        assert close(delta, right, dtype)
    a = np.hstack([x for x, _ in data])
    for layer, found in enumerate(gradients.activations(net, data)):
        assert close(found, a.T, dtype)
        if layer < len(sizes) - 1:
            a = reference2.sigmoid(reference.weights[layer] @ a + reference.biases[layer])
    costs = [reference.cost.fn(reference.feedforward(x), y) for x, y in data]
    assert close(gradients.per_sample_costs(net, data), np.array(costs), dtype)


@pytest.mark.core
@both_dtypes
@settings(max_examples=250)
@given(sizes_of_nets, st.integers(1, 17), st.sampled_from(COSTS), st.integers(0, 2**32 - 1))
def test_all_forms_on_random_nets(dtype, sizes, n, cost, seed):
    """Sums, norms, moments, products, one of each sample: those of the reference's gradients."""
    compare_all(sizes, n, cost, dtype, seed)


@pytest.mark.core
@both_dtypes
@pytest.mark.parametrize(("sizes", "n"), [([70, 40, 33, 10], 300), ([784, 30, 10], 129)])
def test_all_forms_beyond_a_block(sizes, n, dtype):
    """The same over several blocks of samples, and where panels and transposes are cut."""
    compare_all(sizes, n, "CrossEntropyCost", dtype, 1)


@both_dtypes
def test_all_forms_in_pieces(dtype, monkeypatch):
    """The same where the core is entered once for every few samples."""
    from fastbp import parameters

    sizes = [5, 4, 3]
    layout = parameters.layout(tuple(sizes), np.dtype(dtype))
    monkeypatch.setattr(layout, "rows_per_call", 3)
    compare_all(sizes, 10, "QuadraticCost", dtype, 2)


@pytest.mark.core
@both_dtypes
def test_chapter_one(dtype):
    """The first class, which has the quadratic cost, gives the second one's results."""
    _, second = twins([6, 5, 4], "QuadraticCost", dtype)
    first = network.Network([6, 5, 4], dtype=dtype)
    first.weights, first.biases = second.weights, second.biases
    data = pairs([6, 5, 4], 9, dtype=dtype)
    for function in (
        gradients.gradient, gradients.deltas, gradients.per_sample_costs,
        gradients.per_sample_gradient_norms, gradients.gradient_second_moment,
        gradients.input_gradient, gradients.jacobian,
    ):  # fmt: skip
        for a, b in zip(function(first, data), function(second, data), strict=True):
            for p, q in zip(a, b, strict=True) if isinstance(a, list) else [(a, b)]:
                assert (p == q).all()


# -- derivatives of derivatives ----------------------------------------------------------------


def stepped(net, theta):
    """Return a reference network with these, complex, parameters."""
    twin = reference2.Network([int(n) for n in net.sizes], getattr(reference2, net.cost.__name__))
    twin.biases, twin.weights = net._layout().split(theta)
    return twin


@both_dtypes
@settings(max_examples=100)
@given(sizes_of_nets, st.integers(1, 9), st.sampled_from(COSTS), st.integers(0, 2**32 - 1))
def test_hessian_product_against_the_complex_step(dtype, sizes, n, cost, seed):
    """H v is the imaginary part of the reference's gradient at theta + i h v, over h."""
    reference, net = twins(sizes, cost, dtype, seed)
    data = pairs(sizes, n, seed, dtype)
    theta = flat(reference.biases, reference.weights)
    v = np.random.default_rng(seed).standard_normal(theta.size).astype(dtype).astype(np.float64)
    along = stepped(net, theta + 1e-200j * v)
    right = sum(flat(*along.backprop(x, y)).imag for x, y in data) / 1e-200
    found = gradients.hessian_vector_product(net, data, v, reduction="sum")
    assert close(found, right, dtype)
    lists = net._layout().split(v)
    shaped = gradients.hessian_vector_product(net, data, lists)
    assert close(flat(*shaped), right / n, dtype)


@both_dtypes
@settings(max_examples=100)
@given(sizes_of_nets, st.integers(1, 9), st.sampled_from(COSTS), st.integers(0, 2**32 - 1))
def test_derivatives_by_the_inputs(dtype, sizes, n, cost, seed):
    """Jacobian and input gradient against the complex step on each input."""
    reference, net = twins(sizes, cost, dtype, seed)
    data = pairs(sizes, n, seed, dtype)
    J, g = gradients.jacobian(net, data), gradients.input_gradient(net, data)
    right_J, right_g = np.empty(J.shape), np.empty(g.shape)
    for s, (x, y) in enumerate(data):
        for k in range(sizes[0]):
            step = x.astype(complex)
            step[k] += 1e-200j
            a = reference.feedforward(step)
            right_J[s, :, k] = a[:, 0].imag / 1e-200
            right_g[s, k] = np.imag(reference.cost.fn(a, y)) / 1e-200
    assert close(J, right_J, dtype)
    assert close(g, right_g, dtype)


def test_against_jax():
    """An independent automatic differentiation gives the same, where it is installed."""
    jax = pytest.importorskip("jax", reason="a peer: an optional second opinion")
    with jax.enable_x64(True):
        jnp = jax.numpy
        _, net = twins([7, 6, 4], "CrossEntropyCost", seed=5)
        data = pairs([7, 6, 4], 11, 5)
        X, Y = (np.hstack(part).T for part in zip(*data, strict=True))
        theta = jnp.asarray(gradients.flatten(net))

        def outputs(theta, x):
            biases, weights = net._layout().split(np.arange(theta.size))
            a = x
            for b, w in zip(biases, weights, strict=True):
                z = theta[w] @ a + theta[b[:, 0]]
                a = jax.nn.sigmoid(z)
            return a, z

        def cost(theta):
            z = jax.vmap(lambda x: outputs(theta, x)[1])(X)
            return jnp.sum(jax.nn.softplus(z) - Y * z)

        v = np.random.default_rng(0).standard_normal(theta.size)
        right = jax.jvp(jax.grad(cost), (theta,), (jnp.asarray(v),))[1]
        found = gradients.hessian_vector_product(net, data, v, reduction="sum")
        assert close(found, np.asarray(right), np.float64)
        right = jax.vmap(jax.jacobian(lambda x: outputs(theta, x)[0]))(jnp.asarray(X))
        assert close(gradients.jacobian(net, X), np.asarray(right), np.float64)


# -- forms of data, order, user code -----------------------------------------------------------


def test_the_order_of_a_vector():
    """All biases, then all weights, each array row by row; and back."""
    net = network.Network([2, 3, 1])
    net.biases = [np.array([[1.0], [2], [3]]), np.array([[4.0]])]
    net.weights = [np.arange(5.0, 11).reshape(3, 2), np.array([[11.0, 12, 13]])]
    assert gradients.flatten(net).tolist() == list(range(1, 14))
    biases, weights = gradients.unflatten(net, np.arange(1, 14))
    for a, b in zip((*biases, *weights), (*net.biases, *net.weights), strict=True):
        assert a.dtype == b.dtype
        assert (a == b).all()
    vector = gradients.flatten(net)
    vector[:] = 0
    assert net.biases[0][0, 0] == 1.0


FUNCTIONS = {
    "gradient": gradients.gradient,
    "deltas": gradients.deltas,
    "activations": gradients.activations,
    "costs": gradients.per_sample_costs,
    "each": gradients.per_sample_gradients,
    "norms": gradients.per_sample_gradient_norms,
    "moment": gradients.gradient_second_moment,
    "gram": gradients.gradient_gram,
    "clipped": lambda net, data: gradients.clipped_gradient(net, data, 0.1)[0],
    "jacobian": gradients.jacobian,
    "inputs": gradients.input_gradient,
    "hessian": lambda net, data: gradients.hessian_vector_product(
        net, data, (net.biases, net.weights)
    ),
}


def arrays_of(result):
    """Return all arrays of a result, however nested."""
    if isinstance(result, np.ndarray):
        return [result]
    return [array for part in result for array in arrays_of(part)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_forms_of_data(name):
    """Pairs, arrays and Datasets, labels and their one-hot rows, give the same; none changes."""
    net = network2.Network([4, 5, 3], random_state=0)
    X, labels = np.random.default_rng(0).uniform(size=(6, 4)), np.array([0, 1, 2, 2, 1, 0])
    Y = fastbp.one_hot(labels, 3)
    columns = [(x[:, None], y[:, None]) for x, y in zip(X, Y, strict=True)]
    forms = [
        columns, iter(columns), [(x, int(j)) for (x, _), j in zip(columns, labels, strict=True)],
        Dataset(X, Y), Dataset(X, labels), (X, Y), (X, labels), (X.tolist(), Y.tolist()),
    ]  # fmt: skip
    if name in ("activations", "jacobian"):
        forms.append(X)
    before = gradients.flatten(net), X.copy(), Y.copy(), np.random.get_state()[1].tobytes()
    first = arrays_of(FUNCTIONS[name](net, forms[0]))
    for form in forms[1:]:
        for a, b in zip(first, arrays_of(FUNCTIONS[name](net, form)), strict=True):
            assert (a == b).all()
    assert (before[0] == gradients.flatten(net)).all()
    assert (before[1] == X).all()
    assert (before[2] == Y).all()
    assert before[3] == np.random.get_state()[1].tobytes()


class Doubled(network2.CrossEntropyCost):
    """A cost of a user's: twice the cross-entropy."""

    @staticmethod
    def fn(a, y):
        return 2 * network2.CrossEntropyCost.fn(a, y)

    @staticmethod
    def delta(z, a, y):
        return 2 * (a - y)


class Overriding(network2.Network):
    """A user's network, whose gradients are three times the book's."""

    def backprop(self, x, y):
        return tuple([3 * g for g in part] for part in super().backprop(x, y))


@pytest.mark.parametrize("name", set(FUNCTIONS) - {"activations", "jacobian", "costs"})
@pytest.mark.parametrize(("kind", "cost", "factor"), [
    (network2.Network, Doubled, 2), (Overriding, network2.CrossEntropyCost, 3),
])  # fmt: skip
def test_what_a_user_overrides_is_called(name, kind, cost, factor):
    """A cost or backprop of a user's: each form is that of its gradients, or is refused."""
    plain = network2.Network([4, 5, 3], random_state=0)
    net = kind([4, 5, 3], cost, random_state=0)
    data = pairs([4, 5, 3], 6)
    if name == "hessian":
        with pytest.raises(TypeError, match="second derivatives are unknown"):
            FUNCTIONS[name](net, data)
        return
    if name == "clipped":  # shorter ones stay as they are
        found, norms = gradients.clipped_gradient(net, data, 0.1 * factor)
        right, others = gradients.clipped_gradient(plain, data, 0.1)
        assert norm_error(norms, factor * others) < 1e-12
    else:
        found, right = FUNCTIONS[name](net, data), FUNCTIONS[name](plain, data)
    power = 2 if name in ("moment", "gram") else 1
    for a, b in zip(arrays_of(found), arrays_of(right), strict=True):
        assert norm_error(a, factor**power * b) < 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [network2.Network, Overriding])
@pytest.mark.parametrize("exponent", [-1060, -150, -3, 100, 900, 1020])
def test_the_unit_of_weights(exponent, kind, dtype):
    """Weights times a power of two: the same mean gradient to the bit, and that times the sum.

    The sum is cut where its type ends, not before: of exact numbers nothing is lost on the way.
    """
    net, data = kind([4, 5, 3], dtype=dtype, random_state=0), pairs([4, 5, 3], 6, dtype=dtype)
    weights = np.array([1.5, 0.0, 1.0, 0.125, 3.0, 0.75])

    def found(weights, reduction):
        return flat(*gradients.gradient(net, data, sample_weight=weights, reduction=reduction))

    mean, total = found(weights, "mean"), found(weights, "sum")
    assert found(weights * 2.0**exponent, "mean").tobytes() == mean.tobytes()
    with np.errstate(over="ignore"):
        right = np.ldexp(total, exponent)
    assert found(weights * 2.0**exponent, "sum").tobytes() == right.tobytes()


def test_a_sigmoid_of_ones_own(monkeypatch):
    """A function put into the module is the one that every form goes through."""
    monkeypatch.setattr(network2, "sigmoid", np.tanh)
    monkeypatch.setattr(network2, "sigmoid_prime", lambda z: 1 - np.tanh(z) ** 2)
    net = network2.Network([4, 5, 3], network2.QuadraticCost, random_state=0)
    assert gradients.check_gradient(net, pairs([4, 5, 3], 4)).ok
    X = np.random.default_rng(0).uniform(size=(3, 4))
    a = X.T
    for b, w, found in zip(net.biases, net.weights, gradients.activations(net, X)[1:], strict=True):
        a = np.tanh(w @ a + b)
        assert norm_error(found, a.T) < 1e-14
    J = gradients.jacobian(net, X)
    for k, step in enumerate(1e-6 * np.eye(4)):
        above, below = (net.feedforward((X + s * step).T.copy()).T for s in (1, -1))
        assert norm_error(J[:, :, k], (above - below) / 2e-6) < 1e-8


# -- checks and differences --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("directions", [None, 7])
@both_dtypes
@pytest.mark.parametrize("cost", COSTS)
def test_right_gradients_pass(method, directions, dtype, cost):
    """The built-in costs pass both methods, at each parameter and along directions."""
    _, net = twins([5, 4, 3], cost, dtype)
    data = pairs([5, 4, 3], 4)
    check = gradients.check_gradient(net, data, method=method, directions=directions)
    assert check.ok
    assert check.layer is None
    assert "right" in str(check)
    large = network.Network([50, 60, 10], random_state=0)  # beyond the most to look at one by one
    assert gradients.check_gradient(large, pairs([50, 60, 10], 3)).ok


class Wrong(network2.Network):
    """A network with a mistake on the way back, in the hidden layer ``at``."""

    at = 1

    def backprop(self, x, y):
        a, zs = [x], []
        for b, w in zip(self.biases, self.weights, strict=True):
            zs.append(w @ a[-1] + b)
            a.append(network2.sigmoid(zs[-1]))
        delta = a[-1] - y
        nabla_b, nabla_w = [delta], [delta @ a[-2].T]
        for l in range(len(self.weights) - 1, 0, -1):
            delta = self.weights[l].T @ delta
            if l != self.at:
                delta = delta * network2.sigmoid_prime(zs[l - 1])
            nabla_b.insert(0, delta)
            nabla_w.insert(0, delta @ a[l - 1].T)
        return nabla_b, nabla_w


class WrongInputs(network2.Network):
    """A network that multiplies a layer's errors by another layer's activations."""

    def backprop(self, x, y):
        nabla_b, nabla_w = super().backprop(x, y)
        nabla_w[1] = nabla_b[1] @ nabla_b[0].T
        return nabla_b, nabla_w


def test_planted_errors_are_found_where_they_are():
    """A slope left out, a wrong layer, a factor: the last wrong layer is named."""
    data = pairs([4, 5, 5, 5, 3], 4)
    for layer in (1, 2, 3):
        net = Wrong([4, 5, 5, 5, 3], random_state=0)
        net.at = layer
        for method in ("complex", "central"):
            check = gradients.check_gradient(net, data, method=method)
            assert check.layer == layer
            assert f"wrong from layer {layer} on backwards" in str(check)
    check = gradients.check_gradient(WrongInputs([4, 5, 5, 5, 3], random_state=0), data)
    assert check.layer == 2
    assert check.errors[1].biases < 1e-10 < check.errors[1].weights

    class Half(network2.CrossEntropyCost):
        @staticmethod
        def delta(z, a, y):
            return 0.5 * (a - y)

    check = gradients.check_gradient(network2.Network([4, 5, 3], Half), pairs([4, 5, 3], 4))
    assert check.layer == 2
    np.testing.assert_allclose(check.worst, 0.5, rtol=1e-9)


def test_a_cost_that_is_not_complex():
    """A real-valued cost is refused by the complex step, and taken by differences."""

    class Size(network2.QuadraticCost):
        @staticmethod
        def fn(a, y):
            return 0.5 * np.linalg.norm(a - y) ** 2

    net, data = network2.Network([4, 5, 3], Size), pairs([4, 5, 3], 4)
    with pytest.raises(TypeError, match="method='central' takes any cost"):
        gradients.check_gradient(net, data)
    assert gradients.check_gradient(net, data, method="central").ok


def test_a_cost_that_only_its_derivative_tells():
    """With cost_derivative alone overridden, the cost is asked for, and taken."""

    class Tripled(network.Network):
        def cost_derivative(self, a, y):
            return 3 * (a - y)

    net, data = Tripled([4, 5, 3]), pairs([4, 5, 3], 4)
    with pytest.raises(TypeError, match="expected a cost, got cost_derivative alone"):
        gradients.check_gradient(net, data)
    assert gradients.check_gradient(net, data, cost=lambda a, y: 1.5 * np.sum((a - y) ** 2)).ok


def test_the_earlier_ways():
    """Each difference has its error and its count of passes; perturbation errs as it must."""
    _, net = twins([5, 4, 3])
    data = pairs([5, 4, 3], 6)
    right = flat(*gradients.gradient(net, data))
    errors = {}
    for method in ("forward", "central", "perturbation"):
        found = gradients.numerical_gradient(
            net, data, method=method, directions=400, random_state=0
        )
        errors[method] = norm_error(flat(found.nabla_b, found.nabla_w), right)
        n = right.size
        assert found.passes == {"forward": n + 1, "central": 2 * n, "perturbation": 800}[method]
    assert errors["central"] < 1e-8 < errors["forward"] < 1e-5
    expected = np.sqrt(right.size / 400)
    assert 0.5 * expected < errors["perturbation"] < 2 * expected


# -- clipping in SGD ---------------------------------------------------------------------------


@pytest.mark.core
@both_dtypes
@pytest.mark.parametrize("cost", [network2.CrossEntropyCost, Doubled])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_clipped_steps(dtype, cost, n_threads, monkeypatch):
    """SGD with clip_norm is a plain loop over clipped gradients, decay and ragged end included."""
    monkeypatch.setattr("fastbp.training.threads._WORK", 1.0)
    sizes, n, batch, eta, lmbda, most = [6, 5, 3], 23, 5, 0.5, 0.7, 0.4
    reference, net = twins(sizes, dtype=dtype)
    net.cost = cost
    data = pairs(sizes, n, dtype=dtype)
    factor = 2 if cost is Doubled else 1
    theta = flat(reference.biases, reference.weights)
    decayed = np.arange(theta.size) >= sum(sizes[1:])
    for start in range(0, n, batch):
        part = data[start : start + batch]
        each = factor * rows(stepped(net_like(net), theta), part)
        each *= np.minimum(1, most / np.linalg.norm(each, axis=1))[:, None]
        theta = np.where(decayed, 1 - eta * lmbda / n, 1) * theta - eta * each.mean(axis=0)
    net.SGD(
        list(data), 1, batch, eta, lmbda, shuffle=False, verbose=False, clip_norm=most,
        n_threads=n_threads,
    )  # fmt: skip
    assert close(gradients.flatten(net), theta, dtype)


def net_like(net):
    """Return a plain network of the same sizes, for its layout and cost."""
    return network2.Network(net.sizes)


def test_clip_norm_of_one_step_and_its_limits():
    """One step clips alike; a large norm changes nothing; bad ones and overrides are refused."""
    net, data = network2.Network([6, 5, 3], random_state=0), pairs([6, 5, 3], 7)
    copies = [network2.Network([6, 5, 3], random_state=0) for _ in range(3)]
    net.update_mini_batch(data, 0.5, 0.1, 7, clip_norm=0.2)
    copies[0].SGD(data, 1, 7, 0.5, 0.1, shuffle=False, verbose=False, clip_norm=0.2)
    assert norm_error(gradients.flatten(net), gradients.flatten(copies[0])) < 1e-14
    copies[1].update_mini_batch(data, 0.5, 0.1, 7, clip_norm=1e9)
    copies[2].update_mini_batch(data, 0.5, 0.1, 7)
    assert norm_error(gradients.flatten(copies[1]), gradients.flatten(copies[2])) < 1e-14
    before = gradients.flatten(net)
    for bad in (0, -1.0, np.nan, np.inf, "much"):
        for call in (
            lambda bad=bad: net.update_mini_batch(data, 0.5, 0.1, 7, clip_norm=bad),
            lambda bad=bad: net.SGD(data, 1, 7, 0.5, clip_norm=bad),
        ):
            with pytest.raises((ValueError, TypeError), match=r"^clip_norm: expected "):
                call()

    class Own(network2.Network):
        def update_mini_batch(self, mini_batch, eta, lmbda, n):
            raise AssertionError

    with pytest.raises(ValueError, match="as update_mini_batch is overridden"):
        Own([6, 5, 3]).SGD(data, 1, 7, 0.5, clip_norm=1.0)
    assert (gradients.flatten(net) == before).all()


# -- bad input, memory, threads ----------------------------------------------------------------

NET = network2.Network([4, 5, 3], random_state=0)
DATA = pairs([4, 5, 3], 6)
OUT = gradients.per_sample_gradients(NET, DATA)
FLAT = gradients.per_sample_gradients(NET, DATA, flat=True)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("data", [
    [], [(np.ones((3, 1)), np.ones((3, 1)))], [(np.full((4, 1), np.nan), np.ones((3, 1)))], 3,
    (np.ones((2, 5)), np.ones((2, 3))), (np.ones((2, 4)), np.ones((3, 3))),
    (np.ones((2, 4)), np.array([0, 3])), [(np.ones((4, 1)), 7)], "pairs",
], ids=str)  # fmt: skip
def test_bad_data(name, data):
    """Each form says what is wrong with the samples, and where."""
    with pytest.raises((ValueError, TypeError), match=r"^(data|X|Y|a).*: expected .*, got "):
        FUNCTIONS[name](NET, data)


@pytest.mark.parametrize(("call", "where"), [
    (lambda: gradients.gradient(NET, DATA, reduction="max"), "reduction"),
    (lambda: gradients.gradient(NET, DATA, sample_weight=[1.0]), "sample_weight"),
    (lambda: gradients.gradient(NET, DATA, sample_weight=[1.0] * 5 + [-1.0]), "sample_weight[5]"),
    (lambda: gradients.gradient(NET, DATA, sample_weight=[1.0] * 5 + [np.nan]), "sample_weight[5]"),
    (lambda: gradients.gradient(NET, DATA, sample_weight=[0.0] * 6), "sample_weight"),
    (lambda: gradients.clipped_gradient(NET, DATA, 0), "max_norm"),
    (lambda: gradients.clipped_gradient(NET, DATA, 1.0, reduction=None), "reduction"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=FLAT), "out"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=OUT, flat=True), "out"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=FLAT[:5], flat=True), "out"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=FLAT.astype("f"), flat=True), "out"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=FLAT.T.copy().T, flat=True), "out"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=(OUT[0], OUT[1][:1])), "out[1]"),
    (lambda: gradients.per_sample_gradients(NET, DATA, out=(OUT[0], OUT[0])), "out[1][0]"),
    (lambda: gradients.hessian_vector_product(NET, DATA, np.ones(3)), "v"),
    (lambda: gradients.hessian_vector_product(NET, DATA, [NET.biases]), "v"),
    (lambda: gradients.hessian_vector_product(NET, DATA, (NET.biases, NET.biases)), "v[1][0]"),
    (lambda: gradients.unflatten(NET, np.ones(3)), "vector"),
    (lambda: gradients.check_gradient(NET, DATA, method="guess"), "method"),
    (lambda: gradients.check_gradient(NET, DATA, directions=0), "directions"),
    (lambda: gradients.numerical_gradient(NET, DATA, method="complex"), "method"),
    (lambda: gradients.numerical_gradient(NET, DATA, reduction=1), "reduction"),
])  # fmt: skip
def test_bad_options(call, where):
    """Each bad option is one clear error that begins with its name."""
    before = gradients.flatten(NET)
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert str(error.value).startswith(f"{where}: expected ")
    assert ", got " in str(error.value)
    assert (gradients.flatten(NET) == before).all()


def test_a_read_only_out_is_refused():
    """What cannot be written to is refused before anything is written."""
    out = FLAT.copy()
    out.setflags(write=False)
    with pytest.raises(ValueError, match="writeable"):
        gradients.per_sample_gradients(NET, DATA, out=out, flat=True)


@pytest.mark.core
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fan_in", [1, 3, 4, 7, 8, 15, 16, 17, 21, 31, 33, 48, 70])
def test_each_gradient_is_the_outer_product_wherever_it_goes(fan_in, dtype):
    """To the bits, a zero's sign too, and nothing beside it, at each offset from a line."""
    net = network2.Network([fan_in, 5], network2.QuadraticCost, dtype=dtype, random_state=0)
    net.biases[0][:2] = 60  # saturated: an error of -0
    rng, line = np.random.default_rng(0), 64 // np.dtype(dtype).itemsize
    data = Dataset(rng.random((3, fan_in)), np.full((3, 5), 2.0))
    delta, a = gradients.deltas(net, data)[0], gradients.activations(net, data)[0]
    expected = delta[:, :, None] * a[:, None, :]
    assert np.signbit(expected[expected == 0]).any()
    for offset in range(line):
        memory = np.full(expected.size + 3 * line, np.nan, dtype)
        begin = -memory.ctypes.data % 64 // memory.itemsize + offset
        out = memory[begin : begin + expected.size].reshape(expected.shape)
        gradients.per_sample_gradients(net, data, out=([np.empty((3, 5, 1), dtype)], [out]))
        assert out.tobytes() == expected.tobytes()
        assert np.isnan(memory[:begin]).all()
        assert np.isnan(memory[begin + expected.size :]).all()


@pytest.mark.parametrize("case", ["X", "Y", "twice"])
@pytest.mark.parametrize("cost", [network2.CrossEntropyCost, Doubled])
def test_an_out_that_overlaps_is_refused(case, cost):
    """Gradients are not written over the samples that they are of, nor over one another."""
    net, rng = network2.Network([3, 3, 3], cost, random_state=0), np.random.default_rng(0)
    P, n = 24, 5
    memory = rng.uniform(size=n * P)
    before = memory.copy()
    X, Y = rng.uniform(size=(n, 3)), rng.uniform(size=(n, 3))
    out = memory.reshape(n, P)
    if case == "X":
        X = memory[-3 * n :].reshape(n, 3)
    if case == "Y":
        Y = memory[P : P + 3 * n].reshape(n, 3)
    if case == "twice":
        _, (weights, _) = gradients.per_sample_gradients(net, Dataset(X, Y))
        b = rng.uniform(size=(2, n, 3, 1))
        with pytest.raises(ValueError, match="out: expected memory of its own, got "):
            gradients.per_sample_gradients(net, Dataset(X, Y), out=(list(b), [weights, weights]))
        return
    with pytest.raises(ValueError, match="out: expected memory of its own, got "):
        gradients.per_sample_gradients(net, Dataset(X, Y), out=out, flat=True)
    assert (memory == before).all()


@pytest.mark.parametrize("call", [
    gradients.per_sample_gradient_norms,
    lambda net, data: gradients.clipped_gradient(net, data, 1.0),
])  # fmt: skip
def test_memory_does_not_grow_with_the_samples(call):
    """Norms and clipped sums of 60,000 images take less than 64 MB beside them."""
    data = Dataset(np.zeros((60000, 784), np.float32), np.zeros(60000, int), check_finite=False)
    net = network2.Network([784, 100, 10], dtype=np.float32, random_state=0)
    tracemalloc.start()
    try:
        call(net, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64e6


def test_threads_may_read_one_network():
    """Gradients of one network in many threads at once are those of one."""
    data = Dataset(np.random.default_rng(0).uniform(size=(500, 4)), np.zeros(500, int))
    right, found = gradients.per_sample_gradients(NET, data, flat=True), []

    def ask():
        found.append(gradients.per_sample_gradients(NET, data, flat=True))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((each == right).all() for each in found)


@both_dtypes
def test_extreme_values(dtype):
    """Large inputs and saturated neurons: norms are finite and those of the gradients."""
    _, net = twins([3, 4, 2], dtype=dtype, scale=30.0)
    X = np.array([[1e18, -1e18, 1.0], [1e-30, 0.0, 1e3], [5.0, 5.0, 5.0]])
    data = Dataset(X, [[0.0, 1.0]] * 3)
    each = gradients.per_sample_gradients(net, data, flat=True).astype(np.float64)
    norms = gradients.per_sample_gradient_norms(net, data)
    assert np.isfinite(norms).all()
    np.testing.assert_allclose(norms, np.linalg.norm(each, axis=1), rtol=1e-5)
