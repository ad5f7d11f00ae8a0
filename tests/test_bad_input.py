"""The bad-input table: each row, on each method, of both classes, in both dtypes.

The rows are data (what is wrong, which error, what its text holds) and so are the
methods (how to call, what the text calls the argument). One test runs them all and
sees that nothing else has changed: parameters, generators, the caller's data.
"""

import io
import json
import random
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from tolerances import STEPS

import fastbp
from fastbp import Dataset, DivergenceError, FormatError, _checks, network, network2, one_hot

SIZES = [3, 4, 2]
N, BATCH = 40, 6
CLASSES = (network, network2)
DTYPES = (np.float32, np.float64)
FORM = re.compile(r"\w[\w.]*(\[\d+(, \d+)?\])*: expected .+, got .+", re.DOTALL)

each_class = pytest.mark.parametrize("module", CLASSES, ids=["network", "network2"])
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])


# -- good samples ----------------------------------------------------------------------


@cache
def plain(integers=False):
    """Return X, one-hot Y and labels, of values that the numeric types hold exactly."""
    rng = np.random.default_rng(7)
    X = rng.integers(0, 2, (N, SIZES[0])) * 1.0
    if not integers:
        X = rng.integers(-16, 17, (N, SIZES[0])) / 8
    labels = rng.integers(0, SIZES[-1], N)
    return X, one_hot(labels, SIZES[-1]), labels


@cache
def _pairs(y, integers):
    X, Y, labels = plain(integers)
    xs = [x.reshape(-1, 1).copy() for x in X]
    ys = labels.tolist() if y == "label" else [y.reshape(-1, 1).copy() for y in Y]
    return tuple(zip(xs, ys, strict=True))


def good_pairs(y, integers=False):
    """Return a list of the book's pairs, with columns or with labels, as ``y``."""
    return list(_pairs(y, integers))


# -- what must not change --------------------------------------------------------------


def fingerprint(value):
    """Return all that can be seen of ``value``, to compare before and after."""
    if isinstance(value, Dataset):
        return fingerprint(value.X), fingerprint(value.Y)
    if isinstance(value, np.ma.MaskedArray):
        return id(value), value.dtype.str, value.data.tobytes(), np.asarray(value.mask).tobytes()
    if isinstance(value, np.ndarray):
        content = repr(value) if value.dtype.hasobject else value.tobytes()
        return id(value), value.dtype.str, value.shape, value.strides, content
    if isinstance(value, list | tuple):
        return id(value), [fingerprint(item) for item in value]
    return repr(value)


def streams(generator):
    """Return the state of every generator that a network may draw from."""
    name, keys, *rest = np.random.get_state()
    own = None if generator is None else generator.bit_generator.state
    return {"python": random.getstate(), "numpy": (name, keys.tobytes(), rest), "own": repr(own)}


def bits(net):
    """Return the bytes of all biases and weights."""
    return [a.tobytes() for a in [*net.biases, *net.weights]]


@contextmanager
def unchanged(net, generator, *data):
    """See that the block leaves network, generators and the caller's data as they were."""

    def look():
        parameters = {"biases": fingerprint(net.biases), "weights": fingerprint(net.weights)}
        caller = {f"data {i}": fingerprint(d) for i, d in enumerate(data)}
        return parameters | caller | streams(generator)

    held = [net.biases, net.weights]  # so that no id is used again
    held += [list(arrays) for arrays in held if isinstance(arrays, list)]
    before = look()
    yield
    after = look()
    for what in before:
        assert after[what] == before[what], what


def refuses(error, where, fragments, call, *args, **options):
    """See that the call raises exactly ``error``, its text of the one form, about ``where``."""
    with pytest.raises(error) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert caught.type is error
    assert FORM.fullmatch(message), message
    assert message.startswith(f"{where}: expected "), message
    for fragment in fragments:
        assert fragment in message, message


# -- the methods -----------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """How to hand samples to a method, and what its error texts call them."""

    name: str
    call: Callable  # (net, data, index of the sample for one-sample methods, good pairs)
    where: str  # of the list; of x and of y for one-sample methods
    y: str = "column"  # or "label", or "" for none
    modules: tuple = CLASSES
    one: bool = False

    def place(self, part, i):
        """Return what an error text calls x or y of sample ``i``."""
        if self.one:
            return "y" if part != "x" else self.where
        return f"{self.where}[{i}][{int(part != 'x')}]"


def update(net, mini_batch, eta=0.5, **options):
    if isinstance(net, network2.Network):
        options = {"lmbda": 0.1, "n": N} | options
    else:
        options.pop("lmbda", None)
    return net.update_mini_batch(mini_batch, eta=eta, **options)


def sgd(net, data, **options):
    options = {"epochs": 2, "mini_batch_size": BATCH, "eta": 0.5} | options
    return net.SGD(data, **options)


METHODS = {
    method.name: method
    for method in [
        Method("feedforward", lambda net, d, i, _: net.feedforward(d[i][0]), "a", "", one=True),
        Method("backprop", lambda net, d, i, _: net.backprop(*d[i]), "x", one=True),
        Method("update_mini_batch", lambda net, d, i, _: update(net, d), "mini_batch"),
        Method("SGD", lambda net, d, i, _: sgd(net, d), "training_data"),
        Method(
            "SGD(test_data)",
            lambda net, d, i, good: sgd(net, good, test_data=d),
            "test_data",
            "label",
            (network,),
        ),
        Method("evaluate", lambda net, d, i, _: net.evaluate(d), "test_data", "label", (network,)),
        Method(
            "SGD(evaluation cost)",
            lambda net, d, i, good: sgd(net, good, evaluation_data=d, monitor_evaluation_cost=True),
            "evaluation_data",
            "label",
            (network2,),
        ),
        Method(
            "SGD(evaluation accuracy)",
            lambda net, d, i, good: sgd(
                net, good, evaluation_data=d, monitor_evaluation_accuracy=True
            ),
            "evaluation_data",
            "label",
            (network2,),
        ),
        Method(
            "SGD(early stopping)",
            lambda net, d, i, good: sgd(net, good, evaluation_data=d, early_stopping_n=1),
            "evaluation_data",
            "label",
            (network2,),
        ),
        Method(
            "SGD(training monitors)",
            lambda net, d, i, _: sgd(
                net, d, monitor_training_cost=True, monitor_training_accuracy=True
            ),
            "training_data",
            modules=(network2,),
        ),
        Method("accuracy", lambda net, d, i, _: net.accuracy(d), "data", "label", (network2,)),
        Method(
            "accuracy(convert)",
            lambda net, d, i, _: net.accuracy(d, convert=True),
            "data",
            modules=(network2,),
        ),
        Method(
            "total_cost", lambda net, d, i, _: net.total_cost(d, 0.1), "data", modules=(network2,)
        ),
        Method(
            "total_cost(convert)",
            lambda net, d, i, _: net.total_cost(d, 0.1, convert=True),
            "data",
            "label",
            (network2,),
        ),
    ]
}
TRAINING = ("update_mini_batch", "SGD")


def each(rows, applies):
    """Parametrise over rows x the methods they apply to; the test goes through `networks`."""
    return pytest.mark.parametrize(
        ("row", "method"),
        [
            pytest.param(row, method, id=f"{row.name}-{method.name}")
            for row in rows
            for method in METHODS.values()
            if applies(row, method)
        ],
    )


def networks(modules=CLASSES):
    """Yield new networks of both classes and dtypes, on the global generators and on an own one."""
    for module in modules:
        for dtype in DTYPES:
            for generator in (None, np.random.default_rng(1)):
                yield module.Network(SIZES, dtype=dtype, random_state=generator), generator


# -- one bad value in one sample -------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A bad x, column y or label; ``make`` gets the good one."""

    name: str
    part: str
    make: Callable
    error: type
    fragments: tuple = ()
    index: str = ""  # of the bad value in its column
    not_on: tuple = ()


def put(value, dtype=float):
    """Return a maker that puts ``value`` into the second place of a column."""

    def make(good):
        bad = good.astype(dtype)
        bad[1, 0] = value
        return bad

    return make


def masked(good):
    return np.ma.masked_array(good, mask=np.arange(good.size).reshape(good.shape) == 1)


NOT_REAL = {  # name -> (maker, what the text holds)
    "complex128": (lambda v: v + 0j, ("dtype complex128",)),
    "complex64": (lambda v: v.astype(np.complex64), ("dtype complex64",)),
    "object": (lambda v: v.astype(object), ("dtype object",)),
    "None": (lambda v: None, ("dtype object",)),
    "None inside": (lambda v: [[None]] * len(v), ("dtype object",)),
    "string": (lambda v: v.astype(str), ("dtype <U",)),
    "bytes": (lambda v: v.astype(bytes), ("dtype |S",)),
    "a str": (lambda v: "0.5", ("dtype <U",)),
    "datetime": (lambda v: v.astype("datetime64[s]"), ("dtype datetime64[s]",)),
    "timedelta": (lambda v: v.astype("timedelta64[s]"), ("dtype timedelta64[s]",)),
    "record": (lambda v: v.astype([("a", float)]), ("dtype [('a'",)),
    "ragged": (lambda v: [[1.0], [1.0, 2.0], []], ("array of real numbers",)),
    "dict": (lambda v: {"a": 1}, ("dtype object",)),
    "masked": (masked, ("masked array",)),
}
NOT_FINITE = {
    "nan": put(np.nan),
    "inf": put(np.inf),
    "-inf": put(-np.inf),
    "nan float32": put(np.nan, np.float32),
    "inf float16": put(np.inf, np.float16),
    "beyond float64": put(np.longdouble("1e4000"), np.longdouble),
}
SHAPES = {
    "(n,)": (lambda v: v[:, 0], ("({n},)", "reshape(-1, 1)")),
    "(n, 2)": (lambda v: np.hstack([v, v]), ("({n}, 2)", "one sample is one column")),
    "(1, n)": (lambda v: v.T.copy(), ("(1, {n})", "one sample is one column")),
    "(n, 1, 1)": (lambda v: v[:, :, None], ("({n}, 1, 1)",)),
    "(1, n, 1)": (lambda v: v[None], ("(1, {n}, 1)",)),
    "(n, 0)": (lambda v: v[:, :0], ("({n}, 0)",)),
    "(1, 1)": (lambda v: v[:1], ("(1, 1)",)),
    "()": (lambda v: np.array(1.0), ()),
    "too short": (lambda v: v[:-1], ()),
    "too long": (lambda v: np.vstack([v, v]), ()),
    "empty": (lambda v: v[:0], ("(0, 1)",)),
    "no list of columns": (lambda v: [1.0] * len(v), ("({n},)", "reshape(-1, 1)")),
}
ONE_HOT_HINT = ("fastbp.one_hot([j], 2).T",)
LIKE_A_CLASS = ("(n,)", "(1, n)", "(1, 1)", "()", "no list of columns")


