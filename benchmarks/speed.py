"""Compare fastbp with other programs that train the same network on the same data.

    python benchmarks/speed.py                 all cells
    python benchmarks/speed.py --cell 0        one of them
    python benchmarks/speed.py --json FILE     and keep every round's times
    python benchmarks/speed.py --write         and put the tables into the READMEs

Each contender lives in a process of its own, on one thread. First all take the same
epoch, and must end at the reference's weights. Then they take turns, forwards and
backwards; a ratio is the median over rounds of the ratio within the round. fastbp under
two names (A/A) shows what a ratio near 1 is worth on this machine on this day: a ratio
inside that spread is not printed.
"""

import argparse
from pathlib import Path

import contenders
import harness
import numpy as np
import roofline
from contenders import AGAIN, MNIST, OURS, OURS_CROSS_ENTROPY, QUADRATIC, RANDOM
from harness import AbsentError, Ratio, Worker, figure

CELLS = [  # sizes, mini-batch, mini-batches an epoch (of eights, as torch.compile is given), data
    ([784, 30, 10], 10, 1000, RANDOM),
    ([784, 30, 10], 10, 1000, MNIST),
    ([784, 100, 10], 10, 1000, RANDOM),
    ([784, 100, 10], 10, 1000, MNIST),
    ([16, 32, 32, 4], 8, 2000, RANDOM),
    ([64, 128, 64, 10], 32, 504, RANDOM),
    ([784, 512, 512, 10], 128, 40, RANDOM),
    ([784, 512, 512, 10], 128, 40, MNIST),
    ([2, 3, 1], 1, 10000, RANDOM),
]
DTYPES = ("float64", "float32")
EPOCHS = 1  # before the results are compared
# Of the error of an array of parameters to how far training moved it. The programs sum in
# other orders, and the steps carry that on; a gradient wrong by some percent is seen.
TOLERANCE = {"float64": 1e-8, "float32": 1e-2}
GEMM = "large GEMM"
JUDGE, NUMPY = "reference", "NumPy, matrix form"  # the second, judged by the first, judges too


def hire(programs):
    """Return a worker for each program, and one for the large GEMM."""
    cpu = harness.one_processor()
    workers = {name: Worker(cpu, program.environment) for name, program in programs.items()}
    return workers | {GEMM: Worker(cpu)}


def measure(workers, programs, cell, dtype, rounds):
    """Verify all programs on a cell, then time them; return what was found."""
    sizes, batch, batches, data = cell
    absent, error, expected = {}, {}, {}

    def trained(name, cost):
        program = programs[name]
        worker = workers[name]
        worker.prepare(contenders.prepare, program, sizes, batch, batches, dtype, cost, data)
        worker.run(EPOCHS)
        return [np.asarray(p, np.float64) for p in worker.result()]

    begin = [a for part in contenders.start(sizes) for a in part]
    judge = JUDGE if JUDGE in programs else NUMPY
    for cost in sorted({program.cost for program in programs.values()}):  # the quadratic last
        expected[cost] = trained(judge, cost)
    for name, program in programs.items():
        if name == judge:
            continue
        try:
            found = trained(name, program.cost)
        except AbsentError as reason:
            if program.ours:
                raise
            absent[name] = str(reason)
            continue
        error[name] = max(
            np.abs(a - b).max() / np.abs(b - c).max()
            for a, b, c in zip(found, expected[program.cost], begin, strict=True)
        )
        if not error[name] <= TOLERANCE[dtype]:
            raise SystemExit(f"{name} on {sizes}, {dtype}, is off by {error[name]:g}: not timed")
    workers[GEMM].prepare(contenders.large_gemm, dtype)
    times = harness.interleave({n: w for n, w in workers.items() if n not in absent}, rounds)
    return summary(programs, cell, dtype, times, workers[GEMM].result()) | {
        "absent": absent,
        "error": error,
    }


def summary(programs, cell, dtype, times, gemm_operations):
    """Return times of a mini-batch and ratios to fastbp at the same cost."""
    sizes, batch, batches, data = cell
    gemm = times.pop(GEMM)
    seconds = {name: t / batches for name, t in times.items()}
    ratios = {}
    for name in seconds:
        base = OURS if programs[name].cost == QUADRATIC else OURS_CROSS_ENTROPY
        if base in seconds and name not in (OURS, AGAIN, base):
            ratios[name] = harness.ratio(seconds[name], seconds[base])
    if OURS_CROSS_ENTROPY in seconds:
        ratios[OURS_CROSS_ENTROPY] = harness.ratio(seconds[OURS_CROSS_ENTROPY], seconds[OURS])
    return {
        "sizes": sizes,
        "batch": batch,
        "data": data,
        "dtype": dtype,
        "seconds": seconds,
        "ratios": ratios,
        "control": harness.spread(seconds[AGAIN], seconds[OURS]),
        "gemm": gemm_operations / gemm,
    }


def micro(found, name):
    """Return the median time of a mini-batch in microseconds."""
    return figure(1e6 * np.nanmedian(found["seconds"][name]))


