"""The exceptions of fastbp, and the one formula of their texts."""


class DivergenceError(ArithmeticError):
    """A parameter became NaN or infinite; the network is back at its last finite state."""


class FormatError(ValueError):
    """A file is not what it should be: of another kind, damaged, or of a newer fastbp."""


def text(where: str, expected: str, got: object, hint: str = "") -> str:
    """Return ``where: expected …, got …; hint``, the form of every error text."""
    return f"{where}: expected {expected}, got {got}" + (f"; {hint}" if hint else "")
