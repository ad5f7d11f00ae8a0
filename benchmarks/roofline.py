"""Set the time of a mini-batch against what the processor can do at most.

    python benchmarks/speed.py --json FILE; python benchmarks/roofline.py FILE

The floor is the arithmetic of the three matrix products of each layer (two in the first,
which passes no error on) at the rate of a large matrix product, measured in the same
rounds. ``speed.py --write`` puts this table into benchmarks/README.md too.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import contenders
import harness
import numpy as np


def operations(sizes, batch):
    """Return the floating-point operations of the matrix products of one mini-batch."""
    weights = [m * n for m, n in pairwise(sizes)]
    return 2 * batch * (3 * sum(weights) - weights[0])


def share(found, name):
    """Return the floor as a share of the time taken, in percent, median over rounds."""
    floor = operations(found["sizes"], found["batch"]) / np.array(found["gemm"], float)
    return 100 * float(np.nanmedian(floor / np.array(found["seconds"][name], float)))


def text(report):
    """Return the table for a report of speed.py."""
    rows = []
    for found in report["cells"]:
        if found["data"] != contenders.RANDOM:
            continue  # what is 0 is left out there: another arithmetic
        rate = float(np.nanmedian(np.array(found["gemm"], float)))
        work = operations(found["sizes"], found["batch"])
        shares = {name: share(found, name) for name in found["seconds"]}
        others = {name: s for name, s in shares.items() if not name.startswith("fastbp")}
        best = max(others, key=others.get)
        rows.append(
            [
                f"{found['sizes']} × {found['batch']}",
                found["dtype"],
                harness.figure(work / 1e6),
                harness.figure(rate / 1e9),
                harness.figure(1e6 * work / rate),
                harness.figure(1e6 * np.nanmedian(np.array(found["seconds"]["fastbp"], float))),
                f"{harness.figure(shares['fastbp'])} %",
                f"{harness.figure(others[best])} % ({best})",
            ]
        )
    header = [
        "network × mini-batch",
        "type",
        "Mflop",
        "large GEMM, Gflop/s",
        "floor, µs",
        "fastbp, µs",
        "floor / fastbp",
        "floor / fastest other",
    ]
    return f"{harness.table(header, rows)}\n\n{harness.origin(report['about'])}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(text(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
