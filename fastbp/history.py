"""What a run of ``fastbp.train`` was like, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fastbp import _checks
from fastbp.errors import shown, text
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
    counted where there are classes. What is not counted is an empty list.

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

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the best score, from 0; None where there is none but NaN."""
        return best(scores(self, self.monitor))


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
        _checks.integer(self.epochs, "early_stopping", 1)
        if self.monitor not in ("validation", "cost"):
            expected = "'validation' or 'cost'"
            raise ValueError(text("EarlyStopping.monitor", expected, shown(self.monitor)))

    def scores(self, history: History) -> list[float]:
        """Return the score of each epoch, the higher the better."""
        return scores(history, self.monitor)

    def improved(self, history: History) -> bool:
        """Whether the last epoch is the best."""
        values = self.scores(history)
        return best(values) == len(values) - 1

    def over(self, history: History) -> bool:
        """Whether it is time to stop."""
        most, since = float("-inf"), 0
        for score in self.scores(history):
            most, since = (score, 0) if score > most + self.least else (max(most, score), since + 1)
        return since >= self.epochs
