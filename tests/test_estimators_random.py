"""The estimators and scikit-learn's at random settings: the same epochs, and every number alike.

``FASTBP_SETTINGS`` is how many settings are tried; each is a seed.
"""

import os
import warnings

import numpy as np
import pytest
from tolerances import RANDOM_SETTING

theirs = pytest.importorskip("sklearn.neural_network", reason="needs scikit-learn")

from sklearn_losses import documented  # noqa: E402  # after the look for scikit-learn

from fastbp import estimators  # noqa: E402

SETTINGS = int(os.environ.get("FASTBP_SETTINGS", "60"))
PROBLEMS = ("two classes", "several classes", "labels", "a number", "numbers", "counts")


def problem(kind, rng):
    """Return rows, and targets of this kind: a linear function of the rows, and noise."""
    n, k = rng.integers(20, 201), rng.integers(2, 9)
    X = rng.normal(size=(n, k))
    T = X @ rng.normal(size=(k, 4)) + 0.5 * rng.normal(size=(n, 4))
    outputs = rng.integers(3, 5)
    return X, {
        "two classes": T[:, 0] > 0,
        "several classes": T[:, :outputs].argmax(axis=1),
        "labels": (T[:, :outputs] > 0).astype(int),
        "a number": T[:, 0] / 2,
        "numbers": T[:, :outputs] / 2,
        "counts": rng.poisson(np.exp(T[:, : rng.integers(1, 3)] / 4)).squeeze(),
    }[kind]


def setting(seed):
    """Return options, rows, targets, and weights of samples or None.

    The ranges are such that no fit diverges and none amplifies rounding: steps are short, and
    Adam's second moment has a memory of 100 steps at least. From starts that differ in the last
    digit, scikit-learn itself then ends at parameters that agree to 1e-11 (6,000 settings).
    """
    rng = np.random.default_rng(seed)
    kind = PROBLEMS[seed % len(PROBLEMS)]
    X, y = problem(kind, rng)
    n = len(X)
    solver = rng.choice(["adam", "adam", "sgd", "sgd", "sgd", "lbfgs"])
    hidden = [int(width) for width in rng.integers(1, 16, rng.integers(0, 3))]
    alpha = float(10 ** rng.uniform(-5, 1)) if rng.random() < 0.8 else 0.0
    batch = int(rng.integers(1, n + 1)) if rng.random() < 0.8 else "auto"
    momentum = float(rng.uniform(0, 0.95)) if rng.random() < 0.7 else 0.0
    rate = float(10 ** rng.uniform(-3.5, -1.5))
    if solver == "sgd":  # momentum makes steps longer; alpha's alone must not overshoot 0
        size = n if batch == "auto" else batch
        rate = (1 - momentum) * min(2 * rate, 0.1 * size / max(alpha, 1e-9))
    early = bool(rng.random() < 0.4)
    weights = rng.uniform(0.1, 2, n) if rng.random() < 0.3 else None
    if weights is not None and batch == "auto" and not early:  # else some part might weigh nothing
        weights[rng.random(n) < 0.2] = 0
    options = {
        "hidden_layer_sizes": hidden,
        "activation": str(rng.choice(["identity", "logistic", "tanh", "relu"])),
        "solver": str(solver),
        "alpha": alpha,
        "batch_size": batch,
        "learning_rate": str(rng.choice(["constant", "invscaling", "adaptive"])),
        "learning_rate_init": rate,
        "power_t": float(rng.uniform(0.1, 0.9)),
        "max_iter": int(rng.integers(3, 13) if solver == "lbfgs" else rng.integers(5, 60)),
        "shuffle": bool(rng.random() < 0.7),
        "random_state": int(rng.integers(1000)),
        "tol": float(10 ** rng.uniform(-5, -1)),
        "momentum": momentum,
        "nesterovs_momentum": bool(rng.random() < 0.5),
        "early_stopping": early,
        "validation_fraction": float(rng.uniform(0.1, 0.4)),
        "beta_1": float(rng.uniform(0.5, 0.95)),
        "beta_2": float(1 - 10 ** rng.uniform(-4, -2)),
        "n_iter_no_change": int(rng.integers(1, 8)),
    }
    if kind == "counts":
        options["loss"] = "poisson"
    return options, X, y, weights


def fitted(of, options, X, y, weights):
    """Fit this module's estimator; return what the fit leaves, and the kinds of its warnings."""
    name = "MLPRegressor" if y.dtype.kind == "f" or "loss" in options else "MLPClassifier"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = getattr(of, name)(**options).fit(X, y, weights)
    names = ["n_iter_", "t_", "loss_", "coefs_", "intercepts_", "out_activation_"]
    if model.solver != "lbfgs":
        names += ["loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"]
    said = sorted(w.category.__name__ for w in caught)
    return {name: getattr(model, name) for name in names} | {"warnings": said}


@pytest.mark.parametrize("seed", range(SETTINGS))
def test_a_setting(seed, monkeypatch):
    """It ends in the same epoch with the same parameters, losses, scores and best ones."""
    documented(monkeypatch)
    ours, right = (fitted(of, *setting(seed)) for of in (estimators, theirs))
    for what, expected in right.items():
        found = ours[what]
        if isinstance(expected, list) and what != "warnings":
            assert len(found) == len(expected), what
            for a, b in zip(found, expected, strict=True):
                assert np.abs(a - b).max() <= RANDOM_SETTING * max(1, np.abs(b).max()), what
        elif isinstance(expected, float):
            assert found == pytest.approx(expected, rel=RANDOM_SETTING, abs=RANDOM_SETTING), what
        else:
            assert found == expected, what
