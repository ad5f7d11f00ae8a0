"""The loops around the core: epochs, mini-batches, checkpoints, what a failure leaves."""

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks, samples
from fastbp._dispatch import core
from fastbp.errors import DivergenceError, text
from fastbp.functions import COSTS
from fastbp.parameters import Layout
from fastbp.samples import Dataset
from fastbp.shuffling import EpochOrder, SeededOrder
from fastbp.training import packing, threads

Arrays = list[NDArray[Any]]

# Between two returns from the core, in which Python handles signals.
_SECONDS = 0.1


class Trainable(Protocol):
    """What the loop asks of a network."""

    def _layout(self) -> Layout: ...
    def _checked(self, *, finite: bool) -> tuple[Layout, Arrays, Arrays]: ...
    def _publish(self, layout: Layout, block: NDArray[Any]) -> None: ...


def run(
    net: Trainable,
    ordering: EpochOrder | SeededOrder,
    *,
    epochs: range,
    mini_batch_size: int,
    eta: Callable[[int], float | None],
    l2: float,
    cost: Callable[[], str | None],
    step: Callable[[list[Any], int], None],
    own_samples: Callable[[], bool],
    check_finite: bool,
    after_epoch: Callable[[int, Any], bool],
    n_threads: int = 1,
    options: Callable[[Layout, int], Any] = lambda layout, epoch: None,
    carried: NDArray[Any] | None = None,
    buffers: int = 2,
    weights: NDArray[Any] | None = None,
    fixed: Layout | None = None,
) -> None:
    """Train ``net`` and commit once an epoch; a list is shuffled in place, a Dataset is not.

    The core descends the compiled ``cost()``. Where there is none, as a user overrides a
    part of it, the epoch goes through ``step(mini_batch, n)``, and the samples are not
    checked if it is ``own_samples()`` that a user's function takes. ``after_epoch(epoch,
    data)`` reports, and returns whether to stop; None for ``eta(epoch)`` stops before it.
    All are asked anew in each epoch: they, and the shuffle, are code of the user's that may
    change the network.
    ``options(layout, epoch)`` tells the core of what goes beyond plain steps with weight
    decay, which needs so many ``buffers`` of workspace and keeps in ``carried`` what it carries
    from one step to the next: then the network must stay of the ``fixed`` layout. ``weights`` are
    those of the samples' costs.
    """
    n, data = len(ordering.samples), _TrainingData(check_finite, len(epochs))
    pace = threads.Pace(n_threads)
    if n == 0:
        raise ValueError(text("training_data", "at least one sample", "none"))
    layout, _, _ = net._checked(finite=True)
    if cost() is not None or isinstance(ordering.samples, Dataset) or not own_samples():
        data.check(ordering, layout)
    for epoch in epochs:
        rate = eta(epoch)
        if rate is None:
            break
        ordering.shuffle()
        compiled = cost()
        if compiled is None:
            assert isinstance(ordering, EpochOrder)
            _by_hand(step, ordering, net, n, mini_batch_size, epoch)
            reported: Any = (
                ordering.items if isinstance(ordering.samples, list) else ordering.samples
            )
        else:
            order = ordering.order()
            if order is None:  # a user's shuffle has put in new samples
                ordering = ordering.again()
                order = np.arange(len(ordering.samples), dtype=np.intp)
            layout = net._layout()
            layout.refuse_other(fixed or layout)
            data.check(
                ordering, layout
            )  # before the parameters: samples may be objects that run code
            data.pack()
            layout, biases, net_weights = net._checked(finite=True)
            layout.refuse_other(fixed or layout)
            data.check(ordering, layout)
            block = layout.pack(biases, net_weights)
            try:
                descend(
                    layout,
                    block,
                    data.X,
                    data.Y,
                    order,
                    mini_batch_size=mini_batch_size,
                    cost=compiled,
                    eta=rate,
                    decay=1 - rate * l2,
                    epoch=epoch,
                    pace=pace,
                    options=options(layout, epoch),
                    carried=carried,
                    buffers=buffers,
                    weights=weights,
                    packed=data.packed,
                )
            finally:
                net._publish(layout, block)
            reported = data.checked
        if after_epoch(epoch, reported):
            break


