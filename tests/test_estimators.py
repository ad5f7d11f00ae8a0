"""scikit-learn's estimators on the core, against scikit-learn's own and by their own promises."""

import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from tolerances import FLAT_MINIMUM, GRADIENT, RUNNING_COST, STEPS
from twins import DTYPES

import fastbp
from fastbp import gradients

theirs = pytest.importorskip("sklearn.neural_network", reason="needs scikit-learn")

from scipy.sparse import csr_matrix  # noqa: E402  # after the look for scikit-learn
from sklearn import base, datasets, metrics, model_selection  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.utils import class_weight, estimator_checks  # noqa: E402
from sklearn_losses import documented  # noqa: E402

from fastbp import estimators  # noqa: E402
from fastbp.estimators import MLPClassifier, MLPRegressor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
both = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


def digits(n=450):
    """Return pixels, from 0 to 1, and classes; a mini-batch of 200 leaves a ragged one."""
    data = fastbp.datasets.load_digits()[:n]
    return data.X.astype(np.float64), data.Y


def numbers(n=450, targets=3):
    """Return a regression problem, of targets about 1."""
    X, y = datasets.make_regression(n, 10, n_targets=targets, noise=1.0, random_state=0)
    return X, y / 100


def labels(n=450):
    """Return a multi-label problem."""
    X, y = datasets.make_multilabel_classification(n, n_classes=4, random_state=0)
    return X / 10, y


X, Y = digits()
PROBLEMS = {
    "several classes": (X, Y),
    "two classes": (X, Y > 4),
    "words": (X, np.array(["even", "odd"])[Y % 2]),
    "labels": labels(),
    "a number": numbers(targets=1),
    "numbers": numbers(),
}


def kind_of(problem):
    """Return which estimator a problem is for."""
    return "MLPRegressor" if "number" in problem else "MLPClassifier"


with_events = pytest.mark.parametrize("problem", [*PROBLEMS, "numbers of events"])


def problem_of(problem):
    """Return rows, targets, the estimator's name and its options, also of counts of events."""
    if problem != "numbers of events":
        return *PROBLEMS[problem], kind_of(problem), {}
    X, y = PROBLEMS["numbers"]
    return X, np.round(np.abs(y)), "MLPRegressor", {"loss": "poisson"}


def parameters(estimator):
    """Return all its parameters as one vector."""
    return np.concatenate([a.ravel() for a in (*estimator.coefs_, *estimator.intercepts_)])


def assert_alike(ours, other, dtype=np.float64, steps=100):
    """Both have the same parameters, to rounding, and say the same of what led to them."""
    right = parameters(other)
    error = np.abs(parameters(ours) - right).max() / max(1, np.abs(right).max())
    assert error <= STEPS[dtype][steps]
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(other, name), name
    assert [c.shape for c in ours.coefs_] == [c.shape for c in other.coefs_]
    assert ours.coefs_[0].dtype == other.coefs_[0].dtype == dtype


# -- the same as scikit-learn's --------------------------------------------------------------

SETTINGS = {
    "adam": {},
    "adam's numbers": {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "learning_rate_init": 0.01},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.1},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.7},
    "plain sgd, strong alpha": {"solver": "sgd", "momentum": 0, "alpha": 5.0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "two layers of sigmoids": {"activation": "logistic", "hidden_layer_sizes": (20, 10)},
    "tanh, small batches": {"activation": "tanh", "batch_size": 32, "hidden_layer_sizes": 7},
    "linear, not shuffled": {"activation": "identity", "shuffle": False},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "no hidden layer, of sigmoids": {"hidden_layer_sizes": (), "activation": "logistic"},
}


