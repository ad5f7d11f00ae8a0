"""What all tests share: where MNIST is, and global generators put back after each test."""

import os
import random
from pathlib import Path

import numpy as np
import pytest


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