class _TrainingData:
    """The samples of a run as arrays for the core: checked once, and again if they change.

    ``X`` (n, n_0) and ``Y`` (n, n_L) are the inputs and the targets, ``packed`` the nonzeros of X,
    where they pay.
    """

    checked: Dataset
    X: NDArray[Any]
    Y: NDArray[Any]
    packed: packing.PackedRows | tuple[None, None]

    def __init__(self, check_finite: bool, epochs: int) -> None:
        self._check_finite, self._epochs = check_finite, epochs
        self._made_of: tuple[Any, ...] = ()

    def check(self, ordering: EpochOrder | SeededOrder, layout: Layout) -> None:
        """Check the samples, unless these have been checked for this layout."""
        if self._made_of == (ordering, layout):
            return
        self.checked, self.Y = samples.for_training(
            ordering.samples, layout.sizes, layout.dtype, check_finite=self._check_finite
        )
        self.X = self.checked.X
        # Not for new samples: a shuffle that has put them in may do so in every epoch.
        again = not self._made_of and ordering.shuffles and self._epochs >= packing.LEAST_EPOCHS
        as_they_are = self.X.itemsize <= layout.itemsize  # else they are cut and rounded
        self._worth_it, self.packed = again and as_they_are, packing.NONE
        self._made_of = (ordering, layout)

    def pack(self) -> None:
        """Pack the nonzeros of the inputs, if they are to be read again and again."""
        if self._worth_it:
            self._worth_it, self.packed = False, packing.pack(self.X)


def _by_hand(
    step: Callable[[list[Any], int], None],
    ordering: EpochOrder,
    net: Trainable,
    n: int,
    mini_batch_size: int,
    epoch: int,
) -> None:
    """Take the mini-batches of one epoch through ``step``."""
    items = ordering.items
    if isinstance(ordering.samples, Dataset):
        rows = samples.pairs(ordering.samples, net._checked(finite=False)[0].sizes[-1])
        items = [rows[i] for i in ordering.order()]  # type: ignore[union-attr]  # never None here
    for start in range(0, len(items), mini_batch_size):
        try:
            step(items[start : start + mini_batch_size], n)
        except DivergenceError as error:
            error.epoch, error.mini_batch = epoch, start // mini_batch_size
            error.add_note(f"in epoch {epoch}, mini-batch {error.mini_batch}")
            raise


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
    epoch: int | None = None,
    pace: threads.Pace = threads.ALONE,
    options: Any = None,
    carried: NDArray[Any] | None = None,
    buffers: int = 2,
    weights: NDArray[Any] | None = None,
    packed: Any = packing.NONE,
) -> None:
    """Take the mini-batches of ``order`` on ``block``, in place.

    The block is left after a whole mini-batch and finite, whatever ends the call:
    the end, an exception such as Ctrl-C, or divergence, which raises
    DivergenceError after a return to the state before the mini-batch that diverged. It is
    found by a replay from the last look at the parameters, so that neither the error nor the
    state depends on when these are looked at. ``epoch`` is None where ``order`` is one
    mini-batch by itself. ``pace`` tells how many threads share the work, which changes no
    bit of the result. ``options``, of the core's, ``carried``, ``buffers`` and ``weights`` are
    as in :func:`run`; ``packed`` are the packed nonzeros of X.
    """
    size = min(mini_batch_size, len(order))
    rows = layout.rows(size)
    most = pace.most(3.0 * rows * len(block), block.itemsize)
    grads, workspace = layout.empty(), layout.workspace(rows, most, buffers)
    looked = time.perf_counter()
    good, good_at, position = block.copy(), 0, 0
    good_carried = None if carried is None else carried.copy()
    look_seconds = time.perf_counter() - looked
    # A large network takes its time to be looked at, copied and committed, too.
    seconds = max(_SECONDS - 4 * look_seconds, _SECONDS / 10)

    def take(order: NDArray[np.intp], position: int, seconds: float, parts: int) -> int | None:
        return threads.enter(
            parts, core.train,
            block, grads, layout.layers, *workspace, core.Samples(X, Y, weights, *packed),
            order, position, size, COSTS[cost], eta, decay, seconds, options,
        )  # fmt: skip

    def replay() -> int:
        """Return the mini-batch that diverged; ``good`` is the state before it."""
        block[:] = good
        if carried is not None and good_carried is not None:
            carried[:] = good_carried
        begin = good_at - good_at % size  # parameters change at the end of a mini-batch alone
        for first in range(begin, position, size):
            good[:] = block
            reached: int | None = first
            upto = order[: first + size]
            while reached is not None and reached < len(upto):
                reached = take(upto, reached, seconds, 1)
            if not _checks.all_finite(block):
                break
        return first // size

    try:
        while position < len(order):
            parts, fraction = pace.next(most)
            entered, start = time.perf_counter(), position
            reached = take(order, position, fraction * seconds, parts)
            if reached is None:
                pace.give_up()
                continue
            position, now = reached, time.perf_counter()
            pace.note(parts, now - entered, position - start)
            # In a large network a look is no trifle; it may take a twentieth of the time.
            if position == len(order) or now - looked >= 20 * look_seconds:
                if not _checks.all_finite(block):
                    k = replay()
                    rows_of = order[k * size : (k + 1) * size]
                    bad_data = not (np.isfinite(X[rows_of]).all() and np.isfinite(Y[rows_of]).all())
                    raise diverged(epoch, k, eta, _BAD_DATA if bad_data else advice(decay))
                if position == len(order):
                    break  # nothing follows that could be taken back
                good[:], good_at = block, position
                if carried is not None and good_carried is not None:
                    good_carried[:] = carried
                looked = time.perf_counter()
                look_seconds = looked - now
    except BaseException:
        finite = False
        try:
            finite = _checks.all_finite(block)
        finally:  # also when a second Ctrl-C ends the look
            if not finite:
                block[:] = good
        raise


