"""Activations and costs by name; their codes are the compiled table's."""

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
