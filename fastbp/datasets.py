"""The shipped digits, and MNIST read from the user's own files."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from fastbp import pickles
from fastbp.errors import text
from fastbp.samples import Dataset

__all__ = ["load_digits", "load_mnist"]

# Training, validation (the last of MNIST's 60,000 training images), test: the book's split.
SPLIT = (50_000, 10_000, 10_000)

_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
_SIDE = 28
_PIXELS = _SIDE * _SIDE
_MOST_IMAGES = 600_000  # of a pickle; 2 GB
_PICKLE = "mnist.pkl.gz"
_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_HOW_TO_GET_THEM = """\
Put the files into one of these folders, or name theirs by the argument or by $FASTBP_DATA.
They are not downloaded for you. Where they can be had:
- the four .gz files from https://ossci-datasets.s3.amazonaws.com/mnist/ (torchvision's mirror);
- torchvision.datasets.MNIST("data", download=True), then FASTBP_DATA=data/MNIST/raw;
- the book's repository, mnielsen/neural-networks-and-deep-learning on GitHub: data/mnist.pkl.gz.
Arrays need no files: X and y from scikit-learn's fetch_openml("mnist_784", version=1,
return_X_y=True, as_frame=False) or from Keras's mnist.npz make a
fastbp.Dataset(X.reshape(-1, 784) / 256, y.astype(int))."""

_Images: TypeAlias = npt.NDArray[np.float32]
_Labels: TypeAlias = npt.NDArray[np.int64]
_Counts: TypeAlias = tuple[int, int, int]


def load_digits() -> Dataset:
    """Load the 1,797 handwritten digits that are shipped in the package.

    Returns
    -------
    Dataset
        X float64 (1797, 64), 8 x 8 pixels in [0, 1]; Y int64 (1797,), labels 0..9.

    Notes
    -----
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0,
    DOI 10.24432/C50P49; ``fastbp/data/DIGITS-LICENSE.txt`` says what was changed.
    """
    file = resources.files("fastbp") / "data" / "digits.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        labels = arrays["y"].astype(np.int64)
        X = np.empty((len(labels), 64))
        # They lie label by label, and pixel by pixel, which packs a fifth smaller.
        X[np.argsort(labels, kind="stable")] = arrays["X"] / 16.0
        return Dataset(X, labels)


def load_mnist(path: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """Load MNIST's 60,000 training and 10,000 test images from files on this machine.

    Read are the four IDX files, gzipped or not, or the book's ``mnist.pkl.gz``
    (without executing the pickle). A pickle may hold more images to train on, as the book's
    ``expand_mnist.py`` writes it, and pixels of other types.

    Parameters
    ----------
    path : folder or pickle, optional
        The only place to look. By default these, the first complete set wins:
        ``$FASTBP_DATA``, ``.``, ``./data``, ``../data``, the user cache
        (``~/.cache/fastbp``, ``%LOCALAPPDATA%\\fastbp``); in each folder also its subfolder
        ``mnist``.

    Returns
    -------
    training, test : Dataset
        X float32 (n, 784), byte value / 256 as in the book; Y int64 (n,), labels 0..9.

    Raises
    ------
    FileNotFoundError
        No complete set: says which files, where it looked and how to get them.
    ValueError
        A damaged or foreign file.
    """
    images, labels, counts = mnist_arrays(path)
    cut = counts[0] + counts[1]
    return Dataset(images[:cut], labels[:cut]), Dataset(images[cut:], labels[cut:])


def mnist_arrays(
    path: str | os.PathLike[str] | None = None, split: _Counts = SPLIT
) -> tuple[_Images, _Labels, _Counts]:
    """Read the images and labels of all three sets; see `load_mnist`.

    ``split`` counts the training, validation and test images that there should be, of a pickle
    all but the first. Returned is how many there are; the sets follow one another.
    """
    files = [Path(path)] if path is not None and os.path.isfile(path) else _find(path)
    if len(files) == 1:
        return _read_pickle(files[0], split)
    cut, n = split[0] + split[1], sum(split)
    images, labels = np.empty((n, _PIXELS), np.float32), np.empty(n, np.int64)
    for rows, (pixels, digits) in ((slice(cut), files[:2]), (slice(cut, n), files[2:])):
        shape = images[rows].shape
        np.divide(_read_idx(pixels, (shape[0], _SIDE, _SIDE)).reshape(shape), 256, images[rows])
        labels[rows] = _digits(str(digits), _read_idx(digits, shape[:1]))
    return images, labels, split


def _find(path: str | os.PathLike[str] | None) -> list[Path]:
    """Return the four IDX files, or the one pickle, of the first folder with a complete set."""
    found, looked = search(path)
    if not found:
        raise FileNotFoundError(
            f"MNIST: expected {', '.join(_IDX[:3])} and {_IDX[3]} (each plain or .gz), "
            f"or the book's {_PICKLE}; got no complete set in\n"
            + "".join(f"  {folder}: {state}\n" for folder, state in looked)
            + _HOW_TO_GET_THEM
        )
    return found


def search(path: str | os.PathLike[str] | None) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the files of a complete set; else none, and what there is in each folder."""
    looked = []
    for place in _default_places() if path is None else [Path(path)]:
        for folder in (place, place / "mnist"):
            idx = {stem: _variant(folder, stem) for stem in _IDX}
            found = [file for file in idx.values() if file]
            if len(found) == len(_IDX):
                return found, []
            if os.path.isfile(folder / _PICKLE):
                return [folder / _PICKLE], []
            if not os.path.isdir(folder):
                state = "no such folder"
            elif found:
                state = "lacks " + ", ".join(stem for stem, file in idx.items() if not file)
            else:
                state = "none of the files"
            looked.append((os.path.abspath(folder), state))
    return [], looked


