"""The doors for few samples: the compiled gate takes what it may, and the result is the same."""

import numpy as np
import pytest
from twins import DTYPES, flat, norm_error, pairs, poisoned, reference_gradient, twins

from fastbp import DivergenceError, network, parameters
from fastbp._dispatch import core
from fastbp.functions import COSTS

pytestmark = pytest.mark.core

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)

SIZES = (19, 7, 3)


class Child(np.ndarray):
    """An array of a type that may run code of its own."""


def start(dtype, sizes=SIZES):
    return network.Network(list(sizes), dtype=dtype, random_state=3)


def doors(net, pair, biases=None, weights=None):
    """Return what each door says of one pair, in a network with these parameters."""
    layout = net._layout()
    parameters = (
        net.biases if biases is None else biases,
        net.weights if weights is None else weights,
    )

    def head(n, buffers=2):
        rows = poisoned((buffers, n, layout.layers.row_width), net.dtype)
        return layout.layers, rows, *parameters

    out = poisoned((layout.sizes[-1], 1), net.dtype)
    block = layout.empty()
    return [
        core.feedforward(*head(1, 1), pair[0], out),
        core.backprop(*head(1), [pair], 0, 1.0, False, 0.0, *layout.fresh()),
        core.backprop(*head(2), [pair, pair], 0, -0.1, True, 1.0, *layout.fresh()),
        core.pack(layout.layers, *parameters, block),
    ]


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype).reshape(a.shape)
    view[:] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


# Each makes another array of the same values, or of what the Python gate turns into them.
UNUSUAL = {
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "strided rows": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "misaligned": misaligned,
    "a subclass": lambda a: a.view(Child),
    "masked": np.ma.array,
    "a list": lambda a: a.tolist(),
    "long double": lambda a: a.astype(np.longdouble),
}
# Of the parameters only: a column is the same in this order.
FORTRAN = {"Fortran order": lambda a: np.asfortranarray(a)}
REFUSED = {
    "0-d": lambda a: a[0, 0].reshape(()),
    "flat": np.ravel,
    "a row": lambda a: a.T.copy(),
    "one short": lambda a: a[:-1].copy(),
    "three dimensions": lambda a: a[:, :, None].copy(),
    "complex": lambda a: a.astype(complex),
    "objects": lambda a: a.astype(object),
    "None": lambda a: None,
    "float16": lambda a: a.astype(np.float16),
    "integers": lambda a: a.astype(np.int64),
    "booleans": lambda a: a.astype(bool),
    "records": lambda a: a.view([("v", a.dtype)]),
    "dates": lambda a: a.astype("M8[s]"),
}


@each_dtype
@pytest.mark.parametrize("part", ["x", "y"])
@pytest.mark.parametrize("form", [*UNUSUAL, *REFUSED])
def test_a_door_does_not_take_other_samples(form, part, dtype):
    """The door leaves to the Python gate whatever is not a plain array of the right shape."""
    net = start(dtype)
    x, y = pairs(SIZES, 1)[0]
    other = (UNUSUAL | REFUSED)[form]
    x, y = (other(x), y) if part == "x" else (x, other(y))
    feed, gradient, step, packed = doors(net, (x, y))
    assert feed is (part == "y")
    assert gradient is None
    assert step is None
    assert packed


@each_dtype
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("part", ["biases", "weights"])
@pytest.mark.parametrize("form", [*UNUSUAL, *REFUSED, *FORTRAN, "other float", "no list"])
def test_a_door_does_not_take_other_parameters(form, part, layer, dtype):
    """So it does with weights and biases, which must have the network's type, too."""
    net = start(dtype)
    arrays = list(getattr(net, part))
    if form == "no list":
        arrays = tuple(arrays)
    elif form == "other float":
        arrays[layer] = arrays[layer].astype(DTYPES[dtype is DTYPES[0]])
    else:
        arrays[layer] = (UNUSUAL | REFUSED | FORTRAN)[form](arrays[layer])
    said = doors(net, pairs(SIZES, 1)[0], **{part: arrays})
    taken = form == "Fortran order" and part == "biases"
    assert said == ([True] * 4 if taken else [False, None, None, False])


