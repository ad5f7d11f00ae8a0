"""Do one thing many times; print by how many bytes the process has grown: its memory, Python's."""

import gc
import os
import sys
import tempfile
import tracemalloc

import numpy as np

import fastbp
from fastbp import network, network2

SIZES = [20, 30, 10]


def updates():
    """Return what takes one step, of a form that changes from call to call."""
    rng = np.random.default_rng(1)
    data = fastbp.Dataset(rng.standard_normal((10, 20)), rng.integers(0, 10, 10))
    pairs = [(x, np.eye(10)[:, [j]]) for x, j in data]
    nets = [network.Network(SIZES), network2.Network(SIZES, dtype=np.float32)]
    calls = [
        lambda: nets[0].update_mini_batch(pairs, 0.1),
        lambda: nets[1].update_mini_batch(pairs, 0.1, 0.1, 10),
        lambda: nets[0].update_mini_batch(data, 0.1),
        lambda: nets[1].update_mini_batch(data, 0.1, 0.1, 10, clip_norm=0.5),
    ]
    return lambda i: calls[i % 4]()


def files():
    """Return what saves and loads a network, in each format."""
    net = network2.Network(SIZES)
    load = getattr(fastbp, "load", network2.load)
    folder = tempfile.mkdtemp()
    paths = [os.path.join(folder, name) for name in ("net.json", "net.safetensors")]

    def once(i):
        net.save(paths[i % 2])
        load(paths[i % 2])

    return once


def networks():
    """Return what makes, trains and drops a network of sizes that change from call to call."""
    rng = np.random.default_rng(1)
    X, labels = rng.standard_normal((50, 20)), rng.integers(0, 10, 50)

    def once(i):
        net = network2.Network([20, 20 + i % 100, 10])
        net.SGD(fastbp.Dataset(X, labels), 1, 10, 0.1, verbose=False)
        fastbp.train(net, (X, labels), epochs=1)

    return once


def resident():
    """Return the bytes of memory that this process has."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    once, n = globals()[sys.argv[1]](), int(sys.argv[2])
    for i in range(max(n // 5, 300)):  # caches fill
        once(i)
    before = resident()
    for i in range(n):
        once(i)
    grown = resident() - before
    tracemalloc.start()
    for i in range(100):
        once(i)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(n // 10):
        once(i)
    gc.collect()
    print(grown, tracemalloc.get_traced_memory()[0] - before)
