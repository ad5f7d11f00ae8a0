"""What backpropagation gives beside a step: BP1 to BP4, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastbp import _checks, samples
from fastbp._dispatch import core
from fastbp.errors import text
from fastbp.functions import Activation, costs
from fastbp.gradients.work import (
    Array,
    Arrays,
    Nablas,
    Net,
    Work,
    by_hand,
    compiled_cost,
    divisor,
    looked_at,
)
from fastbp.parameters import Layout
from fastbp.typing import Data, Inputs


def gradient(
    net: Net,
    data: Data,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Nablas:
    """Return the gradient of the cost of ``data`` by every parameter.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)
    sample_weight : array_like (n,), optional
        Factor on each sample's cost, 0 or more.
    reduction : {"mean", "sum"}
        The mean is over samples, or with ``sample_weight`` the weighted mean.

    Returns
    -------
    nabla_b, nabla_w : list of ndarray
        A layer each, in the shapes of ``biases`` and ``weights``.

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    BP1-BP4 (Nielsen, chapter 2), summed over samples.
    """
    cost = compiled_cost(net)
    if cost is None:
        n, each = by_hand(net, data)
        weights, exponent = samples.scaled(net.dtype, samples.sample_weights(sample_weight, n))
        divided = divisor(reduction, n, weights)
        factors = np.ones(n) if weights is None else weights
        total = None
        for factor, nablas in zip(factors, each, strict=True):
            total = _plus(total, nablas, factor / divided)
        return _unscaled(_unwrap(total), exponent if reduction == "sum" else 0)
    work = Work(net, data, cost, blocks=1)
    weights, exponent = samples.scaled(net.dtype, samples.sample_weights(sample_weight, work.n))
    work.scale = 1 / divisor(reduction, work.n, weights)
    work.weights = weights
    (grads,) = work.blocks
    for given in work.pieces():
        core.gradient(*given, grads)
    return _unscaled(work.layout.unpack(grads), exponent if reduction == "sum" else 0)


def activations(net: Net, data: Inputs) -> Arrays:
    """Return the activations of every layer for each sample.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset, (X, Y), or rows X alone

    Returns
    -------
    list of ndarray, shapes (n, n_l)
        The inputs first, in the network's dtype.

    Raises
    ------
    ValueError, TypeError
        Bad input.
    """
    compiled_cost(net)  # a network?
    functions = net._own_functions()
    if functions is None:
        work = Work(net, data, None)
        return _values(work, work.layout.sizes, errors=False)
    data, (_, biases, weights) = looked_at(net, data, targets=False)
    found = [data.X.T.astype(net.dtype)]
    for b, w, f in zip(biases, weights, functions, strict=True):
        found.append(f.value(np.dot(w, found[-1]) + b))
    return [np.ascontiguousarray(a.T) for a in found]


def deltas(net: Net, data: Data) -> Arrays:
    """Return the error delta = dC/dz of every layer for each sample (BP1, BP2).

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)

    Returns
    -------
    list of ndarray, shapes (n, n_l)
        From the first hidden layer to the output.

    Raises
    ------
    ValueError, TypeError
        Bad input.
    """
    cost = compiled_cost(net)
    if cost is None:
        _, each = by_hand(net, data)
        rows = [[b.ravel() for b in nabla_b] for nabla_b, _ in each]  # BP3
        return [np.stack(layer) for layer in zip(*rows, strict=True)]
    work = Work(net, data, cost)
    return _values(work, work.layout.sizes[1:], errors=True)


def per_sample_costs(net: Net, data: Data) -> Array:
    """Return the cost of each sample.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)

    Returns
    -------
    ndarray, shape (n,), float64

    Raises
    ------
    ValueError, TypeError
        Bad input; or the network's class overrides ``cost_derivative``, which leaves the
        cost unknown.
    """
    compiled_cost(net)  # a network?
    cost = cost_of(net)
    data, state = looked_at(net, data)
    layout = state[0]
    Y = samples.targets(data, layout.sizes[-1], _checks.FLOAT64)
    if isinstance(cost, str):
        Z = net._outputs(data.X, weighted=True, state=state).astype(np.float64, copy=False)
        return np.asarray(costs(cost, layout.activations[-1], Z, Y))
    A = np.asarray(net.feedforward(data), np.float64)
    return np.array([float(cost(a[:, None], y[:, None])) for a, y in zip(A, Y, strict=True)])


def per_sample_gradients(
    net: Net, data: Data, *, out: Any = None, flat: bool = False
) -> Nablas | Array:
    """Return the gradient of each sample's cost.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)
    out : same as the result, optional
        Where to write: C-contiguous, of the network's dtype, apart from the data.
    flat : bool
        Whether to return one array, a row a sample.

    Returns
    -------
    nabla_b, nabla_w : list of ndarray, shapes (n, n_l, 1) and (n, n_l, n_{l-1})
        Or, ``flat``, one ndarray (n, P), in the order of :func:`flatten`.

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    BP3 and BP4 (Nielsen, chapter 2). n P numbers: of norms, sums and inner products there
    are functions that need none of them.
    """
    _checks.boolean(flat, "flat")
    result: Any = out
    work: Work | None = None
    each: Iterator[Nablas] = iter(())
    cost = compiled_cost(net)
    if cost is None:
        data, (layout, _, _) = looked_at(net, data)
        n, each = by_hand(net, data)
    else:
        work = Work(net, data, cost)
        layout, data, n = work.layout, work.data, work.n
    if flat:
        shape = (n, layout.n_parameters)
        result = np.empty(shape, net.dtype) if out is None else out
        _refuse_out(result, shape, net.dtype, "out")
        whole, rows = [result], layout.columns(result)
    else:
        if out is None:
            result = tuple([np.empty((n, *shape), net.dtype) for shape in p] for p in layout.shapes)
        _refuse_outs(result, layout, n)
        whole = rows = [array.reshape(n, -1) for part in result for array in part]
    if out is not None:
        _refuse_overlap(whole, data)
    if work is not None:
        for given in work.pieces(written=layout.n_parameters * layout.itemsize):
            core.sample_gradients(*given, rows)
    for s, nablas in enumerate(each):
        for array, source in zip(rows, (*nablas[0], *nablas[1]), strict=True):
            array[s] = source.ravel()
    return result  # type: ignore[no-any-return]


def per_sample_gradient_norms(net: Net, data: Data, *, per_layer: bool = False) -> Array:
    """Return the Euclidean norm of each sample's gradient.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)
    per_layer : bool
        Whether to return the norm by the biases and weights of each layer.

    Returns
    -------
    ndarray, shape (n,) or (n, L)

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    |g|^2 = sum_l |delta_l|^2 (|a_{l-1}|^2 + 1), so that no gradient need exist (Goodfellow,
    Efficient per-example gradient computations, 2015).
    """
    _checks.boolean(per_layer, "per_layer")
    cost = compiled_cost(net)
    if cost is None:
        _, each = by_hand(net, data)
        squares = np.array([_squares(nablas) for nablas in each])
        return np.asarray(np.sqrt(squares if per_layer else squares.sum(axis=1)))
    work = Work(net, data, cost)
    norms = work.empty(work.n, len(work.layout.sizes) - 1) if per_layer else work.empty(work.n)
    for given in work.pieces():
        core.gradient_norms(*given, norms.reshape(work.n, -1))
    return norms


def gradient_second_moment(net: Net, data: Data) -> Nablas:
    """Return the sum over samples of the squared gradient, parameter by parameter.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)

    Returns
    -------
    nabla_b, nabla_w : list of ndarray
        In the shapes of ``biases`` and ``weights``. With the sum of the gradients it gives
        their variance.

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    sum_s g^2 = (delta^2)^T (a^2): a gradient in squared errors and activations.
    """
    cost = compiled_cost(net)
    if cost is None:
        total = None
        for nablas in by_hand(net, data)[1]:
            total = _plus(total, tuple([a * a for a in part] for part in nablas))
        return _unwrap(total)
    work = Work(net, data, cost, blocks=1)
    (grads,) = work.blocks
    for given in work.pieces():
        core.gradient(*given, grads, squared=True)
    return work.layout.unpack(grads)


def gradient_gram(net: Net, data: Data, other: Data | None = None) -> Array:
    """Return the inner products of all samples' gradients, a Gram matrix.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)
    other : the same, optional
        The samples of the columns; those of ``data`` by default.

    Returns
    -------
    ndarray, shape (n, m)
        Entry (s, t) is the inner product of the gradients of sample s and sample t.

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    sum_l (delta_l . delta_l') (a_{l-1} . a_{l-1}' + 1), of errors and activations alone.
    """
    cost = compiled_cost(net)
    data = samples.dataset(data, net._sizes(), "data")
    if other is not None:
        other = samples.dataset(other, net._sizes(), "other")
    if cost is None:
        rows = per_sample_gradients(net, data, flat=True)
        columns = rows if other is None else per_sample_gradients(net, other, flat=True)
        return np.asarray(rows @ columns.T)  # type: ignore[union-attr]
    state = net._checked()  # one for both, though another thread may train
    errors, above = errors_2, above_2 = _errors_and_activations(Work(net, data, cost, state=state))
    if other is not None:
        errors_2, above_2 = _errors_and_activations(Work(net, other, cost, state=state))
    gram = np.zeros((len(errors[0]), len(errors_2[0])), net.dtype)
    for start in range(0, len(gram), 1024):  # rows at a time: the temporaries stay small
        piece = slice(start, start + 1024)
        for delta, delta_2, a, a_2 in zip(errors, errors_2, above, above_2, strict=False):
            gram[piece] += (delta[piece] @ delta_2.T) * (a[piece] @ a_2.T + 1)
    return gram


def clipped_gradient(
    net: Net, data: Data, max_norm: float, *, reduction: Literal["mean", "sum"] = "sum"
) -> tuple[Nablas, Array]:
    """Return the gradient of ``data``, each sample's scaled down to a norm of ``max_norm`` first.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)
    max_norm : float
        Above 0. Gradients that are shorter stay as they are.
    reduction : {"sum", "mean"}

    Returns
    -------
    (nabla_b, nabla_w) : lists of ndarray, in the shapes of ``biases`` and ``weights``
    norms : ndarray, shape (n,)
        Those before clipping.

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    This is the sum that differentially private training starts from, and no more: it adds no
    noise and keeps no account of privacy.
    """
    max_norm = _checks.number(max_norm, "max_norm", above=0.0)
    cost = compiled_cost(net)
    if cost is None:
        n, each = by_hand(net, data)
        divided = divisor(reduction, n, None)
        total, sizes = None, []
        for nablas in each:
            sizes.append(float(np.sqrt(_squares(nablas).sum())))
            factor = max_norm / sizes[-1] if sizes[-1] > max_norm else 1.0
            total = _plus(total, nablas, factor / divided)
        return _unwrap(total), np.array(sizes, net.dtype)
    work = Work(net, data, cost, blocks=1)
    divided = divisor(reduction, work.n, None)
    (grads,), norms = work.blocks, work.empty(work.n)
    for given in work.pieces():
        core.gradient(*given, grads, max_norm=max_norm, norms=norms)
    if divided != 1:
        grads /= divided
    return work.layout.unpack(grads), norms


def input_gradient(net: Net, data: Data) -> Array:
    """Return the gradient of each sample's cost by its inputs.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)

    Returns
    -------
    ndarray, shape (n, n_0)

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    BP2 once more, without a slope: the transposed first weights times delta.
    """
    cost = compiled_cost(net)
    if cost is None:
        return np.asarray(deltas(net, data)[0] @ net._checked()[2][0])
    work = Work(net, data, cost)
    out = work.empty(work.n, work.layout.sizes[0])
    for given in work.pieces():
        core.input_gradient(*given, out, False)
    return out


def jacobian(net: Net, data: Inputs) -> Array:
    """Return the derivatives of all outputs by all inputs, for each sample.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset, (X, Y), or rows X alone

    Returns
    -------
    ndarray, shape (n, n_L, n_0)

    Raises
    ------
    ValueError, TypeError
        Bad input.
    """
    compiled_cost(net)  # a network?
    functions = net._own_functions()
    if functions is not None:
        return _jacobian_with(net, data, functions)
    work = Work(net, data, None)
    n_in, n_out = work.layout.sizes[0], work.layout.sizes[-1]
    out = work.empty(work.n, n_out, n_in)
    for given in work.pieces(written=n_out * n_in * work.layout.itemsize):
        core.input_gradient(*given, out.reshape(-1, n_in), True)
    return out


def hessian_vector_product(
    net: Net, data: Data, v: Any, *, reduction: Literal["mean", "sum"] = "mean"
) -> Nablas | Array:
    """Return the Hessian of the cost of ``data``, times a vector, exactly.

    Parameters
    ----------
    net : Network
    data : pairs, Dataset or (X, Y)
    v : (lists of arrays in the shapes of biases and weights), or ndarray (P,)
    reduction : {"mean", "sum"}

    Returns
    -------
    Like ``v``: two lists of ndarray, or one ndarray (P,) in the order of :func:`flatten`.

    Raises
    ------
    ValueError, TypeError
        Bad input; or the network's cost or functions are a user's, whose second derivatives
        are unknown.

    Notes
    -----
    The derivative of BP1-BP4 along ``v`` (Pearlmutter, Fast exact multiplication by the
    Hessian, 1994): some two gradients' time, and no Hessian.
    """
    cost = compiled_cost(net)
    if cost is None:
        raise TypeError(
            text(
                "net",
                "cost and functions of fastbp's own",
                "overridden ones",
                "their second derivatives are unknown",
            )
        )
    layout = net._layout()
    vector = isinstance(v, np.ndarray) and v.ndim == 1
    direction = _layers(v, layout, "v") if vector else _pair(v, "v")
    checked = layout.check(*direction, finite=True, where=("v[0]", "v[1]"))
    work = Work(net, data, cost, buffers=6, blocks=2)
    work.layout.refuse_other(layout)  # v and data may be objects that run code
    work.scale = 1 / divisor(reduction, work.n, None)
    along, out = work.blocks
    layout.pack(*checked, along)
    for given in work.pieces():
        core.hessian_product(*given, along, out)
    product = layout.unpack(out)
    return layout.flatten(*product) if vector else product


def flatten(net: Net) -> Array:
    """Return all parameters of ``net`` as one new vector (P,).

    The biases of all layers, the first hidden layer's first, then the weights of all layers,
    each array row by row.
    """
    compiled_cost(net)  # a network?
    layout, biases, weights = net._checked()
    return layout.flatten(biases, weights)


def unflatten(net: Net, vector: ArrayLike) -> Nablas:
    """Return the parameters that a vector holds, in the shapes of ``net``'s.

    ``net.biases, net.weights = unflatten(net, vector)`` undoes :func:`flatten`.

    Parameters
    ----------
    net : Network
        Not changed.
    vector : array_like (P,)

    Returns
    -------
    biases, weights : list of ndarray
        Fresh, of the network's dtype.

    Raises
    ------
    ValueError, TypeError
        ``vector`` has another length, or is not real.
    """
    compiled_cost(net)  # a network?
    biases, weights = _layers(vector, net._checked()[0], "vector")
    return (
        [np.array(b, net.dtype, order="C") for b in biases],
        [np.array(w, net.dtype, order="C") for w in weights],
    )


# -- parts ---------------------------------------------------------------------------


def cost_of(net: Net) -> Any:
    """Return the name of the cost of ``net``, or a function (a, y) where a user's code counts."""
    cost = net._own_cost()
    if cost is None:
        expected, got = "a cost", "cost_derivative alone, overridden"
        raise TypeError(text("net", expected, got, "network2.Network takes cost=, with fn"))
    if isinstance(cost, str) and net._own_functions() is not None:
        # The named costs reckon with our own activations.
        return _half_square if cost == "quadratic" else net.cost.fn
    return cost