def title(found):
    """Return the name of a cell."""
    data = "" if found["data"] == RANDOM else f", {found['data']}"
    return f"{found['sizes']} × {found['batch']}{data}"


def entry(found, name):
    """Return time and ratio of one contender on one cell."""
    if name in found["absent"]:
        return "absent"
    if name == AGAIN:
        low, high = found["control"]
        return f"{micro(found, name)}<br>A/A {low:.2f}–{high:.2f}"
    if name == OURS:
        return f"**{micro(found, name)}**"
    return (
        f"{micro(found, name)}<br>{harness.unless_noise(found['ratios'][name], found['control'])}"
    )


def full_tables(report):
    """Return the tables of all contenders, one for each type."""
    parts = []
    for dtype in DTYPES:
        cells = [found for found in report["cells"] if found["dtype"] == dtype]
        if cells:
            rows = [
                [name, *(entry(found, name) for found in cells)] for name in report["contenders"]
            ]
            parts += [harness.table([dtype, *map(title, cells)], rows), ""]
    reasons = {name: text for found in report["cells"] for name, text in found["absent"].items()}
    parts += [f"{name} is absent: {text}\n" for name, text in reasons.items()]
    parts.append(
        "Microseconds a mini-batch; below, the ratio to fastbp and its 95 % interval (above 1: "
        f"fastbp is faster). {harness.origin(report['about'])}"
    )
    return "\n".join(parts)


def fastest(found, but=""):
    """Return the name of the fastest contender that is not fastbp (nor begins with ``but``)."""
    names = [n for n in found["seconds"] if not n.startswith("fastbp")]
    names = [n for n in names if not (but and n.startswith(but))]
    return min(names, key=lambda name: np.nanmedian(found["seconds"][name]))


def digest(report):
    """Return the table of the fastest contenders, for the main README."""
    rows = []
    for found in report["cells"]:
        control = found["control"]

        def against(name, found=found, control=control):
            return harness.unless_noise(found["ratios"][name], control)

        names = [fastest(found)]
        if found["batch"] == 1 and names[0].startswith("JAX"):
            names.append(fastest(found, but="JAX"))
        rows.append(
            [
                title(found),
                found["dtype"],
                micro(found, OURS),
                "<br>".join(f"{name}, {micro(found, name)}" for name in names),
                "<br>".join(map(against, names)),
                against(JUDGE),
                f"{control[0]:.2f}–{control[1]:.2f}",
            ]
        )
    header = [
        "network × mini-batch",
        "type",
        "fastbp, µs",
        "fastest other, µs",
        "it / fastbp",
        "reference / fastbp",
        "A/A",
    ]
    return (
        f"{harness.table(header, rows)}\n\nOne mini-batch of plain SGD on one thread; a ratio "
        "above 1 says that fastbp is faster, with its 95 % interval; A/A is fastbp against itself. "
        f"The reference always computes in float64. {harness.origin(report['about'])}"
    )


def run(programs, cells, dtypes, rounds):
    """Yield what is found on each cell and type; the workers live through all of them."""
    workers = hire(programs)
    try:
        for cell in cells:
            for dtype in dtypes:
                yield measure(workers, programs, cell, dtype, rounds)
    finally:
        for worker in workers.values():
            worker.stop()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", type=int, choices=range(len(CELLS)), help="one network only")
    parser.add_argument("--dtype", choices=DTYPES, help="one type only")
    parser.add_argument("--rounds", type=int, default=21, help="default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times there")
    parser.add_argument("--write", action="store_true", help="put the tables into the READMEs")
    options = parser.parse_args()
    if options.write and (options.cell is not None or options.dtype):
        parser.error("--write takes all cells and types")
    programs = contenders.contenders()
    report = {
        "about": harness.about(options.rounds),
        "contenders": list(programs),
        "cells": [],
    }
    cells = CELLS if options.cell is None else [CELLS[options.cell]]
    if not contenders.has_mnist():
        print("MNIST is not found (see fastbp.mnist_loader): its cells are left out")
        cells = [cell for cell in cells if cell[-1] != MNIST]
    for found in run(programs, cells, [options.dtype] if options.dtype else DTYPES, options.rounds):
        report["cells"].append(found)
        low, high = found["control"]
        print(f"\n{title(found)}, {found['dtype']}: A/A {low:.2f}–{high:.2f}")
        for name in programs:
            if name in found["absent"]:
                print(f"  {name:30} absent: {found['absent'][name]}")
                continue
            text = ""
            if name in found["ratios"]:
                text = harness.unless_noise(Ratio(*found["ratios"][name]), found["control"])
            off = f"off by {found['error'][name]:.0e}" if name in found["error"] else "expected"
            print(f"  {name:30} {micro(found, name):>9} µs  {text:25} {off}", flush=True)
    print(f"\n{digest(report)}")
    if options.json:
        harness.save(options.json, report)
    if options.write:
        here = Path(__file__).resolve().parent
        harness.write(here / "README.md", "speed", full_tables(report))
        harness.write(here / "README.md", "roofline", roofline.text(report))
        harness.write(here.parent / "README.md", "speed", digest(report))


if __name__ == "__main__":
    main()
