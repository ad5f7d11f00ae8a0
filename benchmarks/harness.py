"""What the benchmarks share: processes on one thread, turns, ratios, and where it was measured.

A contender is a ``Program``. It lives in a process of its own, a ``Worker``; ``interleave``
lets the workers take turns forwards and backwards (A B C, C B A, ...). A ratio is taken
within each round, and its median is reported with an interval.
"""

import contextlib
import datetime
import json
import math
import multiprocessing
import os
import platform
import re
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
SECONDS = 0.1  # of one turn of a contender, about
PEERS = ("scikit-learn", "torch", "jax")


class Program(NamedTuple):
    """What is timed: ``step()`` is one unit of work, ``result()`` what it has come to."""

    step: Any
    result: Any = None


class AbsentError(Exception):
    """A contender cannot run here; the text says why."""


def _serve(connection, cpu, clock):
    """Be a worker: make a program, run it, or tell its result, as ordered."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})  # for pools that no variable limits
    program = None
    while (order := connection.recv()) is not None:
        verb, *arguments = order
        answer = None
        try:
            if verb == "prepare":
                program = None
                prepare, *arguments = arguments
                program = prepare(*arguments)
            elif verb == "result":
                answer = program.result()
            else:
                steps = arguments[0]
                begin = clock()
                for _ in range(steps):
                    program.step()
                answer = (clock() - begin) / steps
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            answer = AbsentError(f"{type(error).__name__}: {lines[0] if lines else ''}")
        connection.send(answer)


class Worker:
    """A process of its own, its pools at one thread; bound to a processor if ``cpu`` names one.

    ``clock`` times its steps: ``time.thread_time`` leaves out the time that the processor gave to
    other processes, and the work of other threads.
    """

    def __init__(self, cpu=None, environment=None, clock=time.perf_counter):
        before = dict(os.environ)
        os.environ.update(ONE_THREAD | (environment or {}))  # read when the child imports NumPy
        try:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, cpu, clock))
            self._process.start()
            theirs.close()  # so that a death of the child ends a wait for it
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _ask(self, *order):
        self._pipe.send(order)
        try:
            answer = self._pipe.recv()
        except EOFError:
            answer = AbsentError(f"its process ended with code {self._process.exitcode}")
        if isinstance(answer, AbsentError):
            raise answer
        return answer

    def prepare(self, prepare, *arguments):
        """Make the program ``prepare(*arguments)`` in the process."""
        self._ask("prepare", prepare, *arguments)

    def run(self, steps=1):
        """Return the seconds a step, over so many steps."""
        return self._ask("run", steps)

    def result(self):
        """Return the program's result."""
        return self._ask("result")

    def stop(self):
        """End the process."""
        with contextlib.suppress(OSError):  # it may have died
            self._pipe.send(None)
        self._process.join()


def one_processor():
    """Return the processor that all workers share (one takes a turn at a time), or None."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else None


def interleave(workers, rounds, seconds=SECONDS):
    """Return the seconds a step of each worker, an array with an entry for each round.

    A worker whose single step takes long sits some rounds out: NaN there.
    """
    repeats, every = {}, {}
    for name, worker in workers.items():
        worker.run()
        once = worker.run()
        repeats[name] = max(1, round(seconds / once))
        every[name] = min(math.ceil(once / (10 * seconds)), max(1, rounds // 5))
    times = {name: np.full(rounds, np.nan) for name in workers}
    names = list(workers)
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            if turn % every[name] == 0:
                times[name][turn] = workers[name].run(repeats[name])
    return times


class Ratio(NamedTuple):
    """The median of the ratios within rounds, and the interval that holds it at 95 %."""

    median: float
    low: float
    high: float

    def __str__(self):
        return f"{figure(self.median)} ({figure(self.low)}–{figure(self.high)})"


def ratio(above, below):
    """Return the Ratio of two contenders' times; the interval is of order statistics."""
    ratios = np.asarray(above) / np.asarray(below)
    ratios = np.sort(ratios[np.isfinite(ratios)])
    n = len(ratios)
    first = max(0, math.floor(n / 2 - 0.98 * math.sqrt(n)))
    return Ratio(float(np.median(ratios)), float(ratios[first]), float(ratios[n - 1 - first]))


def spread(again, ours):
    """Return the 5 % and 95 % quantiles of the A/A ratios, with 1 inside."""
    ratios = np.asarray(again) / np.asarray(ours)
    low, high = np.quantile(ratios[np.isfinite(ratios)], [0.05, 0.95])
    return min(1.0, float(low)), max(1.0, float(high))


def unless_noise(found, control):
    """Return the ratio as text, or that it cannot be told from 1: by the A/A or its interval."""
    noise = control[0] <= found.median <= control[1] or found.low <= 1 <= found.high
    return "within noise" if noise else str(found)


def figure(x):
    """Return three significant digits, without an exponent."""
    if x == 0 or not math.isfinite(x):
        return str(x)
    digits = max(0, 2 - math.floor(math.log10(abs(x))))
    return f"{x:,.{digits}f}"


def duration(seconds):
    """Return a time with its unit."""
    units = (("s", 1), ("ms", 1e3), ("µs", 1e6))
    unit, scale = next((u for u in units if seconds * u[1] >= 1), units[-1])
    return f"{figure(seconds * scale)} {unit}"


def table(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def about(rounds):
    """Return where the numbers come from, as a dictionary."""
    import fastbp

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text(encoding="utf-8"))
        model = found[1] if found else model
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    info = fastbp.kernel_info()
    if "-O0" in info["flags"]:
        raise SystemExit("the core is a debug build: 'make build' first")
    versions = {"fastbp": fastbp.__version__, "NumPy": np.__version__}
    for name in PEERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "level": info["level"],
        "compiler": info["compiler"],
        "commit": commit,
        "Python": platform.python_version(),
        "versions": versions,
        "date": str(datetime.date.today()),
        "rounds": rounds,
    }


def origin(facts):
    """Return the line under a table that says where the numbers come from."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{facts['processor']}, {facts['processors']} processors, one thread; level "
        f"{facts['level']}, {facts['compiler']}; commit {facts['commit']}; {versions}; "
        f"Python {facts['Python']}; {facts['rounds']} rounds; {facts['date']}."
    )


def write(path, marker, text):
    """Put the text between the markers ``<!-- marker -->`` and ``<!-- /marker -->``."""
    content = path.read_text(encoding="utf-8")
    content, n = re.subn(
        rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)",
        lambda found: found[1] + text + "\n" + found[2],
        content,
        flags=re.DOTALL,
    )
    if n != 1:
        raise SystemExit(f"{path.name}: expected the markers of {marker!r} once, got {n} pairs")
    path.write_text(content, encoding="utf-8")


def save(path, report):
    """Write a report as JSON; a round that was sat out is null."""

    def plain(value):
        if isinstance(value, np.ndarray):
            return [None if math.isnan(x) else float(x) for x in value]
        raise TypeError(type(value))

    path.write_text(json.dumps(report, default=plain, ensure_ascii=False, indent=1) + "\n", "utf-8")
