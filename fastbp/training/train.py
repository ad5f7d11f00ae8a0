"""``fastbp.train``: chapter 3's techniques and what came after the book; all options' gate."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import _checks, samples
from fastbp.errors import near, shown, text
from fastbp.optimizers import LBFGS, Optimizer, State
from fastbp.parameters import Layout
from fastbp.schedules import Schedule
from fastbp.shuffling import Shuffle
from fastbp.training.checkpoint import Checkpoint
from fastbp.training.early_stopping import EarlyStopping
from fastbp.training.history import History
from fastbp.training.objective import Objective, Score
from fastbp.training.options import checked, needed, understood
from fastbp.training.trainer import Callback, Trainer
from fastbp.typing import Data, OptimizerName

if TYPE_CHECKING:
    from fastbp._network import Model


@understood
def train(
    net: Model,
    data: Data,
    *,
    epochs: int,
    mini_batch_size: int = 32,
    optimizer: Optimizer | LBFGS | OptimizerName = "adam",
    schedule: Schedule | Literal["constant", "cosine"] | None = None,
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
    callbacks: Iterable[Callback] | Callback = (),
    progress: bool = False,
    shuffle: bool | Shuffle = True,
    random_state: int | np.random.Generator | None = None,
    state: State | None = None,
    checkpoint: Checkpoint | str | PathLike[str] | None = None,
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
    schedule : function of (epoch, history), or "cosine", optional
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
    callbacks : function of (net, history), or several
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
    checkpoint : Checkpoint or path, optional
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
    if not hasattr(net, "_writing"):
        raise TypeError(text("net", "a Network", shown(net)))
    with net._writing():
        options = checked(
            epochs=epochs, mini_batch_size=mini_batch_size, optimizer=optimizer, schedule=schedule,
            l1=l1, l2=l2, alpha=alpha, dropout=dropout, clip_norm=clip_norm, score=score,
            evaluate=evaluate, early_stopping=early_stopping, callbacks=callbacks,
            progress=progress, shuffle=shuffle, random_state=random_state, state=state,
            checkpoint=checkpoint, n_threads=n_threads,
        )  # fmt: skip
        cost = net._compiled_cost("update_mini_batch")
        if cost is None:
            hint = "SGD takes a network with parts of your own"
            expected = "fastbp's own cost and functions"
            raise ValueError(text("net", expected, "overridden ones", hint))
        layout, _, _ = net._checked(finite=True)
        training = samples.dataset(data, layout.sizes, "data")
        if validation is not None:
            validation = samples.dataset(validation, layout.sizes, "validation")
        early = options.early_stopping
        if early is not None and early.monitor == "validation" and validation is None:
            raise ValueError(text("early_stopping", "validation data to judge by", "none"))
        net._checked(finite=True)[0].refuse_other(layout)  # samples may be objects that run code
        rates = options.dropout_rates(len(layout.sizes))
        weights, exponent = _weights(sample_weight, class_weight, training, layout)
        penalties = options.l1, options.l2, options.alpha
        objective = Objective(layout, cost, training, weights, exponent, *penalties)
        moments = _moments(options.state, options.optimizer, layout)
        trainer = Trainer(net, objective, options, rates, validation, moments)
        drawn = random_state is None or isinstance(random_state, np.random.Generator)
        if not trainer.resume(None if drawn else _seed(net, random_state)):
            trainer.seed = _seed(net, random_state)  # nothing has changed up to here
        done, tqdm = trainer.history.epochs, None
        if options.progress:
            tqdm = needed("tqdm", "progress", "tqdm, for a bar", "tqdm")
        bar = tqdm.tqdm(total=epochs, initial=done, unit="epoch") if tqdm else nullcontext()
        with bar as trainer.bar:
            trainer.run()
    return trainer.history


def _moments(state: State, optimizer: Optimizer | LBFGS, layout: Layout) -> NDArray[Any] | None:
    """Return the optimizer's memory, from the state or zeros."""
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
    if isinstance(class_weight, str) and class_weight == "balanced":
        names, counts = np.unique(classes, return_counts=True)
        class_weight = dict(zip(names.tolist(), n / (len(names) * counts), strict=True))
    if not isinstance(class_weight, Mapping):
        error = ValueError if isinstance(class_weight, str) else TypeError
        expected, hint = (
            "a dict of class to factor, or 'balanced'",
            near(class_weight, ["balanced"]),
        )
        raise error(text("class_weight", expected, shown(class_weight), hint))
    factors = np.ones(layout.sizes[-1])
    for name, factor in class_weight.items():
        label = _checks.integer(name, "class_weight", 0)
        if label >= len(factors):
            expected = f"classes below {len(factors)}"
            raise ValueError(text("class_weight", expected, label))
        factors[label] = _checks.at_least_0(factor, f"class_weight[{label}]")
    weights, exponent = samples.scaled(layout.dtype, factors[classes], own)
    samples.refuse_zeros(weights, "class_weight")
    return weights, exponent


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
