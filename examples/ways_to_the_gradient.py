"""Chapter 2's comparison: backpropagation against values of the cost alone.

    python examples/ways_to_the_gradient.py

The gradient of the same network on the same 20 digits: by backpropagation, by forward and
central differences, which move one parameter after the other, and by weight perturbation, which
moves all at once at random. Passes are forward passes over the data; backpropagation takes about
as long as two or three.
"""

import time

import numpy as np

import fastbp

digits = fastbp.datasets.load_digits()[:20]
net = fastbp.network2.Network([64, 20, 10], random_state=0)


def vector(nabla_b, nabla_w):
    return np.concatenate([a.ravel() for a in (*nabla_b, *nabla_w)])


started = time.perf_counter()
right = vector(*fastbp.gradient(net, digits))
print(f"{'way':16} {'passes':>7} {'seconds':>9} {'error':>8}")
print(f"{'backpropagation':16} {'':>7} {time.perf_counter() - started:9.5f}")
for method in ("forward", "central", "perturbation"):
    started = time.perf_counter()
    found = fastbp.numerical_gradient(net, digits, method=method, random_state=0)
    seconds = time.perf_counter() - started
    off = np.linalg.norm(vector(found.nabla_b, found.nabla_w) - right) / np.linalg.norm(right)
    print(f"{method:16} {found.passes:7} {seconds:9.5f} {off:8.0e}")
