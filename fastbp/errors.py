"""The exceptions of fastbp, and the one formula of their texts."""


class DivergenceError(ArithmeticError):
    """A parameter became NaN or infinite; the network is back at its last finite state."""


def text(where: str, expected: str, got: object, hint: str = "") -> str:
    """Return ``where: expected …, got …; hint``, the form of every error text."""
    return f"{where}: expected {expected}, got {got}" + (f"; {hint}" if hint else "")
