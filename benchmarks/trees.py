"""Compare two builds of fastbp on every cell of speed.py, adam.py and gradients.py.

    python benchmarks/trees.py --base PATH --new PATH      all cells
    python benchmarks/trees.py ... --only "speed [2, 3"    the cells whose name holds this text
    python benchmarks/trees.py ... --most 1.15             exit status 1 if a ratio is larger
    python benchmarks/trees.py ... --json FILE             and keep every round's times

PATH is a checkout whose core is built in place, or an environment of this Python with fastbp
installed in it (not in editable mode). Both builds use the NumPy of the Python that runs this
program, and FASTBP_LEVEL, if set. Each build runs in processes of its own, the base in two (A/A).
The results of both builds are compared, then the processes take turns as in speed.py. Times are
those of the thread, which other programs on the machine disturb less. Each pass starts new
processes: where a process has its memory can change a time by a tenth. A ratio is the new build's
time divided by the base's: below 1, the new build is faster.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import adam
import contenders
import gradients
import harness
import numpy as np
import speed
from contenders import MNIST, QUADRATIC, RANDOM, Contender
from harness import Program, Worker, duration

BASE, NEW, AGAIN = "base", "new", "base (again)"


class Cell(NamedTuple):
    """What is timed: ``make(*arguments)`` in a worker is a Program of ``units`` units."""

    name: str
    make: Any
    arguments: tuple[Any, ...]
    units: int  # such as mini-batches in an epoch: times are reported for one
    tolerance: float  # of the results, relative to ``origin`` or, without it, to their size
    origin: Any = None  # the parameters before training

    def prepare(self, tree):
        """Return the program on the fastbp of this tree."""
        if sys.path[0] != str(tree):
            sys.path.insert(0, str(tree))
        import fastbp

        if Path(fastbp.__file__).parents[1] != tree:
            raise ImportError(f"{fastbp.__file__} was imported instead of the fastbp in {tree}")
        return self.make(*self.arguments)


def cells():
    """Yield all cells."""
    for dtype in speed.DTYPES:
        for name, program, chosen in (
            ("speed", contenders.fastbp, speed.CELLS),
            ("adam", adam.fastbp, [cell for cell in speed.CELLS if cell[-1] == RANDOM]),
        ):
            for sizes, batch, batches, data in chosen:
                arguments = (Contender(program), sizes, batch, batches, dtype, QUADRATIC, data)
                title = speed.title({"sizes": sizes, "batch": batch, "data": data})
                start = [a for part in contenders.start(sizes) for a in part]
                yield Cell(
                    f"{name} {title}, {dtype}", contenders.prepare, arguments, batches,
                    speed.TOLERANCE[dtype], start,
                )  # fmt: skip
    for dtype in gradients.DTYPES:
        for cell in gradients.CELLS:
            for what in (*gradients.WHATS, "each, flat"):
                name = f"gradients {gradients.title(cell)}, {what}, {dtype}"
                arguments = (gradients.fastbp, what, *cell, dtype)
                yield Cell(name, gradients.prepare, arguments, 1, gradients.TOLERANCE[dtype])


def measure(workers, cell, rounds, seconds):
    """Return the seconds a unit takes in each worker, an array with an entry for each round."""
    results = {}
    for name, (worker, tree) in workers.items():
        worker.prepare(cell.prepare, tree)
        if cell.origin is not None:  # the results of gradients are those of their own call
            worker.run()
        results[name] = [np.asarray(a, np.float64) for a in worker.result()]
    origin = cell.origin or [np.zeros_like(a) for a in results[BASE]]
    for a, b, c in zip(results[NEW], results[BASE], origin, strict=True):
        error = np.abs(a - b).max() / np.abs(b - c).max()
        if not error <= cell.tolerance:
            raise SystemExit(f"{cell.name}: the results differ by {error:g}: not timed")
    times = harness.interleave(
        {name: worker for name, (worker, _) in workers.items()}, rounds, seconds
    )
    return {name: t / cell.units for name, t in times.items()}


def information():
    """Return a Program whose result is ``fastbp.kernel_info()``."""
    import fastbp

    return Program(None, fastbp.kernel_info)


def folder(path):
    """Return the folder that ``import fastbp`` must search to find the build at ``path``."""
    path = Path(path).resolve()
    found = [path, *path.glob("lib/python3*/site-packages"), path / "Lib" / "site-packages"]
    found = [place for place in found if (place / "fastbp" / "__init__.py").exists()]
    if not found:
        raise argparse.ArgumentTypeError(f"{path}: expected a fastbp folder there, got none")
    return found[0]


def one_pass(trees, chosen, options, report):
    """Measure the cells in new processes; add their times to the report."""
    cpu = harness.one_processor()
    workers = {name: (Worker(cpu, clock=time.thread_time), tree) for name, tree in trees.items()}
    try:
        for name in (BASE, NEW):
            worker, tree = workers[name]
            worker.prepare(Cell("", information, (), 1, 0.0).prepare, tree)
            report["builds"][name] = {"tree": str(tree), **worker.result()}
        for cell in chosen:
            times = measure(workers, cell, options.rounds, options.seconds)
            print(f"{cell.name}: {harness.ratio(times[NEW], times[BASE])}", flush=True)
            before = report["cells"].setdefault(cell.name, dict.fromkeys(times, np.empty(0)))
            for name, t in times.items():
                before[name] = np.concatenate([before[name], t])
    finally:
        for worker, _ in workers.values():
            worker.stop()


def row(name, times):
    """Return the ratio of a cell and its row of the table."""
    found = harness.ratio(times[NEW], times[BASE])
    low, high = harness.spread(times[AGAIN], times[BASE])
    medians = (duration(np.nanmedian(times[name])) for name in (BASE, NEW))
    return found.median, [name, *medians, str(found), f"{low:.2f}–{high:.2f}"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=folder, required=True, metavar="PATH")
    parser.add_argument("--new", type=folder, required=True, metavar="PATH")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cells whose name holds it")
    parser.add_argument("--passes", type=int, default=3, help="each in new processes: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="of a pass: %(default)s")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a turn: %(default)s")
    parser.add_argument("--most", type=float, metavar="RATIO", help="the largest that is allowed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times there")
    options = parser.parse_args()
    chosen = [cell for cell in cells() if options.only in cell.name]
    if not contenders.has_mnist():
        print("MNIST is not found (see fastbp.mnist_loader): its cells are left out")
        chosen = [cell for cell in chosen if MNIST not in cell.name]
    trees = {BASE: options.base, NEW: options.new, AGAIN: options.base}
    report = {"builds": {}, "cells": {}}
    for _ in range(options.passes):
        one_pass(trees, chosen, options, report)
    rows = sorted((row(*cell) for cell in report["cells"].items()), key=lambda found: -found[0])
    header = ["cell", BASE, NEW, f"{NEW} / {BASE}", "A/A"]
    print(f"\n{harness.table(header, [cells for _, cells in rows])}\n")
    for name, build in report["builds"].items():
        print(f"{name}: {', '.join(build.values())}")
    if options.json:
        harness.save(options.json, report)
    above = [cells[0] for found, cells in rows if options.most and found > options.most]
    if options.most:
        print(f"\n{len(above)} of {len(rows)} cells are above {options.most}", *above, sep="\n  ")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
