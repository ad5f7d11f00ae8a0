"""Each public call with its k-th allocation failing, for every k: MemoryError, nothing changed.

``failing_malloc.c`` says which allocations; it is compiled here and loaded before the others of
a process. Each call runs in a process of its own, so that a crash has a name.
"""

import ctypes
import os
import pickle
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastbp
from fastbp import Dataset, network, network2, parameters

SOURCE = Path(__file__).with_name("failing_malloc.c")
MOST = 4000  # allocations of one call; beyond it is a mistake here
LARGE = 4096  # bytes from which an allocation counts, whoever asks for it


# -- the calls -----------------------------------------------------------------------------


class State:
    """A network of either class with data, the same at each start."""

    def __init__(self, module, folder, n=40):
        random.seed(1)
        np.random.seed(1)
        rng = np.random.default_rng(2)
        self.net = module.Network([30, 25, 10])
        X, Y = rng.random((n, 30)), rng.random((n, 10))
        self.data, self.labelled = Dataset(X, Y), Dataset(X, np.arange(n) % 10)
        self.pairs = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]
        self.labels = [(x.reshape(-1, 1), i % 10) for i, x in enumerate(X)]
        self.vector = rng.random(parameters.layout((30, 25, 10), np.dtype(float)).n_parameters)
        self.folder = folder
        for name in ("kept.safetensors", "kept.json"):
            if module is not network or name.endswith("s"):
                module.Network([30, 25, 10], random_state=5).save(folder / name)
        (folder / "run").unlink(missing_ok=True)

    def parameters(self):
        """Return the bits of all parameters."""
        return b"".join(a.tobytes() for a in (*self.net.biases, *self.net.weights))

    def rest(self):
        """Return what no call may change but a random stream and a list's order."""
        return [
            self.data.X.tobytes(), self.data.Y.tobytes(), self.labelled.Y.tobytes(),
            sorted(x.tobytes() + y.tobytes() for x, y in self.pairs),
        ]  # fmt: skip

    def streams(self):
        """Return the random streams' states and the list's order."""
        return [random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2:],
                [id(x) for x, _ in self.pairs]]  # fmt: skip

    def files(self):
        """Return names and content of the files."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def train(state, **options):
    """Train one epoch."""
    options = {"epochs": 1, "mini_batch_size": 8, "random_state": 3} | options
    history = fastbp.train(state.net, state.data, **options)
    return {key: values for key, values in history.items() if key != "seconds"}


class Own(network2.Network):
    """A network of which the slow path is taken."""

    def backprop(self, x, y):
        return super().backprop(x, y)


OWN = type("own", (), {"Network": staticmethod(lambda sizes, **o: Own(sizes, **o))})

BOTH = {
    "feedforward": lambda s: s.net.feedforward(s.pairs[0][0]),
    "feedforward of columns": lambda s: s.net.feedforward(s.data.X.T),
    "feedforward of a Dataset": lambda s: s.net.feedforward(s.data),
    "backprop": lambda s: s.net.backprop(*s.pairs[0]),
    "pickle": lambda s: pickle.loads(pickle.dumps(s.net)).weights,
    "save": lambda s: s.net.save(s.folder / "kept.safetensors"),
    "load": lambda s: fastbp.load(s.folder / "kept.safetensors").weights,
    "gradient": lambda s: fastbp.gradient(s.net, s.data),
    "per_sample_gradients": lambda s: fastbp.per_sample_gradients(s.net, s.data),
    "per_sample_gradient_norms": lambda s: fastbp.per_sample_gradient_norms(s.net, s.data),
    "gradient_gram": lambda s: fastbp.gradient_gram(s.net, s.data),
    "gradient_second_moment": lambda s: fastbp.gradient_second_moment(s.net, s.data),
    "clipped_gradient": lambda s: fastbp.clipped_gradient(s.net, s.data, max_norm=0.1),
    "input_gradient": lambda s: fastbp.input_gradient(s.net, s.data),
    "jacobian": lambda s: fastbp.jacobian(s.net, s.data),
    "hessian_vector_product": lambda s: fastbp.hessian_vector_product(s.net, s.data, s.vector),
    "activations": lambda s: fastbp.activations(s.net, s.data),
    "deltas": lambda s: fastbp.deltas(s.net, s.data),
    "per_sample_costs": lambda s: fastbp.per_sample_costs(s.net, s.data),
    "flatten": lambda s: fastbp.flatten(s.net),
    "unflatten": lambda s: fastbp.unflatten(s.net, s.vector),
    "train": train,
    "train with all": lambda s: train(
        s, dropout=0.2, l2=0.1, clip_norm=1.0, validation=s.labelled, sample_weight=np.ones(40)
    ),
    "train with a checkpoint": lambda s: train(s, checkpoint=fastbp.Checkpoint(s.folder / "run")),
}
CALLS = {f"network: {name}": (network, call) for name, call in BOTH.items()}
CALLS |= {f"network2: {name}": (network2, call) for name, call in BOTH.items()}
CALLS |= {
    "Dataset": (network, lambda s: Dataset(s.data.X.T, list(range(30))).X),
    "network: Network": (network, lambda s: network.Network([30, 25, 10]).weights),
    "network: update_mini_batch": (network, lambda s: s.net.update_mini_batch(s.pairs, 0.5)),
    "network: update_mini_batch of a Dataset":
        (network, lambda s: s.net.update_mini_batch(s.data, 0.5)),
    "network: evaluate": (network, lambda s: s.net.evaluate(s.labels)),
    "network: SGD": (network, lambda s: s.net.SGD(s.pairs, 1, 8, 0.5, s.labels, verbose=False)),
    "network: SGD of a Dataset":
        (network, lambda s: s.net.SGD(s.data, 1, 8, 0.5, s.labelled, verbose=False)),
    "network2: Network": (network2, lambda s: network2.Network([30, 25, 10]).weights),
    "network2: update_mini_batch":
        (network2, lambda s: s.net.update_mini_batch(s.pairs, 0.5, 0.1, 40)),
    "network2: update_mini_batch, clipped":
        (network2, lambda s: s.net.update_mini_batch(s.pairs, 0.5, 0.1, 40, clip_norm=0.1)),
    "network2: update_mini_batch, overridden":
        (OWN, lambda s: s.net.update_mini_batch(s.pairs, 0.5, 0.1, 40)),
    "network2: accuracy": (network2, lambda s: s.net.accuracy(s.labels)),
    "network2: total_cost": (network2, lambda s: s.net.total_cost(s.data, 0.1)),
    "network2: SGD": (network2, lambda s: s.net.SGD(
        s.pairs, 1, 8, 0.5, 0.1, s.labels, True, True, True, True, verbose=False)),
    "network2: SGD, two threads": (network2, lambda s: s.net.SGD(
        s.data, 1, 40, 0.5, 0.1, n_threads=2, verbose=False)),
    "network2: save as JSON": (network2, lambda s: s.net.save(s.folder / "kept.json")),
    "network2: load of JSON": (network2, lambda s: fastbp.load(s.folder / "kept.json").weights),
    "check_gradient":
        (network2, lambda s: str(fastbp.check_gradient(s.net, s.data, directions=2))),
}  # fmt: skip
TRAINING = ("SGD", "train")  # these may end after a whole epoch
DRAWING = (*TRAINING, "Network", "load of JSON")  # a stream stays where the error finds it
# NumPy reports the lack of memory for the buffers of a mixed sum without holding the GIL, and
# dies (npyiter_allocate_buffers): here its large allocations are left alone.
NUMPYS = ("check_gradient",)
SHORT = [
    "network: feedforward of columns", "network: update_mini_batch", "network2: backprop",
    "network2: SGD", "network2: train with a checkpoint", "network2: save", "network2: load",
    "network2: per_sample_gradients",
]  # fmt: skip


def swallowed(state):
    """Answer something else where there is no memory."""
    try:
        return state.net.feedforward(state.data)
    except MemoryError:
        return None


def half(state):
    """Change some of the parameters before there is an error."""
    state.net.biases[0][:] = 0
    return state.net.feedforward(state.data)


BROKEN = {"broken: swallowed": (network, swallowed), "broken: half": (network, half)}


# -- one call, in its own process ----------------------------------------------------------


def content(value):
    """Return the bits of a result."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return [(key, content(v)) for key, v in value.items()]
    if isinstance(value, list | tuple):
        return [content(v) for v in value]
    return repr(value)


