"""The order of each epoch: the book's shuffles, and what they did to the samples."""

from __future__ import annotations

import random
from collections.abc import Callable, MutableSequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.errors import text
from fastbp.samples import Dataset

__all__ = ["python2"]

Shuffle = Callable[[Any], object]


def python2(x: MutableSequence[Any]) -> None:
    """Shuffle ``x`` in place as Python 2's ``random.shuffle`` did, from the global generator.

    Pass it as ``SGD(..., shuffle=python2)`` to repeat a run that was made under
    Python 2, such as the book's own.
    """
    for i in range(len(x) - 1, 0, -1):
        j = int(random.random() * (i + 1))
        x[i], x[j] = x[j], x[i]


class Deck:
    """The samples of a run, shuffled anew for each epoch.

    ``cards`` is what the shuffle works on: the caller's own list of pairs, which is
    reordered in place as in the book, or the row numbers of a Dataset.
    """

    def __init__(self, data: list[Any] | Dataset, shuffle: Shuffle | None) -> None:
        self._shuffle = shuffle
        self._place: dict[int, int] | None = None
        # A copy of our own: what is checked and what is trained on are the same samples,
        # whatever user code or another thread does to the caller's. It also holds the
        # pairs, so that no id is used again.
        self.dealt: list[Any] | Dataset
        if isinstance(data, Dataset):
            self.dealt = data[:]
            self.cards: list[Any] = list(range(len(self.dealt)))
        else:
            self.dealt = list(data)
            self.cards = data
            self._place = {id(card): i for i, card in enumerate(self.dealt)}
        self._n = len(self.dealt)

    def shuffle(self) -> None:
        """Put the cards in the order of the next epoch."""
        if self._shuffle is not None:
            self._shuffle(self.cards)
            if not self.cards:
                raise ValueError(text("training_data", "at least one sample", "none shuffled"))

    def order(self) -> NDArray[np.intp] | None:
        """Return where each card lay at first; None if there is a new one among them.

        The shuffle may be anybody's, so its permutation is read off the cards. A
        pair that is there twice counts as its last place: it is the same sample.
        """
        if self._place is None:
            order = np.array(self.cards)
            if order.dtype.kind not in "iu" or order.min() < 0 or order.max() >= self._n:
                raise ValueError(text("shuffle", f"row numbers below {self._n}", "others"))
            return order.astype(np.intp)
        try:
            places = map(self._place.__getitem__, map(id, self.cards))
            return np.fromiter(places, np.intp, len(self.cards))
        except KeyError:
            return None
