"""The entry points of the core: each refuses, by itself, an array that it would misread.

The gates in front of them let no such array through; but user code runs between a gate and the
core, and in other threads. What enters in one call is looked at together, in that call.
"""

import array
import contextlib
import copy
import gc
import os
import random
import subprocess
import sys
import threading
import time
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
N_0, N_L = SIZES[0], SIZES[-1]


def placed(array, past=0):
    """Return a copy that begins a line of memory, or so many bytes past it."""
    raw = np.zeros(array.nbytes + 2 * core.ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % core.ALIGNMENT + past
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Given:
    """Good arguments of every entry point, by name; the arrays of one call share no memory."""

    def __init__(self, dtype, n=N):
        rng = np.random.default_rng(0)
        net = network2.Network(SIZES, dtype=dtype, random_state=0)
        layout, self.biases, self.weights = net._checked()
        self.table, self.itemsize, self.kept = layout.table.copy(), layout.itemsize, None
        self.n = n
        self.params, self.grads, self.direction, self.product = (
            layout.pack(self.biases, self.weights) for _ in range(4)
        )
        self.block, self.moments = layout.state(1), layout.state(2)
        width = layout.layers.row_width
        self.two, self.four, self.six = (
            placed(np.zeros((buffers, ROWS, width), dtype)) for buffers in (2, 4, 6)
        )
        self.row, self.rows = (np.zeros((buffers, 1, width), dtype) for buffers in (1, 2))
        self.transposed = placed(np.zeros((1, self.width(ROWS)), dtype))
        self.X, self.Y = (rng.random((n, size)).astype(dtype) for size in (N_0, N_L))
        self.x, self.y = ([array[:1].T.copy()] for array in (self.X, self.Y))
        self.order = rng.permutation(n).astype(np.intp)
        self.sample_weight = rng.random(n).astype(dtype)
        self.out, self.column = (np.zeros(shape, dtype) for shape in ((n, N_L), (N_L, 1)))
        self.costs, self.rates = np.zeros(n), np.array([0, 0.5, 0.5, 0])
        self.starts, self.new_starts = (np.zeros(n + 1, np.intp) for _ in range(2))
        self.new_packed = np.zeros(n * 2000, np.uint8)
        assert core.pack_nonzeros(core.Samples(self.X), 0, n, self.starts, self.new_packed) == n
        self.packed = self.new_packed[: self.starts[-1] + core.ALIGNMENT].copy()
        self.new_packed[:] = 0
        self.norms, self.by_layer = np.zeros(n, dtype), np.zeros((n, len(SIZES) - 1), dtype)
        self.each = [np.zeros((n, size), dtype) for size in SIZES]
        columns = [*SIZES[1:], *(n_out * n_in for n_in, n_out in pairwise(SIZES))]
        self.gradients = [np.zeros((n, size), dtype) for size in columns]
        self.by_inputs = np.zeros((n, N_0), dtype)
        self.new_b, self.new_w = (
            [np.zeros_like(a) for a in part] for part in (self.biases, self.weights)
        )

    def arrays(self, *names):
        """Return every array, or those of these names, also those in lists."""
        values = [vars(self)[name] for name in names or vars(self)]
        flat = [a for v in values for a in (v if isinstance(v, list | tuple) else [v])]
        return [a for a in flat if isinstance(a, np.ndarray)]

    def put(self, **arrays):
        vars(self).update({name: placed(value) for name, value in arrays.items()})
        return self

    def layers(self):
        return core.Layers(self.table)

    def width(self, rows):
        return self.layers().n_transposed(rows, self.itemsize)

    def samples(self, *more):
        return self.kept or core.Samples(self.X, self.Y, *more)

    def run(self, buffers="two", start=0, stop=None):
        """Return the first arguments of the entries for gradients."""
        return (
            self.params, self.layers(), vars(self)[buffers], self.transposed,
            self.samples(self.sample_weight), start, self.n if stop is None else stop, 0, 1.0,
        )  # fmt: skip

    def forward(self, start=0, stop=N):
        run = self.params, self.layers(), self.two, self.transposed, self.samples()
        core.forward(*run, start, stop, self.out)

    def options(self):
        return core.Options(
            1.0, core.OPTIMIZERS["adam"], 0.0, 0.0, 0.0, 0.9, 0.99, 1e-8, False, self.moments,
            self.rates, 0, 0, 0, self.costs,
        )  # fmt: skip

    def train(self, *more, data=(), buffers="two", position=0, batch=4):
        core.train(
            self.params, self.grads, self.layers(), vars(self)[buffers], self.transposed,
            self.samples(*data), self.order, position, batch, 0, 0.1, 1.0, 1.0, *more,
        )  # fmt: skip

    def train_with_options(self):
        self.train(self.options(), data=[self.sample_weight], buffers="four")

    def train_with_packed(self):
        self.train(data=[None, self.packed, self.starts])

    def train_as(self, thread, n_threads, rooms=3, more=0):
        """Train as one thread of a team in which nobody waits for the others."""
        team = core.Team(n_threads)
        team.abort()
        self.put(transposed=np.zeros((rooms, self.width(ROWS) + more))).train(None, team, thread)

    def pack_nonzeros(self, start=0, stop=N, begin=0):
        self.new_starts += begin
        core.pack_nonzeros(self.samples(), start, stop, self.new_starts, self.new_packed)

    def feedforward(self):
        return core.feedforward(
            self.layers(), self.row, self.biases, self.weights, self.x[0], self.column
        )

    def backprop(self):
        return core.backprop(
            self.layers(), self.rows, self.biases, self.weights, [(self.x[0], self.y[0])], 0, 1.0,
            False, 0.0, self.new_b, self.new_w,
        )  # fmt: skip

    def are_parameters(self, itemsize=None):
        itemsize = itemsize or self.itemsize
        return core.are_parameters(self.layers(), itemsize, self.biases, self.weights, False)


RUN, PASS = ["params", "table", "X", "Y", "sample_weight"], ["two", "transposed"]

# Each entry, and the names of the arrays that it takes; those that it writes come second.
ENTRIES = {
    "forward": (Given.forward, ["params", "table", "X"], ["two", "out"]),
    "train": (Given.train, ["table", "X", "Y", "order"], ["params", "grads", *PASS]),
    "train with options": (
        Given.train_with_options,
        ["table", "X", "Y", "order", "sample_weight", "rates"],
        ["params", "grads", "four", "transposed", "moments", "costs"],
    ),
    "train with packed": (Given.train_with_packed, ["X", "Y", "starts", "packed"], ["params"]),
    "pack_nonzeros": (Given.pack_nonzeros, ["X"], ["new_starts", "new_packed"]),
    "gradient": (
        lambda g: core.gradient(*g.run(), g.grads, False, 1.0, g.norms),
        RUN, [*PASS, "grads", "norms"],
    ),
    "gradient_norms": (
        lambda g: core.gradient_norms(*g.run(), g.by_layer), RUN, [*PASS, "by_layer"],
    ),
    "layer_values": (
        lambda g: core.layer_values(*g.run(), g.each, False),
        ["params", "table", "X"], ["two", "each"],
    ),
    "sample_gradients": (
        lambda g: core.sample_gradients(*g.run(), g.gradients), RUN, [*PASS, "gradients"],
    ),
    "input_gradient": (
        lambda g: core.input_gradient(*g.run(), g.by_inputs, False), RUN, [*PASS, "by_inputs"],
    ),
    "hessian_product": (
        lambda g: core.hessian_product(*g.run("six"), g.direction, g.product),
        [*RUN, "direction"], ["six", "transposed", "product"],
    ),
    "pack": (
        lambda g: core.pack(g.layers(), g.biases, g.weights, g.block), ["table"], ["block"],
    ),
    "unpack": (
        lambda g: core.unpack(g.layers(), g.params, g.new_b, g.new_w), ["table", "params"], [],
    ),
    "feedforward": (Given.feedforward, ["table"], ["row", "column"]),
    "backprop": (Given.backprop, ["table"], ["rows"]),
}  # fmt: skip


def of_small_numbers(array):
    if array.dtype.names:
        return array.astype([(name, np.int8) for name in array.dtype.names])
    return array.astype(np.float16 if array.dtype.kind == "f" else np.int8)


def read_only(array):
    array.flags.writeable = False
    return array


def fourth(array, value):
    array[3] = value
    return array


FAULTS = {
    "shorter": lambda a: a[:-1],  # of the same memory: what is written behind its end is seen
    "longer": lambda a: placed(np.concatenate([a, a[:1]])),
    "another_type": lambda a: placed(of_small_numbers(a)),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "none": lambda a: None,
    "whole_numbers": lambda a: placed(a).view(f"i{a.itemsize}"),
    "swapped": lambda a: placed(a.astype(a.dtype.newbyteorder())),
    "flat": lambda a: placed(a.reshape(-1)),
    "wider": lambda a: placed(np.concatenate([a, a[..., :1]], axis=-1)),
    "at_an_odd_address": lambda a: placed(a, 1),
    "another_precision": lambda a: placed(a.astype("f" if a.dtype == "d" else "d")),
    "read_only": lambda a: read_only(placed(a)),
    "of_one_column": lambda a: placed(a.reshape(-1, 1)),
    "narrower": lambda a: placed(a[..., :-1]),
    "of_no_rows": lambda a: a[:, :0],
    "off_a_line": lambda a: placed(a, a.itemsize),
    "beyond": lambda a: fourth(a.copy(), N),
    "negative": lambda a: fourth(a.copy(), -1),
}
LISTS = {  # those of a list of arrays; the others befall its last
    "one_fewer": lambda arrays: arrays[1:],
    "one_more": lambda arrays: [*arrays, arrays[0]],
    "a_tuple": tuple,
    "no_list": lambda arrays: None,
}
MATRICES = "X", "Y", "out", "by_layer", "by_inputs"
MORE = dict.fromkeys(MATRICES, "flat of_one_column narrower wider")
MORE |= dict.fromkeys(("two", "four", "six"), "flat narrower wider of_no_rows off_a_line")
MORE |= dict.fromkeys(("params", "grads", "direction", "product"), "off_a_line")
MORE |= dict.fromkeys(("row", "rows"), "flat narrower of_no_rows")
MORE |= dict.fromkeys(("each", "gradients"), " ".join(LISTS))
MORE |= {"transposed": "flat narrower off_a_line", "column": "flat wider"}
MORE |= {"order": "beyond negative"}
HARMLESS = dict.fromkeys(("two", "four", "six", "row", "transposed"), "longer")
HARMLESS |= dict.fromkeys(("sample_weight", "costs", "rates", "norms"), "none")
HARMLESS |= {"packed": "longer none", "new_packed": "shorter longer", "order": "shorter longer"}
HARMLESS |= {"X": "another_precision"}
HARMLESS |= {"pack_nonzeros: X": "shorter longer narrower wider"}
HARMLESS |= {"unpack: params": "off_a_line"}
HARMLESS |= {"backprop: table": "shorter longer", "backprop: rows": "another_precision"}


def cases():
    for entry, (_, read, written) in ENTRIES.items():
        for name in (*read, *written):
            faults = [*list(FAULTS)[:5], *["read_only"] * (name in written)]
            if name not in ("table", "order", "starts", "new_starts", "packed", "new_packed"):
                faults += ["whole_numbers", "another_precision"]
            faults += MORE.get(name, "").split()
            harmless = HARMLESS.get(name, "") + " " + HARMLESS.get(f"{entry}: {name}", "")
            for fault in faults:
                if fault not in harmless.split():
                    yield pytest.param(entry, name, fault, id=f"{entry}-{name}-{fault}")


def spoil(given, name, fault):
    """Put what the fault makes of an array, or of the last in a list, into its place."""
    good = vars(given)[name]
    if fault in LISTS:
        bad = LISTS[fault](good)
    elif isinstance(good, list):
        bad = [*good[:-1], FAULTS[fault](good[-1])]
    else:
        bad = FAULTS[fault](good)
    setattr(given, name, bad)


def contents(arrays):
    return [a.tobytes() for a in arrays]


def enter(entry, given):
    """Call an entry; to answer that something could not be read is to refuse it."""
    if not ENTRIES[entry][0](given) and entry in ANSWERS:
        raise ValueError("an answer")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("entry", "name", "fault"), list(cases()))
