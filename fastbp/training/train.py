"""``fastbp.train``: chapter 3's techniques and what came after the book; all options' gate."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import _checks, optimizers, samples, schedules
from fastbp.errors import shown, text
from fastbp.optimizers import LBFGS, Optimizer, State
from fastbp.parameters import Layout
from fastbp.schedules import Schedule
from fastbp.shuffling import Shuffle
from fastbp.training.checkpoint import Checkpoint
from fastbp.training.history import EarlyStopping, History
from fastbp.training.objective import Objective, Score
from fastbp.training.trainer import Callback, Trainer
from fastbp.typing import Data, OptimizerName

if TYPE_CHECKING:
    from fastbp._network import Model


def train(
    net: Model,
    data: Data,
    *,
    epochs: int,
    mini_batch_size: int = 32,
    optimizer: Optimizer | LBFGS | OptimizerName = "adam",
    schedule: Schedule | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    alpha: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    clip_norm: float | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
    validation: Data | None = None,
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
        scikit-learn has it; of one that weighs m it counts as l2 = alpha / m, of m = 0 as none.
    dropout : float, or one for each hidden layer
        The part of the hidden activations that is set to 0 in training; the others are scaled
        up (Srivastava et al., 2014).
    clip_norm : float, optional
        A sample's gradient, times its weight, that is longer is scaled down to this norm before
        the sum.
    sample_weight : array_like (n,), optional
        A factor on each sample's cost; a mini-batch is divided by the sum of them, so that only
        their ratios matter, except to alpha and clip_norm.
    class_weight : dict of class to factor, or "balanced", optional
        The same for all samples of a class; "balanced": n / (classes * count).
    validation : pairs, Dataset or (X, Y), optional
        Looked at after each epoch.
    score : function of (targets, outputs), optional
        Of the validation data, (n, n_L) both, the higher the better, NaN never; what is judged
        by it instead of the accuracy: early stopping and schedules.
    evaluate : bool
        Whether to look at the training data after each epoch too. False: their cost is the mean
        of the mini-batches' costs, each with its penalties before its step, which costs little
        time, and accuracy is not counted.
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
        batch = _checks.integer(mini_batch_size, "mini_batch_size", 1)
        method = optimizers.named(optimizer)
        cost = net._compiled_cost("update_mini_batch")
        if cost is None:
            hint = "SGD takes a network with parts of your own"
            expected = "fastbp's own cost and functions"
            raise ValueError(text("net", expected, "overridden ones", hint))
        layout, _, _ = net._checked(finite=True)
        checked = samples.dataset(data, layout.sizes, "data")
        if validation is not None:
            validation = samples.dataset(validation, layout.sizes, "validation")
        net._checked(finite=True)[0].refuse_other(layout)  # samples may be objects that run code
        penalties = _at_least_0(l1, "l1"), _at_least_0(l2, "l2"), _at_least_0(alpha, "alpha")
        if isinstance(method, optimizers.AdamW) and any(penalties[1:]):
            hint, name = "AdamW(weight_decay=...) is its decay", "l2" if l2 else "alpha"
            raise ValueError(text(name, "0 with AdamW", l2 or alpha, hint))
        rates, max_norm = _rates(dropout, len(layout.sizes)), np.inf
        if clip_norm is not None:
            max_norm = _checks.number(clip_norm, "clip_norm", above=0.0)
        if isinstance(method, LBFGS):
            if rates is not None or clip_norm is not None:
                raise ValueError(text("optimizer", "no dropout or clip_norm with L-BFGS", "some"))
            _needed("scipy.optimize", "optimizer", "SciPy, for L-BFGS", "fastbp[lbfgs]")
        weights, exponent = _weights(sample_weight, class_weight, checked, layout)
        if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
            early_stopping = EarlyStopping(early_stopping)
        if early_stopping and early_stopping.monitor == "validation" and validation is None:
            raise ValueError(text("early_stopping", "validation data to judge by", "none"))
        if score is not None and not callable(score):
            raise TypeError(text("score", "a function of (targets, outputs)", shown(score)))
        if not isinstance(evaluate, bool):
            raise TypeError(text("evaluate", "True or False", shown(evaluate)))
        if not isinstance(shuffle, bool) and not callable(shuffle):
            expected = "True, False or a function of an array"
            raise TypeError(text("shuffle", expected, shown(shuffle)))
        if checkpoint is not None and (state is not None or callable(shuffle)):
            expected = "no shuffle of your own and no state beside it"
            raise ValueError(text("checkpoint", expected, "one", "a file cannot hold them"))
        state = State() if state is None else state
        trainer = Trainer(
            net, Objective(layout, cost, checked, weights, exponent, *penalties), method, batch,
            schedule or schedules.constant(), rates, max_norm, validation, score, evaluate,
            early_stopping, list(callbacks), shuffle, state, _moments(state, method, layout),
            checkpoint,
        )  # fmt: skip
        tqdm: Any = _needed("tqdm", "progress", "tqdm, for a bar", "tqdm") if progress else None
        drawn = random_state is None or isinstance(random_state, np.random.Generator)
        if not trainer.resume(None if drawn else _seed(net, random_state)):
            trainer.seed = _seed(net, random_state)  # nothing has changed up to here
        done = trainer.history.epochs
        bar = tqdm.tqdm(total=epochs, initial=done, unit="epoch") if progress else nullcontext()
        with bar as trainer.bar:
            trainer.run(epochs, n_threads)
    return trainer.history


def _moments(state: Any, optimizer: Optimizer | LBFGS, layout: Layout) -> NDArray[Any] | None:
    """Return the optimizer's memory, from the state or zeros."""
    if not isinstance(state, State):
        raise TypeError(text("state", "optimizers.State()", shown(state)))
    for name in ("updates", "samples"):
        if _checks.integer(getattr(state, name), f"state.{name}", 0) >= 2**62:
            raise ValueError(text(f"state.{name}", "a number below 2**62", getattr(state, name)))
    if not optimizer.blocks:
        return None
    moments = layout.state(optimizer.blocks)
    if state.moments is not None:
        got = np.shape(state.moments)
        if got != moments.shape:
            expected = "the memory of this network's and optimizer's own run"
            raise ValueError(text("state", expected, f"shape {got}"))
        moments[:] = state.moments
    return moments


