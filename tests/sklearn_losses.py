"""scikit-learn's estimators with the losses that docs/estimators.md says are fastbp's.

What else differs then, and is no row of its table, is a fault.
"""

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network import _multilayer_perceptron as sklearns


def summed(y, a, weights=None):
    """Return the squared error, summed over the outputs as its gradient is."""
    return 0.5 * np.average(((y - a) ** 2).sum(axis=1), weights=weights)


def exact_loss_of_lbfgs(self, packed, X, y, weights, activations, *work):
    """Return loss and gradient, the log loss of weighted inputs: no probability is cut off."""
    _, gradient = plain_loss_of_lbfgs(self, packed, X, y, weights, activations, *work)
    z = activations[-2] @ self.coefs_[-1] + self.intercepts_[-1]
    if self.out_activation_ == "softmax":
        each = np.logaddexp.reduce(z, axis=1) - z[y]
    else:
        each = (np.logaddexp(0, z) - y * z).sum(axis=1)
    total = len(y) if weights is None else weights.sum()
    squares = sum((w**2).sum() for w in self.coefs_)
    return np.average(each, weights=weights) + self.alpha / 2 / total * squares, gradient


plain_loss_of_lbfgs = MLPClassifier._loss_grad_lbfgs


def documented(monkeypatch):
    """Give scikit-learn's estimators these losses."""
    monkeypatch.setitem(sklearns.LOSS_FUNCTIONS, "squared_error", summed)
    monkeypatch.setattr(MLPClassifier, "_loss_grad_lbfgs", exact_loss_of_lbfgs)
