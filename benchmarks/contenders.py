"""The programs that are compared: each trains the same network on the same data.

A contender is ``prepare(sizes, batch, X, Y, start, dtype, cost)``; it returns a Program
whose step is one epoch of plain SGD in the order of the data, and whose result is all
weights, then all biases, in the shapes of the book. Sigmoid neurons; the cost is summed
over the outputs and averaged over the mini-batch.
"""

import os
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from harness import Program

QUADRATIC, CROSS_ENTROPY = "quadratic", "cross-entropy"
# Where training is chaotic no two programs end alike: cross-entropy, which learns faster,
# is so at 0.5.
ETA = {QUADRATIC: 0.5, CROSS_ENTROPY: 0.1}


def reference(sizes, batch, X, Y, start, dtype, cost):
    """The book's class in plain NumPy, one sample at a time, always in float64."""
    from fastbp.reference import network, network2

    net = network.Network(sizes) if cost == QUADRATIC else network2.Network(sizes)
    net.weights, net.biases = (list(part) for part in start)
    data = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]
    return Program(
        lambda: net.SGD(data, 1, batch, ETA[cost], shuffle=False, verbose=False),
        lambda: net.weights + net.biases,
    )


def numpy_matrix(sizes, batch, X, Y, start, dtype, cost):
    """The mini-batch as a matrix, the problem at the end of chapter 2's section on code."""
    weights, biases = ([a.astype(dtype) for a in part] for part in start)
    inputs, targets = X.astype(dtype).T.copy(), Y.astype(dtype).T.copy()

    def epoch():
        for first in range(0, inputs.shape[1], batch):
            a = [inputs[:, first : first + batch]]
            y = targets[:, first : first + batch]
            for w, b in zip(weights, biases, strict=True):
                a.append(1 / (1 + np.exp(-(w @ a[-1] + b))))
            step = dtype(ETA[cost] / y.shape[1])
            delta = (a[-1] - y) * a[-1] * (1 - a[-1])
            for l in range(len(weights) - 1, -1, -1):
                above = weights[l].T @ delta if l else None
                weights[l] -= step * (delta @ a[l].T)
                biases[l] -= step * delta.sum(axis=1, keepdims=True)
                if l:
                    delta = above * a[l] * (1 - a[l])

    return Program(epoch, lambda: weights + biases)


def scikit_learn(sizes, batch, X, Y, start, dtype, cost):
    """MLPClassifier on several labels a sample: sigmoid outputs, cross-entropy."""
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier(
        tuple(sizes[1:-1]),
        activation="logistic",
        solver="sgd",
        alpha=0,
        batch_size=batch,
        learning_rate_init=ETA[cost],
        shuffle=False,
        momentum=0,
    )
    X, Y = X.astype(dtype), Y.astype(int)
    classes = [0, 1]
    if Y.shape[1] == 1:
        Y = Y.ravel()
    else:
        classes = list(range(Y.shape[1]))
    net.partial_fit(X, Y, classes=classes)
    for own, given in zip(net.coefs_, start[0], strict=True):
        own[...] = given.T
    for own, given in zip(net.intercepts_, start[1], strict=True):
        own[...] = given.ravel()
    return Program(
        lambda: net.partial_fit(X, Y),
        lambda: [w.T for w in net.coefs_] + [b.reshape(-1, 1) for b in net.intercepts_],
    )