def clipping(max_norm: float) -> Any:
    """Return the core's options of plain steps by gradients of at most this norm."""
    if max_norm == math.inf:
        return None
    return core.Options(
        max_norm, core.OPTIMIZERS["sgd"], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, None,
        None, 0, 0, 0, None,
    )  # fmt: skip


_BAD_DATA = "its samples hold NaN or infinity: without check_finite=False they are named"


def diverged(epoch: int | None, mini_batch: int, eta: float, hint: str) -> DivergenceError:
    """Return the error of a step that led to a parameter that is not finite."""
    where = "mini_batch"
    if epoch is not None:
        where = f"training_data, epoch {epoch}, mini-batch {mini_batch}"
    return DivergenceError(
        f"{where}: a parameter became NaN or infinite at eta = {eta:g}; "
        f"the network is back at its last finite state, the one before; {hint}",
        epoch=epoch,
        mini_batch=None if epoch is None else mini_batch,
        eta=eta,
    )


def advice(decay: float) -> str:
    """Return what to try after divergence."""
    if abs(decay) > 1:
        return f"try a smaller eta or lmbda: each step multiplies the weights by {decay:g}"
    return "try a smaller eta"


def outputs(layout: Layout, block: NDArray[Any], X: NDArray[Any]) -> NDArray[Any]:
    """Return the output activations of every row of X, (n, n_out)."""
    n = len(X)
    rows = min(layout.block_rows, max(n, 1))
    workspace = layout.workspace(rows)
    result = np.empty((n, layout.sizes[-1]), layout.dtype)
    for start in range(0, n, layout.rows_per_call):
        stop = min(start + layout.rows_per_call, n)
        core.forward(block, layout.layers, *workspace, core.Samples(X), start, stop, result)
    return result
