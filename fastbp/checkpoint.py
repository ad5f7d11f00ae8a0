"""A run of ``fastbp.train`` on disk, to be gone on with: plain arrays and numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike

from fastbp import _checks, storage


@dataclass(frozen=True)
class Checkpoint:
    """Where ``train`` keeps its state, and how often: after each ``every`` epochs and the last.

    Where the file is there already, the run goes on from it, and ends with the same bits as one
    that was never interrupted; of the options only ``epochs`` may have changed. The file is
    replaced as a whole; it is a container, by whatever name, and a bad one a ``FormatError``.
    """

    path: str | PathLike[str]
    every: int = 1

    def __post_init__(self) -> None:
        _checks.integer(self.every, "Checkpoint.every", 1)

    def write(self, facts: storage.Facts, arrays: storage.Arrays) -> None:
        """Replace the file, at once: who reads it finds the old state or the new one."""
        storage.write(self.path, "checkpoint", arrays, facts)

    def read(self) -> tuple[storage.Facts, storage.Arrays] | None:
        """Return the state in the file; None if there is no file."""
        if not os.path.exists(self.path):
            return None
        _, facts, arrays = storage.read(self.path, "checkpoint")
        return facts, arrays
