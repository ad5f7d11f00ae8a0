"""How a step follows from a gradient: the optimizers of ``fastbp.train``, by their numbers.

The steps themselves are compiled; ``TABLE`` names what the command line offers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks
from fastbp._dispatch import core
from fastbp.errors import near, shown, text


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What all have in common: a learning rate, and numbers that are checked."""

    eta: float = field(default=0.001, kw_only=False)

    blocks: ClassVar[int] = 0  # of state, as large as the parameters
    squares: ClassVar[int] = 0  # how many of them, the last, hold mean squares

    def __post_init__(self) -> None:
        if type(self) is Optimizer:
            raise TypeError(text("Optimizer", "one of its kinds, such as Adam()", "Optimizer()"))
        for option in fields(self):
            name = option.name
            where, value = f"{type(self).__name__}.{name}", getattr(self, name)
            if name in ("nesterov", "epsilon_hat"):
                _checks.boolean(value, where)
                continue
            number = _checks.number(value, where)
            most = 1.0 if name in ("momentum", "rho", "beta_1", "beta_2") else float("inf")
            if not 0 <= number < most:
                bound = f"0 <= {name}" + (" < 1" if most == 1 else "")
                raise ValueError(text(where, bound, value))

    @property
    def code(self) -> int:
        """The compiled table's code."""
        raise NotImplementedError

    @property
    def numbers(self) -> tuple[float, float, float, bool]:
        """What the compiled step reads: two decays, an epsilon and where it belongs."""
        return 0.0, 0.0, 0.0, False


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked: v <- mu v - eta g; w <- w + v.

    Nielsen, chapter 3, equations 107 and 108 (Polyak, 1964); ``nesterov`` looks ahead (Nesterov,
    1983).
    """

    eta: float = field(default=0.1, kw_only=False)
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def blocks(self) -> int:  # type: ignore[override]
        """One for the velocity."""
        return 1 if self.momentum else 0

    @property
    def code(self) -> int:
        """The compiled table's code."""
        name = "nesterov" if self.nesterov else "momentum"
        return int(core.OPTIMIZERS[name if self.momentum else "sgd"])

    @property
    def numbers(self) -> tuple[float, float, float, bool]:
        """Momentum."""
        return self.momentum, 0.0, 0.0, False


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """s <- rho s + (1 - rho) g^2; w <- w - eta g / (sqrt(s) + epsilon) (Tieleman, Hinton, 2012)."""

    rho: float = 0.9
    epsilon: float = 1e-8

    blocks: ClassVar[int] = 1
    squares: ClassVar[int] = 1

    @property
    def code(self) -> int:
        """The compiled table's code."""
        return int(core.OPTIMIZERS["rmsprop"])

    @property
    def numbers(self) -> tuple[float, float, float, bool]:
        """Decay and epsilon."""
        return 0.0, self.rho, self.epsilon, False


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Steps by the mean gradient over the root of its mean square (Kingma and Ba, 2015).

    ``epsilon_hat``: add epsilon before the root is corrected for its start from 0, as the end of
    the paper's section 2 and scikit-learn do, not after, as its algorithm 1.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False

    blocks: ClassVar[int] = 2
    squares: ClassVar[int] = 1

    @property
    def code(self) -> int:
        """The compiled table's code."""
        return int(core.OPTIMIZERS["adam"])

    @property
    def numbers(self) -> tuple[float, float, float, bool]:
        """Decays and epsilon."""
        return self.beta_1, self.beta_2, self.epsilon, self.epsilon_hat


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with weights that shrink by eta weight_decay a step (Loshchilov, Hutter, 2019)."""

    weight_decay: float = 0.01

    @property
    def code(self) -> int:
        """The compiled table's code."""
        return int(core.OPTIMIZERS["adamw"])


@dataclass(frozen=True, kw_only=True)
class LBFGS:
    """The quasi-Newton method L-BFGS-B of SciPy, on all samples at once.

    An epoch of ``train`` is an iteration. ``memory`` steps are remembered; the run ends where
    the largest derivative is below ``tolerance``, where a step lowers the cost by less than
    ``least`` of it, or after ``max_evaluations`` of the cost.
    """

    memory: int = 10
    tolerance: float = 1e-5
    least: float = 2.0**-46  # some roundings of the cost
    max_evaluations: int = 15000

    blocks: ClassVar[int] = 0
    squares: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _checks.integer(self.memory, "LBFGS.memory", 1)
        _checks.integer(self.max_evaluations, "LBFGS.max_evaluations", 1)
        _checks.at_least_0(self.tolerance, "LBFGS.tolerance")
        _checks.at_least_0(self.least, "LBFGS.least")


@dataclass
class State:
    """What an optimizer remembers from one call of ``train`` to the next; plain arrays.

    Give the same object to each call: momentum goes on, and Adam's count of its steps.
    """

    moments: NDArray[Any] | None = None
    updates: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        self.check("State")

    def check(self, where: str) -> None:
        """Raise if this is not the memory of a run; attributes may be set at any time."""
        if self.moments is not None and not isinstance(self.moments, np.ndarray):
            raise TypeError(text(f"{where}.moments", "an array or None", shown(self.moments)))
        for name in ("updates", "samples"):
            number = _checks.integer(getattr(self, name), f"{where}.{name}", 0)
            if number >= 2**62:
                raise ValueError(text(f"{where}.{name}", "a number below 2**62", number))


TABLE: dict[str, Callable[..., Any]] = {
    "sgd": SGD,
    "momentum": lambda **numbers: SGD(**{"momentum": 0.9, **numbers}),
    "nesterov": lambda **numbers: SGD(**{"momentum": 0.9, "nesterov": True, **numbers}),
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "lbfgs": LBFGS,
}


def named(value: Any) -> Optimizer | LBFGS:
    """Return an optimizer, given itself or its name."""
    if isinstance(value, str) and value in TABLE:
        return TABLE[value]()  # type: ignore[no-any-return]
    if isinstance(value, Optimizer | LBFGS):
        return value
    expected = f"one of {', '.join(TABLE)}, or an object"
    error = ValueError if isinstance(value, str) else TypeError
    raise error(text("optimizer", expected, shown(value), near(value, TABLE)))


def described(optimizer: Optimizer | LBFGS) -> str:
    """Return an optimizer's kind, and its numbers that are not the usual ones.

    A number that a later version adds does not change what an old file says.
    """
    values = ((option, getattr(optimizer, option.name)) for option in fields(optimizer))
    own = (f"{option.name}={value!r}" for option, value in values if value != option.default)
    return f"{type(optimizer).__name__}({', '.join(own)})"
