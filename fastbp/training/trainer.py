"""The loop of ``fastbp.train``: what the core is given in an epoch, what is noted after it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks, optimizers
from fastbp._dispatch import core
from fastbp.errors import text
from fastbp.optimizers import LBFGS, AdamW, Optimizer, State
from fastbp.parameters import Layout
from fastbp.samples import Dataset
from fastbp.schedules import Schedule
from fastbp.shuffling import EpochOrder, SeededOrder, Shuffle
from fastbp.training import lbfgs, loop
from fastbp.training.checkpoint import Checkpoint, Snapshot
from fastbp.training.history import EarlyStopping, History, Watch
from fastbp.training.objective import Blocks, Objective, Score

if TYPE_CHECKING:
    from fastbp._network import Model

Callback = Callable[["Model", History], Any]


@dataclass
class Trainer:
    """A run: options as ``fastbp.train`` has them, looked at, and the state."""

    net: Model
    objective: Objective
    optimizer: Optimizer | LBFGS
    batch: int
    schedule: Schedule
    rates: NDArray[np.float64] | None  # of dropout, one for each layer
    max_norm: float
    validation: Dataset | None
    score: Score | None
    evaluate: bool
    early: EarlyStopping | None
    callbacks: list[Callback]
    shuffle: bool | Shuffle
    state: State
    moments: NDArray[Any] | None
    checkpoint: Checkpoint | None
    seed: int = 0
    bar: Any = None
    history: History = field(default_factory=History)
    best: tuple[Blocks, Blocks] | None = None

    def run(self, epochs: int, n_threads: int) -> None:
        """Go on until there have been so many epochs, or to an earlier end."""
        history, done = self.history, self.history.epochs
        history.monitor = "validation" if self.early is None else self.early.monitor
        self.watch = None if self.early is None else Watch(self.early, history)
        self.started = time.perf_counter() - (history["seconds"][-1] if done else 0.0)
        if done and self._over():
            pass  # the file holds a run that has ended
        elif isinstance(self.optimizer, LBFGS):
            converged = lbfgs.minimize(
                self.net, self.objective, self.optimizer, range(done, epochs), self._after_epoch
            )
            if converged and history.stopped == "epochs":
                history.stopped = "converged"
        else:
            self._descend(self.optimizer, range(done, epochs), n_threads)
        if self.checkpoint is not None:
            self._save(self.checkpoint)
        self.state.moments = self.moments
        self.state.updates, self.state.samples = self._before(history.epochs)
        if self.early is not None and self.early.restore_best and self.best is not None:
            self.net._commit(*([a.copy() for a in part] for part in self.best))

    def _descend(self, optimizer: Optimizer, epochs: range, n_threads: int) -> None:
        """Take the core's steps."""
        objective, history = self.objective, self.history
        ordering: EpochOrder | SeededOrder = SeededOrder(objective.data, self.seed, epochs.start)
        if not isinstance(shuffle := self.shuffle, bool):
            ordering = EpochOrder(objective.data, lambda: shuffle)
        elif not shuffle:
            ordering = EpochOrder(objective.data, None)
        l2 = optimizer.weight_decay if isinstance(optimizer, AdamW) else objective.l2
        each = None if self.evaluate else np.zeros(len(objective.data))  # cost, as they came
        eta = 0.0

        def scheduled(epoch: int) -> float | None:
            nonlocal eta
            factor = self.schedule(epoch, history)
            if factor is None:
                history.stopped = "schedule"
                return None
            eta = optimizer.eta * _checks.number(factor, "schedule(...)")
            return eta

        def options(layout: Layout, epoch: int) -> Any:
            return core.Options(
                objective.in_unit(self.max_norm), optimizer.code, objective.l1,
                l2, objective.in_unit(objective.alpha), *optimizer.numbers, self.moments,
                self.rates, self.seed, *self._before(epoch), each,
            )  # fmt: skip

        def after_epoch(epoch: int, reported: Any) -> bool:
            return self._after_epoch(eta, None if each is None else float(each.mean()))

        loop.run(
            self.net,
            ordering,
            epochs=epochs,
            mini_batch_size=self.batch,
            eta=scheduled,
            l2=objective.l2,
            cost=lambda: objective.cost,
            own_samples=lambda: False,
            step=lambda mini_batch, n: None,  # never: the cost is the core's
            check_finite=False,  # the gate has looked
            after_epoch=after_epoch,
            n_threads=n_threads,
            options=options,
            carried=self.moments,
            buffers=2 if self.rates is None else 4,
            weights=objective.weights,
            fixed=objective.layout,
        )

    def _after_epoch(self, eta: float, cost: float | None = None) -> bool:
        """Note what the epoch was like; return whether it was the last.

        ``cost`` is that of the training data with its penalties, where it is known.
        """
        history, net, objective = self.history, self.net, self.objective
        layout, biases, weights = net._checked()
        layout.refuse_other(objective.layout)
        if self.evaluate or self.validation is not None:
            block = objective.layout.pack(biases, weights)
        noted: dict[str, Any] = {"eta": eta, "cost": cost}
        if self.evaluate:
            cost, noted["accuracy"] = objective.judge(block, objective.data, objective.weights)
            noted["cost"] = cost + objective.penalty(weights, self._steps)
        if self.validation is not None:
            judged = "validation_accuracy" if self.score is None else "validation_score"
            noted["validation_cost"], noted[judged] = objective.judge(
                block, self.validation, None, self.score
            )
        noted["seconds"] = time.perf_counter() - self.started
        history.note({key: value for key, value in noted.items() if value is not None})
        better = self.watch is not None and self.watch.improved(history)
        if better and self.early is not None and self.early.restore_best:
            # Copies: a callback may change these in place.
            self.best = [b.copy() for b in biases], [w.copy() for w in weights]
        called = [callback(net, history) for callback in self.callbacks]
        net._layout().refuse_other(objective.layout)
        if self.bar is not None:
            shown = {
                key.replace("validation_", "val "): f"{history[key][-1]:.4g}"
                for key in ("cost", "accuracy", "validation_cost", "validation_accuracy")
                if history[key]
            }
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update()
        if any(answer is True for answer in called):
            history.stopped = "callback"
        over = self._over()
        if self.checkpoint is not None and history.epochs % self.checkpoint.every == 0:
            self._save(self.checkpoint)
        return over

    def _over(self) -> bool:
        history = self.history
        if history.stopped == "epochs" and self.watch is not None and self.watch.over():
            history.stopped = "early stopping"
        return history.stopped != "epochs"

    @cached_property
    def _steps(self) -> int:
        """How many steps there are in an epoch."""
        n = len(self.objective.data)
        return 1 if isinstance(self.optimizer, LBFGS) else -(-n // min(self.batch, n))

    def _before(self, epoch: int) -> tuple[int, int]:
        """Return how many steps and samples there have been before this epoch."""
        n = len(self.objective.data)
        return self.state.updates + epoch * self._steps, self.state.samples + epoch * n

    # -- the checkpoint ----------------------------------------------------------------

    def resume(self, seed: int | None) -> bool:
        """Go on from the checkpoint's file; return whether there is one.

        Its run had this ``seed``, if one is given.
        """
        found = None if self.checkpoint is None else self.checkpoint.read()
        if self.checkpoint is None or found is None:
            return False
        where, blocks = os.fsdecode(self.checkpoint.path), self._blocks()
        layout = self.objective.layout
        squares = self.optimizer.squares
        snapshot = Snapshot.restored(where, found, self._facts(), layout, len(blocks), squares)
        if seed not in (None, snapshot.seed):
            expected = f"the seed {snapshot.seed}, as the run in this file has"
            raise ValueError(text(where, expected, seed, "another path begins anew"))
        for block, moments in zip(blocks, snapshot.moments, strict=True):
            block[:] = layout.pack(*moments)
        self.seed, self.history, self.best = snapshot.seed, snapshot.history, snapshot.best
        self.net._commit(*snapshot.parameters)
        return True

    def _save(self, checkpoint: Checkpoint) -> None:
        _, biases, weights = self.net._checked()
        moments = [self.objective.layout.unpack(block) for block in self._blocks()]
        snapshot = Snapshot(self.seed, self.history, (biases, weights), moments, self.best)
        checkpoint.write(*snapshot.stored(self._facts()))

    def _blocks(self) -> list[NDArray[Any]]:
        """Return views of the moments, each laid out as the parameters."""
        if self.moments is None:
            return []
        return np.split(self.moments, self.optimizer.blocks)

    def _facts(self) -> dict[str, Any]:
        """Return what must be the same when a run goes on."""
        objective = self.objective
        return {
            "sizes": list(objective.layout.sizes),
            "activations": list(objective.layout.activations),
            "dtype": str(objective.layout.dtype),
            "cost": objective.cost,
            "optimizer": optimizers.described(self.optimizer),
            "mini_batch_size": self.batch,
            "samples": len(objective.data),
            "penalties": [objective.l1, objective.l2, objective.alpha],
            "shuffle": bool(self.shuffle),
            "dropout": None if self.rates is None else self.rates.tolist(),
            "early_stopping": None if self.early is None else asdict(self.early),
            "clip_norm": None if self.max_norm == np.inf else self.max_norm,
        }
