"""The book's module ``network2`` (chapter 3) on the compiled core.

The same names, positional parameters, printed lines, random streams and side
effects as the book's program. Whatever a user overrides, in a subclass, on the
object or in this module, is called, by a slower path.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastbp import _checks, files, parameters, samples, shuffling
from fastbp._network import Arrays, Model, Shipped, Shuffling
from fastbp.errors import FormatError, near, shown, text
from fastbp.functions import ACTIVATIONS, HIDDEN, NUMPY, OUTPUTS, sigmoid
from fastbp.samples import Dataset
from fastbp.training import loop
from fastbp.typing import (
    CostFunction,
    HiddenActivation,
    Initializer,
    InitializerName,
    OutputActivation,
    Samples,
)

# The book's modules have no __all__: exercises use what `import *` brings along.
__all__ = [
    "CrossEntropyCost",
    "Network",
    "QuadraticCost",
    "json",
    "load",
    "np",
    "random",
    "sigmoid",
    "sigmoid_prime",
    "sys",
    "vectorized_result",
]


class QuadraticCost:
    """The quadratic cost, C = |a - y|^2 / 2."""

    @staticmethod
    def fn(a: Any, y: Any) -> Any:
        """Return the cost of outputs ``a`` for targets ``y``, summed over samples."""
        return 0.5 * np.linalg.norm(a - y) ** 2

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Any:
        """Return the error of the output layer (BP1)."""
        return (a - y) * sigmoid_prime(z)


class CrossEntropyCost:
    """The cross-entropy, C = -sum(y ln a + (1 - y) ln(1 - a)) (Nielsen, chapter 3, equation 63)."""

    @staticmethod
    def fn(a: Any, y: Any) -> Any:
        """Return the cost of outputs ``a`` for targets ``y``, summed; 0 ln 0 counts as 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a)))

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Any:
        """Return the error of the output layer (BP1); the sigmoid's derivative cancels."""
        return a - y


class LogLikelihoodCost:
    """The log-likelihood, C = -sum(y ln a), of softmax outputs (Nielsen, equation 80)."""

    @staticmethod
    def fn(a: Any, y: Any) -> Any:
        """Return the cost of outputs ``a`` for targets ``y``, summed; 0 ln 0 counts as 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.sum(np.nan_to_num(-y * np.log(a)))

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Any:
        """Return the error of the output layer (equation 82; for any sum of ``y``)."""
        return a * np.sum(y, axis=0) - y


class PoissonCost:
    """Counts: C = sum(a - y ln a), Poisson's log-likelihood but for a constant."""

    @staticmethod
    def fn(a: Any, y: Any) -> Any:
        """Return the cost of outputs ``a`` > 0 for counts ``y``, summed."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.sum(a - np.nan_to_num(y * np.log(a)))

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Any:
        """Return the error of exponential outputs (BP1); softplus ones are the core's alone."""
        return a - y


_NAMES: dict[Any, str] = {
    QuadraticCost: "quadratic",
    CrossEntropyCost: "cross_entropy",
    LogLikelihoodCost: "log_likelihood",
    PoissonCost: "poisson",
}
COSTS: dict[str, type] = {cost.__name__: cost for cost in _NAMES}

# What the core may compute in place of a cost's functions, as long as they are these.
_COMPILED_DELTAS = tuple((cost.delta, name) for cost, name in _NAMES.items())
_COMPILED_VALUES = tuple((cost.fn, name) for cost, name in _NAMES.items())
_SUMMING_FUNCTIONS = tuple(cost.fn for cost in _NAMES)


