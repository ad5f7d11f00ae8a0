"""L-BFGS: SciPy's steps by the core's gradient of all samples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks
from fastbp._dispatch import core
from fastbp.gradients.work import Work
from fastbp.optimizers import LBFGS
from fastbp.training import loop
from fastbp.training.objective import Blocks, Objective

if TYPE_CHECKING:
    from fastbp._network import Model

# What to try where it diverges: it finds its own steps.
_SCALE = "try l2, or data scaled to numbers near 1"


def minimize(
    net: Model,
    objective: Objective,
    method: LBFGS,
    epochs: range,
    after_epoch: Callable[[float, float], bool],
) -> bool:
    """Commit an iterate in each of the ``epochs``; return whether the minimum was found.

    ``after_epoch(eta, cost)`` notes it, the cost with penalties; True of it is the end.
    """
    from scipy import optimize  # an extra

    layout, *parameters = net._checked()
    n_biases = sum(b.size for b in parameters[0])
    l1, l2 = objective.l1, objective.l2 + objective.in_unit(objective.alpha) / objective.total
    work = Work(net, objective.data, objective.cost, blocks=1)  # type: ignore[arg-type]
    (grads,), epoch = work.blocks, epochs.start
    work.scale, work.weights = 1 / objective.total, objective.weights

    def parts(theta: NDArray[Any]) -> tuple[Blocks, Blocks]:
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            biases, w = ([a.astype(net.dtype) for a in part] for part in layout.split(theta))
        if not all(_checks.all_finite(a) for a in biases + w):
            raise loop.diverged(epoch, 0, 1.0, _SCALE)
        return biases, w

    def function(theta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        biases, w = parts(theta)
        layout.pack(biases, w, work.block)
        cost, _ = objective.judge(work.block, objective.data, objective.weights)
        for given in work.pieces():
            core.gradient(*given, grads)
        slope = layout.flatten(*layout.unpack(grads)).astype(np.float64)
        decayed = theta[n_biases:]
        cost += l1 * float(np.abs(decayed).sum()) + 0.5 * l2 * float(decayed @ decayed)
        slope[n_biases:] += l1 * np.sign(decayed) + l2 * decayed
        return cost, slope

    def iterated(intermediate_result: Any) -> None:  # the name tells SciPy what to give
        nonlocal epoch
        net._commit(*parts(intermediate_result.x))
        epoch += 1
        if after_epoch(1.0, float(intermediate_result.fun)):
            raise StopIteration

    options = {"maxcor": method.memory, "gtol": method.tolerance, "ftol": method.least}
    options |= {"maxfun": method.max_evaluations, "maxiter": len(epochs)}
    theta = layout.flatten(*parameters).astype(np.float64)
    found = optimize.minimize(
        function, theta, jac=True, method="L-BFGS-B", callback=iterated, options=options
    )
    return bool(found.success)
