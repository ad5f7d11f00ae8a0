"""Files: arrays and facts in a container with a digest, and replacing a file as a whole.

The container is that of safetensors (8 bytes of length, a JSON header, the arrays behind each
other), of which one form alone is written and read; docs/files.md describes it. A file holds
names, types, shapes and numbers: reading one runs no code of the file's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.errors import FormatError, shown, text

Path = str | PathLike[str]
Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]

SUFFIX = ".safetensors"
VERSION = 1
NEEDS = "0.1.0"  # the first fastbp that reads this version

# What a model, or an array, of other programs is named; M.SAFETENSORS is JSON too.
_OTHER_FORMATS = {
    ".onnx", ".npz", ".npy", ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".h5", ".hdf5",
    ".keras", ".pb", ".tflite", ".mat", ".csv", ".gz", ".zip", SUFFIX,
}  # fmt: skip

_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_FIELDS = ["dtype", "shape", "data_offsets"]
_METADATA = ["sha256", "format", "version", "needs", "kind", "facts"]
_MOST_HEADER = 2**20
_MOST_DIMENSIONS = 4

# The digest is of the whole file with zeros in its own place, which is the same in each version.
_BEGIN = b'{"__metadata__":{"sha256":"'
_NO_DIGEST = "0" * 64
_PLACE = slice(len(_BEGIN), len(_BEGIN) + len(_NO_DIGEST))  # within the header

_PIECE = 2**22  # bytes between two looks for Ctrl-C


def is_container(path: Path) -> bool:
    """Whether a file of this name is a container; every other name is the book's JSON."""
    return os.fsdecode(path).endswith(SUFFIX)


