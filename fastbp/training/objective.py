"""What ``fastbp.train`` lowers: the mean cost of the samples and the penalties of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks, samples
from fastbp.errors import shown, text
from fastbp.functions import NUMPY, costs
from fastbp.parameters import Layout
from fastbp.samples import Dataset
from fastbp.training import loop

Array = NDArray[Any]
Blocks = list[Array]
Score = Callable[[Array, Array], float]


@dataclass(frozen=True)
class Objective:
    """The cost of these samples, weighted, with the penalties of ``fastbp.train``."""

    layout: Layout
    cost: str
    data: Dataset
    weights: Array | None  # of the samples, divided by 2**exponent (samples.scaled)
    exponent: int
    l1: float
    l2: float
    alpha: float

    @cached_property
    def total(self) -> float:
        """What all samples weigh, in the unit of ``weights``."""
        if self.weights is None:
            return float(len(self.data))
        return float(self.weights.sum(dtype=np.float64)) or 1.0

    def in_unit(self, value: float) -> float:
        """Return ``value``, such as alpha, divided as ``weights`` are."""
        if self.exponent == 0:  # nearly always; the rest takes several microseconds
            return value
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(value, -self.exponent))

    def penalty(self, weights: Blocks, steps: int) -> float:
        """Return what penalties add to a sample's mean cost; each of the ``steps`` has alpha."""
        l2 = self.l2 + self.in_unit(self.alpha) / self.total * steps
        added = 0.0
        for w in weights:
            if self.l1:
                added += self.l1 * float(np.abs(w).sum(dtype=np.float64))
            if l2:
                added += 0.5 * l2 * float(np.square(w, dtype=np.float64).sum())
        return added

    def judge(
        self, block: Array, data: Dataset, weights: Array | None, score: Score | None = None
    ) -> tuple[float, float | None]:
        """Return mean cost, and score or accuracy, of any data; None of what has no classes."""
        layout = self.layout
        Z = loop.outputs(layout.weighted(), block, data.X)
        Y = samples.targets(data, layout.sizes[-1], _checks.FLOAT64)
        with np.errstate(over="ignore", invalid="ignore"):  # a cost may be infinite
            each = costs(self.cost, layout.activations[-1], Z.astype(np.float64, copy=False), Y)
            cost = float(np.average(each, weights=weights))
            if score is not None:
                found = score(Y, NUMPY[layout.activations[-1]].value(Z.T).T)
                if not isinstance(found, Real):
                    raise TypeError(text("score(...)", "a number", shown(found)))
                return cost, float(found)
        if self.cost not in ("cross_entropy", "log_likelihood") and not data.has_labels:
            return cost, None
        if layout.sizes[-1] == 1:
            threshold = 0.0 if layout.activations[-1] in ("sigmoid", "tanh") else 0.5
            right = (Z[:, 0] > threshold) == (Y[:, 0] > 0.5)
        else:
            right = Z.argmax(axis=1) == samples.classes(data)
        return cost, float(np.mean(right))
