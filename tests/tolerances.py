"""The one table of tolerances; each was computed or measured, none chosen to pass.

The bound on activations is derived in `activation_bounds`; the others hold for every
summation order, with the margins that were measured over many random nets.
"""

import numpy as np

UNIT = {np.float64: 2.0**-53, np.float32: 2.0**-24}  # unit roundoff u

GRADIENT = {np.float64: 1e-12, np.float32: 3e-4}  # norm-wise, relative
GRADIENT_MOST = {np.float64: 1e-14, np.float32: 1e-5}  # 99 % of the nets
WORST_LAYER = {np.float64: 2e-12, np.float32: 1e-3}  # max-norm, relative
# Weights after so many steps, relative to max(1, |w|): worst over the steps given.
STEPS = {
    np.float64: {1: 1e-15, 10: 1e-14, 100: 1e-13},
    np.float32: {1: 5e-7, 10: 2e-6, 100: 5e-5},
}
# Error of how far float32 weights have moved, in errors of NumPy's matrix form in float32.
TINY_STEPS = 2
RUNNING_COST = {np.float64: 1e-12, np.float32: 1e-5}  # of an epoch's mini-batches, relative
RANDOM_SETTING = 1e-9  # parameters and losses beside scikit-learn's, after up to 60 epochs
FLAT_MINIMUM = 1e-4  # L-BFGS ends where the loss falls by less than 2e-9 of itself
COMPLEX_STEP = 1e-13  # relative, on every parameter
COMPLEX_STEP_DIRECTIONS = 1e-12  # relative, along random directions of a large net
CENTRAL_DIFFERENCE = 1e-7  # relative, h = 6e-6
PUBLISHED_COST = 1e-12  # a cost of the author's files, relative
LOCKED_WEIGHTS = 1e-12  # weights after whole epochs at a stable eta

# Error of the core's sigmoid in units in the last place, beside that of its argument.
SIGMOID_ULPS = {np.float64: 4, np.float32: 8}


def activation_bounds(weights, biases, x, dtype):
    """Return, for each layer, the reference's activations and the bound on the core's error.

    For any order of summation |fl(x.y) - x.y| <= gamma_n |x|.|y|, with
    gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability, chapter 3); the error of
    a layer's inputs passes through the weights and through the sigmoid's slope.
    """
    u, ulps = UNIT[dtype], SIGMOID_ULPS[dtype]
    a = np.asarray(x, np.float64)
    error = np.zeros_like(a)
    layers = []
    for w, b in zip(weights, biases, strict=True):
        n = w.shape[1] + 1
        gamma = n * u / (1 - n * u)
        size = np.abs(w)
        dz = gamma * (size @ (np.abs(a) + error) + np.abs(b)) + size @ error
        with np.errstate(over="ignore"):
            a = 1 / (1 + np.exp(-(w @ a + b)))
        error = np.minimum(0.25, a * (1 - a) + 0.1 * dz) * dz + ulps * u * a
        layers.append((a, error))
    return layers