def test_an_array_that_would_be_misread_is_refused(entry, name, fault, dtype):
    """One array of another length, type, order or place, and nothing has been written."""
    given = Given(dtype)
    arrays = given.arrays()
    spoil(given, name, fault)
    arrays += given.arrays()
    before = contents(arrays)
    with pytest.raises((TypeError, ValueError, BufferError)):
        enter(entry, given)
    assert contents(arrays) == before


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("entry", ENTRIES)
def test_good_arrays_are_taken(entry, dtype):
    """The arguments of this table are good ones, and the entry writes what it says."""
    given = Given(dtype)
    before = {name: contents(given.arrays(name)) for name in ENTRIES[entry][2]}
    ENTRIES[entry][0](given)
    for name, value in before.items():
        assert contents(given.arrays(name)) != value, name


# Each entry that answers whether it could read what is public: the lists that it takes, and those
# that it writes, with other arrays.
ANSWERS = {
    "feedforward": (Given.feedforward, ["biases", "weights", "x"], ["row", "column"]),
    "backprop": (
        Given.backprop, ["biases", "weights", "x", "y", "new_b", "new_w"],
        ["rows", "new_b", "new_w"],
    ),
    "pack": (ENTRIES["pack"][0], ["biases", "weights"], ["block"]),
    "unpack": (ENTRIES["unpack"][0], ["new_b", "new_w"], ["new_b", "new_w"]),
    "are_parameters": (Given.are_parameters, ["biases", "weights"], []),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("entry", ANSWERS)
def test_what_cannot_be_read_is_answered(entry, dtype):
    """Public arrays in any other form are neither read nor written; those given back, refused."""
    call, names, written = ANSWERS[entry]
    assert call(Given(dtype)) is True
    for name in names:
        faults = [*list(FAULTS)[:10], *["read_only"] * (name in written)]
        faults += ["another_precision", *LISTS] * (name not in ("x", "y"))
        for fault in faults:
            given = Given(dtype)
            spoil(given, name, fault)
            arrays = given.arrays(*vars(given).keys() - set(written))
            arrays += given.arrays(name)[-1:] * (fault not in ("none", *LISTS))
            before = contents(arrays)
            assert call(given) in (False, None), (name, fault)
            assert contents(arrays) == before, (name, fault)
        given = Given(dtype)
        owner = vars(given)[name][-1].copy()
        vars(given)[name][-1] = owner.view()
        owner.resize((1, 1), refcheck=False)
        with pytest.raises(ValueError, match="array: expected an array in its memory"):
            call(given)


def in_rows(given, rows, of_transposed):
    """Take samples forward in a workspace of so many rows."""
    transposed = np.zeros((1, given.width(of_transposed)))
    given.put(two=np.zeros((2, rows, given.two.shape[2])), transposed=transposed).forward()


def columns(given, values, start, size, itemsize, *rows):
    core.columns((values,) * 3, start, size, itemsize, np.zeros(3, np.intp), *rows)


NUMBERS = {
    "no rows": lambda g: in_rows(g, 0, ROWS),
    "more rows than a block": lambda g: in_rows(g, core.BLOCK_ROWS + 1, core.BLOCK_ROWS + 1),
    "transposed for fewer rows": lambda g: in_rows(g, 9, ROWS),
    "a start below 0": lambda g: g.forward(-1),
    "a stop too far": lambda g: g.forward(0, N + 1),
    "a stop before the start": lambda g: g.forward(3, 2),
    "gradients from a start below 0": lambda g: core.gradient(*g.run(start=-1), g.grads),
    "gradients to a stop too far": lambda g: core.gradient(*g.run(stop=N + 1), g.grads),
    "gradients to a stop before the start": lambda g: core.gradient(*g.run("two", 3, 2), g.grads),
    "no batch": lambda g: g.train(batch=0),
    "a position below 0": lambda g: g.train(position=-1),
    "a team of one": lambda g: core.Team(1),
    "a thread that is not the team's": lambda g: g.train_as(2, 2),
    "a thread below 0": lambda g: g.train_as(-1, 2),
    "a thread of no team": lambda g: g.train(None, None, 1),
    "transposed for fewer threads": lambda g: g.train_as(0, 2, rooms=1),
    "a thread in between, off a line": lambda g: g.train_as(1, 3, more=4),
    "one layer": lambda g: core.Layers(g.table[:1]),
    "halves": lambda g: g.put(row=g.row.astype("e"), column=g.column.astype("e")).feedforward(),
    "a block of halves": lambda g: ENTRIES["pack"][0](g.put(block=g.block.astype("e"))),
    "parameters of halves": lambda g: g.are_parameters(2),
    "costs for fewer samples than the order has": lambda g: g.put(
        order=np.zeros(N + 1, np.intp)
    ).train_with_options(),
    "records too far": lambda g: g.pack_nonzeros(0, N + 1),
    "records below 0": lambda g: g.pack_nonzeros(-1, N),
    "records from before the start": lambda g: g.pack_nonzeros(1, N, -1),
    "records from behind the end": lambda g: g.pack_nonzeros(1, N, 10**6),
    "two buffers for six": lambda g: core.hessian_product(*g.run(), g.direction, g.product),
    "two buffers for dropout": lambda g: g.train(g.options()),
    "a row for no pair": lambda g: g.put(rows=np.zeros((2, 2, g.row.shape[2]))).backprop(),
    "columns too far": lambda g: columns(g, g.column, 1, N_L, 8),
    "columns below 0": lambda g: columns(g, g.column, -1, N_L, 8),
    "room for fewer columns": lambda g: columns(g, g.column, 0, N_L, 8, np.zeros((2, N_L))),
    "a place too far": lambda g: core.is_in_order([1, 2], [1, 2], np.array([0, 2])),
    "a place too many": lambda g: core.is_in_order([1, 2], [1, 2], np.array([0, 1, 1])),
    "an index too far": lambda g: core.reorder([1, 2], [1, 2], np.arange(2), np.array([0, 2])),
    "an index below 0": lambda g: core.reorder([1, 2], [1, 2], np.array([-1, 1]), np.arange(2)),
    "an index too few": lambda g: core.reorder([1, 2], [1, 2], np.arange(2), np.array([0])),
}


@pytest.mark.parametrize("wrong", NUMBERS)
def test_a_number_that_would_lead_outside_is_refused(wrong):
    """Rows, positions, threads and places are held against the arrays of the same call."""
    given = Given(np.float64)
    arrays = [a for a in given.arrays() if a is not given.new_starts]
    before = contents(arrays)
    with pytest.raises((TypeError, ValueError)):
        NUMBERS[wrong](given)
    assert contents(arrays) == before


def emptied(arrays, call):
    """Call with a list that another thread empties as soon as its arrays are held."""

    def empty():
        while not weakref.getweakrefcount(arrays[0]):
            pass
        arrays.clear()

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        call()
    finally:
        thread.join()


def shrunk_order():
    """Shuffle rows of which most go back while the generator is asked for its state."""
    rows, words = np.arange(5 * 10**6), random.Random(0).getstate()[1]
    core.shuffle(lambda: rows.resize(1, refcheck=False) or words, list, False, rows)


ENDINGS = {
    "items of no bytes": lambda g: g.layers().n_transposed(ROWS, 0),
    "columns of no bytes": lambda g: columns(g, g.column, 0, N_L, 0, np.zeros((3, N_L))),
    "records of no samples": lambda g: g.put(
        X=g.X[:0], Y=g.Y[:0], order=g.order[:0], starts=g.starts[:1]
    ).train_with_packed(),
    "values": lambda g: emptied(g.each, lambda: ENTRIES["layer_values"][0](g)),
    "an order": lambda g: shrunk_order(),
    "gradients": lambda g: emptied(g.gradients, lambda: ENTRIES["sample_gradients"][0](g)),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_no_call_ends_the_process(name):
    """Nothing is divided by 0, nor taken from a list that is empty by now: no signal comes."""
    code = f"""if True:
        import test_entry_points as tests
        try:
            tests.ENDINGS[{name!r}](tests.Given("d", 20_000))
        except (TypeError, ValueError, IndexError):
            pass
        """
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0


def resized(owner, view):
    owner.resize(10**6, refcheck=False)


def shrunk(owner, view):
    owner.resize((1,) * owner.ndim, refcheck=False)


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

    __array_interface__ = strides = itemsize = base


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
    "feedforward": lambda net, x, y: [net.feedforward(x)],
    "backprop": lambda net, x, y: net.backprop(x, y),
    "update_mini_batch": lambda net, x, y: net.update_mini_batch([(x, y)], 0.1, 0.0, 1),
    "gradient": lambda net, x, y: gradients.gradient(net, (x.T, y.T)),
    "train": lambda net, x, y: fastbp.train(net, (x.T, y.T), epochs=1, evaluate=False) and None,
}


def moved(owner, view):
    owner.resize(owner.size + 10**5, refcheck=False)


@pytest.fixture
def collections():
    """Collect what is new alone; what is freed stays in the process, where to read it is seen."""
    np.empty(3 * 2**20)  # glibc gives back no less than the most that was freed
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.parametrize("change", [moved, replaced])
@pytest.mark.parametrize("sizes", [[70, 60], [700, 600]], ids=["short", "long"])
@pytest.mark.parametrize("call", COLLECTED)
def test_a_finaliser_at_any_allocation(call, sizes, change, collections):
    """A collection of garbage, and so a finaliser, may come between any two steps of an entry."""
    first = network2.Network(sizes, random_state=0)
    for threshold in range(1, 60):
        net, junk = network2.Network([1, 1]), []
        net.sizes, net.biases, net.weights = sizes, *copy.deepcopy((first.biases, first.weights))
        x, y = np.ones((sizes[0], 1)), np.zeros((sizes[-1], 1))
        views = x[:], y[:]

        class Garbage:
            def __init__(self, arrays):
                self.arrays, self.me = arrays, self

            def __del__(self):
                for owner in self.arrays:
                    like = owner.shape, np.nan
                    with contextlib.suppress(ValueError):  # it is held
                        change(owner, None)
                        junk.extend(np.full(*like) for _ in range(3))  # noqa: B023

        gc.collect()
        Garbage([x, y, *net.weights, *net.biases])
        gc.set_threshold(threshold)
        result = []
        try:
            result = COLLECTED[call](net, *views) or []
        except (ValueError, TypeError, RuntimeError) as error:
            assert "expected" in str(error) or "changed in the midst" in str(error)  # noqa: PT017
        finally:
            gc.set_threshold(10**6)
        for part in (*result, net.biases, net.weights):
            assert all(np.isfinite(a).all() for a in part), threshold


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
    net, x, y = network2.Network([2000, 2000]), np.ones((2000, 1)), np.zeros((2000, 1))
    for read in (net.weights[0], net.biases[0], x):
        assert seen_held(read, lambda: net.feedforward(x))
    for read in (net.weights[0], net.biases[0], x, y):
        assert seen_held(read, lambda: net.backprop(x, y))


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_stays_on_or_off(enabled):
    """Short calls switch it off while they read, and then as it was."""
    net, x, y = network2.Network([3, 2], random_state=0), np.ones((3, 1)), np.zeros((2, 1))
    gc.enable() if enabled else gc.disable()
    try:
        for call in COLLECTED.values():
            call(net, x, y)
            assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_what_comes_into_a_list_meanwhile_is_read_only_if_held():
    """Nor an array that another thread puts into the list between two layers."""
    net = network2.Network([600] * 6, random_state=0)
    layout, biases, weights = net._checked()
    row, x, out = layout.rows_for(1, 1), np.ones((600, 1)), np.zeros((600, 1))
    pool, over, unheld = [weights[-1].copy() for _ in range(2)], threading.Event(), []

    def swap():
        while not over.is_set():
            for new in pool:
                weights[-1] = new
                free = sys.getrefcount(new)
                for _ in range(30):
                    time.sleep(0)
                    read = sys.getrefcount(new) > free
                    if read and not weakref.getweakrefcount(new) and sys.getrefcount(new) > free:
                        unheld.append(new)

    thread = threading.Thread(target=swap)
    thread.start()
    for _ in range(100):
        assert core.feedforward(layout.layers, row, biases, weights, x, out)
    over.set()
    thread.join()
    assert not unheld


HOLDERS = dict.fromkeys(("X", "Y"), Given.samples)
HOLDERS["sample_weight"] = lambda g: core.Samples(g.X, g.Y, g.sample_weight)
HOLDERS |= dict.fromkeys(
    ("packed", "starts"), lambda g: core.Samples(g.X, g.Y, None, g.packed, g.starts)
)
HOLDERS |= {"table": Given.layers, "rates": Given.options, "costs": Given.options}


@pytest.mark.parametrize("name", HOLDERS)
def test_what_lives_on_between_two_entries_is_held(name):
    """What looks at arrays once keeps them where they are, as long as it lives."""
    given = Given(np.float64)
    owner = vars(given)[name] = vars(given)[name].copy()
    holder = HOLDERS[name](given)
    with pytest.raises(ValueError, match="cannot resize an array"):
        shrunk(owner, None)
    del holder
    shrunk(owner, None)


@pytest.mark.parametrize("name", ["X", "Y", "sample_weight"])
def test_samples_that_were_given_back_since_are_not_read(name):
    """What NumPy lets go of although it is held is refused by the next entry."""
    calls = [call for entry, (call, read, _) in ENTRIES.items() if name in read]
    for call in calls:
        given = Given(np.float64)
        owner = vars(given)[name].copy()
        vars(given)[name] = owner.view()
        given.kept = core.Samples(given.X, given.Y, given.sample_weight)
        call(given)
        replaced(owner, None)
        with pytest.raises(ValueError, match=f"{name}: expected an array in its memory"):
            call(given)


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
    assert len(calls) >= 11
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