class Network(Model):
    """A network with a choice of cost and activations (Nielsen, chapter 3).

    Parameters
    ----------
    sizes : sequence of int
        Neurons in each layer, inputs first; two layers or more.
    cost : class or object with ``fn(a, y)`` and ``delta(z, a, y)``
        ``CrossEntropyCost``, ``QuadraticCost``, ``LogLikelihoodCost``, ``PoissonCost`` or your
        own (by a slower path).
    activation : str or sequence of str
        Of the hidden layers, or one for each layer but the input: linear, sigmoid, tanh, relu,
        leaky_relu, softplus; of the outputs also softmax and exponential.
    output_activation : str, optional
        By default the one that belongs to the cost: sigmoid (cross-entropy, the book's quadratic
        cost), softmax (log-likelihood), exponential (Poisson; or softplus), linear (the
        quadratic cost behind layers that are no sigmoids).
    initializer : {"book", "large", "glorot", "he", "lecun"} or function
        Of biases and weights. ``book``: N(0, 1) and N(0, 1 / n_in); ``large``: N(0, 1), as
        chapter 1; the others have no biases at first and weights of variance
        2 / (n_in + n_out), uniform; 2 / n_in and 1 / n_in, normal. A function of
        ``(sizes, generator)`` returns (biases, weights).
    dtype : {float64, float32}
        Type of weights, biases and all computation.
    random_state : None, int or numpy.random.Generator
        None draws from NumPy's and shuffles with Python's global generator, as the
        book does. Otherwise one generator does both, and the global ones stay untouched.

    Attributes
    ----------
    num_layers, sizes, dtype
        As given.
    biases, weights : list of ndarray
        Shapes (n_out, 1) and (n_out, n_in), one a layer. Assign or edit them at will.
        Training rebinds them to fresh arrays.
    """

    cost: CostFunction | type[CostFunction]

    def __init__(
        self,
        sizes: Sequence[int],
        cost: CostFunction | type[CostFunction] = CrossEntropyCost,
        *,
        activation: HiddenActivation | Sequence[HiddenActivation] = "sigmoid",
        output_activation: OutputActivation | None = None,
        initializer: InitializerName | Initializer = "book",
        dtype: DTypeLike = np.float64,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        if not (hasattr(cost, "delta") or hasattr(cost, "fn")):
            expected, hint = "a class or object with fn and delta", "network2.QuadraticCost is one"
            raise TypeError(text("cost", expected, shown(cost), hint))
        self._start(sizes, dtype, random_state)
        name = _compiled(cost) if hasattr(cost, "delta") else None
        activations = _activations(activation, output_activation, self.num_layers - 1, name)
        if set(activations) != {"sigmoid"}:  # of the book's networks there is nothing to know
            self._activations = activations
        if initializer == "book":
            self.default_weight_initializer()
        elif initializer == "large":
            self.large_weight_initializer()
        else:
            self._initialize(initializer)
        self.cost = cost

    @property
    def activations(self) -> tuple[str, ...]:
        """The activation of each layer but the input."""
        return self._layout().activations

    def default_weight_initializer(self) -> None:
        """Draw biases from N(0, 1) and weights from N(0, 1 / n_in)."""
        self._draw(scaled=True)

    def large_weight_initializer(self) -> None:
        """Draw biases and weights from N(0, 1), as chapter 1 does."""
        self._draw()

    def feedforward(self, a: ArrayLike | Dataset) -> Any:
        """Return the output activations for ``a``.

        Parameters
        ----------
        a : array_like (n_0, 1), or (n_0, k) with one column a sample, or Dataset
            Of rows without labels, ``feedforward(X.T).T`` gives rows.

        Returns
        -------
        ndarray, shape (n_L, 1) or (n_L, k); of a Dataset of n samples (n, n_L)

        Raises
        ------
        ValueError, TypeError
            ``a`` has another shape, is not real, or not finite.
        """
        if self._shipped.overridden(self, "sigmoid"):
            return self._feedforward_with(a)
        return self._feedforward(a)

    def SGD(
        self,
        training_data: Samples,
        epochs: int,
        mini_batch_size: int,
        eta: float,
        lmbda: float = 0.0,
        evaluation_data: Samples | None = None,
        monitor_evaluation_cost: bool = False,
        monitor_evaluation_accuracy: bool = False,
        monitor_training_cost: bool = False,
        monitor_training_accuracy: bool = False,
        early_stopping_n: int = 0,
        *,
        shuffle: Shuffling = True,
        verbose: bool = True,
        check_finite: bool = True,
        n_threads: int = 1,
        clip_norm: float | None = None,
    ) -> tuple[list[float], list[int], list[float], list[int]]:
        """Train by stochastic gradient descent with weight decay; monitor after each epoch.

        Parameters
        ----------
        training_data : list of (x, y), or Dataset
            ``x`` (n_0, 1), ``y`` (n_L, 1). A list is shuffled in place each epoch.
        epochs, mini_batch_size : int
            The last mini-batch may be shorter; it counts with its own length.
        eta, lmbda : float
            Learning rate; regularisation: weights shrink by 1 - eta lmbda / n a step.
        evaluation_data : list of (x, label), or Dataset with labels, optional
        early_stopping_n : int
            Stop after so many epochs without a new best accuracy on ``evaluation_data``,
            monitored or not; 0: never.
        shuffle, verbose, check_finite, n_threads
            As in ``network.Network.SGD``.
        clip_norm : float, optional
            The gradient of each sample that is longer is scaled down to this norm, before the
            mini-batch is summed. Weight decay stays as it is. (This alone is no privacy.)

        Returns
        -------
        evaluation_cost, evaluation_accuracy, training_cost, training_accuracy : list
            A value an epoch where monitored, else empty.

        Raises
        ------
        ValueError, TypeError
            Bad input; nothing has changed then.
        DivergenceError
            A parameter became NaN or infinite; the last finite state is back.
        """
        with self._writing():
            epochs = _checks.integer(epochs, "epochs", 0)
            mini_batch_size = _checks.integer(mini_batch_size, "mini_batch_size", 1)
            n_threads = _checks.integer(n_threads, "n_threads", 1)
            early_stopping_n = _checks.integer(early_stopping_n, "early_stopping_n", 0)
            eta, lmbda = _checks.number(eta, "eta"), _checks.number(lmbda, "lmbda")
            for option, value in (
                ("monitor_evaluation_cost", monitor_evaluation_cost),
                ("monitor_evaluation_accuracy", monitor_evaluation_accuracy),
                ("monitor_training_cost", monitor_training_cost),
                ("monitor_training_accuracy", monitor_training_accuracy),
                ("verbose", verbose),
                ("check_finite", check_finite),
            ):
                _checks.boolean(value, option)
            max_norm = _max_norm(clip_norm)
            # A user's own update_mini_batch need not know the option.
            options = {} if clip_norm is None else {"clip_norm": max_norm}
            if options and self._shipped.overridden(self, "update_mini_batch"):
                expected = "None, as update_mini_batch is overridden"
                raise ValueError(text("clip_norm", expected, clip_norm, "clip there"))
            order = self._shuffle(shuffle, lambda: random.shuffle)
            training_list = samples.materialise(training_data, "training_data")
            evaluation = self._evaluation_data(
                evaluation_data,
                cost=monitor_evaluation_cost,
                accuracy=monitor_evaluation_accuracy or early_stopping_n > 0,
                check_finite=check_finite,
            )
            evaluation_cost: list[float] = []
            evaluation_accuracy: list[int] = []
            training_cost: list[float] = []
            training_accuracy: list[int] = []
            best, epochs_since_best = 0, 0

            def say(line: str = "") -> None:
                if verbose:
                    print(line, flush=True)

            def report(epoch: int, checked: Any) -> bool:
                nonlocal best, epochs_since_best
                say(f"Epoch {epoch} training complete")
                if monitor_training_cost:
                    own = self._shipped.overridden(self, "total_cost", "feedforward")
                    judged = training_list if own else checked
                    training_cost.append(self.total_cost(judged, lmbda))
                    say(f"Cost on training data: {training_cost[-1]}")
                if monitor_training_accuracy:
                    own = self._shipped.overridden(self, "accuracy", "feedforward")
                    judged = training_list if own else checked
                    training_accuracy.append(self.accuracy(judged, convert=True))
                    say(f"Accuracy on training data: {training_accuracy[-1]} / {len(judged)}")
                if monitor_evaluation_cost:
                    evaluation_cost.append(self.total_cost(evaluation, lmbda, convert=True))
                    say(f"Cost on evaluation data: {evaluation_cost[-1]}")
                if monitor_evaluation_accuracy or early_stopping_n:
                    accuracy = self.accuracy(evaluation)
                if monitor_evaluation_accuracy:
                    evaluation_accuracy.append(accuracy)
                    say(f"Accuracy on evaluation data: {accuracy} / {len(evaluation)}")
                say()
                if not early_stopping_n:
                    return False
                epochs_since_best = 0 if accuracy > best else epochs_since_best + 1
                best = max(best, accuracy)
                return epochs_since_best == early_stopping_n

            loop.run(
                self,
                shuffling.EpochOrder(training_list, order),
                epochs=range(epochs),
                mini_batch_size=mini_batch_size,
                eta=lambda epoch: eta,
                l2=lmbda / max(len(training_list), 1),
                cost=self._compiled_run,
                own_samples=self._own_samples,
                step=lambda mini_batch, n: self.update_mini_batch(
                    mini_batch, eta, lmbda, n, **options
                ),
                check_finite=check_finite,
                n_threads=n_threads,
                options=lambda layout, epoch: loop.clipping(max_norm),
                after_epoch=report,
            )
            return evaluation_cost, evaluation_accuracy, training_cost, training_accuracy

    def update_mini_batch(
        self,
        mini_batch: Samples,
        eta: float,
        lmbda: float,
        n: float,
        *,
        clip_norm: float | None = None,
    ) -> None:
        """Take one gradient step with weight decay from the samples in ``mini_batch``.

        Gradients are summed over the ``m`` samples, then applied once::

            w <- (1 - eta * lmbda / n) * w - (eta / m) * nabla_w
            b <- b - (eta / m) * nabla_b

        Parameters
        ----------
        mini_batch : list of (x, y), or Dataset
            ``x`` has shape (n_0, 1), ``y`` (n_L, 1). Not empty.
        eta, lmbda : float
            Learning rate and regularisation.
        n : float
            Size of the whole training set.
        clip_norm : float, optional
            As in ``SGD``.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            Nothing has changed then.

        Notes
        -----
        Rebinds ``weights`` and ``biases``; arrays taken earlier keep their values.
        Nielsen, chapter 3.
        """
        with self._writing():
            eta, lmbda = _checks.number(eta, "eta"), _checks.number(lmbda, "lmbda")
            n = _checks.number(n, "n")
            if n <= 0:
                raise ValueError(text("n", "the size of the training set", n))
            max_norm = _max_norm(clip_norm)
            self._update(mini_batch, eta, 1 - eta * (lmbda / n), self._compiled_cost(), max_norm)

    def backprop(self, x: ArrayLike, y: ArrayLike) -> tuple[Arrays, Arrays]:
        """Return ``(nabla_b, nabla_w)``, the gradient of one sample's cost (BP1-BP4).

        Parameters
        ----------
        x, y : array_like, shapes (n_0, 1) and (n_L, 1)

        Returns
        -------
        nabla_b, nabla_w : list of ndarray
            A layer each, in the shapes of ``biases`` and ``weights``; without decay.

        Raises
        ------
        ValueError, TypeError
            ``x`` or ``y`` has another shape, is not real, or not finite.
        """
        cost = _compiled(self.cost)
        if cost is None or self._shipped.overridden(self, "sigmoid", "sigmoid_prime"):
            return self._backprop_with(self._output_delta(), x, y)
        return self._backprop(x, y, cost)

    def accuracy(self, data: Samples, convert: bool = False) -> int:
        """Return how many samples have their largest output at their label.

        Parameters
        ----------
        data : list of (x, y), or Dataset
        convert : bool
            Whether ``y`` is a one-hot column (training data), not a label. A Dataset's
            labels are labels either way.

        Raises
        ------
        ValueError, TypeError
            A sample is bad, or its ``y`` not what ``convert`` says.
        """
        _checks.boolean(convert, "convert")
        if self._shipped.overridden(self, "feedforward", "sigmoid"):
            label = np.argmax if convert and not _has_labels(data) else lambda y: y
            return self._count_with(self.feedforward, data, "data", label)
        return self._count(data, "data", y="columns" if convert else "labels")

    def total_cost(self, data: Samples, lmbda: float, convert: bool = False) -> float:
        """Return the mean cost of ``data`` plus ``lmbda / (2 len(data))`` times sum |w|^2.

        Parameters
        ----------
        data : list of (x, y), or Dataset
        lmbda : float
            Regularisation.
        convert : bool
            Whether ``y`` is a label (evaluation data), not a column. A Dataset's labels
            are labels either way.

        Raises
        ------
        ValueError, TypeError
            A sample is bad, or its ``y`` not what ``convert`` says; there is none.
        """
        lmbda = _checks.number(lmbda, "lmbda")
        _checks.boolean(convert, "convert")
        found: Any = samples.materialise(data, "data")
        if len(found) == 0:
            raise ValueError(text("data", "at least one sample", "none"))
        fn, sizes, n = self.cost.fn, self._sizes(), len(found)
        cost, weights = np.inf, self.weights
        if self._shipped.overridden(self, "feedforward", "sigmoid"):
            if convert or _has_labels(found):
                labels = samples.labels([y for _, y in found], sizes[-1], "data")
                columns = (vectorized_result(label, sizes[-1]) for label in labels)
                found = zip((x for x, _ in found), columns, strict=True)
            cost = sum(_cost(fn, self.feedforward(x), y) / n for x, y in found)
        else:
            found = samples.gate(found, sizes, "data", y="labels" if convert else "columns")
            state = self._checked()  # one for outputs and weights, though another thread may train
            sizes, weights = state[0].sizes, state[2]
            samples.check_shapes(found, sizes, "data", targets=True)
            A = self._outputs(found.X, state=state).astype(np.float64, copy=False)
            Y = samples.targets(found, sizes[-1], _checks.FLOAT64)
            if fn in _SUMMING_FUNCTIONS:
                cost = fn(A, Y) / n
            if not np.isfinite(cost):  # a user's own, or a sum of samples beyond float64
                cost = sum(fn(a[:, None], y[:, None]) / n for a, y in zip(A, Y, strict=True))
        if np.size(cost) != 1:
            raise ValueError(text("cost.fn(a, y)", "a number", f"shape {np.shape(cost)}"))
        decay = 0.5 * (lmbda / n) * sum(np.linalg.norm(w) ** 2 for w in weights)
        return float(np.asarray(cost).item()) + float(decay)

    def save(self, filename: str | PathLike[str]) -> None:
        """Write the network to ``filename``, for ``load``; it is replaced as a whole, or not.

        A name in ``.safetensors`` gets a container, with dtype, digest and the bits of each
        number; every other one the book's JSON, which its ``load`` reads too. A cost of your
        own is kept by name, what a subclass adds not at all.

        Raises
        ------
        ValueError, OSError
            A parameter is not finite (container only); the file cannot be written.

        Warns
        -----
        UserWarning
            The name is one of another program's format, such as ``.onnx``; it gets JSON.
        """
        if files.is_container(filename):
            self._write(filename, "network2", self._facts())
        else:
            if suffix := files.other_format(filename):
                warnings.warn(
                    f"{os.fsdecode(filename)}: this is the book's JSON, which no program reads as "
                    f"{suffix}; a name in {files.SUFFIX} gets a container",
                    stacklevel=2,
                )
            files.replace(filename, [json.dumps(self._to_json()).encode("utf-8")])

    def _facts(self) -> dict[str, Any]:
        """Return what a container holds beside the arrays."""
        cost = self.cost if isinstance(self.cost, type) else type(self.cost)
        known = COSTS.get(cost.__name__) is cost
        return {
            "activations": list(self.activations),
            "cost": cost.__name__ if known else {"own": cost.__name__},
        }

    def _to_json(self) -> dict[str, Any]:
        _, biases, weights = self._checked()
        cost = self.cost if isinstance(self.cost, type) else type(self.cost)
        options = {"activations": list(self._activations)} if self._activations else {}
        return {
            "sizes": [int(size) for size in self.sizes],
            "weights": [w.tolist() for w in weights],
            "biases": [b.tolist() for b in biases],
            "cost": cost.__name__,
            **options,
        }

    def _compiled_cost(self, *names: str) -> str | None:
        """Return the cost that the core may descend; None if a user overrides a part or a name."""
        names = (*names, "backprop", "sigmoid", "sigmoid_prime")
        if self._shipped.overridden(self, *names):
            return None
        return _compiled(self.cost)

    def _output_delta(self) -> Callable[[Any, Any, Any], Any]:
        delta, layout = self.cost.delta, self._layout()
        if delta is QuadraticCost.delta and layout.activations[-1] != "sigmoid":
            prime = NUMPY[layout.activations[-1]].prime
            return lambda z, a, y: (a - y) * prime(z)
        if delta is PoissonCost.delta and layout.activations[-1] == "softplus":
            return lambda z, a, y: (a - y) / a * NUMPY["softplus"].prime(z)
        return delta

    def _own_cost(self) -> Any:
        """Return the name of the cost's ``fn``, or a user's own."""
        fn = self.cost.fn
        return next((name for function, name in _COMPILED_VALUES if function is fn), fn)

    def _evaluation_data(self, data: Any, *, cost: bool, accuracy: bool, check_finite: bool) -> Any:
        """Return the evaluation data, checked once where it is looked at by our own methods."""
        data = [] if data is None else samples.materialise(data, "evaluation_data")
        if not (cost or accuracy):
            return data
        if len(data) == 0:
            raise ValueError(
                text(
                    "evaluation_data",
                    "samples",
                    "none",
                    "monitoring and early stopping need evaluation data",
                )
            )
        looking = (["total_cost"] if cost else []) + (["accuracy"] if accuracy else [])
        if self._shipped.overridden(self, "feedforward", *looking):
            return data
        return samples.gate(
            data, self._sizes(), "evaluation_data", y="labels", check_finite=check_finite
        )


def load(
    filename: str | PathLike[str],
    *,
    cost: CostFunction | type[CostFunction] | None = None,
    dtype: DTypeLike | None = None,
) -> Network:
    """Return the network that ``save``, or the book's program, wrote to ``filename``.

    Parameters
    ----------
    filename : path of a file
        A container if it ends in ``.safetensors``, else JSON.
    cost : class or object, optional
        The cost, where the file names one of your own.
    dtype : {float64, float32}, optional
        By default that of a container; float64 of JSON.

    Raises
    ------
    FormatError (a ValueError), OSError
        The file is not such a file, or damaged, or names a cost that is not known; it cannot
        be read.

    Warns
    -----
    UserWarning
        The command line standardised the columns, which the network alone does not.
    """
    where = os.fsdecode(filename)
    if files.is_container(filename):
        _, facts, arrays = files.read(filename, "network2")
        net = from_container(facts, arrays, where, cost=cost, dtype=dtype)
    else:
        facts = read_json(filename)
        net = from_json(facts, where, cost=cost, dtype=dtype)
    warn_of_scaling(facts, where)
    return net


def warn_of_scaling(facts: files.Facts, where: str) -> None:
    """Tell the caller of ``load`` what the network alone does not: it takes no raw columns."""
    if facts.get("mean") is not None:
        warnings.warn(
            f"{where}: this network was trained on standardised columns and takes "
            "(X - mean) / scale, with mean and scale of the file, not X as it is; docs/files.md "
            "shows how, 'fastbp predict' does it",
            stacklevel=3,
        )


def read_json(filename: str | PathLike[str]) -> Any:
    """Return what the JSON of a file says, whatever that is."""
    content = files.contents(filename)
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        got = f"a file that is not JSON ({error})"
        hint = f"load reads what save wrote; a container's name ends in {files.SUFFIX}"
        raise FormatError(text(os.fsdecode(filename), "a network as JSON", got, hint)) from None


def from_container(
    facts: files.Facts,
    arrays: files.Arrays,
    where: str,
    *,
    cost: Any = None,
    dtype: DTypeLike | None = None,
) -> Network:
    """Return the network of a container's contents; ``where`` begins each error text."""
    found = _named_cost(facts.get("cost"), where) if cost is None else cost

    def activations(n_layers: int) -> tuple[str, ...] | None:
        names = facts.get("activations")
        if not isinstance(names, list):
            raise ValueError(text("activations", "a list of names", type(names).__name__))
        checked = _activations(names, None, n_layers, _compiled(found))
        return None if set(checked) == {"sigmoid"} else checked

    net = Network._of(where, arrays, activations, dtype)
    net.cost = found
    return net


def _named_cost(name: Any, where: str) -> Any:
    if not isinstance(name, str) or name not in COSTS:
        expected = f"a cost among {', '.join(COSTS)}"
        hint = "load(filename, cost=...) takes your own"
        raise FormatError(text(f"{where}: cost", expected, shown(name), hint))
    return COSTS[name]


def from_json(
    data: Any, where: str, *, cost: Any = None, dtype: DTypeLike | None = None
) -> Network:
    """Return the network of the decoded JSON ``data``; ``where`` begins each error text."""
    keys = {"sizes", "weights", "biases", "cost"}
    if not isinstance(data, dict) or not keys <= data.keys():
        raise FormatError(text(where, "a network with " + ", ".join(sorted(keys)), "another JSON"))
    if cost is None:
        cost = _named_cost(data["cost"], where)
    dtype = np.dtype(np.float64 if dtype is None else dtype)
    try:
        sizes = parameters.check_sizes(data["sizes"])
    except (TypeError, ValueError, MemoryError) as error:  # of more than there can be
        raise FormatError(f"{where}: {error}") from None
    try:
        names = data.get("activations") or ["sigmoid"] * (len(sizes) - 1)
        names = _activations(names, None, len(sizes) - 1, _compiled(cost))
        layout = parameters.layout(sizes, dtype)
        biases, weights = layout.check(
            [np.array(b) for b in data["biases"]],
            [np.array(w) for w in data["weights"]],
            finite=True,
        )
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where}: {error}") from None
    # Made as the book makes it, by a constructor that draws: the global stream moves alike.
    net = Network(data["sizes"], cost, dtype=dtype, activation=names)  # type: ignore[arg-type]
    net._commit(biases, weights)
    return net