def sample_rows():
    for part, unit, n in (("x", "inputs", SIZES[0]), ("y", "outputs", SIZES[-1])):
        for name, (make, fragments) in SHAPES.items():
            hint = ONE_HOT_HINT if part == "y" and name in LIKE_A_CLASS else ()
            held = (f"({n}, 1)", f"{n} {unit}", *(f.format(n=n) for f in fragments), *hint)
            # feedforward takes (n, k), k samples at once
            not_on = ("feedforward",) if name in ("(n, 2)", "(n, 0)") else ()
            yield Row(f"{part} {name}", part, make, ValueError, held, not_on=not_on)
        for name, make in NOT_FINITE.items():
            got = name.split()[0].replace("beyond", "inf")
            held = ("a finite number", f"got {got}")
            yield Row(f"{part} {name}", part, make, ValueError, held, index="[1]")
            single = ("feedforward", "backprop")  # these have no such option
            held, name = (*held, "check_finite=False"), f"{part} {name}, hint"
            yield Row(name, part, make, ValueError, held, index="[1]", not_on=single)
        for name, (make, fragments) in NOT_REAL.items():
            yield Row(f"{part} {name}", part, make, TypeError, fragments)
    yield Row("y is a class", "y", lambda v: 1, ValueError, ("(2, 1)", "got 1", *ONE_HOT_HINT))
    yield Row("y is a uint8", "y", lambda v: np.uint8(1), ValueError, ("(2, 1)", *ONE_HOT_HINT))
    labels = {
        "-1": lambda v: -1,
        "2": lambda v: 2,
        "10**30": lambda v: 10**30,
        "uint8(2)": lambda v: np.uint8(2),
        "7.5": lambda v: 7.5,
        "0.5": lambda v: 0.5,
        "nan": lambda v: np.nan,
        "inf": lambda v: np.inf,
        "None": lambda v: None,
        "'1'": lambda v: "1",
        "1j": lambda v: 1j,
        "object": lambda v: object(),
        "[]": lambda v: [],
        "ragged": lambda v: [[1], [1, 2]],
    }
    for name, make in labels.items():
        held = ("label", "0 to 1", "2 outputs")
        yield Row(f"label {name}", "label", make, ValueError, held)
    held = ("label", "2 outputs", "(2, 1)", "argmax")
    yield Row("one-hot label", "label", lambda v: np.eye(2)[:, 1:], ValueError, held)
    masked_label = np.ma.masked_array([1], mask=[True])
    yield Row("label masked", "label", lambda v: masked_label, TypeError, ("masked array",))
    yield Row("label masked constant", "label", lambda v: np.ma.masked, TypeError, ("masked",))


@pytest.mark.core
@each(
    list(sample_rows()),
    lambda row, method: (
        (row.part == "x" or row.part[0] == method.y[:1] or (row.part, method.y) == ("y", "column"))
        and method.name not in row.not_on
    ),
)
def test_a_bad_sample_is_named_and_nothing_changes(row, method):
    """A bad x, y or label, wherever in the list, is refused with its index, and all stays."""
    for net, generator in networks(method.modules):
        data, good = good_pairs(method.y), good_pairs("column")
        at = 37 if generator is None else 0
        for i in (37,) if at else range(N):  # one late in the list, or all
            x, y = data[i]
            data[i] = (row.make(x), y) if row.part == "x" else (x, row.make(y))
        index = "[1, 0]" if row.index and method.name == "feedforward" else row.index
        with unchanged(net, generator, data, good):
            where = method.place(row.part, at) + index
            refuses(row.error, where, row.fragments, method.call, net, data, at, good)


# -- what is no list of pairs ----------------------------------------------------------


@dataclass(frozen=True)
class ListRow:
    """Data that is bad as a whole, or a bad pair; ``make`` gets good pairs."""

    name: str
    make: Callable
    error: type
    where: str
    fragments: tuple
    not_on: tuple = ()


def with_pair(make, fragment):
    """Return a row of which pair 37 is ``make(x, y)``."""

    def change(data):
        data[37] = make(*data[37])
        return data

    return change, ValueError, "{where}[37]", ("a pair (x, y)", fragment)


DEFAULTS = ("test_data", "evaluation_data")
EMPTY_IS_FINE = ("evaluate", "SGD(test_data)", "accuracy", "accuracy(convert)")
LIST_ROWS = [
    ListRow("triple", *with_pair(lambda x, y: (x, y, y), "3 items")),
    ListRow("single", *with_pair(lambda x, y: (x,), "1 items")),
    ListRow("no items", *with_pair(lambda x, y: (), "0 items")),
    ListRow("only x", *with_pair(lambda x, y: x, "3 items")),
    ListRow("number for a pair", *with_pair(lambda x, y: 5, "int")),
    ListRow("None for a pair", *with_pair(lambda x, y: None, "NoneType")),
    ListRow("0-d for a pair", *with_pair(lambda x, y: np.array(5), "ndarray")),
    ListRow("empty", lambda d: [], ValueError, "{where}", ("sample", "none"), EMPTY_IS_FINE),
    ListRow("empty tuple", lambda d: (), ValueError, "{where}", ("none",), EMPTY_IS_FINE),
    ListRow(
        "empty Dataset",
        lambda d: Dataset(np.empty((0, 3)), np.empty((0, 2))),
        ValueError,
        "{where}",
        ("sample", "none"),
        EMPTY_IS_FINE,
    ),
    ListRow("exhausted", lambda d: iter(()), ValueError, "{where}", ("exhausted", "list")),
    ListRow("exhausted zip", lambda d: zip((), ()), ValueError, "{where}", ("exhausted",)),  # noqa: B905
    ListRow("number", lambda d: 5, TypeError, "{where}", ("pairs (x, y) or a Dataset", "int")),
    ListRow("function", lambda d: len, TypeError, "{where}", ("pairs (x, y) or a Dataset",)),
    ListRow(
        "None",
        lambda d: None,
        TypeError,
        "{where}",
        ("pairs", "NoneType"),
        # None is the default there, and means none
        tuple(name for name, method in METHODS.items() if method.where in DEFAULTS),
    ),
]


@pytest.mark.core
@each(LIST_ROWS, lambda row, method: not method.one and method.name not in row.not_on)
def test_what_is_no_list_of_pairs_is_refused_and_nothing_changes(row, method):
    """Empty data, an exhausted iterator or something that is no pair is named, and all stays."""
    where = row.where.format(where=method.where)
    for net, generator in networks(method.modules):
        data, good = row.make(good_pairs(method.y)), good_pairs("column")
        with unchanged(net, generator, data, good):
            refuses(row.error, where, row.fragments, method.call, net, data, 0, good)


def test_no_samples_to_evaluate_count_as_none():
    """As in the book, nothing of nothing is right, and ``test_data=[]`` means no test data."""
    for net, _ in networks((network2,)):
        assert net.accuracy([]) == net.accuracy([], convert=True) == 0
    for net, _ in networks((network,)):
        assert net.evaluate([]) == 0
        printed = io.StringIO()
        with redirect_stdout(printed):
            sgd(net, good_pairs("column"), epochs=1, test_data=[])
        assert printed.getvalue() == "Epoch 0 complete\n"


@pytest.mark.parametrize(
    "option", ["monitor_evaluation_cost", "monitor_evaluation_accuracy", "early_stopping_n"]
)
def test_monitoring_needs_evaluation_data(option):
    """Monitors of evaluation data, and early stopping, without such data are refused."""
    for net, generator in networks((network2,)):
        data = good_pairs("column")
        with unchanged(net, generator, data):
            held = ("samples", "none", "evaluation data")
            refuses(ValueError, "evaluation_data", held, sgd, net, data, **{option: 1})


# -- Datasets --------------------------------------------------------------------------


@dataclass(frozen=True)
class DatasetRow:
    """A Dataset that is good in itself, and does not fit; ``make`` gets X, Y and labels."""

    name: str
    make: Callable
    where: str
    fragments: tuple
    on: tuple  # what the method may want as y


def label_37(X, Y, labels):
    labels = labels.copy()
    labels[37] = 2
    return Dataset(X, labels)


