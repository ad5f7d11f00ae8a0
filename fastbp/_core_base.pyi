"""The compiled core, src_cython/_core.pyx, of one SIMD level."""

from collections.abc import Callable
from typing import Any, Final, Self, final

from numpy import dtype, intp, uint8
from numpy.typing import NDArray

LEVEL: Final[str]
FLAGS: Final[str]
COMPILED_BY: Final[str]
VECTOR: Final[int]
ALIGNMENT: Final[int]
TEAMS: Final[bool]
HAS_FAST_PATHS: Final[bool]
BLOCK_ROWS: Final[int]
INPUT_BOUND: Final[float]
LAYER_FIELDS: Final[tuple[str, ...]]
ACTIVATIONS: Final[dict[str, int]]
COSTS: Final[dict[str, int]]
LEAKAGE: Final[float]
OPTIMIZERS: Final[dict[str, int]]

def refuse_stale(where: str, array: NDArray[Any]) -> int: ...
def aligned(length: int, dtype: dtype[Any]) -> NDArray[Any]: ...

@final
class Layers:
    n_params: int
    row_width: int
    def __new__(cls, table: NDArray[Any]) -> Self: ...
    def n_transposed(self, rows: int, itemsize: int) -> int: ...

@final
class Samples:
    def __new__(
        cls,
        X: NDArray[Any],
        Y: NDArray[Any] | None = None,
        weights: NDArray[Any] | None = None,
        packed: NDArray[uint8] | None = None,
        starts: NDArray[intp] | None = None,
    ) -> Self: ...

@final
class Options:
    def __new__(
        cls,
        max_norm: float,
        optimizer: int,
        l1: float,
        l2: float,
        alpha: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        epsilon_hat: bool,
        moments: NDArray[Any] | None,
        dropout: NDArray[Any] | None,
        seed: int,
        updates: int,
        drawn: int,
        costs: NDArray[Any] | None,
    ) -> Self: ...

@final
class Team:
    def __new__(cls, n_threads: int) -> Self: ...
    def abort(self) -> None: ...

def feedforward(
    layers: Layers, workspace: NDArray[Any], biases: Any, weights: Any, x: Any, out: NDArray[Any]
) -> bool: ...
def backprop(
    layers: Layers,
    workspace: NDArray[Any],
    biases: Any,
    weights: Any,
    pairs: Any,
    cost: int,
    scale: float,
    add: bool,
    weight_factor: float,
    new_b: list[NDArray[Any]],
    new_w: list[NDArray[Any]],
) -> bool | None: ...
def pack(layers: Layers, biases: Any, weights: Any, block: NDArray[Any]) -> bool: ...
def unpack(layers: Layers, block: NDArray[Any], biases: Any, weights: Any) -> bool: ...
def are_parameters(
    layers: Layers, itemsize: int, biases: Any, weights: Any, search: bool
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
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    out: NDArray[Any],
) -> None: ...
def train(
    params: NDArray[Any],
    grads: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    order: NDArray[intp],
    position: int,
    batch: int,
    cost: int,
    learning_rate: float,
    weight_factor: float,
    seconds: float,
    options: Options | None = None,
    team: Team | None = None,
    thread_id: int = 0,
) -> int: ...
def gradient(
    params: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    cost: int,
    cost_weight: float,
    grads: NDArray[Any],
    squared: bool = False,
    max_norm: float = ...,
    norms: NDArray[Any] | None = None,
) -> None: ...
def gradient_norms(
    params: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    cost: int,
    cost_weight: float,
    out: NDArray[Any],
) -> None: ...
def layer_values(
    params: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    cost: int,
    cost_weight: float,
    out: list[NDArray[Any]],
    errors: bool,
) -> None: ...
def sample_gradients(
    params: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    cost: int,
    cost_weight: float,
    out: list[NDArray[Any]],
) -> None: ...
def input_gradient(
    params: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    cost: int,
    cost_weight: float,
    out: NDArray[Any],
    of_outputs: bool,
) -> None: ...
def hessian_product(
    params: NDArray[Any],
    layers: Layers,
    workspace: NDArray[Any],
    transposed: NDArray[Any],
    samples: Samples,
    start: int,
    stop: int,
    cost: int,
    cost_weight: float,
    v: NDArray[Any],
    out: NDArray[Any],
) -> None: ...
def pack_nonzeros(
    samples: Samples, start: int, stop: int, starts: NDArray[intp], packed: NDArray[uint8]
) -> int: ...
def shuffle(
    getstate: Callable[[], tuple[int, ...]],
    setstate: Callable[[tuple[int, ...]], None],
    python2: bool,
    order: NDArray[intp],
) -> None: ...
def is_in_order(items: list[Any], samples: list[Any], order: NDArray[intp]) -> bool: ...
def reorder(
    items: list[Any], samples: list[Any], before: NDArray[intp], after: NDArray[intp]
) -> None: ...
def all_finite(values: NDArray[Any]) -> bool: ...
