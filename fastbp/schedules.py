"""Learning-rate schedules: functions of the epoch and the history so far.

A schedule returns the factor on the optimizer's ``eta`` for the epoch, counted from 0, or None
to end the run. It remembers nothing: what it needs is in the history, so that a resumed run goes
on alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastbp import _checks

Schedule = Callable[[int, Mapping[str, Any]], float | None]


def constant() -> Schedule:
    """Return the factor 1 always."""
    return lambda epoch, history: 1.0


def step(every: int, factor: float = 0.5) -> Schedule:
    """Multiply by ``factor`` after each ``every`` epochs."""
    every, factor = _checks.integer(every, "every", 1), _checks.number(factor, "factor", above=0)
    return lambda epoch, history: factor ** (epoch // every)


def inverse(decay: float, power: float = 1.0) -> Schedule:
    """Return 1 / (1 + decay epoch)^power (Robbins and Monro, 1951)."""
    decay, power = _checks.number(decay, "decay", above=0), _checks.number(power, "power", above=0)
    return lambda epoch, history: float((1 + decay * epoch) ** -power)


def cosine(epochs: int, least: float = 0.0) -> Schedule:
    """Fall from 1 to ``least`` in ``epochs`` along half a cosine (Loshchilov and Hutter, 2017)."""
    epochs, least = _checks.integer(epochs, "epochs", 1), _checks.number(least, "least")

    def factor(epoch: int, history: Mapping[str, Any]) -> float:
        return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0)))

    return factor


def halving(n: int, least: float = 1 / 128) -> Schedule:
    """Halve after ``n`` epochs without a better validation accuracy; end below ``least``.

    Nielsen, chapter 3, the exercise on learning-rate schedules. Where accuracy is not counted,
    the validation cost decides.
    """
    n, least = _checks.integer(n, "n", 1), _checks.number(least, "least", above=0)

    def factor(epoch: int, history: Mapping[str, Any]) -> float | None:
        now, best, since = 1.0, -math.inf, 0
        for score in scores(history):
            best, since = (score, 0) if score > best else (best, since + 1)
            if since == n:
                now, since = now / 2, 0
        return now if now >= least else None

    return factor


# By name, for a run of so many epochs.
NAMED: dict[str, Callable[[int], Schedule]] = {
    "constant": lambda epochs: constant(),
    "cosine": cosine,
}


def best(values: Sequence[float]) -> int | None:
    """Return the first place of the largest number; None where all are NaN or minus infinity."""
    place, largest = None, -math.inf
    for i, value in enumerate(values):
        if value > largest:  # never, of NaN
            place, largest = i, value
    return place


def scores(
    history: Mapping[str, Any], monitor: str = "validation", *, last: bool = False
) -> list[float]:
    """Return the score of each epoch, the higher the better: the validation's, or -cost.

    ``last`` asks for that of the last epoch alone.
    """
    which = slice(-1, None) if last else slice(None)
    if monitor == "cost":
        return [-cost for cost in history["cost"][which]]
    for judged in ("validation_score", "validation_accuracy"):
        if history.get(judged):
            return list(history[judged][which])
    return [-cost for cost in history.get("validation_cost", [])[which]]
