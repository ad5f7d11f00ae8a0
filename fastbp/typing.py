"""Types of what users hand to fastbp: samples, costs, names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

from numpy.typing import ArrayLike, NDArray

from fastbp.samples import Dataset

# Pairs (x, y) of columns, or of a column and a label; a list is shuffled in place by SGD.
Samples = Dataset | Iterable[Sequence[Any]]
# The same, or the arrays (X, Y) with a row for each sample.
Data = Dataset | Iterable[Sequence[Any]] | tuple[ArrayLike, ArrayLike]
# The same, or rows X where no targets are needed.
Inputs = Dataset | Iterable[Sequence[Any]] | tuple[ArrayLike, ArrayLike] | NDArray[Any]

HiddenActivation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "softplus", "linear"]
OutputActivation = Literal[HiddenActivation, "softmax", "exponential"]
OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lbfgs"
]  # fmt: skip
InitializerName = Literal["book", "large", "glorot", "he", "lecun"]


class Initializer(Protocol):
    """A user's initializer: ``(biases, weights)`` from the sizes and a generator."""

    def __call__(self, sizes: tuple[int, ...], generator: Any, /) -> Any: ...


class CostFunction(Protocol):
    """A cost of chapter 3: ``fn`` gives its value, ``delta`` the error of the output layer."""

    @staticmethod
    def fn(a: Any, y: Any, /) -> Any: ...
    @staticmethod
    def delta(z: Any, a: Any, y: Any, /) -> Any: ...
