"""The core tests on a build for the stable ABI of Python 3.11, which must need nothing else."""

import re
import subprocess
from functools import partial

from lanes import workshop

# In CPPFLAGS, as CFLAGS would replace Python's own. What its headers then hide, gcc must not guess.
_FLAGS = "-DPy_LIMITED_API=0x030B0000 -DCYTHON_LIMITED_API=1 -Werror=implicit-function-declaration"

# Of Python's private names, the stable ABI has these, which macros of its headers stand for.
_PRIVATE = r" (_Py(?!\w+_SizeT|\w+Struct|_Dealloc|_IncRef|_DecRef|Object_GC_New)\w+)"


def run(options):
    """Build for the stable ABI; run the core tests at each SIMD level, short: at the best one."""
    workshop.needs("nm")
    with workshop.copied() as folder:
        workshop.build(folder, CPPFLAGS=_FLAGS)

        def private():
            names = ["nm", "-D", "--undefined-only", *folder.glob("fastbp/*.so")]
            found = subprocess.run(names, capture_output=True, text=True, check=True).stdout
            return "\n".join(sorted(set(re.findall(_PRIVATE, found))))

        checks = {"no private name of Python": private}
        for name in workshop.levels(folder)[: 1 if options.short else None]:
            checks[f"core tests, level {name}"] = partial(workshop.core_tests, folder, name)
        return workshop.judge(checks, options, workshop.processors())
