"""scikit-learn's multilayer perceptrons on the compiled core, and what these decline.

Names, defaults and random streams are scikit-learn's; the training is ``fastbp.train``. Imported
when asked for: it takes scikit-learn.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp import network2
from fastbp.errors import text

if importlib.util.find_spec("sklearn") is None:
    raise ImportError(
        text("fastbp.estimators", "scikit-learn", "none", "pip install fastbp[sklearn]")
    )

from scipy.special import xlogy
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastbp.estimators.perceptron import Perceptron
from fastbp.samples import scaled

__all__ = ["MLPClassifier", "MLPRegressor"]

Array = NDArray[Any]


class MLPClassifier(ClassifierMixin, Perceptron):
    """scikit-learn's multilayer perceptron classifier on fastbp's core.

    Parameters and attributes are those of ``sklearn.neural_network.MLPClassifier``, with the
    same defaults and meanings; these are more:

    Parameters
    ----------
    activation : str or sequence of str
        One for all hidden layers, or one for each; also ``leaky_relu`` and ``softplus``.
    class_weight : dict, list of dict, or "balanced", optional
        Factors on the weights of the samples of each class.
    dropout : float, or one for each hidden layer
        The part of the hidden activations that is set to 0 in training.
    callbacks : functions of (net, history), optional
        Called after each epoch, as ``fastbp.train`` does; one that returns True ends the fit.
    schedule : function of (epoch, history), optional
        The factor on ``learning_rate_init``, as of ``fastbp.schedules``.
    dtype : {float64, float32}, optional
        Of parameters and computation; None keeps float32 and takes float64 otherwise.

    Attributes
    ----------
    validation_loss_curve_ : list of float, or None
        The cost of the validation data after each epoch, without penalty.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Perceptron._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }
    _numeric = False

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        dropout: float | Sequence[float] = 0.0,
        callbacks: Any = None,
        schedule: Callable[..., Any] | None = None,
        dtype: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> MLPClassifier:
        """Fit to rows X and classes y; return self.

        Parameters
        ----------
        X : array_like or CSR matrix, shape (n, k)
        y : array_like, shape (n,), or (n, n_labels) of 0 and 1
        sample_weight : array_like, shape (n,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Scored after each epoch, and what early stopping goes by in place of a fraction.

        Raises
        ------
        ValueError
            Bad input or parameters, or the parameters became NaN or infinite.
        """
        return self._fit(X, y, sample_weight, validation_data)

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Go on for one epoch on these samples; return self.

        ``classes``, all there will be, is needed in the first call.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(text("class_weight", "no 'balanced' in partial_fit", "it", "a dict"))
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            known = unique_labels(classes)
            if not hasattr(self, "classes_"):
                multilabel = not np.isscalar(y) and np.ndim(y) == 2 and np.shape(y)[1] > 1
                self._know(_classes(np.asarray(y)) if multilabel else known, multilabel)
            elif not np.array_equal(self.classes_, known):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                    f"{self.classes_!r}"
                )
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the class of each row of X, (n,); of multi-label data 0 or 1, (n, n_labels)."""
        A = self._outputs(X)
        if self.out_activation_ == "softmax":
            return np.asarray(self.classes_[A.argmax(axis=1)])
        on = (A > 0.5).astype(np.intp)
        if A.shape[1] > 1:
            return on
        last = len(self.classes_) - 1  # 0 where there is but one class
        return np.asarray(self.classes_[np.minimum(on[:, 0], last)])

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (n, n_classes), or of each label."""
        A = self._outputs(X)
        return np.hstack([1 - A, A]) if A.shape[1] == 1 else A

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of ``predict_proba``."""
        A = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(A))

    # -- what the base asks ------------------------------------------------------------------

    def _look_at(self, y: Array, incremental: bool) -> None:
        found = _classes(y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._know(found, y.ndim == 2)
            return
        if self.warm_start and set(found) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )
        self._refuse_unknown(found)

    def _know(self, classes: Array, multilabel: bool) -> None:
        """Note which classes there are, and whether targets are their numbers, not rows."""
        self.classes_ = classes
        self._labels = len(classes) > 2 and not multilabel

    def _refuse_unknown(self, found: Array) -> None:
        if len(np.setdiff1d(found, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {found}."
            )

    def _targets(self, y: Any) -> Array:
        """Return numbers of classes (n,), or a row of 0 and 1 for each sample."""
        y = np.asarray(y)
        if y.ndim == 2:
            return y.astype(np.float64)
        places = np.searchsorted(self.classes_, y)
        if not (self.classes_.take(places, mode="clip") == y).all():
            self._refuse_unknown(np.unique(y))
        return places if self._labels else places.astype(np.float64).reshape(-1, 1)

    def _n_outputs(self, Y: Array) -> int:
        return len(self.classes_) if self._labels else Y.shape[1]

    def _out_activation(self) -> str:
        return "softmax" if self._labels else "logistic"

    def _cost_class(self) -> Any:
        softmax = self.out_activation_ == "softmax"
        return network2.LogLikelihoodCost if softmax else network2.CrossEntropyCost

    def _sample_weight(self, sample_weight: Any, y: Array) -> Any:
        weights = super()._sample_weight(sample_weight, y)
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, y)
        product, exponent = scaled(np.dtype(np.float64), by_class, weights)
        # The limit keeps them floats: beyond it alpha counts for nothing, or nothing else counts.
        return np.ldexp(np.asarray(product), np.clip(exponent, -1000, 1000))

    def _strata(self, Y: Array) -> Any:
        # As scikit-learn's code does: two classes only. Its error, where one has too few members,
        # names them True and False.
        return Y > 0.5 if self.n_outputs_ == 1 else None

    def _judge(self, Y: Array, A: Array, weights: Any) -> float:
        """Return the accuracy; a sample of several labels is right if all are."""
        if self.out_activation_ == "softmax":
            right = A.argmax(axis=1) == Y.argmax(axis=1)
        else:
            right = ((A > 0.5) == (Y > 0.5)).all(axis=1)
        return float(np.average(right, weights=weights))

    def _target_terms(self, Y: Array) -> Array | None:
        return None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _classes(y: Array) -> Array:
    """Return the classes in y, refused where these are none."""
    if y.ndim == 1 and y.dtype.kind in "biu":
        found = np.unique(y)
        if 2 * len(found) <= len(y):  # beyond doubt; scikit-learn looks for long
            return found
    check_classification_targets(y)
    if type_of_target(y) == "multiclass-multioutput":
        raise ValueError("Multioutput target data is not supported with label binarization")
    return np.asarray(unique_labels(y))


class MLPRegressor(RegressorMixin, Perceptron):
    """scikit-learn's multilayer perceptron regressor on fastbp's core.

    Parameters and attributes are those of ``sklearn.neural_network.MLPRegressor``, with the same
    defaults and meanings; ``activation``, ``dropout``, ``callbacks``, ``schedule``, ``dtype`` and
    ``validation_loss_curve_`` are more, as in ``MLPClassifier``. The squared error of a sample
    is summed over its outputs, and the gradient is that of this loss.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Perceptron._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }
    _labels = False
    _numeric = True

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | Sequence[float] = 0.0,
        callbacks: Any = None,
        schedule: Callable[..., Any] | None = None,
        dtype: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> MLPRegressor:
        """Fit to rows X and numbers y, (n,) or (n, n_outputs); return self.

        ``sample_weight``, ``validation_data`` and errors are as in ``MLPClassifier.fit``; the
        score is R^2.
        """
        return self._fit(X, y, sample_weight, validation_data)

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Go on for one epoch on these samples; return self."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return what is predicted for each row of X, (n,) or (n, n_outputs)."""
        A = self._outputs(X)
        return A[:, 0] if A.shape[1] == 1 else A

    # -- what the base asks ------------------------------------------------------------------

    def _look_at(self, y: Array, incremental: bool) -> None:
        if self.loss == "poisson" and (y < 0).any():
            i = int(np.argmax(np.atleast_2d(y.T).min(axis=0) < 0))
            raise ValueError(text(f"y[{i}]", "no negative number with loss='poisson'", y[i]))

    def _targets(self, y: Any) -> Array:
        y = np.asarray(y)
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _n_outputs(self, Y: Array) -> int:
        return Y.shape[1]

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _cost_class(self) -> Any:
        poisson = self.out_activation_ == "exp"
        return network2.PoissonCost if poisson else network2.QuadraticCost

    def _strata(self, Y: Array) -> Any:
        return None

    def _judge(self, Y: Array, A: Array, weights: Any) -> float:
        """Return R^2."""
        if not np.isfinite(A).all():
            return float("nan")
        return float(r2_score(Y, A, sample_weight=weights))

    def _target_terms(self, Y: Array) -> Array | None:
        """Return half the deviance, which is 0 where a = y, minus the core's cost."""
        if self.out_activation_ != "exp":
            return None
        return np.asarray((xlogy(Y, Y) - Y).sum(axis=1))