@each_dtype
@pytest.mark.parametrize("given", [*DTYPES, "read-only"], ids=str)
def test_a_door_takes_the_usual(given, dtype):
    """Arrays of both types are taken, and none need be writable."""
    net = start(dtype)
    x, y = pairs(SIZES, 1)[0]
    if given == "read-only":
        x, y = read_only(x), read_only(y)
        net.weights = [read_only(w) for w in net.weights]
    else:
        x, y = x.astype(given), y.astype(given)
    assert doors(net, (x, y)) == [True] * 4


@each_dtype
@pytest.mark.parametrize("form", [*UNUSUAL, *FORTRAN])
def test_unusual_forms_have_the_same_bits(form, dtype):
    """What the door leaves to the Python gate ends at the same values."""
    other = (UNUSUAL | FORTRAN)[form]

    def results(turn):
        net = start(dtype)
        net.weights, net.biases = [turn(w) for w in net.weights], [turn(b) for b in net.biases]
        data = [(turn(x), turn(y)) for x, y in pairs(SIZES, 5)]
        nabla_b, nabla_w = net.backprop(*data[0])
        out = net.feedforward(data[0][0])
        net.update_mini_batch(data, 0.3)
        return [a.tobytes() for a in [out, *nabla_b, *nabla_w, *net.biases, *net.weights]]

    assert results(other) == results(np.array)


@each_dtype
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("given", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 64, 65, 67, 131])
def test_not_finite_is_seen_at_every_place(n, given, bad, dtype):
    """NaN and infinity in any place of x, and of y, are refused, also where float64 is cut."""
    sizes = (n, 2, n)
    net = start(dtype, sizes)
    good = doors(net, (np.zeros((n, 1), given), np.zeros((n, 1), given)))
    assert good == [True] * 4
    for i in range(n):
        for part in range(2):
            pair = [np.zeros((n, 1), given), np.zeros((n, 1), given)]
            pair[part][i] = bad
            assert doors(net, tuple(pair)) == [part == 1, None, None, True]


@each_dtype
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_result_that_is_not_finite_is_seen(bad, dtype):
    """At every parameter: a step does not end finite, the gradient is there nevertheless."""
    sizes = (35, 2, 17)
    for part in ("biases", "weights"):
        for layer in range(2):
            for i in range(getattr(start(dtype, sizes), part)[layer].size):
                net = start(dtype, sizes)
                getattr(net, part)[layer].reshape(-1)[i] = bad
                feed, gradient, step, packed = doors(net, pairs(sizes, 1)[0])
                assert feed is True
                assert gradient is not None
                assert step is False
                assert packed is True
                layout = net._layout()
                found = net.biases, net.weights
                assert core.are_parameters(layout.layers, layout.itemsize, *found, False)
                assert not core.are_parameters(layout.layers, layout.itemsize, *found, True)
                before = [a.copy() for a in [*net.biases, *net.weights]]
                with pytest.raises(ValueError, match=rf"{part}\[{layer}\]"):
                    net.update_mini_batch(pairs(sizes, 2), 0.1)
                np.testing.assert_array_equal(flat(before), flat(net.biases, net.weights))


@each_dtype
def test_a_misaligned_array_is_left_to_the_python_gate(dtype):
    """The door does not read numbers at odd addresses, which not every processor can."""
    net = start(dtype)
    layout, biases, weights = net._checked()
    n, m = SIZES[0], SIZES[-1]
    raw = np.zeros(n * np.dtype(dtype).itemsize + 1, np.uint8)
    x = raw[1:].view(dtype).reshape(n, 1)
    assert not x.flags.aligned
    head = layout.layers, layout.rows_for(1, 1), biases, weights
    out = np.empty((m, 1), dtype)
    assert not core.feedforward(*head, x, out)
    assert core.feedforward(*head, x.copy(), out)
    np.testing.assert_array_equal(net.feedforward(x), out)


def test_a_step_beyond_all_numbers_changes_nothing():
    """A finite network that a finite step would leave infinite is as it was before."""
    net = start(np.float32)
    before = [a.tobytes() for a in [*net.biases, *net.weights]]
    with pytest.raises(DivergenceError, match="mini_batch"):
        net.update_mini_batch(pairs(SIZES, 3), 1e42)
    assert [a.tobytes() for a in [*net.biases, *net.weights]] == before


