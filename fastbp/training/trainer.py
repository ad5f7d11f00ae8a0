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
from fastbp.optimizers import LBFGS, AdamW, Optimizer
from fastbp.parameters import Layout
from fastbp.samples import Dataset
from fastbp.shuffling import EpochOrder, SeededOrder
from fastbp.training import lbfgs, loop
from fastbp.training.checkpoint import Checkpoint, Snapshot
from fastbp.training.early_stopping import Watch
from fastbp.training.history import History
from fastbp.training.objective import Blocks, Objective
from fastbp.training.options import Options

if TYPE_CHECKING:
    from fastbp._network import Model

Callback = Callable[["Model", History], Any]


@dataclass
class Trainer:
    """A run of ``fastbp.train``: what it was given, checked, and its state."""

    net: Model
    objective: Objective
    options: Options
    rates: NDArray[np.float64] | None  # of dropout, one for each layer
    validation: Dataset | None
    moments: NDArray[Any] | None
    seed: int = 0
    bar: Any = None
    history: History = field(default_factory=History)
    best: tuple[Blocks, Blocks] | None = None

    def run(self) -> None:
        """Go on until there have been so many epochs, or to an earlier end."""
        history, done, epochs = self.history, self.history.epochs, self.options.epochs
        state, early = self.options.state, self.options.early_stopping
        method = self.options.optimizer
        self.start = self.net._checked()[1:]
        history.monitor = "validation" if early is None else early.monitor
        self.watch = None if early is None else Watch(early, history)
        self.started = time.perf_counter() - (history["seconds"][-1] if done else 0.0)
        if done and self._over():
            pass  # the file holds a run that has ended
        elif isinstance(method, LBFGS):
            converged = lbfgs.minimize(
                self.net, self.objective, method, range(done, epochs), self._after_epoch
            )
            if converged and history.stopped == "epochs":
                history.stopped = "converged"
        else:
            self._descend(method, range(done, epochs))
        if self.options.checkpoint is not None:
            self._save(self.options.checkpoint)
        state.moments = self.moments
        state.updates, state.samples = self._before(history.epochs)
        if early is not None and early.restore_best and self.best is not None:
            self.net._commit(*([a.copy() for a in part] for part in self.best))

    def _descend(self, optimizer: Optimizer, epochs: range) -> None:
        """Take the core's steps."""
        objective, history = self.objective, self.history
        ordering: EpochOrder | SeededOrder = SeededOrder(objective.data, self.seed, epochs.start)
        if not isinstance(shuffle := self.options.shuffle, bool):
            ordering = EpochOrder(objective.data, lambda: shuffle)
        elif not shuffle:
            ordering = EpochOrder(objective.data, None)
        l2 = optimizer.weight_decay if isinstance(optimizer, AdamW) else objective.l2
        each = (
            None if self.options.evaluate else np.zeros(len(objective.data))
        )  # cost, as they came
        eta = 0.0

        def scheduled(epoch: int) -> float | None:
            nonlocal eta
            factor = self.options.schedule(epoch, history)
            if factor is None:
                history.stopped = "schedule"
                return None
            eta = optimizer.eta * _checks.number(factor, "schedule(...)")
            return eta

        def options(layout: Layout, epoch: int) -> Any:
            return core.Options(
                objective.in_unit(self.options.clip_norm), optimizer.code, objective.l1,
                l2, objective.in_unit(objective.alpha), *optimizer.numbers, self.moments,
                self.rates, self.seed, *self._before(epoch), each,
            )  # fmt: skip

        def after_epoch(epoch: int, reported: Any) -> bool:
            return self._after_epoch(eta, None if each is None else float(each.mean()))

        loop.run(
            self.net,
            ordering,
            epochs=epochs,
            mini_batch_size=self.options.mini_batch_size,
            eta=scheduled,
            l2=objective.l2,
            cost=lambda: objective.cost,
            own_samples=lambda: False,
            step=lambda mini_batch, n: None,  # never: the cost is the core's
            check_finite=False,  # the gate has looked
            after_epoch=after_epoch,
            n_threads=self.options.n_threads,
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
        if self.options.evaluate or self.validation is not None:
            block = objective.layout.pack(biases, weights)
        noted: dict[str, Any] = {"eta": eta, "cost": cost}
        if self.options.evaluate:
            cost, noted["accuracy"] = objective.judge(block, objective.data, objective.weights)
            noted["cost"] = cost + objective.penalty(weights, self._steps)
        if self.validation is not None:
            judged = "validation_accuracy" if self.options.score is None else "validation_score"
            try:
                noted["validation_cost"], noted[judged] = objective.judge(
                    block, self.validation, None, self.options.score
                )
            except TypeError:
                if history.epochs == 0:  # a score that gives no number leaves no epoch behind
                    net._commit(*self.start)
                raise
        noted["seconds"] = time.perf_counter() - self.started
        history.note({key: value for key, value in noted.items() if value is not None})
        better = self.watch is not None and self.watch.improved(history)
        early, keep = self.options.early_stopping, self.options.checkpoint
        if better and early is not None and early.restore_best:
            # Copies: a callback may change these in place.
            self.best = [b.copy() for b in biases], [w.copy() for w in weights]
        called = [callback(net, history) for callback in self.options.callbacks]
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
        if keep is not None and history.epochs % keep.every == 0:
            self._save(keep)
        return over

    def _over(self) -> bool:
        history = self.history
        if history.stopped == "epochs" and self.watch is not None and self.watch.over():
            history.stopped = "early stopping"
        return history.stopped != "epochs"

    @cached_property
    def _steps(self) -> int:
        """How many steps there are in an epoch."""
        if isinstance(self.options.optimizer, LBFGS):
            return 1
        n = len(self.objective.data)
        return -(-n // min(self.options.mini_batch_size, n))

    def _before(self, epoch: int) -> tuple[int, int]:
        """Return how many steps and samples there have been before this epoch."""
        n, state = len(self.objective.data), self.options.state
        return state.updates + epoch * self._steps, state.samples + epoch * n

    # -- the checkpoint ----------------------------------------------------------------

    def resume(self, seed: int | None) -> bool:
        """Go on from the checkpoint's file; return whether there is one.

        Its run had this ``seed``, if one is given.
        """
        found = None if self.options.checkpoint is None else self.options.checkpoint.read()
        if self.options.checkpoint is None or found is None:
            return False
        where, blocks = os.fsdecode(self.options.checkpoint.path), self._blocks()
        layout = self.objective.layout
        squares = self.options.optimizer.squares
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
        return np.split(self.moments, self.options.optimizer.blocks)

    def _facts(self) -> dict[str, Any]:
        """Return what must be the same when a run goes on."""
        objective, early = self.objective, self.options.early_stopping
        return {
            "sizes": list(objective.layout.sizes),
            "activations": list(objective.layout.activations),
            "dtype": str(objective.layout.dtype),
            "cost": objective.cost,
            "optimizer": optimizers.described(self.options.optimizer),
            "mini_batch_size": self.options.mini_batch_size,
            "samples": len(objective.data),
            "penalties": [objective.l1, objective.l2, objective.alpha],
            "shuffle": bool(self.options.shuffle),
            "dropout": None if self.rates is None else self.rates.tolist(),
            "early_stopping": None if early is None else asdict(early),
            "clip_norm": None if self.options.clip_norm == np.inf else self.options.clip_norm,
        }
