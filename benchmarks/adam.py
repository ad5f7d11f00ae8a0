"""Compare fastbp's Adam with that of other programs, on the networks of speed.py.

    python benchmarks/adam.py                 all networks
    python benchmarks/adam.py --cell 0        one of them; --dtype float32 for one type
    python benchmarks/adam.py --write         and put the table into benchmarks/README.md

Contenders, turns and verification are those of speed.py; all take Adam's steps (Kingma and Ba,
2015, algorithm 1) on the quadratic cost of sigmoid neurons. scikit-learn, which has another cost
and another epsilon, is compared in estimators.py.
"""

import argparse
from functools import partial

import contenders
import harness
import numpy as np
import speed
from contenders import AGAIN, OURS, RANDOM, Contender
from harness import Program

RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-8


def fastbp(sizes, batch, X, Y, start, dtype, cost):
    """fastbp.train on a Dataset."""
    import fastbp
    from fastbp import network2, optimizers

    net = network2.Network(sizes, network2.QuadraticCost, dtype=dtype)
    net.weights, net.biases = ([a.astype(dtype) for a in part] for part in start)
    data = fastbp.Dataset(X.astype(dtype), Y.astype(dtype))
    state, optimizer = optimizers.State(), optimizers.Adam(eta=RATE)
    return Program(
        lambda: fastbp.train(
            net, data, epochs=1, mini_batch_size=batch, optimizer=optimizer, shuffle=False,
            evaluate=False, state=state,
        ),
        lambda: net.weights + net.biases,
    )  # fmt: skip


def numpy_matrix(sizes, batch, X, Y, start, dtype, cost):
    """The mini-batch as a matrix."""
    parameters = [a.astype(dtype) for part in start for a in part]
    means = [np.zeros_like(p) for p in parameters]
    squares = [np.zeros_like(p) for p in parameters]
    inputs, targets = X.astype(dtype).T.copy(), Y.astype(dtype).T.copy()
    k, t = len(start[0]), 0

    def epoch():
        nonlocal t
        for first in range(0, inputs.shape[1], batch):
            a = [inputs[:, first : first + batch]]
            y = targets[:, first : first + batch]
            for w, b in zip(parameters[:k], parameters[k:], strict=True):
                a.append(1 / (1 + np.exp(-(w @ a[-1] + b))))
            delta = (a[-1] - y) * a[-1] * (1 - a[-1]) / dtype(y.shape[1])
            gradients = [None] * 2 * k
            for l in range(k - 1, -1, -1):
                gradients[l] = delta @ a[l].T
                gradients[k + l] = delta.sum(axis=1, keepdims=True)
                if l:
                    delta = (parameters[l].T @ delta) * a[l] * (1 - a[l])
            t += 1
            step = dtype(RATE / (1 - BETA_1**t))
            root = dtype(1 / np.sqrt(1 - BETA_2**t))
            for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
                m += dtype(1 - BETA_1) * (g - m)
                v += dtype(1 - BETA_2) * (g * g - v)
                p -= step * m / (root * np.sqrt(v) + dtype(EPSILON))

    return Program(epoch, lambda: parameters)


