"""A run of ``fastbp.train`` on disk, to be gone on with: plain arrays and numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks, files
from fastbp.errors import FormatError, shown, text
from fastbp.parameters import Layout
from fastbp.training.history import KEYS, History

Layers = tuple[list[NDArray[Any]], list[NDArray[Any]]]  # biases and weights
State = tuple[files.Facts, files.Arrays]


@dataclass(frozen=True)
class Checkpoint:
    """Where ``train`` keeps its state, and how often: after each ``every`` epochs and the last.

    Where the file is there already, the run goes on from it, and ends with the same bits as one
    that was never interrupted; of the options only ``epochs`` may have changed, and what is counted
    after each epoch (``evaluate``, ``validation``, ``score``). The file is
    replaced as a whole; it is a container, by whatever name, and a bad one a ``FormatError``.
    """

    path: str | PathLike[str]
    every: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise TypeError(text("Checkpoint.path", "the path of a file", shown(self.path)))
        _checks.integer(self.every, "Checkpoint.every", 1)

    def write(self, facts: files.Facts, arrays: files.Arrays) -> None:
        """Replace the file, at once: who reads it finds the old state or the new one."""
        files.write(self.path, "checkpoint", arrays, facts)

    def read(self) -> State | None:
        """Return the state in the file; None if there is no file."""
        if not os.path.exists(self.path):
            return None
        _, facts, arrays = files.read(self.path, "checkpoint")
        return facts, arrays


@dataclass
class Snapshot:
    """The state of a run between two epochs, as it goes into a file and comes out of it."""

    seed: int
    history: History
    parameters: Layers
    moments: list[Layers]  # the optimizer's memory
    best: Layers | None

    def stored(self, run: files.Facts) -> State:
        """Return facts and arrays; ``run`` is what must be the same when it goes on."""
        arrays = files.layers(*self.parameters)
        for i, moments in enumerate(self.moments):
            arrays |= files.layers(*moments, f"moments.{i}.")
        if self.best is not None:
            arrays |= files.layers(*self.best, "best.")
        others = {}
        for key, values in self.history.items():
            numbers = isinstance(values, list) and all(isinstance(v, Real) for v in values)
            if numbers and values:
                arrays[f"history.{key}"] = np.array(values, np.float64)
            else:  # a callback's, or an empty list
                others[key] = values
        stopped = self.history.stopped
        return {"run": run, "seed": self.seed, "history": others, "stopped": stopped}, arrays

    @classmethod
    def restored(
        cls, where: str, found: State, run: files.Facts, layout: Layout, blocks: int, squares: int
    ) -> Snapshot:
        """Return what was ``found`` of a run; all of it is looked at, and can be gone on with.

        There are so many ``blocks`` of moments, of which the last ``squares`` hold mean squares. A
        run with other options is a ValueError, what is no such run a FormatError.
        """
        facts, arrays = found
        before = facts.get("run")
        if not isinstance(before, dict):
            raise FormatError(text(where, "a checkpoint of fastbp.train", "one without its run"))
        for name, value in run.items():
            # A file of fastbp 0.1 does not say how its run would be stopped.
            if before.get(name) != value and (name in before or name != "early_stopping"):
                expected = f"{name} {shown(before.get(name))}, as the run in this file has"
                raise ValueError(text(where, expected, shown(value), "another path begins anew"))

        def layers(prefix: str = "", finite: bool = True) -> Layers:
            parts = files.pop_layers(arrays, len(layout.sizes) - 1, prefix)
            return layout.check(*parts, finite=finite)

        def mean_squares(prefix: str) -> Layers:
            parts = layers(prefix, finite=False)  # one may have become infinite, with steps of 0
            if not all((array >= 0).all() for part in parts for array in part):
                raise ValueError(text(prefix[:-1], "mean squares", "a negative number or NaN"))
            return parts

        try:
            snapshot = cls(
                seed=_checks.seed(facts.get("seed"), "seed"),
                history=_history(arrays, facts.get("history"), facts.get("stopped")),
                parameters=layers(),
                moments=[
                    (layers if i < blocks - squares else mean_squares)(f"moments.{i}.")
                    for i in range(blocks)
                ],
                best=layers("best.") if "best.biases.0" in arrays else None,
            )
            if arrays:
                raise ValueError(text("arrays", "those of the run", sorted(arrays)[:3]))
        except (TypeError, ValueError) as error:
            raise FormatError(f"{where}: {error}") from None
        return snapshot


def _history(arrays: files.Arrays, others: Any, stopped: Any) -> History:
    """Take the history out of a checkpoint."""
    if not isinstance(others, dict) or not isinstance(stopped, str):
        raise ValueError(text("history", "lists by name", type(others).__name__))
    history = History(others)
    history.stopped = stopped
    for name in [name for name in arrays if name.startswith("history.")]:
        history[name.removeprefix("history.")] = arrays.pop(name).tolist()
    for key in KEYS:
        values = history[key]
        if not isinstance(values, list) or not all(type(value) is float for value in values):
            raise ValueError(text(f"history: {key}", "a list of numbers", "something else"))
    for key in KEYS:
        values = history[key]
        always = key in ("cost", "eta", "seconds")
        if len(values) != history.epochs and (values or always):
            raise ValueError(text(f"history: {key}", f"{history.epochs} values", len(values)))
    return history
