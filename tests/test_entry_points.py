"""The entry points of the core: each refuses, by itself, an array that it would misread.

The gates in front of them let no such array through; but user code runs between a gate and the
core, and in other threads. What enters in one call is looked at together, in that call.
"""

import array
import gc
import threading
import weakref
from itertools import pairwise
from mmap import mmap

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import fastbp
from fastbp import gradients, network2
from fastbp._dispatch import core

pytestmark = pytest.mark.core

SIZES, N, ROWS = [70, 9, 4, 3], 7, 3
N_0 = SIZES[0]


def aligned(n, dtype):
    """Return n numbers that begin a line of memory."""
    raw = np.zeros(n + core.ALIGNMENT, dtype)
    start = -raw.ctypes.data % core.ALIGNMENT // raw.itemsize
    return raw[start : start + n]


class Given:
    """Good arguments of every entry point, by name; the arrays of one call share no memory."""

    def __init__(self, dtype):
        rng = np.random.default_rng(0)
        net = network2.Network(SIZES, dtype=dtype, random_state=0)
        layout, biases, weights = net._checked()
        self.layout, self.biases, self.weights = layout, biases, weights
        self.table, self.itemsize = layout.table.copy(), layout.itemsize
        self.params = layout.pack(biases, weights)
        self.grads = layout.pack(biases, weights)
        self.scratch, self.four, self.six = (
            aligned(core.scratch_length(self.table, self.itemsize, ROWS, kinds, 1), dtype)
            for kinds in (2, 4, 6)
        )
        self.X = rng.random((N, SIZES[0])).astype(dtype)
        self.Y = rng.random((N, SIZES[-1])).astype(dtype)
        self.order = rng.permutation(N).astype(np.intp)
        self.sample_weight = rng.random(N).astype(dtype)
        self.out = np.zeros((N, SIZES[-1]), dtype)
        self.costs = np.zeros(N)
        self.rates = np.array([0, 0.5, 0.5, 0])
        self.moments = layout.state(2)
        self.starts, self.new_starts = np.zeros((2, N + 1), np.intp)
        self.new_records = np.zeros(N * 2000, np.uint8)
        assert core.compress(self.X, N_0, 0, N, self.starts, self.new_records) == N
        self.records = self.new_records[: self.starts[-1] + core.ALIGNMENT].copy()
        self.new_records[:] = 0
        self.norms = np.zeros(N, dtype)
        self.each = [np.zeros((N, n), dtype) for n in SIZES]
        columns = [*SIZES[1:], *(n * m for m, n in pairwise(SIZES))]
        self.gradients = [np.zeros((N, n), dtype) for n in columns]
        self.by_inputs = np.zeros((N, SIZES[0]), dtype)
        self.direction, self.product = (layout.pack(biases, weights) for _ in range(2))
        self.block = aligned(self.params.size, dtype)
        self.new_b, self.new_w = layout.fresh()

    def arrays(self):
        """Return every array, also those in lists."""
        for value in vars(self).values():
            if isinstance(value, list):
                yield from value
            elif isinstance(value, np.ndarray):
                yield value

    def run(self, kinds=2):
        scratch = self.scratch if kinds == 2 else self.six
        return core.Run(
            self.table, self.params, scratch, kinds, ROWS, self.X, self.Y, self.order, 0, 1.0,
            self.sample_weight,
        )  # fmt: skip

    def options(self):
        return core.Options(
            1.0, self.sample_weight, core.OPTIMIZERS["adam"], 0.0, 0.0, 0.0, 0.9, 0.99, 1e-8, False,
            self.moments, self.rates, 0, 0, 0, self.costs,
        )  # fmt: skip

    def train(self, *more):
        scratch = self.four if more and isinstance(more[0], core.Options) else self.scratch
        core.train(
            self.params, self.grads, self.table, scratch, ROWS, self.X, self.Y, self.order,
            0, 4, 0, 0.1, 1.0, 1.0, *more,
        )  # fmt: skip


