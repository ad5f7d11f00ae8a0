from fastbp._core_base import *
