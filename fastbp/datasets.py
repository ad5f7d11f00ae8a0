"""The shipped digits, and MNIST read from the user's own files."""

from __future__ import annotations

import gzip
import io
import math
import os
import pickle
import pickletools
import re
import struct
import zlib
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastbp.samples import Dataset

__all__ = ["load_digits", "load_mnist"]

# Training, validation (the last of MNIST's 60,000 training images), test: the book's split.
SPLIT = (50_000, 10_000, 10_000)

_SIDE = 28
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
    (without executing the pickle).

    Parameters
    ----------
    path : folder or ``mnist.pkl.gz``, optional
        The only place to look. By default these, the first complete set wins:
        ``$FASTBP_DATA``, ``./data``, ``../data``, the user cache (``~/.cache/fastbp``,
        ``%LOCALAPPDATA%\\fastbp``); in each folder also its subfolder ``mnist``.

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
    images, labels, test_images, test_labels = mnist_arrays(path)
    return Dataset(images, labels), Dataset(test_images, test_labels)


def mnist_arrays(
    path: str | os.PathLike[str] | None = None, split: tuple[int, int, int] = SPLIT
) -> tuple[_Images, _Labels, _Images, _Labels]:
    """Read training images and labels, test images and labels; see `load_mnist`.

    ``split`` counts the training, validation and test images; the first two
    come back as one, in the order of the original files.
    """
    files = [Path(path)] if path is not None and os.path.isfile(path) else _find(path)
    if len(files) == 1:
        return _read_pickle(files[0], split)
    training, test = split[0] + split[1], split[2]
    return (
        _read_idx_images(files[0], training),
        _read_idx_labels(files[1], training),
        _read_idx_images(files[2], test),
        _read_idx_labels(files[3], test),
    )


def _find(path: str | os.PathLike[str] | None) -> list[Path]:
    """Return the four IDX files, or the one pickle, of the first folder with a complete set."""
    looked = []
    for place in _default_places() if path is None else [Path(path)]:
        for folder in (place, place / "mnist"):
            idx = {stem: _variant(folder, stem) for stem in _IDX}
            found = [file for file in idx.values() if file]
            if len(found) == len(_IDX):
                return found
            if os.path.isfile(folder / _PICKLE):
                return [folder / _PICKLE]
            if not os.path.isdir(folder):
                state = "no such folder"
            elif found:
                state = "lacks " + ", ".join(stem for stem, file in idx.items() if not file)
            else:
                state = "none of the files"
            looked.append(f"  {os.path.abspath(folder)}: {state}")
    raise FileNotFoundError(
        f"MNIST: expected {', '.join(_IDX[:3])} and {_IDX[3]} (each plain or .gz), "
        f"or the book's {_PICKLE}; got no complete set in\n"
        + "\n".join(looked)
        + f"\n{_HOW_TO_GET_THEM}"
    )


def _default_places() -> list[Path]:
    places = [Path("data"), Path("..", "data"), _user_cache()]
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


def _read(path: Path, most: int) -> bytes:
    """Return the content, unpacked if gzipped, but never more than ``most`` + 1 bytes of it."""
    with path.open("rb") as file:
        # By content, not by name: browsers unpack a .gz on the way and keep its name.
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return file.read(most + 1)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return unpacked.read(most + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{path}: expected a whole gzip file, got a damaged one ({error}); fetch it again"
            ) from error