# Each entry, and the names of the arrays that it takes; those that it writes come second.
ENTRIES = {
    "forward": (
        lambda g: core.forward(g.params, g.table, g.scratch, ROWS, g.X, 0, N, g.out),
        ["params", "table", "X"], ["scratch", "out"],
    ),
    "train": (Given.train, ["table", "X", "Y", "order"], ["params", "grads", "scratch"]),
    "train with options": (
        lambda g: g.train(g.options()),
        ["table", "X", "Y", "order", "sample_weight", "rates"],
        ["params", "grads", "four", "moments", "costs"],
    ),
    "train with records": (
        lambda g: g.train(None, g.records, g.starts), ["starts", "records"], ["params"],
    ),
    "compress": (
        lambda g: core.compress(g.X, N_0, 0, N, g.new_starts, g.new_records),
        ["X"], ["new_starts"],
    ),
    "Run.gradient": (
        lambda g: g.run().gradient(g.grads, False, False, 1.0, g.norms),
        ["params", "table", "X", "Y", "order", "sample_weight"], ["scratch", "grads", "norms"],
    ),
    "Run.norms": (
        lambda g: g.run().norms(g.norms, False), ["params", "X", "Y", "order"], ["norms"],
    ),
    "Run.values": (lambda g: g.run().values(g.each, False), ["params", "X", "order"], ["each"]),
    "Run.samples": (
        lambda g: g.run().samples(g.gradients), ["params", "X", "Y", "order"], ["gradients"],
    ),
    "Run.pull": (
        lambda g: g.run().pull(g.by_inputs, False), ["params", "X", "Y", "order"], ["by_inputs"],
    ),
    "Run.hessian": (
        lambda g: g.run(6).hessian(g.direction, g.product, False),
        ["params", "X", "Y", "order", "direction"], ["six", "product"],
    ),
    "pack": (
        lambda g: core.pack(g.table, g.itemsize, g.biases, g.weights, g.block, False, False),
        ["table"], ["block"],
    ),
    "unpack": (
        lambda g: core.pack(g.table, g.itemsize, g.new_b, g.new_w, g.params, True, False),
        ["table", "params"], [],
    ),
}  # fmt: skip


def shorter(array):
    return array[:-1].copy()


def longer(array):
    return np.concatenate([array, array[:1]])


def another_type(array):
    return array.astype(np.float16 if array.dtype.kind == "f" else np.int8)


def strided(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def beyond(array):
    array = array.copy()
    array[3] = N
    return array


def negative(array):
    array = array.copy()
    array[3] = -1
    return array


def in_one_dimension(array):
    return array.reshape(-1).copy()


def narrower(array):
    return array[:, :-1].copy()


def of_other_rows(array):
    return array.reshape(-1, 1).copy()


def unaligned(array):
    return aligned(array.size + 1, array.dtype)[1:]


FAULTS = [shorter, longer, another_type, strided, None]
LENGTHS_OF_LISTS = {"one fewer": lambda arrays: arrays[1:], "one more": lambda a: [*a, a[0]]}
BLOCKS = ("params", "grads", "scratch", "four", "six", "direction", "product")


def cases():
    for entry, (_, read, written) in ENTRIES.items():
        for name in (*read, *written):
            faults = list(FAULTS)
            if name in ("scratch", "four", "six", "records"):
                faults.remove(longer)  # more room does no harm
            if name == "records":  # bytes, of which there need not be any
                faults = [shorter, strided]
            if name == "order":  # of some samples, or of some twice, it is as good
                faults = [another_type, strided, None, beyond, negative]
            if name in ("sample_weight", "costs", "rates", "norms", "block") or entry == "unpack":
                faults.remove(None)  # there need not be any
            faults += [read_only] if name in written else []
            faults += [in_one_dimension, of_other_rows, narrower] if name == "X" else []
            faults += [unaligned] if name in BLOCKS and entry != "unpack" else []
            for fault in faults:
                label = "none" if fault is None else fault.__name__
                yield pytest.param(entry, name, fault, id=f"{entry}-{name}-{label}")
            if name in ("each", "gradients"):
                for label, fault in LENGTHS_OF_LISTS.items():
                    yield pytest.param(entry, name, fault, id=f"{entry}-{name}-{label}")


def put(given, name, fault):
    """Put what the fault makes of an array, or of the last in a list, into its place."""
    good = getattr(given, name)
    if fault in LENGTHS_OF_LISTS.values():
        bad = fault(good)
    elif isinstance(good, list):
        bad = [*good[:-1], None if fault is None else fault(good[-1])]
    else:
        bad = None if fault is None else fault(good)
    setattr(given, name, bad)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("entry", "name", "fault"), list(cases()))