def _default_places() -> list[Path]:
    places = [Path(), Path("data"), Path("..", "data"), _user_cache()]
    named = os.environ.get("FASTBP_DATA")
    return [Path(named), *places] if named else places


def _user_cache() -> Path:
    variable, default = (
        ("LOCALAPPDATA", "~/AppData/Local") if os.name == "nt" else ("XDG_CACHE_HOME", "~/.cache")
    )
    return Path(os.environ.get(variable) or os.path.expanduser(default), "fastbp")


def _variant(folder: Path, stem: str) -> Path | None:
    names = (name + end for name in (stem, stem.replace("-idx", ".idx")) for end in ("", ".gz"))
    return next((folder / name for name in names if os.path.isfile(folder / name)), None)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, gzipped or not; a damaged gzip file is a ValueError."""
    with path.open("rb") as file:
        # By content, not by name: browsers unpack a .gz on the way and keep its name.
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield io.BufferedReader(unpacked, 2**16)
        except _DAMAGED as error:
            got = f"a damaged one ({error})"
            raise ValueError(text(str(path), "a whole gzip file", got, "fetch it again")) from error


def _read_idx(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read unsigned bytes of exactly this shape (magic number, dimensions, data)."""
    header = struct.Struct(f">{1 + len(shape)}I")
    expected = (0x0800 + len(shape), *shape)
    size = header.size + math.prod(shape)
    with _opened(path) as file:
        content = file.read(size + 1)
    if len(content) < header.size:
        raise ValueError(
            f"{path}: expected an IDX header of {header.size} bytes, got a file of {len(content)}"
        )
    magic, *dimensions = header.unpack_from(content)
    if magic != expected[0]:
        raise ValueError(
            f"{path}: expected the magic number {expected[0]:#06x}, got {magic:#06x}; "
            "are images and labels swapped?"
        )
    if tuple(dimensions) != shape:
        raise ValueError(f"{path}: expected dimensions {shape}, got {tuple(dimensions)}")
    if len(content) != size:
        got = f"{len(content)}; truncated" if len(content) < size else "more; trailing bytes"
        raise ValueError(f"{path}: expected {size} bytes, got {got}")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


