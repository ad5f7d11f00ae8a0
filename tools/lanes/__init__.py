"""The lanes of tools/check.py: a module each, with ``run(options) -> (passed, failed)``."""
