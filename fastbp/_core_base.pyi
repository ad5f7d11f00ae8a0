"""The compiled core, src_cython/core.pyx; its buffers are checked and laid out by the callers."""

from collections.abc import Callable
from typing import Any, Final

from numpy import intc, intp
from numpy.typing import NDArray

LEVEL: Final[str]
SUPPORTED: Final[tuple[str, ...]]
FLAGS: Final[str]
COMPILED_BY: Final[str]
ALIGNMENT: Final[int]
TEAM: Final[int]
INPUT_BOUND: Final[float]
LAYOUT_COLUMNS: Final[dict[str, int]]
ACTIVATIONS: Final[dict[str, int]]
COSTS: Final[dict[str, int]]

def feedforward(
    x: NDArray[Any],
    weights: list[NDArray[Any]],
    biases: list[NDArray[Any]],
    codes: NDArray[intc],
    activations: list[NDArray[Any]],
) -> None: ...
def backprop(
    x: NDArray[Any],
    y: NDArray[Any],
    weights: list[NDArray[Any]],
    codes: NDArray[intc],
    cost: int,
    activations: list[NDArray[Any]],
    nabla_b: list[NDArray[Any]],
    nabla_w: list[NDArray[Any]],
) -> None: ...
def forward(
    params: NDArray[Any],
    layout: NDArray[intp],
    scratch: NDArray[Any],
    rows: int,
    X: NDArray[Any],
    start: int,
    stop: int,
    out: NDArray[Any],
) -> None: ...
def gradient(
    params: NDArray[Any],
    grads: NDArray[Any],
    layout: NDArray[intp],
    scratch: NDArray[Any],
    rows: int,
    X: NDArray[Any],
    Y: NDArray[Any],
    order: NDArray[intp],
    cost: int,
) -> None: ...
def train(
    params: NDArray[Any],
    grads: NDArray[Any],
    layout: NDArray[intp],
    scratch: NDArray[Any],
    rows: int,
    X: NDArray[Any],
    Y: NDArray[Any],
    order: NDArray[intp],
    position: int,
    batch: int,
    cost: int,
    rate: float,
    decay: float,
    seconds: float,
    part: int = 0,
    parts: int = 1,
    team: NDArray[intp] | None = None,
) -> int: ...
def abort(team: NDArray[intp]) -> None: ...
def shuffle(
    getstate: Callable[[], tuple[int, ...]],
    setstate: Callable[[tuple[int, ...]], None],
    python2: bool,
    order: NDArray[intp],
) -> None: ...
def lies(cards: list[Any], dealt: list[Any], order: NDArray[intp]) -> bool: ...
def deal(
    cards: list[Any], dealt: list[Any], before: NDArray[intp], after: NDArray[intp]
) -> None: ...
def all_finite(values: NDArray[Any]) -> bool: ...
