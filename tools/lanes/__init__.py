"""The lanes of tools/check.py, each with ``run(options) -> (passed, failed)``."""
