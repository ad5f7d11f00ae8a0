"""Chapter 3: the cross-entropy, weight decay, better initial weights, in plain NumPy."""

import json
import random
from itertools import pairwise

import numpy as np


class QuadraticCost:
    """C = |a - y|^2 / 2."""

    @staticmethod
    def fn(a, y):
        """Return the cost of one sample (written so that complex ``a`` stays analytic)."""
        return 0.5 * np.sum((a - y) ** 2)

    @staticmethod
    def delta(z, a, y):
        """Return the error of the output layer (BP1)."""
        return (a - y) * sigmoid_prime(z)


class CrossEntropyCost:
    """C = -sum(y ln a + (1 - y) ln(1 - a))."""

    @staticmethod
    def fn(a, y):
        """Return the cost of one sample; 0 ln 0 counts as 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a)))

    @staticmethod
    def delta(z, a, y):
        """Return the error of the output layer (BP1): the sigmoid's derivative cancels."""
        return a - y


COSTS = {cost.__name__: cost for cost in (QuadraticCost, CrossEntropyCost)}


class Network:
    """A network of sigmoid neurons; ``sizes`` counts them by layer."""

    _generator = None

    def __init__(self, sizes, cost=CrossEntropyCost, *, random_state=None):
        self.num_layers = len(sizes)
        self.sizes = sizes
        self._generator = None if random_state is None else np.random.default_rng(random_state)
        self.default_weight_initializer()
        self.cost = cost

    def default_weight_initializer(self):
        """Draw biases from N(0, 1) and weights from N(0, 1 / n_in)."""
        randn = self._randn()
        self.biases = [randn(n_out, 1) for n_out in self.sizes[1:]]
        self.weights = [randn(n_out, n_in) / np.sqrt(n_in) for n_in, n_out in pairwise(self.sizes)]

    def large_weight_initializer(self):
        """Draw biases and weights from N(0, 1), as chapter 1 does."""
        randn = self._randn()
        self.biases = [randn(n_out, 1) for n_out in self.sizes[1:]]
        self.weights = [randn(n_out, n_in) for n_in, n_out in pairwise(self.sizes)]

    def _randn(self):
        return np.random.randn if self._generator is None else _randn(self._generator)

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
        lmbda=0.0,
        evaluation_data=None,
        monitor_evaluation_cost=False,
        monitor_evaluation_accuracy=False,
        monitor_training_cost=False,
        monitor_training_accuracy=False,
        early_stopping_n=0,
        *,
        shuffle=True,
        verbose=True,
    ):
        """Train by mini-batches; return the four monitored curves, a value an epoch."""
        if not isinstance(training_data, list):
            training_data = list(training_data)
        evaluation_data = list(evaluation_data) if evaluation_data is not None else []
        n = len(training_data)
        curves = evaluation_cost, evaluation_accuracy, training_cost, training_accuracy = (
            [], [], [], [],
        )  # fmt: skip
        best, epochs_since_best = 0, 0

        def say(text=""):
            if verbose:
                print(text, flush=True)

        for epoch in range(epochs):
            if callable(shuffle):
                shuffle(training_data)
            elif shuffle:
                (self._generator or random).shuffle(training_data)
            for start in range(0, n, mini_batch_size):
                mini_batch = training_data[start : start + mini_batch_size]
                self.update_mini_batch(mini_batch, eta, lmbda, n)
            say(f"Epoch {epoch} training complete")
            if monitor_training_cost:
                training_cost.append(self.total_cost(training_data, lmbda))
                say(f"Cost on training data: {training_cost[-1]}")
            if monitor_training_accuracy:
                training_accuracy.append(self.accuracy(training_data, convert=True))
                say(f"Accuracy on training data: {training_accuracy[-1]} / {n}")
            if monitor_evaluation_cost:
                evaluation_cost.append(self.total_cost(evaluation_data, lmbda, convert=True))
                say(f"Cost on evaluation data: {evaluation_cost[-1]}")
            if monitor_evaluation_accuracy or early_stopping_n > 0:
                accuracy = self.accuracy(evaluation_data)
            if monitor_evaluation_accuracy:
                evaluation_accuracy.append(accuracy)
                say(f"Accuracy on evaluation data: {accuracy} / {len(evaluation_data)}")
            say()
            if early_stopping_n > 0:
                epochs_since_best = 0 if accuracy > best else epochs_since_best + 1
                best = max(best, accuracy)
                if epochs_since_best == early_stopping_n:
                    break
        return curves

    def update_mini_batch(self, mini_batch, eta, lmbda, n):
        """Take one step with weight decay; ``n`` is the size of the whole training set."""
        sum_b = [np.zeros(b.shape) for b in self.biases]
        sum_w = [np.zeros(w.shape) for w in self.weights]
        for x, y in mini_batch:
            nabla_b, nabla_w = self.backprop(x, y)
            sum_b = [total + nabla for total, nabla in zip(sum_b, nabla_b, strict=True)]
            sum_w = [total + nabla for total, nabla in zip(sum_w, nabla_w, strict=True)]
        step, decay = eta / len(mini_batch), 1 - eta * (lmbda / n)
        self.weights = [
            decay * w - step * nabla for w, nabla in zip(self.weights, sum_w, strict=True)
        ]
        self.biases = [b - step * nabla for b, nabla in zip(self.biases, sum_b, strict=True)]

    def backprop(self, x, y):
        """Return ``(nabla_b, nabla_w)``, the gradient of one sample's cost, layer by layer."""
        activations, zs = [x], []
        for b, w in zip(self.biases, self.weights, strict=True):
            zs.append(np.dot(w, activations[-1]) + b)
            activations.append(sigmoid(zs[-1]))
        delta = self.cost.delta(zs[-1], activations[-1], y)  # BP1
        nabla_b, nabla_w = [delta], [np.dot(delta, activations[-2].T)]  # BP3, BP4
        for l in range(2, self.num_layers):
            delta = np.dot(self.weights[-l + 1].T, delta) * sigmoid_prime(zs[-l])  # BP2
            nabla_b.insert(0, delta)
            nabla_w.insert(0, np.dot(delta, activations[-l - 1].T))
        return nabla_b, nabla_w

    def accuracy(self, data, convert=False):
        """Return how many samples are classified rightly; ``convert`` says that y is one-hot."""
        return sum(
            bool(np.all(np.argmax(self.feedforward(x)) == (np.argmax(y) if convert else y)))
            for x, y in data
        )

    def total_cost(self, data, lmbda, convert=False):
        """Return mean cost plus decay term; ``convert`` says that y is a digit."""
        cost = 0.0
        for x, y in data:
            target = vectorized_result(y, self.sizes[-1]) if convert else y
            cost += self.cost.fn(self.feedforward(x), target) / len(data)
        return cost + 0.5 * (lmbda / len(data)) * sum(np.sum(w**2) for w in self.weights)

    def save(self, filename):
        """Write sizes, weights, biases and the cost's name as JSON."""
        cost = self.cost if isinstance(self.cost, type) else type(self.cost)
        data = {
            "sizes": [int(size) for size in self.sizes],
            "weights": [w.tolist() for w in self.weights],
            "biases": [b.tolist() for b in self.biases],
            "cost": cost.__name__,
        }
        with open(filename, "w", encoding="utf-8") as file:
            json.dump(data, file)


def load(filename):
    """Return the network that ``save`` wrote to ``filename``."""
    with open(filename, encoding="utf-8") as file:
        data = json.load(file)
    net = Network(data["sizes"], cost=COSTS[data["cost"]])
    net.weights = [np.array(w) for w in data["weights"]]
    net.biases = [np.array(b) for b in data["biases"]]
    return net


def vectorized_result(j, n=10):
    """Return the column of length ``n`` with 1.0 at ``j`` and zeros elsewhere."""
    e = np.zeros((n, 1))
    e[np.asarray(j, dtype=int)] = 1.0
    return e


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
