"""Chapters 1 and 2: stochastic gradient descent on the quadratic cost, in plain NumPy."""

import random
from itertools import pairwise

import numpy as np


class Network:
    """A network of sigmoid neurons with the quadratic cost; ``sizes`` counts them by layer."""

    _generator = None

    def __init__(self, sizes, *, random_state=None):
        self.num_layers = len(sizes)
        self.sizes = sizes
        self._generator = None if random_state is None else np.random.default_rng(random_state)
        randn = np.random.randn if self._generator is None else _randn(self._generator)
        self.biases = [randn(n_out, 1) for n_out in sizes[1:]]
        self.weights = [randn(n_out, n_in) for n_in, n_out in pairwise(sizes)]

    def feedforward(self, a):
        """Return the output activations for the input column (or columns) ``a``."""
        for b, w in zip(self.biases, self.weights, strict=True):
            a = sigmoid(np.dot(w, a) + b)
        return a

    def SGD(
        self,
        training_data,
        epochs,
        mini_batch_size,
        eta,
        test_data=None,
        *,
        shuffle=True,
        verbose=True,
    ):
        """Train by mini-batches; print the book's line after each epoch."""
        if not isinstance(training_data, list):
            training_data = list(training_data)
        test_data = list(test_data) if test_data is not None else []
        for epoch in range(epochs):
            if callable(shuffle):
                shuffle(training_data)
            elif shuffle:
                (self._generator or random).shuffle(training_data)
            for start in range(0, len(training_data), mini_batch_size):
                self.update_mini_batch(training_data[start : start + mini_batch_size], eta)
            line = f"Epoch {epoch} complete"
            if test_data:
                line = f"Epoch {epoch}: {self.evaluate(test_data)} / {len(test_data)}"
            if verbose:
                print(line, flush=True)

    def update_mini_batch(self, mini_batch, eta):
        """Take one step along the mean gradient of the samples in ``mini_batch``."""
        sum_b = [np.zeros(b.shape) for b in self.biases]
        sum_w = [np.zeros(w.shape) for w in self.weights]
        for x, y in mini_batch:
            nabla_b, nabla_w = self.backprop(x, y)
            sum_b = [total + nabla for total, nabla in zip(sum_b, nabla_b, strict=True)]
            sum_w = [total + nabla for total, nabla in zip(sum_w, nabla_w, strict=True)]
        step = eta / len(mini_batch)
        self.weights = [w - step * nabla for w, nabla in zip(self.weights, sum_w, strict=True)]
        self.biases = [b - step * nabla for b, nabla in zip(self.biases, sum_b, strict=True)]

    def backprop(self, x, y):
        """Return ``(nabla_b, nabla_w)``, the gradient of one sample's cost, layer by layer."""
        activations, zs = [x], []
        for b, w in zip(self.biases, self.weights, strict=True):
            zs.append(np.dot(w, activations[-1]) + b)
            activations.append(sigmoid(zs[-1]))
        delta = self.cost_derivative(activations[-1], y) * sigmoid_prime(zs[-1])  # BP1
        nabla_b, nabla_w = [delta], [np.dot(delta, activations[-2].T)]  # BP3, BP4
        for l in range(2, self.num_layers):
            delta = np.dot(self.weights[-l + 1].T, delta) * sigmoid_prime(zs[-l])  # BP2
            nabla_b.insert(0, delta)
            nabla_w.insert(0, np.dot(delta, activations[-l - 1].T))
        return nabla_b, nabla_w

    def evaluate(self, test_data):
        """Return how many of the (x, label) pairs have their largest output at the label."""
        return sum(bool(np.all(np.argmax(self.feedforward(x)) == y)) for x, y in test_data)

    def cost_derivative(self, output_activations, y):
        """Return the derivative of the quadratic cost by the output activations."""
        return output_activations - y


def sigmoid(z):
    """Return 1 / (1 + exp(-z))."""
    with np.errstate(over="ignore"):  # exp(-z) = inf gives the right 0
        return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    """Return the derivative of the sigmoid."""
    return sigmoid(z) * (1 - sigmoid(z))


def _randn(generator):
    """Return ``generator``'s standard normal with the signature of ``np.random.randn``."""
    return lambda *shape: generator.standard_normal(shape)
