"""Memory that is not given back, after very many calls."""

import sys
from functools import partial

from lanes import workshop

# What is done: how often, and the bytes that the process may grow by.
_CASES = {
    "updates": (100_000, 256 * 1024),
    "files": (10_000, 1024 * 1024),
    "networks": (1_000, 1024 * 1024),
}


def run(options):
    """Run each case of programs/growth.py; short: a tenth as often."""
    if not sys.platform.startswith("linux"):
        raise workshop.LackingError("no /proc/self/statm")
    with workshop.copied() as folder:
        workshop.build(folder, FASTBP_LEVELS="base")

        def case(name):
            n, most = _CASES[name]
            n = n // 10 if options.short else n
            program = [str(workshop.PROGRAMS / "growth.py"), name, str(n)]
            found = workshop.command(folder, program, FASTBP_LEVEL="base", timeout=1800)
            if found.returncode:
                return found.stdout
            grown, traced = map(int, found.stdout.split())
            said = f"{n} {name}: the process grew by {grown} bytes, a tenth in Python by {traced}"
            print(f"     {said}; at most {most}", flush=True)
            return said if max(grown, traced) > most else ""

        return workshop.judge({name: partial(case, name) for name in _CASES}, options)