def torch_eager(sizes, batch, X, Y, start, dtype, cost):
    """A Sequential, autograd and torch.optim.SGD."""
    import torch

    torch.set_num_threads(1)
    layers = []
    for w, b in zip(*start, strict=True):
        linear = torch.nn.Linear(*w.shape[::-1])
        linear.weight = torch.nn.Parameter(torch.from_numpy(w.astype(dtype)))
        linear.bias = torch.nn.Parameter(torch.from_numpy(b.astype(dtype).ravel()))
        layers += [linear, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=ETA[cost])
    inputs, targets = (torch.from_numpy(a.astype(dtype)).split(batch) for a in (X, Y))

    def epoch():
        for x, y in zip(inputs, targets, strict=True):
            loss = torch.nn.functional.mse_loss(model(x), y, reduction="sum") / (2 * batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    linears = layers[::2]
    return Program(
        epoch,
        lambda: (
            [l.weight.detach().numpy() for l in linears]
            + [l.bias.detach().numpy().reshape(-1, 1) for l in linears]
        ),
    )


def torch_functional(batch, X, Y, start, dtype):
    """Return parameters, loss function and data for the two functional forms."""
    import torch

    torch.set_num_threads(1)
    parameters = [torch.from_numpy(w.astype(dtype)) for w in start[0]]
    parameters += [torch.from_numpy(b.astype(dtype).ravel()) for b in start[1]]
    layers = len(start[0])

    def loss(parameters, x, y):
        a = x
        for w, b in zip(parameters[:layers], parameters[layers:], strict=True):
            a = torch.sigmoid(torch.nn.functional.linear(a, w, b))
        return torch.nn.functional.mse_loss(a, y, reduction="sum") / (2 * batch)

    def result():
        arrays = [p.detach().numpy() for p in parameters]
        return arrays[:layers] + [b.reshape(-1, 1) for b in arrays[layers:]]

    inputs, targets = (
        torch.from_numpy(a.astype(dtype)).reshape(-1, batch, a.shape[1]) for a in (X, Y)
    )
    return parameters, loss, inputs, targets, result


def torch_grad(sizes, batch, X, Y, start, dtype, cost):
    """Eager again, without module and optimizer: autograd.grad and one call for the update."""
    parameters, loss, inputs, targets, result = torch_functional(batch, X, Y, start, dtype)
    import torch

    for p in parameters:
        p.requires_grad_()
    inputs, targets = inputs.unbind(), targets.unbind()

    def epoch():
        for x, y in zip(inputs, targets, strict=True):
            gradients = torch.autograd.grad(loss(parameters, x, y), parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-ETA[cost])

    return Program(epoch, result)


def torch_compile(sizes, batch, X, Y, start, dtype, cost, unroll=8):
    """torch.compile of ``unroll`` steps, gradients and updates in one graph, called from C++."""
    parameters, loss, inputs, targets, result = torch_functional(batch, X, Y, start, dtype)
    import torch

    torch._dynamo.reset()

    @torch.compile(fullgraph=True, dynamic=False, options={"cpp_wrapper": True})
    def steps(parameters, xs, ys):
        for i in range(unroll):
            gradients = torch.func.grad(loss)(parameters, xs[i], ys[i])
            for p, g in zip(parameters, gradients, strict=True):
                p.sub_(g, alpha=ETA[cost])

    inputs, targets = inputs.split(unroll), targets.split(unroll)

    def epoch():
        with torch.no_grad():
            for xs, ys in zip(inputs, targets, strict=True):
                steps(parameters, xs, ys)

    return Program(epoch, result)


def jax_functional(batch, X, Y, start, dtype, transposed):
    """Return parameters, data by mini-batches, the loss function and how to read the result."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    inputs, targets = (jnp.asarray(a.astype(dtype).reshape(-1, batch, a.shape[1])) for a in (X, Y))
    turn = (lambda w: w.T) if transposed else (lambda w: w)
    state = [
        (jnp.array(turn(w).astype(dtype)), jnp.array(b.astype(dtype).ravel()))
        for w, b in zip(*start, strict=True)
    ]

    def loss(parameters, x, y):
        a = x
        for w, b in parameters:
            a = jax.nn.sigmoid(a @ (w if transposed else w.T) + b)
        return jnp.sum((a - y) ** 2) / (2 * batch)

    def result(state):
        return [np.asarray(turn(w)) for w, _ in state] + [
            np.asarray(b).reshape(-1, 1) for _, b in state
        ]

    return state, inputs, targets, loss, result


def jax_scan(sizes, batch, X, Y, start, dtype, cost, transposed=False):
    """The whole epoch in one jit: grad and update in a lax.scan, parameters donated."""
    import jax

    state, inputs, targets, loss, result = jax_functional(batch, X, Y, start, dtype, transposed)

    def step(parameters, xy):
        gradients = jax.grad(loss)(parameters, *xy)
        return jax.tree.map(lambda p, g: p - ETA[cost] * g, parameters, gradients), None

    @partial(jax.jit, donate_argnums=0)
    def scan(parameters, xs, ys):
        return jax.lax.scan(step, parameters, (xs, ys))[0]

    def epoch():
        nonlocal state
        state = jax.block_until_ready(scan(state, inputs, targets))

    return Program(epoch, lambda: result(state))


def fastbp(sizes, batch, X, Y, start, dtype, cost):
    """fastbp's SGD on a Dataset."""
    from fastbp import Dataset, network, network2

    net = (network if cost == QUADRATIC else network2).Network(sizes, dtype=dtype)
    net.weights, net.biases = ([a.astype(dtype) for a in part] for part in start)
    data = Dataset(X.astype(dtype), Y.astype(dtype))
    return Program(
        lambda: net.SGD(
            data, 1, batch, ETA[cost], shuffle=False, verbose=False, check_finite=False
        ),
        lambda: net.weights + net.biases,
    )


class Contender(NamedTuple):
    """A program, the cost that it learns, and what its process finds in its environment."""

    prepare: Any
    cost: str = QUADRATIC
    environment: Any = None

    @property
    def ours(self):
        """Whether this is fastbp itself."""
        return self.prepare is fastbp


OURS, AGAIN, OURS_CROSS_ENTROPY = "fastbp", "fastbp (again)", "fastbp, cross-entropy"


def contenders():
    """Return all contenders by name; a new one is a line here.

    The order is that of the turns: the two of the A/A control stand far apart.
    """
    from fastbp._dispatch import SUPPORTED, core

    levels = [level for level in SUPPORTED if level != core.LEVEL]
    if os.environ.get("FASTBP_LEVEL"):
        levels = []
    return {
        OURS: Contender(fastbp),
        "reference": Contender(reference),
        "NumPy, matrix form": Contender(numpy_matrix),
        "scikit-learn": Contender(scikit_learn, CROSS_ENTROPY),
        OURS_CROSS_ENTROPY: Contender(fastbp, CROSS_ENTROPY),
        "PyTorch, eager": Contender(torch_eager),
        "PyTorch, autograd.grad": Contender(torch_grad),
        "PyTorch, torch.compile": Contender(torch_compile),
        "JAX, scan": Contender(jax_scan),
        "JAX, scan, weights transposed": Contender(partial(jax_scan, transposed=True)),
        **{
            f"fastbp, level {level}": Contender(fastbp, environment={"FASTBP_LEVEL": level})
            for level in levels
        },
        AGAIN: Contender(fastbp),
    }


RANDOM, MNIST = "random numbers", "MNIST"


def has_mnist():
    """Whether the MNIST files are found."""
    try:
        samples(1, [784, 10], MNIST)
    except FileNotFoundError:
        return False
    return True


def samples(n, sizes, data):
    """Return X, Y: random numbers, none of them 0, or the first images of MNIST."""
    if data == MNIST:
        from fastbp import datasets, one_hot

        training, _ = datasets.load_mnist()
        return training.X[:n].astype(np.float64), one_hot(training.Y[:n], sizes[-1])
    rng = np.random.default_rng(0)
    X = rng.random((n, sizes[0]), np.float32).astype(np.float64)
    return X, rng.integers(0, 2, (n, sizes[-1])).astype(np.float64)


def prepare(contender, sizes, batch, batches, dtype, cost, data=RANDOM):
    """Return the contender's program, on the same data in every process.

    All numbers are float32 ones, so that both types start from the same; the targets are
    0 or 1, as cross-entropy with several labels a sample wants them.
    """
    X, Y = samples(batch * batches, sizes, data)
    return contender.prepare(sizes, batch, X, Y, start(sizes), np.dtype(dtype).type, cost)


def start(sizes):
    """Return the weights and biases that all contenders start from."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return rng.standard_normal(shape, np.float32)

    weights = [draw(n, m) / np.float32(m**0.5) for m, n in pairwise(sizes)]
    biases = [draw(n, 1) for n in sizes[1:]]
    return tuple([a.astype(np.float64) for a in part] for part in (weights, biases))


def products(sizes, dtype, n, gradient=True):
    """Return a function of rows X (n, n_0): the matrix products of backpropagation alone.

    By NumPy's BLAS, into arrays that are there: forward, back to the first hidden layer, and
    those of the gradient, if asked.
    """
    weights = [np.ones(shape, dtype) for shape in pairwise(sizes)]
    nablas = [np.empty_like(w) for w in weights]
    values, errors = ([np.ones((n, size), dtype) for size in sizes[1:]] for _ in range(2))

    def run(X):
        a = [X, *(value[: len(X)] for value in values)]
        delta = [error[: len(X)] for error in errors]
        for l, w in enumerate(weights):
            np.dot(a[l], w, out=a[l + 1])
        for l in range(len(weights) - 1, 0, -1):
            np.dot(delta[l], weights[l].T, out=delta[l - 1])
        for l, nabla in enumerate(nablas if gradient else []):
            np.dot(a[l].T, delta[l], out=nabla)

    return run


def large_gemm(dtype, n=1024):
    """NumPy's matrix product of two large squares: what this processor can do at most."""
    a, b = (np.random.default_rng(i).random((n, n)).astype(dtype) for i in range(2))
    out = np.empty_like(a)
    return Program(lambda: np.matmul(a, b, out=out), lambda: 2 * n**3)