ANY_Y = ("column", "label", "")
DATASET_ROWS = [
    DatasetRow(
        "X too narrow, targets",
        lambda X, Y, labels: Dataset(X[:, :2], Y),
        "{where}.X",
        ("3 inputs", "got 2"),
        ("column", ""),
    ),
    DatasetRow(
        "X too wide, labels",
        lambda X, Y, labels: Dataset(np.hstack([X, X]), labels),
        "{where}.X",
        ("3 inputs", "got 6"),
        ANY_Y,
    ),
    DatasetRow(
        "a label too large", label_37, "{where}.Y[37]", ("label", "2 outputs", "got 2"), ANY_Y
    ),
    DatasetRow(
        "targets too wide",
        lambda X, Y, labels: Dataset(X, np.hstack([Y, Y])),
        "{where}.Y",
        ("2 outputs", "got 4"),
        ("column",),
    ),
    DatasetRow(
        "one column of targets",
        lambda X, Y, labels: Dataset(X, labels.reshape(-1, 1)),
        "{where}.Y",
        ("2 outputs", "got 1"),
        ("column",),
    ),
    DatasetRow(
        "one-hot for labels",
        lambda X, Y, labels: Dataset(X, Y),
        "{where}.Y",
        ("label", "2 outputs", "(40, 2)", "Dataset(X, labels)"),
        ("label",),
    ),
]


@pytest.mark.core
@each(DATASET_ROWS, lambda row, method: method.y in row.on and method.name != "backprop")
def test_a_dataset_that_does_not_fit_is_refused_and_nothing_changes(row, method):
    """A Dataset of the wrong width or with a label out of range is named, and all stays."""
    where = row.where.format(where=method.where)
    for net, generator in networks(method.modules):
        data, good = row.make(*plain()), good_pairs("column")
        with unchanged(net, generator, data, good):
            if method.name == "feedforward":
                refuses(ValueError, where, row.fragments, net.feedforward, data)
            else:
                refuses(ValueError, where, row.fragments, method.call, net, data, 0, good)


ONES = np.ones((3, 2))


def with_value(value, dtype=float):
    array = np.ones((3, 2), dtype)
    array[2, 1] = value
    return array


DATASET_ARGUMENTS = {
    "X (n,)": (np.ones(3), [0, 1, 0], ValueError, "X", ("(n, k)", "(3,)", "reshape(-1, 1)")),
    "X (n, k, 1)": (np.ones((3, 2, 1)), [0, 1, 0], ValueError, "X", ("(n, k)", "(3, 2, 1)")),
    "X (n, 0)": (np.ones((3, 0)), [0, 1, 0], ValueError, "X", ("(n, k)", "(3, 0)")),
    "X ()": (1.0, [0], ValueError, "X", ("(n, k)", "()")),
    "X nan": (with_value(np.nan), [0, 1, 0], ValueError, "X[2, 1]", ("nan", "check_finite=False")),
    "X inf float32": (with_value(np.inf, np.float32), ONES, ValueError, "X[2, 1]", ("inf",)),
    "X inf float16": (with_value(np.inf, np.float16), ONES, ValueError, "X[2, 1]", ("inf",)),
    "X complex": (ONES + 0j, [0, 1, 0], TypeError, "X", ("dtype complex128",)),
    "X object": (ONES.astype(object), [0, 1, 0], TypeError, "X", ("dtype object",)),
    "X string": (ONES.astype(str), [0, 1, 0], TypeError, "X", ("dtype <U",)),
    "X datetime": (ONES.astype("datetime64[s]"), ONES, TypeError, "X", ("datetime64",)),
    "X masked": (masked(ONES), [0, 1, 0], TypeError, "X", ("masked array",)),
    "X ragged": ([[1.0], [1.0, 2.0]], [0, 1], TypeError, "X", ("array of real numbers",)),
    "X None": (None, [0], TypeError, "X", ("dtype object",)),
    "Y None": (ONES, None, TypeError, "Y", ("dtype object",)),
    "Y ()": (ONES, 1, ValueError, "Y", ("(n, m)", "(n,)", "()")),
    "Y (n, m, 1)": (ONES, np.ones((3, 2, 1)), ValueError, "Y", ("(n, m)", "(3, 2, 1)")),
    "Y (n, 0)": (ONES, np.ones((3, 0)), ValueError, "Y", ("(n, m)", "(3, 0)")),
    "Y too short": (ONES, [0, 1], ValueError, "Y", ("3 rows", "got 2")),
    "Y too long": (ONES, np.ones((4, 2)), ValueError, "Y", ("3 rows", "got 4")),
    "Y nan": (ONES, with_value(np.nan), ValueError, "Y[2, 1]", ("nan", "check_finite=False")),
    "Y complex": (ONES, ONES + 0j, TypeError, "Y", ("dtype complex128",)),
    "Y masked": (ONES, masked(ONES), TypeError, "Y", ("masked array",)),
    "label -1": (ONES, [0, 1, -1], ValueError, "Y[2]", ("label", "got -1")),
    "label 7.5": (ONES, [0, 7.5, 1], ValueError, "Y[1]", ("label", "got 7.5", "(n, m)")),
    "label nan": (ONES, [0, np.nan, 1], ValueError, "Y[1]", ("label", "got nan")),
    "label inf": (ONES, [0, np.inf, 1], ValueError, "Y[1]", ("label", "got inf")),
    "label 2**40": (ONES, [0, 2**40, 1], ValueError, "Y[1]", ("label",)),
    "label None": (ONES, [0, None, 1], TypeError, "Y", ("dtype object",)),
    "label string": (ONES, ["0", "1", "1"], TypeError, "Y", ("dtype <U",)),
    "label masked": (ONES, masked(np.arange(3)), TypeError, "Y", ("masked array",)),
}


@pytest.mark.core
@pytest.mark.parametrize(
    ("x", "y", "error", "where", "fragments"), DATASET_ARGUMENTS.values(), ids=DATASET_ARGUMENTS
)
def test_dataset_names_what_is_wrong_with_its_arrays(x, y, error, where, fragments):
    """Dataset refuses wrong shapes, types, lengths and values, with where they are."""
    before = fingerprint((x, y))
    refuses(error, where, fragments, Dataset, x, y)
    assert fingerprint((x, y))[1] == before[1]


def test_dataset_holds_what_the_core_can_read():
    """X and Y are C-contiguous, aligned and native; float32 and float64 keep their precision."""
    X, Y, _ = plain()
    for make in VARIANTS.values():
        if make is not mapped:
            data = Dataset(make(X), make(Y))
            for array in (data.X, data.Y):
                assert type(array) is np.ndarray
                assert array.flags.c_contiguous
                assert array.flags.aligned
                assert array.dtype.isnative
    for name in ("<f4", ">f4", "<f8", ">f8"):
        data = Dataset(X.astype(name), Y.astype(name))
        assert data.X.dtype == data.Y.dtype == np.dtype(name).newbyteorder("=")


def test_dataset_skips_the_search_on_request_only():
    """``check_finite=False`` takes NaN as it is; all other checks stay."""
    data = Dataset(with_value(np.nan), with_value(np.inf), check_finite=False)
    assert np.isnan(data.X[2, 1])
    assert np.isinf(data.Y[2, 1])
    refuses(ValueError, "Y[1]", (), Dataset, ONES, [0, -1, 0], check_finite=False)
    refuses(TypeError, "X", (), Dataset, ONES + 0j, [0, 1, 0], check_finite=False)


ONE_HOT_ARGUMENTS = {
    "-1": ([0, -1], None, ValueError, "labels[1]", ("label", "got -1")),
    "7.5": ([7.5], None, ValueError, "labels[0]", ("label", "got 7.5")),
    "nan": ([0, np.nan], None, ValueError, "labels[1]", ("label", "nan")),
    "too large": ([0, 1, 2], 2, ValueError, "labels[2]", ("0 to 1", "2 classes", "got 2")),
    "2-D": ([[0, 1]], None, ValueError, "labels", ("(n,)", "(1, 2)")),
    "0-d": (1, None, ValueError, "labels", ("(n,)", "()")),
    "string": (["1"], None, TypeError, "labels", ("dtype <U",)),
    "None": ([None], None, TypeError, "labels", ("dtype object",)),
    "complex": ([1j], None, TypeError, "labels", ("dtype complex",)),
    "masked": (masked(np.arange(3)), None, TypeError, "labels", ("masked array",)),
    "n_classes 0": ([0], 0, ValueError, "n_classes", ("at least 1", "got 0")),
    "n_classes -1": ([0], -1, ValueError, "n_classes", ("got -1",)),
    "n_classes 2.0": ([0], 2.0, TypeError, "n_classes", ("an integer", "2.0")),
    "n_classes True": ([0], True, TypeError, "n_classes", ("an integer", "True")),
}


@pytest.mark.parametrize(
    ("labels", "n", "error", "where", "fragments"),
    ONE_HOT_ARGUMENTS.values(),
    ids=ONE_HOT_ARGUMENTS,
)
def test_one_hot_names_the_bad_label(labels, n, error, where, fragments):
    """one_hot refuses what is no label in range, with its index."""
    refuses(error, where, fragments, one_hot, labels, n)


# -- numbers ---------------------------------------------------------------------------