def _half_square(a: Any, y: Any) -> Any:
    return 0.5 * np.sum((a - y) ** 2)


def _values(work: Work, sizes: tuple[int, ...], *, errors: bool) -> Arrays:
    out = [work.empty(work.n, size) for size in sizes]
    for given in work.pieces():
        core.layer_values(*given, out, errors)
    return out


def _errors_and_activations(work: Work) -> tuple[Arrays, Arrays]:
    sizes = work.layout.sizes
    return _values(work, sizes[1:], errors=True), _values(work, sizes, errors=False)


def _jacobian_with(net: Net, data: Data, functions: list[Activation]) -> Array:
    """Return the Jacobian of a network with functions of a user's."""
    data, (layout, biases, weights) = looked_at(net, data, targets=False)
    a = data.X.T.astype(net.dtype)
    slopes = []
    for b, w, f in zip(biases, weights, functions, strict=True):
        z = np.dot(w, a) + b
        a = f.value(z)
        slopes.append(f.prime(z).T)
    result = slopes[-1][:, :, None] * weights[-1]
    if layout.activations[-1] == "softmax":
        result = a.T[:, :, None] * (weights[-1] - (a.T @ weights[-1])[:, None, :])
    for w, slope in zip(weights[-2::-1], slopes[-2::-1], strict=True):
        result = (result * slope[:, None, :]) @ w
    return np.asarray(result)


