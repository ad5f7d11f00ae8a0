"""Bugs of what is written to files, and read from them."""

BUGS: dict[str, tuple[str, list[tuple[str, str]]]] = {}