NOT_AN_INTEGER = (2.0, True, np.bool_(True), "3", None, np.float64(2), [2], 1j)
NOT_A_NUMBER = ("0.5", None, 1j, [0.5], np.array([0.5]), object())
BAD_NUMBERS = (np.nan, np.inf, -np.inf, np.float32(np.inf), 10**400)
# (method, argument, modules, values and their error)
NUMBERS = [
    (sgd, "mini_batch_size", CLASSES, {ValueError: (0, -1), TypeError: NOT_AN_INTEGER}),
    (sgd, "epochs", CLASSES, {ValueError: (-1,), TypeError: NOT_AN_INTEGER}),
    (sgd, "eta", CLASSES, {ValueError: BAD_NUMBERS, TypeError: NOT_A_NUMBER}),
    (sgd, "shuffle", CLASSES, {TypeError: ("yes", 1, None, [])}),
    (sgd, "lmbda", (network2,), {ValueError: BAD_NUMBERS, TypeError: NOT_A_NUMBER}),
    (sgd, "early_stopping_n", (network2,), {ValueError: (-1,), TypeError: NOT_AN_INTEGER}),
    (update, "eta", CLASSES, {ValueError: BAD_NUMBERS, TypeError: NOT_A_NUMBER}),
    (update, "lmbda", (network2,), {ValueError: BAD_NUMBERS, TypeError: NOT_A_NUMBER}),
    (update, "n", (network2,), {ValueError: (0, -1, -0.5, *BAD_NUMBERS), TypeError: NOT_A_NUMBER}),
    (
        lambda net, data, lmbda: net.total_cost(data, lmbda),
        "lmbda",
        (network2,),
        {ValueError: BAD_NUMBERS, TypeError: NOT_A_NUMBER},
    ),
]


@pytest.mark.core
@pytest.mark.parametrize(
    ("call", "name", "modules", "value", "error"),
    [
        pytest.param(call, name, modules, value, error, id=f"{name}-{value!r:.9}-{error.__name__}")
        for call, name, modules, bad in NUMBERS
        for error, values in bad.items()
        for value in values
    ],
)
def test_a_bad_number_is_named_and_nothing_changes(call, name, modules, value, error):
    """A setting that is no number, or out of range, is named with its value, and all stays."""
    got = str(value) if error is ValueError else repr(value)
    got = "inf" if len(got) > 400 else got
    for net, generator in networks(modules):
        data = good_pairs("column")
        with unchanged(net, generator, data):
            refuses(error, name, (f"got {got}",), call, net, data, **{name: value})


