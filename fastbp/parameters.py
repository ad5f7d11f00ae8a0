"""The parameter block: where each weight and bias lies, pack and unpack.

The core trains on one aligned buffer in which layer l is a matrix of
``fan_in + 1`` rows (the last is the bias) and ``fan_out`` columns, padded with
zeros to whole vectors. This module and the layout table that it hands to the
core are the only places that know an offset; the block is never public.
"""

from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks
from fastbp._dispatch import core
from fastbp.errors import shown, text
from fastbp.functions import ACTIVATIONS

# A row of the layout table, as src_cython/parameters.pxi has it.
_LAYER = np.dtype([(name, np.intp) for name in core.LAYER_FIELDS])
_MOST_PARAMETERS = 2**48  # 2 PiB of float64: no machine has them, and no offset overflows

# Multiply-adds of one pass over a block of samples: all three passes take some 60 ms, so that
# Ctrl-C is seen in time. That many rows are few enough for the samples to fit the second cache.
_BLOCK_WORK = 2**23 * core.VECTOR


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return ``sizes`` as a tuple of ints, two layers or more, each of one neuron or more."""
    if isinstance(sizes, str | bytes | Mapping | Set) or not _has_length(sizes):
        raise TypeError(text("sizes", "a list of integers", shown(sizes)))
    if all(type(size) is int for size in sizes):  # nearly always, and asked at each call
        return _known(tuple(sizes))
    return _known(tuple(_checks.integer(n, f"sizes[{i}]", 1) for i, n in enumerate(sizes)))


def _check_ints(sizes: tuple[int, ...]) -> tuple[int, ...]:
    checked = tuple(_checks.integer(n, f"sizes[{i}]", 1) for i, n in enumerate(sizes))
    if len(checked) < 2:
        raise ValueError(text("sizes", "at least 2 layers, inputs and outputs", list(sizes)))
    total = sum(n * (m + 1) for m, n in pairwise(checked))
    if total > _MOST_PARAMETERS:
        raise MemoryError(text("sizes", "at most 2**48 parameters", total))
    return checked


_known = lru_cache(maxsize=64)(_check_ints)


class Workspace(NamedTuple):
    """What a pass of the core over blocks of samples works in (src_cython/parameters.pxi)."""

    buffers: NDArray[Any]  # (buffers, rows, row_width)
    transposed: NDArray[Any]  # (threads, .)


class Layout:
    """Where the parameters of a network of these sizes lie in a block of this dtype.

    ``activations`` are those of all layers but the input.
    """

    def __init__(
        self, sizes: tuple[int, ...], dtype: np.dtype[Any], activations: tuple[str, ...]
    ) -> None:
        dtype = _checks.network_dtype(dtype)  # a program may set the attribute to np.float64
        self.sizes = sizes
        self.activations = activations
        self.dtype = dtype
        self.itemsize = dtype.itemsize
        # Of the biases, then of the weights, in the book's form.
        self.shapes = [(n, 1) for n in sizes[1:]], list(zip(sizes[1:], sizes[:-1], strict=True))
        vector = core.ALIGNMENT // dtype.itemsize
        table = np.zeros(len(sizes), _LAYER)
        offset = activation_offset = 0
        for layer, size in enumerate(sizes):
            width = -(-size // vector) * vector
            fan_in = sizes[layer - 1] if layer else 0
            row = table[layer]
            row["fan_in"], row["fan_out"], row["width"] = fan_in, size, width
            row["offset"], row["activation_offset"] = offset, activation_offset
            row["activation"] = ACTIVATIONS[activations[layer - 1]] if layer else 0
            offset += (fan_in + 1) * width if layer else 0
            activation_offset += width
        self.length = offset
        self.table = table
        self.layers = core.Layers(table)
        rows: int = max(1, _BLOCK_WORK // offset)
        self.block_rows: int = min(core.BLOCK_ROWS, rows if rows < 8 else -(-rows // 8) * 8)
        self.rows_per_call = max(self.block_rows, 2 * _BLOCK_WORK // offset)

    def rows(self, n: int) -> int:
        """Return how many of n samples to take at once: even blocks, of at most block_rows."""
        blocks = -(-n // self.block_rows)
        return -(-n // blocks)

    def refuse_other(self, fixed: "Layout") -> None:
        """Refuse to go on with a network that had another layout when the call began."""
        if self is fixed:  # nearly always: a layout is made once
            return
        for name in ("sizes", "activations", "dtype"):
            before, now = getattr(fixed, name), getattr(self, name)
            if now != before:
                hint = "code that runs within a call may set weights and biases, not their shapes"
                raise ValueError(text(f"net: {name}", f"{before}, as at first", now, hint))

    def weighted(self) -> "Layout":
        """Return the layout of the same network with its outputs' weighted inputs as outputs."""
        return layout(self.sizes, self.dtype, (*self.activations[:-1], "linear"))

    def empty(self) -> NDArray[Any]:
        """Return an uninitialised block."""
        block: NDArray[Any] = core.aligned(self.length, self.dtype)
        return block

    def state(self, blocks: int) -> NDArray[Any]:
        """Return so many blocks of zeros, one behind the other."""
        state: NDArray[Any] = core.aligned(blocks * self.length, self.dtype)
        state[:] = 0
        return state

    def fresh(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return uninitialised ``(biases, weights)``, in the book's shapes."""
        biases, weights = ([np.empty(shape, self.dtype) for shape in part] for part in self.shapes)
        return biases, weights

    def workspace(self, rows: int, n_threads: int = 1, buffers: int = 2) -> Workspace:
        """Return the core's workspace for ``rows`` samples, shared by threads, uninitialised.

        It has so many ``buffers`` of one row a sample, for activations, errors, and others.
        """
        return self.work(0, rows, n_threads, buffers)[1]

    def work(
        self, blocks: int, rows: int, n_threads: int = 1, buffers: int = 2
    ) -> tuple[list[NDArray[Any]], Workspace]:
        """Return so many uninitialised blocks, and :meth:`workspace`.

        All is one allocation: glibc keeps what is freed up to twice its largest, so that the next
        call finds the memory warm. Apart, blocks of 784-100-10 faulted anew at each gradient,
        which took three times as long.
        """
        start = blocks * self.length
        end = start + buffers * rows * self.layers.row_width
        each = self.layers.n_transposed(rows, self.itemsize)
        whole = core.aligned(end + n_threads * each, self.dtype)
        workspace = Workspace(
            whole[start:end].reshape(buffers, rows, self.layers.row_width),
            whole[end:].reshape(n_threads, each),
        )
        return list(whole[:start].reshape(blocks, self.length)), workspace

    def rows_for(self, n: int, buffers: int) -> NDArray[Any]:
        """Return buffers of n rows for samples one at a time, uninitialised, of any alignment."""
        return np.empty((buffers, n, self.layers.row_width), self.dtype)

    def pack(
        self,
        biases: list[NDArray[Any]],
        weights: list[NDArray[Any]],
        block: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return ``block``, or a new one, that holds copies of these arrays."""
        if block is None:
            block = self.empty()
        if not core.pack(self.layers, biases, weights, block):
            raise RuntimeError("weights or biases were changed in the midst of a call")
        return block

    def unpack(self, block: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return fresh ``(biases, weights)`` from a block, in the book's shapes."""
        biases, weights = self.fresh()
        core.unpack(self.layers, block, biases, weights)
        return biases, weights

    def check(
        self,
        biases: Any,
        weights: Any,
        *,
        finite: bool = False,
        where: tuple[str, str] = ("biases", "weights"),
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return the public arrays fit for the core; copies only of those that are not."""
        if core.are_parameters(self.layers, self.itemsize, biases, weights, finite):
            return list(biases), list(weights)  # nearly always
        checked_w = self._check_list(weights, where[1], self.shapes[1], finite)
        checked_b = self._check_list(biases, where[0], self.shapes[0], finite)
        return checked_b, checked_w

    def flatten(self, biases: list[NDArray[Any]], weights: list[NDArray[Any]]) -> NDArray[Any]:
        """Return all parameters as one vector: of all biases first, each array in C order."""
        return np.concatenate([array.ravel() for array in (*biases, *weights)])

    def columns(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """Return views of vectors of parameters (n, P): the columns of each array."""
        sizes = [n * m for part in self.shapes for n, m in part]
        return np.split(rows, np.cumsum(sizes)[:-1], axis=-1)

    def split(self, vector: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return views of one vector, in the shapes of biases and weights."""
        columns = iter(self.columns(vector))
        biases, weights = ([next(columns).reshape(s) for s in part] for part in self.shapes)
        return biases, weights

    @property
    def n_parameters(self) -> int:
        """How many there are, without padding."""
        return sum(n * m for part in self.shapes for n, m in part)

    def _check_list(
        self, arrays: Any, name: str, shapes: list[tuple[int, int]], finite: bool
    ) -> list[NDArray[Any]]:
        if not _has_length(arrays):
            raise TypeError(text(name, "a list of arrays, one a layer", type(arrays).__name__))
        if len(arrays) != len(shapes):
            raise ValueError(text(name, f"{len(shapes)} arrays", len(arrays)))
        checked = []
        for i, (value, shape) in enumerate(zip(arrays, shapes, strict=True)):
            array = _checks.real_array(value, f"{name}[{i}]")
            if array.shape != shape:
                raise ValueError(
                    text(f"{name}[{i}]", f"shape {shape} (sizes {list(self.sizes)})", array.shape)
                )
            if array.dtype != self.dtype:
                with np.errstate(over="ignore"):  # beyond float32 is infinite
                    array = array.astype(self.dtype)
            array = np.ascontiguousarray(array)
            if finite and not _checks.all_finite(array):
                j, k = _checks.first_not_finite(array)
                raise ValueError(text(f"{name}[{i}][{j}, {k}]", "a finite number", array[j, k]))
            checked.append(array)
        return checked


def _has_length(value: Any) -> bool:
    return hasattr(value, "__len__") and not (isinstance(value, np.ndarray) and value.ndim == 0)


def layout(
    sizes: tuple[int, ...], dtype: np.dtype[Any], activations: tuple[str, ...] | None = None
) -> Layout:
    """Return the layout for these sizes, dtype and activations (sigmoids), made once."""
    if activations is not None and len(activations) != len(sizes) - 1:
        expected = f"{len(activations) + 1} layers, of which the activations are known"
        raise ValueError(text("sizes", expected, len(sizes)))
    return _made(sizes, dtype, activations or ("sigmoid",) * (len(sizes) - 1))


_made = lru_cache(maxsize=64)(Layout)
