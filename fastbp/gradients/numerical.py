"""Derivatives without backpropagation: the earlier ways, and the judge of every gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from fastbp import _checks, samples
from fastbp.errors import shown, text
from fastbp.functions import costs
from fastbp.gradients.exact import cost_of, gradient
from fastbp.gradients.work import Array, Arrays, Net, divisor, looked_at
from fastbp.typing import Data

# Steps along a parameter. Of differences the error is least where truncation and rounding of
# float64 meet; the complex step subtracts nothing, so its step may be as small as one likes.
_STEPS = {"forward": 1.5e-8, "central": 6e-6, "perturbation": 6e-6, "complex": 1e-200}

# Relative errors that a right gradient stays below, by method and by the network's type.
_ALLOWED = {"complex": 1e-10, "central": 1e-6}
_ALLOWED_FLOAT32 = 1e-3

# Up to so many, check_gradient looks at each parameter; beyond, along so many directions a layer.
_MOST_PARAMETERS = 2000
_DIRECTIONS = 20


class NumericalGradient(NamedTuple):
    """A gradient in float64, and how many forward passes over the data it took."""

    nabla_b: Arrays
    nabla_w: Arrays
    passes: int


def numerical_gradient(
    net: Net,
    data: Data,
    *,
    method: Literal["forward", "central", "perturbation"] = "central",
    reduction: Literal["mean", "sum"] = "mean",
    directions: int = 100,
    random_state: int | np.random.Generator | None = None,
) -> NumericalGradient:
    """Return the gradient of the cost of ``data``, from values of the cost alone.

    Parameters
    ----------
    net : Network
        Not changed. Computed with in float64, whatever its dtype.
    data : pairs, Dataset or (X, Y)
    method : {"forward", "central", "perturbation"}
        ``forward``: (C(w + h e_j) - C(w)) / h for each parameter, P + 1 passes; ``central``:
        (C(w + h e_j) - C(w - h e_j)) / 2h, 2 P passes; ``perturbation``: all parameters
        at once, by plus or minus h at random, the mean over ``directions``, 2 passes each.
    reduction : {"mean", "sum"}
    directions : int
        Of ``perturbation``. It errs by about sqrt(P / directions) times the gradient.
    random_state : None, int or numpy.random.Generator
        Of ``perturbation``.

    Returns
    -------
    NumericalGradient
        ``nabla_b, nabla_w, passes``.

    Raises
    ------
    ValueError, TypeError
        Bad input.

    Notes
    -----
    Nielsen, chapter 2, "In what sense is backpropagation a fast algorithm?", equation 46; the
    perturbation of all at once: Spall, 1992, and Cauwenberghs, 1993.
    """
    if method not in ("forward", "central", "perturbation"):
        raise ValueError(text("method", "'forward', 'central' or 'perturbation'", shown(method)))
    cost = _Cost(net, data, reduction)
    h, theta, found = _STEPS[method], cost.theta.copy(), np.zeros_like(cost.theta)
    if method == "perturbation":
        directions = _checks.integer(directions, "directions", 1)
        generator = np.random.default_rng(random_state)
        for _ in range(directions):
            signs = generator.choice((-1.0, 1.0), theta.size)
            change = (cost(theta + h * signs) - cost(theta - h * signs)) / (2 * h)
            found += change * signs / directions
    else:
        base = cost(theta) if method == "forward" else 0.0
        for j, value in enumerate(theta):
            theta[j] = value + h
            above = cost(theta)
            if method == "forward":
                found[j] = (above - base) / h
            else:
                theta[j] = value - h
                found[j] = (above - cost(theta)) / (2 * h)
            theta[j] = value
    return NumericalGradient(*cost.layout.split(found), cost.passes)


class LayerErrors(NamedTuple):
    """The worst relative error of a layer's gradient, by its biases and by its weights."""

    biases: float
    weights: float


class GradientCheck(NamedTuple):
    """What :func:`check_gradient` found; printed, a table."""

    method: str
    errors: list[LayerErrors]
    allowed: float
    passes: int

    @property
    def ok(self) -> bool:
        """Whether the gradient is right in every layer."""
        return self.layer is None

    @property
    def worst(self) -> float:
        """The largest error of all."""
        return max(_worst(errors) for errors in self.errors)

    @property
    def layer(self) -> int | None:
        """Where the mistake is: the last wrong layer, 1 the first hidden one; None: nowhere.

        Errors are propagated backwards: the layers before a wrong one are wrong with it.
        """
        wrong = [l for l, errors in enumerate(self.errors, 1) if not _worst(errors) <= self.allowed]
        return wrong[-1] if wrong else None

    def __str__(self) -> str:
        lines = [f"gradient against {self.method} step, {self.passes} passes", ""]
        lines.append("layer     biases    weights")
        for l, errors in enumerate(self.errors, 1):
            verdict = "" if _worst(errors) <= self.allowed else "  wrong"
            lines.append(f"{l:5} {errors.biases:10.1e} {errors.weights:10.1e}{verdict}")
        if self.layer is None:
            verdict = f"right: no error above {self.allowed:.0e}"
        else:
            verdict = f"wrong from layer {self.layer} on backwards: look there first"
        return "\n".join([*lines, "", verdict])


