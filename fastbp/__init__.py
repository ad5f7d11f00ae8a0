"""fastbp: backpropagation as Nielsen's book teaches it, on a compiled core.

``from fastbp import Network`` is the book's chapter 1 class; ``fastbp.network2``
is chapter 3's module, ``fastbp.reference`` both again in plain NumPy;
``fastbp.gradients``, whose functions are here too, takes either.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastbp import network, network2, shuffling
from fastbp._dispatch import kernel_info
from fastbp.errors import DivergenceError, FormatError
from fastbp.loading import load  # here already: to load a model opens the one file
from fastbp.network import Network
from fastbp.samples import Dataset, one_hot

if TYPE_CHECKING:  # what not every program needs is imported when it is first asked for
    from fastbp import datasets, gradients, mnist_loader, optimizers, reference, schedules
    from fastbp.gradients import (
        GradientCheck,
        NumericalGradient,
        activations,
        check_gradient,
        clipped_gradient,
        deltas,
        flatten,
        gradient,
        gradient_gram,
        gradient_second_moment,
        hessian_vector_product,
        input_gradient,
        jacobian,
        numerical_gradient,
        per_sample_costs,
        per_sample_gradient_norms,
        per_sample_gradients,
        unflatten,
    )
    from fastbp.training.checkpoint import Checkpoint
    from fastbp.training.early_stopping import EarlyStopping
    from fastbp.training.history import History
    from fastbp.training.train import train

    __version__: str

__all__ = [
    "Checkpoint",
    "Dataset",
    "DivergenceError",
    "EarlyStopping",
    "FormatError",
    "GradientCheck",
    "History",
    "Network",
    "NumericalGradient",
    "activations",
    "check_gradient",
    "clipped_gradient",
    "datasets",
    "deltas",
    "flatten",
    "gradient",
    "gradient_gram",
    "gradient_second_moment",
    "gradients",
    "hessian_vector_product",
    "input_gradient",
    "jacobian",
    "kernel_info",
    "load",
    "mnist_loader",
    "network",
    "network2",
    "numerical_gradient",
    "one_hot",
    "optimizers",
    "per_sample_costs",
    "per_sample_gradient_norms",
    "per_sample_gradients",
    "reference",
    "schedules",
    "shuffling",
    "train",
    "unflatten",
]

# Modules that have moved are found under their old paths too, after all others.
__path__.append(f"{__path__[0]}/_old_paths")

_MODULES = {
    "datasets",
    "gradients",
    "mnist_loader",
    "optimizers",
    "reference",
    "schedules",
}
_HOMES = {
    "Checkpoint": "training.checkpoint",
    "EarlyStopping": "training.early_stopping",
    "History": "training.history",
    "train": "training.train",
}  # of all others it is gradients


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastbp.{name}")
    if name == "__version__":
        # Its import takes longer than that of all of fastbp.
        return importlib.import_module("importlib.metadata").version("fastbp")
    if name not in __all__:
        raise AttributeError(f"module 'fastbp' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastbp.{_HOMES.get(name, 'gradients')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
