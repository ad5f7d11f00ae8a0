"""The path until 0.1 of fastbp.training.history: pickles and programs have it."""

import sys

from fastbp.training import history

sys.modules[__name__] = history
