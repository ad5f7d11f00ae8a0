"""Whatever user code changes while a call runs: one of our errors or a right result, and no crash.

Two walks over the public calls. The first puts each change into each function, object and method
of a user's that a call runs. The second puts it between any two entries into the core, where a
signal handler, a finaliser or another thread may run. Under AddressSanitizer (tools/check.py asan)
a read or write outside a buffer is seen, too.
"""

import contextlib
import re
import sys
import types
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import fastbp
from fastbp import Dataset, gradients, network, network2
from fastbp._dispatch import core

# No core test: the compiled half of what is tried here is the same on each level, and a matter of
# test_entry_points.py; tools/check.py asan runs this file on each.
pytestmark = pytest.mark.filterwarnings("ignore:.*refcheck.*:DeprecationWarning")

SIZES, N = [6, 5, 3], 12
OTHERS = {
    "a larger network": [6, 300, 3],
    "a smaller network": [6, 1, 3],
    "a deeper network": [6, 5, 4, 3],
    "a shallower network": [6, 3],
    "more inputs": [90, 5, 3],
    "fewer inputs": [2, 5, 3],
    "more outputs": [6, 5, 40],
    "one output": [6, 5, 1],
}


class Scene:
    """A network, and the same samples as a list of pairs, as arrays and as a Dataset."""

    def __init__(self, module, dtype, folder, n=N):
        self.folder = folder
        rng = np.random.default_rng(0)
        self.module, self.dtype = module, dtype
        self.net = module.Network(SIZES, dtype=dtype, random_state=0)
        self.X, self.Y = rng.random((n, SIZES[0])), rng.random((n, SIZES[-1]))
        self.pairs = [
            (x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(self.X, self.Y, strict=True)
        ]
        self.data = Dataset(self.X, self.Y)
        self.labels = Dataset(self.X, rng.integers(0, SIZES[-1], n))
        self.labelled = list(self.labels)
        self.weights = rng.random(n)
        self.out = np.zeros((n, sum(n * (m + 1) for m, n in pairwise(SIZES))), dtype)
        self.v = gradients.unflatten(self.net, rng.random(self.out.shape[1]))

    def own(self, **methods):
        """Give the network a class that overrides these methods; each is called with ``super``."""
        base = type(self.net)
        made = {
            name: lambda net, *args, _hook=hook, _name=name, **options: (
                _hook(),
                getattr(base, _name)(net, *args, **options),
            )[1]
            for name, hook in methods.items()
        }
        self.net.__class__ = type("Own", (base,), made)


def give(scene, sizes):
    other = scene.module.Network(sizes, dtype=scene.dtype, random_state=1)
    scene.net.sizes, scene.net.num_layers = sizes, len(sizes)
    scene.net.biases, scene.net.weights = other.biases, [0.1 * w for w in other.weights]


def resize(array, shape):
    array.resize(shape, refcheck=False)


def set_state(array, n):
    array.__setstate__((1, (n,), array.dtype, False, bytes(n * array.itemsize)))


def resize_weights(scene, n):
    for array in (*scene.net.weights, *scene.net.biases):
        resize(array, (n, n))


def set_dtype(scene):
    scene.net.dtype = np.dtype(np.float32 if scene.dtype is np.float64 else np.float64)


def set_attribute(scene, name, value):
    setattr(scene.net, name, value)


def train_within(scene):
    give(scene, SIZES)
    data = [(np.ones((6, 1)), np.zeros((3, 1)))]
    type(scene.net).__mro__[-3].SGD(scene.net, data, 1, 1, 0.1, verbose=False)


CHANGES = {name: partial(give, sizes=sizes) for name, sizes in OTHERS.items()} | {
    "nothing": lambda s: None,
    "another type": set_dtype,
    "sizes alone": lambda s: set_attribute(s, "sizes", [6, 300, 3]),
    "weights alone": lambda s: set_attribute(s, "weights", [np.ones((300, 6)), np.ones((3, 300))]),
    "no weights": lambda s: vars(s.net).pop("weights", None),
    "weights that grow in place": lambda s: resize_weights(s, 300),
    "weights that shrink in place": lambda s: resize_weights(s, 1),
    "a step within": train_within,
    "an empty list": lambda s: (s.pairs.clear(), s.labelled.clear()),
    "a longer list": lambda s: (s.pairs.extend(40 * s.pairs), s.labelled.extend(s.labelled)),
    "a shorter list": lambda s: (s.pairs.pop(), s.labelled.pop()),
    "other pairs": lambda s: s.pairs.__setitem__(0, (np.ones((9, 1)), np.ones((3, 1)))),
    "inputs that grow": lambda s: resize(s.X, (9000, 90)),
    "inputs that shrink": lambda s: resize(s.X, (1, 1)),
    "inputs put elsewhere": lambda s: set_state(s.X, 2),
    "targets that grow": lambda s: resize(s.Y, (9000, 90)),
    "targets that shrink": lambda s: resize(s.Y, (1, 1)),
    "weights of samples that shrink": lambda s: resize(s.weights, 1),
    "a result that shrinks": lambda s: resize(s.out, (1, 1)),
    "a result put elsewhere": lambda s: set_state(s.out, 2),
    "a Dataset made again, smaller": lambda s: remake(s, 1),
    "a Dataset made again, larger": lambda s: remake(s, 5000),
}  # fmt: skip


def remake(scene, n):
    scene.data.__init__(np.ones((n, SIZES[0])), np.ones((n, SIZES[-1])))
    scene.labels.__init__(np.ones((n, SIZES[0])), np.zeros(n, int))


class Column:
    """A column that runs code of the user's when it is made an array."""

    def __init__(self, array, hook):
        self.array, self.hook = array.copy(), hook  # the hook may give its memory back

    def __array__(self, dtype=None, copy=None):
        self.hook()
        return self.array


class Path:
    """A path that runs code of the user's when it is asked."""

    def __init__(self, path, hook):
        self.path, self.hook = path, hook

    def __fspath__(self):
        self.hook()
        return self.path


class Items(list):
    """A list, or what yields its items, that runs code of the user's when it is looked at."""

    def __init__(self, items, hook):
        super().__init__(items)
        self.hook = hook

    def __iter__(self):
        for i in range(super().__len__()):
            if i == 1:
                self.hook()
            yield self[i]

    def __len__(self):
        self.hook()
        return super().__len__()


def yielded(items, hook):
    for i, item in enumerate(list(items)):
        if i == 1:
            hook()
        yield item


class Whole:
    """An integer that runs code of the user's when it is asked for its value."""

    def __init__(self, value, hook):
        self.value, self.hook = value, hook

    def __index__(self):
        self.hook()
        return self.value


class Factors(dict):
    """A dict that runs code of the user's when its items are asked for."""

    hook = None

    def items(self):
        self.hook()
        return super().items()


class Lines:
    """A stream that runs code of the user's when a line is written."""

    def __init__(self, hook):
        self.hook = hook

    def write(self, text):
        self.hook()
        return len(text)

    def flush(self):
        self.hook()


def with_column(scene, hook, place, index=2):
    """Return the pairs, of which one has a column that runs code."""
    pair = list(scene.pairs[index])
    pair[place] = Column(pair[place], hook)
    scene.pairs[index] = tuple(pair)
    return scene.pairs


def sgd(scene, data=None, epochs=3, **options):
    data = scene.pairs if data is None else data
    if scene.module is network2:
        options.setdefault("lmbda", 0.1)
    return scene.net.SGD(data, epochs, 4, 0.05, verbose=options.pop("verbose", False), **options)


def monitored(scene):
    return sgd(
        scene,
        evaluation_data=scene.labelled,
        monitor_evaluation_cost=True,
        monitor_evaluation_accuracy=True,
        monitor_training_cost=True,
        monitor_training_accuracy=True,
    )


def factors(hook):
    made = Factors({0: 2.0})
    made.hook = hook
    return made


def printed(scene, hook):
    with contextlib.redirect_stdout(Lines(hook)):
        return sgd(scene, verbose=True)


def of_an_own_cost(scene, hook, name):
    """Train by a cost of the user's, one of whose functions runs the code."""
    given = network2.CrossEntropyCost
    own = {n: getattr(given, n) for n in ("fn", "delta")}
    function = own[name]
    own[name] = lambda *args: (hook(), function(*args))[1]
    scene.net.cost = types.SimpleNamespace(**own, __name__="Own")
    return monitored(scene)


def overridden(scene, hook, name):
    scene.own(**{name: hook})
    if scene.module is network2:
        return monitored(scene)
    return sgd(scene, test_data=scene.labelled)


def train(scene, data=None, **options):
    options = {"dropout": 0.5, "mini_batch_size": 5, "random_state": 0} | options
    data = scene.data if data is None else data
    return fastbp.train(scene.net, data, epochs=3, **options)


# Each public call that runs code of the user's, and where: (scene, hook) -> result.
HOOKS = {
    "SGD, shuffle": lambda s, hook: sgd(s, shuffle=lambda cards: hook()),
    "SGD, shuffle of rows": lambda s, hook: sgd(s, s.data, shuffle=lambda cards: hook()),
    "SGD, shuffle that puts in a pair": lambda s, hook: sgd(
        s, shuffle=lambda cards: (hook(), cards.insert(0, s.pairs.pop()) if cards else None)
    ),
    "SGD, an input": lambda s, hook: sgd(s, with_column(s, hook, 0)),
    "SGD, a target": lambda s, hook: sgd(s, with_column(s, hook, 1)),
    "SGD, an iterable": lambda s, hook: sgd(s, yielded(s.pairs, hook)),
    "SGD, a list of the user's": lambda s, hook: sgd(s, Items(s.pairs, hook)),
    "SGD, lines": printed,
    "SGD, evaluation data": lambda s, hook: sgd(
        s, evaluation_data=yielded(s.labelled, hook), monitor_evaluation_accuracy=True
    ),
    "SGD, mini_batch_size": lambda s, hook: s.net.SGD(
        s.pairs, 2, Whole(4, hook), 0.5, verbose=False
    ),
    "SGD, fn": lambda s, hook: of_an_own_cost(s, hook, "fn"),
    "SGD, delta": lambda s, hook: of_an_own_cost(s, hook, "delta"),
    "network.SGD, shuffle": lambda s, hook: sgd(s, shuffle=lambda cards: hook()),
    "update_mini_batch, an input": lambda s, hook: s.net.update_mini_batch(
        with_column(s, hook, 0), 0.5, 0.1, N
    ),
    "update_mini_batch, an iterable": lambda s, hook: s.net.update_mini_batch(
        yielded(s.pairs, hook), 0.5, 0.1, N, clip_norm=1.0
    ),
    "feedforward": lambda s, hook: s.net.feedforward(Column(s.X[0][:, None], hook)),
    "feedforward, columns": lambda s, hook: s.net.feedforward(Column(s.X.T, hook)),
    "backprop, an input": lambda s, hook: s.net.backprop(
        Column(s.X[0][:, None], hook), s.Y[0][:, None]
    ),
    "backprop, a target": lambda s, hook: s.net.backprop(
        s.X[0][:, None], Column(s.Y[0][:, None], hook)
    ),
    "accuracy": lambda s, hook: s.net.accuracy(with_column(s, hook, 0), convert=True),
    "total_cost": lambda s, hook: s.net.total_cost(with_column(s, hook, 1), 0.1),
    "save": lambda s, hook: s.net.save(Path("/dev/null", hook)),
    "Network, sizes": lambda s, hook: network2.Network(Items([3, 4, 2], hook)),
    "Network, initializer": lambda s, hook: network2.Network(
        SIZES, initializer=lambda sizes, generator: (hook(), (s.net.biases, s.net.weights))[1]
    ),
    "train, callbacks": lambda s, hook: train(s, callbacks=[lambda net, history: hook()]),
    "train, callbacks, the best kept": lambda s, hook: train(
        s, callbacks=[lambda net, history: hook()], validation=s.labels, early_stopping=1
    ),
    "train, schedule": lambda s, hook: train(s, schedule=lambda epoch, history: (hook(), 1.0)[1]),
    "train, score": lambda s, hook: train(
        s, score=lambda Y, A: (hook(), 0.0)[1], validation=s.labels
    ),
    "train, shuffle": lambda s, hook: train(s, shuffle=lambda rows: hook(), evaluate=False),
    "train, data": lambda s, hook: train(s, with_column(s, hook, 0)),
    "train, arrays": lambda s, hook: train(s, (s.X, Column(s.Y, hook))),
    "train, validation": lambda s, hook: train(s, validation=with_column(s, hook, 0)),
    "train, sample_weight": lambda s, hook: train(s, sample_weight=Column(s.weights, hook)),
    "train, class_weight": lambda s, hook: train(
        s, s.labels, class_weight=factors(hook)
    ),
    "train, checkpoint": lambda s, hook: train(
        s, checkpoint=fastbp.Checkpoint(Path(f"{s.folder}/{s.net.dtype}", hook))
    ),
    "train, L-BFGS": lambda s, hook: train(
        s, optimizer="lbfgs", dropout=0.0, callbacks=[lambda net, history: hook()]
    ),
    "train, threads": lambda s, hook: train(
        s, n_threads=2, callbacks=[lambda net, history: hook()], sample_weight=s.weights
    ),
    "hessian_vector_product, v": lambda s, hook: gradients.hessian_vector_product(
        s.net, s.data, (s.v[0], [Column(s.v[1][0], hook), *s.v[1][1:]])
    ),
    "gradient_gram, other": lambda s, hook: gradients.gradient_gram(
        s.net, s.data, with_column(s, hook, 0)
    ),
    "gradient, sample_weight": lambda s, hook: gradients.gradient(
        s.net, s.data, sample_weight=Column(s.weights, hook)
    ),
    "unflatten": lambda s, hook: gradients.unflatten(s.net, Column(s.out[0], hook)),
    "per_sample_costs, fn": lambda s, hook: (
        of_an_own_cost(s, lambda: None, "fn"),
        setattr(s.net.cost, "fn", lambda a, y: (hook(), 1.0)[1]),
        gradients.per_sample_costs(s.net, s.data),
    ),
    "check_gradient, cost": lambda s, hook: gradients.check_gradient(
        s.net, s.data, cost=lambda a, y: (hook(), np.sum(a))[1]
    ),
    "numerical_gradient, data": lambda s, hook: gradients.numerical_gradient(
        s.net, with_column(s, hook, 0)
    ),
} | {
    f"SGD, an own {name}": partial(lambda name, s, hook: overridden(s, hook, name), name)
    for name in ("accuracy", "total_cost", "feedforward", "update_mini_batch", "backprop")
} | {
    f"network.SGD, an own {name}": partial(lambda name, s, hook: overridden(s, hook, name), name)
    for name in ("evaluate", "feedforward", "update_mini_batch", "backprop", "cost_derivative")
}  # fmt: skip


# A network with activations of its own, whose number of layers is fixed.
def rectified(scene, hook):
    scene.net = network2.Network(SIZES, network2.QuadraticCost, activation="relu")
    return train(scene, callbacks=[lambda net, history: hook()])


HOOKS["train, callbacks, rectifiers"] = rectified

FORMS = {
    form.__name__: form
    for form in (
        gradients.activations,
        gradients.deltas,
        gradients.gradient,
        gradients.gradient_gram,
        gradients.gradient_second_moment,
        gradients.input_gradient,
        gradients.jacobian,
        gradients.per_sample_costs,
        gradients.per_sample_gradient_norms,
        gradients.per_sample_gradients,
    )
}
FORMS |= {
    "clipped_gradient": lambda net, data: gradients.clipped_gradient(net, data, 0.1),
    "hessian_vector_product": lambda net, data: gradients.hessian_vector_product(
        net, data, np.ones(net._layout().n_parameters)
    ),
}
HOOKS |= {
    f"{name}, data": partial(lambda form, s, hook: form(s.net, with_column(s, hook, 0)), form)
    for name, form in FORMS.items()
}

HOOKS |= {
    f"{name}, an own backprop": partial(
        lambda form, s, hook: (s.own(backprop=hook), form(s.net, s.data))[1], form
    )
    for name, form in FORMS.items()
    if name not in ("activations", "jacobian", "per_sample_costs", "hessian_vector_product")
}


def fit(scene, hook, **options):
    """Fit an estimator; the network that is changed is the one that its callback is given."""
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from fastbp import estimators

    kind = options.pop("kind", "MLPRegressor")
    options = {"hidden_layer_sizes": (5,), "max_iter": 4, "tol": 0.0} | options

    def called(net, history):
        scene.net = net
        hook()

    model = getattr(estimators, kind)(callbacks=[called], **options)
    y = scene.Y if kind == "MLPRegressor" else scene.labels.Y
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # it has not converged
        model.fit(scene.X, y, sample_weight=scene.weights)
    return model.coefs_


HOOKS |= {
    "MLPRegressor, callbacks": fit,
    "MLPRegressor, early stopping": lambda s, hook: fit(
        s, hook, early_stopping=True, validation_fraction=0.4, dtype=np.float32
    ),
    "MLPClassifier, sgd": lambda s, hook: fit(s, hook, kind="MLPClassifier", solver="sgd"),
    "MLPClassifier, lbfgs": lambda s, hook: fit(s, hook, kind="MLPClassifier", solver="lbfgs"),
}

# Moments and dropout go with one layout: there is an error, whatever is changed in the midst.
FIXED = {f"train, {name}" for name in ("callbacks", "schedule", "score", "L-BFGS", "threads")}

# The same, as calls that look at their arguments once: what runs between two entries is not theirs.
CALLS = {
    "network.SGD": lambda s: sgd(s, test_data=s.labelled),
    "SGD": monitored,
    "SGD of a Dataset": lambda s: sgd(s, s.data, clip_norm=1.0),
    "update_mini_batch": lambda s: s.net.update_mini_batch(s.pairs, 0.5, 0.1, N),
    "update_mini_batch of a Dataset": lambda s: s.net.update_mini_batch(s.data, 0.5, 0.1, N),
    "feedforward": lambda s: s.net.feedforward(s.X[0][:, None]),
    "feedforward of a Dataset": lambda s: s.net.feedforward(s.data),
    "backprop": lambda s: s.net.backprop(s.X[0][:, None], s.Y[0][:, None]),
    "total_cost": lambda s: s.net.total_cost(s.pairs, 0.1),
    "train": lambda s: train(s, sample_weight=s.weights, validation=s.labels),
    "train of pairs": lambda s: train(s, s.pairs, evaluate=False, clip_norm=1.0),
    "train by L-BFGS": lambda s: train(
        s, optimizer=fastbp.optimizers.LBFGS(max_evaluations=3), dropout=0.0
    ),
    "train in threads": lambda s: train(s, n_threads=2),
    "gradient of weighted samples": lambda s: gradients.gradient(
        s.net, s.data, sample_weight=s.weights
    ),
    "per_sample_gradients to a place": lambda s: gradients.per_sample_gradients(
        s.net, s.data, out=s.out, flat=True
    ),
    "gradient_gram of others": lambda s: gradients.gradient_gram(s.net, s.data, s.pairs),
    "check_gradient": lambda s: gradients.check_gradient(s.net, s.data, directions=1),
} | {name: partial(lambda form, s: form(s.net, s.data), form) for name, form in FORMS.items()}

# The formula of our texts, and the few errors that have none.
OURS = re.compile(
    r": expected .+, got "
    r"|weights or biases were changed in the midst of a call"
    r"|has no attribute '(weights|biases)'"
    r"|is overridden"
    r"|became NaN or infinite"
)


def finite(result):
    """Whether every number of a result, however nested, is finite."""
    if isinstance(result, dict):
        result = [v for v in result.values() if v]
    if isinstance(result, str | bool | type(None) | types.SimpleNamespace):
        return True
    if isinstance(result, list | tuple):
        return all(map(finite, result))
    if isinstance(result, network2.Network):
        return finite([*result.biases, *result.weights])
    return bool(np.isfinite(np.asarray(result)).all())


def judge(call, scene):
    """Make the call; return what it raises, one of our errors; else what it returns is finite."""
    raised = ours(lambda: finite(call()))
    # What is left works, or says why not.
    ours(lambda: scene.net.feedforward(np.ones((np.shape(scene.net.weights[0])[1], 1))) is not None)
    return raised


def ours(call):
    """Make a call that is true; return an error of ours, and let no other pass."""
    try:
        assert call()
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AttributeError) as error:
        if not OURS.search(str(error)):
            raise
        return error


