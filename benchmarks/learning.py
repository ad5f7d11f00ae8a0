"""Train on MNIST to the accuracies that are promised; print them, and the time.

    python benchmarks/learning.py               both networks, some minutes
    python benchmarks/learning.py --case book   one of them
    python benchmarks/learning.py --write       and put the table into benchmarks/README.md

MNIST is found through $FASTBP_DATA. ``book``: Nielsen, chapter 3, "Handwriting recognition
revisited": his best was 98.04 % of the validation images. ``modern``: wide layers, relu, dropout,
softmax and Adam, judged by the test images after the last epoch.
"""

import argparse
import random
import time

import harness
import numpy as np

SEEDS = range(3)


def book(seed):
    """Return the best accuracy on the validation images in 60 epochs."""
    from fastbp import mnist_loader, network2

    training, validation, _ = mnist_loader.load_data_wrapper()
    random.seed(seed)
    np.random.seed(seed)
    net = network2.Network([784, 100, 10])
    started = time.perf_counter()
    _, right, _, _ = net.SGD(
        training, 60, 10, 0.1, lmbda=5.0, evaluation_data=validation,
        monitor_evaluation_accuracy=True, verbose=False,
    )  # fmt: skip
    return max(right) / len(validation), time.perf_counter() - started


def modern(seed):
    """Return the accuracy on the test images after 30 epochs."""
    import fastbp
    from fastbp import datasets, network2, schedules

    training, test = datasets.load_mnist()
    net = network2.Network(
        [784, 512, 512, 10], network2.LogLikelihoodCost, activation="relu", initializer="he",
        dtype=np.float32, random_state=seed,
    )  # fmt: skip
    started = time.perf_counter()
    fastbp.train(
        net, training, epochs=30, mini_batch_size=128, optimizer="adam", dropout=0.3,
        schedule=schedules.cosine(30), evaluate=False, random_state=seed,
    )  # fmt: skip
    return net.accuracy(test) / len(test), time.perf_counter() - started


CASES = {
    "book": (book, "[784, 100, 10], cross-entropy, λ 5, η 0.1, 60 epochs: best validation"),
    "modern": (
        modern,
        "[784, 512, 512, 10], relu, dropout 0.3, softmax, Adam, float32, 30 epochs: test",
    ),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, help="one of them only")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    if options.write and options.case:
        parser.error("--write takes both")
    rows = []
    for name in [options.case] if options.case else CASES:
        function, what = CASES[name]
        found = []
        for seed in SEEDS:
            found.append(function(seed))
            print(f"{name}, seed {seed}: {found[-1][0]:.2%} in {found[-1][1]:.1f} s", flush=True)
        shares, seconds = zip(*found, strict=True)
        each = ", ".join(f"{share:.2%}" for share in shares)
        rows.append([what, each, f"{np.median(seconds):.0f} s"])
    table = harness.table(["training", f"seeds {', '.join(map(str, SEEDS))}", "a run"], rows)
    text = f"{table}\n\n{harness.origin(harness.about(len(SEEDS)))}"
    print(text)
    if options.write:
        harness.write(harness.HERE / "README.md", "learning", text)


if __name__ == "__main__":
    main()
