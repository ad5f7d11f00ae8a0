"""Time whole calls of the book's programs: the reference, then fastbp in its place.

    python benchmarks/book.py                  all cases; some minutes
    python benchmarks/book.py --case calls     one of them
    python benchmarks/book.py --full           the reference takes all 30 epochs too
    python benchmarks/book.py --write          and put the table into benchmarks/README.md

MNIST is used where fastbp.mnist_loader finds it, else made-up data of its shape. Each
program lives in a process of its own and must come to the reference's result before it is
timed; they take turns, and fastbp under two names (A/A) shows what a ratio is worth.
"""

import argparse
import functools
import os
import random
import subprocess
import sys
import threading
import time

import harness
import numpy as np
from harness import Program, Worker, duration, unless_noise

SIZES, EPOCHS = [784, 30, 10], 30
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}  # of results, relative to max(1, |expected|)
PROGRAMS = {  # name: module, type
    "fastbp": ("fastbp", "float64"),
    "reference": ("reference", "float64"),
    "fastbp, float32": ("fastbp", "float32"),
    "fastbp (again)": ("fastbp", "float64"),
}


@functools.cache
def book_data():
    """Return training pairs, labelled pairs, and what they are."""
    from fastbp import mnist_loader

    try:
        training_data, validation_data, _ = mnist_loader.load_data_wrapper()
        return training_data, validation_data, "MNIST"
    except FileNotFoundError:
        rng = np.random.default_rng(0)
        X = rng.random((60_000, 784, 1), np.float32)
        labels = rng.integers(0, 10, 60_000)
        Y = np.zeros((50_000, 10, 1))
        Y[np.arange(50_000), labels[:50_000]] = 1.0
        return (
            list(zip(X[:50_000], Y, strict=True)),
            list(zip(X[50_000:], labels[50_000:], strict=True)),
            "made-up data of MNIST's shape",
        )


def network_of(which, chapter, dtype):
    """Return a new network of the reference or of fastbp; the same start for all."""
    if which == "reference":
        from fastbp.reference import network, network2
    else:
        from fastbp import network, network2

    np.random.seed(0)
    random.seed(0)
    network_class = (network if chapter == 1 else network2).Network
    return network_class(SIZES) if which == "reference" else network_class(SIZES, dtype=dtype)


def whole_call(which, dtype, chapter, epochs):
    """A whole SGD call with shuffling, evaluated after each epoch, as the book makes it."""
    training_data, evaluation_data, _ = book_data()

    def train(pairs, epochs, eta):
        net = network_of(which, chapter, dtype)
        if chapter == 1:
            net.SGD(pairs, epochs, 10, eta, test_data=evaluation_data, verbose=False)
        else:
            net.SGD(
                pairs,
                epochs,
                10,
                eta,
                lmbda=5.0,
                evaluation_data=evaluation_data,
                monitor_evaluation_accuracy=True,
                verbose=False,
            )
        return net.weights + net.biases

    return Program(
        lambda: train(training_data, epochs, 3.0 if chapter == 1 else 0.1),
        # eta 3.0 is chaotic: no two programs end alike there, so the results are of 0.1
        lambda: train(training_data[:5000], 1, 0.1),
    )


def single_call(which, dtype, name):
    """One call of a method of chapter 1's class."""
    net = network_of(which, 1, dtype)
    pairs = book_data()[0][:10]
    x, y = pairs[0]
    if name == "feedforward":
        return Program(lambda: net.feedforward(x), lambda: [net.feedforward(x)])
    if name == "backprop":
        return Program(
            lambda: net.backprop(x, y), lambda: [a for part in net.backprop(x, y) for a in part]
        )

    def result():
        net.update_mini_batch(pairs, 3.0)
        return net.weights + net.biases

    return Program(lambda: net.update_mini_batch(pairs, 3.0), result)


