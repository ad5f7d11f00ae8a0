"""Ten steps over every tensor, against numbers that none of this code has computed."""

import json
from pathlib import Path

import numpy as np
import pytest
from tolerances import STEPS
from twins import DTYPES

from fastbp import network2
from fastbp.reference import network2 as reference2

# Two epochs of 13 samples in mini-batches of 3, computed in 60-digit arithmetic (mpmath)
# from the equations of chapter 2, and rounded to float64.
RUNS = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))


@pytest.mark.core
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["cost"])
@pytest.mark.parametrize(
    ("module", "dtype"),
    [(reference2, np.float64), *((network2, dtype) for dtype in DTYPES)],
    ids=["reference", "fast-float64", "fast-float32"],
)
def test_every_tensor_of_ten_steps(module, dtype, run):
    """After each of ten mini-batches every weight and bias is the golden run's."""
    options = {} if module is reference2 else {"dtype": dtype}
    net = module.Network(run["sizes"], getattr(module, run["cost"]), **options)
    net.weights = [np.array(w, dtype) for w in run["weights"]]
    net.biases = [np.array(b, dtype).reshape(-1, 1) for b in run["biases"]]
    X, Y = np.array(run["X"]), np.array(run["Y"])
    data = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]
    batches = [data[k : k + run["batch"]] for k in range(0, len(data), run["batch"])] * 2
    assert len(batches) == len(run["steps"]) == 10
    for batch, step in zip(batches, run["steps"], strict=True):
        net.update_mini_batch(batch, run["eta"], run["lmbda"], len(data))
        for found, right in zip(net.weights, step["weights"], strict=True):
            assert np.abs(found - np.array(right)).max() <= STEPS[dtype][10]
        for found, right in zip(net.biases, step["biases"], strict=True):
            assert np.abs(found[:, 0] - np.array(right)).max() <= STEPS[dtype][10]
