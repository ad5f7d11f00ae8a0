"""Threads that share a network, and threads that do not, watched by gcc's thread sanitizer."""

import re
from functools import partial

from lanes import workshop

_FLAGS = "-O1 -g -fsanitize=thread"
_REPORTED = 66  # exit status


def run(options):
    """Run each case of programs/races.py; short: on the lowest SIMD level."""
    workshop.needs("gcc", "setarch")
    environment = {
        "LD_PRELOAD": workshop.library("libtsan.so"),
        "TSAN_OPTIONS": f"exitcode={_REPORTED}",
    }
    with workshop.copied() as folder:
        workshop.build(folder, FASTBP_FLAGS=_FLAGS, FASTBP_LEVELS="base")
        program = str(workshop.PROGRAMS / "races.py")

        def case(name):
            found = workshop.command(
                # At fixed addresses: the sanitizer has its own idea of where things lie.
                folder, [program, name], before=("setarch", "-R"), FASTBP_LEVEL="base",
                **environment,
            )  # fmt: skip
            if name == "control":
                good = found.returncode == _REPORTED and "data race" in found.stdout
                return "" if good else f"a race was not reported\n{found.stdout}"
            return "" if found.returncode == 0 else _shortened(found.stdout)

        names = re.findall(r"^def (\w+)\(\):", (workshop.PROGRAMS / "races.py").read_text(), re.M)
        return workshop.judge({name: partial(case, name) for name in names}, options)


def _shortened(output):
    """Return the first report, and how many there are."""
    reports = output.split("==================")
    found = [report for report in reports if "WARNING: ThreadSanitizer" in report]
    return f"{len(found)} reports\n{(found or [output])[0]}"