def test_an_array_that_would_be_misread_is_refused(entry, name, fault, dtype):
    """One array of another length, type, order or place, and nothing has been written."""
    given = Given(dtype)
    call = ENTRIES[entry][0]
    put(given, name, fault)
    before = [array.tobytes() for array in given.arrays() if array is not None]
    with pytest.raises((TypeError, ValueError, BufferError)):
        call(given)
    assert [array.tobytes() for array in given.arrays() if array is not None] == before


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("entry", ENTRIES)
def test_good_arrays_are_taken(entry, dtype):
    """The arguments of this table are good ones, and the entry writes what it says."""
    given = Given(dtype)
    before = {name: as_bytes(getattr(given, name)) for name in ENTRIES[entry][2]}
    ENTRIES[entry][0](given)
    for name, value in before.items():
        assert as_bytes(getattr(given, name)) != value, name


def as_bytes(value):
    return b"".join(a.tobytes() for a in value) if isinstance(value, list) else value.tobytes()


NUMBERS = {
    "no rows": lambda g: core.forward(g.params, g.table, g.scratch, 0, g.X, 0, N, g.out),
    "more rows than a block": lambda g: core.forward(
        g.params, g.table, g.scratch, core.BLOCK_ROWS + 1, g.X, 0, N, g.out
    ),
    "a start below 0": lambda g: core.forward(g.params, g.table, g.scratch, 1, g.X, -1, N, g.out),
    "a stop too far": lambda g: core.forward(g.params, g.table, g.scratch, 1, g.X, 0, N + 1, g.out),
    "no batch": lambda g: core.train(
        g.params, g.grads, g.table, g.scratch, 1, g.X, g.Y, g.order, 0, 0, 0, 0.1, 1.0, 1.0
    ),
    "a position below 0": lambda g: core.train(
        g.params, g.grads, g.table, g.scratch, 1, g.X, g.Y, g.order, -1, 2, 0, 0.1, 1.0, 1.0
    ),
    "a team of one": lambda g: core.Team(1),
    "a part that is not the team's": lambda g: core.Team(2).follow(2),
    "the part of train itself": lambda g: core.Team(2).follow(0),
    "scratch for fewer threads": lambda g: g.train(None, None, None, core.Team(2)),
    "halves": lambda g: core.feedforward(g.table, 2, g.biases, g.weights, g.X[:1].T, g.out[:1].T),
    "a block of halves": lambda g: core.pack(
        g.table, 2, g.biases, g.weights, aligned(g.params.size, np.float16), False, False
    ),
    "scratch of nothing": lambda g: core.scratch_length(g.table, 0, 1, 2, 1),
    "costs for fewer samples than the order has": lambda g: core.train(
        g.params, g.grads, g.table, g.four, ROWS, g.X, g.Y, np.zeros(N + 1, np.intp), 0, 4, 0, 0.1,
        1.0, 1.0, g.options(),
    ),
    "records too far": lambda g: core.compress(g.X, N_0, 0, N + 1, g.starts, g.records),
    "scratch of two kinds for six": lambda g: g.run().hessian(g.direction, g.product, False),
    "columns too far": lambda g: core.columns((g.out,) * 3, 1, 3, 8, np.zeros(3, np.intp)),
    "columns below 0": lambda g: core.columns((g.out,) * 3, -1, 3, 8, np.zeros(3, np.intp)),
    "room for fewer columns": lambda g: core.columns(
        (g.out,) * 3, 0, 3, g.itemsize, np.zeros(3, np.intp), np.zeros((2, 3), g.out.dtype)
    ),
    "a place too far": lambda g: core.lies([1, 2], [1, 2], np.array([0, 2])),
    "a place too many": lambda g: core.lies([1, 2], [1, 2], np.array([0, 1, 1])),
    "a card too far": lambda g: core.deal([1, 2], [1, 2], np.arange(2), np.array([0, 2])),
    "a card too few": lambda g: core.deal([1, 2], [1, 2], np.arange(2), np.array([0])),
}  # fmt: skip


