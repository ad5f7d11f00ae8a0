"""Compare fastbp with the book's class and with NumPy's matrix form, honestly.

    python benchmarks/speed.py            all cells
    python benchmarks/speed.py --cell 0   one of them
    python benchmarks/speed.py --write    and put the table into the READMEs

Each contender lives in a process of its own, on one thread. First all take the
same two epochs, and must end at the same weights. Then they take turns, forwards
and backwards (A B C, C B A, ...); a ratio is the median over rounds of the ratio
within the round, and the same program under two names (A/A) shows what a ratio
near 1 is worth on this machine on this day. A ratio inside that spread is not printed.
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from contenders import CONTENDERS

import fastbp

HERE = Path(__file__).resolve().parent
CELLS = [
    ([784, 30, 10], 10),
    ([784, 100, 10], 10),
    ([16, 32, 32, 4], 8),
    ([64, 128, 64, 10], 32),
]
DTYPES = (np.float64, np.float32)
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SECONDS = 0.1  # of one turn of a contender, about
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-3}  # after two epochs, relative to max(1, |w|)


def work(connection, name, sizes, batch, n, dtype):
    """Be one contender: take some epochs, or send the parameters, when told to."""
    rng = np.random.default_rng(0)
    X = rng.random((n, sizes[0])).astype(np.float32).astype(np.float64)
    Y = rng.random((n, sizes[-1])).astype(np.float32).astype(np.float64)
    layers = list(zip(sizes[1:], sizes[:-1], strict=True))
    start = (
        [rng.standard_normal(s).astype(np.float32) / np.float64(s[1] ** 0.5) for s in layers],
        [rng.standard_normal((m, 1)).astype(np.float32).astype(np.float64) for m, _ in layers],
    )
    epoch, parameters = CONTENDERS[name](sizes, batch, X, Y, start, dtype)
    while (order := connection.recv()) != "stop":
        if order == "parameters":
            connection.send([np.asarray(p, np.float64) for p in parameters()])
        else:  # so many epochs
            begin = time.perf_counter()
            for _ in range(order):
                epoch()
            connection.send((time.perf_counter() - begin) / order)


def measure(sizes, batch, dtype, rounds):
    """Return microseconds per mini-batch of each contender, one row a round."""
    per_sample = 2e-5 + 3e-9 * sum(a * b for a, b in pairwise(sizes))
    batches = max(20, int(SECONDS / per_sample / batch))
    os.environ.update(dict.fromkeys(POOLS, "1"))  # read by the workers when they import NumPy
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name in CONTENDERS:
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(theirs, name, sizes, batch, batch * batches, dtype), daemon=True
        )
        process.start()
        workers[name] = (ours, process)

    def ask(name, order):
        workers[name][0].send(order)
        return workers[name][0].recv()

    repeats = {}
    for name in CONTENDERS:
        ask(name, 1)
        repeats[name] = max(1, round(SECONDS / ask(name, 1)))
    right = ask("reference", "parameters")
    for name in CONTENDERS:
        for found, expected in zip(ask(name, "parameters"), right, strict=True):
            error = np.abs(found - expected).max() / max(1, np.abs(expected).max())
            if not error <= TOLERANCE[dtype]:
                raise SystemExit(f"{name} on {sizes} is off by {error:g}: not timed")
    times = []
    names = list(CONTENDERS)
    for turn in range(rounds):
        order = names if turn % 2 == 0 else names[::-1]
        row = {name: 1e6 * ask(name, repeats[name]) / batches for name in order}
        times.append([row[name] for name in names])
    for connection, process in workers.values():
        connection.send("stop")
        process.join()
    return np.array(times)


def row(sizes, batch, dtype, rounds):
    """Return one line of the table."""
    times = dict(zip(CONTENDERS, measure(sizes, batch, dtype, rounds).T, strict=True))
    ours = times["fastbp"]
    control = times["fastbp (again)"] / ours
    low, high = np.quantile(control, [0.05, 0.95])
    ratios = []
    for name in ("reference", "NumPy, matrix form"):
        ratio = np.median(times[name] / ours)
        ratios.append("within noise" if low <= ratio <= high else f"{ratio:.1f}")
    cells = [
        f"{sizes} × {batch}",
        np.dtype(dtype).name,
        *(f"{np.median(times[name]):,.1f}" for name in ("reference", "NumPy, matrix form")),
        f"{np.median(ours):,.1f}",
        *ratios,
        f"{low:.2f}–{high:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = """\
| network × mini-batch | dtype | reference, µs | NumPy matrix form, µs | fastbp, µs \
| reference / fastbp | NumPy / fastbp | A/A |
|---|---|---|---|---|---|---|---|"""


def description(rounds):
    """Return the line that says where the numbers come from."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text(encoding="utf-8"))
        model = found[1] if found else model
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    info = fastbp.kernel_info()
    return (
        f"Microseconds per mini-batch of plain SGD, one thread, medians of {rounds} interleaved "
        f"rounds; the reference always computes in float64; A/A is the spread (5 % to 95 %) of "
        f"fastbp against itself. {model}, {os.cpu_count()} cores; fastbp {fastbp.__version__} "
        f"at {commit}, level {info['level']}, {info['compiler']}; NumPy {np.__version__}, "
        f"Python {platform.python_version()}; {datetime.date.today()}. "
        "Regenerate with `python benchmarks/speed.py --write`."
    )


def write(table):
    """Put the table between the markers of both READMEs."""
    for path in (HERE / "README.md", HERE.parent / "README.md"):
        text = path.read_text(encoding="utf-8")
        text, n = re.subn(
            r"(<!-- speed -->\n).*?(<!-- /speed -->)",
            lambda found: found[1] + table + "\n" + found[2],
            text,
            flags=re.DOTALL,
        )
        if n != 1:
            raise SystemExit(f"{path}: expected the markers once, got {n} pairs")
        path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", type=int, choices=range(len(CELLS)), help="one network only")
    parser.add_argument("--rounds", type=int, default=31, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into the READMEs")
    options = parser.parse_args()
    if options.write and options.cell is not None:
        parser.error("--write takes all cells")
    if options.write and "-O0" in fastbp.kernel_info()["flags"]:
        parser.error("the core is a debug build: 'make build' first")
    cells = CELLS if options.cell is None else [CELLS[options.cell]]
    lines = [HEADER]
    print(HEADER, flush=True)
    for sizes, batch in cells:
        for dtype in DTYPES:
            lines.append(row(sizes, batch, dtype, options.rounds))
            print(lines[-1], flush=True)
    lines += ["", description(options.rounds)]
    print("\n".join(lines[-2:]))
    if options.write:
        write("\n".join(lines))


if __name__ == "__main__":
    main()