LONG = 10**5000  # Python writes out no integer of so many digits
LONG_NUMBERS = [
    (sgd, "mini_batch_size", CLASSES, {ValueError: -LONG, TypeError: [LONG]}),
    (sgd, "epochs", CLASSES, {ValueError: -LONG, TypeError: {0: LONG}}),
    (sgd, "eta", CLASSES, {ValueError: LONG, TypeError: [LONG]}),
    (sgd, "n_threads", CLASSES, {ValueError: -LONG}),
    (lambda net, data, y: net.accuracy([(data[0][0], y)]), "data[0][1]", (network2,),
     {ValueError: LONG}),
    *(
        (
            lambda net, data, value, name=name: fastbp.train(
                net, Dataset(*plain()[:2]), **{"epochs": 1, name: value}
            ),
            name, CLASSES, {error: -LONG},
        )
        for name, error in (
            ("optimizer", TypeError), ("score", TypeError), ("evaluate", TypeError),
            ("shuffle", TypeError), ("state", TypeError), ("dropout", ValueError),
            ("l1", ValueError), ("mini_batch_size", ValueError), ("random_state", ValueError),
        )
    ),
    (lambda net, data, value: fastbp.gradient(net, data, reduction=value), "reduction", CLASSES,
     {ValueError: LONG}),
    (lambda net, data, value: fastbp.check_gradient(net, data, method=value), "method", CLASSES,
     {ValueError: LONG}),
    (lambda net, data, value: fastbp.numerical_gradient(net, data, method=value), "method", CLASSES,
     {ValueError: LONG}),
    (lambda net, data, value: fastbp.EarlyStopping(value), "EarlyStopping.epochs", CLASSES,
     {ValueError: -LONG, TypeError: [LONG]}),
    (lambda net, data, value: fastbp.EarlyStopping(1, value), "EarlyStopping.monitor", CLASSES,
     {ValueError: LONG}),
    (lambda net, data, value: Dataset(*plain()[:2])[value], "index", CLASSES,
     {TypeError: {0: LONG}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "name", "modules", "bad"),
    LONG_NUMBERS,
    ids=[f"{name}-{i}" for i, (_, name, *_) in enumerate(LONG_NUMBERS)],
)
def test_an_integer_of_thousands_of_digits_gets_the_usual_error(call, name, modules, bad):
    """Wherever a value is put into the text of an error, also one that has no text of its own."""
    for error, value in bad.items():
        for net, generator in networks(modules):
            data = good_pairs("column")
            with unchanged(net, generator, data):
                if call is sgd:
                    refuses(error, name, (), call, net, data, **{name: value})
                else:
                    refuses(error, name, (), call, net, data, value)


# -- the constructor -------------------------------------------------------------------

BAD_SIZES = {
    "[3]": ([3], ValueError, "sizes", ("at least 2 layers", "[3]")),
    "[]": ([], ValueError, "sizes", ("at least 2 layers", "[]")),
    "[3, 0, 2]": ([3, 0, 2], ValueError, "sizes[1]", ("at least 1", "got 0")),
    "[3, -1]": ([3, -1], ValueError, "sizes[1]", ("at least 1", "got -1")),
    "[3, 2.0]": ([3, 2.0], TypeError, "sizes[1]", ("an integer", "2.0")),
    "[True, 2]": ([True, 2], TypeError, "sizes[0]", ("an integer", "True")),
    "[3, '2']": ([3, "2"], TypeError, "sizes[1]", ("an integer", "'2'")),
    "[3, None]": ([3, None], TypeError, "sizes[1]", ("an integer", "None")),
    "[[3, 2]]": ([[3, 2]], TypeError, "sizes[0]", ("an integer", "[3, 2]")),
    "'32'": ("32", TypeError, "sizes", ("a list of integers", "'32'")),
    "5": (5, TypeError, "sizes", ("a list of integers", "5")),
    "None": (None, TypeError, "sizes", ("a list of integers", "None")),
    "array(5)": (np.array(5), TypeError, "sizes", ("a list of integers", "array(5)")),
    "2**48 and more": ([2**24 - 1, 2**24 + 1], MemoryError, "sizes", ("2**48 parameters",)),
    "2**63 and more": ([3, 2**62], MemoryError, "sizes", ("2**48 parameters",)),
    "all layers count": ([1, *[2**23] * 5], MemoryError, "sizes", ("2**48 parameters",)),
    "4,000 digits": ([10**4000, 10**4000], MemoryError, "sizes", ("2**48 parameters",)),
    "5,000 digits": ([3, 10**5000], MemoryError, "sizes", ("2**48 parameters",)),
    "-5,000 digits": ([3, -(10**5000)], ValueError, "sizes[1]", ("at least 1",)),
    "one number of 5,000 digits": (10**5000, TypeError, "sizes", ("a list of integers",)),
}


@pytest.mark.core
@each_class
@pytest.mark.parametrize(
    ("sizes", "error", "where", "fragments"), BAD_SIZES.values(), ids=BAD_SIZES
)
def test_bad_sizes_are_refused_before_anything_is_drawn(sizes, error, where, fragments, module):
    """Sizes that make no network are named with their index, and no generator has moved."""
    for dtype in DTYPES:
        for generator in (None, np.random.default_rng(1)):
            before, options = streams(generator), {"dtype": dtype, "random_state": generator}
            refuses(error, where, fragments, module.Network, sizes, **options)
            assert streams(generator) == before


@each_class
@pytest.mark.parametrize("dtype", ["int32", "float16", "complex128", "longdouble", object, ">f8"])
def test_a_network_computes_in_float32_or_float64_only(module, dtype):
    """Any other dtype is refused by name, and no generator has moved."""
    before, held = streams(None), ("float32 or float64", str(np.dtype(dtype)))
    refuses(TypeError, "dtype", held, module.Network, SIZES, dtype=dtype)
    assert streams(None) == before


@each_class
@pytest.mark.parametrize(
    ("value", "error"), [("x", TypeError), (1.5, TypeError), (-1, ValueError)], ids=repr
)
def test_a_bad_random_state_is_refused_before_anything_is_drawn(module, value, error):
    """What NumPy makes no generator of is refused, and the global generators have not moved."""
    before = streams(None)
    with pytest.raises(error):
        module.Network(SIZES, random_state=value)
    assert streams(None) == before


# -- parameters that a user has set ----------------------------------------------------


@dataclass(frozen=True)
class ParameterRow:
    """What a user made of the parameters."""

    name: str
    edit: Callable
    error: type
    where: str
    fragments: tuple


def item(which, layer, make):
    """Return an edit that replaces one array by what ``make`` makes of it."""

    def edit(net):
        arrays = getattr(net, which)
        arrays[layer] = make(arrays[layer])

    return edit


PARAMETER_ROWS = [
    ParameterRow(
        f"{which}[{layer}] {name}",
        item(which, layer, make),
        error,
        f"{which}[{layer}]",
        fragments,
    )
    for which, layer, shape in (
        ("weights", 0, (4, 3)),
        ("weights", 1, (2, 4)),
        ("biases", 1, (2, 1)),
    )
    for name, make, error, fragments in [
        ("transposed", lambda a: a.T.copy(), ValueError, (str(shape), str(shape[::-1]))),
        ("too long", lambda a: np.vstack([a, a]), ValueError, (str(shape), "[3, 4, 2]")),
        ("flat", lambda a: a.ravel(), ValueError, (str(shape),)),
        ("a number", lambda a: 0.5, ValueError, (str(shape), "()")),
        ("object", lambda a: a.astype(object), TypeError, ("dtype object",)),
        ("complex", lambda a: a + 0j, TypeError, ("dtype complex",)),
        ("string", lambda a: a.astype(str), TypeError, ("dtype <U",)),
        ("None", lambda a: None, TypeError, ("dtype object",)),
        ("ragged", lambda a: [[1], [1, 2]], TypeError, ("array of real numbers",)),
        ("masked", masked, TypeError, ("masked array",)),
    ]
] + [
    ParameterRow(
        f"{which} {name}",
        lambda net, which=which, value=value: setattr(net, which, value(getattr(net, which))),
        error,
        which,
        fragments,
    )
    for which in ("weights", "biases")
    for name, value, error, fragments in [
        ("one too few", lambda a: a[:1], ValueError, ("2 arrays", "got 1")),
        ("one too many", lambda a: [*a, a[0]], ValueError, ("2 arrays", "got 3")),
        ("a number", lambda a: 5, TypeError, ("a list of arrays", "int")),
        ("an array of no dimension", lambda a: np.array(5), TypeError, ("a list of arrays",)),
    ]
]


@pytest.mark.core
@each(PARAMETER_ROWS, lambda row, method: True)
def test_parameters_set_wrongly_are_named_at_the_next_call(row, method):
    """Weights or biases of a wrong shape or type are named with their layer, and all stays."""
    for net, generator in networks(method.modules):
        row.edit(net)
        data, good = good_pairs(method.y), good_pairs("column")
        with unchanged(net, generator, data, good):
            refuses(row.error, row.where, row.fragments, method.call, net, data, 0, good)


@pytest.mark.core
@pytest.mark.parametrize("method", TRAINING)
@pytest.mark.parametrize("path", ["core", "own backprop"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300], ids=str)
@pytest.mark.parametrize(("which", "layer"), [("weights", 1), ("biases", 0)])
def test_training_refuses_parameters_that_are_not_finite(which, layer, value, path, method):
    """A NaN or infinity that a user put among the parameters is named before a step is taken."""
    for net, generator in networks():
        if value == 1e300 and net.dtype == np.float64:
            continue  # large, and a parameter like any other; infinite in float32
        if path == "own backprop":
            net.backprop = net.backprop
        edited = getattr(net, which)[layer].astype(float)
        edited[1, 0] = value
        getattr(net, which)[layer] = edited
        data, held = good_pairs("column"), ("a finite number", "nan" if np.isnan(value) else "inf")
        with unchanged(net, generator, data):
            where = f"{which}[{layer}][1, 0]"
            refuses(ValueError, where, held, METHODS[method].call, net, data, 0, data)


@each_class
@each_dtype
def test_nan_among_the_weights_shows_in_the_outputs(module, dtype):
    """As in the book, ``feedforward`` through a NaN is NaN, and no error."""
    net = module.Network(SIZES, dtype=dtype)
    net.weights[1][0, 0] = np.nan
    output = net.feedforward(np.ones((3, 1)))
    assert np.isnan(output[0, 0])
    assert np.isfinite(output[1, 0])


# -- what is accepted ------------------------------------------------------------------


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned or array.dtype.itemsize == 1 or not array.size
    return view


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def padded(array):
    wide = np.full((*array.shape[:-1], 3 * array.shape[-1]), np.nan)
    wide[..., 1::3] = array
    return wide[..., 1::3]


class Subclass(np.ndarray):
    """An array whose operators must not be called."""

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError("computed on the caller's type")


def mapped(folder):
    def make(array):
        file = folder / f"{len(list(folder.iterdir()))}.bin"
        array.tofile(file)
        return np.memmap(file, array.dtype, "r", shape=array.shape)

    return make


INTEGERS = ("int8", "uint8", "int16", "int64", "uint64", ">i4", "bool")
REALS = ("float16", "float32", "longdouble", ">f8", ">f4", "<f8")
VARIANTS = {name: lambda a, t=name: a.astype(t) for name in (*INTEGERS, *REALS)} | {
    "matrix": lambda a: a.view(np.matrix),
    "F-order": lambda a: np.asfortranarray(a),
    "strided": padded,
    "negative stride": lambda a: a[::-1].copy()[::-1],
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": frozen,
    "memmap": mapped,
    "misaligned": misaligned,
    "misaligned float32": lambda a: misaligned(a.astype(np.float32)),
    "list": lambda a: a.tolist(),
    "list of arrays": list,
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "subclass": lambda a: a.view(Subclass),
    "masked, no mask set": lambda a: np.ma.masked_array(a, mask=False),
}


def outcome(method, module, dtype, data):
    """Return all that a call leaves: result, printed lines, parameters, generators."""
    random.seed(3)
    np.random.seed(3)
    net = module.Network(SIZES, dtype=dtype)
    printed = io.StringIO()
    with redirect_stdout(printed):
        result = method.call(net, data, 37, good_pairs("column"))
    arrays = result if isinstance(result, tuple) else ([result],)
    values = [np.asarray(a).tobytes() for part in arrays for a in part]
    return values, printed.getvalue(), bits(net), streams(None)


def accepted(method, forms, same):
    """See that each form of the samples has the outcome of ``same``, and stays as it is."""
    for module in method.modules:
        for dtype in DTYPES:
            expected = outcome(method, module, dtype, same())
            for form in forms:
                data = form()
                held = list(data) if isinstance(data, list) else [data]
                before = fingerprint(held)
                assert outcome(method, module, dtype, data) == expected
                assert fingerprint(held) == before


@dataclass(frozen=True)
class Variant:
    """A form of arrays that counts as the plain array."""

    name: str
    make: Callable


@pytest.mark.core
@each([Variant(*pair) for pair in VARIANTS.items()], lambda row, method: True)
def test_another_form_of_the_arrays_gives_the_same_bits(row, method, tmp_path):
    """Every real type, order, stride, alignment and container counts as the plain array."""
    make = row.make(tmp_path) if row.make is mapped else row.make
    integers = row.name in INTEGERS
    X, Y, labels = plain(integers)

    def changed(every):
        data = good_pairs(method.y, integers)
        for i in range(1, N, every):
            x, y = data[i]
            data[i] = make(x), make(y) if method.y == "column" else y
        return data

    forms = [lambda: changed(1), lambda: changed(2)]  # all in this form, or a mixture
    if not method.one:
        forms.append(lambda: Dataset(make(X), labels))
    if method.y == "column" and not method.one:
        forms.append(lambda: Dataset(make(X), make(Y)))
    accepted(method, forms, lambda: good_pairs(method.y, integers))
    if method.name == "feedforward":
        whole = replace(method, call=lambda net, d, i, _: net.feedforward(d))
        accepted(whole, [lambda: make(X.T)], lambda: X.T.copy())
        accepted(whole, [lambda: Dataset(make(X), labels)], lambda: Dataset(X, labels))


LABELS = {
    "float": float,
    "uint8": np.uint8,
    "uint64": np.uint64,
    "int64": np.int64,
    "float16": np.float16,
    "longdouble": np.longdouble,
    "bool": bool,
    "bool_": np.bool_,
    "0-d": np.array,
    "(1,)": lambda j: np.array([j]),
    "(1, 1)": lambda j: np.array([[float(j)]]),
    "big-endian": lambda j: np.array([j], ">i4"),
    "big-endian float": lambda j: np.array(j, ">f8"),
    "[j]": lambda j: [j],
    "matrix": lambda j: np.array([[j]]).view(np.matrix),
    "masked, no mask set": lambda j: np.ma.masked_array([j], mask=[False]),
}


@pytest.mark.core
@each([Variant(*pair) for pair in LABELS.items()], lambda row, method: method.y == "label")
def test_a_label_of_any_type_that_equals_an_integer_is_accepted(row, method):
    """A label counts by its value: 1, 1.0, uint8(1), array([1]) are the same class."""
    forms = [lambda: [(x, row.make(j)) for x, j in good_pairs("label")]]
    accepted(method, forms, lambda: good_pairs("label"))


@pytest.mark.core
@each([Variant(*pair) for pair in VARIANTS.items() if pair[0] in (*INTEGERS, *REALS)],
      lambda row, method: method.y and not method.one)  # fmt: skip
def test_labels_of_a_dataset_may_have_any_real_type(row, method):
    """Labels of a Dataset count by their value, whatever their type."""
    X, _, labels = plain()
    accepted(method, [lambda: Dataset(X, row.make(labels))], lambda: Dataset(X, labels))


@pytest.mark.core
@each([Variant("tuple", tuple), Variant("zip", lambda d: zip(*zip(*d, strict=True), strict=True)),
       Variant("generator", lambda d: (pair for pair in d)),
       Variant("pairs as lists", lambda d: list(map(list, d)))],
      lambda row, method: not method.one)  # fmt: skip
def test_any_iterable_of_pairs_is_taken_once(row, method):
    """A tuple, a zip or a generator counts as the list of its pairs."""
    accepted(method, [lambda: row.make(good_pairs(method.y))], lambda: good_pairs(method.y))


@pytest.mark.core
@each([Variant("1e300", lambda x: x), Variant("1e300, -1e300", lambda x: x * [[1], [-1], [1]])],
      lambda row, method: True)  # fmt: skip
def test_finite_but_huge_inputs_saturate_without_a_warning(row, method):
    """An input of 1e300 is taken like one of 1e6: neurons saturate, all stays finite."""

    def with_input(size):
        data = good_pairs(method.y)
        data[37] = (row.make(np.full((3, 1), size)), data[37][1])
        return data

    for module in method.modules:
        for dtype in DTYPES:
            huge, _, parameters, _ = outcome(method, module, dtype, with_input(1e300))
            assert all(np.isfinite(np.frombuffer(b, dtype)).all() for b in parameters)
            if method.name in ("feedforward", "evaluate", "accuracy"):
                assert huge == outcome(method, module, dtype, with_input(1e6))[0]


@each_class
@each_dtype
def test_finite_but_huge_targets_are_accepted_without_a_warning(module, dtype):
    """A target of 1e300 gives a large gradient, and no error."""
    net = module.Network(SIZES, dtype=dtype)
    x, y = np.ones((3, 1)), np.full((2, 1), 1e300)
    gradients = [a for arrays in net.backprop(x, y) for a in arrays]
    assert all(np.isfinite(a).all() for a in gradients)
    assert max(np.abs(a).max() for a in gradients) > 1e20
    update(net, [(x, y)], eta=0.1)
    assert all(np.isfinite(a).all() for a in [*net.biases, *net.weights])


@pytest.mark.core
@pytest.mark.parametrize("form", [list, lambda d: Dataset(*plain()[:2])], ids=["pairs", "Dataset"])
def test_a_mini_batch_larger_than_the_data_is_one_batch(form):
    """``mini_batch_size`` beyond n trains on all samples at once."""
    one, *others = (
        replace(METHODS["SGD"], call=lambda net, d, i, _, m=m: sgd(net, d, mini_batch_size=m))
        for m in (N, N + 1, 2**62)
    )
    for module in CLASSES:
        for dtype in DTYPES:
            expected = outcome(one, module, dtype, form(good_pairs("column")))
            for other in others:
                assert outcome(other, module, dtype, form(good_pairs("column"))) == expected


@pytest.mark.core
def test_no_epochs_change_nothing():
    """``epochs=0`` checks the data, and leaves network, generators and list order as they are."""
    for net, generator in networks():
        data = good_pairs("column")
        with unchanged(net, generator, data):
            assert not any(sgd(net, data, epochs=0) or ())
        data[37] = (data[37][0], 1)
        with unchanged(net, generator, data):
            where = "training_data[37][1]"
            refuses(ValueError, where, ONE_HOT_HINT, sgd, net, data, epochs=0)


# -- the texts for the book's network --------------------------------------------------


@pytest.mark.core
@each_class
def test_the_texts_name_the_sizes_of_the_books_network(module):
    """On [784, 30, 10] the texts hold the shapes, the counts and the hints of the table."""
    net = module.Network([784, 30, 10])
    x, y = np.zeros((784, 1)), np.eye(10)[:, :1]

    def train(pair, *fragments, part=0):
        data = [(x, y)] * 2 + [pair] + [(x, y)]
        where = f"training_data[2][{part}]"
        refuses(ValueError, where, fragments, net.SGD, data, 1, 2, 0.5)

    train((x[:, 0], y), "(784, 1)", "(784,)", "reshape(-1, 1)")
    train((np.hstack([x, x]), y), "(784, 1)", "(784, 2)", "one sample is one column")
    train((x[1:], y), "784 inputs", "(783, 1)")
    train((x, y[:, 0]), "(10, 1)", "(10,)", "one_hot", part=1)
    train((x, y.T), "(10, 1)", "(1, 10)", "one_hot", part=1)
    train((x, y[:1]), "(10, 1)", "(1, 1)", "one_hot", part=1)
    train((x, 7), "(10, 1)", "got 7", "one_hot", part=1)
    train((x, y[1:]), "10 outputs", "(9, 1)", part=1)
    evaluate = net.evaluate if module is network else net.accuracy
    where = "test_data[1][1]" if module is network else "data[1][1]"
    for label in (-1, 10, 7.5, None, y):
        held = ("label", "10 outputs")
        refuses(ValueError, where, held, evaluate, [(x, 3), (x, label)])


# -- paths that run a user's code ------------------------------------------------------


class OwnCost(network2.CrossEntropyCost):
    """The cross-entropy, as a user's own class."""

    @staticmethod
    def delta(z, a, y):
        return a - y


class OwnDerivative(network.Network):
    """The quadratic cost, as a user's own method."""

    def cost_derivative(self, output_activations, y):
        return output_activations - y


def own_code(name, dtype, generator=None):
    """Return a network that trains through a user's own code."""
    if name == "cost_derivative":
        return OwnDerivative(SIZES, dtype=dtype, random_state=generator)
    if name == "cost":
        return network2.Network(SIZES, OwnCost, dtype=dtype, random_state=generator)
    module = {"network.backprop": network, "network2.backprop": network2}[name]
    net = module.Network(SIZES, dtype=dtype, random_state=generator)
    backprop = net.backprop
    net.backprop = lambda x, y: backprop(x, y)
    return net


OWN = ("cost_derivative", "cost", "network.backprop", "network2.backprop")


@pytest.mark.parametrize(
    "row", [row for row in sample_rows() if row.part != "label"], ids=lambda row: row.name
)
@pytest.mark.parametrize("method", TRAINING)
def test_with_a_users_cost_too_all_samples_are_checked_first(row, method):
    """With an own cost, too, the bad sample is named before anything has changed."""
    for name in ("cost_derivative", "cost"):
        for dtype in DTYPES:
            for generator in (None, np.random.default_rng(1)):
                net, data = own_code(name, dtype, generator), good_pairs("column")
                x, y = data[37]
                data[37] = (row.make(x), y) if row.part == "x" else (x, row.make(y))
                where = METHODS[method].place(row.part, 37) + row.index
                call = METHODS[method].call
                with unchanged(net, generator, data):
                    refuses(row.error, where, row.fragments, call, net, data, 37, None)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("method", TRAINING)
@each_dtype
def test_a_users_code_is_handed_no_empty_or_exhausted_data(name, method, dtype):
    """Through a user's own code, too, training on nothing is an error."""
    call, where = METHODS[method].call, METHODS[method].where
    for make in (list, lambda: iter(()), lambda: Dataset(np.empty((0, 3)), np.empty((0, 2)))):
        generator = np.random.default_rng(1)
        net, data = own_code(name, dtype, generator), make()
        with unchanged(net, generator, data):
            refuses(ValueError, where, (), call, net, data, 0, None)


@pytest.mark.parametrize("name", OWN)
@each_dtype
@pytest.mark.parametrize("at", [0, 37])
def test_a_mini_batch_through_a_users_code_leaves_no_half_step(name, at, dtype):
    """A bad sample amid a mini-batch, met by a user's ``backprop``, takes no part of the step."""
    generator = np.random.default_rng(1)
    net, data = own_code(name, dtype, generator), good_pairs("column")
    data[at] = (data[at][0], data[at][1][:, 0])
    with unchanged(net, generator, data), pytest.raises(ValueError, match=r"expected shape \(2, 1"):
        update(net, data)


# -- divergence ------------------------------------------------------------------------


def training_network(path, module, dtype, generator):
    if path == "core":
        return module.Network(SIZES, dtype=dtype, random_state=generator)
    return own_code(f"{module.__name__[7:]}.backprop", dtype, generator)


each_path = pytest.mark.parametrize("path", ["core", "own backprop"])


def diverges(call, *fragments):
    """See that ``call`` raises DivergenceError; its text, with notes, holds the fragments."""
    with pytest.raises(DivergenceError) as caught:
        call()
    message = " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for fragment in fragments:
        assert fragment in message, message


def test_divergence_is_an_arithmetic_error():
    """DivergenceError can be caught as ArithmeticError, and is public."""
    assert issubclass(DivergenceError, ArithmeticError)
    assert fastbp.DivergenceError is DivergenceError


@pytest.mark.core
@each_class
@each_dtype
@each_path
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_that_diverges_leaves_the_network_as_it_was(sign, path, module, dtype):
    """``update_mini_batch`` to a parameter that is not finite raises, naming eta, and all stays."""
    eta = sign * (1e300 if dtype is np.float64 else 1e39)
    for generator in (None, np.random.default_rng(1)):
        net = training_network(path, module, dtype, generator)
        data = [(x, 1e20 * y) for x, y in good_pairs("column")]
        with unchanged(net, generator, data):
            diverges(lambda net=net, data=data: update(net, data, eta=eta), f"eta = {eta:g}")


@pytest.mark.core
@each_class
@each_dtype
@each_path
def test_an_epoch_that_diverges_goes_back_to_the_last_finite_state(path, module, dtype):
    """``SGD`` raises, naming eta and epoch; parameters are finite, the first step never counted."""
    eta = 1e300 if dtype is np.float64 else 1e39
    for generator in (None, np.random.default_rng(1)):
        net = training_network(path, module, dtype, generator)
        data = [(x, 1e20 * y) for x, y in good_pairs("column")]
        before, order = bits(net), list(data)
        state = random.getstate()
        diverges(lambda net=net, data=data: sgd(net, data, eta=eta), f"eta = {eta:g}", "epoch 0")
        assert bits(net) == before
        if generator is None:  # list and stream stay where that moment left them
            left = random.getstate()
            random.setstate(state)
            random.shuffle(order)
            assert random.getstate() == left
            assert [id(pair) for pair in data] == [id(pair) for pair in order]
        sgd(net, good_pairs("column"), epochs=1)  # and the network can go on
        assert bits(net) != before


@pytest.mark.core
@each_dtype
@each_path
def test_divergence_in_a_later_epoch_keeps_the_epochs_before(path, dtype):
    """Weights that grow beyond all numbers in the second step of epoch 1 leave the first step."""
    growth = 1e90 if dtype is np.float64 else 1e11
    options = {"mini_batch_size": N // 2, "eta": 0.5, "lmbda": -2 * growth * N, "shuffle": False}
    zero = np.zeros((3, 1))
    data = [(zero, y) for _, y in good_pairs("column")]
    nets = []
    for epochs in (1, 2):
        net = training_network(path, network2, dtype, np.random.default_rng(1))
        nets.append(net)
        if epochs == 1:
            sgd(net, data, epochs=1, **options)
        else:
            diverges(lambda net=net: sgd(net, data, epochs=2, **options), "eta = 0.5", "epoch 1")
    one, two = nets
    # The same lmbda / n: half of both. A step by update_mini_batch may round apart from SGD's.
    half = options | {"lmbda": options["lmbda"] / 2}
    sgd(one, data[: N // 2], epochs=1, **half)
    assert bits(two) == bits(one)


@pytest.mark.core
@each_class
@each_dtype
@pytest.mark.parametrize("form", ["pairs", "Dataset"])
@pytest.mark.parametrize("part", ["x", "y"])
def test_nan_that_was_not_looked_for_is_caught_as_divergence(part, form, module, dtype):
    """With ``check_finite=False`` a NaN in the data raises DivergenceError, and is rolled back."""
    net = module.Network(SIZES, dtype=dtype)
    X, Y, _ = (array.copy() for array in plain())
    (X if part == "x" else Y)[37, 1] = np.nan
    data = Dataset(X, Y, check_finite=False)
    before = bits(net)
    given = data if form == "Dataset" else list(data)
    call = lambda: sgd(net, given, mini_batch_size=N, check_finite=False)  # noqa: E731
    diverges(call, "eta = 0.5", "epoch 0", "its samples hold NaN or infinity")
    assert bits(net) == before


@pytest.mark.core
@each_class
@each_dtype
def test_divergence_goes_back_to_a_checkpoint_within_the_epoch(module, dtype, monkeypatch):
    """Late in an epoch the last checkpoint is kept: a replay of k mini-batches has its bits."""
    monkeypatch.setattr(
        "fastbp.training.loop._SECONDS", 0.0
    )  # come back from the core at each look
    n, size = 20_000, 10
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((n, 3)), rng.random((n, 2))
    X[-500] = np.nan
    data = Dataset(X, Y, check_finite=False)
    net, replay = (module.Network(SIZES, dtype=dtype, random_state=1) for _ in range(2))
    call = lambda: sgd(net, data, epochs=1, mini_batch_size=size, shuffle=False)  # noqa: E731
    diverges(call, "eta = 0.5", "epoch 0")
    k = 0
    while bits(replay) != bits(net):
        batch = data[k * size : (k + 1) * size]
        sgd(replay, batch, epochs=1, mini_batch_size=size, shuffle=False)  # update may round apart
        k += 1
        assert k <= (n - 500) // size
    assert k > 0


@each_class
def test_check_finite_false_gives_the_same_run_on_good_data(module):
    """``check_finite=False`` skips a search and changes nothing else."""
    checked = METHODS["SGD"]
    skipped = replace(checked, call=lambda net, d, i, _: sgd(net, d, check_finite=False))
    one, two = (outcome(m, module, np.float64, good_pairs("column")) for m in (checked, skipped))
    assert one == two


# -- files -----------------------------------------------------------------------------

GOOD_FILE = {
    "sizes": [2, 1],
    "weights": [[[0.5, 0.25]]],
    "biases": [[[1.0]]],
    "cost": "QuadraticCost",
}
HUGE_INTEGER = "1" + "0" * 400
BAD_FILES = {
    "empty": "",
    "half": json.dumps(GOOD_FILE)[:-9],
    "not UTF-8": b"\xff\xfe\x00",
    "a number": "5",
    "a list": "[]",
    "null": "null",
    **{f"no {key}": {k: v for k, v in GOOD_FILE.items() if k != key} for key in GOOD_FILE},
    "unknown cost": {"cost": "os"},
    "cost null": {"cost": None},
    "cost a list": {"cost": []},
    "cost an object": {"cost": {}},
    "sizes a number": {"sizes": 2},
    "sizes a string": {"sizes": "21"},
    "sizes null": {"sizes": None},
    "one size": {"sizes": [2]},
    "sizes 0": {"sizes": [2, 0]},
    "sizes 1.0": {"sizes": [2, 1.0]},
    "other sizes": {"sizes": [3, 1]},
    "more layers": {"sizes": [2, 1, 1]},
    "sizes huge": {"sizes": [2, 2**50]},
    "weights null": {"weights": None},
    "weights a number": {"weights": 5},
    "weights empty": {"weights": []},
    "weights an object": {"weights": {"a": 1}},
    "weights ragged": {"weights": [[[1], [1, 2]]]},
    "weights strings": {"weights": [[["a", "b"]]]},
    "weights null inside": {"weights": [[[None, 1]]]},
    "weights nan": {"weights": [[[np.nan, 1]]]},
    "weights infinite": {"weights": [[[np.inf, 1]]]},
    "weights 1e999": json.dumps(GOOD_FILE).replace("0.25", "1e999"),
    "weights a huge integer": json.dumps(GOOD_FILE).replace("0.25", HUGE_INTEGER),
    "biases flat": {"biases": [[1.0]]},
    "biases nan": {"biases": [[[np.nan]]]},
    "nested too deep": "[" * 200_000,
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
@each_dtype
def test_a_broken_file_is_a_value_error_that_names_it(content, dtype, tmp_path):
    """``load`` raises ValueError for whatever is no network, with the file's name."""
    file = tmp_path / "net.json"
    if isinstance(content, dict):
        whole = len(content) == 3  # one key is missing
        content = json.dumps(content if whole else GOOD_FILE | content)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = streams(None)
    with pytest.raises(ValueError, match=re.escape(str(file))) as caught:
        network2.load(file, dtype=dtype)
    assert caught.type is FormatError
    assert streams(None) == before


def test_a_file_beyond_float32_is_refused_for_float32_only(tmp_path):
    """A weight of 1e300 loads into a float64 network; float32 has no such number."""
    file = tmp_path / "net.json"
    file.write_text(json.dumps(GOOD_FILE | {"weights": [[[1e300, 1]]]}))
    assert network2.load(file).weights[0][0, 0] == 1e300
    with pytest.raises(ValueError, match=r"weights\[0\]\[0, 0\]"):
        network2.load(file, dtype=np.float32)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    """A missing file is FileNotFoundError, as from ``open``."""
    with pytest.raises(FileNotFoundError):
        network2.load(tmp_path / "none.json")


@each_class
@pytest.mark.parametrize("path", ["core", "own backprop", "own update_mini_batch"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_no_samples_are_refused_on_every_path(shuffle, path, module):
    """SGD on an empty list is an error, whoever takes the samples."""
    net = module.Network(SIZES, random_state=1)
    if path != "core":
        name = path.split()[1]
        setattr(net, name, getattr(net, name))
    with pytest.raises(ValueError, match="training_data: expected at least one sample, got none"):
        net.SGD([], 1, 5, 0.5, shuffle=shuffle, verbose=False)


@each_class
def test_huge_numbers_in_another_form_are_cut_as_in_arrays(module):
    """Lists, which the Python gate casts to float32, count as the array of the same numbers."""
    net = module.Network(SIZES, dtype=np.float32, random_state=1)
    x, y = [[1e300], [-1e300], [1.0]], [[1e300], [0.0]]
    same = net.feedforward(np.array(x))
    assert np.isfinite(same).all()
    np.testing.assert_array_equal(net.feedforward(x), same)
    nablas = [net.backprop(*given) for given in ((x, y), (np.array(x), np.array(y)))]
    for found, right in zip(*(b + w for b, w in nablas), strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("i", [0, 3, 4, 8, 10])
def test_large_arrays_are_looked_at_in_pieces(i, monkeypatch):
    """A value that is not finite is found in whichever piece it lies."""
    monkeypatch.setattr(_checks, "_PIECE", 4)
    X = np.ones((11, 1))
    assert len(Dataset(X, X)) == 11
    X[i] = np.inf
    with pytest.raises(ValueError, match=rf"X\[{i}, 0\]: expected a finite number"):
        Dataset(X, np.ones(11))


# -- threads ---------------------------------------------------------------------------


@contextmanager
def trained_elsewhere(net):
    """Train ``net`` in another thread, held within its first epoch for the length of the block."""
    inside, go_on = threading.Event(), threading.Event()
    failures = []

    def hold(data):
        inside.set()
        go_on.wait(60)

    def train():
        try:
            sgd(net, good_pairs("column"), epochs=1, shuffle=hold, verbose=False)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        assert inside.wait(60)
        yield
    finally:
        go_on.set()
        thread.join(60)
    assert not thread.is_alive()
    assert not failures


@pytest.mark.core
@each_class
@each_dtype
@each_path
def test_a_second_writer_is_refused_at_once(path, module, dtype):
    """While one thread trains, training in another raises RuntimeError, and changes nothing."""
    generator = np.random.default_rng(1)
    net = training_network(path, module, dtype, generator)
    data, before = good_pairs("column"), bits(net)
    with trained_elsewhere(net):
        for write in (update, sgd):
            with (
                unchanged(net, generator, data),
                pytest.raises(RuntimeError, match="another thread"),
            ):
                write(net, data)
    assert bits(net) != before  # the first writer was not disturbed
    after = bits(net)
    update(net, data)
    sgd(net, data, epochs=1)
    assert bits(net) != after


@each_class
def test_readers_see_the_last_commit_while_another_thread_trains(module):
    """Reading is free while one thread trains, and sees the state before its epoch."""
    net = module.Network(SIZES, random_state=1)
    pairs, x = good_pairs("label"), np.ones((3, 1))

    def read():
        counted = net.evaluate(pairs) if module is network else net.accuracy(pairs)
        nabla_b, nabla_w = net.backprop(x, np.ones((2, 1)))
        arrays = [net.feedforward(x), *nabla_b, *nabla_w]
        return counted, [a.tobytes() for a in arrays]

    before = read()
    with trained_elsewhere(net):
        assert read() == before
    assert read() != before


@each_class
def test_networks_do_not_lock_each_other(module):
    """While one network is trained in a thread, another one trains in this."""
    net, other = module.Network(SIZES), module.Network(SIZES)
    before = bits(other)
    with trained_elsewhere(net):
        update(other, good_pairs("column"))
    assert bits(other) != before


@each_class
@pytest.mark.parametrize("failure", ["bad input", "divergence", "callback"])
def test_a_failure_gives_the_network_back_to_other_threads(failure, module):
    """After any error another thread may train: the guard is not left locked."""
    net = module.Network(SIZES)
    data = good_pairs("column")

    def broken(_):
        raise LookupError("a user's own")

    if failure == "bad input":
        with pytest.raises(ValueError, match="eta"):
            sgd(net, data, eta=np.nan)
    elif failure == "divergence":
        with pytest.raises(DivergenceError):
            sgd(net, [(x, 1e20 * y) for x, y in data], eta=1e300)
    else:
        with pytest.raises(LookupError):
            sgd(net, data, shuffle=broken)
    with trained_elsewhere(net):
        pass


@pytest.mark.core
@each_class
@each_dtype
def test_the_thread_that_trains_may_train_within(module, dtype):
    """An overridden ``update_mini_batch`` calls ``super()``'s within SGD: same steps as without."""

    class Own(module.Network):
        steps = 0

        def update_mini_batch(self, *args):
            self.steps += 1
            super().update_mini_batch(*args)

    own, net = (cls(SIZES, dtype=dtype, random_state=1) for cls in (Own, module.Network))
    sgd(own, good_pairs("column"))
    sgd(net, good_pairs("column"))
    assert own.steps == 2 * -(-N // BATCH)
    for a, b in zip([*own.biases, *own.weights], [*net.biases, *net.weights], strict=True):
        assert abs(a - b).max() <= STEPS[dtype][100] * max(1, abs(b).max())


@each_class
def test_training_within_a_callback_is_kept(module):
    """What a callback trains between two epochs, on the same network, is not lost."""
    method = "evaluate" if module is network else "accuracy"
    options = {"test_data": [0]} if module is network else {
        "evaluation_data": [0], "monitor_evaluation_accuracy": True}  # fmt: skip

    class Own(module.Network):
        def look(self, data):
            update(self, good_pairs("column"))
            sgd(self, good_pairs("column"), epochs=1, shuffle=False, verbose=False)
            return 0

    setattr(Own, method, Own.look)
    own, net = (cls(SIZES, random_state=1) for cls in (Own, module.Network))
    data = good_pairs("column")
    sgd(own, data, epochs=2, shuffle=False, verbose=False, **options)
    for _ in range(2):
        sgd(net, data, epochs=1, shuffle=False, verbose=False)
        Own.look(net, None)
    assert bits(own) == bits(net)


@pytest.mark.parametrize("cost", ["quadratic", 3, None, object()], ids=repr)
def test_a_cost_without_its_functions_is_refused(cost):
    """What has neither ``fn`` nor ``delta`` is no cost; nothing is drawn for it."""
    state = np.random.get_state()[1].tobytes()
    refuses(TypeError, "cost", ("fn and delta", "QuadraticCost"), network2.Network, [2, 1], cost)
    assert np.random.get_state()[1].tobytes() == state


@each_class
@pytest.mark.parametrize(
    ("random_state", "error"),
    [(-1, ValueError), (1.5, TypeError), ("x", TypeError), (True, TypeError), ([1], TypeError),
     (np.random.RandomState(0), TypeError), (np.random, TypeError)],
)  # fmt: skip
def test_a_random_state_is_an_integer_or_a_generator(module, random_state, error):
    """Anything else is refused in our words, not in NumPy's; of another type with a hint."""
    hint = ("numpy.random.Generator", "default_rng") if error is TypeError else ()
    words = ("an integer", *hint)

    def make():
        module.Network([2, 1], random_state=random_state)

    refuses(error, "random_state", words, make)
    net, data = module.Network([2, 1], random_state=0), Dataset(np.eye(2), [[0.0], [1.0]])
    with unchanged(net, net._generator, data):
        refuses(
            error, "random_state", words,
            fastbp.train, net, data, epochs=1, random_state=random_state,
        )  # fmt: skip


def test_targets_of_one_output_given_as_labels_are_explained():
    """XOR as arrays: labels beyond the one output hint at targets, and at columns in pairs."""
    net = network.Network([2, 1], random_state=0)
    data = Dataset(np.eye(2), [0, 1])
    refuses(ValueError, "training_data.Y[1]", ("(1 output)", "Y[:, None]"), net.SGD, data, 1, 1, 1)
    refuses(ValueError, "training_data[0]", ("Dataset(X, Y)",), net.SGD, [np.eye(3)] * 2, 1, 1, 1)
    refuses(ValueError, "a", ("transpose it",), net.feedforward, np.ones((7, 2)))


ORDINALS, SIGNS, WORDS = [1, 3, 2, 1], [-1, 1, 1, -1], ["ash", "oak", "ash", "elm"]
FROM_1, FROM_0 = "; labels count from 0, not from 1: y - 1", "; labels count from 0: y > 0 turns"
NUMBERED = "; np.unique(y, return_inverse=True)[1] numbers words"


@pytest.mark.parametrize(
    ("y", "hint"),
    [(ORDINALS, FROM_1), (np.array(ORDINALS), FROM_1), (SIGNS, FROM_0), (np.array(SIGNS), FROM_0),
     (WORDS, NUMBERED), (np.array(WORDS), NUMBERED), (np.array(WORDS, object), NUMBERED)],
)  # fmt: skip
def test_labels_of_other_kinds_are_told_how_labels_count(y, hint):
    """Wherever labels go in, the usual other kinds get a hint, in one line."""
    net, X = network2.Network([3, 3], random_state=0), np.ones((4, 3))
    pairs = [(x[:, None], label) for x, label in zip(X, y, strict=True)]
    for call in (
        lambda: one_hot(y, 3),
        lambda: net.SGD(Dataset(X, y), 1, 1, 1.0),
        lambda: fastbp.train(net, (X, y), epochs=1),
        lambda: fastbp.train(net, pairs, epochs=1),
        lambda: net.accuracy(pairs),
    ):
        with pytest.raises((ValueError, TypeError), match=re.escape(hint)) as caught:
            call()
        assert FORM.fullmatch(str(caught.value))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [[1, 4, 2, 1], [0, 3, 2, 1], [-1, 0, 1, 2], [1, 2, 5, 2]])
def test_other_bad_labels_get_no_such_hint(labels):
    """Labels that are wrong in another way are not taken for ones that count from 1 or -1."""
    net, X = network2.Network([3, 3], random_state=0), np.ones((4, 3))
    pairs = [(x[:, None], label) for x, label in zip(X, labels, strict=True)]
    one = network2.Network([3, 1], random_state=0)
    for call in (
        lambda: net.SGD(Dataset(X, labels), 1, 1, 1.0),
        lambda: net.accuracy(pairs),
        lambda: one.accuracy([(X[:1].T, 1), (X[:1].T, 1)]),
        lambda: one.accuracy([(X[:1].T, -1), (X[:1].T, 1)]),
    ):
        with pytest.raises(ValueError, match="expected a label") as caught:
            call()
        assert "count from" not in str(caught.value)


def test_labels_beside_which_others_are_bad_keep_their_own_error():
    """The search for the hint stands whatever else lies among the labels."""
    net, x = network2.Network([1, 3], random_state=0), np.ones((1, 1))
    for other in (None, "x", [[1], [1, 2]], np.nan, 2**70, np.array([5])):
        pairs = [(x, np.array([3])), (x, other)]
        refuses(ValueError, "data[0][1]", ("0 to 2", "got 3"), net.accuracy, pairs)


def test_images_are_told_how_they_become_rows():
    """Arrays (n, 28, 28), and pairs and columns of images, get the call that helps."""
    net = network2.Network([784, 3], random_state=0)
    X, labels = np.ones((4, 28, 28)), [0, 1, 2, 0]
    rows, column = ("(4, 28, 28)", "X.reshape(len(X), -1) has"), ("(28, 28)", "reshape(-1, 1)")
    refuses(ValueError, "X", rows, Dataset, X, labels)
    refuses(ValueError, "X", rows, fastbp.train, net, (X, labels), epochs=1)
    refuses(ValueError, "X", rows, fastbp.train, net, (X, one_hot(labels)), epochs=1)
    refuses(ValueError, "X", rows, fastbp.activations, net, X)
    pairs = list(zip(X, labels, strict=True))
    refuses(ValueError, "data[0][0]", column, fastbp.train, net, pairs, epochs=1)
    refuses(ValueError, "data[0][0]", column, net.accuracy, pairs)
    refuses(ValueError, "a", column, net.feedforward, X[0])
    refuses(ValueError, "a", ("(4, 28, 28)", "X.reshape(len(X), -1).T"), net.feedforward, X)


def test_divergence_by_decay_says_so():
    """Where the decay factor itself grows the weights, the hint is lmbda and not eta."""
    net = network2.Network([2, 1], random_state=0)
    with pytest.raises(DivergenceError, match="try a smaller eta or lmbda: each step multiplies"):
        net.SGD(Dataset(np.eye(2), [[0.0], [1.0]]), 400, 1, 0.5, 1e9, verbose=False)
