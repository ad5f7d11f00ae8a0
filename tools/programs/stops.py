"""Interrupted training: how late Ctrl-C is seen, what state it leaves, and what looking costs."""

import argparse
import json
import os
import signal
import statistics
import threading
import time

import numpy as np

import fastbp
from fastbp import network, network2
from fastbp.training import loop

SIZES, SIZE, ETA, N = [30, 100, 10], 10, 0.1, 800_000  # an epoch takes about a second


def samples(n, sizes):
    """Return n random samples."""
    rng = np.random.default_rng(5)
    return fastbp.Dataset(rng.standard_normal((n, sizes[0])), rng.integers(0, sizes[-1], n))


def bits(net):
    """Return the bytes of all biases and weights."""
    return [array.tobytes() for array in (*net.biases, *net.weights)]


class Beside:
    """A second thread, which sleeps, or is busy with Python's code."""

    def __init__(self, busy):
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._spin if busy else self._over.wait)

    def _spin(self):
        n = 0
        while not self._over.is_set():
            for _ in range(1000):
                n += 1

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


class Alarm:
    """KeyboardInterrupt at a moment that the system's clock keeps, as Ctrl-C's signal does."""

    def __init__(self):
        signal.signal(signal.SIGALRM, signal.default_int_handler)

    def after(self, seconds):
        """Set it; return when it will be."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return time.perf_counter() + seconds


def stop(net, data, seconds, alarm):
    """Interrupt an endless epoch; return how late it ended, or None if it was not interrupted."""
    moment = None

    def shuffle(_):
        nonlocal moment
        moment = alarm.after(seconds)

    try:
        net.SGD(data, 1, SIZE, ETA, shuffle=shuffle, verbose=False)
    except KeyboardInterrupt:
        return time.perf_counter() - moment
    raise SystemExit("the epoch ended before it was interrupted: take more samples")


def replayed(net, states, data):
    """Return whether a replay of whole mini-batches comes to the state of one of ``states``."""
    wanted = {b"".join(bits(state)): i for i, state in enumerate(states)}
    step = 0
    while wanted and step < len(data) // SIZE:
        wanted.pop(b"".join(bits(net)), None)
        net.SGD(data[step * SIZE : (step + 1) * SIZE], 1, SIZE, ETA, shuffle=False, verbose=False)
        step += 1
    return not wanted


def delays(busy, n, seed):
    """Interrupt n times; return the worst delay in seconds, and whether all states are replayed."""
    rng, alarm, worst, states = np.random.default_rng(seed), Alarm(), 0.0, []
    data = samples(N, SIZES)
    make = lambda: network.Network(SIZES, random_state=1)  # noqa: E731
    with Beside(busy):
        for _ in range(n):
            states.append(make())
            worst = max(worst, stop(states[-1], data, rng.uniform(0, 0.3), alarm))
    return {"worst": worst, "replayed": replayed(make(), states, data)}


def cost(busy, n):
    """Return the time of epochs that look for signals over that of epochs that never do."""
    data, ratios, shipped = samples(N, SIZES), [], loop._SECONDS
    net = network2.Network(SIZES, random_state=1)
    with Beside(busy):
        for i in range(n + 1):
            spent = {}
            for seconds in (shipped, 1e9) if i % 2 else (1e9, shipped):
                loop._SECONDS = seconds
                start = time.perf_counter()
                net.SGD(data, 1, SIZE, ETA, shuffle=False, verbose=False)
                spent[seconds] = time.perf_counter() - start
            ratios.append(spent[shipped] / spent[1e9])
    return {"ratio": statistics.median(ratios[1:]), "seconds": spent[1e9]}


def fork(n):
    """Return the time of an epoch in a forked child over that in a process of its own."""

    large = [64, 512, 512, 10]
    data, ratios = samples(3000, large), []

    def timed(n_threads):
        net = network.Network(large, random_state=1)
        start = time.perf_counter()
        net.SGD(data, 1, 128, ETA, shuffle=False, verbose=False, n_threads=n_threads)
        return time.perf_counter() - start

    for n_threads in (1, 2):
        each = []
        for _ in range(n):
            alone = timed(n_threads)
            out, into = os.pipe()
            if os.fork() == 0:
                try:
                    os.write(into, repr(timed(n_threads)).encode())
                finally:
                    os._exit(0)
            os.close(into)
            with os.fdopen(out) as file:
                each.append(float(file.read()) / alone)
            os.wait()
        ratios.append(statistics.median(each))
    return {"one thread": ratios[0], "two threads": ratios[1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["delays", "cost", "fork"])
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.what == "delays":
        found = delays(options.busy, options.n, options.seed)
    elif options.what == "cost":
        found = cost(options.busy, options.n)
    else:
        found = fork(options.n)
    print(json.dumps(found))
