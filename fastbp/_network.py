"""What both Network classes share: state, commit, writer guard, override test, training."""

from __future__ import annotations

import inspect
import math
import os
import threading
import weakref
from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter
from types import MemberDescriptorType, WrapperDescriptorType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp import _checks, files, parameters, samples, shuffling
from fastbp._dispatch import core
from fastbp.errors import FormatError, near, shown, text
from fastbp.functions import COSTS, NUMPY, Activation
from fastbp.samples import Dataset
from fastbp.training import loop

Arrays = list[NDArray[Any]]
State = tuple[parameters.Layout, Arrays, Arrays]
Shuffling = bool | shuffling.Shuffle
Function = Callable[..., Any]


_BOTH = attrgetter("biases", "weights")  # one step: no other thread publishes in between

# Weights (n, m) of a layer of n neurons with m inputs: Glorot and Bengio, 2010; He et al., 2015;
# LeCun et al., 1998.
INITIALIZERS: dict[str, Callable[[Any, int, int], NDArray[Any]]] = {
    "glorot": lambda g, m, n: g.uniform(-1, 1, (n, m)) * np.sqrt(6 / (m + n)),
    "he": lambda g, m, n: g.standard_normal((n, m)) * np.sqrt(2 / m),
    "lecun": lambda g, m, n: g.standard_normal((n, m)) * np.sqrt(1 / m),
}

# The guard of each network that has needed one, by its id. Not an attribute: vars(net) is the
# user's to copy and to pickle, and a guard would travel along.
_GUARDS: dict[int, _Guard] = {}

if hasattr(os, "register_at_fork"):  # a child has none of the threads that may hold one
    os.register_at_fork(after_in_child=_GUARDS.clear)


class _Guard(threading.RLock().__class__):  # type: ignore[misc]
    """Lets one thread at a time change a network: ``with`` never waits, but refuses."""

    gone: weakref.ref[Any]  # takes the guard away with the network

    def __enter__(self) -> None:
        # A signal handler may raise between any two steps: what was got is noted in the same one.
        # Leaving is RLock's own, and one step.
        got: list[bool] = []
        try:
            got.extend(map(self.acquire, (False,)))
            if got[0]:
                return
        except BaseException:
            if any(got):
                self.release()
            raise
        raise RuntimeError(
            "this network is being trained in another thread; "
            "train a copy (copy.deepcopy), or wait for the other call to return"
        )


