"""What all tests share: where MNIST is, and global generators put back after each test."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings

# The same nets in every run, so that a red test is red again; the tests of the
# tests only ask whether there is a failure, not for the smallest one.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("first_failure", settings.get_profile("suite"), phases=[Phase.generate])
settings.load_profile(os.environ.get("FASTBP_HYPOTHESIS", "suite"))


@pytest.fixture(scope="session")
def mnist_path() -> Path:
    """Return the folder of the MNIST files, or skip: they cannot be shipped."""
    folder = os.environ.get("FASTBP_DATA")
    if not folder:
        pytest.skip("needs the MNIST files: set FASTBP_DATA to their folder")
    return Path(folder)


@pytest.fixture(autouse=True)
def _generators():
    """Put both global generators back, so that no test depends on another."""
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)