def _weights(
    sample_weight: Any, class_weight: Any, data: samples.Dataset, layout: Layout
) -> tuple[NDArray[Any] | None, int]:
    """Return the weight of each sample as ``samples.scaled`` does."""
    n = len(data)
    own = samples.sample_weights(sample_weight, n)
    if class_weight is None:
        samples.refuse_zeros(own, "sample_weight")
        return samples.scaled(layout.dtype, own)
    classes = samples.classes(data)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(text("class_weight", "a dict or 'balanced'", shown(class_weight)))
        names, counts = np.unique(classes, return_counts=True)
        class_weight = dict(zip(names.tolist(), n / (len(names) * counts), strict=True))
    factors = np.ones(layout.sizes[-1])
    for name, factor in class_weight.items():
        label = _checks.integer(name, "class_weight", 0)
        if label >= len(factors):
            expected = f"classes below {len(factors)}"
            raise ValueError(text("class_weight", expected, label))
        factors[label] = _at_least_0(factor, f"class_weight[{label}]")
    weights, exponent = samples.scaled(layout.dtype, factors[classes], own)
    samples.refuse_zeros(weights, "class_weight")
    return weights, exponent


def _needed(module: str, where: str, expected: str, name: str) -> Any:
    """Import what only this option needs."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(text(where, expected, "none", f"pip install {name}")) from None


def _at_least_0(value: Any, where: str) -> float:
    number = _checks.number(value, where)
    if number < 0:
        raise ValueError(text(where, "0 or more", number))
    return number


def _rates(dropout: Any, n_layers: int) -> NDArray[np.float64] | None:
    """Return the rate of each layer, of inputs and outputs 0; None if all are."""
    one, n_hidden = isinstance(dropout, int | float), n_layers - 2
    each = [dropout] * n_hidden if one else list(dropout)
    if len(each) != n_hidden:
        raise ValueError(
            text("dropout", f"one rate, or {n_hidden}: of each hidden layer", len(each))
        )
    rates = np.zeros(n_layers)
    for l, rate in enumerate(each):
        where = "dropout" if one else f"dropout[{l}]"
        rates[l + 1] = _at_least_0(rate, where)
        if rates[l + 1] >= 1:
            raise ValueError(text(where, "a rate below 1", rate))
    return rates if rates.any() else None


def _seed(net: Model, random_state: Any) -> int:
    if random_state is None:
        random_state = net._generator
    if random_state is None:
        return random.getrandbits(63)
    seed = _checks.random_state(random_state)
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    # The core takes 64 bits.
    return seed if seed < 2**64 else int(np.random.SeedSequence(seed).generate_state(1, "u8")[0])