class Shim:
    """The loaded library, and NumPy's memory through it."""

    def __init__(self):
        self._library = ctypes.CDLL(None)
        self._library.failing_disarm.restype = ctypes.c_long
        if self._library.failing_find() == 0:
            raise RuntimeError("no module of fastbp's found")
        api = ctypes.pythonapi
        api.PyCapsule_GetPointer.restype = ctypes.c_void_p
        api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        api.PyCapsule_New.restype = ctypes.py_object
        api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        core = getattr(np, "_core", None) or np.core
        table = api.PyCapsule_GetPointer(core._multiarray_umath._ARRAY_API, None)
        entry = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[304]  # PyDataMem_SetHandler
        set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(entry)
        handler = ctypes.addressof(ctypes.c_char.in_dll(self._library, "failing_handler"))
        name = ctypes.addressof(ctypes.c_char.in_dll(self._library, "failing_name"))
        capsule = api.PyCapsule_New(handler, name, None)
        self._previous = set_handler(capsule)

    def fired(self, k, call, large=LARGE):
        """Call with the k-th allocation failing; return whether there was one, and the outcome."""
        result = error = None
        self._library.failing_arm(ctypes.c_long(k), ctypes.c_size_t(large))
        try:
            result = call()
        except BaseException as raised:
            error = raised
        fired = bool(self._library.failing_disarm())
        return fired, result, error


