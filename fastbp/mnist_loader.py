"""The book's ``mnist_loader`` module: MNIST split into training, validation and test data."""

from __future__ import annotations

import gzip
import os
import pickle
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fastbp import datasets

# The book's module has no __all__: exercises use what `import *` brings along.
__all__ = ["gzip", "load_data", "load_data_wrapper", "np", "pickle", "vectorized_result"]

_Images: TypeAlias = npt.NDArray[np.float32]
_Part: TypeAlias = tuple[_Images, npt.NDArray[np.int64]]
_Pairs: TypeAlias = list[tuple[_Images, npt.NDArray[np.float64]]]
_Labelled: TypeAlias = list[tuple[_Images, np.int64]]


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[_Part, _Part, _Part]:
    """Load MNIST as arrays, in the book's split.

    Parameters
    ----------
    path : folder or pickle, optional
        Where the files are, or a pickle such as the book's ``expand_mnist.py`` writes; the places
        searched by default and the errors are those of `fastbp.datasets.load_mnist`.

    Returns
    -------
    training, validation, test : tuple of (images, labels)
        The first 50,000 and the last 10,000 training images, and the 10,000
        test images: float32 (n, 784), byte value / 256. Labels int64 (n,). Of a pickle
        as many training images as it holds.
    """
    images, labels, (n, n_validation, _) = datasets.mnist_arrays(path)
    training, validation, test = slice(n), slice(n, n + n_validation), slice(n + n_validation, None)
    return (
        (images[training], labels[training]),
        (images[validation], labels[validation]),
        (images[test], labels[test]),
    )


def load_data_wrapper(
    path: str | os.PathLike[str] | None = None,
) -> tuple[_Pairs, _Labelled, _Labelled]:
    """Load MNIST as lists of pairs, as the book's networks take them.

    Parameters
    ----------
    path : folder or pickle, optional
        As in `load_data`.

    Returns
    -------
    training : list of (x, y)
        50,000 pairs: x float32 (784, 1), y one-hot float64 (10, 1).
    validation, test : list of (x, label)
        10,000 pairs each; the label is an ``np.int64``.

    Notes
    -----
    Columns are views of two large arrays. The book's Python 2 program returns
    lists too; ports that return ``zip`` can be read only once.
    """
    (x, labels), validation, test = load_data(path)
    targets = np.zeros((len(labels), 10, 1))
    targets[np.arange(len(labels)), labels] = 1.0
    return list(zip(_columns(x), targets, strict=True)), _labelled(*validation), _labelled(*test)


def _labelled(x: _Images, labels: npt.NDArray[np.int64]) -> _Labelled:
    return list(zip(_columns(x), labels, strict=True))


def _columns(x: _Images) -> _Images:
    return x[:, :, np.newaxis]


def vectorized_result(j: int) -> npt.NDArray[np.float64]:
    """Return the unit vector (10, 1) with 1.0 in row ``j``: the target for digit ``j``."""
    e = np.zeros((10, 1))
    e[j] = 1.0
    return e
