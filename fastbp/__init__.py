"""fastbp: backpropagation as Nielsen's book teaches it, on a compiled core.

``from fastbp import Network`` is the book's chapter 1 class; ``fastbp.network2``
is chapter 3's module, ``fastbp.reference`` both again in plain NumPy.
"""

import importlib
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING

from fastbp import network, network2, shuffling
from fastbp._dispatch import kernel_info
from fastbp.errors import DivergenceError
from fastbp.network import Network
from fastbp.samples import Dataset, one_hot

if TYPE_CHECKING:
    from fastbp import datasets, mnist_loader, reference

__all__ = [
    "Dataset",
    "DivergenceError",
    "Network",
    "datasets",
    "kernel_info",
    "mnist_loader",
    "network",
    "network2",
    "one_hot",
    "reference",
    "shuffling",
]

__version__ = version("fastbp")


def __getattr__(name: str) -> ModuleType:
    """Import the modules that not every program needs when they are first asked for."""
    if name in ("datasets", "mnist_loader", "reference"):
        return importlib.import_module(f"fastbp.{name}")
    raise AttributeError(f"module 'fastbp' has no attribute {name!r}")
