"""Checks that take a tool, a rebuild or a long time; each lane builds in a folder of its own."""

import argparse
import importlib
import secrets
import sys
import time

from lanes import workshop

LANES = {
    "asan": "the test suite on a core built with gcc's address and undefined-behaviour sanitizers",
    "tsan": "threads on one network and on several, on a core built with gcc's thread sanitizer",
    "clang": "the core tests on a core built with clang",
    "limited": "the core tests on a core built for the stable ABI of Python 3.11",
    "valgrind": "reads of uninitialised memory in a short program",
    "faults": "every allocation, write, flush and rename failed once; kill -9 during save",
    "fuzz": "damaged model files: an error, or the same model, and nothing else",
    "soak": "memory after 100,000 steps, 10,000 saves and loads, 1,000 networks",
    "interrupts": "Ctrl-C at 100 random moments: the delay, the state left, and the cost",
    "mutate": "seeded bugs in core, gate and training: each must turn the tests red",
}


def main() -> int:
    """Run the lanes that were asked for; return 0, 1 after a failure, 2 if a lane cannot run."""
    width = max(map(len, LANES)) + 2
    parser = argparse.ArgumentParser(
        prog="tools/check.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="lanes:\n"
        + "".join(f"  {name:{width}}{what}\n" for name, what in LANES.items())
        + f"  {'all':{width}}one after the other\n\n"
        "Ends with 'N passed, N failed'. Exit status: 0, 1 after a failure, 2 if a lane lacks\n"
        "something on this machine; it says what.",
    )
    parser.add_argument("lane", choices=[*LANES, "all"], metavar="lane")
    parser.add_argument("--short", action="store_true", help="a part of it, for each change")
    parser.add_argument("--seed", type=int, help="of all that is random; by default a new one")
    parser.add_argument("--only", default="", metavar="TEXT", help="the checks whose name holds it")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(2**31)

    passed = failed = 0
    lacking = []
    for name in LANES if options.lane == "all" else [options.lane]:
        started = time.perf_counter()
        print(f"== {name}, seed {options.seed}", flush=True)
        try:
            good, bad = _lane(name).run(options)
        except workshop.LackingError as error:
            print(f"{name} cannot run here: {error}", flush=True)
            lacking.append(name)
            continue
        print(f"{name}: {good} passed, {bad} failed ({time.perf_counter() - started:.0f} s)")
        passed, failed = passed + good, failed + bad
    if lacking:
        print(f"could not run: {', '.join(lacking)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 2 if lacking else 0


def _lane(name):
    try:
        return importlib.import_module(f"lanes.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"lanes.{name}":
            raise
        raise workshop.LackingError(f"there is no tools/lanes/{name}.py") from None


if __name__ == "__main__":
    sys.exit(main())