def two_networks(at_once):
    """Train two networks, one after the other or in two threads."""
    from fastbp import Dataset

    rng = np.random.default_rng(0)
    data = Dataset(rng.random((10_000, 784)), rng.random((10_000, 10)))
    nets = [network_of("fastbp", 1, "float64") for _ in range(2)]

    def train(net):
        net.SGD(data, 2, 10, 0.1, shuffle=False, verbose=False)

    def step():
        if at_once:
            threads = [threading.Thread(target=train, args=(net,)) for net in nets]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            for net in nets:
                train(net)

    return Program(step)


def hard_numbers(kind, dtype):
    """Train on numbers that slow some programs down: saturated neurons, subnormal data."""
    from fastbp import Dataset

    rng = np.random.default_rng(0)
    X, Y = rng.random((5000, 784)).astype(dtype), rng.random((5000, 10)).astype(dtype)
    net = network_of("fastbp", 1, dtype)
    net.weights = [w / np.asarray(w.shape[1] ** 0.5, dtype) for w in net.weights]
    if kind == "saturated":
        net.weights = [w * np.asarray(1e4, dtype) for w in net.weights]
    elif kind == "outputs near underflow":
        # exp(z) is a subnormal number there
        net.biases = [
            b + np.asarray(-720 if dtype == "float64" else -95, dtype) for b in net.biases
        ]
    elif kind == "subnormal data":
        X *= np.asarray(np.finfo(dtype).tiny / 16, dtype)
    data = Dataset(X, Y)
    return Program(lambda: net.SGD(data, 1, 10, 1e-6, shuffle=False, verbose=False))


def compare(programs, rounds, pinned=True, check=True):
    """Return the times of programs, ``{name: (prepare, *arguments)}``, verified first."""
    cpu = harness.one_processor() if pinned else None
    workers = {name: Worker(cpu) for name in programs}
    try:
        results = {}
        for name, worker in workers.items():
            worker.prepare(*programs[name])
            if check:
                results[name] = [np.asarray(a, np.float64) for a in worker.result()]
        for name, found in results.items():
            limit = TOLERANCE["float32" if "float32" in name else "float64"]
            for a, b in zip(found, results["reference"], strict=True):
                error = np.abs(a - b).max() / max(1, np.abs(b).max())
                if not error <= limit:
                    raise SystemExit(f"{name}, {programs[name]}: off by {error:g}: not timed")
        return harness.interleave(workers, rounds)
    finally:
        for worker in workers.values():
            worker.stop()


def against_reference(title, times):
    """Return the table's rows for one call: both types against the reference."""
    control = harness.spread(times["fastbp (again)"], times["fastbp"])
    return [
        [
            f"{title}, {dtype}",
            duration(np.nanmedian(times["reference"])),
            duration(np.nanmedian(times[name])),
            unless_noise(harness.ratio(times["reference"], times[name]), control),
            f"{control[0]:.2f}–{control[1]:.2f}",
        ]
        for name, dtype in (("fastbp", "float64"), ("fastbp, float32", "float32"))
    ]


