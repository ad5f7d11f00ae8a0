"""Activations and costs by name; their codes are the compiled table's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp._dispatch import core

ACTIVATIONS: dict[str, int] = core.ACTIVATIONS
COSTS: dict[str, int] = core.COSTS


def sigmoid(z: Any) -> Any:
    """Return 1 / (1 + exp(-z)), elementwise (Nielsen, chapter 1, equation 3).

    The values are the book's; its overflow warning for very negative ``z`` is
    not raised.
    """
    with np.errstate(over="ignore"):  # exp(-z) = inf gives the right 0
        return 1.0 / (1.0 + np.exp(-z))


def quadratic(a: Any, y: Any) -> Any:
    """Return (a - y)^2 / 2, elementwise (Nielsen, chapter 1, equation 6)."""
    return 0.5 * (a - y) ** 2


def cross_entropy(a: Any, y: Any) -> Any:
    """Return -(y ln a + (1 - y) ln(1 - a)), elementwise (chapter 3, equation 63); 0 ln 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a))


# The terms of each cost's sum over outputs.
TERMS: dict[str, Callable[[Any, Any], Any]] = {
    "quadratic": quadratic,
    "cross_entropy": cross_entropy,
}
