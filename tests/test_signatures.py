"""The signatures of the fast modules, held against the reference's."""

import inspect

import pytest

from fastbp import network, network2
from fastbp.reference import network as reference
from fastbp.reference import network2 as reference2

PAIRS = {"network": (network, reference), "network2": (network2, reference2)}


def public(module):
    """Return the functions, classes and their methods that a module itself defines, by name."""
    found = {}
    for name, value in vars(module).items():
        if name[0] == "_" or getattr(value, "__module__", None) != module.__name__:
            continue
        found[name] = value
        if inspect.isclass(value):
            for key in vars(value):
                if callable(getattr(value, key)) and (key[0] != "_" or key == "__init__"):
                    found[f"{name}.{key}"] = getattr(value, key)
    return found


def lookup(module, path):
    for name in path.split("."):
        module = getattr(module, name)
    return module


def positional(function):
    """Return names, kinds and defaults of what may be given by position; classes by name."""
    return [
        (p.name, p.kind, getattr(p.default, "__name__", p.default))
        for p in inspect.signature(function).parameters.values()
        if p.kind is not p.KEYWORD_ONLY
    ]


def keywords(function):
    return {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }


CASES = [
    pytest.param(fast, spec, path, id=f"{name}.{path}")
    for name, (fast, spec) in PAIRS.items()
    for path in public(spec)
]


@pytest.mark.parametrize(("fast", "spec", "path"), CASES)
def test_signature_is_the_references(fast, spec, path):
    """Positional parameters are equal, keyword-only ones of the reference are there too."""
    ours, theirs = lookup(fast, path), lookup(spec, path)
    assert inspect.isclass(ours) == inspect.isclass(theirs)
    assert positional(ours) == positional(theirs)
    assert keywords(ours).items() >= keywords(theirs).items()


@pytest.mark.parametrize("name", PAIRS)
def test_no_public_name_is_missing(name):
    """Each name that a program may import from, or replace in, the book's module is there."""
    fast, spec = PAIRS[name]
    wanted = {path for path in public(spec) if "." not in path}
    assert wanted <= set(fast.__all__)
    assert wanted | {"np", "random"} <= vars(fast).keys()
    assert fast.__all__ == sorted(fast.__all__)


def test_the_books_own_parameters():
    """The reference, by which the fast classes are judged, has the parameters of the book."""
    expected = {
        reference.Network: "sizes",
        reference.Network.SGD: "self training_data epochs mini_batch_size eta test_data",
        reference.Network.feedforward: "self a",
        reference.Network.update_mini_batch: "self mini_batch eta",
        reference.Network.backprop: "self x y",
        reference.Network.evaluate: "self test_data",
        reference.Network.cost_derivative: "self output_activations y",
        reference.sigmoid: "z",
        reference.sigmoid_prime: "z",
        reference2.Network: "sizes cost",
        reference2.Network.default_weight_initializer: "self",
        reference2.Network.large_weight_initializer: "self",
        reference2.Network.feedforward: "self a",
        reference2.Network.backprop: "self x y",
        reference2.Network.SGD: "self training_data epochs mini_batch_size eta lmbda "
        "evaluation_data monitor_evaluation_cost monitor_evaluation_accuracy "
        "monitor_training_cost monitor_training_accuracy early_stopping_n",
        reference2.Network.update_mini_batch: "self mini_batch eta lmbda n",
        reference2.Network.accuracy: "self data convert",
        reference2.Network.total_cost: "self data lmbda convert",
        reference2.Network.save: "self filename",
        reference2.load: "filename",
        reference2.vectorized_result: "j n",
        reference2.QuadraticCost.fn: "a y",
        reference2.QuadraticCost.delta: "z a y",
        reference2.CrossEntropyCost.fn: "a y",
        reference2.CrossEntropyCost.delta: "z a y",
        reference2.sigmoid: "z",
        reference2.sigmoid_prime: "z",
    }
    for function, names in expected.items():
        assert [name for name, _, _ in positional(function)] == names.split(), function
