"""The gate for data: pairs or arrays in, checked contiguous X and Y out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import _checks
from fastbp._dispatch import core
from fastbp.errors import shown, text

Pair = tuple[NDArray[Any], Any]

_WORDS = "np.unique(y, return_inverse=True)[1] numbers words"


class Dataset:
    """Samples as two arrays, one row a sample; accepted wherever pairs ``(x, y)`` are.

    Parameters
    ----------
    X : array_like, shape (n, k)
        Real and finite. Float32 and float64 keep their dtype and are not copied when
        C-contiguous; other real types become float64.
    Y : array_like, shape (n, m) or (n,)
        Targets, or integer labels from 0. Labels serve ``evaluate`` and ``accuracy``;
        in training each stands for its one-hot row.
    check_finite : bool
        False skips the search for NaN and infinity.

    Notes
    -----
    Raises ValueError or TypeError, with the place of the first bad value. Checked here,
    once. ``data[i]`` is the book's pair of columns (or column and
    label); a slice is a Dataset on the same memory, an index array a Dataset with
    copies. ``SGD`` never reorders a Dataset. X and Y must not change during a call.
    """

    __slots__ = ("_X", "_Y")

    def __init__(self, X: ArrayLike, Y: ArrayLike, *, check_finite: bool = True) -> None:
        _checks.boolean(check_finite, "check_finite")
        x = _checks.real_array(X, "X")
        if x.ndim != 2 or x.shape[1] == 0:
            raise ValueError(
                text("X", "shape (n, k), one row a sample", x.shape, _row_hint(x.ndim))
            )
        y = _checks.real_array(Y, "Y", _WORDS)
        if y.ndim == 1:
            y = _integers(y)
        elif y.ndim != 2 or y.shape[1] == 0:
            raise ValueError(text("Y", "targets (n, m) or labels (n,)", f"shape {y.shape}"))
        if len(x) != len(y):
            raise ValueError(text("Y", f"{len(x)} rows, as X has", len(y)))
        # Views: a shape that is assigned to the caller's array changes nothing here.
        self._X, self._Y = np.ascontiguousarray(x).view(), np.ascontiguousarray(y).view()
        if check_finite:
            _refuse_not_finite(self.X, lambda i, k: f"X[{i}, {k}]")
            _refuse_not_finite(self.Y, lambda i, k: f"Y[{i}, {k}]")

    @classmethod
    def _of(cls, X: NDArray[Any], Y: NDArray[Any]) -> Dataset:
        """Return a Dataset of arrays that need no check."""
        self = object.__new__(cls)
        self._X, self._Y = np.ascontiguousarray(X).view(), np.ascontiguousarray(Y).view()
        return self

    def _view(self) -> Dataset:
        """Return a Dataset on the same memory, whose arrays nobody else has."""
        view = object.__new__(Dataset)
        view._X, view._Y = self.X.view(), self.Y.view()
        return view

    @property
    def X(self) -> NDArray[Any]:
        """The inputs, (n, k)."""
        core.refuse_stale("X", self._X)
        return self._X

    @property
    def Y(self) -> NDArray[Any]:
        """The targets, (n, m), or the labels, (n,)."""
        core.refuse_stale("Y", self._Y)
        return self._Y

    @property
    def has_labels(self) -> bool:
        """Whether Y holds labels (n,), not targets (n, m)."""
        return self._Y.ndim == 1

    def __len__(self) -> int:
        return len(self._X)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Dataset: ...
    def __getitem__(self, index: Any) -> Pair | Dataset:
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            y = self.Y[index]
            return self.X[index].reshape(-1, 1), y if self.has_labels else y.reshape(-1, 1)
        if not isinstance(index, slice):
            rows = np.asarray(index)
            if isinstance(index, tuple) or rows.ndim != 1 or rows.dtype.kind not in "biu":
                raise TypeError(
                    text("index", "an integer, a slice or a list of rows", shown(index))
                )
            index = rows
        return Dataset._of(self.X[index], self.Y[index])

    def __iter__(self) -> Iterator[Pair]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        kind = "labels" if self.has_labels else f"targets {self.Y.shape[1]}"
        return f"<Dataset: {len(self)} samples, {self.X.shape[1]} inputs {self.X.dtype}, {kind}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset._of, (self.X, self.Y)


def one_hot(labels: ArrayLike, n_classes: int | None = None) -> NDArray[np.float64]:
    """Return a row for each label: 1.0 at the label, zeros elsewhere.

    Parameters
    ----------
    labels : array_like, shape (n,)
        Integers from 0.
    n_classes : int, optional
        Length of a row; one more than the largest label by default.

    Returns
    -------
    ndarray, shape (n, n_classes), float64

    Raises
    ------
    ValueError
        A label is not an integer in range.
    """
    array = _checks.real_array(labels, "labels", _WORDS)
    if array.ndim != 1:
        raise ValueError(text("labels", "shape (n,)", array.shape))
    classes = _integers(array, "labels")
    if n_classes is None:
        n_classes = int(classes.max(initial=-1)) + 1
    n_classes = _checks.integer(n_classes, "n_classes", 1 if len(classes) else 0)
    _refuse_range(classes, n_classes, lambda i: f"labels[{i}]", "class")
    rows = np.zeros((len(classes), n_classes))
    rows[np.arange(len(classes)), classes] = 1.0
    return rows


def materialise(data: Any, where: str) -> Any:
    """Return ``data`` if it is a Dataset or a list, else the list of what it yields."""
    if isinstance(data, Dataset | list):
        return data
    try:
        iterator: Iterable[Any] = iter(data)
    except TypeError:
        raise TypeError(text(where, "pairs (x, y) or a Dataset", type(data).__name__)) from None
    pairs = list(iterator)
    if not pairs and iterator is data:
        raise ValueError(
            text(where, "samples", "an exhausted iterator", "zip(...) yields once: make it a list")
        )
    return pairs


def gate(
    data: Any,
    sizes: tuple[int, ...],
    where: str,
    *,
    y: Literal["columns", "labels"],
    check_finite: bool = True,
) -> Dataset:
    """Return ``data``, pairs or Dataset, as a Dataset that fits a network of these sizes.

    ``y="labels"`` wants labels; ``"columns"`` wants columns in pairs, and takes targets
    or labels of a Dataset. Nothing is changed; the first bad sample is named.
    """
    n_in, n_out = sizes[0], sizes[-1]
    data = materialise(data, where)
    if len(data) == 0:
        raise ValueError(text(where, "at least one sample", "none"))
    if isinstance(data, Dataset):
        rows = data._view()
        check_shapes(rows, sizes, where, targets=y == "columns")
        if y == "labels" and not rows.has_labels:
            hint = "Dataset(X, labels) holds the classes themselves"
            expected = _label_range(n_out) + " for each sample"
            raise ValueError(text(f"{where}.Y", expected, rows.Y.shape, hint))
        return rows
    xs, ys = _unzip(data, where)
    X = _columns(xs, n_in, "input", lambda i: f"{where}[{i}][0]", check_finite)
    if y == "labels":
        return Dataset._of(X, labels(ys, n_out, where))
    return Dataset._of(X, _columns(ys, n_out, "output", lambda i: f"{where}[{i}][1]", check_finite))


def for_training(
    data: Any, sizes: tuple[int, ...], dtype: np.dtype[Any], *, check_finite: bool
) -> tuple[Dataset, NDArray[Any]]:
    """Return training data, pairs or Dataset, checked, and its targets in the network's dtype."""
    checked = gate(data, sizes, "training_data", y="columns", check_finite=check_finite)
    return checked, targets(checked, sizes[-1], dtype)


