"""Arrays and numbers of a pickle, read without executing it.

A pickle is a program for a small stack machine, and a name in it can call any function. Here
the codes that pickles of NumPy arrays are made of run on a stack of our own. The names in
``_NAMES`` stand for functions of this module; every other name, and every other code, is
refused. Nothing is imported, and no code can reach a registry, a dictionary or a class.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

# 250,000 images of 784 float64 take 8 million codes and 1.6 GB; these are the bounds on what a
# hostile file can take in time and memory.
_MOST_CODES = 2**24
_MOST_BYTES = 2**31  # of all data together
_LONGEST_LINE = 200  # of a name or a number
_LONGEST_SHARED = 64
_PIECE = 2**16


class Array:
    """An array of a pickle, which names it first and fills it later."""

    __slots__ = ("values",)

    values: NDArray[Any]

    def fill(self, version: object, shape: Any, dtype: Any, fortran: object, data: Any) -> None:
        """Take what NumPy keeps of an array."""
        if version != 1:
            raise ValueError("an array of another NumPy")
        self.values = _values(data, dtype, shape, "F" if fortran is True else "C")


class _Dtype:
    """The type of an array's numbers, of which a pickle tells the order of bytes later."""

    __slots__ = ("code", "dtype")

    dtype: np.dtype[Any]

    def __init__(self, code: str) -> None:
        self.code = code

    def fill(self, version: object, order: Any, *_: object) -> None:
        """Take what NumPy keeps of a type; the rest is of types with fields."""
        if (sign := _text(order)) not in ("<", ">", "=", "|"):
            raise ValueError("numbers in no order of bytes")
        self.dtype = np.dtype(sign + self.code)


# -- what the admitted names stand for -----------------------------------------------------


def _reconstruct(*_: object) -> Array:
    return Array()


def _dtype(code: Any, *_: object) -> _Dtype:
    name = _text(code)
    if not re.fullmatch("f[248]|[iu][1248]", name):
        raise ValueError(f"numbers of type {name[:20]!r}")
    return _Dtype(name)


def _scalar(dtype: Any, data: Any) -> int | float:
    number: int | float = _values(data, dtype, (1,), "C").item()
    return number


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    array = Array()
    array.values = _values(data, dtype, shape, _text(order))
    return array


def _encode(characters: Any, _: object) -> bytes:
    """Return the bytes that a text of Python 3 stands for in a pickle for Python 2."""
    data: bytes = characters.encode("latin1")
    return data


def _values(data: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise ValueError("an array of no numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError("an array without a shape")
    size = math.prod(shape) * dtype.dtype.itemsize
    if size != len(data):
        raise ValueError(f"an array of {len(data)} bytes whose shape and type take others")
    array: NDArray[Any] = np.frombuffer(data, dtype.dtype)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _text(value: Any) -> str:
    """Return a text of either Python."""
    return value.decode("latin1") if isinstance(value, bytes | bytearray) else str.__str__(value)


_NAMES: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None,  # an argument, never called
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    **{
        f"{package}.{name}": function
        for package in ("numpy.core", "numpy._core")
        for name, function in (
            ("multiarray._reconstruct", _reconstruct),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _frombuffer),
        )
    },
}


# -- the machine ---------------------------------------------------------------------------


