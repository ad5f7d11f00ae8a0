"""The compiled core, src_cython/core.pyx."""

from collections.abc import Callable
from typing import Any, Final, final

from numpy import intp, uint8
from numpy.typing import NDArray

SUPPORTED: Final[tuple[str, ...]]
ALIGNMENT: Final[int]
TEAMS: Final[bool]
BLOCK_ROWS: Final[int]
INPUT_BOUND: Final[float]
LAYOUT_COLUMNS: Final[dict[str, int]]
ACTIVATIONS: Final[dict[str, int]]
COSTS: Final[dict[str, int]]
LEAKAGE: Final[float]
OPTIMIZERS: Final[dict[str, int]]

def use(table: object) -> None: ...
def refuse_stale(where: str, array: NDArray[Any]) -> int: ...
def scratch_length(
    layout: NDArray[intp], itemsize: int, rows: int, kinds: int, parts: int
) -> int: ...
def feedforward(
    layout: NDArray[intp], itemsize: int, biases: Any, weights: Any, x: Any, out: NDArray[Any]
) -> bool: ...
def backprop(
    layout: NDArray[intp],
    itemsize: int,
    biases: Any,
    weights: Any,
    pairs: Any,
    cost: int,
    scale: float,
    add: bool,
    decay: float,
    new_b: list[NDArray[Any]],
    new_w: list[NDArray[Any]],
) -> bool | None: ...
def pack(
    layout: NDArray[intp],
    itemsize: int,
    biases: Any,
    weights: Any,
    block: NDArray[Any] | None,
    back: bool,
    search: bool,
) -> bool: ...
def columns(
    values: tuple[Any, ...],
    start: int,
    size: int,
    itemsize: int,
    at: NDArray[intp],
    rows: NDArray[Any] | None = None,
) -> bool: ...
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

@final
class Run:
    def __init__(
        self,
        layout: NDArray[intp],
        params: NDArray[Any],
        scratch: NDArray[Any],
        kinds: int,
        rows: int,
        X: NDArray[Any],
        Y: NDArray[Any] | None,
        order: NDArray[intp],
        cost: int,
        scale: float,
        weights: NDArray[Any] | None,
    ) -> None: ...
    def gradient(
        self,
        grads: NDArray[Any],
        add: bool,
        squared: bool = False,
        max_norm: float = ...,
        norms: NDArray[Any] | None = None,
    ) -> None: ...
    def norms(self, out: NDArray[Any], per_layer: bool) -> None: ...
    def values(self, out: list[NDArray[Any]], errors: bool) -> None: ...
    def samples(self, out: list[NDArray[Any]]) -> None: ...
    def pull(self, out: NDArray[Any], of_outputs: bool) -> None: ...
    def hessian(self, direction: NDArray[Any], out: NDArray[Any], add: bool) -> None: ...

@final
class Options:
    def __init__(
        self,
        max_norm: float,
        weights: NDArray[Any] | None,
        optimizer: int,
        l1: float,
        l2: float,
        alpha: float,
        first: float,
        second: float,
        epsilon: float,
        hat: bool,
        moments: NDArray[Any] | None,
        rates: NDArray[Any] | None,
        seed: int,
        updates: int,
        drawn: int,
        costs: NDArray[Any] | None,
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
    options: Options | None = None,
    records: NDArray[uint8] | None = None,
    starts: NDArray[intp] | None = None,
    team: Team | None = None,
) -> int: ...

@final
class Team:
    def __init__(self, parts: int) -> None: ...
    def follow(self, part: int) -> None: ...
    def abort(self) -> None: ...

def compress(
    X: NDArray[Any],
    n_0: int,
    start: int,
    stop: int,
    starts: NDArray[intp],
    records: NDArray[uint8],
) -> int: ...
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