def dataset(data: Any, sizes: tuple[int, ...], where: str, *, targets: bool = True) -> Dataset:
    """Return ``data``, pairs, Dataset or (X, Y), checked; without ``targets``, X will do."""
    if not targets and isinstance(data, np.ndarray):
        data = Dataset(data, np.zeros(len(data) if data.ndim else 0))
    if isinstance(data, tuple) and len(data) == 2 and _are_arrays(*data):
        data = Dataset(*data)
    data = materialise(data, where)
    kind: Literal["columns", "labels"] = "columns"
    if sizes[-1] > 1 and not isinstance(data, Dataset) and len(data) and _is_label(data[0]):
        kind = "labels"  # of one output it would be a target
    return gate(data, sizes, where, y=kind)


def _are_arrays(X: Any, Y: Any) -> bool:
    try:
        return not isinstance(X, tuple) and np.ndim(X) >= 2 and np.ndim(Y) in (1, 2)
    except ValueError:  # lists of arrays of several shapes: two pairs, or the gate says what
        return False


def _is_label(pair: Any) -> bool:
    try:
        _x, y = pair
        return np.ndim(y) == 0
    except (TypeError, ValueError):  # the gate says what is wrong
        return False


def sample_weights(value: Any, n: int, where: str = "sample_weight") -> NDArray[np.float64] | None:
    """Return ``sample_weight`` as a new array (n,), None if there is none."""
    if value is None:
        return None
    array = np.array(_checks.real_array(value, where), np.float64, order="C")
    if array.shape != (n,):
        raise ValueError(text(where, f"shape ({n},), one a sample", array.shape))
    if not _checks.all_finite(array) or (array < 0).any():
        i = int(np.argmin(np.isfinite(array) & (array >= 0)))
        raise ValueError(text(f"{where}[{i}]", "a number of at least 0", array[i]))
    return array


