"""The path until 0.1 of fastbp.training.history and early_stopping: pickles have it."""

from fastbp.training.early_stopping import EarlyStopping
from fastbp.training.history import KEYS, History

__all__ = ["KEYS", "EarlyStopping", "History"]
