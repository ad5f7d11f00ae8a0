"""A run of ``fastbp.train`` on disk, to be gone on with: plain arrays and numbers."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import _checks
from fastbp.errors import text

_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """Where ``train`` keeps its state, and how often: after each ``every`` epochs and the last.

    Where the file is there already, the run goes on from it, and ends with the same bits as one
    that was never interrupted; of the options only ``epochs`` may have changed.
    """

    path: str | PathLike[str]
    every: int = 1

    def __post_init__(self) -> None:
        _checks.integer(self.every, "Checkpoint.every", 1)

    def write(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Replace the file, at once: who reads it finds the old state or the new one."""
        path = os.fspath(self.path)
        folder = os.path.dirname(os.path.abspath(path))
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.basename(path) + ".")
        try:
            with os.fdopen(handle, "wb") as file:
                text_of = json.dumps({"version": _VERSION, **facts})
                np.savez(file, facts=np.array(text_of), **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def read(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        """Return the state in the file; None if there is no file."""
        path = os.fspath(self.path)
        if not os.path.exists(path):
            return None
        try:
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(str(arrays.pop("facts")))
            if facts["version"] != _VERSION:
                raise ValueError(f"version {facts['version']}")
        except OSError:
            raise
        except Exception as error:
            expected = "a checkpoint of fastbp.train"
            raise ValueError(text(path, expected, str(error) or type(error).__name__)) from None
        return facts, arrays
