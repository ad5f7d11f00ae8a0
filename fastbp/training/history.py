"""History: what each epoch of a run of ``fastbp.train`` was like."""

from __future__ import annotations

import math
from typing import Any, Literal

from fastbp.schedules import best, scores

KEYS = (
    "cost", "accuracy", "validation_cost", "validation_accuracy", "validation_score", "eta",
    "seconds",
)  # fmt: skip


class History(dict[str, list[Any]]):
    """A list for each quantity, with a value for each epoch.

    ``cost``, ``accuracy``: of the training data after the epoch, the cost as a sample's mean
    with the penalties of the weights (with ``evaluate=False``: of each mini-batch before its
    step); ``validation_cost``, ``validation_accuracy``,
    ``validation_score``: of the validation data, without penalties, the last as ``train`` was
    told; ``eta``: the learning rate; ``seconds``: since the start. Accuracies are fractions, and
    counted where there are classes. What is not counted is an empty list; NaN stands for the epochs
    before a run that went on with more to count, and for those after one that went on with less.

    Attributes
    ----------
    best_epoch : int or None
        The epoch, from 0, with the best validation; with the least training cost where early
        stopping goes by that. It is the one whose parameters early stopping puts back.
    monitor : {"validation", "cost"}
        What early stopping goes by.
    stopped : str
        Why the run ended: "epochs", "early stopping", "schedule", "callback" or "converged".
    """

    monitor: Literal["validation", "cost"] = "validation"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__({key: [] for key in KEYS})
        self.update(*args, **kwargs)
        self.stopped = "epochs"

    @property
    def epochs(self) -> int:
        """How many there have been."""
        return len(self["eta"])

    def note(self, values: dict[str, float]) -> None:
        """Append what an epoch was like."""
        before = self.epochs
        for key in KEYS:
            if key in values or self.get(key):
                series = self.setdefault(key, [])
                series += [math.nan] * (before - len(series))
                series.append(values.get(key, math.nan))

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the best score, from 0; None where there is none but NaN."""
        return best(scores(self, self.monitor))
