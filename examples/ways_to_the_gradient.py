"""Chapter 2's comparison: backpropagation against values of the cost alone.

    python examples/ways_to_the_gradient.py

The gradient of the same network on the same 20 digits: by backpropagation, by forward and
central differences, which move one parameter after the other, and by weight perturbation, which
moves all at once at random. Passes are forward passes over the data; of backpropagation it is
how many of them take as long: two or three.
"""

import timeit

import numpy as np

import fastbp

digits = fastbp.datasets.load_digits()[:20]
net = fastbp.network2.Network([64, 20, 10], random_state=0)


def vector(nabla_b, nabla_w):
    return np.concatenate([a.ravel() for a in (*nabla_b, *nabla_w)])


def least_seconds(call, times):  # of the first call some go into imports
    return min(timeit.repeat(call, number=1, repeat=times))


right = vector(*fastbp.gradient(net, digits))
seconds = least_seconds(lambda: fastbp.gradient(net, digits), 100)
passes = seconds / least_seconds(lambda: net.feedforward(digits), 100)
print(f"{'way':16} {'passes':>7} {'seconds':>9} {'error':>8}")
print(f"{'backpropagation':16} {passes:7.1f} {seconds:9.6f}")
for way in ("forward", "central", "perturbation"):
    ask = {"method": way, "random_state": 0}
    found = fastbp.numerical_gradient(net, digits, **ask)
    seconds = least_seconds(lambda ask=ask: fastbp.numerical_gradient(net, digits, **ask), 3)
    off = np.linalg.norm(vector(found.nabla_b, found.nabla_w) - right) / np.linalg.norm(right)
    print(f"{way:16} {found.passes:7} {seconds:9.6f} {off:8.0e}")