def case_whole(chapter, options):
    """30 epochs of a book program; the reference's are reckoned from one, unless --full."""
    epochs = {"fastbp": EPOCHS, "reference": EPOCHS if options.full else 1}
    programs = {
        name: (whole_call, which, dtype, chapter, epochs[which])
        for name, (which, dtype) in PROGRAMS.items()
    }
    times = compare(programs, options.whole_rounds)
    times["reference"] = times["reference"] * (EPOCHS // epochs["reference"])
    what = {1: "chapter 1, eta 3.0", 3: "chapter 3, weight decay, monitored"}[chapter]
    return against_reference(f"{EPOCHS} epochs, {what}", times)


def case_calls(options):
    """Single calls, where what Python does around the core counts."""
    rows = []
    for name in ("feedforward", "backprop", "update_mini_batch"):
        programs = {p: (single_call, *arguments, name) for p, arguments in PROGRAMS.items()}
        rows += against_reference(f"one `{name}`", compare(programs, options.rounds))
    return rows


def case_threads(options):
    """Two networks in two threads; not bound to one processor."""
    names = {"first": False, "threads": True, "again": False}
    times = compare(
        {name: (two_networks, at_once) for name, at_once in names.items()},
        options.rounds,
        pinned=False,
        check=False,
    )
    control = harness.spread(times["again"], times["first"])
    return [
        [
            "two networks: one after the other, then in two threads",
            duration(np.nanmedian(times["first"])),
            duration(np.nanmedian(times["threads"])),
            unless_noise(harness.ratio(times["first"], times["threads"]), control),
            f"{control[0]:.2f}–{control[1]:.2f}",
        ]
    ]


def case_numbers(options):
    """Hard numbers against ordinary ones; 1 is what one wants."""
    rows = []
    kinds = ("saturated", "outputs near underflow", "subnormal data")
    for dtype in ("float64", "float32"):
        names = ("ordinary", *kinds, "again")
        times = compare({n: (hard_numbers, n, dtype) for n in names}, options.rounds, check=False)
        control = harness.spread(times["again"], times["ordinary"])
        rows += [
            [
                f"one epoch, {kind}, then ordinary, {dtype}",
                duration(np.nanmedian(times[kind])),
                duration(np.nanmedian(times["ordinary"])),
                unless_noise(harness.ratio(times[kind], times["ordinary"]), control),
                f"{control[0]:.2f}–{control[1]:.2f}",
            ]
            for kind in kinds
        ]
    return rows


def case_import(options):
    """What ``import fastbp`` takes beyond ``import numpy``."""
    programs = ["numpy", "fastbp", "numpy "]  # the last is the control
    times = {name: [] for name in programs}
    # With the compiled bytecode that an installed package has, whatever is set here.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for turn in range(2 * options.rounds + 1):
        for name in programs if turn % 2 else reversed(programs):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {name}"], check=True, env=environment)
            if turn:
                times[name].append(time.perf_counter() - begin)
    numpy, fastbp, again = (np.array(times[name]) for name in programs)
    control = harness.spread(again, numpy)
    return [
        [
            f"`import fastbp`, then `import numpy` (between them {duration(beyond)})"
            if (beyond := float(np.median(fastbp - numpy))) > 0
            else "`import fastbp`, then `import numpy`",
            duration(np.median(fastbp)),
            duration(np.median(numpy)),
            unless_noise(harness.ratio(fastbp, numpy), control),
            f"{control[0]:.2f}–{control[1]:.2f}",
        ]
    ]


CASES = {
    "calls": case_calls,
    "numbers": case_numbers,
    "threads": case_threads,
    "import": case_import,
    "chapter1": functools.partial(case_whole, 1),
    "chapter3": functools.partial(case_whole, 3),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, help="one only")
    parser.add_argument("--rounds", type=int, default=21, help="default %(default)s")
    parser.add_argument(
        "--whole-rounds", type=int, default=5, help="of the 30-epoch calls, default %(default)s"
    )
    parser.add_argument("--full", action="store_true", help="30 epochs of the reference too")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    if options.write and options.case:
        parser.error("--write takes all cases")
    rows = []
    for name in [options.case] if options.case else CASES:
        for row in CASES[name](options):
            rows.append(row)
            print(*row, sep=" | ", flush=True)
    facts = harness.about(options.rounds)
    reckoned = "measured whole" if options.full else "reckoned from one epoch"
    text = harness.table(["what", "reference, or first", "fastbp, or then", "ratio", "A/A"], rows)
    text += (
        f"\n\n{SIZES}, mini-batches of 10, on {book_data()[-1]}; of 30 epochs the reference's are "
        f"{reckoned}, {options.whole_rounds} rounds. {harness.origin(facts)}"
    )
    print(f"\n{text}")
    if options.write:
        harness.write(harness.HERE / "README.md", "book", text)


if __name__ == "__main__":
    main()