def _read_idx(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read unsigned bytes of exactly this shape (magic number, dimensions, data)."""
    header = struct.Struct(f">{1 + len(shape)}I")
    expected = (0x0800 + len(shape), *shape)
    size = header.size + math.prod(shape)
    content = _read(path, size)
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


def _read_idx_images(path: Path, n: int) -> _Images:
    pixels = _read_idx(path, (n, _SIDE, _SIDE)).reshape(n, -1)
    return np.divide(pixels, 256, dtype=np.float32)


def _read_idx_labels(path: Path, n: int) -> _Labels:
    return _digits(str(path), _read_idx(path, (n,)))


def _digits(where: str, labels: npt.NDArray[Any]) -> _Labels:
    good = (labels >= 0) & (labels <= 9)
    if not good.all():
        first = np.argmin(good)
        raise ValueError(f"{where}[{first}]: expected a label 0..9, got {labels[first]}")
    return labels.astype(np.int64)


class _Stub:
    """Stands for every object of a pickle: keeps what the file says, executes none of it."""

    def __init__(self, *args: object) -> None:
        self.args = args
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Unpickler to which the names of the book's file are stubs and all others are refused."""

    admitted = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> type[_Stub]:
        if (module, name) not in self.admitted:
            raise pickle.UnpicklingError(f"a reference to {f'{module}.{name}'[:80]!r}")
        return _Stub


# What binary picklers write for tuples of arrays. Left out are the codes that reach a registry
# or a buffer outside, and dictionaries, whose keys can take exponential time to hash. The
# book's file needs about 150 codes; the limit keeps a hostile one from building millions of
# objects, or a memo of 2**32 places.
_OPCODES = re.compile(
    "PROTO|FRAME|STOP|MARK|(STACK_)?GLOBAL|REDUCE|BUILD|MEMOIZE|(LONG_)?BIN(PUT|GET)"
    "|NONE|NEWTRUE|NEWFALSE|INT|BININT[12]?|LONG1?"
    "|(SHORT_)?BIN(STRING|UNICODE|BYTES)|(EMPTY_)?TUPLE|TUPLE[123]|EMPTY_LIST|APPENDS?"
)
_MOST_OPCODES = 1000


def _unpickle(path: Path, most: int) -> object:
    """Return the tuples of a pickle, with a `_Stub` for every other object."""
    content = _read(path, most)
    try:
        if len(content) > most:
            raise pickle.UnpicklingError(f"more than {most} bytes")
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if not _OPCODES.fullmatch(opcode.name):
                raise pickle.UnpicklingError(f"the pickle code {opcode.name}")
            place = argument if argument and opcode.name.endswith("PUT") else 0
            if max(count, place) >= _MOST_OPCODES:
                raise pickle.UnpicklingError(f"more than {_MOST_OPCODES} pickle codes")
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()
    # A bad pickle raises whatever its codes run into: IndexError, KeyError, EOFError, ...
    except Exception as error:
        raise ValueError(
            f"{path}: expected the arrays of the book's {_PICKLE}, got {str(error)[:200]}; "
            "nothing in it was executed (for IDX files, give their folder)"
        ) from error


def _array(where: str, stub: object, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Turn a captured ``numpy.ndarray`` of this kind and shape into a read-only array."""
    match stub:
        case _Stub(
            state=(
                1,
                tuple(got_shape),
                _Stub(args=(str(code), *_), state=(_, "<" | ">" | "|" as order, *_)),
                False,
                str(raw) | bytes(raw) | _Stub(args=(str(raw), "latin1")),
            )
        ) if re.fullmatch("f4|[iu][1248]", code):
            dtype = np.dtype(order + code)
        case _:
            raise ValueError(f"{where}: expected a numpy array of numbers, got something else")
    expected = f"{'float32' if kind == 'f' else 'integer'} {shape}"
    if dtype.kind not in kind:
        raise ValueError(f"{where}: expected {expected}, got {dtype}")
    if got_shape != shape:
        got = got_shape if all(isinstance(n, int) for n in got_shape) else "no shape"
        raise ValueError(f"{where}: expected {expected}, got {got}")
    # No character above 255 can come from bytes; a dropped one shows in the length.
    content = raw if isinstance(raw, bytes) else raw.encode("latin1", "ignore")
    size = math.prod(shape) * dtype.itemsize
    if len(content) != size:
        raise ValueError(f"{where}: expected {size} bytes, got {len(content)}")
    return np.frombuffer(content, dtype).reshape(shape)


def _read_pickle(
    path: Path, split: tuple[int, int, int]
) -> tuple[_Images, _Labels, _Images, _Labels]:
    # Python 3 pickles bytes as text for Python 2, which can take two bytes for one.
    most = 2 * sum(split) * (4 * _SIDE * _SIDE + 8) + 65_536
    match _unpickle(path, most):
        case [[_, _], [_, _], [_, _]] as parts:
            pass
        case _:
            raise ValueError(
                f"{path}: expected (training, validation, test), each a pair (images, labels), "
                "got another structure"
            )
    images, labels = [], []
    for name, n, (x, y) in zip(("training", "validation", "test"), split, parts, strict=True):
        images.append(_array(f"{path}: {name} images", x, "f", (n, _SIDE * _SIDE)))
        good = (images[-1] >= 0) & (images[-1] < 1)
        if not good.all():
            row, pixel = np.argwhere(~good)[0]
            raise ValueError(
                f"{path}: {name} images[{row}, {pixel}]: expected byte value / 256, in [0, 1), "
                f"got {images[-1][row, pixel]}"
            )
        where = f"{path}: {name} labels"
        labels.append(_digits(where, _array(where, y, "iu", (n,))))
    return (
        np.concatenate(images[:2], dtype=np.float32),
        np.concatenate(labels[:2]),
        images[2].astype(np.float32),
        labels[2],
    )
