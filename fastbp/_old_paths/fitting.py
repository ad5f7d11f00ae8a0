"""The path until 0.1 of fastbp.training.train: pickles and programs have it."""

import sys

from fastbp.training import train

sys.modules[__name__] = train
