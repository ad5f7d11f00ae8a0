"""The path until 0.1 of fastbp.training.checkpoint: pickles and programs have it."""

import sys

from fastbp.training import checkpoint

sys.modules[__name__] = checkpoint
