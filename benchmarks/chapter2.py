"""Chapter 2's question: in what sense is backpropagation a fast algorithm?

    python benchmarks/chapter2.py             the gradient of one sample, two ways
    python benchmarks/chapter2.py --write     and put the table into benchmarks/README.md

Differences (C(w + eps e_j) - C(w)) / eps want a forward pass for each weight and bias, and
one more; backpropagation one forward and one backward pass. Passes are counted: the
multiplications that the reference makes, divided by those of one forward pass.
"""

import argparse

import harness
import numpy as np
from harness import Program, Worker, duration, ratio, unless_noise

NETWORKS = ([2, 3, 1], [16, 32, 32, 4], [784, 30, 10])
EPS = 1e-6
TOLERANCE = 1e-5  # of differences: EPS times a second derivative, and rounding / EPS


class CountingNumPy:
    """NumPy, counting the multiplications in ``dot``."""

    def __init__(self):
        self.multiplications = 0

    def dot(self, a, b):
        self.multiplications += a.shape[0] * a.shape[1] * b.shape[1]
        return np.dot(a, b)

    def __getattr__(self, name):
        return getattr(np, name)


def sample(which, sizes):
    """Return a network of the reference or of fastbp, and one sample."""
    if which == "reference":
        from fastbp.reference.network import Network
    else:
        from fastbp.network import Network
    np.random.seed(0)
    net = Network(sizes)
    return net, np.random.rand(sizes[0], 1), np.random.rand(sizes[-1], 1)


def differences(net, x, y):
    """Return the gradient by forward differences, one forward pass for each parameter."""

    def cost():
        return 0.5 * np.sum((net.feedforward(x) - y) ** 2)

    base = cost()
    gradient = []
    for array in net.biases + net.weights:
        nabla = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + EPS
            nabla[index] = (cost() - base) / EPS
            array[index] = kept
        gradient.append(nabla)
    return gradient


def backprop(net, x, y):
    """Return the gradient by backpropagation."""
    nabla_b, nabla_w = net.backprop(x, y)
    return nabla_b + nabla_w


def forward(net, x, y):
    """Take one forward pass."""
    return [net.feedforward(x)]


WAYS = {"forward": forward, "backprop": backprop, "differences": differences}


def prepare(which, way, sizes):
    """Return one way to the gradient as a program."""
    arguments = sample(which, sizes)
    return Program(lambda: WAYS[way](*arguments), lambda: WAYS[way](*arguments))


def passes(sizes):
    """Return the multiplications of the two gradients in forward passes."""
    from fastbp.reference import network

    counts = {}
    arguments = sample("reference", sizes)
    for name, way in WAYS.items():
        network.np = CountingNumPy()
        try:
            way(*arguments)
            counts[name] = network.np.multiplications
        finally:
            network.np = np
    return [counts[name] / counts["forward"] for name in ("backprop", "differences")]


def compare(which, sizes, rounds):
    """Return the table's row for a network of the reference or of fastbp."""
    cpu = harness.one_processor()
    names = {**{way: way for way in WAYS}, "again": "backprop"}
    workers = {name: Worker(cpu) for name in names}
    try:
        for name, worker in workers.items():
            worker.prepare(prepare, which, names[name], sizes)
        found, expected = workers["differences"].result(), workers["backprop"].result()
        error = max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True))
        if not error <= TOLERANCE:
            raise SystemExit(f"{which}, {sizes}: the gradients differ by {error:g}: not timed")
        times = harness.interleave(workers, rounds)
    finally:
        for worker in workers.values():
            worker.stop()
    control = harness.spread(times["again"], times["backprop"])
    return [
        str(sizes),
        which,
        f"{sum(a.size for a in expected):,}",
        *(f"{n:,.4g}" if n < 100 else f"{n:,.0f}" for n in passes(sizes)),
        *(duration(np.nanmedian(times[way])) for way in WAYS),
        unless_noise(ratio(times["backprop"], times["forward"]), control),
        unless_noise(ratio(times["differences"], times["backprop"]), control),
        f"{control[0]:.2f}–{control[1]:.2f}",
        f"{error:.0e}",
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    facts = harness.about(options.rounds)
    rows = []
    for sizes in NETWORKS:
        for which in ("reference", "fastbp"):
            rows.append(compare(which, sizes, options.rounds))
            print(*rows[-1], sep=" | ", flush=True)
    header = [
        "network",
        "program",
        "parameters",
        "passes, backprop",
        "passes, differences",
        "forward pass",
        "backprop",
        "differences",
        "backprop / forward",
        "differences / backprop",
        "A/A",
        "gradients differ by",
    ]
    text = f"{harness.table(header, rows)}\n\n{harness.origin(facts)}"
    print(f"\n{text}")
    if options.write:
        harness.write(harness.HERE / "README.md", "chapter 2", text)


if __name__ == "__main__":
    main()