@each_dtype
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 10, 13])
@pytest.mark.parametrize(
    "sizes",
    [(1, 1), (1, 2, 1), (7, 5, 3), (8, 9, 16), (15, 17, 31), (33, 6, 65), (1100, 11, 2)],
    ids=str,
)
def test_few_samples_have_the_references_gradient(sizes, n, dtype):
    """Every tile, remainder and part of a sum, into outputs that held NaN before."""
    for cost in ("QuadraticCost", "CrossEntropyCost"):
        reference, fast = twins(sizes, cost, dtype, scale=0.3)
        data = pairs(sizes, n, 1, dtype)
        layout = fast._layout()
        code = COSTS["quadratic" if cost == "QuadraticCost" else "cross_entropy"]
        own = fast.biases, fast.weights
        rows = poisoned((2, n, layout.layers.row_width), dtype)
        head = (layout.layers, rows, *own, data, code)
        new = [[poisoned(a.shape, dtype) for a in part] for part in (fast.biases, fast.weights)]
        most = 1e-13 if dtype is np.float64 else 1e-5
        right_b, right_w = reference_gradient(reference, data)
        assert core.backprop(*head, 1.0, False, 0.0, *new)
        assert norm_error(flat(*new), flat(right_b, right_w)) <= most
        assert core.backprop(*head, -0.7, True, 0.5, *new)
        right_b = [b - 0.7 * g for b, g in zip(reference.biases, right_b, strict=True)]
        right_w = [0.5 * w - 0.7 * g for w, g in zip(reference.weights, right_w, strict=True)]
        assert norm_error(flat(*new), flat(right_b, right_w)) <= most
        out, a = poisoned((sizes[-1], 1), dtype), reference.feedforward(data[0][0])
        assert core.feedforward(layout.layers, rows[:1, :1], *own, data[0][0], out)
        assert norm_error(flat([out]), flat([a])) <= most


@each_dtype
@pytest.mark.parametrize(
    "sizes", [(1, 1), (3, 1, 2), (7, 9, 8), (31, 33, 32), (65, 64, 63, 1), (100, 130)], ids=str
)
def test_pack_and_back(sizes, dtype):
    """A block holds every parameter in its place, zeros elsewhere, and gives all back."""
    rng = np.random.default_rng(0)
    layout = parameters.layout(sizes, np.dtype(dtype))
    biases, weights = layout.fresh()
    for a in [*biases, *weights]:
        a[:] = rng.standard_normal(a.shape)
    block = layout.empty()
    block[:] = np.nan
    assert core.pack(layout.layers, biases, weights, block)
    expected = np.zeros_like(block)
    for place, b, w in zip(layout.table[1:], biases, weights, strict=True):
        rows, width = place["fan_in"] + 1, place["width"]
        matrix = expected[place["offset"] :][: rows * width].reshape(rows, width)
        matrix[:-1, : place["fan_out"]] = w.T
        matrix[-1, : place["fan_out"]] = b[:, 0]
    np.testing.assert_array_equal(block, expected)
    back_b, back_w = layout.unpack(block)
    for a, b in zip([*back_b, *back_w], [*biases, *weights], strict=True):
        assert a.flags.owndata
        assert a.flags.c_contiguous
        np.testing.assert_array_equal(a, b)


@each_dtype
def test_columns_are_of_one_type(dtype):
    """Columns of the rows' type are copied; at any other the door says no."""
    values = tuple(x for x, _ in pairs((5, 1), 7))
    rows, at = poisoned((4, 5), np.float64), np.zeros(4, np.intp)
    assert core.columns(values, 2, 5, 8, at, rows)
    np.testing.assert_array_equal(rows, np.hstack(values[2:6]).T)
    assert at.tolist() == [x.ctypes.data for x in values[2:6]]
    assert not core.columns(values, 2, 4, 8, at)
    assert core.columns(values, 2, 5, np.dtype(dtype).itemsize, at) is (dtype is np.float64)
    for form in (UNUSUAL | REFUSED).values():
        other = (*values[:3], form(values[3]), *values[4:])
        assert not core.columns(other, 2, 5, 8, at)
        assert not core.columns(other, 2, 5, 8, at, rows)
