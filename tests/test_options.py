"""Options of every public call: a bad value is an error of fastbp's own, and changes nothing."""

import copy
import random
import re

import numpy as np
import pytest

import fastbp
from fastbp import gradients, network, network2, optimizers, schedules

X, Y = np.random.default_rng(0).random((20, 4)), np.random.default_rng(1).random((20, 3))
LABELS = np.arange(20) % 3
NAN, INF = float("nan"), float("inf")


def function(*_):
    """Stand where a function is not due."""


def net():
    return network2.Network([4, 5, 3], random_state=0)


def train(**options):
    return lambda scene: fastbp.train(scene.net, scene.data, **{"epochs": 2} | options)


def sgd(**options):
    given = {"epochs": 2, "mini_batch_size": 5, "eta": 0.1, "verbose": False} | options
    return lambda scene: scene.net.SGD(scene.data, **given)


def book(**options):
    given = {"epochs": 2, "mini_batch_size": 5, "eta": 0.1, "verbose": False} | options
    return lambda scene: scene.first.SGD(scene.data, **given)


def validated(**options):
    return train(validation=fastbp.Dataset(X, LABELS), **options)


INTEGERS = ("x", 1.5, NAN, True, None, function, [3], -1)
NUMBERS = ("x", NAN, INF, None, function, [0.1])
SWITCHES = ("x", None, 2, function, [True], NAN)
# Options that are checked alike: (call, option, bad values, words of the error).
TABLE = [
    *[(call, "epochs", INTEGERS, "integer") for call in (train, sgd, book)],
    *[(call, "mini_batch_size", (*INTEGERS, 0), "integer") for call in (train, sgd, book)],
    *[(call, "n_threads", (*INTEGERS, 0), "integer") for call in (train, sgd, book)],
    *[(call, "eta", NUMBERS, "number") for call in (sgd, book)],
    *[(call, "verbose", SWITCHES, "True or False") for call in (sgd, book)],
    *[(call, "check_finite", SWITCHES, "True or False") for call in (sgd, book)],
    *[(call, "shuffle", ("x", 1, None, [function]), "function") for call in (train, sgd, book)],
    (sgd, "lmbda", NUMBERS, "number"),
    (sgd, "clip_norm", ("x", NAN, 0, -1, function, [1]), "number"),
    (sgd, "early_stopping_n", INTEGERS, "integer"),
    *[
        (sgd, f"monitor_{of}", SWITCHES, "True or False")
        for of in ("evaluation_cost", "evaluation_accuracy", "training_cost", "training_accuracy")
    ],
    (train, "optimizer", ("adma", 5, None, function, ["adam"], NAN, optimizers.Adam), "one of sgd"),
    (train, "schedule", ("cosnie", 5, ["cosine"], NAN), "function"),
    *[(train, name, (*NUMBERS, -1), "0 or more|number") for name in ("l1", "l2", "alpha")],
    (train, "dropout", ("x", 1, -0.1, NAN, {0: 0.5}, function, [0.5, 0.5], [NAN], None), ""),
    (train, "clip_norm", ("x", NAN, 0, -1, function, [1]), "number"),
    (train, "sample_weight", ("x", NAN, [1], -np.ones(20), np.zeros(20), function), ""),
    (train, "class_weight", ("balnced", [1, 2], 5, function, {9: 1}, {0: -1}, {"a": 1}, NAN), ""),
    (train, "validation", (5, "x", [], function, (X[:, 1:], Y)), ""),
    (validated, "score", ("x", 5, [function], NAN, int), "function"),
    (train, "evaluate", SWITCHES, "True or False"),
    (validated, "early_stopping", ("x", 2.5, 0, -1, True, function, [3], NAN), "integer"),
    (train, "early_stopping", (3,), "validation"),
    (train, "callbacks", ("x", 5, [5], ["x"], [None], NAN, None), "function"),
    (train, "progress", SWITCHES, "True or False"),
    (train, "random_state", ("x", -1, 1.5, NAN, True, function, [0]), "integer"),
    (train, "state", (5, "x", function, optimizers.State), "State"),
    (train, "checkpoint", (5, function, ["x"], NAN), "Checkpoint"),
    # Names of other libraries, and misspelt ones.
    *[
        (train, name, (1,), words)
        for name, words in {
            "eta": "eta=", "learning_rate": "eta=", "batch_size": "mini_batch_size",
            "validation_data": "validation", "optimiser": "optimizer", "n_epochs": "epochs",
        }.items()
    ],
]  # fmt: skip


