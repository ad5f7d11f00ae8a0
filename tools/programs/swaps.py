"""One thread works with a network, another one changes its shape; a case a call.

python swaps.py CASE SECONDS. Every result is that of one of the networks, bit for bit, or one of
our errors says that they were changed in the midst; what is trained ends finite. See
tools/lanes/asan.py.
"""

import contextlib
import itertools
import sys
import threading
import time

import numpy as np

import fastbp
from fastbp import gradients, network2

# Inputs and outputs stay, so that the data fits all of them; deeper, wider and narrower.
SIZES = ([12, 8, 3], [12, 300, 3], [12, 2, 3], [12, 8, 40, 3], [12, 3])
RNG = np.random.default_rng(3)
DATA = fastbp.Dataset(RNG.random((300, 12)), RNG.integers(0, 3, 300))
X, Y = RNG.random((12, 1)), RNG.random((3, 1))
PAIRS = [(X, Y)] * 5

READERS = {
    "hessian_vector_product": lambda net: gradients.hessian_vector_product(
        net, DATA, np.ones(net._layout().n_parameters)
    ),
    "gradient_gram": lambda net: gradients.gradient_gram(net, DATA, DATA[:50]),
    "per_sample_gradient_norms": lambda net: gradients.per_sample_gradient_norms(net, DATA),
    "per_sample_gradients": lambda net: gradients.per_sample_gradients(net, DATA),
    "gradient": lambda net: gradients.gradient(net, DATA),
    "deltas": lambda net: gradients.deltas(net, DATA),
    "per_sample_costs": lambda net: gradients.per_sample_costs(net, DATA),
    "feedforward": lambda net: net.feedforward(X),
    "feedforward_of_data": lambda net: net.feedforward(DATA),
    "backprop": lambda net: net.backprop(X, Y),
}


def sgd(net):
    """Train by the book's steps, some of them in threads."""
    net.SGD(DATA, 3, 7, 0.1, verbose=False)
    net.SGD(DATA, 2, 100, 0.1, verbose=False, n_threads=2)


def train(net):
    """Train with moments and dropout, which are as large as the network was at first."""
    fastbp.train(net, DATA, epochs=4, optimizer="adam", dropout=0.1, mini_batch_size=20)


def update_mini_batch(net):
    """Take one step, on the public arrays."""
    net.update_mini_batch(PAIRS, 0.1, 0.1, 10)


WRITERS = {f.__name__: f for f in (sgd, train, update_mini_batch)}


def as_bytes(found):
    """Return the bytes of an array, or of all in lists and tuples."""
    if isinstance(found, list | tuple):
        return b"".join(map(as_bytes, found))
    return np.asarray(found).tobytes()


def main(case, seconds):
    """Work and change for so long; print how often each came to its end."""
    others = [network2.Network(sizes, random_state=i) for i, sizes in enumerate(SIZES)]
    right = {as_bytes(READERS[case](net)) for net in others} if case in READERS else set()
    net, over, results, refused = network2.Network(SIZES[0], random_state=0), False, 0, 0

    def change():
        for i in itertools.count():
            if over:
                return
            other = others[i % len(others)]
            state = {"sizes": other.sizes, "biases": other.biases, "weights": other.weights}
            if case in WRITERS:  # these are trained, and others are not to be
                state |= {n: [a.copy() for a in state[n]] for n in ("biases", "weights")}
            if i % 3:
                vars(net).update(state)  # at once
            else:
                for name, value in state.items():
                    setattr(net, name, value)

    sys.setswitchinterval(1e-5)
    changer = threading.Thread(target=change)
    changer.start()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            try:
                found = READERS[case](net) if case in READERS else WRITERS[case](net)
            except (ValueError, RuntimeError) as error:
                if "expected" not in str(error) and "in the midst of a call" not in str(error):
                    raise
                refused += 1
                continue
            results += 1
            if case in READERS and as_bytes(found) not in right:
                raise SystemExit(f"{case}: a result that is none of the networks'")
    finally:
        over = True
        changer.join()
    for array in itertools.chain(net.biases, net.weights):
        if not np.isfinite(array).all():
            raise SystemExit(f"{case}: a parameter that is not finite")
    print(f"{case}: {results} results, {refused} refused in {seconds:g} s")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1], float(sys.argv[2]))
