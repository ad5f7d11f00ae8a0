"""scikit-learn's own tests of its perceptrons, with fastbp's classes in their place.

The file is that of the installed scikit-learn. What asks for private names is not run: each test
is listed with its reason, and must be there.
"""

import importlib.util
from unittest import mock

import pytest

neural_network = pytest.importorskip("sklearn.neural_network", reason="needs scikit-learn")
estimators = pytest.importorskip("fastbp.estimators", reason="needs scikit-learn")

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not judged here

PRIVATE = {
    "test_gradient": "asks for _loss_grad_lbfgs, the loss and gradient of a vector",
    "test_learning_rate_warmstart": "asks for _optimizer.learning_rate",
    "test_adaptive_learning_rate": "asks for _optimizer.learning_rate",
}


def suite():
    """Return scikit-learn's test module, made while its perceptrons are ours."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    if spec is None or spec.loader is None:
        pytest.skip("this scikit-learn came without its tests", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(
        neural_network,
        MLPClassifier=estimators.MLPClassifier,
        MLPRegressor=estimators.MLPRegressor,
    ):
        spec.loader.exec_module(module)
    assert module.MLPClassifier is estimators.MLPClassifier
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


TESTS = suite()
globals().update({name: test for name, test in TESTS.items() if name not in PRIVATE})


@pytest.fixture
def global_random_seed():
    """Return a seed, as scikit-learn's own fixture does."""
    return 42


def test_the_suite_is_whole():
    """Every test that is not run is there, and most are run."""
    assert PRIVATE.keys() <= TESTS.keys()
    assert len(TESTS) - len(PRIVATE) >= 30
