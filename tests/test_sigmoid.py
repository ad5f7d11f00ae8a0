"""The core's own sigmoid against 40 digits, over the whole range."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from tolerances import SIGMOID_ULPS
from twins import DTYPES, poisoned

from fastbp import parameters
from fastbp._dispatch import core

pytestmark = pytest.mark.core

both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


def sigmoid(z):
    """Return the core's sigmoid of each value of ``z``: a layer of biases alone."""
    z = z.reshape(-1, 1)
    w, x, out = (
        np.zeros((len(z), 1), z.dtype),
        np.zeros((1, 1), z.dtype),
        poisoned(z.shape, z.dtype),
    )
    layout = parameters.layout((1, len(z)), z.dtype)
    assert core.feedforward(layout.layers, layout.rows_for(1, 1), [z], [w], x, out)
    return out[:, 0]


@both_dtypes
def test_within_the_bound_everywhere(dtype):
    """No value is further from the true one than the table says, from end to end."""
    end = {np.float64: 708.3, np.float32: 87.3}[dtype]
    rng = np.random.default_rng(0)
    z = np.concatenate(
        [
            np.linspace(-end, end, 1001),
            rng.uniform(-20, 20, 1500),
            rng.uniform(-end, -end / 2, 300),
            np.log(2) * np.arange(-40, 41) / 2,  # where the reduction turns over
            10.0 ** rng.uniform(-30, 0, 200),
            [0.0, -0.0],
        ]
    ).astype(dtype)
    with localcontext() as context:
        context.prec = 40
        true = [1 / (1 + (-Decimal(float(v))).exp()) for v in z]
        for value, right in zip(sigmoid(z), true, strict=True):
            unit = Decimal(float(np.spacing(dtype(float(right)))))
            assert abs(Decimal(float(value)) - right) <= SIGMOID_ULPS[dtype] * unit


@both_dtypes
def test_the_ends(dtype):
    """Far out it is exactly 0 or 1, never subnormal, and NaN stays NaN, in every lane."""
    tiny = np.finfo(dtype).tiny
    big = np.finfo(dtype).max
    for value, right in [(-np.inf, 0), (-big, 0), (-1e4, 0), (1e4, 1), (big, 1), (np.inf, 1)]:
        assert (sigmoid(np.full(37, value, dtype)) == right).all()
    z = np.linspace(-800, -60, 20011).astype(dtype)
    a = sigmoid(z)
    assert ((a == 0) | (a >= tiny)).all()
    assert (np.diff(a) >= 0).all()
    assert (a == 0).any()
    for lane in range(37):
        z = np.zeros(37, dtype)
        z[lane] = np.nan
        a = sigmoid(z)
        assert np.isnan(a[lane])
        assert (np.delete(a, lane) == 0.5).all()
