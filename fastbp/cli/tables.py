"""Samples in CSV and NPZ files: reading, classes, standardising, splitting."""

import csv
import math
import os
import re
import sys
import zipfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks
from fastbp.errors import shown, text

Label = int | str
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
_FOREIGN = re.compile(r"[^0-9eE+.\s-]", re.ASCII)  # what is in no number
_MISSING = ("", "nan")

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_RATIOS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # how small bytes can be packed

Scaling = tuple[NDArray[np.float64], NDArray[np.float64]]


class InputError(ValueError):
    """Something given by the user that cannot be used; the text says what and where."""


def count(n: int, noun: str) -> str:
    """Return ``1 row``, ``2 rows``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def some(names: Sequence[str]) -> str:
    """Return the first eight names, and … if there are more."""
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


@dataclass(frozen=True)
class Table:
    """Samples as a file holds them; a CSV file also has names."""

    X: NDArray[Any]
    labels: Sequence[Label] | None
    features: list[str] | None = None
    label: str | None = None


@dataclass(frozen=True)
class Encoding:
    """What stands between a table and a network's numbers; saved with the network.

    ``scaling`` is the mean and the scale of each feature, if they are standardised.
    """

    n_in: int
    classes: list[Label]
    features: list[str] | None = None
    label: str | None = None
    scaling: Scaling | None = None

    def inputs(self, X: NDArray[Any], where: str) -> NDArray[Any]:
        """Return ``X`` on the scale that the network is trained on."""
        if self.scaling is None:
            return X
        mean, scale = self.scaling
        with np.errstate(over="ignore"):
            X = (X - mean) / scale
        if not np.isfinite(X).all():
            k = _checks.first_not_finite(X)[1]
            got = f"a value beyond the largest float in column {k + 1}"
            raise InputError(text(where, "values that can be standardised", got))
        return X

    def to_json(self) -> dict[str, Any]:
        """Return what applies, as the keys of a JSON object."""
        mean, scale = self.scaling or (None, None)
        data = {
            "classes": self.classes,
            "features": self.features,
            "label": self.label,
            "mean": None if mean is None else mean.tolist(),
            "scale": None if scale is None else scale.tolist(),
        }
        return {key: value for key, value in data.items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any], n_in: int, n_out: int, where: str) -> Self:
        """Return the encoding among the keys of ``data``, for a network of these sizes."""
        classes, features, label = data.get("classes"), data.get("features"), data.get("label")
        if classes is None:  # the book's own files have none
            classes = list(range(n_out))
        mean, scale = data.get("mean"), data.get("scale")
        lists = {
            "classes": (classes, (int, str), n_out),
            "features": (features, str, n_in),
            "mean": (mean, (int, float), n_in),
            "scale": (scale, (int, float), n_in),
        }
        for key, (value, kind, length) in lists.items():
            if value is not None and not _is_list(value, kind, length):
                raise InputError(text(f"{where}: {key}", f"a list of {length}", "something else"))
        if not isinstance(label, str | None):
            raise InputError(text(f"{where}: label", "the name of a column", shown(label)))
        if features is not None and (len({*features}) < n_in or label in features):
            expected = "distinct names, none of them the label"
            raise InputError(text(f"{where}: features", expected, shown(features)))
        if mean is None and scale is None:
            return cls(n_in, classes, features, label)
        if mean is None or scale is None:
            raise InputError(text(where, "both mean and scale", "one of them"))
        scaling = np.array(mean, np.float64), np.array(scale, np.float64)
        if not np.isfinite(scaling).all() or min(scale) <= 0:
            raise InputError(text(where, "finite means and positive scales", "others"))
        return cls(n_in, classes, features, label, scaling)


@contextmanager
def reading(path: str, expected: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn an exception of the system or of these kinds into an InputError."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except OSError as error:
        got = f"none: {(error.strerror or str(error)).lower()}"
        raise InputError(text(path, expected, got)) from error
    except kinds as error:
        raise InputError(text(path, expected, f"a bad one: {error}")) from error


def read_csv(path: str, label: str | None, encoding: Encoding | None = None) -> Table:
    """Read a CSV file with a header row.

    For training, the column ``label`` (the last by default) holds the classes. For
    prediction, ``encoding`` says which columns are features, and labels may be missing.
    """
    values, labels, lines = array("d"), [], []
    with (
        reading(path, "a CSV file", csv.Error, UnicodeDecodeError),
        open(path, newline="", encoding="utf-8-sig") as file,
    ):
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        header = _header(reader, path)
        features, target = _columns(header, label, encoding, path)
        for row in reader:
            if not row:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                expected = f"{count(len(header), 'column')}, as in the header"
                raise InputError(text(where, expected, len(row)))
            cells = [row[k] for k in features]
            try:
                if _FOREIGN.search("".join(cells)):  # much faster than to look at each cell
                    raise ValueError
                values.extend(map(float, cells))
            except ValueError:
                k = next(k for k in features if not is_number(row[k]))
                raise _not_a_number(where, header[k], row[k]) from None
            if target is not None:
                labels.append(row[target].strip())
                _refuse_missing(labels[-1], f"{where}, column {header[target]!r}")
            lines.append(reader.line_num)
    if not lines:
        raise InputError(text(path, "rows below the header", "none"))
    X = np.frombuffer(values).reshape(len(lines), len(features))
    if not _checks.all_finite(X):
        i, k = _checks.first_not_finite(X)
        raise _not_a_number(f"{path}, line {lines[i]}", header[features[k]], f"{X[i, k]}")
    names = [header[k] for k in features]
    return Table(X, None, names) if target is None else Table(X, labels, names, header[target])


def read_npz(path: str) -> Table:
    """Read the arrays ``X`` (n, k) and, if it is there, ``y`` (n,) of an NPZ archive."""
    # A bad file has nine kinds of exceptions.
    with reading(path, "an NPZ file of plain arrays", Exception), open(path, "rb") as file:
        if file.read(2) != b"PK":
            raise InputError(text(path, "an NPZ file", "something else", "see numpy.savez"))
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if "X" not in members:
                names = some(list(members)) or "none"
                raise InputError(text(path, "arrays X and y", names, "np.savez(path, X=X, y=y)"))
            arrays = {
                name: _npz_array(archive, members[name], os.fstat(file.fileno()).st_size, where)
                for name, where in (("X", f"{path}: X"), ("y", f"{path}: y"))
                if name in members
            }
    X, y = arrays["X"], arrays.get("y")
    if X.dtype.kind not in "biuf" or X.ndim != 2 or 0 in X.shape:
        hint = "X.reshape(len(X), -1) makes rows" if X.ndim > 2 else ""
        expected = "real numbers of shape (n, k), one row a sample"
        raise InputError(text(f"{path}: X", expected, f"{X.dtype} of shape {X.shape}", hint))
    X = np.ascontiguousarray(_checks.real_array(X, "X"))
    if not _checks.all_finite(X):
        i, k = _checks.first_not_finite(X)
        hint = "fill or drop missing values"
        raise InputError(text(f"{path}: X[{i}, {k}]", "a finite number", X[i, k], hint))
    return Table(X, None if y is None else _npz_labels(y, len(X), f"{path}: y"))


def classes(labels: Sequence[Label], where: str) -> tuple[list[Label], NDArray[np.int64]]:
    """Return the classes in order, integers if all are, and each label's place among them."""
    plain = [_plain(label) for label in labels]
    values: list[Any] = list(labels) if any(isinstance(p, str) for p in plain) else plain
    hint = "fastbp learns classes, not quantities"
    fraction = next((value for value in values if isinstance(value, float)), None)
    if fraction is not None:
        raise InputError(text(where, "classes, integers or words", fraction, hint))
    found = sorted(set(values))
    if len(found) > 20 and 2 * len(found) > len(values):
        got = f"{len(found)} different values in {len(values)} rows"
        raise InputError(text(where, "classes", got, hint))
    if len(found) < 2:
        raise InputError(text(where, "at least 2 classes", f"only {found[0]!r}"))
    place = {value: i for i, value in enumerate(found)}
    return found, np.array([place[value] for value in values])


