"""The programs that are compared: each trains the same network on the same data.

A contender is ``prepare(sizes, batch, X, Y, start, dtype)``; it returns
``(epoch, parameters)``: ``epoch()`` takes one epoch of plain SGD in the order of the
data, ``parameters()`` returns all weights, then all biases, as float64.
"""

import numpy as np

ETA = 0.5


def reference(sizes, batch, X, Y, start, dtype):
    """The book's class in plain NumPy, one sample at a time, always in float64."""
    from fastbp.reference.network import Network

    net = Network(sizes)
    net.weights, net.biases = (list(part) for part in start)
    data = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]
    return (
        lambda: net.SGD(data, 1, batch, ETA, shuffle=False, verbose=False),
        lambda: net.weights + net.biases,
    )


def numpy_matrix(sizes, batch, X, Y, start, dtype):
    """The mini-batch as a matrix, the problem at the end of chapter 2's section on code."""
    weights, biases = ([a.astype(dtype) for a in part] for part in start)
    inputs, targets = X.astype(dtype).T.copy(), Y.astype(dtype).T.copy()

    def epoch():
        for first in range(0, inputs.shape[1], batch):
            a = [inputs[:, first : first + batch]]
            y = targets[:, first : first + batch]
            for w, b in zip(weights, biases, strict=True):
                a.append(1 / (1 + np.exp(-(w @ a[-1] + b))))
            step = dtype(ETA / y.shape[1])
            delta = (a[-1] - y) * a[-1] * (1 - a[-1])
            for l in range(len(weights) - 1, -1, -1):
                above = weights[l].T @ delta
                weights[l] -= step * (delta @ a[l].T)
                biases[l] -= step * delta.sum(axis=1, keepdims=True)
                delta = above * a[l] * (1 - a[l])

    return epoch, lambda: weights + biases


def fastbp(sizes, batch, X, Y, start, dtype):
    """fastbp.Network.SGD on a Dataset."""
    from fastbp import Dataset, Network

    net = Network(sizes, dtype=dtype)
    net.weights, net.biases = (list(part) for part in start)
    data = Dataset(X.astype(dtype), Y.astype(dtype))
    return (
        lambda: net.SGD(data, 1, batch, ETA, shuffle=False, verbose=False, check_finite=False),
        lambda: net.weights + net.biases,
    )


CONTENDERS = {
    "reference": reference,
    "NumPy, matrix form": numpy_matrix,
    "fastbp": fastbp,
    "fastbp (again)": fastbp,  # the A/A control: the same program under another name
}