class _Machine:
    """The stack machine; each method does what one pickle code says."""

    def __init__(self, stream: BinaryIO) -> None:
        self.read, self.readline = stream.read, stream.readline
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # a stack for each mark
        self.memo: dict[int, Any] = {}
        self.memoized = 0
        self.bytes_left = _MOST_BYTES

    def run(self) -> Any:
        read = self.read
        for _ in range(_MOST_CODES):
            code = read(1)
            if code == b".":
                break
            action = _ACTIONS.get(code)
            if action is None:
                raise ValueError(_refused(code))
            action(self)
        else:
            raise ValueError(f"more than {_MOST_CODES} pickle codes")
        (value,) = self.stack
        if read(1):  # at the end of a gzip file this also compares its checksum
            raise ValueError("more behind the pickle's end")
        return value

    # What is read.

    def number(self, n: int, *, signed: bool = False) -> int:
        data = self.read(n)
        if len(data) < n:
            raise ValueError("the end of the file")
        return int.from_bytes(data, "little", signed=signed)

    def data(self, n: int) -> bytes | bytearray:
        """Return the next n bytes; memory is asked for as they come."""
        self.count(n)
        data: bytes | bytearray = self.read(min(n, _PIECE))
        if len(data) < n:
            data = bytearray(data)
            while len(data) < n:
                piece = self.read(min(n - len(data), _PIECE))
                if not piece:
                    raise ValueError("the end of the file")
                data += piece
        return data

    def count(self, n: int) -> None:
        self.bytes_left -= n
        if n < 0 or self.bytes_left < 0:
            raise ValueError(f"more than {_MOST_BYTES} bytes")

    def line(self) -> str:
        line = self.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ValueError(f"no line of at most {_LONGEST_LINE} characters, {line[:80]!r}")
        return line[:-1].decode("ascii")

    def quoted(self) -> bytearray:
        """Return the bytes of a text of Python 2, which stands in quotes and with escapes."""
        quote, found, rest = self.read(1), bytearray(), b""
        while True:
            piece = self.readline(_PIECE)
            rest += piece
            if piece.endswith(b"\n"):
                break
            if not piece:
                raise ValueError("the end of the file")
            # An escape, \\ or \n or \x00, is not cut in two; nor is the end of the line.
            cut = max(len(rest) - 2, 0)
            last = rest.rfind(b"\\", max(cut - 3, 0), cut)
            if last >= 0 and (last - len(rest[:last].rstrip(b"\\"))) % 2 == 0:
                cut = last
            found += self.unescaped(rest[:cut])
            rest = rest[cut:]
        if quote not in (b"'", b'"') or rest[-2:-1] != quote:
            raise ValueError("a text without quotes")
        found += self.unescaped(rest[:-2])
        return found

    def unescaped(self, escaped: bytes) -> bytes:
        data = codecs.escape_decode(escaped)[0]
        self.count(len(data))
        return data

    # Names, calls.

    def named(self, name: str) -> None:
        if name not in _NAMES:
            raise ValueError(f"a reference to {name[:80]!r}")
        self.stack.append(_NAMES[name])

    def stack_global(self) -> None:
        module, name = self.stack[-2:]
        del self.stack[-2:]
        self.named(f"{_text(module)}.{_text(name)}")

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not callable(function) or type(arguments) is not tuple:
            raise ValueError("a call of no function")
        self.stack.append(function(*arguments))

    def build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, Array | _Dtype) or type(state) is not tuple:
            raise ValueError("a state of no array")
        made.fill(*state)

    # Tuples, lists, marks.

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def above_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def tuple_of(self, n: int) -> None:
        items = tuple(self.stack[-n:])
        if len(items) < n:
            raise ValueError("a tuple of too few")
        del self.stack[-n:]
        self.stack.append(items)

    def tuple_above(self) -> None:
        items = self.above_mark()
        self.stack.append(tuple(items))

    def list_above(self) -> None:
        items = self.above_mark()
        self.stack.append(items)

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("an item for no list")
        self.stack[-1].extend(items)

    # The memo, by which a pickle refers to what it has made before.

    def put(self, place: int) -> None:
        value = self.stack[-1]
        # Nothing refers to an array's data, or to a tuple about it; kept here, they would stay
        # in memory until the end.
        long = isinstance(value, str | bytes | bytearray) and len(value) > _LONGEST_SHARED
        if type(value) is tuple or long:
            self.memo.pop(place, None)
        else:
            self.memo[place] = value

    def memoize(self) -> None:
        self.put(self.memoized)
        self.memoized += 1

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise ValueError("a reference to nothing, a tuple or an array's data")
        self.stack.append(self.memo[place])


def _refused(code: bytes) -> str:
    from pickletools import opcodes  # needed for bad files alone

    if not code:
        return "the end of the file"
    names = {known.code: known.name for known in opcodes}
    return f"the pickle code {names.get(code.decode('latin1'), code)}"


def _integer(line: str) -> int | bool:
    """Return what the code INT says, whose 00 and 01 are False and True."""
    return line == "01" if line in ("00", "01") else int(line)


_ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda m: m.number(1),  # PROTO
    b"\x95": lambda m: m.number(8),  # FRAME: how much to read ahead
    b"(": _Machine.mark,
    b"c": lambda m: m.named(f"{m.line()}.{m.line()}"),
    b"\x93": _Machine.stack_global,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"p": lambda m: m.put(int(m.line())),
    b"q": lambda m: m.put(m.number(1)),
    b"r": lambda m: m.put(m.number(4)),
    b"\x94": _Machine.memoize,
    b"g": lambda m: m.get(int(m.line())),
    b"h": lambda m: m.get(m.number(1)),
    b"j": lambda m: m.get(m.number(4)),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"I": lambda m: m.stack.append(_integer(m.line())),
    b"L": lambda m: m.stack.append(int(m.line().removesuffix("L"))),
    b"J": lambda m: m.stack.append(m.number(4, signed=True)),
    b"K": lambda m: m.stack.append(m.number(1)),
    b"M": lambda m: m.stack.append(m.number(2)),
    b"\x8a": lambda m: m.stack.append(m.number(m.number(1), signed=True)),  # LONG1
    b"S": lambda m: m.stack.append(m.quoted()),
    b"U": lambda m: m.stack.append(m.data(m.number(1))),
    b"T": lambda m: m.stack.append(m.data(m.number(4, signed=True))),
    b"C": lambda m: m.stack.append(m.data(m.number(1))),
    b"B": lambda m: m.stack.append(m.data(m.number(4))),
    b"\x8e": lambda m: m.stack.append(m.data(m.number(8))),  # BINBYTES8
    b"\x96": lambda m: m.stack.append(m.data(m.number(8))),  # BYTEARRAY8
    b"\x8c": lambda m: m.stack.append(m.data(m.number(1)).decode("utf-8")),
    b"X": lambda m: m.stack.append(m.data(m.number(4)).decode("utf-8")),
    b"\x8d": lambda m: m.stack.append(m.data(m.number(8)).decode("utf-8")),  # BINUNICODE8
    b")": lambda m: m.stack.append(()),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"t": _Machine.tuple_above,
    b"]": lambda m: m.stack.append([]),
    b"l": _Machine.list_above,
    b"a": lambda m: m.extend([m.stack.pop()]),
    b"e": lambda m: m.extend(m.above_mark()),
}


def load(stream: BinaryIO) -> Any:
    """Return the tuples, lists, numbers and arrays (`Array`) of a pickle of either Python.

    Raises
    ------
    Exception
        The pickle is bad: whatever its codes run into, mostly a ValueError whose text says what
        there was.
    """
    return _Machine(stream).run()