def same(a: Label, b: Label) -> bool:
    """Whether two labels name one class, whatever way a file writes its number."""
    return _plain(a) == _plain(b)


def split(n: int, test_size: float, seed: int, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows for training and those held out, by a seeded permutation."""
    held_out = round(n * test_size)
    if not 0 < held_out < n:
        expected = "samples for both training and test"
        raise InputError(
            text(where, expected, f"{n}, of which {held_out} for the test", "see --test-size")
        )
    rows = np.random.default_rng(seed).permutation(n)
    return rows[held_out:], rows[:held_out]


def standardisation(X: NDArray[Any], where: str) -> Scaling:
    """Return the mean and the scale, the standard deviation, of each column."""
    X = X.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = X.mean(axis=0), X.std(axis=0)
    # A constant column's deviation may be a rounding error of its mean instead of 0.
    scale[(scale == 0) | (X.min(axis=0) == X.max(axis=0))] = 1.0
    bad = ~np.isfinite(mean + scale)
    if bad.any():
        hint = "--no-standardise leaves them as they are"
        got = f"a mean or deviation beyond the largest float in column {bad.argmax() + 1}"
        raise InputError(text(where, "values that can be standardised", got, hint))
    return mean, scale


# -- CSV -----------------------------------------------------------------------------


def _header(reader: Iterator[list[str]], path: str) -> list[str]:
    header = [name.strip() for name in next(reader, [])]
    where = f"{path}, line 1"
    hint = "the first row names the columns"
    if not any(header):
        raise InputError(text(where, "a header", "nothing", hint))
    if "" in header:
        hint = "pandas leaves out its index by to_csv(path, index=False)"
        got = f"none for column {header.index('') + 1}"
        raise InputError(text(where, "a name for each column", got, hint))
    # Without its header a file would lose its first sample, unseen.
    numbers = [name for name in header if isinstance(_plain(name), float)]
    if numbers:
        raise InputError(text(where, "names of columns", numbers[0], hint))
    name, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise InputError(text(where, "distinct names", f"{name!r} {count} times", hint))
    return header


def _columns(
    header: list[str], label: str | None, encoding: Encoding | None, path: str
) -> tuple[list[int], int | None]:
    """Return which columns are features, and which the label, if there is one."""
    where = f"{path}, line 1"
    if encoding is not None and encoding.features is not None:
        return _named_columns(header, label, encoding.features, encoding.label, path)
    if encoding is not None:
        if label is None and len(header) == encoding.n_in:
            return list(range(len(header))), None
        if len(header) != encoding.n_in + 1:
            expected = f"{count(encoding.n_in, 'feature')}, as the model has, and perhaps a label"
            raise InputError(text(where, expected, count(len(header), "column")))
    if len(header) < 2:
        expected = "features and a label, separated by commas"
        raise InputError(text(where, expected, f"one column, {header[0]!r}"))
    target = len(header) - 1 if label is None else _find(header, label, path)
    return [k for k in range(len(header)) if k != target], target


def _named_columns(
    header: list[str], label: str | None, features: list[str], known_label: str | None, path: str
) -> tuple[list[int], int | None]:
    where, known = f"{path}, line 1", f"the model's {count(len(features), 'feature')}"
    missing = [name for name in features if name not in header]
    if missing:
        raise InputError(text(where, known, f"no column {missing[0]!r}"))
    target = known_label if label is None else header[_find(header, label, path)]
    if target in features:
        expected = "a column that is none of the model's features"
        raise InputError(text("--label", expected, repr(target)))
    other = [name for name in header if name not in features and name != target]
    if other:
        expected = f"{known} and perhaps a label"
        hint = "drop it" if target in header else "--label names the label"
        raise InputError(text(where, expected, f"also {other[0]!r}", hint))
    places = [header.index(name) for name in features]
    return places, header.index(target) if target in header else None


def _find(header: list[str], label: str, path: str) -> int:
    if label not in header:
        hint = f"it has {some(header)}"
        raise InputError(text("--label", f"a column of {path}", repr(label), hint))
    return header.index(label)


def _not_a_number(where: str, name: str, got: str) -> InputError:
    hint = "fill or drop missing values" if got.strip().lower() in _MISSING else ""
    return InputError(text(f"{where}, column {name!r}", "a finite number", shown(got), hint))


def _refuse_missing(label: str, where: str) -> None:
    if label.lower() in _MISSING:
        raise InputError(text(where, "a class", shown(label), "drop rows without one"))


# -- NPZ -----------------------------------------------------------------------------------


def _npz_array(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, file_size: int, where: str
) -> NDArray[Any]:
    """Return an array of an archive; memory is asked for where all sizes agree."""
    if info.compress_type not in _RATIOS:
        hint = "numpy.savez and savez_compressed write it"
        raise InputError(text(where, "an array, stored or deflated", "another compression", hint))
    with archive.open(info) as stream:
        read_header = _NPY_HEADERS.get(np.lib.format.read_magic(stream))
        if read_header is None:
            raise InputError(text(where, "an array of numbers or words", "another format"))
        shape, _, dtype = read_header(stream)
        size = stream.tell() + math.prod(shape) * dtype.itemsize
    # Objects have no size of their own, and are refused below.
    if size != info.file_size and not dtype.hasobject:
        got = f"{info.file_size} in the archive"
        raise InputError(text(where, f"{shown(size)} bytes, as its header says", got))
    packed = min(info.compress_size, file_size)
    if size > packed * _RATIOS[info.compress_type] and not dtype.hasobject:
        raise InputError(text(where, f"{size} bytes", f"{packed}, which hold fewer, packed"))
    with archive.open(info) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


# -- labels and lists ------------------------------------------------------------------


def is_number(cell: str) -> bool:
    """Whether a text is a plain decimal number; Python also takes 1_0, ٣, nan and infinity."""
    return _NUMBER.fullmatch(cell) is not None


def _plain(label: Label) -> int | float | str:
    """Return what ``label`` says as a number: 7 for "7", "07" and "7.0"."""
    if isinstance(label, str) and not is_number(label):
        return label
    try:
        return int(label)
    except ValueError:  # a fraction, an exponent, thousands of digits
        number = float(label)
    return int(number) if number.is_integer() else number


def _npz_labels(y: NDArray[Any], n: int, where: str) -> list[Label]:
    if y.shape != (n,):
        hint = "y.argmax(axis=1) makes classes of one-hot rows" if y.ndim == 2 else ""
        raise InputError(text(where, f"shape ({n},), a class for each row of X", y.shape, hint))
    if y.dtype.kind == "f":
        whole = np.isfinite(y) & (y == np.floor(y)) & (np.abs(y) < 2**63)
        if not whole.all():
            i = int(whole.argmin())
            raise InputError(text(f"{where}[{i}]", "a class, an integer or a word", y[i]))
    elif y.dtype.kind not in "biuU":
        raise InputError(text(where, "classes, integers or words", f"dtype {y.dtype}"))
    elif y.dtype.kind == "U" and y.itemsize:
        codes = np.ascontiguousarray(y, y.dtype.newbyteorder("=")).view(np.uint32)
        if (highest := int(codes.max(initial=0))) > sys.maxunicode:
            raise InputError(text(where, "words", f"a character numbered {highest}"))
    labels: list[Label] = (y if y.dtype.kind in "uU" else y.astype(np.int64)).tolist()
    for i, label in enumerate(labels):
        if isinstance(label, str):
            _refuse_missing(label, f"{where}[{i}]")
    return labels


def _is_list(value: Any, kind: Any, length: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == length
        and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)
    )
