"""The gate of the gradients: a network and data, looked at and ready for the core."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp import samples
from fastbp._dispatch import core
from fastbp.errors import shown, text
from fastbp.functions import COSTS, Activation
from fastbp.parameters import Layout

Array = NDArray[Any]
Arrays = list[Array]
Nablas = tuple[Arrays, Arrays]
State = tuple[Layout, Arrays, Arrays]

# Bytes that one entry of the core may write: some 50 ms, so that Ctrl-C is seen in between.
_WRITTEN = 2**29


class Net(Protocol):
    """What a gradient asks of a network."""

    biases: Any
    weights: Any
    cost: Any  # of network2's
    dtype: np.dtype[Any]

    def backprop(self, x: Any, y: Any) -> Nablas: ...
    def feedforward(self, a: Any) -> Any: ...
    def _sizes(self) -> tuple[int, ...]: ...
    def _checked(self) -> State: ...
    def _compiled_cost(self) -> str | None: ...
    def _layout(self) -> Layout: ...
    def _outputs(
        self, X: Array, *, weighted: bool = False, state: State | None = None
    ) -> Array: ...
    def _functions(self, layout: Layout) -> list[Activation]: ...
    def _own_functions(self) -> list[Activation] | None: ...
    def _own_cost(self) -> Any: ...


class Work:
    """A network and samples on the core, piece by piece.

    ``cost`` is its name, or None where the samples need no targets. The workspace has so many
    ``buffers``. There are so many uninitialised ``blocks`` beside that of the parameters. ``state``
    is that of the network, by default as it is when the data has been looked at.
    """

    weights: Array | None

    def __init__(
        self,
        net: Net,
        data: Any,
        cost: str | None,
        *,
        buffers: int = 2,
        blocks: int = 0,
        state: State | None = None,
    ) -> None:
        self.data, (layout, biases, net_weights) = looked_at(net, data, cost is not None, state)
        self.layout, self.n = layout, len(self.data)
        self._cost, self._Y = 0, None
        if cost is not None:
            self._cost = COSTS[cost]
            self._Y = samples.targets(self.data, layout.sizes[-1], layout.dtype)
        self.scale, self.weights = 1.0, None  # of all samples' costs; of each one's
        (self.block, *self.blocks), self._workspace = layout.work(
            1 + blocks, min(layout.block_rows, self.n), buffers=buffers
        )
        layout.pack(biases, net_weights, self.block)

    def pieces(self, written: int = 0) -> Iterator[tuple[Any, ...]]:
        """Yield the core's arguments for the samples, piece by piece, the first ones first.

        The core will write so many bytes a sample.
        """
        given = core.Samples(self.data.X, self._Y, self.weights)
        size = self.layout.rows_per_call
        if written:
            size = max(1, min(size, _WRITTEN // written))
        for start in range(0, self.n, size):
            yield (
                self.block, self.layout.layers, *self._workspace, given, start,
                min(start + size, self.n), self._cost, self.scale,
            )  # fmt: skip

    def empty(self, *shape: int) -> Array:
        """Return an uninitialised array of the network's dtype."""
        return np.empty(shape, self.layout.dtype)


def compiled_cost(net: Any) -> str | None:
    """Return the cost of a network that the core has; None if a user overrides a part of it."""
    if not hasattr(net, "_compiled_cost"):
        raise TypeError(text("net", "a Network", shown(net)))
    cost: str | None = net._compiled_cost()
    return cost


def looked_at(
    net: Net, data: Any, targets: bool = True, state: State | None = None
) -> tuple[samples.Dataset, State]:
    """Return data that is checked, and the network's state, which it fits.

    The state comes last: data may be objects that run code, of which the network is to be seen as
    it leaves it.
    """
    sizes = net._sizes()
    data = samples.dataset(data, sizes, "data", targets=targets)
    state = net._checked() if state is None else state
    if state[0].sizes != sizes:
        samples.check_shapes(data, state[0].sizes, "data", targets=targets)
    return data, state


def by_hand(net: Net, data: Any) -> tuple[int, Iterator[Nablas]]:
    """Return how many samples there are, and each one's gradient from ``net.backprop``."""
    data, (layout, _, _) = looked_at(net, data)
    pairs = samples.pairs(data, layout.sizes[-1])
    return len(data), (_fitting(net.backprop(x, y), layout) for x, y in pairs)


def _fitting(nablas: Any, layout: Layout) -> Nablas:
    """Return a gradient that a user's ``backprop`` gave; refuse one of other shapes."""
    for i, (part, shapes) in enumerate(zip(nablas, layout.shapes, strict=True)):
        got = [np.shape(nabla) for nabla in part]
        if got != shapes:
            raise ValueError(text(f"backprop(...)[{i}]", f"arrays of shapes {shapes}", got))
    return nablas  # type: ignore[no-any-return]


def divisor(reduction: Any, n: int, weights: Array | None) -> float:
    """Return what a sum over samples is divided by: their number or weight, or 1."""
    if reduction not in ("mean", "sum"):
        raise ValueError(text("reduction", "'mean' or 'sum'", shown(reduction)))
    if reduction == "sum":
        return 1.0
    if weights is None:
        return float(n)
    total = float(weights.sum(dtype=np.float64))
    if not total > 0:
        raise ValueError(text("sample_weight", "a positive sum, to divide by", total))
    return total