def _plus(total: Nablas | None, nablas: Any, factor: float = 1.0) -> Nablas:
    nabla_b, nabla_w = nablas
    if total is None:
        return [factor * b for b in nabla_b], [factor * w for w in nabla_w]
    return (
        [t + factor * b for t, b in zip(total[0], nabla_b, strict=True)],
        [t + factor * w for t, w in zip(total[1], nabla_w, strict=True)],
    )


def _unwrap(total: Nablas | None) -> Nablas:
    assert total is not None  # the gate has seen a sample
    return total


def _unscaled(nablas: Nablas, exponent: int) -> Nablas:
    """Return a sum by weights that ``samples.scaled`` has divided as one by those given."""
    if exponent == 0:
        return nablas
    with np.errstate(over="ignore", under="ignore"):
        biases, weights = ([np.ldexp(a, exponent) for a in part] for part in nablas)
    return biases, weights


def _squares(nablas: Nablas) -> Array:
    """Return the squared norm of a gradient by layer."""
    return np.array([np.sum(b * b) + np.sum(w * w) for b, w in zip(*nablas, strict=True)])


def _layers(vector: Any, layout: Layout, where: str) -> Nablas:
    array = _checks.real_array(vector, where)
    if array.shape != (layout.n_parameters,):
        expected = f"shape ({layout.n_parameters},), a number for each parameter"
        raise ValueError(text(where, expected, array.shape))
    return layout.split(np.ascontiguousarray(array))