def cases():
    for make, option, values, words in TABLE:
        for value in values:
            name = f"{make.__name__}-{option}-{value!r}"
            yield pytest.param(make(**{option: value}), words, id=name[:60])


# Calls whose options stand alone.
OTHERS = {
    "sizes: a dict": lambda s: network.Network({3: 1, 2: 1}),
    "sizes: a set": lambda s: network2.Network({3, 2}),
    "sizes: a word": lambda s: network.Network("32"),
    "sizes: a number": lambda s: network.Network(3),
    "sizes: a fraction": lambda s: network.Network([3, 2.5]),
    "dtype": lambda s: network.Network([3, 2], dtype="float16"),
    "random_state: a fraction": lambda s: network.Network([3, 2], random_state=0.5),
    "activation: a function": lambda s: network2.Network([3, 2], activation=np.tanh),
    "activation: a number": lambda s: network2.Network([3, 2], activation=5),
    "activation: sigmod": lambda s: network2.Network([3, 3, 2], activation="sigmod"),
    "output_activation: softmx": lambda s: network2.Network([3, 2], output_activation="softmx"),
    "initializer: glorott": lambda s: network2.Network([3, 2], initializer="glorott"),
    "initializer: a number": lambda s: network2.Network([3, 2], initializer=5),
    "cost: a name": lambda s: network2.Network([3, 2], cost="quadratic"),
    "Optimizer itself": lambda s: optimizers.Optimizer(),
    "eta: NaN": lambda s: optimizers.Adam(eta=NAN),
    "beta_1: 1": lambda s: optimizers.Adam(beta_1=1.0),
    "nesterov: a word": lambda s: optimizers.SGD(nesterov="yes"),
    "epsilon_hat: a number": lambda s: optimizers.Adam(epsilon_hat=5),
    "memory: -5": lambda s: optimizers.LBFGS(memory=-5),
    "memory: a fraction": lambda s: optimizers.LBFGS(memory=2.5),
    "tolerance: NaN": lambda s: optimizers.LBFGS(tolerance=NAN),
    "least: -1": lambda s: optimizers.LBFGS(least=-1),
    "max_evaluations: 0": lambda s: optimizers.LBFGS(max_evaluations=0),
    "State: words": lambda s: optimizers.State("x"),
    "State: a count below 0": lambda s: optimizers.State(updates=-1),
    "state set to nonsense": lambda s: fastbp.train(s.net, s.data, epochs=1, state=spoilt_state()),
    "EarlyStopping: a word": lambda s: fastbp.EarlyStopping("x"),
    "EarlyStopping: monitor": lambda s: fastbp.EarlyStopping(3, monitor="valdation"),
    "EarlyStopping: least": lambda s: fastbp.EarlyStopping(3, least=NAN),
    "EarlyStopping: restore_best": lambda s: fastbp.EarlyStopping(3, restore_best="x"),
    "Checkpoint: a number": lambda s: fastbp.Checkpoint(5),
    "Checkpoint: every": lambda s: fastbp.Checkpoint("x", every=0.5),
    "step: every": lambda s: schedules.step(0),
    "step: factor": lambda s: schedules.step(2, factor=NAN),
    "inverse: decay": lambda s: schedules.inverse(-1),
    "cosine: epochs": lambda s: schedules.cosine("x"),
    "cosine: least": lambda s: schedules.cosine(5, least=NAN),
    "halving: n": lambda s: schedules.halving(0),
    "Dataset: check_finite": lambda s: fastbp.Dataset(X, Y, check_finite="no"),
    "one_hot: n_classes": lambda s: fastbp.one_hot([0, 1], n_classes="x"),
    "feedforward: NaN": lambda s: s.net.feedforward(np.full((4, 1), NAN)),
    "accuracy: convert": lambda s: s.net.accuracy(s.data, convert="x"),
    "total_cost: convert": lambda s: s.net.total_cost(s.data, 0.0, convert="x"),
    "total_cost: lmbda": lambda s: s.net.total_cost(s.data, NAN),
    "update_mini_batch: eta": lambda s: s.first.update_mini_batch(s.data, NAN),
    "AdamW and l2": lambda s: fastbp.train(s.net, s.data, epochs=1, optimizer="adamw", l2=0.1),
    "L-BFGS and dropout": lambda s: fastbp.train(
        s.net, s.data, epochs=1, optimizer="lbfgs", dropout=0.5
    ),
    "train: no network": lambda s: fastbp.train(5, s.data, epochs=1),
    "gradient: no network": lambda s: fastbp.gradient(5, s.data),
    "activations: no network": lambda s: fastbp.activations("x", s.data),
    "flatten: no network": lambda s: fastbp.flatten(None),
    "jacobian: no network": lambda s: fastbp.jacobian(function, s.data),
    "gradient: reduction": lambda s: fastbp.gradient(s.net, s.data, reduction="avg"),
    "gradient: sample_weight": lambda s: fastbp.gradient(s.net, s.data, sample_weight="x"),
    "clipped_gradient: max_norm": lambda s: fastbp.clipped_gradient(s.net, s.data, NAN),
    "clipped_gradient: reduction": lambda s: fastbp.clipped_gradient(s.net, s.data, 1, reduction=1),
    "per_sample_gradients: flat": lambda s: fastbp.per_sample_gradients(s.net, s.data, flat="x"),
    "per_sample_gradients: out": lambda s: fastbp.per_sample_gradients(s.net, s.data, out="x"),
    "norms: per_layer": lambda s: fastbp.per_sample_gradient_norms(s.net, s.data, per_layer="x"),
    "hessian: v": lambda s: fastbp.hessian_vector_product(s.net, s.data, "x"),
    "hessian: reduction": lambda s: fastbp.hessian_vector_product(
        s.net, s.data, fastbp.flatten(s.net), reduction="x"
    ),
    "gram: other": lambda s: fastbp.gradient_gram(s.net, s.data, other=5),
    "unflatten: too few": lambda s: fastbp.unflatten(s.net, [1.0]),
}