def torch_eager(sizes, batch, X, Y, start, dtype, cost):
    """A loop over mini-batches: autograd and torch.optim.Adam, fused."""
    parameters, loss, inputs, targets, result = contenders.torch_functional(
        batch, X, Y, start, dtype
    )
    import torch

    for p in parameters:
        p.requires_grad_()
    optimizer = torch.optim.Adam(
        parameters, lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
    )
    inputs, targets = inputs.unbind(), targets.unbind()

    def epoch():
        for x, y in zip(inputs, targets, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss(parameters, x, y).backward()
            optimizer.step()

    return Program(epoch, result)


def torch_compile(sizes, batch, X, Y, start, dtype, cost, unroll=8):
    """torch.compile of ``unroll`` steps in one graph, called from C++."""
    parameters, loss, inputs, targets, result = contenders.torch_functional(
        batch, X, Y, start, dtype
    )
    import torch

    torch._dynamo.reset()
    means = [torch.zeros_like(p) for p in parameters]
    squares = [torch.zeros_like(p) for p in parameters]
    t = torch.zeros((), dtype=torch.float64)

    @torch.compile(fullgraph=True, dynamic=False, options={"cpp_wrapper": True})
    def steps(parameters, means, squares, t, xs, ys):
        for i in range(unroll):
            gradients = torch.func.grad(loss)(parameters, xs[i], ys[i])
            now = t + (i + 1)
            step = (RATE / (1 - BETA_1**now)).to(xs.dtype)
            root = (1 / torch.sqrt(1 - BETA_2**now)).to(xs.dtype)
            for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
                m.lerp_(g, 1 - BETA_1)
                v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
                p.sub_(step * m / (root * v.sqrt() + EPSILON))

    inputs, targets = inputs.split(unroll), targets.split(unroll)

    def epoch():
        with torch.no_grad():
            for xs, ys in zip(inputs, targets, strict=True):
                steps(parameters, means, squares, t, xs, ys)
                t.add_(unroll)

    return Program(epoch, result)


def jax_scan(sizes, batch, X, Y, start, dtype, cost, transposed=False):
    """The whole epoch in one jit: a lax.scan, parameters and moments donated."""
    import jax
    import jax.numpy as jnp

    state, inputs, targets, loss, result = contenders.jax_functional(
        batch, X, Y, start, dtype, transposed
    )
    zeros = jax.tree.map(jnp.zeros_like, state)
    carried = state, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.float64)

    def step(carried, xy):
        parameters, means, squares, t = carried
        gradients = jax.grad(loss)(parameters, *xy)
        t += 1
        rate = (RATE / (1 - BETA_1**t)).astype(dtype)
        root = (1 / jnp.sqrt(1 - BETA_2**t)).astype(dtype)
        b_1, b_2, epsilon = dtype(BETA_1), dtype(BETA_2), dtype(EPSILON)
        means = jax.tree.map(lambda m, g: b_1 * m + (1 - b_1) * g, means, gradients)
        squares = jax.tree.map(lambda v, g: b_2 * v + (1 - b_2) * g * g, squares, gradients)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (root * jnp.sqrt(v) + epsilon),
            parameters, means, squares,
        )  # fmt: skip
        return (parameters, means, squares, t), None

    @partial(jax.jit, donate_argnums=0)
    def scan(carried, xs, ys):
        return jax.lax.scan(step, carried, (xs, ys))[0]

    def epoch():
        nonlocal carried
        carried = jax.block_until_ready(scan(carried, inputs, targets))

    return Program(epoch, lambda: result(carried[0]))


PROGRAMS = {
    OURS: Contender(fastbp),
    speed.NUMPY: Contender(numpy_matrix),
    "PyTorch, eager": Contender(torch_eager),
    "PyTorch, torch.compile": Contender(torch_compile),
    "JAX, scan": Contender(jax_scan),
    "JAX, scan, weights transposed": Contender(partial(jax_scan, transposed=True)),
    AGAIN: Contender(fastbp),
}


def row(found):
    """Return a row of the table."""
    best = speed.fastest(found)
    low, high = found["control"]
    return [
        speed.title(found),
        found["dtype"],
        speed.micro(found, OURS),
        f"{best}, {speed.micro(found, best)}",
        harness.unless_noise(found["ratios"][best], found["control"]),
        f"{low:.2f}–{high:.2f}",
    ]


def main():
    cells = [cell for cell in speed.CELLS if cell[-1] == RANDOM]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", type=int, choices=range(len(cells)), help="one network only")
    parser.add_argument("--dtype", choices=speed.DTYPES, help="one type only")
    parser.add_argument("--rounds", type=int, default=21, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    if options.write and (options.cell is not None or options.dtype):
        parser.error("--write takes all cells and types")
    facts, rows = harness.about(options.rounds), []
    if options.cell is not None:
        cells = [cells[options.cell]]
    dtypes = [options.dtype] if options.dtype else speed.DTYPES
    for found in speed.run(PROGRAMS, cells, dtypes, options.rounds):
        rows.append(row(found))
        print(" | ".join(rows[-1]), flush=True)
    header = ["network × mini-batch", "type", "fastbp, µs", "fastest other, µs", "it / fastbp"]
    table = harness.table([*header, "A/A"], rows)
    text = f"{table}\n\n{harness.origin(facts)}"
    print(f"\n{text}")
    if options.write:
        harness.write(harness.HERE / "README.md", "adam", text)


if __name__ == "__main__":
    main()
