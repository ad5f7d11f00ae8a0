"""The path until 0.1 of fastbp.files: pickles and programs have it."""

import sys

from fastbp import files

sys.modules[__name__] = files
