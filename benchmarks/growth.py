"""How the cost of a mini-batch grows with its size, and with width and depth.

python benchmarks/growth.py               all of them, float64
python benchmarks/growth.py --along batch
python benchmarks/growth.py --write       and put the tables into benchmarks/README.md
"""

import argparse
from itertools import pairwise

import harness
import numpy as np
import roofline
import speed
from contenders import AGAIN, OURS, RANDOM, contenders

ALONG = {
    "batch": [([784, 30, 10], batch) for batch in (1, 2, 5, 10, 20, 50, 100, 200, 500)],
    "width": [([784, width, 10], 10) for width in (10, 30, 100, 300, 1000)],
    # NumPy's products are OpenBLAS: would a BLAS pay for wide layers?
    "two wide layers": [([784, width, width, 10], 128) for width in (128, 256, 512, 1024, 2048)],
    "depth": [([64] * (hidden + 1) + [10], 10) for hidden in (1, 2, 4, 8)],
}
OTHERS = (speed.NUMPY, "JAX, scan")
FLOP_AN_EPOCH, MOST_STEPS = 4e8, 1000  # more steps of single samples are chaotic


def rows(found):
    """Return the table's row for one cell."""
    sizes, batch = found["sizes"], found["batch"]
    seconds = float(np.nanmedian(found["seconds"][OURS]))
    low, high = found["control"]
    return [
        f"{sizes} × {batch}",
        f"{sum(m * n + n for m, n in pairwise(sizes)):,}",
        harness.figure(1e6 * seconds),
        harness.figure(1e6 * seconds / batch),
        harness.figure(roofline.operations(sizes, batch) / seconds / 1e9),
        f"{harness.figure(roofline.share(found, OURS))} %",
        *(
            harness.unless_noise(found["ratios"][name], found["control"])
            if name in found["ratios"]
            else "absent"
            for name in OTHERS
        ),
        f"{low:.2f}–{high:.2f}",
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--along", choices=ALONG, help="one only")
    parser.add_argument("--rounds", type=int, default=11, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    options = parser.parse_args()
    if options.write and options.along:
        parser.error("--write takes all of them")
    facts = harness.about(options.rounds)
    known = contenders()
    programs = {name: known[name] for name in (OURS, *OTHERS, AGAIN)}
    header = ["network × mini-batch", "parameters", "µs", "µs a sample", "Gflop/s", "of GEMM"]
    header += [*(f"{name} / fastbp" for name in OTHERS), "A/A"]
    parts = []
    for along in [options.along] if options.along else ALONG:
        cells = [
            (sizes, batch, min(MOST_STEPS, steps), RANDOM)
            for sizes, batch in ALONG[along]
            if (steps := max(8, round(FLOP_AN_EPOCH / roofline.operations(sizes, batch))))
        ]
        found = speed.run(programs, cells, ["float64"], options.rounds)
        parts += [f"Along {along}:\n", harness.table(header, map(rows, found)), ""]
        print("\n".join(parts[-3:]), flush=True)
    parts.append(f"fastbp, float64. {harness.origin(facts)}")
    print(parts[-1])
    if options.write:
        harness.write(harness.HERE / "README.md", "growth", "\n".join(parts))


if __name__ == "__main__":
    main()
