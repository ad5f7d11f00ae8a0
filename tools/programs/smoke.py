"""A little of all that the core does, with widths that are not whole vectors; for valgrind."""

import sys

import numpy as np

import fastbp
from fastbp import gradients, network, network2, optimizers
from fastbp._dispatch import core


def smoke():
    """Train, read and shuffle, in both types; print the results, so that none is unused."""
    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.float64):
        for sizes in ([3, 5, 2], [17, 9, 33, 4], [1, 1]):
            X, Y = rng.standard_normal((70, sizes[0])), rng.random((70, sizes[-1]))
            data = fastbp.Dataset(X, Y)
            pairs = list(data)
            for module in (network, network2):
                net = module.Network(sizes, dtype=dtype, random_state=1)
                rest = {"lmbda": 0.3, "clip_norm": 0.5} if module is network2 else {}
                net.SGD(data, 2, 9, 0.1, verbose=False, **rest)
                net.SGD(pairs, 1, 64, 0.1, verbose=False)
                net.update_mini_batch(pairs[:3], 0.1, *((0.1, 9) if rest else ()))
                net.update_mini_batch(data, 0.1, *((0.1, 9) if rest else ()))
                print(net.feedforward(pairs[0][0]).sum(), net.feedforward(data).sum())
                print(sum(w.sum() for w in net.backprop(*pairs[0])[1]))
                print(gradients.per_sample_gradient_norms(net, data).sum())
        for activation in ("tanh", "relu", "leaky_relu", "softplus"):
            net = network2.Network(
                [5, 7, 3], network2.LogLikelihoodCost, activation=activation, dtype=dtype
            )
            data = fastbp.Dataset(rng.standard_normal((50, 5)), rng.integers(0, 3, 50))
            for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"):
                history = fastbp.train(
                    net, data, epochs=1, mini_batch_size=9, optimizer=optimizers.named(name),
                    dropout=0.3, l1=0.01,
                )  # fmt: skip
                print(history["cost"])


if __name__ == "__main__":
    if sys.argv[1:] == ["control"]:  # a decision on what nobody has written
        print(core.all_finite(np.empty(1000)))
    else:
        smoke()
