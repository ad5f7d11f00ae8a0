"""Activations and costs by name: the codes of the compiled table, and their values in NumPy.

The values serve what the core does not compute: costs for people to read, and networks of
which a user overrides a part. They take complex numbers too, for the complex step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastbp._dispatch import core

ACTIVATIONS: dict[str, int] = core.ACTIVATIONS
COSTS: dict[str, int] = core.COSTS

# The activations of outputs that a cost goes with, the usual one first.
OUTPUTS: dict[str, tuple[str, ...]] = {
    "quadratic": ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "softplus", "exponential"),
    "cross_entropy": ("sigmoid",),
    "log_likelihood": ("softmax",),
    "poisson": ("exponential", "softplus"),
}
HIDDEN = tuple(name for name in ACTIVATIONS if name not in ("softmax", "exponential"))


class Activation(NamedTuple):
    """An activation and its derivative, elementwise; softmax, of columns, has none."""

    value: Callable[[Any], Any]
    prime: Callable[[Any], Any]


def sigmoid(z: Any) -> Any:
    """Return 1 / (1 + exp(-z)), elementwise (Nielsen, chapter 1, equation 3).

    The values are the book's; its overflow warning for very negative ``z`` is
    not raised.
    """
    with np.errstate(over="ignore"):  # exp(-z) = inf gives the right 0
        return 1.0 / (1.0 + np.exp(-z))


def softplus(z: Any) -> Any:
    """Return ln(1 + exp(z)), elementwise."""
    positive = np.real(z) > 0
    u = np.exp(np.where(positive, -z, z))
    tail = np.log(1 + u) if np.iscomplexobj(z) else np.log1p(u)
    return np.where(positive, z, 0) + tail


def softmax(z: Any) -> Any:
    """Return exp(z_j) / sum_k exp(z_k) of each column (Nielsen, chapter 3, equation 78)."""
    powers = np.exp(z - np.real(z).max(axis=0))
    return powers / powers.sum(axis=0)


def _leaky(z: Any) -> Any:
    return np.where(np.real(z) > 0, z, core.LEAKAGE * z)


NUMPY: dict[str, Activation] = {
    "linear": Activation(lambda z: z, np.ones_like),
    "sigmoid": Activation(sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": Activation(np.tanh, lambda z: 1 / np.cosh(np.clip(z, -300, 300)) ** 2),
    "relu": Activation(
        lambda z: np.where(np.real(z) > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)
    ),
    "leaky_relu": Activation(_leaky, lambda z: np.where(z > 0, 1.0, core.LEAKAGE)),
    "softplus": Activation(softplus, sigmoid),
    "exponential": Activation(np.exp, np.exp),
    "softmax": Activation(softmax, lambda z: np.ones_like(z)),
}


def costs(cost: str, activation: str, Z: Any, Y: Any) -> Any:
    """Return the cost of each sample, (n,), from the weighted inputs Z (n, n_L) of the outputs.

    Nielsen, equations 6 (quadratic), 63 (cross-entropy), 80 (log-likelihood); Poisson:
    sum(a - y ln a). Not from the activations: where these saturate, logarithms would lose
    all digits.
    """
    if cost == "quadratic":
        terms = 0.5 * (NUMPY[activation].value(Z) - Y) ** 2
    elif cost == "cross_entropy":  # -y ln a - (1 - y) ln(1 - a), a = 1 / (1 + exp(-z))
        terms = softplus(Z) - Y * Z
    elif cost == "log_likelihood":
        largest = np.real(Z).max(axis=1, keepdims=True)
        total = np.log(np.exp(Z - largest).sum(axis=1, keepdims=True)) + largest
        terms = Y * (total - Z)
    elif activation == "exponential":
        terms = np.exp(Z) - Y * Z
    else:
        a = softplus(Z)
        terms = a - Y * np.where(np.real(Z) < -40, Z, np.log(np.where(np.real(Z) < -40, 1, a)))
    return terms.sum(axis=1)
