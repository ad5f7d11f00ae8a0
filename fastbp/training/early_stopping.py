"""Early stopping: when a run of ``fastbp.train`` ends, and which parameters it keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fastbp import _checks
from fastbp.errors import near, shown, text
from fastbp.schedules import scores
from fastbp.training.history import History


@dataclass(frozen=True)
class EarlyStopping:
    """End after ``epochs`` of them without improvement; put the best parameters back.

    Parameters
    ----------
    epochs : int
    monitor : {"validation", "cost"}
        The validation accuracy, or cost where there is none; or the training cost. A score that
        is NaN is never an improvement; where all are, the last parameters stay.
    least : float
        What counts as an improvement: more than this.
    restore_best : bool
    """

    epochs: int
    monitor: Literal["validation", "cost"] = "validation"
    least: float = 0.0
    restore_best: bool = True

    def __post_init__(self) -> None:
        _checks.integer(self.epochs, "EarlyStopping.epochs", 1)
        if self.monitor not in ("validation", "cost"):
            expected, hint = "'validation' or 'cost'", near(self.monitor, ("validation", "cost"))
            raise ValueError(text("EarlyStopping.monitor", expected, shown(self.monitor), hint))
        _checks.number(self.least, "EarlyStopping.least")
        _checks.boolean(self.restore_best, "EarlyStopping.restore_best")


class Watch:
    """What early stopping has seen of a run so far."""

    def __init__(self, early: EarlyStopping, history: History) -> None:
        self._early, self._best, self._since = early, -math.inf, 0
        for score in scores(history, early.monitor):
            self._see(score)

    def improved(self, history: History) -> bool:
        """Look at the epoch that has been noted last; return whether it is the best."""
        return self._see(scores(history, self._early.monitor, last=True)[-1])

    def over(self) -> bool:
        """Whether it is time to stop."""
        return self._since >= self._early.epochs

    def _see(self, score: float) -> bool:
        better = score > self._best  # never, of NaN
        self._since = 0 if score > self._best + self._early.least else self._since + 1
        self._best = max(self._best, score)  # never NaN: that is not above
        return better
