"""The reference against mathematics: hand-worked numbers, differences, the complex step."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import CENTRAL_DIFFERENCE, COMPLEX_STEP, COMPLEX_STEP_DIRECTIONS, GRADIENT
from twins import COSTS, flat, norm_error, pairs, reference_gradient, same_parameters, twins

from fastbp import network
from fastbp.reference import network as reference1
from fastbp.reference import network2 as reference2

TINY = 1e-200  # so small a step that its square vanishes: the complex step has no cancellation


def total_cost(net, data, lmbda=0.0):
    """Return the mean cost of ``data`` (chapter 1's is quadratic), complex parameters allowed."""
    if isinstance(net, reference2.Network):
        return net.total_cost(data, lmbda)
    return sum(0.5 * np.sum((net.feedforward(x) - y) ** 2) for x, y in data) / len(data)


def complex_step(net, data, lmbda=0.0):
    """Return the gradient of the mean cost by every bias and weight, from Im C(p + ih) / h."""
    gradients = []
    for name in ("biases", "weights"):
        own = getattr(net, name)
        layers = [np.empty(a.shape) for a in own]
        for l, a in enumerate(own):
            for index in np.ndindex(a.shape):
                stepped = [p.astype(complex) for p in own]
                stepped[l][index] += 1j * TINY
                setattr(net, name, stepped)
                layers[l][index] = total_cost(net, data, lmbda).imag / TINY
        setattr(net, name, own)
        gradients.append(layers)
    return gradients


@pytest.mark.parametrize("module", [reference1, network], ids=["reference", "fast"])
def test_hand_worked_2_2_1(module):
    """A 2-2-1 net whose gradient was worked out by hand gives those numbers.

    With x = (1, 0), y = 1 and logits of round numbers: z_1 = (ln 3, -ln 3) gives
    a_1 = (3/4, 1/4); z_2 = ln 4 gives a_2 = 4/5. Then delta_2 = (4/5 - 1) 4/5 1/5
    = -4/125, and delta_1 = w_2 delta_2 a_1 (1 - a_1) with w_2 = (1, 2) and a_1 (1 - a_1)
    = 3/16 for both: (-3/500, -3/250).
    """
    net = module.Network([2, 2, 1])
    net.weights = [np.array([[np.log(3), 7.0], [0.0, -5.0]]), np.array([[1.0, 2.0]])]
    net.biases = [np.array([[0.0], [-np.log(3)]]), np.array([[np.log(4) - 1.25]])]
    x, y = np.array([[1.0], [0.0]]), np.array([[1.0]])
    nabla_b, nabla_w = net.backprop(x, y)
    right_b = [np.array([[-3 / 500], [-3 / 250]]), np.array([[-4 / 125]])]
    right_w = [
        np.array([[-3 / 500, 0.0], [-3 / 250, 0.0]]),
        np.array([[-4 / 125 * 3 / 4, -4 / 125 * 1 / 4]]),
    ]
    found, right = flat(nabla_b, nabla_w), flat(right_b, right_w)
    np.testing.assert_allclose(found, right, rtol=GRADIENT[np.float64], atol=0)
    assert abs(net.feedforward(x).item() - 4 / 5) <= GRADIENT[np.float64]


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    n=st.integers(1, 5),
    cost=st.sampled_from(COSTS),
    lmbda=st.sampled_from([0.0, 1.3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_parameter_by_the_complex_step(sizes, n, cost, lmbda, seed):
    """Gradient and decay term of the reference are the derivative of its cost, all over."""
    net, _ = twins(sizes, cost, seed=seed)
    data = pairs(sizes, n, seed)
    nabla_b, nabla_w = reference_gradient(net, data)
    nabla_w = [nabla + lmbda * w for nabla, w in zip(nabla_w, net.weights, strict=True)]
    found = flat(nabla_b, nabla_w) / n
    assert norm_error(found, flat(*complex_step(net, data, lmbda))) <= COMPLEX_STEP


def test_chapter_1_by_the_complex_step():
    """The gradient of chapter 1's reference is the derivative of the quadratic cost."""
    for seed in range(20):
        sizes = [random.Random(seed).randint(1, 6) for _ in range(4)]
        net = reference1.Network(sizes, random_state=seed)
        data = pairs(sizes, 3, seed)
        found = flat(*reference_gradient(net, data)) / 3
        assert norm_error(found, flat(*complex_step(net, data))) <= COMPLEX_STEP


@pytest.mark.parametrize("cost", COSTS)
def test_every_parameter_by_central_differences(cost):
    """The gradient is what the oldest way gives, moving one parameter at a time both ways."""
    h = 6e-6
    for seed in range(10):
        sizes = [5, 4, 3]
        net, _ = twins(sizes, cost, seed=seed)
        data = pairs(sizes, 4, seed)
        right = []
        for a in (*net.biases, *net.weights):
            for index in np.ndindex(a.shape):
                value = a[index]
                a[index] = value + h
                above = total_cost(net, data)
                a[index] = value - h
                below = total_cost(net, data)
                a[index] = value
                right.append((above - below) / (2 * h))
        found = flat(*reference_gradient(net, data)) / 4
        assert norm_error(found, np.array(right)) <= CENTRAL_DIFFERENCE


@pytest.mark.parametrize("cost", COSTS)
def test_a_large_net_along_random_directions(cost):
    """On 784-100-10 the gradient's slope along random directions is the complex step's."""
    sizes = [784, 100, 10]
    net, fast = twins(sizes, cost, seed=3)
    data = pairs(sizes, 1, 3)
    for judged in (net, fast):
        gradient = [np.array(a) for part in judged.backprop(*data[0]) for a in part]
        own = net.biases, net.weights
        rng = np.random.default_rng(0)
        for _ in range(20):
            steps = [rng.standard_normal(a.shape) for a in gradient]
            stepped = [a + 1j * TINY * s for a, s in zip(own[0] + own[1], steps, strict=True)]
            net.biases, net.weights = stepped[:2], stepped[2:]
            right = total_cost(net, data).imag / TINY
            net.biases, net.weights = own
            found = sum(np.vdot(g, s) for g, s in zip(gradient, steps, strict=True))
            size = np.sqrt(sum(np.vdot(g, g) for g in gradient))
            assert abs(found - right) <= COMPLEX_STEP_DIRECTIONS * size


@pytest.mark.parametrize("module", [reference1, network], ids=["reference", "fast"])
def test_the_four_equations_one_by_one(module):
    """BP1 to BP4 hold between the gradients that backprop returns, each by itself."""
    sizes = [4, 5, 3, 2]
    net = module.Network(sizes, random_state=4)
    (x, y), *_ = pairs(sizes, 1, 4)
    nabla_b, nabla_w = net.backprop(x, y)
    activations = [x]
    for b, w in zip(net.biases, net.weights, strict=True):
        activations.append(1 / (1 + np.exp(-(w @ activations[-1] + b))))
    slopes = [a * (1 - a) for a in activations]
    equations = {"BP1": (nabla_b[-1], (activations[-1] - y) * slopes[-1])}
    for l in range(2):
        equations[f"BP2, layer {l}"] = (
            nabla_b[l],
            net.weights[l + 1].T @ nabla_b[l + 1] * slopes[l + 1],
        )
    for l in range(3):  # BP3 says that the gradient by the biases is delta itself
        equations[f"BP4, layer {l}"] = nabla_w[l], nabla_b[l] @ activations[l].T
    for equation, (found, right) in equations.items():
        assert norm_error(found, right) <= GRADIENT[np.float64], equation
    fixed = module.Network(sizes, random_state=4)
    check = reference1.Network(sizes)
    same_parameters(check, fixed)
    by_step = complex_step(check, [(x, y)])[0]
    for found, right in zip(nabla_b, by_step, strict=True):
        assert norm_error(found, right) <= COMPLEX_STEP, "BP3"


def test_the_sum_over_all_paths():
    """The change through every path from a weight to the cost adds up to its derivative.

    The big picture of chapter 2: each path contributes the product of the slopes and
    weights that it meets.
    """
    sizes = [4, 5, 3, 2]
    net = reference1.Network(sizes, random_state=9)
    (x, y), *_ = pairs(sizes, 1, 9)
    activations = [x]
    for b, w in zip(net.biases, net.weights, strict=True):
        activations.append(reference1.sigmoid(w @ activations[-1] + b))
    slopes = [a * (1 - a) for a in activations]
    _, nabla_w = net.backprop(x, y)
    for layer, j, k in [(0, 2, 3), (0, 4, 0), (1, 1, 2), (2, 0, 1)]:
        total = 0.0
        for path in itertools.product(*(range(n) for n in sizes[layer + 2 :])):
            term, here = activations[layer][k, 0] * slopes[layer + 1][j, 0], j
            for l, there in enumerate(path, start=layer + 1):
                term *= net.weights[l][there, here] * slopes[l + 1][there, 0]
                here = there
            total += term * (activations[-1] - y)[here, 0]
        assert abs(total - nabla_w[layer][j, k]) <= GRADIENT[np.float64] * abs(total)
