"""Activations, costs and optimizer steps beyond the book's two, in plain NumPy.

Written from their definitions. All but the steps take complex numbers, so that the complex step
can judge every gradient.
"""

import numpy as np


def _logistic(z):
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-z))


def _softmax(z):
    e = np.exp(z - np.max(z.real, axis=0))
    return e / np.sum(e, axis=0)


# name: (value, derivative) of the weighted input z.
ACTIVATIONS = {
    "linear": (lambda z: z, lambda z: np.ones(z.shape)),
    "sigmoid": (_logistic, lambda z: _logistic(z) * (1 - _logistic(z))),
    "tanh": (
        lambda z: (1 - np.exp(-2 * z)) / (1 + np.exp(-2 * z)),
        lambda z: 4 / (np.exp(z) + np.exp(-z)) ** 2,
    ),
    "relu": (lambda z: z * (z.real > 0), lambda z: 1.0 * (z > 0)),
    "leaky_relu": (lambda z: z * np.where(z.real > 0, 1, 0.01), lambda z: np.where(z > 0, 1, 0.01)),
    "softplus": (lambda z: np.log(1 + np.exp(z)), _logistic),
    "exponential": (np.exp, np.exp),
    "softmax": (_softmax, None),  # of a column; it has a matrix for a derivative
}


def output_delta(cost, activation, z, a, y):
    """Return dC/dz of the output layer: the derivative by a, through the activation (BP1)."""
    by_a = {
        "quadratic": lambda: a - y,
        "cross_entropy": lambda: (1 - y) / (1 - a) - y / a,
        "log_likelihood": lambda: -y / a,
        "poisson": lambda: 1 - y / a,
    }[cost]()
    if activation == "softmax":
        return (np.diag(a[:, 0]) - np.dot(a, a.T)) @ by_a
    return by_a * ACTIVATIONS[activation][1](z)


def cost(name, a, y):
    """Return the cost of one sample."""
    return {
        "quadratic": lambda: 0.5 * np.sum((a - y) ** 2),
        "cross_entropy": lambda: -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a)),
        "log_likelihood": lambda: -np.sum(y * np.log(a)),
        "poisson": lambda: np.sum(a - y * np.log(a)),
    }[name]()


def gradient(biases, weights, activations, cost_name, x, y):
    """Return ``(nabla_b, nabla_w)`` of one sample's cost, BP1 to BP4."""
    a, zs = [x], []
    for b, w, name in zip(biases, weights, activations, strict=True):
        zs.append(np.dot(w, a[-1]) + b)
        a.append(ACTIVATIONS[name][0](zs[-1]))
    delta = output_delta(cost_name, activations[-1], zs[-1], a[-1], y)
    nabla_b, nabla_w = [delta], [np.dot(delta, a[-2].T)]
    for l in range(2, len(weights) + 1):
        delta = np.dot(weights[-l + 1].T, delta) * ACTIVATIONS[activations[-l]][1](zs[-l])
        nabla_b.insert(0, delta)
        nabla_w.insert(0, np.dot(delta, a[-l - 1].T))
    return nabla_b, nabla_w


class Momentum:
    """v <- mu v - eta g, w <- w + v; Nesterov's steps from where v leads."""

    def __init__(self, eta, momentum, nesterov=False):
        self.eta, self.momentum, self.nesterov, self.v = eta, momentum, nesterov, 0.0

    def step(self, w, g):
        """Return the parameters after a step by the gradient ``g``."""
        self.v = self.momentum * self.v - self.eta * g
        return w + (self.momentum * self.v - self.eta * g if self.nesterov else self.v)


class RMSprop:
    """Steps by g over the root of the running mean of g^2."""

    def __init__(self, eta, rho, epsilon):
        self.eta, self.rho, self.epsilon, self.s = eta, rho, epsilon, 0.0

    def step(self, w, g):
        """Return the parameters after a step by the gradient ``g``."""
        self.s = self.rho * self.s + (1 - self.rho) * g**2
        return w - self.eta * g / (np.sqrt(self.s) + self.epsilon)


class Adam:
    """Algorithm 1 of Kingma and Ba (2015); with decay, AdamW's (Loshchilov and Hutter, 2019)."""

    def __init__(self, eta, beta_1, beta_2, epsilon, decay=0.0):
        self.eta, self.epsilon, self.betas, self.decay = eta, epsilon, (beta_1, beta_2), decay
        self.m = self.v = 0.0
        self.t = 0

    def step(self, w, g):
        """Return the parameters after a step by the gradient ``g``."""
        self.t += 1
        beta_1, beta_2 = self.betas
        self.m = beta_1 * self.m + (1 - beta_1) * g
        self.v = beta_2 * self.v + (1 - beta_2) * g**2
        m, v = self.m / (1 - beta_1**self.t), self.v / (1 - beta_2**self.t)
        return w - self.eta * self.decay * w - self.eta * m / (np.sqrt(v) + self.epsilon)