def other_format(path: Path) -> str:
    """Return the suffix of a name that promises the format of another program; else ''."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    return suffix if suffix in _OTHER_FORMATS and not is_container(path) else ""


# -- the container -------------------------------------------------------------------------


def write(path: Path, kind: str, arrays: Arrays, facts: Facts) -> None:
    """Replace the file by a container; a failure leaves the old one as it was.

    Parameters
    ----------
    path : str or path
    kind : str
        What the file holds; ``read`` asks for it.
    arrays : dict of str to ndarray
        Float32, float64 or int64, none of them empty.
    facts : dict
        What JSON can hold, without NaN and infinity.

    Raises
    ------
    OSError, TypeError, ValueError
        Not written; or another type of array, an empty one, a header beyond 1 MiB.
    RuntimeError
        An array was changed by another thread meanwhile.
    """
    where = os.fsdecode(path)
    tensors, end = {}, 0
    for name, array in arrays.items():
        code = _CODES.get(array.dtype.newbyteorder("<"))
        if code is None:
            raise TypeError(text(f"{where}: {name}", " or ".join(_DTYPES), array.dtype))
        if array.size == 0 or array.ndim > _MOST_DIMENSIONS:
            raise ValueError(text(f"{where}: {name}", "an array with values", array.shape))
        begin, end = end, end + array.nbytes
        tensors[name] = dict(zip(_FIELDS, (code, [*array.shape], [begin, end]), strict=True))
    values = [_NO_DIGEST, "fastbp", str(VERSION), NEEDS, kind, _json(facts)]
    header = _header(dict(zip(_METADATA, values, strict=True)), tensors)
    if len(header) > _MOST_HEADER:
        raise ValueError(text(where, "names and facts of at most 1 MiB", f"{len(header)} bytes"))
    length = len(header).to_bytes(8, "little")

    def content(signed: bytes) -> Iterator[bytes]:
        yield length + signed
        for array in arrays.values():
            raw = _bytes(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
            for start in range(0, len(raw), _PIECE):
                yield bytes(raw[start : start + _PIECE])

    def hashed() -> str:
        digest = hashlib.sha256()
        for piece in content(header):
            digest.update(piece)
        return digest.hexdigest()

    found = hashed()

    def written() -> Iterator[bytes]:
        # What is written is hashed once more: an array that changes must not spoil the file.
        digest = hashlib.sha256(length + header)
        for i, piece in enumerate(content(_signed(header, found))):
            if i > 0:
                digest.update(piece)
            yield piece
        if digest.hexdigest() != found:
            raise RuntimeError(f"{where}: an array was changed while it was written")

    replace(path, written())


def read(path: Path, *kinds: str) -> tuple[str, Facts, Arrays]:
    """Return kind, facts and arrays of a container, which is of one of these kinds.

    No more than the file's size is allocated, and that only where the header agrees with it.

    Raises
    ------
    FormatError
        The file is not such a container, or has been damaged.
    OSError
        It cannot be read.
    """
    where = os.fsdecode(path)
    with opened(path) as (file, size):
        length = _take(file, min(8, size), where)
        n = int.from_bytes(length, "little")
        if not _PLACE.stop < n <= min(_MOST_HEADER, size - 8):
            expected = "a container of fastbp's: a header of at most 1 MiB"
            raise FormatError(text(where, expected, f"one of {n} bytes in a file of {size}"))
        header = bytes(_take(file, n, where))
        metadata, tensors = _parsed(header, where)
        digest = hashlib.sha256(length + _signed(header, _NO_DIGEST))
        arrays = {}
        for name, dtype, shape in _checked(tensors, size - 8 - n, where):
            array = np.empty(shape, dtype)
            raw = _bytes(array)
            _fill(file, raw, where)
            digest.update(raw)
            arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
    if digest.hexdigest() != metadata["sha256"]:
        raise FormatError(text(where, "the digest in the file", "another", "it has been damaged"))
    facts = _json_object(metadata["facts"], where)
    _refuse_other_form(lambda: _json(facts) == metadata["facts"], where)
    kind = metadata["kind"]
    if kind not in kinds:
        raise FormatError(text(where, f"a {' or '.join(kinds)} of fastbp's", f"a {shown(kind)}"))
    return kind, facts, arrays


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _json_object(source: str | bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(source if isinstance(source, str) else source.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(text(where, "JSON in a container of fastbp's", str(error))) from None
    if not isinstance(value, dict):
        raise FormatError(text(where, "a container of fastbp's", "another JSON"))
    return value


def _header(metadata: dict[str, str], tensors: dict[str, Any]) -> bytes:
    header = _json({"__metadata__": metadata, **tensors}).encode("utf-8")
    return header + b" " * (-len(header) % 8)  # the arrays begin at a multiple of 8


def _signed(header: bytes, digest: str) -> bytes:
    return header[: _PLACE.start] + digest.encode("ascii") + header[_PLACE.stop :]


def _parsed(header: bytes, where: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return metadata and tensors of a header, which is of the one form that is written."""
    tensors = _json_object(header, where)
    metadata = tensors.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != "fastbp":
        raise FormatError(text(where, "a container of fastbp's", "one of another program"))
    version = metadata.get("version")
    if version != str(VERSION):
        needs = metadata.get("needs")
        known = isinstance(needs, str) and re.fullmatch(r"[0-9][0-9a-z.]{0,20}", needs)
        hint = f"fastbp {needs} reads it, or a newer one" if known else "a newer fastbp may read it"
        raise FormatError(text(where, f"version {VERSION}", shown(version), hint))
    # Whatever is twice, in other words or in another order is none of ours, and may deceive.
    _refuse_other_form(lambda: _header(metadata, tensors) == header, where)
    if list(metadata) != _METADATA or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError(text(where, "texts as metadata: " + ", ".join(_METADATA), "others"))
    return metadata, tensors


def _refuse_other_form(same: Callable[[], bool], where: str) -> None:
    try:
        if same():
            return
    # NaN, a number that became infinite, half a surrogate pair; lists of lists of lists …
    except (ValueError, RecursionError):
        pass
    raise FormatError(text(where, "JSON as fastbp writes it", "another form"))


