"""The loops around the core: epochs, mini-batches, checkpoints, what a failure leaves."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks, samples
from fastbp._dispatch import core
from fastbp.errors import DivergenceError
from fastbp.functions import COSTS
from fastbp.parameters import Layout
from fastbp.samples import Dataset
from fastbp.shuffling import Deck, Shuffle

Arrays = list[NDArray[Any]]

# Between two returns from the core, in which Python handles signals.
_SECONDS = 0.1


class Trainable(Protocol):
    """What the loops ask of a network."""

    def _checked(self, *, finite: bool) -> tuple[Layout, Arrays, Arrays]: ...
    def _commit(self, biases: Arrays, weights: Arrays) -> None: ...


def run(
    net: Trainable,
    data: list[Any] | Dataset,
    *,
    epochs: int,
    mini_batch_size: int,
    eta: float,
    lmbda: float,
    cost: str,
    shuffle: Shuffle | None,
    check_finite: bool,
    after_epoch: Callable[[int, Dataset], bool],
) -> None:
    """Train ``net`` on the core, and commit once an epoch.

    ``after_epoch(epoch, data)`` reports, on the checked data, and returns whether to
    stop. A list is shuffled in place, a Dataset is not.
    """
    layout, _, _ = net._checked(finite=True)
    decay = 1 - eta * (lmbda / len(data)) if len(data) else 1.0

    def check() -> tuple[Dataset, NDArray[Any]]:
        checked = samples.gate(
            data, layout.sizes, "training_data", y="columns", check_finite=check_finite
        )
        return checked, samples.targets(checked, layout.sizes[-1], layout.dtype)

    checked, Y = check()
    deck = Deck(data, shuffle)
    for epoch in range(epochs):
        deck.shuffle()
        order = deck.order()
        if order is None:  # a user's shuffle has put in new samples
            checked, Y = check()
            deck = Deck(deck.cards, shuffle)
            order = np.arange(len(checked))
        # Packed anew: after_epoch or the shuffle may have run code that changes the net.
        layout, biases, weights = net._checked(finite=True)
        block = layout.pack(biases, weights)
        try:
            descend(
                layout,
                block,
                checked.X,
                Y,
                order,
                mini_batch_size=mini_batch_size,
                cost=cost,
                eta=eta,
                decay=decay,
                where=f"training_data, epoch {epoch}",
            )
        finally:
            net._commit(*layout.unpack(block))
        if after_epoch(epoch, checked):
            break


def run_with(
    step: Callable[[list[Any], int], None],
    data: list[Any],
    *,
    epochs: int,
    mini_batch_size: int,
    shuffle: Shuffle | None,
    after_epoch: Callable[[int, list[Any]], bool],
) -> None:
    """Train through ``step(mini_batch, n)``, where a user overrides what the core would do."""
    n = len(data)
    for epoch in range(epochs):
        if shuffle is not None:
            shuffle(data)
        for start in range(0, len(data), mini_batch_size):
            try:
                step(data[start : start + mini_batch_size], n)
            except DivergenceError as error:
                error.add_note(f"in epoch {epoch}, mini-batch {start // mini_batch_size}")
                raise
        if after_epoch(epoch, data):
            break


def descend(
    layout: Layout,
    block: NDArray[Any],
    X: NDArray[Any],
    Y: NDArray[Any],
    order: NDArray[np.intp],
    *,
    mini_batch_size: int,
    cost: str,
    eta: float,
    decay: float,
    where: str,
) -> None:
    """Take the mini-batches of ``order`` on ``block``, in place.

    The block is left after a whole mini-batch and finite, whatever ends the call:
    the end, an exception such as Ctrl-C, or divergence, which raises
    DivergenceError after a return to the last finite checkpoint.
    """
    size = min(mini_batch_size, len(order))
    rows = min(layout.block_rows, size)
    grads, scratch = layout.empty(), layout.scratch(rows)
    looked = time.perf_counter()
    good, good_at, position = block.copy(), 0, 0
    look_seconds = time.perf_counter() - looked
    # A large network takes its time to be looked at, copied and committed, too.
    seconds = max(_SECONDS - 4 * look_seconds, _SECONDS / 10)
    try:
        while position < len(order):
            position = core.train(
                block, grads, layout.table, scratch, rows, X, Y, order,
                position, size, COSTS[cost], eta, decay, seconds,
            )  # fmt: skip
            now = time.perf_counter()
            # In a large network a look is no trifle; it may take a twentieth of the time.
            if position == len(order) or now - looked >= 20 * look_seconds:
                if not _checks.all_finite(block):
                    raise DivergenceError(
                        f"{where}: a parameter became NaN or infinite between samples {good_at} "
                        f"and {position}, at eta = {eta:g}; the network is back at its last "
                        f"finite state; {advice(decay)}"
                    )
                good[:], good_at = block, position
                looked = time.perf_counter()
                look_seconds = looked - now
    except BaseException:
        if not _checks.all_finite(block):
            block[:] = good
        raise


def advice(decay: float) -> str:
    """Return what to try after divergence."""
    if abs(decay) > 1:
        return f"try a smaller lmbda: each step multiplies the weights by {decay:g}"
    return "try a smaller eta"


def outputs(layout: Layout, block: NDArray[Any], X: NDArray[Any]) -> NDArray[Any]:
    """Return the output activations of every row of X, (n, n_out)."""
    n = len(X)
    rows = max(1, min(layout.block_rows, n))
    scratch = layout.scratch(rows)
    result = np.empty((n, layout.sizes[-1]), layout.dtype)
    for start in range(0, n, layout.rows_per_call):
        stop = min(start + layout.rows_per_call, n)
        core.forward(block, layout.table, scratch, rows, X, start, stop, result)
    return result
