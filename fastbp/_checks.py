"""What may count as a number, an integer, an array of reals; every gate asks here."""

from __future__ import annotations  # numpy.random is imported where it is needed alone

import math
import operator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp._dispatch import core
from fastbp.errors import shown, text

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

# Values looked at in one call of a kernel or of NumPy: some milliseconds, so that
# Ctrl-C is seen in between.
_PIECE = 1 << 23


def integer(value: Any, where: str, least: int) -> int:
    """Return ``value`` as an int of at least ``least``."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(text(where, "an integer", shown(value)))
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(text(where, "an integer", shown(value))) from None
    if number < least:
        raise ValueError(text(where, f"an integer of at least {least}", number))
    return number


def number(value: Any, where: str, *, above: float = -math.inf) -> float:
    """Return ``value`` as a finite float that is larger than ``above``."""
    if type(value) is float and above < value < math.inf:
        return value  # nearly always
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Real):
        raise TypeError(text(where, "a number", shown(value)))
    try:
        result = float(value)
    except OverflowError:  # an int beyond float64
        result = np.inf
    if not np.isfinite(result):
        raise ValueError(text(where, "a finite number", result))
    if result <= above:
        raise ValueError(text(where, f"a number above {above:g}", result))
    return result


def at_least_0(value: Any, where: str) -> float:
    """Return ``value`` as a finite float of at least 0."""
    result = number(value, where)
    if result < 0:
        raise ValueError(text(where, "0 or more", result))
    return result


def boolean(value: Any, where: str) -> bool:
    """Return ``value``, True or False, or 1 or 0, as a bool."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise TypeError(text(where, "True or False", shown(value)))


def random_state(value: Any) -> int | np.random.Generator:
    """Return ``value``, a seed or a generator, as it is."""
    if isinstance(value, np.random.Generator):
        return value
    try:
        return integer(value, "random_state", 0)
    except TypeError:
        expected, hint = "an integer or a numpy.random.Generator", "np.random.default_rng(0) is one"
        raise TypeError(text("random_state", expected, shown(value), hint)) from None


def seed(value: Any, where: str) -> int:
    """Return ``value`` as an integer that the core takes as a seed, of 64 bits."""
    number = integer(value, where, 0)
    if number >= 2**64:
        raise ValueError(text(where, "a seed below 2**64", number))
    return number


def network_dtype(value: Any) -> np.dtype[Any]:
    """Return a network's type, float32 or float64."""
    expected = "float32 or float64"
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError:
        raise TypeError(text("dtype", expected, shown(value))) from None
    if dtype not in (FLOAT32, FLOAT64):
        raise TypeError(text("dtype", expected, dtype))
    return dtype


def real_array(value: Any, where: str, words: str = "") -> NDArray[Any]:
    """Return ``value`` as an aligned array of native float32 or float64.

    Both keep their precision; every other real type becomes float64. No copy is
    made of what already is such an array. ``words`` is the hint where there are some.
    """
    if isinstance(value, np.ndarray):
        core.refuse_stale(where, value)
    if type(value) is np.ndarray and value.dtype in (FLOAT32, FLOAT64) and value.flags.aligned:
        return value  # nearly always; the rest takes several microseconds
    value = unmasked(value, where)
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(
            text(where, "an array of real numbers", type(value).__name__, str(error))
        ) from error
    if array.dtype.kind not in "biuf":
        hint = words if any(isinstance(item, str) for item in array.flat) else ""
        raise TypeError(text(where, "real numbers", f"dtype {array.dtype}", hint))
    dtype = array.dtype.newbyteorder("=")
    if dtype not in (FLOAT32, FLOAT64):
        dtype = FLOAT64
        with np.errstate(over="ignore"):  # a long double beyond float64 counts as infinite
            array = array.astype(dtype)
    return np.require(array, dtype, "A")


def unmasked(value: Any, where: str) -> Any:
    """Return ``value``, of a masked array the data; refuse one with a value masked."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    if np.ma.is_masked(value):
        raise TypeError(
            text(where, "real numbers", "a masked array", "fill or drop the masked values")
        )
    return value.data


def cast(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return ``array`` C-contiguous and of the network's ``dtype``.

    Float64 values beyond the range of float32 are cut as the core cuts them: they
    saturate a neuron instead of becoming infinite.
    """
    if array.dtype == FLOAT64 and dtype == FLOAT32:
        array = np.clip(array, -core.INPUT_BOUND, core.INPUT_BOUND)
    return np.ascontiguousarray(array, dtype)


def all_finite(array: NDArray[Any]) -> bool:
    """Return whether the C-contiguous ``array`` of reals holds no NaN and no infinity."""
    flat = array.reshape(-1)
    return all(
        core.all_finite(flat[start : start + _PIECE]) for start in range(0, flat.size, _PIECE)
    )


def first_not_finite(array: NDArray[Any]) -> tuple[int, ...]:
    """Return the index of the first value of ``array`` that is NaN or infinite."""
    return tuple(int(i) for i in np.unravel_index(np.argmin(np.isfinite(array)), array.shape))