def _worst(errors: LayerErrors) -> float:
    return math.inf if math.isnan(sum(errors)) else max(errors)


def check_gradient(
    net: Net,
    data: Data,
    *,
    method: Literal["complex", "central"] = "complex",
    directions: int | None = None,
    cost: Callable[[Any, Any], Any] | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> GradientCheck:
    """Compare the gradient of ``net`` with derivatives of its cost, layer by layer.

    Parameters
    ----------
    net : Network
        Of either book class or a subclass, with the built-in costs or a user's own: what is
        judged is its ``backprop``.
    data : pairs, Dataset or (X, Y)
        A few samples do.
    method : {"complex", "central"}
        ``complex``: Im C(w + ih) / h, which loses no digit, but needs a cost that computes
        with complex numbers (no ``abs``, no ``norm``). ``central`` takes any cost.
    directions : int, optional
        Compare along so many random directions in each layer, not at each parameter. By default
        where there are more than 2,000 parameters, and then 20.
    cost : function (a, y) -> number, optional
        The cost of one sample's outputs, both (n_L, 1), where the network does not tell.
    random_state : int or numpy.random.Generator
        Of the directions.

    Returns
    -------
    GradientCheck
        ``ok``, ``layer``, ``worst``, ``errors``; printed, a table. Errors are relative to the
        largest derivative of the layer's biases or weights.

    Raises
    ------
    ValueError, TypeError
        Bad input; a cost that does not compute with complex numbers.

    Notes
    -----
    Squire and Trapp, Using complex variables to estimate derivatives of real functions, 1998.
    """
    if method not in ("complex", "central"):
        raise ValueError(text("method", "'complex' or 'central'", shown(method)))
    data = samples.dataset(data, net._sizes(), "data")  # once: generators yield once
    judge = _Cost(net, data, "sum", cost)
    found = [np.asarray(a, np.float64).ravel() for part in gradient(net, data, reduction="sum")
             for a in part]  # fmt: skip
    slope = judge.slope_complex if method == "complex" else judge.slope_central
    if directions is not None:
        directions = _checks.integer(directions, "directions", 1)
    elif judge.theta.size > _MOST_PARAMETERS:
        directions = _DIRECTIONS
    generator = np.random.default_rng(random_state)
    errors, start = [], 0
    for array in found:
        piece = slice(start, start + array.size)
        start += array.size
        if directions is None:
            along = np.eye(array.size)
        else:
            along = generator.standard_normal((directions, array.size))
        right = np.array([slope(piece, direction) for direction in along])
        off, size = np.abs(along @ array - right).max(), np.abs(right).max()
        errors.append(float(off / size) if size else float(off and np.inf))
    n = len(errors) // 2
    return GradientCheck(
        method,
        [LayerErrors(*pair) for pair in zip(errors[:n], errors[n:], strict=True)],
        _ALLOWED[method] if net.dtype == _checks.FLOAT64 else _ALLOWED_FLOAT32,
        judge.passes,
    )


class _Cost:
    """The cost of data as a function of all parameters, real or complex; it counts its calls."""

    def __init__(
        self,
        net: Net,
        data: Data,
        reduction: Any,
        cost: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self._cost = cost_of(net) if cost is None else cost
        data, (self.layout, biases, weights) = looked_at(net, data)
        self._functions = net._functions(self.layout)
        self.theta = self.layout.flatten(biases, weights).astype(np.float64)
        self._X = data.X.T.astype(np.float64)
        self._Y = samples.targets(data, self.layout.sizes[-1], _checks.FLOAT64).T
        self._divisor = divisor(reduction, len(data), None)
        self.passes = 0

    def __call__(self, theta: Array) -> Any:
        self.passes += 1
        a = z = self._X
        for b, w, f in zip(*self.layout.split(theta), self._functions, strict=True):
            z = np.dot(w, a) + b
            a = f.value(z)
        if isinstance(self._cost, str):
            output = self.layout.activations[-1]
            return costs(self._cost, output, z.T, self._Y.T).sum() / self._divisor
        columns = zip(a.T[:, :, None], self._Y.T[:, :, None], strict=True)
        return sum(np.sum(self._cost(*pair)) for pair in columns) / self._divisor

    def slope_complex(self, piece: slice, direction: Array) -> float:
        """Return the derivative along a direction of some of the parameters."""
        theta, h = self.theta.astype(np.complex128), _STEPS["complex"]
        theta[piece] += 1j * h * direction
        value = self(theta)
        if not np.iscomplexobj(value):
            raise TypeError(
                text("cost", "a function of complex outputs", "a real value",
                     "method='central' takes any cost")
            )  # fmt: skip
        return float(np.imag(value) / h)

    def slope_central(self, piece: slice, direction: Array) -> float:
        """Return the same from the cost at both sides."""
        h = _STEPS["central"] / max(1.0, float(np.abs(direction).max()))
        above, below = self.theta.copy(), self.theta.copy()
        above[piece] += h * direction
        below[piece] -= h * direction
        return float((self(above) - self(below)) / (2 * h))
