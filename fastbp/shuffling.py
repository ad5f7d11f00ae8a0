"""The order of each epoch: the book's shuffles, and what they did to the samples."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, MutableSequence
from functools import cache, partial
from random import Random
from types import BuiltinMethodType, FunctionType, MethodDescriptorType, MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp._dispatch import core
from fastbp.errors import shown, text
from fastbp.samples import Dataset, counted

__all__ = ["python2"]

Shuffle = Callable[[Any], object]


def python2(x: MutableSequence[Any]) -> None:
    """Shuffle ``x`` in place as Python 2's ``random.shuffle`` did, from the global generator.

    Pass it as ``SGD(..., shuffle=python2)`` to repeat a run that was made under
    Python 2, such as the book's own.
    """
    _python2(x, random.random)


def _python2(x: MutableSequence[Any], draw: Callable[[], float]) -> None:
    for i in range(len(x) - 1, 0, -1):
        j = int(draw() * (i + 1))
        x[i], x[j] = x[j], x[i]


class EpochOrder:
    """The order of a run's samples, shuffled again for each epoch.

    ``items`` is what the shuffle works on: the caller's own list of pairs, which is
    reordered in place as in the book, or the row numbers of a Dataset. ``shuffle()``
    returns the shuffle of an epoch: that of a module may be replaced in between.
    """

    def __init__(self, data: list[Any] | Dataset, shuffle: Callable[[], Shuffle] | None) -> None:
        self._shuffle, self.shuffles = shuffle, shuffle is not None
        # A list of fastbp's own: what is checked and what is trained on are the same samples,
        # whatever user code or another thread does to the caller's. It also holds the
        # pairs, so that no id is used again.
        self.samples: list[Any] | Dataset
        self._first: list[Any] = []
        self._items: list[Any] | None = None
        if isinstance(data, Dataset):
            self.samples = data[:]
        else:
            self.samples = self._first = list(data)
            self._items = data
        # The index of each item among the samples, as long as only fastbp reorders them.
        self._order = np.arange(len(self.samples), dtype=np.intp)
        self._places: dict[int, int] | None = None

    @property
    def items(self) -> list[Any]:
        """What the shuffle works on; row numbers become a list only where one is asked for."""
        if self._items is None:
            self._first = list(range(len(self.samples)))
            self._items = [self._first[i] for i in self._order]
        return self._items

    def shuffle(self) -> None:
        """Put the items in the order of the next epoch."""
        if self._shuffle is not None:
            self._reorder(self._shuffle())
        if self._items is not None:
            self._refuse_other_length(len(self._items))

    def _refuse_other_length(self, length: int) -> None:
        n = len(self._order)
        if length != n and isinstance(self.samples, Dataset):
            raise _no_permutation(n, counted(length, "row"))
        if length != n:
            hint = "a run's list may be reordered, but neither grow nor shrink"
            raise ValueError(text("training_data", f"{n} samples in each epoch", length, hint))

    def _reorder(self, shuffle: Shuffle) -> None:
        on_rows = _on_rows(shuffle) if self._in_order() and len(self._order) < 2**32 else None
        if on_rows is None:
            shuffle(self.items)
            return
        before, self._order = self._order, self._order.copy()
        try:
            on_rows(self._order)
        finally:  # with Ctrl-C in between, the list would not be where the generator is
            if self._items is not None:
                core.reorder(self._items, self._first, before, self._order)

    def again(self) -> EpochOrder:
        """Return the order of the items as they are now."""
        return EpochOrder(self.items, self._shuffle)

    def order(self) -> NDArray[np.intp] | None:
        """Return the index of each item among the samples; None if there is a new one.

        The shuffle may be anybody's, so its permutation is read off the items unless they
        are where fastbp left them. A pair that is there twice is the same sample at either
        place.
        """
        if self._in_order():
            return self._order
        items = list(self.items)  # which user code, or another thread, may go on to change
        self._refuse_other_length(len(items))
        if isinstance(self.samples, Dataset):
            self._order = _permutation(items, len(self._first))
            return self._order
        if self._places is None:
            self._places = {id(item): i for i, item in enumerate(self._first)}
        try:
            places = map(self._places.__getitem__, map(id, items))
            self._order = np.fromiter(places, np.intp, len(items))
        except KeyError:
            return None
        return self._order

    def _in_order(self) -> bool:
        # A list of another class may have its own idea of what its items are.
        return self._items is None or (
            type(self._items) is list and core.is_in_order(self._items, self._first, self._order)
        )


def _permutation(rows: list[Any], n: int) -> NDArray[np.intp]:
    """Return row numbers that a user's shuffle left: all below n, each once."""
    order = np.empty(n, np.intp)
    for k, row in enumerate(rows):
        try:
            order[k] = operator.index(row)
        except (TypeError, OverflowError):
            raise _no_permutation(n, shown(row)) from None
        if not 0 <= order[k] < n:
            raise _no_permutation(n, str(order[k]))
    counts = np.bincount(order, minlength=n)
    if counts.max() > 1:
        row = int(counts.argmax())
        raise _no_permutation(n, f"{row} {counts[row]} times")
    return order