def vectorized_result(j: Any, n: int = 10) -> NDArray[np.float64]:
    """Return the column (n, 1) with 1.0 at ``j`` and zeros elsewhere."""
    e = np.zeros((n, 1))
    e[np.asarray(j, dtype=int)] = 1.0
    return e


def sigmoid_prime(z: Any) -> Any:
    """Return the derivative of the sigmoid (from this module's ``sigmoid``, as in the book)."""
    return sigmoid(z) * (1 - sigmoid(z))


def _activations(hidden: Any, output: Any, n_layers: int, cost: str | None) -> tuple[str, ...]:
    """Return the activation of each of so many layers; refuse what does not fit the cost."""
    if isinstance(hidden, str):
        names = [hidden] * (n_layers - 1)
        if output is None:
            usual = OUTPUTS[cost][0] if cost else "sigmoid"
            output = "sigmoid" if usual == "linear" and hidden == "sigmoid" else usual
        names.append(output)
    else:
        try:
            names = list(hidden)
        except TypeError:  # a function, a number
            expected = f"a name, or a list of {n_layers} names"
            raise TypeError(text("activation", expected, shown(hidden))) from None
        if len(names) != n_layers:
            expected = f"one name, or {n_layers}: of each layer but the input"
            raise ValueError(text("activation", expected, len(names)))
        if output is not None and output != names[-1]:
            expected = f"{names[-1]!r}, as activation ends"
            raise ValueError(text("output_activation", expected, shown(output)))
    for l, name in enumerate(names):
        last = l == n_layers - 1
        admitted = HIDDEN if not last else OUTPUTS[cost] if cost else tuple(ACTIVATIONS)
        if name not in admitted:
            where = "output_activation" if last else f"activation[{l}]"
            of = f" (cost {cost})" if last and cost else ""
            softmax = name == "softmax" and not last
            hint = "softmax is for the output layer" if softmax else near(name, admitted)
            raise ValueError(text(where, f"one of {', '.join(admitted)}{of}", shown(name), hint))
    return tuple(names)


def _max_norm(clip_norm: Any) -> float:
    """Return the longest a sample's gradient may be."""
    if clip_norm is None:
        return math.inf
    return _checks.number(clip_norm, "clip_norm", above=0.0)


def _compiled(cost: Any) -> str | None:
    """Return the core's name of a cost whose ``delta`` is one of ours, else None."""
    delta = cost.delta
    return next((name for function, name in _COMPILED_DELTAS if function is delta), None)


def _cost(fn: Callable[[Any, Any], Any], a: Any, y: Any) -> Any:
    """Return the cost of outputs of a user's own ``feedforward``."""
    try:
        return fn(a, y)
    except ValueError:
        if np.shape(a) == np.shape(y):
            raise
        expected = f"shape {np.shape(y)}, as the target has"
        raise ValueError(text("feedforward(x)", expected, np.shape(a))) from None


def _has_labels(data: Any) -> bool:
    return isinstance(data, samples.Dataset) and data.has_labels


Network._shipped = Shipped(Network, globals())
