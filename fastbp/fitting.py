"""``fastbp.train``: chapter 3's techniques and what came after the book, on the core's loop."""

from __future__ import annotations

import importlib
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import _checks, optimizers, samples, storage, training
from fastbp._dispatch import core
from fastbp._model import Model
from fastbp.checkpoint import Checkpoint
from fastbp.errors import FormatError, text
from fastbp.functions import NUMPY, costs
from fastbp.gradients.work import Work
from fastbp.history import KEYS, EarlyStopping, History
from fastbp.optimizers import LBFGS, AdamW, Optimizer, State
from fastbp.parameters import Layout
from fastbp.samples import Dataset
from fastbp.schedules import Schedule, constant
from fastbp.shuffling import Deck, Seeded, Shuffle

PENALTIES = ("l1", "l2", "alpha")
Score = Callable[[NDArray[Any], NDArray[Any]], float]
# What to try where L-BFGS, which finds its own steps, diverges.
_SCALE = "try l2, or data scaled to numbers near 1"

Callback = Callable[[Model, History], Any]
Blocks = list[NDArray[Any]]


def train(
    net: Model,
    data: Any,
    *,
    epochs: int,
    mini_batch_size: int = 32,
    optimizer: Optimizer | LBFGS | str = "adam",
    schedule: Schedule | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    alpha: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    clip_norm: float | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    validation: Any = None,
    score: Score | None = None,
    evaluate: bool = True,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Iterable[Callback] = (),
    progress: bool = False,
    shuffle: bool | Shuffle = True,
    random_state: int | np.random.Generator | None = None,
    state: State | None = None,
    checkpoint: Checkpoint | None = None,
    n_threads: int = 1,
) -> History:
    """Train a network; return what each epoch was like.

    Parameters
    ----------
    net : Network
        Of either book class, with a cost and functions of fastbp's own. It is committed to
        after each epoch.
    data : pairs, Dataset or (X, Y)
        Never reordered.
    epochs, mini_batch_size : int
        The last mini-batch may be shorter; it counts with its own length.
    optimizer : object of ``fastbp.optimizers``, or its name
        sgd, momentum, nesterov, rmsprop, adam, adamw, lbfgs.
    schedule : function of (epoch, history), optional
        The factor on the learning rate, as of ``fastbp.schedules``; None of it ends the run.
    l1, l2 : float
        The cost of a sample is its own plus l1 sum |w| + l2 / 2 sum w^2: whatever the size of
        mini-batches and of the data. The book's ``lmbda`` is n l2.
    alpha : float
        The summed cost of a mini-batch is that of its samples plus alpha / 2 sum w^2, as
        scikit-learn has it; of one that weighs m it counts as l2 = alpha / m.
    dropout : float, or one for each hidden layer
        The part of the hidden activations that is set to 0 in training; the others are scaled
        up (Srivastava et al., 2014).
    clip_norm : float, optional
        A sample's gradient that is longer is scaled down to this norm before the sum.
    sample_weight : array_like (n,), optional
        A factor on each sample's cost; a mini-batch is divided by the sum of them.
    class_weight : dict of class to factor, or "balanced", optional
        The same for all samples of a class; "balanced": n / (classes * count).
    validation : pairs, Dataset or (X, Y), optional
        Looked at after each epoch.
    score : function of (targets, outputs), optional
        Of the validation data, (n, n_L) both, the higher the better; what is judged by it
        instead of the accuracy: early stopping and schedules.
    evaluate : bool
        Whether to look at the training data after each epoch too. False: their cost is that
        of each mini-batch before its step, which costs no time, and accuracy is not counted.
    early_stopping : int or EarlyStopping, optional
        End after so many epochs without improvement, with the best parameters.
    callbacks : functions of (net, history)
        Called after each epoch; one that returns True ends the run.
    progress : bool
        Whether to show a bar (tqdm).
    shuffle : bool or function of an array of row numbers
        False: always in the order of the data. A function reorders the array of the epoch
        before in place, such as ``numpy.random.RandomState(0).shuffle``.
    random_state : None, int or numpy.random.Generator
        Of the order of samples and of dropout. None: the network's generator, or Python's.
    state : State, optional
        The optimizer's memory, to go on with in the next call.
    checkpoint : Checkpoint, optional
        A file to keep the run in, and to go on from.
    n_threads : int
        At most so many threads share a mini-batch, where that pays.

    Returns
    -------
    History
        A dict of lists.

    Raises
    ------
    ValueError, TypeError
        Bad input; nothing has changed then.
    DivergenceError
        A parameter became NaN or infinite; the last finite state is back.
    """
    with net._writing():
        epochs = _checks.integer(epochs, "epochs", 0)
        n_threads = _checks.integer(n_threads, "n_threads", 1)
        fit = _Fit(
            net, data, optimizers.named(optimizer), (l1, l2, alpha), dropout, clip_norm,
            sample_weight, class_weight, validation, score, early_stopping, shuffle, random_state,
            state, checkpoint, _checks.integer(mini_batch_size, "mini_batch_size", 1),
        )  # fmt: skip
        if not isinstance(evaluate, bool):
            raise TypeError(text("evaluate", "True or False", repr(evaluate)))
        fit.evaluate = evaluate
        fit.schedule = schedule or constant()
        fit.callbacks = list(callbacks)
        with _Bar(epochs, fit.history.epochs, progress) as fit.bar:
            fit.run(epochs, n_threads)
    return fit.history