def _checked(
    tensors: dict[str, Any], size: int, where: str
) -> list[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    """Return name, dtype and shape of each array; together they are all of the file's data."""
    found, end = [], 0
    for name, tensor in tensors.items():
        place = f"{where}: {shown(name)}"
        if not isinstance(tensor, dict) or list(tensor) != _FIELDS:
            raise FormatError(text(place, " and ".join(_FIELDS), "other fields"))
        code, shape, offsets = tensor.values()
        if not isinstance(code, str) or code not in _DTYPES:
            raise FormatError(text(place, " or ".join(_DTYPES), shown(code)))
        # No larger than the file: their product stays a number that is quickly made and shown.
        natural = isinstance(shape, list) and all(type(n) is int and 0 < n <= size for n in shape)
        if not natural or len(shape) > _MOST_DIMENSIONS:
            raise FormatError(text(place, "a shape", shown(shape)))
        begin, end = end, end + math.prod(shape) * _DTYPES[code].itemsize
        same = isinstance(offsets, list) and all(type(n) is int for n in offsets)
        if not same or offsets != [begin, end]:  # False is not 0 here, nor 0.0
            raise FormatError(text(place, f"offsets {[begin, end]}", shown(offsets)))
        found.append((name, _DTYPES[code], tuple(shape)))
    if end != size:
        raise FormatError(text(where, f"{end} bytes of arrays", size))
    return found


# -- layers --------------------------------------------------------------------------------


def layers(biases: Iterable[Any], weights: Iterable[Any], prefix: str = "") -> Arrays:
    """Return the arrays of a network's layers under their names in a file."""
    named = {"weights": weights, "biases": biases}
    return {f"{prefix}{name}.{l}": a for name, part in named.items() for l, a in enumerate(part)}


def pop_layers(
    arrays: Arrays, n_layers: int, prefix: str = ""
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Take biases and weights of so many layers out of ``arrays``; a lack is a ValueError."""
    parts = []
    for name in ("biases", "weights"):
        names = [f"{prefix}{name}.{l}" for l in range(n_layers)]
        lacking = next((name for name in names if name not in arrays), None)
        if lacking is not None:
            raise ValueError(text(lacking, "an array", "none"))
        parts.append([arrays.pop(name) for name in names])
    return parts[0], parts[1]


# -- any file ------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[FileIO, int]]:
    """Open a file to read; yield it and its size. A pipe could block, a device never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise FormatError(text(os.fsdecode(path), "a regular file", "a folder, pipe or device"))
    with open(path, "rb", buffering=0) as file:
        yield file, os.fstat(file.fileno()).st_size


def contents(path: Path) -> bytearray:
    """Return all bytes of a regular file."""
    with opened(path) as (file, size):
        return _take(file, size, os.fsdecode(path))


def _fill(file: FileIO, view: memoryview, where: str) -> None:
    """Read until the view is full."""
    while view:
        got = file.readinto(view[:_PIECE])
        if not got:
            raise FormatError(text(where, f"{len(view)} bytes more", "the end of the file"))
        view = view[got:]


def _take(file: FileIO, n: int, where: str) -> bytearray:
    taken = bytearray(n)
    _fill(file, memoryview(taken), where)
    return taken


def replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Write the pieces to a file beside ``path``, and then put it in the place of ``path``.

    Whoever reads finds the old file or the new one, also after a crash, which may leave the
    other one behind (``.NAME.….tmp``). A link stays, permissions too; a new file has the usual
    ones. What is no file, such as /dev/stdout, is written to as it is.
    """
    target = os.path.realpath(path)
    try:
        old = os.stat(target)
    except FileNotFoundError:
        old = None
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(path))
    if old is not None and not stat.S_ISREG(old.st_mode):
        with FileIO(target, "w") as file:  # a folder is an error here
            _write_all(file.fileno(), pieces)
        return
    folder, name = os.path.split(os.fsdecode(target))
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    # A signal handler may raise between any two calls: the name is made within the block that
    # clears it away, and the file object closes itself, also before it has a name here.
    try:
        with FileIO(temporary, "x") as file:
            if old is not None:
                _inherit(file.fileno(), old)
            _write_all(file.fileno(), pieces)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _write_all(handle: int, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(handle, view) :]


def _inherit(handle: int, old: os.stat_result) -> None:
    """Give a new file the owner, where that is allowed, and the permissions of the old."""
    if not hasattr(os, "fchmod"):
        return
    with contextlib.suppress(OSError):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: str) -> None:
    """Make the new name last through a loss of power, on systems that can."""
    if os.name == "nt":
        return
    handles: list[int] = []
    try:
        # One call opens the folder and lists its handle: no signal handler runs in between.
        handles.extend(map(os.open, [folder], [os.O_RDONLY]))
        os.fsync(handles[0])
    except OSError as error:
        # A folder to write in, but not to list; file systems that have no such fsync.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        for handle in handles:
            os.close(handle)