def _no_permutation(n: int, got: str) -> ValueError:
    return ValueError(text("shuffle", f"the row numbers 0 to {n - 1} in another order", got))


class SeededOrder:
    """The samples of a run, in an order for each epoch that two numbers tell.

    A run that goes on at an epoch has the same order there as one that came to it.
    """

    shuffles = True

    def __init__(self, data: Dataset, seed: int, epoch: int) -> None:
        self.samples = data[:]
        self._seed, self._next = seed, epoch

    def shuffle(self) -> None:
        """Draw the order of the next epoch."""
        generator = np.random.default_rng([self._seed, self._next])
        self._order = generator.permutation(len(self.samples)).astype(np.intp, copy=False)
        self._next += 1

    def order(self) -> NDArray[np.intp]:
        """Return it, as indices into the samples."""
        return self._order

    def again(self) -> SeededOrder:
        """Return itself: nobody else reorders a Dataset."""
        return self


# -- the same shuffles of an array of rows, compiled ---------------------------------

OnRows = Callable[[NDArray[np.intp]], object]


def _on_rows(shuffle: Shuffle) -> OnRows | None:
    """Return what shuffles rows as ``shuffle`` does a list, from the same generator.

    None if it is not certain to be the same: whoever has replaced any part of Python's
    shuffle wants his own called.
    """
    python2 = shuffle is _SHIPPED_PYTHON2
    method: Any = random.random if python2 else shuffle
    if type(method) not in (MethodType, BuiltinMethodType):
        return None
    generator = method.__self__
    kind: Any = type(generator)
    if kind in (np.random.Generator, np.random.RandomState):
        known = not python2 and method == generator.shuffle and _known_of_numpy(kind)
        return shuffle if known else None
    if type(generator) is not Random or not _genuine(generator):
        return None
    if method != (generator.random if python2 else generator.shuffle):
        return None
    return _compiled(generator, python2) if _known_of_python(python2) else None


def _compiled(generator: Random, python2: bool) -> OnRows:
    words: Any = super(Random, generator)  # without `gauss_next`, which stays
    return partial(core.shuffle, words.getstate, words.setstate, python2)


# What the shuffle of a Random calls: of module random, or C. The names that a subclass or
# an instance may override are looked up again for each epoch.
_PARTS = ("shuffle", "_randbelow", "getrandbits", "random")


def _parts() -> list[Any]:
    return [getattr(Random, name, None) for name in _PARTS]


_SHIPPED = _parts()
_SHIPPED_PYTHON2 = python2
# Replaced before we came?
_UNTOUCHED = all(
    type(part) is MethodDescriptorType
    or (type(part) is FunctionType and part.__globals__ is vars(random))
    for part in _SHIPPED
)


def _genuine(generator: Random) -> bool:
    """Whether nobody has replaced a part of the shuffle, in the class or in the object."""
    return _UNTOUCHED and _parts() == _SHIPPED and vars(generator).keys().isdisjoint(_PARTS)


def _same_as_python(python2: bool) -> bool:
    """Whether the compiled shuffle does what the running Python's does, seen on samples."""
    ours, pythons = Random(1), Random(1)
    compiled = _compiled(ours, python2)
    for n in (*range(10), 31, 32, 33, 1000):
        rows, items = np.arange(n, dtype=np.intp), list(range(n))
        try:
            compiled(rows)
        except Exception:  # a state of another form
            return False
        if python2:
            _python2(items, pythons.random)
        else:
            pythons.shuffle(items)
        if rows.tolist() != items or ours.getstate() != pythons.getstate():
            return False
        for generator in (ours, pythons):  # the pairs of draws of Python 2 may begin anywhere
            generator.getrandbits(1)
    return True


def _same_as_numpy(kind: type[np.random.Generator | np.random.RandomState]) -> bool:
    """Whether NumPy shuffles an array as it does a list, seen on samples."""
    of_rows, of_items = (kind(np.random.PCG64(1)) for _ in range(2))
    for n in (*range(1, 10), 31, 32, 33, 1000):
        rows, items = np.arange(n, dtype=np.intp), list(range(n))
        of_rows.shuffle(rows)
        of_items.shuffle(items)
        if rows.tolist() != items:
            return False
    return bool((of_rows.random(4) == of_items.random(4)).all())


# Asked once a process, and not before there is something to shuffle.
_known_of_python = cache(_same_as_python)
_known_of_numpy = cache(_same_as_numpy)
