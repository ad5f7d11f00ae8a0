"""The options of ``fastbp.train``: each is checked here, once, and travels as a part of Options."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks, optimizers, schedules
from fastbp.errors import near, shown, text
from fastbp.optimizers import LBFGS, Optimizer, State
from fastbp.schedules import Schedule
from fastbp.shuffling import Shuffle
from fastbp.training.checkpoint import Checkpoint
from fastbp.training.early_stopping import EarlyStopping

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Options:
    """Options as ``fastbp.train`` documents them, checked, in one form each."""

    epochs: int
    mini_batch_size: int
    optimizer: Optimizer | LBFGS
    schedule: Schedule
    l1: float
    l2: float
    alpha: float
    dropout: float | list[float]
    clip_norm: float  # infinite: none
    score: Callable[[Any, Any], float] | None
    evaluate: bool
    early_stopping: EarlyStopping | None
    callbacks: list[Callable[..., Any]]
    progress: bool
    shuffle: bool | Shuffle
    random_state: Any
    state: State
    checkpoint: Checkpoint | None
    n_threads: int

    def dropout_rates(self, n_layers: int) -> NDArray[np.float64] | None:
        """Return the rate of each layer, 0 of inputs and outputs; None if all are 0."""
        rates, n_hidden = np.zeros(n_layers), n_layers - 2
        if isinstance(self.dropout, list) and len(self.dropout) != n_hidden:
            expected = f"one rate, or {n_hidden}, one for each hidden layer"
            raise ValueError(text("dropout", expected, len(self.dropout)))
        rates[1:-1] = self.dropout
        return rates if rates.any() else None


def checked(**given: Any) -> Options:
    """Return these options, in the order of CHECKS; the first bad one raises."""
    values = {name: check(given[name], name) for name, check in CHECKS.items()}
    values["schedule"] = _named_schedule(given["schedule"], values["epochs"])
    options = Options(**values)
    method = options.optimizer
    if isinstance(method, optimizers.AdamW) and (options.l2 or options.alpha):
        hint, name = "AdamW(weight_decay=...) is its decay", "l2" if options.l2 else "alpha"
        raise ValueError(text(name, "0 with AdamW", options.l2 or options.alpha, hint))
    if isinstance(method, LBFGS):
        if np.any(options.dropout) or options.clip_norm < np.inf:
            raise ValueError(text("optimizer", "no dropout or clip_norm with L-BFGS", "some"))
        needed("scipy.optimize", "optimizer", "SciPy, for L-BFGS", "fastbp[lbfgs]")
    if options.progress:
        needed("tqdm", "progress", "tqdm, for a bar", "tqdm")
    if options.checkpoint is not None and (given["state"] is not None or callable(options.shuffle)):
        expected = "no shuffle of your own and no state with it"
        raise ValueError(text("checkpoint", expected, "one", "a file cannot hold them"))
    return options


def needed(module: str, where: str, expected: str, name: str) -> Any:
    """Import what only this option needs."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(text(where, expected, "none", f"pip install {name}")) from None


def _dropout(value: Any, where: str) -> float | list[float]:
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return [_rate(rate, f"{where}[{l}]") for l, rate in enumerate(value)]
    if isinstance(value, Iterable) and not isinstance(value, np.ndarray):
        raise TypeError(text(where, "a rate, or a list of one for each hidden layer", shown(value)))
    return _rate(value, where)


def _rate(value: Any, where: str) -> float:
    rate = _checks.at_least_0(value, where)
    if rate >= 1:
        raise ValueError(text(where, "a rate below 1", rate))
    return rate


def _clip_norm(value: Any, where: str) -> float:
    return np.inf if value is None else _checks.number(value, where, above=0.0)


def _schedule(value: Any, where: str) -> Any:
    if value is None or callable(value):
        return value
    names = ", ".join(map(repr, schedules.NAMED))
    expected = f"a function of (epoch, history), or one of {names}"
    if not isinstance(value, str):
        raise TypeError(text(where, expected, shown(value)))
    if value not in schedules.NAMED:
        raise ValueError(text(where, expected, shown(value), near(value, schedules.NAMED)))
    return value


