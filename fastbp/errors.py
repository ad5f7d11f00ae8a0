"""The exceptions of fastbp, and the one formula of their texts."""


class DivergenceError(ArithmeticError):
    """A parameter became NaN or infinite; the network is back at its last finite state.

    Attributes
    ----------
    epoch, mini_batch : int or None
        The step that did it, both counted from 0; None in a call that takes one step alone.
    eta : float or None
        The learning rate of that step.
    """

    def __init__(
        self,
        *args: object,
        epoch: int | None = None,
        mini_batch: int | None = None,
        eta: float | None = None,
    ) -> None:
        super().__init__(*args)
        self.epoch, self.mini_batch, self.eta = epoch, mini_batch, eta


class FormatError(ValueError):
    """A file is not what it should be: of another kind, damaged, or of a newer fastbp."""


def text(where: str, expected: str, got: object, hint: str = "") -> str:
    """Return ``where: expected …, got …; hint``, the form of every error text."""
    return f"{where}: expected {expected}, got {got}" + (f"; {hint}" if hint else "")