TARGETS = {
    "one class": np.full(60, 7),
    "negative, with gaps": np.tile([-5, 0, 300], 20),
    "small integers": np.tile(np.array([3, 200, 9], np.uint8), 20),
    "booleans": np.tile([True, False], 30),
    "whole floats": np.tile([1.0, 2.0, 4.0], 20).astype(np.float32),
    "words of a wide type": np.tile(np.array(["no", "yes", "so"], "<U20"), 20),
    "words as objects": np.tile(np.array(["no", "yes", "so"], object), 20),
    "a column": np.tile([0, 1, 2], 20).reshape(-1, 1),
    "two labels of integers": np.tile([[0, 1], [1, 1]], (30, 1)),
    "labels as floats": np.tile([[0.0, 1, 1], [1, 0, 1]], (30, 1)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_targets_of_every_kind_as_scikit_learn(y):
    """Classes, predictions and the types of both are scikit-learn's."""
    X = np.random.default_rng(0).standard_normal((60, 3))
    ours, other = (
        of.MLPClassifier(max_iter=3, random_state=0).fit(X, y) for of in (estimators, theirs)
    )
    assert_alike(ours, other)
    for found, right in ((ours.classes_, other.classes_), (ours.predict(X), other.predict(X))):
        assert found.dtype == right.dtype
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize(("y", "said"), [
    (np.linspace(0, 1, 60), "Unknown label type: continuous"),
    (np.arange(60) % 3 + 0.5, "Unknown label type: continuous"),
    (np.tile([[0, 1], [1, 2]], (30, 1)), "Multioutput target data is not supported"),
    (np.array([object()] * 60), "Unknown label type: unknown"),
    (np.array(["a", 1] * 30, object), "'<' not supported between"),
])  # fmt: skip
def test_what_are_no_classes(y, said):
    """It is refused as scikit-learn's own check of targets does."""
    with pytest.raises((ValueError, TypeError), match=said):
        MLPClassifier().fit(np.ones((60, 3)), y)


@pytest.mark.parametrize(("n_classes", "warned"), [(30, 0), (31, 1)])
def test_more_classes_than_half_the_samples_warn(n_classes, warned):
    """Integers of which more than half differ may be a regression: that is said, once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        MLPClassifier(max_iter=1).fit(np.ones((60, 3)), np.arange(60) % n_classes)
    assert sum("unique classes is greater than 50%" in str(w.message) for w in caught) == warned


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_same_weights_as_scikit_learns(setting, problem):
    """From one seed both end with the same parameters and predictions."""
    (X, y), name = PROBLEMS[problem], kind_of(problem)
    options = {"max_iter": 12, "random_state": 3, **SETTINGS[setting]}
    ours, other = (getattr(of, name)(**options).fit(X, y) for of in (estimators, theirs))
    assert_alike(ours, other)
    if name == "MLPClassifier":
        assert (ours.predict(X) == other.predict(X)).all()
        assert ours.predict(X).dtype == other.predict(X).dtype
        np.testing.assert_allclose(ours.predict_proba(X), other.predict_proba(X), rtol=1e-10)
        np.testing.assert_allclose(ours.predict_log_proba(X), other.predict_log_proba(X), atol=1e-9)
        assert (ours.classes_ == other.classes_).all()
    else:
        np.testing.assert_allclose(ours.predict(X), other.predict(X), atol=1e-11)
    assert ours.score(X, y) == pytest.approx(other.score(X, y), rel=1e-12)


@with_events
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-4, 3.0])
def test_the_same_losses(alpha, weighted, problem, monkeypatch):
    """Each epoch's loss is that of scikit-learn's mini-batches, each before its step."""
    documented(monkeypatch)
    X, y, name, options = problem_of(problem)
    options |= {"max_iter": 9, "random_state": 0, "alpha": alpha}
    weights = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    ours, other = (getattr(of, name)(**options).fit(X, y, weights) for of in (estimators, theirs))
    np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=RUNNING_COST[np.float64])
    assert ours.loss_ == ours.loss_curve_[-1]
    assert ours.best_loss_ == min(ours.loss_curve_)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_strong_alpha_ends_the_fit_in_the_same_epoch(solver):
    """The loss that is held against the best one has the penalty that scikit-learn's has."""
    for alpha in (0.1, 1.0, 10.0, 40.0):
        ours, other = (
            of.MLPClassifier(
                (), solver=solver, alpha=alpha, tol=1e-3, n_iter_no_change=2, batch_size=60,
                learning_rate_init=0.02, max_iter=90, random_state=2,
            ).fit(X, Y)
            for of in (estimators, theirs)
        )  # fmt: skip
        assert ours.n_iter_ < 90
        assert_alike(ours, other)


@pytest.mark.parametrize("rate", [0.000125, 0.003125, 0.001])
def test_an_adaptive_rate_ends_where_scikit_learns_does(rate):
    """It is divided until it is at most 1e-6: that it is by rounding alone is the same for both."""
    ours, other = (
        of.MLPClassifier(
            (), solver="sgd", learning_rate="adaptive", learning_rate_init=rate, tol=10.0,
            n_iter_no_change=1, random_state=0,
        ).fit(X, Y)
        for of in (estimators, theirs)
    )  # fmt: skip
    assert_alike(ours, other)


@with_events
def test_lbfgs_that_has_no_step_to_take(problem, monkeypatch):
    """Where the start is flat enough, its loss is there; nothing is said of mini-batches."""
    documented(monkeypatch)
    X, y, name, options = problem_of(problem)
    options |= {"solver": "lbfgs", "tol": 1e9, "alpha": 0.5, "batch_size": 1000}
    ours, other = (
        getattr(of, name)(**options, random_state=0).fit(X, y, np.linspace(0, 2, len(y)))
        for of in (estimators, theirs)
    )
    assert ours.n_iter_ == other.n_iter_ == 0
    assert ours.loss_ == pytest.approx(other.loss_, rel=RUNNING_COST[np.float64])


@pytest.mark.parametrize("problem", ["several classes", "two classes", "a number"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_same_with_weights_of_samples(solver, problem):
    """Each mini-batch is divided by its weight, and so is its share of alpha."""
    (X, y), name = PROBLEMS[problem], kind_of(problem)
    weights = np.random.default_rng(0).uniform(0, 2, len(y))
    ours, other = (
        getattr(of, name)(max_iter=8, random_state=0, solver=solver, alpha=0.1).fit(X, y, weights)
        for of in (estimators, theirs)
    )
    if solver == "lbfgs":
        np.testing.assert_allclose(parameters(ours), parameters(other), atol=1e-9)
    else:
        assert_alike(ours, other)


@both_dtypes
@pytest.mark.parametrize("exponent", [-1060, -140, 5, 1018])
@pytest.mark.parametrize("early", [False, True], ids=["late", "early"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("problem", ["several classes", "two classes", "numbers of events"])
def test_no_unit_of_weights_changes_a_bit(problem, solver, early, exponent, dtype):
    """Weights and alpha times a power of two: parameters, losses and scores are the same."""
    X, y, name, options = problem_of(problem)
    X, y = X[:90].astype(dtype), y[:90]
    weights, ends = np.random.default_rng(0).integers(0, 17, len(y)) / 8, []
    options |= {"max_iter": 4, "random_state": 0, "solver": solver, "early_stopping": early}
    for unit in (1.0, 2.0**exponent):
        model = getattr(estimators, name)(alpha=unit / 32, **options).fit(X, y, weights * unit)
        watched = model.fit(
            X[:60], y[:60], weights[:60] * unit,
            validation_data=(X[60:], y[60:], weights[60:] * unit),
        ).validation_scores_  # fmt: skip
        ends.append([parameters(model).tobytes(), model.loss_curve_, watched])
        assert np.isfinite(model.loss_curve_ + watched).all()
    assert ends[0] == ends[1]


@pytest.mark.parametrize("weights", [1e308, np.full(len(Y), 1e-320), np.full(len(Y), 1e300)])
def test_weights_at_the_ends_of_floats(weights):
    """Of samples and classes, and what both make: without alpha they are plain ones, or factors."""
    options = {"max_iter": 3, "random_state": 0, "alpha": 0.0, "early_stopping": True}
    ends = [
        parameters(MLPClassifier(class_weight=factors, **options).fit(X, Y, of_samples))
        for factors, of_samples in (
            (None, None), (None, weights), (dict.fromkeys(range(10), 1e300), weights),
            (dict.fromkeys(range(10), 1e-300), weights),
        )
    ]  # fmt: skip
    for end in ends[1:]:
        assert np.abs(end - ends[0]).max() <= STEPS[np.float64][100]


@both_dtypes
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_same_in_both_types(problem, dtype):
    """Float32 stays float32, inside and out."""
    (X, y), name = PROBLEMS[problem], kind_of(problem)
    X = X.astype(dtype)
    ours, other = (
        getattr(of, name)(max_iter=5, random_state=0, solver="sgd").fit(X, y)
        for of in (estimators, theirs)
    )
    assert_alike(ours, other, dtype)
    out = ours.predict(X) if name == "MLPRegressor" else ours.predict_proba(X)
    assert out.dtype == dtype


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_same_early_stop(solver, problem):
    """The samples set aside, the epoch of the end, the best parameters: all are the same."""
    (X, y), name = PROBLEMS[problem], kind_of(problem)
    ours, other = (
        getattr(of, name)(
            max_iter=60, random_state=0, solver=solver, early_stopping=True, tol=0.01,
            n_iter_no_change=3, learning_rate_init=0.01,
        ).fit(X, y, np.linspace(0.5, 1.5, len(y)))
        for of in (estimators, theirs)
    )  # fmt: skip
    assert ours.n_iter_ < 60
    assert_alike(ours, other)
    np.testing.assert_allclose(ours.validation_scores_, other.validation_scores_, rtol=1e-9)
    assert ours.best_validation_score_ == pytest.approx(other.best_validation_score_)
    assert ours.best_loss_ is other.best_loss_ is None


def test_an_early_stop_beside_a_rare_class():
    """Of several classes one may have a single sample, as scikit-learn's split is at random."""
    y = np.where(np.arange(len(Y)) == 7, 10, Y)
    ours, other = (
        of.MLPClassifier(early_stopping=True, max_iter=5, random_state=0).fit(X, y)
        for of in (estimators, theirs)
    )
    assert_alike(ours, other)


@pytest.mark.parametrize("rate", ["constant", "adaptive"])
def test_the_same_end_and_words(rate, capsys):
    """Without progress a run ends, or its rate falls, at the same epoch, and both say so."""
    said = []
    for of in (estimators, theirs):
        of.MLPClassifier(
            solver="sgd", learning_rate_init=0.1, tol=0.02, n_iter_no_change=2, verbose=True,
            random_state=1, learning_rate=rate,
        ).fit(X, Y)  # fmt: skip
        said.append([line[:40] for line in capsys.readouterr().out.splitlines()])
    assert len(said[0]) > 10
    assert [line.split(",")[0] for line in said[0]] == [line.split(",")[0] for line in said[1]]


@pytest.mark.parametrize("problem", ["several classes", "two classes", "labels", "numbers"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_same_in_parts(solver, problem):
    """``partial_fit`` goes on with the optimizer's memory, also after a pickle."""
    (X, y), name = PROBLEMS[problem], kind_of(problem)
    ours, other = (getattr(of, name)(random_state=0, solver=solver) for of in (estimators, theirs))
    classes = range(y.shape[1]) if problem == "labels" else np.unique(y)
    more = {} if name == "MLPRegressor" else {"classes": classes}
    for part in range(4):
        rows = slice(100 * part, 100 * part + 100)
        ours.partial_fit(X[rows], y[rows], **more)
        other.partial_fit(X[rows], y[rows], **more)
        ours = pickle.loads(pickle.dumps(ours))
    assert_alike(ours, other)
    assert ours.n_iter_ == 1
    assert len(ours.loss_curve_) == 4


@both
def test_the_same_from_a_warm_start(kind):
    """A warm start keeps the parameters and begins the optimizer anew."""
    ours, other = (
        getattr(of, kind.__name__)(max_iter=4, warm_start=True, random_state=0)
        for of in (estimators, theirs)
    )
    for _ in range(3):
        ours.fit(X, Y)
        other.fit(X, Y)
    assert_alike(ours, other)
    assert len(ours.loss_curve_) == 12


@both
def test_the_same_stream(kind):
    """A RandomState is drawn from as scikit-learn does; it stands where theirs leaves it."""
    streams = np.random.RandomState(7), np.random.RandomState(7)
    for of, stream in zip((estimators, theirs), streams, strict=True):
        getattr(of, kind.__name__)(
            max_iter=3, random_state=stream, early_stopping=kind is MLPRegressor
        ).fit(X, Y)
    assert streams[0].uniform() == streams[1].uniform()


def test_the_same_parameters():
    """Whatever scikit-learn's take, ours take in the same place, with the same default."""
    for kind in (MLPClassifier, MLPRegressor):
        ours = list(inspect.signature(kind).parameters.values())
        wanted = inspect.signature(getattr(theirs, kind.__name__)).parameters.values()
        for mine, their in zip(ours, wanted, strict=False):
            assert (mine.name, mine.kind) == (their.name, their.kind)
            assert mine.default == their.default


@both
def test_every_check_of_scikit_learn(kind):
    """``check_estimator`` passes, and skips no more than it does for scikit-learn's own."""
    results = estimator_checks.check_estimator(kind(), on_skip=None, on_fail=None)
    failed = [r for r in results if r["status"] not in ("passed", "skipped")]
    assert not failed, failed
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= {
        "check_array_api_input",
        "check_classifiers_multilabel_output_format_decision_function",
    }
    assert len(results) >= 60


# -- as the documentation says, where scikit-learn's own does otherwise ------------------------


def test_lbfgs_minimises_the_loss_of_several_outputs():
    """A network without a hidden layer is ridge regression, of which the solution is known."""
    X, y = numbers(100)
    alpha = 3.0
    ours = MLPRegressor(
        hidden_layer_sizes=(), solver="lbfgs", alpha=alpha, tol=1e-10, max_iter=2000, random_state=0
    ).fit(X, y)
    Xc, yc = X - X.mean(axis=0), y - y.mean(axis=0)
    right = np.linalg.solve(Xc.T @ Xc + alpha * np.eye(X.shape[1]), Xc.T @ yc)
    np.testing.assert_allclose(ours.coefs_[0], right, atol=FLAT_MINIMUM)
    loss = 0.5 * ((ours.predict(X) - y) ** 2).sum(axis=1).mean()
    loss += alpha / 2 / len(X) * (ours.coefs_[0] ** 2).sum()
    assert ours.loss_ == pytest.approx(loss)


# -- what is more ------------------------------------------------------------------------------


@both
def test_an_activation_for_each_layer(kind):
    """The outputs are those of the named functions; a name or number too many is refused."""
    model = kind(
        hidden_layer_sizes=(6, 5), activation=["tanh", "leaky_relu"], max_iter=2, random_state=0
    ).fit(X, Y)
    a = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    z = a @ model.coefs_[1] + model.intercepts_[1]
    z = np.where(z > 0, z, 0.01 * z) @ model.coefs_[2] + model.intercepts_[2]
    if kind is MLPRegressor:
        np.testing.assert_allclose(model.predict(X), z[:, 0], rtol=GRADIENT[np.float64])
    else:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_proba(X), p, rtol=GRADIENT[np.float64])
    for names in (["tanh"], ["tanh", "softmax"]):
        with pytest.raises(ValueError, match=r"activation.*expected one"):
            kind(hidden_layer_sizes=(6, 5), activation=names).fit(X, Y)


@pytest.mark.parametrize("weights", ["balanced", {0: 0.2, 3: 5.0}])
def test_class_weights_are_weights_of_samples(weights):
    """A factor on a class is that factor on each of its samples, beside their own."""
    own = np.linspace(0.5, 1.5, len(Y))
    by_sample = class_weight.compute_sample_weight(weights, Y)
    first = MLPClassifier(max_iter=3, random_state=0, class_weight=weights).fit(X, Y, own)
    second = MLPClassifier(max_iter=3, random_state=0).fit(X, Y, own * by_sample)
    assert (parameters(first) == parameters(second)).all()
    plain = MLPClassifier(max_iter=3, random_state=0).fit(X, Y, own)
    assert not (parameters(first) == parameters(plain)).all()


@both
def test_validation_data_of_ones_own(kind):
    """Scores and costs are those of the model after each epoch, and early stopping goes by them."""
    test = X[300:], Y[300:]
    kept = []
    model = kind(
        max_iter=9,
        random_state=0,
        callbacks=[lambda net, history: kept.append(gradients.flatten(net))],
    ).fit(X[:300], Y[:300], validation_data=test)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == 9
    assert model.validation_scores_[-1] == pytest.approx(model.score(*test))
    if kind is MLPClassifier:
        loss = metrics.log_loss(test[1], model.predict_proba(test[0]))
    else:
        loss = 0.5 * metrics.mean_squared_error(test[1], model.predict(test[0]))
    assert model.validation_loss_curve_[-1] == pytest.approx(loss)
    model = kind(max_iter=300, random_state=0, early_stopping=True, n_iter_no_change=2, tol=0.01)
    model.fit(X[:300], Y[:300], validation_data=(*test, np.ones(150)))
    assert model.n_iter_ < 300
    assert model.t_ == 300 * model.n_iter_, "a fraction was set aside as well"
    assert model.score(*test) == pytest.approx(max(model.validation_scores_))
    for bad in (X, (X,), (X[:, :5], Y)):
        with pytest.raises(ValueError, match=r"validation_data: expected|features"):
            kind(max_iter=1).fit(X, Y, validation_data=bad)


@both
def test_the_best_parameters_are_those_that_were_scored(kind):
    """Not what a callback makes of them afterwards."""
    scored = []

    def spoil(net, history):
        scored.append(net.weights[0].copy())
        net.weights[0] = np.zeros_like(net.weights[0])
        net.biases[0] *= 0.0

    model = kind(early_stopping=True, max_iter=5, random_state=0, callbacks=[spoil]).fit(X, Y)
    assert (model.coefs_[0] == scored[int(np.argmax(model.validation_scores_))].T).all()


def test_a_validation_class_that_is_not_known():
    """Validation data with a class of its own is an error, not another class."""
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier(max_iter=1).fit(X, Y % 5, validation_data=(X, Y))


@both
def test_dropout(kind):
    """It is a matter of the seed, changes the fit, and leaves prediction alone."""
    ends = [
        kind(max_iter=3, random_state=seed, dropout=dropout).fit(X, Y)
        for seed, dropout in ((0, 0.5), (0, 0.5), (0, [0.5]), (0, 0.0))
    ]
    same, also, plain = ((parameters(ends[0]) == parameters(e)).all() for e in ends[1:])
    assert (same, also, plain) == (True, True, False)
    assert (ends[0].predict(X) == ends[0].predict(X)).all()


@both
def test_callbacks_and_schedule(kind):
    """A callback sees each epoch's network and may end the fit; a schedule rules the rate."""
    seen, asked = [], []

    def watch(net, history):
        seen.append(gradients.flatten(net))
        return len(seen) == 4

    def schedule(epoch, history):
        asked.append(epoch)
        return 0.0 if epoch < 2 else 1.0

    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = kind(callbacks=[watch], schedule=schedule, random_state=0).fit(X, Y)
    assert (model.n_iter_, asked) == (4, [0, 1, 2, 3])
    assert (seen[0] == seen[1]).all()
    assert not (seen[1] == seen[2]).all()
    assert np.sort(parameters(model)).tolist() == np.sort(seen[-1]).tolist()
    with pytest.raises(ValueError, match="schedule: expected"):
        kind(solver="sgd", learning_rate="adaptive", schedule=schedule).fit(X, Y)


@both
def test_a_dtype_of_ones_own(kind):
    """Float32 on request, whatever the data; another type is refused."""
    model = kind(max_iter=2, dtype=np.float32).fit(X, Y)
    assert model.coefs_[0].dtype == model.intercepts_[1].dtype == np.float32
    with pytest.raises(ValueError, match="dtype: expected None, float32 or float64"):
        kind(dtype=np.float16).fit(X, Y)


# -- forms of data -------------------------------------------------------------------------------


@both
def test_sparse_is_dense(kind, monkeypatch):
    """CSR and CSC give the bits of the array, in blocks too, in fit and in predict."""
    monkeypatch.setattr("fastbp.estimators.perceptron._ROWS", 64)
    dense = kind(max_iter=2, random_state=0).fit(X, Y)
    for sparse in (csr_matrix(X), csr_matrix(X).tocsc()):
        model = kind(max_iter=2, random_state=0).fit(sparse, Y)
        assert (parameters(model) == parameters(dense)).all()
        assert (model.predict(sparse) == dense.predict(X)).all()


@both
def test_forms_of_an_array(kind):
    """Lists, integers, columns in Fortran's order, strides: the same as the plain array."""
    X = np.round(16 * globals()["X"])
    plain = kind(max_iter=2, random_state=0).fit(X, Y)
    for form in (X.tolist(), X.astype(int), np.asfortranarray(X), np.repeat(X, 2, 0)[::2]):
        assert (
            parameters(kind(max_iter=2, random_state=0).fit(form, Y)) == parameters(plain)
        ).all()
        assert (plain.predict(form) == plain.predict(X)).all()
    for i in range(3):
        np.testing.assert_allclose(plain.predict(X[i : i + 1]), plain.predict(X)[i : i + 1])


@both
def test_frames(kind):
    """A pandas frame's names are kept and looked for."""
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    model = kind(max_iter=2, random_state=0, early_stopping=True).fit(frame, pandas.Series(Y))
    assert model.feature_names_in_[3] == "pixel 3"
    rows = model.predict(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert (model.predict(X) == rows).all()
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[frame.columns[::-1]])


@both
def test_bad_rows_are_refused(kind):
    """On the short way too: NaN, too few columns, no rows, one dimension."""
    model = kind(max_iter=1, random_state=0).fit(X, Y)
    bad = X.copy()
    bad[3, 5] = np.nan
    for rows, word in ((bad, "NaN"), (bad[3:4], "NaN"), (X[:, :9], "features"), (X[0], "1D")):
        with pytest.raises(ValueError, match=word):
            model.predict(rows)
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(X[:0])


# -- an object among others ------------------------------------------------------------------------


@both
def test_what_is_edited_counts(kind):
    """``coefs_`` and ``intercepts_`` are the parameters: edited in place, or replaced."""
    model = kind(max_iter=2, random_state=0).fit(X, Y)
    for end in (model.coefs_, model.intercepts_):
        for i in range(2):
            end[i] = np.zeros_like(end[i])
    model.intercepts_[1][0] = 3.0
    if kind is MLPRegressor:
        assert (model.predict(X) == 3.0).all()
    else:
        assert (model.predict(X[:1]) == model.classes_[0]).all()
        assert (model.predict(X) == model.classes_[0]).all()


@both
def test_a_pickle_is_plain_arrays(kind):
    """It holds no network, and what comes out predicts and goes on alike."""
    model = kind(max_iter=2, random_state=0).fit(X, Y)
    kept = pickle.dumps(model)
    assert b"network2" not in kept
    again = pickle.loads(kept)
    assert (again.predict(X) == model.predict(X)).all()
    assert (parameters(again.partial_fit(X, Y)) == parameters(model.partial_fit(X, Y))).all()
    fresh = base.clone(model)
    assert not hasattr(fresh, "coefs_")
    assert fresh.get_params() == model.get_params()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_grid_search_in_two_jobs(backend):
    """Threads and processes find what one job does."""
    import joblib

    search = model_selection.GridSearchCV(
        MLPClassifier(max_iter=5, random_state=0), {"alpha": [1e-4, 10.0]}, cv=3
    )
    alone = search.fit(X, Y).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend, n_jobs=2):
        together = base.clone(search).fit(X, Y).cv_results_["mean_test_score"]
    assert (alone == together).all()


@both
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("batch_size", [7, 25, 450])
@pytest.mark.parametrize("numbers", [
    {"solver": "sgd", "learning_rate_init": 1e300}, {"solver": "adam", "learning_rate_init": 1e305},
])  # fmt: skip
def test_a_fit_that_diverges(kind, numbers, batch_size, early_stopping):
    """It is scikit-learn's error; with early stopping, scikit-learn's parameters and a warning."""
    options = {"random_state": 0, "batch_size": batch_size, "max_iter": 20, **numbers}

    def fitted(cls):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cls(early_stopping=early_stopping, **options).fit(X, Y)

    error = "^Solver produced non-finite parameter weights"
    if not early_stopping:
        for cls in (kind, getattr(theirs, kind.__name__)):
            with pytest.raises(ValueError, match=error):
                fitted(cls)
    elif kind is MLPRegressor:  # scikit-learn's classifier ends in an error here, too
        ends = [parameters(fitted(cls)) for cls in (kind, theirs.MLPRegressor)]
        np.testing.assert_allclose(*ends, rtol=1e-9)
    if kind is MLPRegressor and batch_size < len(X):
        with pytest.raises(ValueError, match=error):
            kind(**options).partial_fit(X, Y)


@both
def test_an_interrupt_leaves_a_model(kind):
    """Ctrl-C ends the fit with a warning; the last epoch's parameters are there."""
    kept = []

    def interrupt(net, history):
        kept.append(gradients.flatten(net))
        if len(kept) == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = kind(callbacks=[interrupt], random_state=0).fit(X, Y)
    assert model.n_iter_ == 3
    assert np.sort(parameters(model)).tolist() == np.sort(kept[-1]).tolist()
    assert len(model.predict(X)) == len(X)


@both
@pytest.mark.parametrize("bad", [
    {"alpha": -1}, {"solver": "newton"}, {"activation": "relu6"}, {"batch_size": 0},
    {"tol": "small"}, {"dropout": 1.0}, {"dropout": [0.1, 0.1]}, {"callbacks": 3},
    {"schedule": "cosine"}, {"hidden_layer_sizes": (3, 0)}, {"hidden_layer_sizes": (3, 2.5)},
])  # fmt: skip
def test_bad_parameters(kind, bad):
    """Each is a ValueError that names the parameter, and nothing is fitted."""
    model = kind(**bad)
    with pytest.raises(ValueError, match=next(iter(bad))):
        model.fit(X, Y)
    assert not hasattr(model, "coefs_") or "dropout" in bad


def test_bad_targets_and_weights():
    """A negative count, weights that are all 0, no classes at first."""
    with pytest.raises(ValueError, match=r"y\[2\]: expected no negative number"):
        MLPRegressor(loss="poisson").fit(X[:4], [1.0, 2.0, -1.0, 0.0])
    for kind in (MLPClassifier, MLPRegressor):
        with pytest.raises(ValueError, match="non-zero"):
            kind().fit(X, Y, np.zeros(len(Y)))
        with pytest.raises(ValueError, match="sample_weight"):
            kind().fit(X, Y, np.ones(3))
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=range(10))
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier().partial_fit(X, Y, classes=[0, 1])


BAD_WEIGHTS = {
    "zeros": (np.zeros(150), r"validation_data\[2\]: expected a weight above 0"),
    "negative": (
        np.where(np.arange(150) == 7, -1.0, 1.0),
        r"\[2\]\[7\]: expected a number of at le",
    ),
    "nan": (np.where(np.arange(150) == 7, np.nan, 1.0), r"\[2\]\[7\]: .* got nan"),
    "too few": (np.ones(149), r"validation_data\[2\]: expected shape \(150,\)"),
    "one number": (1.0, r"validation_data\[2\]: expected shape \(150,\)"),
}


@both
@pytest.mark.parametrize(("weights", "said"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
def test_bad_weights_of_validation_data(kind, early, weights, said):
    """They are refused by name before the model that was fitted is given up."""
    model = kind(max_iter=2, random_state=0, early_stopping=early).fit(X[:300], Y[:300])
    before = [a.tobytes() for a in (*model.coefs_, *model.intercepts_)]
    with pytest.raises(ValueError, match=said):
        model.fit(X[:300], Y[:300], validation_data=(X[300:], Y[300:], weights))
    assert [a.tobytes() for a in (*model.coefs_, *model.intercepts_)] == before


@both
def test_weights_without_any_on_one_side_of_the_split(kind):
    """Samples held out, or left, of no weight are an error that says which; the model stays."""
    options = {"max_iter": 2, "random_state": 0, "early_stopping": True}
    model = kind(**options).fit(X[:300], Y[:300])
    before = [a.tobytes() for a in model.coefs_]
    messages = set()
    for i in range(0, 300, 5):  # alone it lies on one side; which one is the split's affair
        with pytest.raises(ValueError, match="sample_weight: expected a weight above 0") as caught:
            model.fit(X[:300], Y[:300], np.arange(300) == i)
        messages.add(str(caught.value))
    assert len(messages) == 2
    assert all("validation_data" in message for message in messages)
    assert [a.tobytes() for a in model.coefs_] == before
    for bad in (np.ones(299), np.where(np.arange(300) == 7, -1.0, 1.0)):
        with pytest.raises(ValueError, match=r"sample_weight(\[7\])?: expected"):
            model.fit(X[:300], Y[:300], bad)
        assert [a.tobytes() for a in model.coefs_] == before


def test_without_scikit_learn():
    """The package does without it; the estimators say what they need."""
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastbp\n"
        "try: import fastbp.estimators\n"
        "except ImportError as error: assert 'pip install fastbp[sklearn]' in str(error), error\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
