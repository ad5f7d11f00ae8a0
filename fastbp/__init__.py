"""fastbp: backpropagation as Nielsen's book teaches it, on a compiled core.

``from fastbp import Network`` is the book's chapter 1 class; ``fastbp.network2``
is chapter 3's module, ``fastbp.reference`` both again in plain NumPy.
"""

from importlib.metadata import version

from fastbp import network, network2
from fastbp._dispatch import kernel_info
from fastbp.errors import DivergenceError
from fastbp.network import Network
from fastbp.samples import Dataset, one_hot

__all__ = [
    "Dataset",
    "DivergenceError",
    "Network",
    "kernel_info",
    "network",
    "network2",
    "one_hot",
]

__version__ = version("fastbp")
