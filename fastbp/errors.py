"""The exceptions of fastbp, and the one formula of their texts."""

from collections.abc import Callable, Iterable
from typing import Any

_MOST = 80  # characters of a value in an error text


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
    words = got if isinstance(got, str) else shown(got, str)
    return f"{where}: expected {expected}, got {words}" + (f"; {hint}" if hint else "")


def shown(value: object, form: Callable[[Any], str] = repr) -> str:
    """Return ``repr(value)`` for an error text: of any value, and no longer than a line."""
    try:
        words = form(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list of lists of …
        words = f"{type(value).__name__} too long to be shown"
    return words if len(words) <= _MOST else words[: _MOST - 1] + "…"


def near(value: object, names: Iterable[str]) -> str:
    """Return the hint at the name that ``value`` is nearly, or "" where there is none."""
    import difflib  # after an error only

    found = difflib.get_close_matches(value, names, 1) if isinstance(value, str) else []
    return f"did you mean {found[0]!r}?" if found else ""
