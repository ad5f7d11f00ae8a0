"""Ctrl-C at random moments of training, beside an idle and a busy thread; a fork after threads.

The times mean something on a machine that does nothing else.
"""

import json
import sys

from lanes import workshop

_LATEST = 0.15  # seconds
_COST = {False: 1.01, True: 1.10}  # beside an idle thread, and a busy one
_FORKED = 2.0


def run(options):
    """Run programs/stops.py; short: a tenth of the moments."""
    if sys.platform == "win32":
        raise workshop.LackingError("no POSIX signals")
    with workshop.copied() as folder:
        workshop.build(folder)

        def ask(*arguments):
            program = [str(workshop.PROGRAMS / "stops.py"), *arguments]
            found = workshop.command(folder, program)
            if found.returncode:
                raise workshop.BuildError(found.stdout)
            print(f"     {' '.join(arguments)}: {found.stdout.strip()}", flush=True)
            return json.loads(found.stdout)

        def delays(busy):
            n = "10" if options.short else "100"
            found = ask("delays", "-n", n, "--seed", str(options.seed), *["--busy"] * busy)
            if not found["replayed"]:
                return "a state is not that after a whole number of mini-batches"
            if found["worst"] > _LATEST:
                return f"seen after {found['worst']:.3f} s, at most {_LATEST}"
            return ""

        def cost(busy):
            found = ask("cost", "-n", "5" if options.short else "25", *["--busy"] * busy)
            if found["ratio"] > _COST[busy]:
                return f"{found['ratio']:.3f} times as long, at most {_COST[busy]}"
            return ""

        def fork():
            found = ask("fork", "-n", "3" if options.short else "9")
            worst = max(found.values())
            return f"{worst:.2f} times as long, at most {_FORKED}" if worst > _FORKED else ""

        checks = {
            "delay and state, beside an idle thread": lambda: delays(False),
            "delay and state, beside a busy thread": lambda: delays(True),
            "cost, beside an idle thread": lambda: cost(False),
            "cost, beside a busy thread": lambda: cost(True),
            "a child forked after training with threads": fork,
        }
        return workshop.judge(checks, options)