@pytest.mark.parametrize("wrong", NUMBERS)
def test_a_number_that_would_lead_outside_is_refused(wrong):
    """Rows, positions, parts and places are held against the arrays of the same call."""
    given = Given(np.float64)
    before = [array.tobytes() for array in given.arrays()]
    with pytest.raises((TypeError, ValueError)):
        NUMBERS[wrong](given)
    assert [array.tobytes() for array in given.arrays()] == before


def resized(owner, view):
    owner.resize(10**6, refcheck=False)


def shrunk(owner, view):
    owner.resize(1, refcheck=False)


def replaced(owner, view):
    owner.__setstate__((1, (3,), np.dtype(np.float64), False, b"\0" * 24))


VIEWS = {
    "the whole": lambda owner: owner.reshape(N, N_0),
    "a view of a view": lambda owner: owner.reshape(N, N_0).view().reshape(N, N_0)[:],
    "a subclass between": lambda owner: np.asarray(owner.reshape(N, N_0).view(np.matrix)),
    "whole numbers": lambda owner: owner.view(np.int64).view(np.float64).reshape(N, N_0),
    "dates": lambda owner: owner.view("M8[s]").view(np.float64).reshape(N, N_0),
    "a buffer": lambda owner: np.frombuffer(owner).reshape(N, N_0),
    "strides": lambda owner: as_strided(owner, (N, N_0), (8 * N_0, 8)),
}


OTHERS = {
    "bytes": (bytearray, bytearray.clear),
    "numbers": (lambda data: array.array("d", data), lambda owner: owner.__delitem__(slice(None))),
    "a file": (lambda data: mapped(data), mmap.close),
}


def mapped(data):
    file = mmap(-1, len(data))
    file[:] = data
    return file


@pytest.mark.parametrize("kind", OTHERS)
def test_what_other_owners_gave_back_is_not_read(kind):
    """What NumPy was told to use as an array's memory, and was given back since, is refused."""
    make, free = OTHERS[kind]
    owner = make(np.random.default_rng(0).random(N * N_0).tobytes())
    given = Given(np.float64)
    given.X = np.ndarray((N, N_0), np.float64, owner)
    ENTRIES["forward"][0](given)
    free(owner)
    with pytest.raises(ValueError, match="X: expected an array in its memory"):
        ENTRIES["forward"][0](given)


class Based(np.ndarray):
    """An array whose class has properties of the names that NumPy's own has."""

    @property
    def base(self):
        raise AssertionError("code of a user's class runs between the looks at two arrays")

    __array_interface__ = strides = base


@pytest.mark.parametrize("name", [name for name, (_, read, _) in ENTRIES.items() if "X" in read])
def test_no_code_of_the_owners_class_runs(name):
    """Where an array lies is asked of NumPy, whatever the class of its owner."""
    given = Given(np.float64)
    owner = given.X.view(Based).copy()
    given.X = owner.view(np.ndarray)
    ENTRIES[name][0](given)
    owner.resize((1, 1), refcheck=False)
    with pytest.raises(ValueError, match="X: expected an array in its memory"):
        ENTRIES[name][0](given)


LONG = {
    "forward": lambda net, X, Y: net.feedforward(fastbp.Dataset(X, Y)),
    "train": lambda net, X, Y: fastbp.train(net, (X, Y), epochs=1, evaluate=False),
    "gradient": lambda net, X, Y: gradients.gradient(net, (X, Y)),
}


def test_numpy_resizes_no_array_that_has_a_weak_reference():
    """What the core goes by, to hold what it reads."""
    array = np.zeros(10)
    held = weakref.ref(array)
    with pytest.raises(ValueError, match="cannot resize an array"):
        array.resize(1, refcheck=False)
    del held
    array.resize(1, refcheck=False)


def seen_held(array, call):
    """Return whether another thread sees that an array is held while a call runs, of many."""
    seen, over = [], threading.Event()

    def look():
        while not over.is_set() and not seen:
            seen.extend([True] * weakref.getweakrefcount(array))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(30):
        call()
        if seen:
            break
    over.set()
    thread.join()
    return bool(seen)


