"""Time a mini-batch of each optimizer of fastbp.train against plain steps, at [784, 30, 10] × 10.

    python benchmarks/steps.py                both types
    python benchmarks/steps.py --write        and put the table into benchmarks/README.md

Turns, ratios and the A/A control are those of speed.py.
"""

import argparse

import contenders
import harness
import numpy as np
from harness import Program, Worker, figure, ratio, spread, unless_noise

SIZES, BATCH, BATCHES = [784, 30, 10], 10, 1000
PLAIN, AGAIN = "sgd", "sgd (again)"
OPTIMIZERS = (PLAIN, "momentum", "nesterov", "rmsprop", "adam", "adamw", AGAIN)


def prepare(name, dtype):
    """Return an epoch with this optimizer."""
    import fastbp
    from fastbp import network2, optimizers

    X, Y = contenders.samples(BATCH * BATCHES, SIZES, contenders.RANDOM)
    data = fastbp.Dataset(X.astype(dtype), Y.astype(dtype))
    net = network2.Network(SIZES, network2.QuadraticCost, dtype=dtype, random_state=0)
    optimizer = optimizers.TABLE[name.split()[0]](eta=1e-4)
    return Program(
        lambda: fastbp.train(
            net, data, epochs=1, mini_batch_size=BATCH, optimizer=optimizer, shuffle=False,
            evaluate=False,
        )
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    facts, cpu, rows = harness.about(options.rounds), harness.one_processor(), []
    workers = {name: Worker(cpu) for name in OPTIMIZERS}
    try:
        for dtype in ("float64", "float32"):
            for name, worker in workers.items():
                worker.prepare(prepare, name, dtype)
            times = harness.interleave(workers, options.rounds)
            control = spread(times[AGAIN], times[PLAIN])
            for name in OPTIMIZERS[:-1]:
                micros = figure(1e6 * np.nanmedian(times[name]) / BATCHES)
                against = unless_noise(ratio(times[name], times[PLAIN]), control)
                rows.append([dtype, name, micros, "" if name == PLAIN else against])
                print(" | ".join(rows[-1]), flush=True)
            rows.append([dtype, AGAIN, "", f"A/A {control[0]:.2f}–{control[1]:.2f}"])
    finally:
        for worker in workers.values():
            worker.stop()
    table = harness.table(["type", "optimizer", "µs", "to plain steps"], rows)
    text = f"{table}\n\n{harness.origin(facts)}"
    print(f"\n{text}")
    if options.write:
        harness.write(harness.HERE / "README.md", "steps", text)


if __name__ == "__main__":
    main()