def _private(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy for the core, which code of the user's that runs later cannot reach."""
    return _checks.cast(array, dtype).copy()


def _read(done: bool) -> None:
    if not done:
        raise RuntimeError("weights or biases were changed in the midst of a call")


def _sets(cls: type) -> bool:
    """Whether a class of the user's says what it is to set an attribute."""
    return type(cls.__setattr__) is not WrapperDescriptorType  # as that of object, list, Exception


def _is_told(cls: type, name: str) -> bool:
    """Whether such an attribute of a class is told what is set, as a property is; no slot is."""
    if not hasattr(cls, name):  # nearly always
        return False
    kind = type(inspect.getattr_static(cls, name))
    return hasattr(kind, "__set__") and kind is not MemberDescriptorType


def _plus(totals: Arrays, factor: float, nablas: Any, where: str) -> Arrays:
    """Return the sums of arrays and a user's own, times a factor, layer by layer."""
    if len(nablas) != len(totals):
        raise ValueError(text(where, f"an array for each of {len(totals)} layers", len(nablas)))
    sums = []
    for l, (total, nabla) in enumerate(zip(totals, nablas, strict=True)):
        try:
            sums.append(total + factor * nabla)
        except ValueError:
            expected = f"shape {total.shape}"
            raise ValueError(text(f"{where}[{l}]", expected, np.shape(nabla))) from None
    return sums


class Shipped:
    """A book class and its module's functions as shipped, to see what a user overrides."""

    def __init__(self, cls: type, namespace: dict[str, Any]) -> None:
        self._methods = {name: getattr(cls, name) for name in dir(cls) if name[0] != "_"}
        self._functions = {name: namespace[name] for name in ("sigmoid", "sigmoid_prime")}
        self._namespace = namespace

    def overridden(self, net: object, *names: str) -> bool:
        """Whether a method of ``net`` or a function of its module is not the shipped one."""
        own, cls = vars(net), type(net)
        for name in names:
            if name in self._functions:
                if self._namespace.get(name) is not self._functions[name]:
                    return True
            elif name in own or getattr(cls, name, None) is not self._methods[name]:
                return True
        return False

    def functions(self) -> tuple[Function, Function]:
        """Return the module's sigmoid and its derivative, shipped or not."""
        return self._namespace["sigmoid"], self._namespace["sigmoid_prime"]


class Model:
    """State and training of a fully connected network; the book's classes derive from it."""

    backprop: Function
    _compiled_cost: Function

    num_layers: int
    sizes: Any
    # Plain attributes, as in the book: programs copy, update and pickle vars(net), delete them,
    # and have properties of these names in their own classes.
    biases: list[NDArray[Any]]
    weights: list[NDArray[Any]]
    dtype: np.dtype[Any] = _checks.FLOAT64

    _shipped: Shipped
    _generator: np.random.Generator | None = None
    _given: tuple[Any, tuple[int, ...]] = (object(), ())  # the sizes, and what they were then
    _activations: tuple[str, ...] | None = None  # of all layers but the input; None: sigmoids

    def _start(
        self, sizes: Any, dtype: DTypeLike, random_state: int | np.random.Generator | None
    ) -> None:
        checked = parameters.check_sizes(sizes)
        dtype = _checks.network_dtype(dtype)
        # NumPy imports its generators where they are first asked for: a file needs none.
        if random_state is not None:  # of a generator the same one comes back
            random_state = np.random.default_rng(_checks.random_state(random_state))
        self.num_layers = len(checked)
        self.sizes = sizes
        self._given = (sizes, checked)
        if dtype != self.dtype:  # vars(net) holds little beside what the book's has
            self.dtype = dtype
        if random_state is not self._generator:
            self._generator = random_state

    def _draw(self, *, scaled: bool = False) -> None:
        """Draw all biases, then all weights, from N(0, 1), as the book does.

        ``scaled`` divides the weights by the square root of their number of inputs.
        """
        generator, sizes = self._generator, self.sizes

        def randn(*shape: int) -> NDArray[np.float64]:
            if generator is None:
                return np.random.randn(*shape)
            return generator.standard_normal(shape)

        with self._writing():
            biases = [randn(n, 1).astype(self.dtype) for n in sizes[1:]]
            weights = [
                (randn(n, m) / (np.sqrt(m) if scaled else 1.0)).astype(self.dtype)
                for m, n in pairwise(sizes)
            ]
            self._commit(biases, weights)

    def _initialize(self, initializer: Any) -> None:
        """Draw biases and weights by one of INITIALIZERS, or a user's function."""
        generator: Any = np.random if self._generator is None else self._generator
        if not callable(initializer):
            if initializer not in INITIALIZERS:
                names = ", ".join(repr(name) for name in ("book", "large", *INITIALIZERS))
                expected = f"{names} or a function"
                hint = near(initializer, ("book", "large", *INITIALIZERS))
                raise ValueError(text("initializer", expected, shown(initializer), hint))
            draw = INITIALIZERS[initializer]
            shapes = list(pairwise(self._sizes()))
            weights = [draw(generator, m, n).astype(self.dtype) for m, n in shapes]
            biases = [np.zeros((n, 1), self.dtype) for _, n in shapes]
        else:
            made = initializer(self._sizes(), generator)
            if not isinstance(made, tuple | list) or len(made) != 2:
                expected = "a function that returns (biases, weights)"
                raise TypeError(text("initializer", expected, type(made).__name__))
            where = ("initializer(...)[0]", "initializer(...)[1]")
            checked = self._layout().check(*made, finite=True, where=where)
            biases, weights = ([a.copy() for a in part] for part in checked)
        with self._writing():
            self._commit(biases, weights)

    # -- files -----------------------------------------------------------------------

    def _write(self, filename: files.Path, kind: str, facts: files.Facts) -> None:
        """Write the network as a container."""
        _, biases, weights = self._checked(finite=True)
        files.write(filename, kind, files.layers(biases, weights), facts)

    @classmethod
    def _of(
        cls,
        where: str,
        arrays: files.Arrays,
        activations: Callable[[int], tuple[str, ...] | None] = lambda n_layers: None,
        dtype: DTypeLike | None = None,
    ) -> Self:
        """Return the network of a file's arrays; none is drawn. ``dtype`` None: the file's.

        ``activations`` tells them for so many layers.
        """
        try:
            biases, weights = files.pop_layers(arrays, len(arrays) // 2)
            if arrays or not weights:
                raise ValueError(text("arrays", "weights and biases of layers", sorted(arrays)[:3]))
            if any(array.dtype != weights[0].dtype for array in (*biases, *weights)):
                raise ValueError(text("arrays", "one dtype", "several"))
            sizes = [w.shape[-1] if w.ndim else 0 for w in weights[:1]] + [len(b) for b in biases]
            net = cls.__new__(cls)
            net._start(sizes, weights[0].dtype if dtype is None else dtype, None)
            net._activations = activations(len(weights))
            net._commit(*net._layout().check(biases, weights, finite=True))
        except (TypeError, ValueError) as error:
            raise FormatError(f"{where}: {error}") from None
        return net

    # -- state -----------------------------------------------------------------------

    @property
    def _parameters(self) -> tuple[Any, Any]:
        """Biases and weights, both of one moment."""
        return _BOTH(self)

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        own = vars(self).copy()  # at once: another thread may publish
        return (own, state[1]) if isinstance(state, tuple) else own  # a subclass's slots

    def __setstate__(self, state: Any) -> None:
        slots: dict[str, Any] = {}
        if isinstance(state, tuple):
            state, slots = state
        for name, value in slots.items():
            setattr(self, name, value)
        state = state.copy()
        if "_parameters" in state:  # pickled by fastbp 0.1, which kept both lists in one tuple
            state["biases"], state["weights"] = state.pop("_parameters")
        vars(self).update(state)

    def _writing(self) -> _Guard:
        """Return what to hold for a call that changes the network; re-entrant."""
        guard = _GUARDS.get(id(self))
        if guard is None:  # a user's __init__ may not call ours, nor does unpickling
            key, guard = id(self), _Guard()
            guard.gone = weakref.ref(self, lambda _: _GUARDS.pop(key, None))
            guard = _GUARDS.setdefault(key, guard)
        return guard

    def _sizes(self) -> tuple[int, ...]:
        given, checked = self._given
        # A list that a program goes on to use for its next network changes nothing here.
        return checked if self.sizes is given else parameters.check_sizes(self.sizes)

    def _layout(self) -> parameters.Layout:
        return parameters.layout(self._sizes(), self.dtype, self._activations)

    def _checked(self, *, finite: bool = False) -> State:
        """Return layout, biases and weights of one whole state, fit for the core."""
        layout = self._layout()
        biases, weights = self._parameters
        return layout, *layout.check(biases, weights, finite=finite)

    # -- one sample and blocks of samples ----------------------------------------------

    # Each method here first tries the core's own gate, which takes what is nearly always
    # given; of anything else the Python gate makes that, or says what is wrong with it.

    def _feedforward(self, a: Any) -> NDArray[Any]:
        layout = self._layout()
        out = np.empty((layout.sizes[-1], 1), layout.dtype)
        if core.feedforward(layout.layers, layout.rows_for(1, 1), *self._parameters, a, out):
            return out
        if isinstance(a, Dataset):
            a = a[:]
            samples.check_shapes(a, layout.sizes, "a")
            return self._outputs(a.X)
        a = samples.inputs(a, layout.sizes[0], "a")
        if a.shape[1] == 1:
            x = _private(a, self.dtype)
            layout, biases, weights = self._checked()  # last: a may run code
            out = np.empty((layout.sizes[-1], 1), layout.dtype)
            row = layout.rows_for(1, 1)
            _read(core.feedforward(layout.layers, row, biases, weights, x, out))
            return out
        return np.ascontiguousarray(self._outputs(np.ascontiguousarray(a.T)).T)

    def _backprop(self, x: Any, y: Any, cost: str) -> tuple[Arrays, Arrays]:
        layout = self._layout()
        nabla_b, nabla_w = nablas = layout.fresh()
        what = COSTS[cost], 1.0, False, 0.0  # the gradient itself, added to nothing
        if (
            core.backprop(
                layout.layers,
                layout.rows_for(1, 2),
                *self._parameters,
                [(x, y)],
                *what,
                nabla_b,
                nabla_w,
            )
            is not None
        ):
            return nablas
        x = _private(samples.column(x, layout.sizes[0], "input", "x"), self.dtype)
        y = _private(samples.column(y, layout.sizes[-1], "output", "y"), self.dtype)
        layout, biases, weights = self._checked()  # last: x and y may be objects that run code
        nabla_b, nabla_w = nablas = layout.fresh()
        done = core.backprop(
            layout.layers, layout.rows_for(1, 2), biases, weights, [(x, y)], *what,
            nabla_b, nabla_w,
        )  # fmt: skip
        _read(done is not None)
        return nablas

    def _outputs(
        self, X: NDArray[Any], *, weighted: bool = False, state: State | None = None
    ) -> NDArray[Any]:
        """Return the outputs of every row of X, (n, n_out), or their weighted inputs.

        ``state`` is that of :meth:`_checked`, for who asks more of it than these.
        """
        layout, biases, weights = self._checked() if state is None else state
        block = layout.pack(biases, weights)
        return loop.outputs(layout.weighted() if weighted else layout, block, X)

    def _count(self, data: Any, where: str, *, y: Literal["columns", "labels"]) -> int:
        """Return how many samples of ``data`` are classified rightly."""
        data = samples.materialise(data, where)
        if len(data) == 0:
            return 0
        data = samples.gate(data, self._sizes(), where, y=y)
        state = self._checked()
        samples.check_shapes(data, state[0].sizes, where)
        A = self._outputs(data.X, state=state)
        return int(np.count_nonzero(A.argmax(axis=1) == samples.classes(data)))

    # -- what gradients of every form ask (fastbp.gradients) ------------------------------

    def _own_functions(self) -> list[Activation] | None:
        """Return the activation of each layer if one is a user's own, else None."""
        if not self._shipped.overridden(self, "sigmoid", "sigmoid_prime"):
            return None
        return self._functions(self._layout())

    # -- the same with a user's own functions --------------------------------------------

    def _functions(self, layout: parameters.Layout) -> list[Activation]:
        """Return the activation of each layer in NumPy; a sigmoid is the module's own."""
        own = Activation(*self._shipped.functions())
        return [own if name == "sigmoid" else NUMPY[name] for name in layout.activations]

    def _feedforward_with(self, a: Any) -> Any:
        layout, biases, weights = self._checked()
        if isinstance(a, Dataset):
            samples.check_shapes(a, layout.sizes, "a")
            return self._feedforward_with(a.X.T).T
        a = samples.inputs(a, layout.sizes[0], "a")
        for b, w, f in zip(biases, weights, self._functions(layout), strict=True):
            a = f.value(np.dot(w, a) + b)
        return a

    def _backprop_with(self, output_delta: Function, x: Any, y: Any) -> tuple[Arrays, Arrays]:
        """Return one sample's gradient, with ``output_delta(z, a, y)`` for BP1."""
        layout, biases, weights = self._checked()
        x = samples.column(x, layout.sizes[0], "input", "x")
        y = samples.column(y, layout.sizes[-1], "output", "y")
        activations, zs, functions = [x], [], self._functions(layout)
        for b, w, f in zip(biases, weights, functions, strict=True):
            zs.append(np.dot(w, activations[-1]) + b)
            activations.append(f.value(zs[-1]))
        delta = output_delta(zs[-1], activations[-1], y)  # BP1
        layout.check(biases, weights)  # a user's function may have changed them in place
        nabla_b, nabla_w = [delta], [np.dot(delta, activations[-2].T)]  # BP3, BP4
        for l in range(2, len(layout.sizes)):
            delta = np.dot(weights[-l + 1].T, delta) * functions[-l].prime(zs[-l])  # BP2
            nabla_b.insert(0, delta)
            nabla_w.insert(0, np.dot(delta, activations[-l - 1].T))
        return nabla_b, nabla_w

    def _count_with(
        self, feedforward: Function, data: Any, where: str, label: Function = lambda y: y
    ) -> int:
        """Return how many samples are classified rightly, one call of ``feedforward`` each."""
        return sum(
            bool(np.all(np.argmax(feedforward(x)) == label(y)))
            for x, y in samples.materialise(data, where)
        )

    # -- training ------------------------------------------------------------------------

    def _own_samples(self) -> bool:
        """Whether it is a user's function that takes the samples."""
        return self._shipped.overridden(self, "update_mini_batch", "backprop")

    def _compiled_run(self) -> str | None:
        """Return the cost that the core may descend for whole epochs; None if it must not.

        Each step is told where a user's class says what it is to set weights or biases.
        """
        cls = type(self)
        told = _sets(cls) or _is_told(cls, "weights") or _is_told(cls, "biases")
        return None if told else self._compiled_cost("update_mini_batch")

    def _pairs(
        self, data: Any, where: str, own: bool, *, check_finite: bool = True
    ) -> list[samples.Pair]:
        """Return ``data`` as pairs, checked unless a user's ``own`` function takes them."""
        pairs: list[samples.Pair] | Dataset = samples.materialise(data, where)
        if len(pairs) == 0:
            raise ValueError(text(where, "at least one sample", "none"))
        if own and not isinstance(pairs, Dataset):
            return pairs
        sizes = self._sizes()
        samples.gate(pairs, sizes, where, y="columns", check_finite=check_finite)
        return samples.pairs(pairs, sizes[-1]) if isinstance(pairs, Dataset) else pairs

    def _update(
        self,
        mini_batch: Any,
        eta: float,
        decay: float,
        cost: str | None,
        max_norm: float = math.inf,
    ) -> None:
        """Take one step on the core, or through ``backprop`` where the core has no ``cost``."""
        if cost is None:
            self._step_with(mini_batch, eta, decay, max_norm)
        else:
            self._step(mini_batch, eta, decay, cost, max_norm)

    def _step(self, mini_batch: Any, eta: float, decay: float, cost: str, max_norm: float) -> None:
        layout = self._layout()
        plain = max_norm == math.inf
        if (
            plain
            and type(mini_batch) is list
            and self._small_step(layout, self._parameters, mini_batch, eta, decay, cost)
        ):
            return
        data = samples.gate(mini_batch, layout.sizes, "mini_batch", y="columns")
        layout, biases, weights = self._checked(finite=True)  # last: samples may run code
        samples.check_shapes(data, layout.sizes, "mini_batch")
        Y = samples.targets(data, layout.sizes[-1], layout.dtype)
        if plain and len(data) <= layout.block_rows:
            # The same sums as above: another form of the samples changes no bit.
            pairs = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(data.X, Y, strict=True)]
            if self._small_step(layout, (biases, weights), pairs, eta, decay, cost):
                return
        block = layout.pack(biases, weights)
        loop.descend(
            layout,
            block,
            data.X,
            Y,
            np.arange(len(data), dtype=np.intp),
            mini_batch_size=len(data),
            cost=cost,
            eta=eta,
            decay=decay,
            options=loop.clipping(max_norm),
        )
        self._publish(layout, block)

    def _small_step(
        self,
        layout: parameters.Layout,
        published: tuple[Any, Any],
        pairs: list[Any],
        eta: float,
        decay: float,
        cost: str,
    ) -> bool:
        """Take a step that fits one block; False if it is no such, or does not end finite."""
        n = len(pairs)
        if not 0 < n <= layout.block_rows:
            return False
        new_b, new_w = layout.fresh()
        if not core.backprop(
            layout.layers, layout.rows_for(n, 2), *published, pairs,
            COSTS[cost], -eta / n, True, decay, new_b, new_w,
        ):  # fmt: skip
            return False
        self._commit(new_b, new_w)
        return True

    def _step_with(self, mini_batch: Any, eta: float, decay: float, max_norm: float) -> None:
        _, biases, weights = self._checked(finite=True)
        own = self._shipped.overridden(self, "backprop")
        pairs = self._pairs(mini_batch, "mini_batch", own)
        sum_b = [np.zeros(b.shape) for b in biases]
        sum_w = [np.zeros(w.shape) for w in weights]
        for x, y in pairs:
            nabla_b, nabla_w = self.backprop(x, y)
            factor = 1.0
            if max_norm < math.inf:
                size = math.sqrt(sum(float(np.sum(nabla**2)) for nabla in (*nabla_b, *nabla_w)))
                factor = max_norm / size if size > max_norm else 1.0
            sum_b = _plus(sum_b, factor, nabla_b, "backprop(...)[0]")
            sum_w = _plus(sum_w, factor, nabla_w, "backprop(...)[1]")
        step = eta / len(pairs)
        layout, biases, weights = self._checked()  # a user's backprop may have changed them
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            new_b = _plus(biases, -step, sum_b, "backprop(...)[0]")
            new_w = _plus([decay * w for w in weights], -step, sum_w, "backprop(...)[1]")
            new_b, new_w = ([a.astype(self.dtype) for a in arrays] for arrays in (new_b, new_w))
        if not all(_checks.all_finite(a) for a in new_b + new_w):
            raise loop.diverged(None, 0, eta, loop.advice(decay))
        self._commit(*layout.check(new_b, new_w))

    def _shuffle(
        self, option: Shuffling, books: Callable[[], shuffling.Shuffle]
    ) -> Callable[[], shuffling.Shuffle] | None:
        """Return what tells the shuffle of each epoch; ``books`` tells the book's."""
        if callable(option):
            return lambda: option
        if not isinstance(option, bool | np.bool_):
            raise TypeError(text("shuffle", "True, False or a function of a list", shown(option)))
        if not option:
            return None
        generator = self._generator
        return books if generator is None else lambda: generator.shuffle

    def _publish(self, layout: parameters.Layout, block: NDArray[Any]) -> None:
        """Commit a block, unless a signal handler has made the network another meanwhile."""
        self._layout().refuse_other(layout)
        self._commit(*layout.unpack(block))

    def _commit(self, biases: Arrays, weights: Arrays) -> None:
        """Publish a new state; arrays taken earlier keep their values."""
        cls, own = type(self), vars(self)
        old_b, old_w = own.get("biases"), own.get("weights")  # whose end may run code: not within
        kept = old_b is not None and old_w is not None
        plain = kept or not (hasattr(cls, "biases") or hasattr(cls, "weights"))
        if plain and not _sets(cls):
            own.update(biases=biases, weights=weights)  # one step, for readers in other threads
            if self.biases is biases and self.weights is weights:
                return
        # A user's class says what it is to set these.
        self.weights, self.biases = weights, biases
