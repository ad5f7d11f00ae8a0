"""Threads that meet in the compiled core, a case a call; see tools/lanes/tsan.py."""

import sys
import threading

import numpy as np

import fastbp
from fastbp import network, network2
from fastbp._dispatch import core
from fastbp.training import threads

SIZES, BATCH = [30, 40, 10], 25


def samples(n, sizes=SIZES):
    """Return n random samples."""
    rng = np.random.default_rng(5)
    return fastbp.Dataset(rng.standard_normal((n, sizes[0])), rng.integers(0, sizes[-1], n))


def together(*calls):
    """Run all in threads of their own, from one moment on; return what they raised."""
    start, raised = threading.Barrier(len(calls)), []

    def run(call):
        start.wait()
        try:
            call()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def read(net, data):
    """Make every call that only reads."""
    x, y = np.ones((SIZES[0], 1)), np.ones((SIZES[-1], 1))
    for _ in range(20):
        net.feedforward(x)
        net.backprop(x, y)
        net.feedforward(data)
        net.evaluate(data) if isinstance(net, network.Network) else net.accuracy(data)
        fastbp.gradients.gradient(net, data)


def two_networks():
    """Two networks, a thread each, on the same samples."""
    data = samples(2000)
    nets = [network.Network(SIZES), network2.Network(SIZES, dtype=np.float32)]
    assert not together(
        *(lambda net=net: net.SGD(data, 3, BATCH, 0.1, verbose=False) for net in nets)
    )


def readers():
    """Eight readers of one network."""
    for net in (network.Network(SIZES), network2.Network(SIZES)):
        data = samples(500)
        assert not together(*[lambda net=net, data=data: read(net, data)] * 8)


def writer_and_readers():
    """One thread trains, by epochs and by single steps; two read."""
    data = samples(1000)
    net = network2.Network(SIZES)

    def write():
        net.SGD(data, 3, BATCH, 0.1, verbose=False)
        fastbp.train(net, data, epochs=3)
        for _ in range(100):
            net.update_mini_batch(data[:BATCH], 0.1, 0.0, 1000)

    assert not together(write, *[lambda: read(net, data)] * 2)


def two_writers():
    """Of two that train one network, one is refused, at once."""
    data, net = samples(5000), network.Network(SIZES)
    inside = threading.Event()

    def first():
        net.SGD(data, 3, BATCH, 0.1, verbose=False, shuffle=lambda _: inside.set())

    def second():
        inside.wait()
        for _ in range(20):
            try:
                net.SGD(data, 1, BATCH, 0.1, verbose=False)
            except RuntimeError:
                refused.append(True)

    refused: list[bool] = []
    assert not together(first, second)
    assert refused, "no second writer was refused"


def team():
    """Two, three and seven threads on one mini-batch; also where pauses split it."""
    threads.processors = lambda: 8
    threads._WORK = 1e5
    entered, enter = set(), threads.enter
    threads.enter = lambda parts, *rest: (entered.add(parts), enter(parts, *rest))[1]
    data = samples(1000)
    for n_threads in (2, 3, 7):
        for dtype in (np.float32, np.float64):
            net = network2.Network(SIZES, dtype=dtype)
            net.SGD(data, 2, 100, 0.1, lmbda=1.0, verbose=False, n_threads=n_threads)
            net.SGD(data, 1, 400, 0.1, clip_norm=0.5, verbose=False, n_threads=n_threads)
            fastbp.train(
                net, data, epochs=2, mini_batch_size=100, dropout=0.3, l1=0.1, n_threads=n_threads
            )
    assert entered >= {2, 3, 7}, entered


def team_aborted():
    """One of two that share a mini-batch never comes."""
    layout, biases, weights = network.Network(SIZES)._checked()
    block, data = layout.pack(biases, weights), samples(100)
    Y = np.eye(SIZES[-1])[data.Y]

    def train(*arguments):
        if arguments[-1] == 0:
            raise LookupError
        return core.train(*arguments)

    for _ in range(20):
        try:
            threads.enter(
                2,
                train,
                block,
                layout.empty(),
                layout.layers,
                *layout.workspace(50, 2),
                core.Samples(data.X, Y),
                np.arange(100),
                0,
                50,
                0,
                0.1,
                1.0,
                1.0,
                None,
            )
        except LookupError:
            continue
        raise AssertionError("not raised")


def control():
    """Two threads train on one block, past every gate: this must be reported."""
    layout, biases, weights = network.Network(SIZES)._checked()
    block, data = layout.pack(biases, weights), samples(20_000)
    Y = np.eye(SIZES[-1])[data.Y]

    def train():
        core.train(
            block,
            layout.empty(),
            layout.layers,
            *layout.workspace(50),
            core.Samples(data.X, Y),
            np.arange(len(Y)),
            0,
            50,
            0,
            0.1,
            1.0,
            1e9,
        )

    together(train, train)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