def _named_schedule(value: Any, epochs: int) -> Schedule:
    if isinstance(value, str):
        return schedules.NAMED[value](max(epochs, 1))
    return schedules.constant() if value is None else value


def _score(value: Any, where: str) -> Any:
    return value if value is None else _function(value, where, "(targets, outputs)")


def _function(value: Any, where: str, arguments: str) -> Any:
    if not callable(value) or isinstance(value, type):
        raise TypeError(text(where, f"a function of {arguments}", shown(value)))
    return value


def _callbacks(value: Any, where: str) -> list[Any]:
    if callable(value):
        value = [value]
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(text(where, "functions of (net, history)", shown(value)))
    return [_function(f, f"{where}[{i}]", "(net, history)") for i, f in enumerate(value)]


def _early_stopping(value: Any, where: str) -> EarlyStopping | None:
    if value is None or isinstance(value, EarlyStopping):
        return value
    return EarlyStopping(_checks.integer(value, where, 1))


def _shuffle(value: Any, where: str) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not callable(value):
        raise TypeError(text(where, "True, False or a function of an array", shown(value)))
    return value


def _random_state(value: Any, where: str) -> Any:
    return None if value is None else _checks.random_state(value)


def _state(value: Any, where: str) -> State:
    if value is None:
        return State()
    if not isinstance(value, State):
        raise TypeError(text(where, "optimizers.State()", shown(value)))
    value.check(where)
    return value


def _checkpoint(value: Any, where: str) -> Checkpoint | None:
    if value is None or isinstance(value, Checkpoint):
        return value
    if isinstance(value, str | os.PathLike):
        return Checkpoint(value)
    raise TypeError(text(where, "a Checkpoint, or the path of one", shown(value)))


# What each option may be, in the order in which the checks are made.
CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "epochs": functools.partial(_checks.integer, least=0),
    "n_threads": functools.partial(_checks.integer, least=1),
    "mini_batch_size": functools.partial(_checks.integer, least=1),
    "optimizer": lambda value, where: optimizers.named(value),
    "schedule": _schedule,
    "l1": lambda value, where: _checks.at_least_0(value, where),
    "l2": lambda value, where: _checks.at_least_0(value, where),
    "alpha": lambda value, where: _checks.at_least_0(value, where),
    "dropout": _dropout,
    "clip_norm": _clip_norm,
    "score": _score,
    "evaluate": _checks.boolean,
    "early_stopping": _early_stopping,
    "callbacks": _callbacks,
    "progress": _checks.boolean,
    "shuffle": _shuffle,
    "random_state": _random_state,
    "state": _state,
    "checkpoint": _checkpoint,
}


def understood(function: Callable[P, R]) -> Callable[P, R]:
    """Let ``train`` take (net, X, Y), and name the option that a misspelt one means."""
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = args
        if len(given) == 3:
            given = (given[0], given[1:])
        for name in kwargs:
            if name not in names:
                raise TypeError(
                    text(name, "an option of train", "no such name", _meant(name, names))
                )
        return function(*given, **kwargs)

    return call


def _meant(name: str, names: list[str]) -> str:
    """Return the hint at the option that a name of elsewhere, or a misspelt one, means."""
    elsewhere = {
        "eta": "optimizer=fastbp.optimizers.Adam(eta=...)",
        "lr": "optimizer=fastbp.optimizers.Adam(eta=...)",
        "learning_rate": "optimizer=fastbp.optimizers.Adam(eta=...)",
        "batch_size": "mini_batch_size",
        "validation_data": "validation",
        "patience": "early_stopping",
        "weight_decay": "l2",
        "lmbda": "l2, which is lmbda / n",
    }
    return f"did you mean {elsewhere[name]}?" if name in elsewhere else near(name, names)
