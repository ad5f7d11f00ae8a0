"""``fastbp.load``: a network of either class from its file."""

from __future__ import annotations

import os
from os import PathLike
from typing import Any

from numpy.typing import DTypeLike

from fastbp import files, network, network2
from fastbp.errors import shown, text


def load(
    filename: str | PathLike[str], *, cost: Any = None, dtype: DTypeLike | None = None
) -> network.Network | network2.Network:
    """Return the network that ``save`` of its class wrote to ``filename``.

    Parameters
    ----------
    filename : path of a file
        A container if it ends in ``.safetensors``, else the book's JSON.
    cost, dtype
        As in ``network2.load``; chapter 1's class has the quadratic cost alone.

    Returns
    -------
    network.Network or network2.Network
        With the file's dtype, activations and cost; of JSON ``network2.Network``.

    Raises
    ------
    FormatError (a ValueError), OSError
        The file is not such a file, or damaged, or names a cost that is not known; it cannot
        be read.

    Warns
    -----
    UserWarning
        The command line standardised the columns, which the network alone does not.
    """
    where = os.fsdecode(filename)
    if files.is_container(filename):
        kind, facts, arrays = files.read(filename, "network", "network2")
        if kind == "network":
            if cost is not None:
                expected = f"None, as {where} is of chapter 1's class"
                raise ValueError(text("cost", expected, shown(cost)))
            return network.Network._of(where, arrays, dtype=dtype)
        net = network2.from_container(facts, arrays, where, cost=cost, dtype=dtype)
    else:
        facts = network2.read_json(filename)
        net = network2.from_json(facts, where, cost=cost, dtype=dtype)
    network2.warn_of_scaling(facts, where)
    return net