def spoilt_state():
    state = optimizers.State()
    state.updates = "x"
    return state


class Scene:
    """Networks, data and generators that a refused call must leave as they are."""

    def __init__(self):
        self.net, self.first = net(), network.Network([4, 5, 3], random_state=0)
        self.data = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]

    def contents(self):
        return copy.deepcopy(
            [
                [[a.tobytes() for a in (*n.biases, *n.weights)] for n in (self.net, self.first)],
                [n._generator.bit_generator.state for n in (self.net, self.first)],
                [id(pair) for pair in self.data],
                random.getstate(),
                str(np.random.get_state()),
            ]
        )


def refuse(call, words):
    scene = Scene()
    before = scene.contents()
    with pytest.raises((TypeError, ValueError)) as caught:
        call(scene)
    said = str(caught.value)
    assert re.match(r"^[^:]+: expected .+, got .+", said), said
    assert re.search(words, said), said
    assert scene.contents() == before


@pytest.mark.parametrize(("call", "words"), list(cases()))
def test_a_bad_value_of_an_option_is_refused(call, words, tmp_path, monkeypatch):
    """By an error in the one form, before anything has changed."""
    monkeypatch.chdir(tmp_path)
    refuse(call, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_bad_argument_is_refused(name):
    """The same of calls whose arguments stand alone."""
    refuse(OTHERS[name], "")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (lambda: network2.Network([3, 3, 2], activation="sigmod"), "'sigmoid'"),
        (lambda: network2.Network([3, 2], initializer="glorott"), "'glorot'"),
        (lambda: fastbp.train(net(), (X, Y), epochs=1, optimizer="adma"), "'adam'"),
        (lambda: fastbp.train(net(), (X, Y), epochs=1, schedule="cosnie"), "'cosine'"),
        (lambda: fastbp.train(net(), (X, Y), epochs=1, class_weight="balnced"), "'balanced'"),
        (lambda: fastbp.train(net(), (X, Y), epochs=1, valdation=1), "'validation'"),
        (lambda: fastbp.EarlyStopping(3, monitor="validaton"), "'validation'"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(wrong, right):
    """As the hint of the error."""
    with pytest.raises((TypeError, ValueError), match=f"did you mean {right}"):
        wrong()


SCHEDULE = schedules.cosine(3)
MEANT = {
    "dropout: a float of NumPy": ({"dropout": np.float32(0.5)}, {"dropout": 0.5}),
    "dropout: an array": ({"dropout": np.array([0.5])}, {"dropout": [0.5]}),
    "schedule: a name": ({"schedule": "cosine"}, {"schedule": SCHEDULE}),
    "schedule: constant": ({"schedule": "constant"}, {}),
    "optimizer: eta first": (
        {"optimizer": optimizers.Adam(0.02)},
        {"optimizer": optimizers.Adam(eta=0.02)},
    ),
    "numbers of NumPy": (
        {"mini_batch_size": np.int64(5), "l2": np.float32(0.5), "epochs": np.uint8(3)},
        {"mini_batch_size": 5, "l2": 0.5},
    ),
    "switches of NumPy": ({"evaluate": np.False_, "shuffle": np.True_}, {"evaluate": False}),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_is_taken(name):
    """As the value written out: the same parameters, bit for bit."""
    found = []
    for options in MEANT[name]:
        trained = net()
        fastbp.train(trained, (X, Y), **{"epochs": 3, "random_state": 1} | options)
        found.append(fastbp.flatten(trained).tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_path_is_a_checkpoint(as_path, tmp_path):
    """It is written, and the run goes on from it."""
    path = tmp_path / "run.safetensors"
    history = fastbp.train(net(), (X, Y), epochs=2, random_state=1, checkpoint=as_path(path))
    assert path.exists()
    history = fastbp.train(net(), (X, Y), epochs=3, random_state=1, checkpoint=as_path(path))
    assert history.epochs == 3


def test_a_function_is_a_list_of_one_callback():
    """It is called after each epoch, and may end the run."""
    seen = []
    fastbp.train(
        net(), (X, Y), epochs=3, callbacks=lambda net, history: seen.append(history.epochs)
    )
    assert seen == [1, 2, 3]


def test_two_arrays_are_data():
    """``train(net, X, Y)`` is ``train(net, (X, Y))``."""
    one, other = net(), net()
    fastbp.train(one, X, Y, epochs=2, random_state=1)
    fastbp.train(other, (X, Y), epochs=2, random_state=1)
    assert fastbp.flatten(one).tobytes() == fastbp.flatten(other).tobytes()


@pytest.mark.parametrize("score", [lambda y, a: None, lambda y, a: "x", lambda: 1.0])
def test_a_score_that_is_no_number_leaves_no_epoch_behind(score):
    """It is called after the first epoch, whose parameters are not kept."""
    scene = Scene()
    before = scene.contents()[0]
    with pytest.raises(TypeError):
        fastbp.train(scene.net, (X, Y), epochs=2, validation=(X, Y), score=score)
    assert scene.contents()[0] == before


def test_every_option_of_train_has_bad_values_here():
    """An option that is added has its row."""
    import inspect

    names = set(list(inspect.signature(fastbp.train).parameters)[2:])
    assert names <= {option for make, option, *_ in TABLE if make in (train, validated)}
    assert gradients.__all__  # all of them are in OTHERS by the same check of the network
