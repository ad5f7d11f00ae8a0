"""What scikit-learn's two perceptrons have in common here: translation, validation, the watch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fastbp import _checks, network2, optimizers
from fastbp.errors import DivergenceError, shown, text
from fastbp.samples import Dataset, refuse_zeros, sample_weights, scaled
from fastbp.training.objective import Objective
from fastbp.training.train import train

Array = NDArray[Any]

# scikit-learn's names of activations that are not the core's too.
_CORE = {"identity": "linear", "logistic": "sigmoid", "exp": "exponential"}
_HIDDEN = {"identity", "logistic", "tanh", "relu", "leaky_relu", "softplus"}
_ROWS = 4096  # of a sparse matrix that are dense at a time
_LEAST_RATE = 1e-6  # where an adaptive learning rate ends


class Perceptron(BaseEstimator):
    """What classifier and regressor share."""

    _numeric: ClassVar[bool]  # whether targets are numbers, not classes
    coefs_: list[Array]
    intercepts_: list[Array]
    loss_curve_: list[float]
    validation_scores_: Any  # lists of float, or None
    validation_loss_curve_: Any
    _optimizer: optimizers.State

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(_HIDDEN), "array-like"],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "callbacks": [HasMethods("__iter__"), None],
        "schedule": [callable, None],
        "dtype": "no_validation",  # type: ignore[dict-item]  # scikit-learn's word for: ours
    }

    @classmethod
    @cache
    def _get_param_names(cls) -> Any:
        # scikit-learn reads the signature anew in each call, and asks several times in a fit.
        return super()._get_param_names()

    def _keep(self, parameters: dict[str, Any]) -> None:
        """Keep what ``__init__`` was given, as it is."""
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    # -- fit -----------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any = None,
        incremental: bool = False,
    ) -> Any:
        self._validate_params()
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validated(X, y, incremental, first)
        weights = self._sample_weight(sample_weight, y)
        Y = self._targets(y)
        stochastic = self.solver != "lbfgs"
        early = bool(self.early_stopping) and stochastic
        if early and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        random_state = check_random_state(self.random_state)
        validation, judged = None, None
        if validation_data is not None:
            validation, judged = self._own_validation(validation_data)
        self.n_outputs_ = 1 if Y.ndim == 1 and not self._labels else self._n_outputs(Y)
        units = [X.shape[1], *self._hidden_sizes(), self.n_outputs_]
        before = None if first else [len(w) for w in self.coefs_] + [self.n_outputs_]
        if before is not None and before != units:
            hint = "warm_start and partial_fit go on with the same layers"
            raise ValueError(text("hidden_layer_sizes", str(before[1:-1]), units[1:-1], hint))
        # Drawn in scikit-learn's order; published when nothing more can be refused.
        drawn = self._drawn(units, random_state) if first else None
        if early and validation is None:
            X, Y, weights, validation, judged = self._split(X, Y, weights, random_state)
        if drawn is not None:
            self._begin(drawn, early)
        if validation_data is not None:
            for name in ("validation_scores_", "validation_loss_curve_"):
                if getattr(self, name) is None:
                    setattr(self, name, [])
        net = self._built(units, X.dtype)
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer, self._rate = optimizers.State(), 1.0
        data = Dataset(X, Y, check_finite=False)
        batch = self._batch(len(X)) if stochastic else len(X)
        terms = _TargetTerms(self._target_terms(Y), weights, batch)
        watch = _Watch(self, net, len(X), early, terms)
        try:
            history = train(
                net,
                data,
                epochs=1 if incremental else int(self.max_iter),
                mini_batch_size=batch,
                optimizer=self._solver(),
                schedule=self._schedule(),
                alpha=float(self.alpha),
                dropout=self.dropout,
                sample_weight=weights,
                validation=validation,
                score=None if validation is None else lambda Y, A: self._judge(Y, A, judged),
                evaluate=False,
                callbacks=[watch, *(self.callbacks or ())],
                shuffle=terms.noting(random_state.shuffle) if self.shuffle else False,
                random_state=int(random_state.randint(2**31)) if np.any(self.dropout) else 0,
                state=self._optimizer if stochastic else None,
            )
        except DivergenceError as error:
            if not early:
                raise ValueError(
                    "Solver produced non-finite parameter weights. The input data may contain "
                    f"large values and need to be preprocessed. {error}"
                ) from error
            watch.diverged()
            warnings.warn(
                f"{error}; the best parameters are kept", ConvergenceWarning, stacklevel=3
            )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=3)
        else:
            if self.n_iter_ == 0:  # L-BFGS has found no step to take
                self.loss_ = self._loss(net, data, weights) + terms.mean()
            if history.stopped == "epochs" and not incremental:
                warnings.warn(self._not_converged(), ConvergenceWarning, stacklevel=3)
        self._publish(net, *(watch.best if early else (net.biases, net.weights)))
        return self

    def _validated(self, X: Any, y: Any, incremental: bool, first: bool) -> tuple[Array, Array]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=self._dtypes(), reset=first,
            order="C", y_numeric=self._numeric,
        )  # fmt: skip
        if issparse(X):
            X = _dense(X)
        if issparse(y):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._look_at(y, incremental)
        return X, y

    def _dtypes(self) -> Any:
        if self.dtype is None:
            return (np.float64, np.float32)
        dtype = np.dtype(self.dtype)
        if dtype not in (_checks.FLOAT32, _checks.FLOAT64):
            raise ValueError(text("dtype", "None, float32 or float64", shown(self.dtype)))
        return dtype

    def _sample_weight(self, sample_weight: Any, y: Array) -> Any:
        if isinstance(sample_weight, Real):
            sample_weight = np.full(len(y), float(sample_weight))
        weights = sample_weights(sample_weight, len(y))
        if weights is not None and not weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return weights

    def _hidden_sizes(self) -> list[int]:
        given = self.hidden_layer_sizes
        sizes = list(given) if hasattr(given, "__iter__") else [given]
        if any(not isinstance(n, Integral) or n <= 0 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(n) for n in sizes]

    def _activations(self, n_hidden: int) -> list[str]:
        """Return the activation of each hidden layer, by scikit-learn's names."""
        if isinstance(self.activation, str):
            return [self.activation] * n_hidden
        names = list(self.activation)
        if len(names) != n_hidden:
            expected = f"one name, or {n_hidden}: of each hidden layer"
            raise ValueError(text("activation", expected, len(names)))
        for l, name in enumerate(names):
            if name not in _HIDDEN:
                expected = f"one of {', '.join(sorted(_HIDDEN))}"
                raise ValueError(text(f"activation[{l}]", expected, shown(name)))
        return names

    def _drawn(self, units: list[int], random_state: Any) -> list[tuple[Array, Array]]:
        """Draw each layer (Glorot and Bengio, 2010) from scikit-learn's stream."""
        names, given = self._activations(len(units) - 2), self.activation
        # One activation for all hidden layers also sets the bound of the outputs, even without any.
        last = given if isinstance(given, str) else (names or ["identity"])[-1]
        layers = []
        for (m, n), name in zip(pairwise(units), [*names, last], strict=True):
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (m + n))
            w = random_state.uniform(-bound, bound, (m, n))
            layers.append((w, random_state.uniform(-bound, bound, n)))
        return layers

    def _begin(self, layers: list[tuple[Array, Array]], early: bool) -> None:
        """Begin anew with these weights and biases."""
        self.coefs_, self.intercepts_ = [w for w, _ in layers], [b for _, b in layers]
        self.n_layers_, self.t_, self.loss_curve_ = len(layers) + 1, 0, []
        self.out_activation_ = self._out_activation()
        self._no_improvement_count = 0
        self.best_loss_ = None if early else np.inf
        self.best_validation_score_ = -np.inf if early else None
        self.validation_scores_ = [] if early else None
        self.validation_loss_curve_ = [] if early else None

    def _built(self, units: list[int], dtype: np.dtype[Any]) -> network2.Network:
        """Return a network of the parameters there are."""
        hidden = self._activations(len(units) - 2)
        return network2.Network(
            units,
            self._cost_class(),
            activation=[_CORE.get(name, name) for name in (*hidden, self.out_activation_)],
            initializer=lambda sizes, generator: self._parameters(),
            dtype=dtype,
        )

    def _parameters(self) -> tuple[list[Array], list[Array]]:
        """Return biases and weights as a network has them: views."""
        return [b.reshape(-1, 1) for b in self.intercepts_], [w.T for w in self.coefs_]

    def _loss(self, net: network2.Network, data: Dataset, weights: Any) -> float:
        """Return the loss of all samples, with alpha's penalty."""
        layout, biases, w = net._checked()
        cost, alpha = str(net._compiled_cost()), float(self.alpha)
        objective = Objective(layout, cost, data, *scaled(layout.dtype, weights), 0.0, 0.0, alpha)
        loss, _ = objective.judge(layout.pack(biases, w), data, objective.weights)
        return loss + objective.penalty(w, 1)

    def _publish(self, net: network2.Network, biases: list[Array], weights: list[Array]) -> None:
        self.coefs_ = [w.T for w in weights]
        self.intercepts_ = [b.ravel() for b in biases]
        self._net = net

    def _split(
        self, X: Array, Y: Array, weights: Any, random_state: Any
    ) -> tuple[Array, Array, Any, Dataset, Any]:
        """Set ``validation_fraction`` of the samples aside."""
        rows, held = train_test_split(
            np.arange(len(X)),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(Y),
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        judged = None
        if weights is not None:
            weights, judged = weights[rows], weights[held]
            hint = "validation_data takes samples of your own choice"
            for part, name in ((weights, "left to train on"), (judged, "held out")):
                refuse_zeros(part, "sample_weight", f"of the samples {name}", hint)
            judged, _ = scaled(_checks.FLOAT64, judged)
        validation = Dataset(X[held], Y[held], check_finite=False)
        return X[rows], Y[rows], weights, validation, judged

    def _own_validation(self, data: Any) -> tuple[Dataset, Any]:
        """Return ``validation_data``, (X, y) or (X, y, sample_weight), checked."""
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            expected = "(X, y) or (X, y, sample_weight)"
            raise ValueError(text("validation_data", expected, type(data).__name__))
        X, y, *weights = data
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=self._dtypes(), reset=False,
            order="C",
        )  # fmt: skip
        Y = self._targets(y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y)
        where = "validation_data[2]"
        judged = sample_weights(weights[0], len(Y), where) if weights else None
        refuse_zeros(judged, where)
        return Dataset(_dense(X), Y, check_finite=False), scaled(_checks.FLOAT64, judged)[0]

    def _batch(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=4,
            )
        return min(int(self.batch_size), n)

    def _solver(self) -> optimizers.Optimizer | optimizers.LBFGS:
        eta = float(self.learning_rate_init)
        if self.solver == "lbfgs":
            return optimizers.LBFGS(
                tolerance=self.tol,
                least=1e7 * np.finfo(np.float64).eps,  # SciPy's own
                max_evaluations=self.max_fun,
            )
        if self.solver == "sgd":
            return optimizers.SGD(
                eta=eta, momentum=self.momentum, nesterov=bool(self.nesterovs_momentum)
            )
        return optimizers.Adam(
            eta=eta, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon,
            epsilon_hat=True,
        )  # fmt: skip

    def _schedule(self) -> Any:
        if self.schedule is not None:
            if self.learning_rate != "constant":
                raise ValueError(text("schedule", "learning_rate='constant' beside it", "another"))
            return self.schedule
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            return lambda epoch, history: float((self.t_ + 1) ** -float(self.power_t))
        return lambda epoch, history: self._rate

    def _not_converged(self) -> str:
        if self.solver == "lbfgs":
            return (
                f"lbfgs failed to converge after {self.n_iter_} iteration(s). Increase max_iter "
                f"({self.max_iter}) or max_fun ({self.max_fun}), or scale the data."
            )
        return (
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
            "optimization hasn't converged yet."
        )

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    # -- predict ---------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """Return the output activations of each row of X, looked at."""
        if "coefs_" not in vars(self):
            check_is_fitted(self)
        if not self._is_plain(X):  # what nearly always is given takes less time
            X = validate_data(
                self, X, accept_sparse="csr", dtype=(np.float64, np.float32), order="C",
                reset=False,
            )  # fmt: skip
        net = self._network()
        if issparse(X):
            return np.concatenate([net._outputs(rows) for rows in _blocks(X)])
        if len(X) == 1:
            return np.asarray(net.feedforward(X.reshape(-1, 1))).T
        return net._outputs(X)

    def _is_plain(self, X: Any) -> bool:
        """Whether X is what the core takes as it is, and finite."""
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype in (_checks.FLOAT64, _checks.FLOAT32)
            and X.flags.c_contiguous
            and X.flags.aligned
            and X.shape[1] == vars(self).get("n_features_in_")
            and len(X) > 0
            and "feature_names_in_" not in vars(self)
            and _checks.all_finite(X)
        )

    def _network(self) -> network2.Network:
        """Return a network with the parameters of ``coefs_`` and ``intercepts_``, as they are."""
        net: network2.Network | None = vars(self).get("_net")
        if net is None:
            units = [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]
            net = self._built(units, self.coefs_[0].dtype)
        else:
            net.biases, net.weights = self._parameters()
        return net

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_net"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class _TargetTerms:
    """The terms of scikit-learn's loss that hold targets alone, which the core's cost leaves out.

    ``each`` has the term of each sample; None where there are none. The loss averages them by
    weight within each mini-batch, so that their mean depends on the order of the epoch.
    """

    def __init__(self, each: Array | None, weights: Any, batch: int) -> None:
        self._each, self._batch = each, batch
        if each is not None:
            ones = np.ones(len(each))
            self._weights: Any = ones if weights is None else scaled(_checks.FLOAT64, weights)[0]
            self._order: Array = np.arange(len(each))

    def noting(self, shuffle: Any) -> Any:
        """Return a function that shuffles as ``shuffle`` does, and notes the order."""
        if self._each is None:
            return shuffle

        def shuffle_and_note(rows: Array) -> None:
            shuffle(rows)
            self._order = rows.copy()

        return shuffle_and_note

    def mean(self) -> float:
        """Return the mean over an epoch."""
        if self._each is None:
            return 0.0
        weights = self._weights[self._order]
        starts = np.arange(0, len(weights), self._batch)
        totals = np.add.reduceat(weights, starts)
        sums = np.add.reduceat(weights * self._each[self._order], starts)
        means = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
        return float(np.average(means, weights=np.diff([*starts, len(weights)])))