def _pair(value: Any, where: str) -> Any:
    if not isinstance(value, tuple | list) or len(value) != 2:
        got = f"{len(value)} items" if isinstance(value, tuple | list) else type(value).__name__
        raise TypeError(text(where, "two lists, as (biases, weights), or a vector", got))
    return value


def _refuse_outs(out: Any, layout: Layout, n: int) -> None:
    for i, (arrays, shapes) in enumerate(zip(_pair(out, "out"), layout.shapes, strict=True)):
        if not isinstance(arrays, list | tuple) or len(arrays) != len(shapes):
            got = len(arrays) if isinstance(arrays, list | tuple) else type(arrays).__name__
            raise ValueError(text(f"out[{i}]", f"a list of {len(shapes)} arrays", got))
        for l, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
            _refuse_out(array, (n, *shape), layout.dtype, f"out[{i}][{l}]")


def _refuse_overlap(rows: Arrays, data: samples.Dataset) -> None:
    for i, array in enumerate(rows):
        if any(np.may_share_memory(array, other) for other in (data.X, data.Y, *rows[:i])):
            raise ValueError(text("out", "memory of its own", "memory of the data, or twice"))


def _refuse_out(array: Any, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    got: Any = None
    if type(array) is not np.ndarray:
        got = type(array).__name__
    elif array.shape != shape or array.dtype != dtype:
        got = f"{array.shape} of {array.dtype}"
    elif not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
        got = "one that is not"
    if got is not None:
        error = TypeError if type(array) is not np.ndarray else ValueError
        raise error(text(where, f"a writeable C-contiguous array {shape} of {dtype}", got))