class _Fit:
    """The state of one run."""

    schedule: Schedule
    evaluate: bool
    callbacks: list[Callback]
    bar: Any

    def __init__(
        self, net: Model, data: Any, optimizer: Optimizer | LBFGS, penalties: tuple[Any, Any, Any],
        dropout: Any, clip_norm: Any, sample_weight: Any, class_weight: Any, validation: Any,
        score: Score | None, early_stopping: Any, shuffle: Any, random_state: Any,
        state: State | None, checkpoint: Checkpoint | None, batch: int,
    ) -> None:  # fmt: skip
        compiled = net._compiled_cost("update_mini_batch")
        if compiled is None:
            hint = "SGD takes a network with parts of your own"
            raise ValueError(
                text("net", "fastbp's own cost and functions", "overridden ones", hint)
            )
        self.net, self.cost, self.optimizer, self.batch = net, compiled, optimizer, batch
        layout, _, _ = net._checked(finite=True)
        self.layout = layout
        self.data = samples.dataset(data, layout.sizes, "data")
        self.validation = None
        if validation is not None:
            self.validation = samples.dataset(validation, layout.sizes, "validation")
        self.l1, self.l2, self.alpha = (
            _penalty(value, name) for value, name in zip(penalties, PENALTIES, strict=True)
        )
        if isinstance(optimizer, AdamW) and (self.l2 or self.alpha):
            hint = "AdamW(weight_decay=...) is its decay"
            name = "l2" if self.l2 else "alpha"
            raise ValueError(text(name, "0 with AdamW", self.l2 or self.alpha, hint))
        self.rates = _rates(dropout, layout)
        self.max_norm = np.inf
        if clip_norm is not None:
            self.max_norm = _checks.number(clip_norm, "clip_norm", above=0.0)
        if isinstance(optimizer, LBFGS) and (self.rates is not None or clip_norm is not None):
            raise ValueError(text("optimizer", "no dropout or clip_norm with L-BFGS", "some"))
        self.weights = self._sample_weights(sample_weight, class_weight)
        self.early = early_stopping
        if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
            self.early = EarlyStopping(_checks.integer(early_stopping, "early_stopping", 1))
        if self.early is not None and self.early.monitor == "validation" and validation is None:
            raise ValueError(text("early_stopping", "validation data to judge by", "none"))
        if score is not None and not callable(score):
            raise TypeError(text("score", "a function of (targets, outputs)", repr(score)))
        if state is not None and not isinstance(state, State):
            raise TypeError(text("state", "optimizers.State()", repr(state)))
        if not isinstance(shuffle, bool) and not callable(shuffle):
            expected = "True, False or a function of an array"
            raise TypeError(text("shuffle", expected, repr(shuffle)))
        self.score, self.shuffle = score, shuffle
        if checkpoint is not None and (state is not None or callable(shuffle)):
            expected = "no shuffle of your own and no state beside it"
            raise ValueError(text("checkpoint", expected, "one", "a file cannot hold them"))
        self.history = History()
        self.costs = np.zeros(len(self.data))  # of each sample, in the order of the epoch
        self.state = State() if state is None else state
        self.moments = self._memory(0 if isinstance(optimizer, LBFGS) else optimizer.blocks)
        self.best: tuple[Blocks, Blocks] | None = None
        self.checkpoint = checkpoint
        found = None if checkpoint is None else checkpoint.read()
        self.elapsed = 0.0
        if found is None:
            self.seed = _seed(net, random_state)
        else:
            self._resume(*found)

    # -- what the loop asks ------------------------------------------------------------

    def run(self, epochs: int, n_threads: int) -> None:
        done, self.started = self.history.epochs, time.perf_counter()
        if done and self._over():
            pass  # the file holds a run that has ended
        elif isinstance(self.optimizer, LBFGS):
            self._quasi_newton(epochs)
        else:
            self.deck = self._deck(done)
            training.run(
                self.net,
                self.deck,
                epochs=self._epochs(done, epochs),
                mini_batch_size=self.batch,
                eta=lambda epoch: self.eta,
                l2=self.l2,
                cost=lambda: self.cost,
                own_samples=lambda: False,
                step=lambda mini_batch, n: None,  # never: the cost is the core's
                check_finite=False,  # the gate has looked
                after_epoch=lambda epoch, data: self.after_epoch(),
                n_threads=n_threads,
                options=self._options,
                carried=self.moments,
                kinds=2 if self.rates is None else 4,
            )
        if self.checkpoint is not None:
            self._save()
        self.state.moments = self.moments
        self.state.updates, self.state.samples = self._before(self.history.epochs)
        if self.early is not None and self.early.restore_best and self.best is not None:
            self.net._commit(*([a.copy() for a in part] for part in self.best))

    def _deck(self, done: int) -> Deck | Seeded:
        if self.shuffle is True:
            return Seeded(self.data, self.seed, done)
        return Deck(self.data, (lambda: self.shuffle) if self.shuffle else None)

    def _epochs(self, done: int, epochs: int) -> Iterable[int]:
        for epoch in range(done, epochs):
            factor = self.schedule(epoch, self.history)
            if factor is None:
                self.history.stopped = "schedule"
                return
            self.eta = self.optimizer.eta * _checks.number(factor, "schedule(...)")  # type: ignore[union-attr]
            yield epoch

    def _options(self, layout: Layout, epoch: int) -> Any:
        """Return the core's options of an epoch."""
        optimizer = self.optimizer
        assert isinstance(optimizer, Optimizer)
        l2 = optimizer.weight_decay if isinstance(optimizer, AdamW) else self.l2
        updates, drawn = self._before(epoch)
        return core.Options(
            self.max_norm, self.weights, optimizer.code, self.l1, l2, self.alpha,
            *optimizer.numbers, self.moments, self.rates, self.seed, updates, drawn,
            None if self.evaluate else self.costs,
        )  # fmt: skip

    def _before(self, epoch: int) -> tuple[int, int]:
        """Return how many steps and samples there have been before this epoch."""
        n = len(self.data)
        steps = -(-n // min(self.batch, n))
        return self.state.updates + epoch * steps, self.state.samples + epoch * n

    def after_epoch(self, cost: float | None = None) -> bool:
        """Note what the epoch was like; return whether it was the last.

        ``cost`` is that of the training data with its penalties, where it is known.
        """
        history, net = self.history, self.net
        if not isinstance(self.optimizer, LBFGS):
            history["eta"].append(self.eta)
        layout, biases, weights = net._checked()
        accuracy = None
        if self.evaluate or self.validation is not None:
            block = layout.pack(biases, weights)
        if self.evaluate:
            cost, accuracy = self._judge(block, self.data, self.weights)
            cost += self._penalty_of(weights)
        elif cost is None:
            cost = self._running_cost() + self._penalty_of(weights)
        history["cost"].append(cost)
        if accuracy is not None:
            history["accuracy"].append(accuracy)
        if self.validation is not None:
            cost, value = self._judge(block, self.validation, None, self.score)
            history["validation_cost"].append(cost)
            if value is not None:
                judged = "validation_accuracy" if self.score is None else "validation_score"
                history[judged].append(value)
        history["seconds"].append(self.elapsed + time.perf_counter() - self.started)
        if self.early is not None and self.early.restore_best and self.early.improved(history):
            self.best = biases, weights  # training rebinds: these stay as they are
        called = [callback(net, history) for callback in self.callbacks]
        self.bar.note(history)
        over = self._over()
        if any(answer is True for answer in called):
            history.stopped, over = "callback", True
        if self.checkpoint is not None and history.epochs % self.checkpoint.every == 0:
            self._save()
        return over

    def _over(self) -> bool:
        if self.history.stopped != "epochs":
            return True
        if self.early is not None and self.early.over(self.history):
            self.history.stopped = "early stopping"
            return True
        return False

    def _penalty_of(self, weights: Blocks) -> float:
        """Return what the penalties add to a sample's mean cost."""
        n = len(self.data)
        share = self.alpha / self._total
        if isinstance(self.optimizer, Optimizer):  # a mini-batch has it whole
            share *= -(-n // min(self.batch, n))
        return sum(
            self.l1 * float(np.abs(w).sum(dtype=np.float64))
            + 0.5 * (self.l2 + share) * float(np.square(w, dtype=np.float64).sum())
            for w in weights
            if self.l1 or self.l2 or self.alpha
        )

    @cached_property
    def _total(self) -> float:
        """What all samples weigh."""
        if self.weights is None:
            return float(len(self.data))
        return float(self.weights.sum(dtype=np.float64)) or 1.0

    def _running_cost(self) -> float:
        """Return the mean cost of the epoch's mini-batches, each before its step."""
        if self.weights is None:
            return float(self.costs.mean())
        order = self.deck.order()
        assert order is not None
        weights = self.weights[order].astype(np.float64)
        starts = np.arange(0, len(order), self.batch)
        totals = np.add.reduceat(weights, starts)
        sums = np.add.reduceat(weights * self.costs, starts)
        means = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
        return float(np.average(means, weights=np.diff([*starts, len(order)])))

    def _judge(
        self,
        block: NDArray[Any],
        data: Dataset,
        weights: NDArray[Any] | None,
        score: Score | None = None,
    ) -> tuple[float, float | None]:
        """Return mean cost, and score or accuracy; None of what has no classes."""
        layout = self.layout
        Z = training.outputs(layout.weighted(), block, data.X)
        Y = samples.targets(data, layout.sizes[-1], _checks.FLOAT64)
        with np.errstate(over="ignore", invalid="ignore"):  # a cost may be infinite
            each = costs(self.cost, layout.activations[-1], Z.astype(np.float64, copy=False), Y)
            cost = float(np.average(each, weights=weights))
            if score is not None:
                return cost, float(score(Y, NUMPY[layout.activations[-1]].value(Z.T).T))
        if self.cost not in ("cross_entropy", "log_likelihood") and not data.has_labels:
            return cost, None
        if layout.sizes[-1] == 1:
            threshold = 0.0 if layout.activations[-1] in ("sigmoid", "tanh") else 0.5
            right = (Z[:, 0] > threshold) == (Y[:, 0] > 0.5)
        else:
            right = Z.argmax(axis=1) == samples.classes(data)
        return cost, float(np.mean(right))

    # -- L-BFGS ------------------------------------------------------------------------

    def _quasi_newton(self, epochs: int) -> None:
        optimize = _needed("scipy.optimize", "optimizer", "SciPy, for L-BFGS", "fastbp[lbfgs]")
        method, layout, net = self.optimizer, self.layout, self.net
        assert isinstance(method, LBFGS)
        parameters = net._checked()[1:]
        n_biases = sum(b.size for b in parameters[0])
        weights, total = self.weights, self._total
        l2 = self.l2 + self.alpha / total

        def parts(theta: NDArray[Any]) -> tuple[Blocks, Blocks]:
            with np.errstate(over="ignore"):  # beyond float32 is infinite
                biases, w = ([a.astype(net.dtype) for a in part] for part in layout.split(theta))
            if not all(_checks.all_finite(a) for a in biases + w):
                raise training.diverged(self.history.epochs, 0, 1.0, _SCALE)
            return biases, w

        def function(theta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
            biases, w = parts(theta)
            block = layout.pack(*layout.check(biases, w))
            cost, _ = self._judge(block, self.data, weights)
            work = Work(_At(net, biases, w), self.data)
            work.scale, work.weights = 1 / total, weights
            grads = layout.empty()
            for piece, run in work.runs():
                run.gradient(grads, piece.start > 0)
            slope = layout.flatten(*layout.unpack(grads)).astype(np.float64)
            decayed = theta[n_biases:]
            cost += self.l1 * float(np.abs(decayed).sum()) + 0.5 * l2 * float(decayed @ decayed)
            slope[n_biases:] += self.l1 * np.sign(decayed) + l2 * decayed
            return cost, slope

        def iterated(intermediate_result: Any) -> None:  # the name tells SciPy what to give
            net._commit(*parts(intermediate_result.x))
            self.history["eta"].append(1.0)
            if self.after_epoch(float(intermediate_result.fun)):
                raise StopIteration

        found = optimize.minimize(
            function,
            layout.flatten(*parameters).astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=iterated,
            options={
                "maxcor": method.memory,
                "gtol": method.tolerance,
                "ftol": method.least,
                "maxfun": method.max_evaluations,
                "maxiter": max(0, epochs - self.history.epochs),
            },
        )
        if found.success and self.history.stopped == "epochs":
            self.history.stopped = "converged"

    def _memory(self, blocks: int) -> NDArray[Any] | None:
        """Return the optimizer's memory, from the state given or zeros."""
        if not blocks:
            return None
        moments, kept = self.layout.state(blocks), self.state.moments
        if kept is not None:
            if kept.shape != moments.shape:
                expected = "the memory of this network's and optimizer's own run"
                raise ValueError(text("state", expected, f"{kept.size} numbers"))
            moments[:] = kept
        return moments

    # -- files -------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        """Return what must be the same when a run goes on."""
        return {
            "sizes": list(self.layout.sizes),
            "activations": list(self.layout.activations),
            "dtype": str(self.layout.dtype),
            "cost": self.cost,
            "optimizer": optimizers.described(self.optimizer),
            "mini_batch_size": self.batch,
            "samples": len(self.data),
            "penalties": [self.l1, self.l2, self.alpha],
            "shuffle": bool(self.shuffle),
            "dropout": None if self.rates is None else self.rates.tolist(),
            "clip_norm": None if self.max_norm == np.inf else self.max_norm,
        }

    def _save(self) -> None:
        assert self.checkpoint is not None
        arrays = storage.layers(*self.net._checked()[1:])
        for i, block in enumerate(self._moments()):
            arrays |= storage.layers(*self.layout.unpack(block), f"moments.{i}.")
        if self.best is not None:
            arrays |= storage.layers(*self.best, "best.")
        others = {}
        for key, values in self.history.items():
            if values and all(isinstance(value, Real) for value in values):
                arrays[f"history.{key}"] = np.array(values, np.float64)
            else:  # a callback's, or an empty list
                others[key] = values
        facts = {
            "run": self._facts(),
            "seed": self.seed,
            "history": others,
            "stopped": self.history.stopped,
        }
        self.checkpoint.write(facts, arrays)

    def _moments(self) -> list[NDArray[Any]]:
        """Return views of the optimizer's state, each laid out as the parameters."""
        if self.moments is None:
            return []
        return np.split(self.moments, len(self.moments) // self.layout.length)

    def _resume(self, facts: storage.Facts, arrays: storage.Arrays) -> None:
        assert self.checkpoint is not None
        path = os.fsdecode(self.checkpoint.path)
        run = facts.get("run")
        if not isinstance(run, dict):
            raise FormatError(text(path, "a checkpoint of fastbp.train", "one without its run"))
        for name, value in self._facts().items():
            if run.get(name) != value:
                expected = f"{name} {run.get(name)!r}, as the run in this file has"
                raise ValueError(text(path, expected, repr(value), "another path begins anew"))

        def layers(prefix: str = "", finite: bool = True) -> tuple[Blocks, Blocks]:
            parts = storage.pop_layers(arrays, len(self.layout.sizes) - 1, prefix)
            return self.layout.check(*parts, finite=finite)

        try:
            parameters = layers()
            for i, block in enumerate(self._moments()):
                # A mean square may have become infinite, with steps of 0.
                block[:] = self.layout.pack(*layers(f"moments.{i}.", finite=False))
            if "best.biases.0" in arrays:
                self.best = layers("best.")
            self.history = _history(arrays, facts.get("history"), facts.get("stopped"))
            if arrays:
                raise ValueError(text("arrays", "those of the run", sorted(arrays)[:3]))
            self.seed = _checks.integer(facts.get("seed"), "seed", 0)
        except (TypeError, ValueError) as error:
            raise FormatError(f"{path}: {error}") from None
        self.elapsed = self.history["seconds"][-1] if self.history["seconds"] else 0.0
        self.net._commit(*parameters)

    # -- the gate ----------------------------------------------------------------------

    def _sample_weights(self, sample_weight: Any, class_weight: Any) -> NDArray[Any] | None:
        n, dtype = len(self.data), self.layout.dtype
        weights = samples.sample_weights(sample_weight, n, dtype)
        if class_weight is None:
            return weights
        classes = samples.classes(self.data)
        if isinstance(class_weight, str):
            if class_weight != "balanced":
                raise ValueError(text("class_weight", "a dict or 'balanced'", repr(class_weight)))
            names, counts = np.unique(classes, return_counts=True)
            class_weight = dict(zip(names.tolist(), n / (len(names) * counts), strict=True))
        factors = np.ones(self.layout.sizes[-1])
        for name, factor in class_weight.items():
            label = _checks.integer(name, "class_weight", 0)
            if label >= len(factors):
                expected = f"classes below {len(factors)}"
                raise ValueError(text("class_weight", expected, label))
            factors[label] = _penalty(factor, f"class_weight[{label}]")
        each = factors[classes].astype(dtype)
        return np.asarray(each if weights is None else each * weights)


class _At:
    """A network at other parameters, as far as a gradient asks."""

    def __init__(self, net: Model, biases: Blocks, weights: Blocks) -> None:
        self._net, self._biases, self._weights = net, biases, weights

    def _checked(self) -> tuple[Layout, Blocks, Blocks]:
        return self._net._layout(), self._biases, self._weights

    def __getattr__(self, name: str) -> Any:
        return getattr(self._net, name)


class _Bar:
    """A bar of progress, or nothing."""

    def __init__(self, epochs: int, done: int, shown: bool) -> None:
        self._bar: Any = None
        if shown:
            tqdm = _needed("tqdm", "progress", "tqdm, for a bar", "tqdm").tqdm
            self._bar = tqdm(total=epochs, initial=done, unit="epoch")

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def note(self, history: History) -> None:
        """Show an epoch."""
        if self._bar is not None:
            shown = {
                key.replace("validation_", "val "): f"{history[key][-1]:.4g}"
                for key in ("cost", "accuracy", "validation_cost", "validation_accuracy")
                if history[key]
            }
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()


def _history(arrays: storage.Arrays, others: Any, stopped: Any) -> History:
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
        always = key in ("cost", "eta", "seconds")
        if len(values) != history.epochs and (values or always):
            raise ValueError(text(f"history: {key}", f"{history.epochs} values", len(values)))
    return history


def _needed(module: str, where: str, expected: str, name: str) -> Any:
    """Import what only this option needs."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(text(where, expected, "none", f"pip install {name}")) from None


def _penalty(value: Any, where: str) -> float:
    number = _checks.number(value, where)
    if number < 0:
        raise ValueError(text(where, "0 or more", number))
    return number


def _rates(dropout: Any, layout: Layout) -> NDArray[np.float64] | None:
    """Return the rate of each layer, of inputs and outputs 0; None if all are."""
    n_hidden = len(layout.sizes) - 2
    if isinstance(dropout, int | float):
        each = [dropout] * n_hidden
    else:
        each = list(dropout)
        if len(each) != n_hidden:
            expected = f"one rate, or {n_hidden}: of each hidden layer"
            raise ValueError(text("dropout", expected, len(each)))
    rates = np.zeros(len(layout.sizes))
    for l, rate in enumerate(each):
        where = "dropout" if isinstance(dropout, int | float) else f"dropout[{l}]"
        rates[l + 1] = _penalty(rate, where)
        if rates[l + 1] >= 1:
            raise ValueError(text(where, "a rate below 1", rate))
    return rates if rates.any() else None


def _seed(net: Model, random_state: Any) -> int:
    if random_state is None:
        random_state = net._generator
    if random_state is None:
        return random.getrandbits(63)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    return _checks.integer(random_state, "random_state", 0)