def scene_of(name, dtype, folder, n=N):
    return Scene(network if name.startswith("network.") else network2, dtype, folder, n)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hook", HOOKS)
def test_code_of_the_users_that_a_call_runs(hook, change, tmp_path):
    """Each change, made in each place where a call runs code, when it first runs and later."""
    for due, dtype in ((0, np.float64), (1, np.float32), (3, np.float64)):
        scene, calls = scene_of(hook, dtype, tmp_path), []

        def run(scene=scene, calls=calls, due=due):
            calls.append(None)
            if len(calls) == due + 1:
                CHANGES[change](scene)

        raised = judge(partial(HOOKS[hook], scene, run), scene)
        assert calls or due, "the hook was never run"
        if hook in FIXED and change in (*OTHERS, "another type") and len(calls) > due:
            assert str(raised).startswith("net: "), raised
            assert str(raised).count("as at first, got ") == 1


class Watched:
    """The core; after each entry ``after()`` runs, as a signal handler may."""

    def __init__(self, after):
        self._after = after

    def __getattr__(self, name):
        found = getattr(core, name)
        if not callable(found) or isinstance(found, type):
            return found
        return partial(self._called, found)

    def _called(self, function, *args, **options):
        result = function(*args, **options)
        self._after()
        return result


# So many samples that the core looks at the clock, and returns, in the midst of an epoch.
MANY = dict.fromkeys(("network.SGD", "SGD of a Dataset", "train", "train in threads"), 1500)


