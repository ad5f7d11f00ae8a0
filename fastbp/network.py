"""The book's module ``network`` (chapters 1 and 2) on the compiled core.

The same names, positional parameters, printed lines, random streams and side
effects as the book's program. Whatever a user overrides, in a subclass, on the
object or in this module, is called, by a slower path.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp import _checks, files, samples, shuffling
from fastbp._network import Arrays, Model, Shipped, Shuffling
from fastbp.errors import text
from fastbp.functions import sigmoid
from fastbp.samples import Dataset
from fastbp.training import loop
from fastbp.typing import Samples

# The book's modules have no __all__: exercises use what `import *` brings along.
__all__ = ["Network", "np", "random", "sigmoid", "sigmoid_prime"]


class Network(Model):
    """A network of sigmoid neurons that learns the quadratic cost (Nielsen, chapters 1, 2).

    Parameters
    ----------
    sizes : sequence of int
        Neurons in each layer, inputs first; two layers or more.
    dtype : {float64, float32}
        Type of weights, biases and all computation.
    random_state : None, int or numpy.random.Generator
        None draws from NumPy's and shuffles with Python's global generator, as the
        book does. Otherwise one generator does both, and the global ones stay untouched.

    Attributes
    ----------
    num_layers, sizes, dtype
        As given.
    biases, weights : list of ndarray
        Shapes (n_out, 1) and (n_out, n_in), one a layer, drawn from N(0, 1).
        Assign or edit them at will. Training rebinds them to fresh arrays.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        dtype: DTypeLike = np.float64,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self._start(sizes, dtype, random_state)
        self._draw()

    def feedforward(self, a: ArrayLike | Dataset) -> Any:
        """Return the output activations for ``a``.

        Parameters
        ----------
        a : array_like (n_0, 1), or (n_0, k) with one column a sample, or Dataset
            Of rows without labels, ``feedforward(X.T).T`` gives rows.

        Returns
        -------
        ndarray, shape (n_L, 1) or (n_L, k); of a Dataset of n samples (n, n_L)

        Raises
        ------
        ValueError, TypeError
            ``a`` has another shape, is not real, or not finite.
        """
        if self._shipped.overridden(self, "sigmoid"):
            return self._feedforward_with(a)
        return self._feedforward(a)

    def SGD(
        self,
        training_data: Samples,
        epochs: int,
        mini_batch_size: int,
        eta: float,
        test_data: Samples | None = None,
        *,
        shuffle: Shuffling = True,
        verbose: bool = True,
        check_finite: bool = True,
        n_threads: int = 1,
    ) -> None:
        """Train by stochastic gradient descent; print a line after each epoch.

        Parameters
        ----------
        training_data : list of (x, y), or Dataset
            ``x`` (n_0, 1), ``y`` (n_L, 1). A list is shuffled in place each epoch.
        epochs, mini_batch_size : int
            The last mini-batch may be shorter; it counts with its own length.
        eta : float
            Learning rate.
        test_data : list of (x, label), or Dataset, optional
            Evaluated after each epoch.
        shuffle : bool or function of a list
            False keeps the order; a function reorders in place.
        verbose, check_finite : bool
            Print the book's lines; look for NaN and infinity in the data first.
        n_threads : int
            At most so many threads share a mini-batch, where that pays: a millisecond or more
            for each. The result does not depend on it.

        Raises
        ------
        ValueError, TypeError
            Bad input; nothing has changed then.
        DivergenceError
            A parameter became NaN or infinite; the last finite state is back.
        """
        with self._writing():
            epochs = _checks.integer(epochs, "epochs", 0)
            mini_batch_size = _checks.integer(mini_batch_size, "mini_batch_size", 1)
            n_threads = _checks.integer(n_threads, "n_threads", 1)
            eta = _checks.number(eta, "eta")
            _checks.boolean(verbose, "verbose"), _checks.boolean(check_finite, "check_finite")
            order = self._shuffle(shuffle, lambda: random.shuffle)
            data = samples.materialise(training_data, "training_data")
            tests = [] if test_data is None else samples.materialise(test_data, "test_data")
            if len(tests) and not self._shipped.overridden(self, "evaluate", "feedforward"):
                tests = samples.gate(
                    tests, self._sizes(), "test_data", y="labels", check_finite=check_finite
                )

            def report(epoch: int, _data: Any) -> bool:
                line = f"Epoch {epoch} complete"
                if len(tests):
                    line = f"Epoch {epoch}: {self.evaluate(tests)} / {len(tests)}"
                if verbose:
                    print(line, flush=True)
                return False

            loop.run(
                self,
                shuffling.EpochOrder(data, order),
                epochs=range(epochs),
                mini_batch_size=mini_batch_size,
                eta=lambda epoch: eta,
                l2=0.0,
                cost=self._compiled_run,
                own_samples=self._own_samples,
                step=lambda mini_batch, _n: self.update_mini_batch(mini_batch, eta),
                check_finite=check_finite,
                n_threads=n_threads,
                after_epoch=report,
            )

    def update_mini_batch(self, mini_batch: Samples, eta: float) -> None:
        """Take one gradient step from the samples in ``mini_batch``.

        Gradients are summed over the ``m`` samples, then applied once::

            w <- w - (eta / m) * nabla_w
            b <- b - (eta / m) * nabla_b

        Parameters
        ----------
        mini_batch : list of (x, y), or Dataset
            ``x`` has shape (n_0, 1), ``y`` (n_L, 1). Not empty.
        eta : float
            Learning rate.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            Nothing has changed then.

        Notes
        -----
        Rebinds ``weights`` and ``biases``; arrays taken earlier keep their values.
        Nielsen, chapter 1.
        """
        with self._writing():
            eta = _checks.number(eta, "eta")
            self._update(mini_batch, eta, 1.0, self._compiled_cost())

    def backprop(self, x: ArrayLike, y: ArrayLike) -> tuple[Arrays, Arrays]:
        """Return ``(nabla_b, nabla_w)``, the gradient of one sample's cost (BP1-BP4).

        Parameters
        ----------
        x, y : array_like, shapes (n_0, 1) and (n_L, 1)

        Returns
        -------
        nabla_b, nabla_w : list of ndarray
            A layer each, in the shapes of ``biases`` and ``weights``.

        Raises
        ------
        ValueError, TypeError
            ``x`` or ``y`` has another shape, is not real, or not finite.
        """
        if self._shipped.overridden(self, "cost_derivative", "sigmoid", "sigmoid_prime"):
            return self._backprop_with(
                lambda z, a, y: self.cost_derivative(a, y) * sigmoid_prime(z),
                x,
                y,
            )
        return self._backprop(x, y, "quadratic")

    def evaluate(self, test_data: Samples) -> int:
        """Return how many samples have their largest output at their label.

        Parameters
        ----------
        test_data : list of (x, label), or Dataset with labels
            ``x`` has shape (n_0, 1); a label is any type that equals an integer.

        Raises
        ------
        ValueError, TypeError
            A label is not an integer from 0 to n_L - 1 (a one-hot ``y``, say), or ``x`` is bad.
        """
        if self._shipped.overridden(self, "feedforward", "sigmoid"):
            return self._count_with(self.feedforward, test_data, "test_data")
        return self._count(test_data, "test_data", y="labels")

    def save(self, filename: str | PathLike[str]) -> None:
        """Write the network to ``filename``, which ends in ``.safetensors``, for ``fastbp.load``.

        The file is replaced as a whole, or not at all. What a subclass adds is not kept.

        Raises
        ------
        ValueError, OSError
            Another name (the book has a JSON of chapter 3's class alone), a parameter that is
            not finite; the file cannot be written.
        """
        if not files.is_container(filename):
            hint = "the book's JSON is of network2.Network"
            raise ValueError(text("filename", f"a name in {files.SUFFIX}", repr(filename), hint))
        self._write(filename, "network", {})

    def cost_derivative(self, output_activations: Any, y: Any) -> Any:
        """Return dC/da of the quadratic cost, ``output_activations - y``; override it at will."""
        return output_activations - y

    def _compiled_cost(self, *names: str) -> str | None:
        """Return the cost that the core may descend; None if a user overrides a part or a name."""
        names = (*names, "backprop", "cost_derivative", "sigmoid", "sigmoid_prime")
        return None if self._shipped.overridden(self, *names) else "quadratic"

    def _own_cost(self) -> str | None:
        """Return the cost's name; None if a user's ``cost_derivative`` leaves it unknown."""
        return None if self._shipped.overridden(self, "cost_derivative") else "quadratic"


def sigmoid_prime(z: Any) -> Any:
    """Return the derivative of the sigmoid (from this module's ``sigmoid``, as in the book)."""
    return sigmoid(z) * (1 - sigmoid(z))


Network._shipped = Shipped(Network, globals())