class _Watch:
    """What scikit-learn notes after each epoch, and when it ends: a callback of ``train``."""

    def __init__(
        self, of: Perceptron, net: network2.Network, n: int, early: bool, terms: _TargetTerms
    ) -> None:
        self._of, self._n, self._early, self._terms = of, n, early, terms
        self._stochastic = of.solver != "lbfgs"
        self._keep(net)
        of.n_iter_ = 0

    def __call__(self, net: Any, history: Any) -> bool:
        of = self._of
        of.n_iter_ += 1
        of.loss_ = history["cost"][-1] + self._terms.mean()
        of.loss_curve_.append(of.loss_)
        if of.verbose:
            print(f"Iteration {of.n_iter_}, loss = {of.loss_:.8f}")
        if history["validation_score"]:
            of.validation_scores_.append(history["validation_score"][-1])
            of.validation_loss_curve_.append(history["validation_cost"][-1])
            if of.verbose:
                print(f"Validation score: {of.validation_scores_[-1]:f}")
        if not self._stochastic:
            return False
        of.t_ += self._n
        return self._over(net)

    def diverged(self) -> None:
        """Note an epoch that has ended in NaN."""
        of = self._of
        of.n_iter_ += 1
        of.loss_ = float("nan")
        of.loss_curve_.append(of.loss_)
        of.validation_scores_.append(float("nan"))
        of.validation_loss_curve_.append(float("nan"))

    def _keep(self, net: Any) -> None:
        """Note the best parameters; a callback of the user's may change the network's in place."""
        self.best = [b.copy() for b in net.biases], [w.copy() for w in net.weights]

    def _over(self, net: Any) -> bool:
        of = self._of
        if self._early:
            now, before = of.validation_scores_[-1], of.best_validation_score_
            better, enough = now > before, not now < before + of.tol
            if better:
                of.best_validation_score_ = now
                self._keep(net)
        else:
            before = np.inf if of.best_loss_ is None else of.best_loss_
            better, enough = of.loss_ < before, not of.loss_ > before - of.tol
            if better:
                of.best_loss_ = of.loss_
        of._no_improvement_count = 0 if enough else of._no_improvement_count + 1
        if of._no_improvement_count <= of.n_iter_no_change:
            return False
        what = "Validation score" if self._early else "Training loss"
        said = (
            f"{what} did not improve more than tol={of.tol:f} for "
            f"{of.n_iter_no_change} consecutive epochs."
        )
        rate = float(of.learning_rate_init)
        for _ in range(round(-math.log(of._rate, 5))):
            rate /= 5  # one division after the other, as scikit-learn: they are rounded
        if of.solver == "sgd" and of.learning_rate == "adaptive" and rate > _LEAST_RATE:
            of._rate /= 5
            of._no_improvement_count = 0
            said, over = f"{said} Setting learning rate to {rate / 5:f}", False
        elif of.solver == "sgd" and of.learning_rate == "adaptive":
            said, over = f"{said} Learning rate too small. Stopping.", True
        else:
            said, over = f"{said} Stopping.", True
        if of.verbose:
            print(said)
        return over


def _blocks(X: Any) -> Iterator[Array]:
    """Yield the rows of a sparse matrix, some at a time, as dense arrays."""
    for start in range(0, X.shape[0], _ROWS):
        yield X[start : start + _ROWS].toarray()


def _dense(X: Any) -> Array:
    """Return a sparse matrix as an array, filled block by block; an array as it is."""
    if not issparse(X):
        return X
    dense = np.empty(X.shape, X.dtype)
    for i, rows in enumerate(_blocks(X)):
        dense[i * _ROWS : i * _ROWS + len(rows)] = rows
    return dense
