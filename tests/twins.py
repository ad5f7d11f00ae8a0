"""A network of the reference and one of the core with the same parameters, and data for both."""

import numpy as np

from fastbp import network2
from fastbp.reference import network2 as reference2

COSTS = ("QuadraticCost", "CrossEntropyCost")
DTYPES = (np.float64, np.float32)


def twins(sizes, cost="CrossEntropyCost", dtype=np.float64, seed=0, scale=1.0):
    """Return (reference, fast) with equal parameters; float32 values where dtype says so."""
    reference = reference2.Network(sizes, getattr(reference2, cost), random_state=seed)
    fast = network2.Network(sizes, getattr(network2, cost), dtype=dtype, random_state=seed)
    fast.weights = [(scale * w).astype(dtype) for w in reference.weights]
    fast.biases = [(scale * b).astype(dtype) for b in reference.biases]
    same_parameters(reference, fast)
    return reference, fast


def same_parameters(target, source):
    """Give ``target``, a reference network, the parameters of ``source``."""
    target.weights = [w.astype(np.float64) for w in source.weights]
    target.biases = [b.astype(np.float64) for b in source.biases]


def pairs(sizes, n, seed=0, dtype=np.float64):
    """Return n random pairs; no input is constantly zero, as border pixels of digits are."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, sizes[0])).astype(dtype).astype(np.float64)
    Y = rng.uniform(0, 1, (n, sizes[-1])).astype(dtype).astype(np.float64)
    return [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]


def reference_gradient(reference, data):
    """Return the gradient summed over ``data``, one call of the reference a sample."""
    gradients = [reference.backprop(x, y) for x, y in data]
    return [
        [sum(layers) for layers in zip(*part, strict=True)] for part in zip(*gradients, strict=True)
    ]


def poison(workspace):
    """Fill all parts of a workspace with NaN; return it."""
    for part in workspace:
        part[:] = np.nan
    return workspace


def flat(*lists):
    """Return all arrays of the lists as one vector."""
    return np.concatenate([np.ravel(a) for arrays in lists for a in arrays])


def norm_error(found, right):
    """Return the norm of the error relative to the norm of what is right."""
    error, size = np.linalg.norm(found - right), np.linalg.norm(right)
    return error / size if size else error


def poisoned(shape, dtype):
    """Return an array in which anything not written stays NaN."""
    return np.full(shape, np.nan, dtype)