def each(name, folder):
    """Let each allocation of a call fail; return how many there were, and print problems."""
    module, call = (CALLS | BROKEN)[name]
    training = any(word in name for word in TRAINING)
    drawing = any(word in name.split(": ")[-1] for word in DRAWING)
    shim, problems = Shim(), 0

    def fresh():
        for path in folder.iterdir():
            path.unlink()
        return State(module, folder)

    state = fresh()
    call(state)  # what is imported at the first call is not the call's
    state = fresh()
    wanted = content(call(state)), state.parameters()
    for k in range(MOST):
        state = fresh()
        parameters._made.cache_clear()
        before = state.parameters(), state.rest(), state.files(), state.streams()
        large = 2**62 if name in NUMPYS else LARGE
        fired, result, error = shim.fired(k, lambda state=state: call(state), large)
        problem = None
        if error is None:
            if (content(result), state.parameters()) != wanted:
                problem = "another result, and no error"
        elif not fired or not isinstance(error, MemoryError):
            problem = f"{type(error).__name__}: {error}"
        elif state.parameters() not in (before[0], wanted[1] if training else before[0]):
            problem = "other parameters"
        elif not drawing and state.streams() != before[3]:
            problem = "other random streams, or another order"
        elif {n: c for n, c in state.files().items() if n != "run"} != before[2]:
            problem = f"other files: {sorted(state.files())}"
        elif drawing:
            call(state)  # works again
        elif (content(call(state)), state.parameters()) != wanted:
            problem = "the next call gives another result"
        if state.rest() != before[1]:
            problem = "the caller's data have changed"
        if problem is not None:
            problems += 1
            print(f"allocation {k} of {name}: {problem}", flush=True)
        if not fired:
            return k, problems
    raise RuntimeError(f"more than {MOST} allocations")


# -- all of them ---------------------------------------------------------------------------


def lacking():
    """Say what a machine lacks; nothing if all is there."""
    if platform.libc_ver()[0] != "glibc":
        return "without glibc: no failing allocations"
    if compiler() is None:
        return "without a C compiler: no failing allocations"
    if os.environ.get("LD_PRELOAD"):
        return "beside a sanitizer, whose allocations they would be: no failing allocations"
    return "" if SOURCE.exists() else f"without {SOURCE.name}: no failing allocations"


def compiler():
    """Return the path of a C compiler, or None."""
    return shutil.which("gcc") or shutil.which("cc")


def failing(folder, names=tuple(CALLS)):
    """Yield a problem or None for each allocation of the public calls of these names."""
    if lacking():
        print(f"faults: {lacking()}")
        return
    library = folder / "failing_malloc.so"
    command = [compiler(), "-O1", "-shared", "-fPIC", str(SOURCE), "-o", str(library)]
    subprocess.run(command, check=True)
    root = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": root}
    for name in names:
        command = [sys.executable, "-m", "lanes.memory", name]
        try:
            found = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=120
            )
        except subprocess.TimeoutExpired:
            yield f"{name}: did not end"
            continue
        *problems, last = found.stdout.splitlines() or [""]
        if not last.startswith("done "):
            yield f"{name}: ended with {found.returncode}: {found.stderr[-800:]} {last}"
            continue
        yield from problems
        yield from [None] * (int(last.split()[1]) - len(problems))


def main(name):
    """Run one call's allocations."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as path:
        count, _ = each(name, Path(path))
    print(f"done {count}")


if __name__ == "__main__":
    main(sys.argv[1])