@pytest.fixture
def watched(name, monkeypatch):
    """Put a watched core into every module; stretches, blocks and pieces are as small as may be."""

    def watch(after):
        for name, module in list(sys.modules.items()):
            if name.startswith("fastbp.") and getattr(module, "core", None) is core:
                patch.setattr(module, "core", Watched(after))

    with monkeypatch.context() as patch:
        patch.setattr("fastbp.training.loop._SECONDS", 0.0)
        patch.setattr("fastbp.training.threads._WORK", 1.0)
        patch.setattr("fastbp.training.threads.processors", lambda: 2)
        if name not in MANY:
            patch.setattr("fastbp._checks._PIECE", 30)
            patch.setattr("fastbp.parameters._BLOCK_WORK", 400)
        fastbp.parameters._made.cache_clear()
        yield watch
    fastbp.parameters._made.cache_clear()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", CALLS)
def test_code_that_runs_between_two_entries(name, change, watched, tmp_path):
    """Each change, made between any two entries into the core of each public call."""
    entries, n = [], MANY.get(name, N)
    watched(lambda: entries.append(None))
    scene = scene_of(name, np.float64, tmp_path, n)
    CALLS[name](scene)
    last = len(entries) - 1
    for due in sorted({*range(min(last + 1, 5)), *range(0, last + 1, 1 + last // 7)}):
        entries.clear()
        scene = scene_of(name, np.float64, tmp_path, n)

        def after(scene=scene, due=due):
            entries.append(None)
            if len(entries) == due + 1:
                CHANGES[change](scene)

        watched(after)
        judge(partial(CALLS[name], scene), scene)


def test_a_sample_whose_code_changes_those_before_it():
    """The gate reads a list pair by pair: the first may be another when the last has been read."""
    first = np.ones((SIZES[0], 1))

    class Late:
        def __array__(self, dtype=None, copy=None):
            first.resize((1, 1), refcheck=False)
            return np.ones((SIZES[0], 1))

    net, y = network2.Network(SIZES), np.ones((SIZES[-1], 1))
    with pytest.raises(ValueError, match=r"^data\[0\]\[0\]: expected 2 columns of .*, got "):
        net.total_cost([(first, y), (Late(), y)], 0.0)