def scaled(dtype: np.dtype[Any], *factors: NDArray[Any] | None) -> tuple[NDArray[Any] | None, int]:
    """Return the product of these weights divided by a power of two, and its exponent.

    The largest is then between 1 and 2, so that neither the weights nor their sum leave the range
    of ``dtype``. The division changes no digit; a weight so small that ``dtype`` cannot hold it
    beside the largest counts as 0. Factors that are None are left out; (None, 0) if all are.
    """
    product: NDArray[Any] | None = None
    exponent = 0
    for factor in factors:
        if factor is not None:
            once, k = _normalised(factor, dtype)
            product, l = (once, 0) if product is None else _normalised(product * once, dtype)
            exponent += k + l
    return product, exponent


def _normalised(weights: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    exponent = int(np.frexp(weights.max())[1]) - 1
    with np.errstate(under="ignore"):
        return np.ldexp(weights, -exponent).astype(dtype, copy=False), exponent


def refuse_zeros(
    weights: NDArray[Any] | None, where: str, of: str = "for some sample", hint: str = ""
) -> None:
    """Refuse to train or judge by samples of no weight at all."""
    if weights is not None and not weights.any():
        raise ValueError(text(where, f"a weight above 0 {of}", "0 for all", hint))


def check_shapes(
    data: Dataset, sizes: tuple[int, ...], where: str, *, targets: bool = False
) -> None:
    """Refuse a Dataset whose inputs, labels or ``targets`` do not fit a network of these sizes."""
    X, Y = data.X, data.Y
    if X.ndim != 2 or Y.ndim not in (1, 2) or len(X) != len(Y):
        got = f"shapes {X.shape} and {Y.shape}"
        raise ValueError(text(where, "X (n, k) and Y (n, m) or (n,)", got))
    if X.shape[1] != sizes[0]:
        raise ValueError(text(f"{where}.X", f"{counted(sizes[0], 'input')} a row", X.shape[1]))
    if Y.ndim == 1:
        _refuse_range(Y, sizes[-1], lambda i: f"{where}.Y[{i}]")
    elif targets and Y.shape[1] != sizes[-1]:
        raise ValueError(text(f"{where}.Y", f"{counted(sizes[-1], 'output')} a row", Y.shape[1]))


def targets(data: Dataset, n_out: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what the outputs are trained towards, (n, n_out); labels become one-hot rows."""
    return _checks.cast(one_hot(data.Y, n_out) if data.has_labels else data.Y, dtype)


def classes(data: Dataset) -> NDArray[Any]:
    """Return the label of each sample, (n,); targets count as their largest entry."""
    return data.Y if data.has_labels else data.Y.argmax(axis=1)


def pairs(data: Dataset, n_out: int) -> list[Pair]:
    """Return the book's pairs of columns; labels become one-hot columns."""
    if data.has_labels:
        data = Dataset._of(data.X, one_hot(data.Y, n_out))
    return list(data)


def column(value: Any, size: int, kind: str, where: str) -> NDArray[Any]:
    """Return ``value`` as a checked column (size, 1); ``kind`` is "input" or "output"."""
    array = _shaped(value, size, kind, where)
    contiguous = np.ascontiguousarray(array)
    _refuse_not_finite(contiguous, lambda k, _: f"{where}[{k}]", of_data=False)
    return array


def inputs(a: Any, n_in: int, where: str) -> NDArray[Any]:
    """Return ``a`` as a checked matrix (n_in, k), one column a sample."""
    array = _checks.real_array(a, where)
    if array.ndim != 2 or array.shape[0] != n_in:
        raise ValueError(
            text(
                where,
                f"shape ({n_in}, 1) for {counted(n_in, 'input')}, or ({n_in}, k) for k samples",
                array.shape,
                _column_hint(array, n_in),
            )
        )
    if array.T.flags.c_contiguous:
        _refuse_not_finite(array.T, lambda k, j: f"{where}[{j}, {k}]", of_data=False)
    else:
        contiguous = np.ascontiguousarray(array)
        _refuse_not_finite(contiguous, lambda j, k: f"{where}[{j}, {k}]", of_data=False)
    return array


# -- pairs ---------------------------------------------------------------------------


def _unzip(pairs: list[Any], where: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    try:
        xs, ys = zip(*pairs, strict=True)
    except (TypeError, ValueError):
        for i, pair in enumerate(pairs):
            try:
                _x, _y = pair
            except (TypeError, ValueError):
                try:
                    got = f"{len(pair)} items"
                except TypeError:  # a number, or an array of no dimension
                    got = type(pair).__name__
                hint = "arrays go in as fastbp.Dataset(X, Y)"
                raise ValueError(text(f"{where}[{i}]", "a pair (x, y)", got, hint)) from None
        raise
    return xs, ys


def _columns(
    values: tuple[Any, ...],
    size: int,
    kind: str,
    where: Callable[[int], str],
    check_finite: bool,
) -> NDArray[Any]:
    """Return columns (size, 1) as the rows of one array (n, size); a view, if they are one."""
    n, first = len(values), values[0]
    at = _places(values, size)
    rows = None if at is None else _view(first, at)
    if rows is None:
        rows = np.empty((n, size), _checks.FLOAT64 if at is None else first.dtype)
        if at is None or _places(values, size, rows) is None:
            shaped = [_shaped(value, size, kind, where(i)) for i, value in enumerate(values)]
            rows = np.concatenate(shaped)
            if rows.size != n * size:  # a value's own code has changed those before it
                hint = "they were changed in the midst of a call"
                raise ValueError(
                    text(where(0), f"{n} columns of {size}", f"{rows.size} numbers", hint)
                )
            rows = rows.reshape(n, size)
    if check_finite:
        _refuse_not_finite(rows, lambda i, k: f"{where(i)}[{k}]")
    return rows


def _places(
    values: tuple[Any, ...], size: int, rows: NDArray[Any] | None = None
) -> NDArray[np.intp] | None:
    """Return where columns (size, 1) of one type lie, as nearly all do; None if one is another.

    Copy them to ``rows``, if asked.
    """
    at = np.empty(len(values), np.intp)
    itemsize = values[0].itemsize if type(values[0]) is np.ndarray else 0
    parts = (slice(i, i + 4096) for i in range(0, len(at), 4096))  # Ctrl-C is seen in between
    good = all(
        core.columns(
            values, part.start, size, itemsize, at[part], None if rows is None else rows[part]
        )
        for part in parts
    )
    return at if good else None


def _view(first: NDArray[Any], at: NDArray[np.intp]) -> NDArray[Any] | None:
    """Return columns at these addresses as rows, where they are rows of one array already."""
    base, n, size = first.base, len(at), first.size
    if type(base) is not np.ndarray or base.dtype != first.dtype or not base.flags.c_contiguous:
        return None
    if (np.diff(at) != first.nbytes).any():
        return None
    start, rest = divmod(int(at[0]) - base.ctypes.data, first.itemsize)
    rows = base.reshape(-1)[start : start + n * size]
    whole = rest == 0 and rows.size == n * size  # others than the first may have other bases
    return rows.reshape(n, size) if whole else None


def _shaped(value: Any, size: int, kind: str, where: str) -> NDArray[Any]:
    array = _checks.real_array(value, where)
    if kind == "output" and size == 1 and array.shape in ((), (1,)):
        return array.reshape(1, 1)  # of one output a number is as good, as in the book
    if array.shape != (size, 1):
        got = shown(value) if array.ndim == 0 else array.shape
        hints = [_column_hint(array, size)]
        if kind == "output" and (array.ndim < 2 or array.shape[0] == 1):
            hints.append(f"fastbp.one_hot([j], {size}).T is the target of class j")
        expected = f"shape ({size}, 1) for {counted(size, kind)}"
        raise ValueError(text(where, expected, got, "; ".join(filter(None, hints))))
    return array


def labels(values: Sequence[Any], n_out: int, data: str) -> NDArray[np.int64]:
    """Return labels of pairs, each equal to an integer in any type, as integers below ``n_out``."""
    found = np.empty(len(values), np.int64)

    def where(i: int) -> str:
        return f"{data}[{i}][1]"

    for i, value in enumerate(values):
        if type(value) is int or isinstance(value, np.integer):
            label = int(value)
        else:
            try:
                array = np.asarray(_checks.unmasked(value, where(i)))
            except ValueError:  # lists of several lengths
                array = np.empty(0)
            number: Any = array.item() if array.size == 1 else None
            if not _is_whole(number):
                got = f"shape {array.shape}" if array.size > 1 else shown(value)
                hint = "np.argmax(y) is the label of a one-hot y" if array.size > 1 else ""
                hint = _WORDS if isinstance(value, str) else hint
                raise ValueError(text(where(i), _label_range(n_out), got, hint))
            label = int(number)
        if not 0 <= label < n_out:
            hint = _count_hint([label, *filter(_is_whole, values)], n_out)
            raise ValueError(text(where(i), _label_range(n_out), label, hint))
        found[i] = label
    return found


# -- arrays --------------------------------------------------------------------------


def _integers(array: NDArray[Any], where: str = "Y") -> NDArray[np.int64]:
    whole = np.isfinite(array) & (array == np.floor(array)) & (array >= 0) & (array < 2**31)
    if not whole.all():
        i = int(whole.argmin())
        hints = [_count_hint(array), "targets need shape (n, m)" if where == "Y" else ""]
        hint = "; ".join(filter(None, hints))
        raise ValueError(text(f"{where}[{i}]", "a label, an integer from 0", array[i], hint))
    return array.astype(np.int64)


def _refuse_range(
    labels: NDArray[Any], n: int, where: Callable[[int], str], unit: str = "output"
) -> None:
    if labels.size and labels.max() >= n:
        i = int(np.argmax(labels >= n))
        hint = "targets need shape (n, 1): Y[:, None]" if n == 1 else _count_hint(labels, n)
        raise ValueError(text(where(i), _label_range(n, unit), labels[i], hint))


def _refuse_not_finite(
    array: NDArray[Any], where: Callable[[int, int], str], *, of_data: bool = True
) -> None:
    if array.dtype.kind == "f" and not _checks.all_finite(array):
        i, k = _checks.first_not_finite(array)
        hint = "check_finite=False, of SGD and Dataset, skips this search" if of_data else ""
        raise ValueError(text(where(i, k), "a finite number", array[i, k], hint))


def _is_whole(number: Any) -> bool:
    try:
        return bool(isinstance(number, Real) and int(number) == number)  # type: ignore[call-overload]
    except (ValueError, OverflowError):  # NaN, infinity
        return False


def _label_range(n: int, unit: str = "output") -> str:
    return f"a label, an integer from 0 to {n - 1} ({counted(n, unit)})"


def _count_hint(labels: Any, n: int = 2) -> str:
    """Return a hint for labels of n classes that are -1 and 1, or count from 1."""
    found = np.unique(labels)
    if n == 1:  # of labels there is 0 alone
        return "one output has one class; fastbp.train tells its validation accuracy, by a half"
    if found[0] == -1 and np.isin(found, (-1, 1)).all():
        return "labels count from 0: y > 0 turns -1 and 1 into 0 and 1"
    if found[0] == 1 and found[-1] == n:
        return "labels count from 0, not from 1: y - 1"
    return ""


def counted(n: int, unit: str) -> str:
    """Return "1 output", "10 outputs"."""
    plural = "es" if unit.endswith("s") else "s"
    return f"{n} {unit}" + (plural if n != 1 else "")


def _column_hint(array: NDArray[Any], size: int) -> str:
    if array.ndim == 2 and array.shape[0] == size:
        return "one sample is one column"
    if array.ndim == 2 and array.shape[1] == size:
        return "one sample is one column, not a row: transpose it"
    if array.ndim > 0 and array.size == size:
        return "reshape(-1, 1) makes it a column"
    if array.ndim > 2 and array.size == len(array) * size:
        return "X.reshape(len(X), -1).T has one sample a column"
    return ""


def _row_hint(ndim: int) -> str:
    if ndim == 1:
        return "reshape(-1, 1) if each sample is one number"
    return "X.reshape(len(X), -1) has one row a sample" if ndim > 2 else ""