@pytest.mark.parametrize("name", ["X", "Y"])
@pytest.mark.parametrize("call", LONG)
def test_what_a_kernel_reads_is_held(call, name):
    """While it computes, no other thread can resize the samples, whatever it asks of NumPy."""
    rng = np.random.default_rng(0)
    data = {"X": rng.random((200, 1000)), "Y": rng.random((200, 1000))}
    net = network2.Network([1000, 1000, 1000])
    if (call, name) != ("forward", "Y"):  # which is no kernel's matter
        assert seen_held(data[name], lambda: LONG[call](net, data["X"], data["Y"]))


COLLECTED = {
    "feedforward": lambda net, x, y: net.feedforward(x),
    "backprop": lambda net, x, y: net.backprop(x, y),
    "update_mini_batch": lambda net, x, y: net.update_mini_batch([(x, y)], 0.1, 0.0, 1),
    "gradient": lambda net, x, y: gradients.gradient(net, (x.T, y.T)),
    "train": lambda net, x, y: fastbp.train(net, (x.T, y.T), epochs=1, evaluate=False),
}


@pytest.mark.parametrize("call", COLLECTED)
def test_a_finaliser_at_any_allocation(call):
    """A collection of garbage, and so a finaliser, may come between any two steps of an entry."""
    for threshold in range(1, 60, 2):
        net = network2.Network([700, 600], random_state=0)
        x, y = np.ones((700, 1)), np.zeros((600, 1))
        views = x[:], y[:]

        class Garbage:
            def __init__(self, arrays):
                self.arrays, self.me = arrays, self

            def __del__(self):
                for owner in self.arrays:
                    owner.__setstate__((1, (1,), owner.dtype, False, bytes(8)))

        before = gc.get_threshold()
        gc.collect()
        Garbage([x, y, *net.weights, *net.biases])
        gc.set_threshold(threshold)
        try:
            COLLECTED[call](net, *views)
        except (ValueError, TypeError, RuntimeError) as error:
            assert "expected" in str(error) or "changed in the midst" in str(error)  # noqa: PT017
        finally:
            gc.set_threshold(*before)


def test_nesting_does_not_matter():
    """What is no list of arrays is the Python gate's, however deep it is nested, or in itself."""
    net, nested, own = network2.Network([600, 500]), [], []
    for _ in range(100_000):
        nested = [nested]
    own.append(own)
    for value in (nested, own):
        with pytest.raises((TypeError, ValueError, RecursionError)):
            net.feedforward(value)
        with pytest.raises((TypeError, ValueError, RecursionError)):
            net.update_mini_batch([value], 0.1, 0.0, 1)


def test_what_a_kernel_reads_of_a_network_is_held():
    """Nor the weights, the biases or the sample, where that takes long enough for a change."""
    net, x = network2.Network([2000, 2000]), np.ones((2000, 1))
    for read in (net.weights[0], net.biases[0], x):
        assert seen_held(read, lambda: net.feedforward(x))


@pytest.mark.filterwarnings("ignore:.*matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("change", [resized, shrunk, replaced])
@pytest.mark.parametrize("view", VIEWS)
def test_what_its_owner_gave_back_is_not_read(view, change):
    """An array whose owner was resized, behind the back of all views of it, is refused."""
    owner = np.random.default_rng(0).random(N * N_0)
    X = VIEWS[view](owner)
    core.refuse_stale("X", X)
    given = Given(np.float64)
    given.X = X
    ENTRIES["forward"][0](given)
    given.out[:] = 0.5
    change(owner, X)
    calls = [call for call, read, written in ENTRIES.values() if "X" in read]
    assert len(calls) >= 8
    for call in calls:
        with pytest.raises(ValueError, match="X: expected an array in its memory, got one whose"):
            call(given)
    with pytest.raises(ValueError, match="expected an array in its memory"):
        core.all_finite(X)
    assert (given.out == 0.5).all()


def test_what_owns_itself_may_be_resized():
    """A copy, and an owner in its place, are as good as before."""
    owner = np.random.default_rng(0).random((N, N_0))
    view = owner.view()
    for X in (owner, view, owner.copy(), owner[2:], owner[::-1], owner.T):
        core.refuse_stale("X", X)