def _digits(where: str, labels: npt.NDArray[Any]) -> _Labels:
    good = (labels >= 0) & (labels <= 9)
    if not good.all():
        first = np.argmin(good)
        raise ValueError(f"{where}[{first}]: expected a label 0..9, got {labels[first]}")
    return labels.astype(np.int64)


def _unpickled(path: Path) -> Any:
    """Return what a pickle holds, gzipped or not; nothing in it is executed."""
    with _opened(path) as stream:
        try:
            return pickles.load(stream)
        except (MemoryError, OSError, *_DAMAGED):
            raise
        except Exception as error:  # whatever the codes of a bad pickle run into
            expected, got = f"the arrays of the book's {_PICKLE}", str(error)[:200]
            hint = "nothing in it was executed (for IDX files, give their folder)"
            raise ValueError(text(str(path), expected, got, hint)) from error


def _read_pickle(path: Path, split: _Counts) -> tuple[_Images, _Labels, _Counts]:
    match _unpickled(path):
        case [[first, _], [_, _], [_, _]] as parts:
            pass
        case _:
            expected = "(training, validation, test), each a pair (images, labels)"
            raise ValueError(text(str(path), expected, "another structure"))
    # Any number of images to train on: the book's expand_mnist.py makes a list of 250,000.
    where = f"{path}: training images"
    n = len(first) if isinstance(first, list) else (*_numbers(where, first).shape, 0)[0]
    if not 0 < n <= _MOST_IMAGES:
        raise ValueError(text(where, f"1 to {_MOST_IMAGES:,} of them", n))
    counts = n, split[1], split[2]
    images, labels = np.empty((sum(counts), _PIXELS), np.float32), np.empty(sum(counts), np.int64)
    start, high = 0, 0.0
    for name, n, (x, y) in zip(("training", "validation", "test"), counts, parts, strict=True):
        rows = slice(start, start := start + n)
        high = max(high, _copy_images(f"{path}: {name} images", x, images[rows]))
        _copy_labels(f"{path}: {name} labels", y, labels[rows])
    if high > 1:
        np.divide(images, 256, images)
    return images, labels, counts


def _copy_images(where: str, found: Any, to: _Images) -> float:
    """Copy an array of images, or a list of arrays of one each; return the largest pixel."""
    with np.errstate(over="ignore", invalid="ignore"):  # float64 beyond float32
        if isinstance(found, list):
            for i, image in enumerate(found):
                pixels = _numbers(f"{where}[{i}]", image, (_PIXELS,), (_PIXELS, 1))
                to[i] = pixels.reshape(-1)
        else:
            to[:] = _numbers(where, found, to.shape)
    low, high = to.min(), to.max()
    if not (low >= 0 and high <= 255):  # of NaN neither is true
        row, pixel = np.argwhere(~((to >= 0) & (to <= 255)))[0]
        expected = "a pixel from 0 to 1, or from 0 to 255"
        raise ValueError(text(f"{where}[{row}, {pixel}]", expected, to[row, pixel]))
    return float(high)


def _copy_labels(where: str, found: Any, to: _Labels) -> None:
    """Copy an array of labels, or a list of them."""
    if isinstance(found, list):
        if len(found) != len(to) or not all(type(label) is int for label in found):
            got = f"a list of {len(found)} values"
            raise ValueError(text(where, f"{len(to)} integers, one for each image", got))
        labels = np.array(found)
    else:
        labels = _numbers(where, found, to.shape, kinds="iu")
    to[:] = _digits(where, labels)


def _numbers(
    where: str, found: Any, *shapes: tuple[int, ...], kinds: str = "fiu"
) -> npt.NDArray[Any]:
    """Return the values of an array of numbers in a pickle, of one of these kinds and shapes."""
    values = getattr(found, "values", None)
    if not isinstance(values, np.ndarray):
        raise ValueError(text(where, "a numpy array of numbers", "something else"))
    if values.dtype.kind not in kinds or (shapes and values.shape not in shapes):
        names = "integers" if kinds == "iu" else "numbers"
        got = f"{values.dtype} of shape {values.shape}"
        raise ValueError(text(where, f"{names} of shape {shapes[0]}", got))
    return values
