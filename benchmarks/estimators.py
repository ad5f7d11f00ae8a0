"""Compare fastbp's estimators with scikit-learn's: fit, predict, and a grid search in threads.

    python benchmarks/estimators.py               all rows; --rows digits for those that say so
    python benchmarks/estimators.py --write       and put the table into benchmarks/README.md

The products are the five of matrices that a mini-batch of `fit` is made of, by NumPy's BLAS and
into arrays that are there: a ratio beyond theirs takes less than these, which leave out what is 0.
For the grid search it is what these gain from two threads: processors may share a core.

Equal settings, scikit-learn's defaults but for the number of epochs, which is fixed. Each contender
lives in a process of its own, on one thread (the grid search: two); the accuracy of 5 seeds is
compared before the times are. Turns, ratios and the A/A control are those of speed.py. MNIST is
found through $FASTBP_DATA.
"""

import argparse
import warnings
from concurrent.futures import ThreadPoolExecutor

import contenders
import harness
import numpy as np
from harness import AbsentError, Program, Worker, duration, ratio, unless_noise

SEEDS = range(5)
GRID = {"alpha": [1e-4, 1e-3, 1e-2], "hidden_layer_sizes": [(50,), (100,)]}


def data(name, dtype):
    """Return training X, y and test X, y."""
    import fastbp

    if name == "digits":
        digits = fastbp.datasets.load_digits()
        X, y = digits.X.astype(dtype), digits.Y
        return X[:1297], y[:1297], X[1297:], y[1297:]
    training, test = fastbp.datasets.load_mnist()
    return training.X.astype(dtype), training.Y, test.X.astype(dtype), test.Y


def perceptron(whose):
    """Return the classifier of fastbp or scikit-learn."""
    warnings.simplefilter("ignore")  # that it has not converged
    if whose == "fastbp":
        from fastbp.estimators import MLPClassifier
    else:
        try:
            from sklearn.neural_network import MLPClassifier
        except ImportError as error:
            raise AbsentError(str(error)) from None
    return MLPClassifier


def fit(whose, name, dtype, solver, epochs):
    """Fit for so many epochs; the result is the accuracy of each seed."""
    X, y, X_test, y_test = data(name, dtype)
    if whose == "products":
        run = contenders.products((X.shape[1], 100, len(np.unique(y))), X.dtype, 200)
        batches = [X[start : start + 200] for start in range(0, len(X), 200)]
        return Program(lambda: [run(batch) for _ in range(epochs) for batch in batches], list)

    def fitted(seed=0):
        classifier = perceptron(whose)(
            solver=solver, max_iter=epochs, n_iter_no_change=np.inf, random_state=seed
        )
        return classifier.fit(X, y)

    return Program(fitted, lambda: [fitted(seed).score(X_test, y_test) for seed in SEEDS])


def predict(whose, name, dtype, n):
    """Predict n rows; the result is the classes."""
    X, y, X_test, _ = data(name, dtype)
    classifier = perceptron(whose)(max_iter=1, random_state=0).fit(X, y)
    rows = np.ascontiguousarray(X_test[:n])
    return Program(lambda: classifier.predict(rows), lambda: classifier.predict(rows).tolist())


def grid(whose, jobs):
    """Search a grid in so many threads; the result is the best score."""
    import joblib
    from sklearn.model_selection import GridSearchCV

    X, y, _, _ = data("digits", np.float64)
    estimator = perceptron(whose)(max_iter=20, random_state=0)

    def search():
        with joblib.parallel_config("threading", n_jobs=jobs):
            return GridSearchCV(estimator, GRID, cv=5).fit(X, y)

    return Program(search, lambda: search().best_score_)


def products_of_two(whose, jobs):
    """Compute the matrix products of two fits, in so many threads."""
    programs = [fit("products", "digits", np.float64, "adam", 20).step for _ in range(2)]

    def both():
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda step: step(), programs))

    return Program(both, list)


# What is timed: the row's name, the contender and its arguments, and what is asked.
ROWS = [
    *(
        (f"fit, digits, {solver}, {dtype}", fit, ("digits", dtype, solver, 20), 5)
        for solver in ("adam", "sgd")
        for dtype in ("float64", "float32")
    ),
    *(
        (f"fit, MNIST, {solver}, {dtype}", fit, ("mnist", dtype, solver, 1), asked)
        for solver in ("adam", "sgd")
        for dtype, asked in (("float64", 3), ("float32", 2.5))
    ),
    *(
        (f"predict, {n:,} of MNIST, {dtype}", predict, ("mnist", dtype, n), asked)
        for n, asked in ((10_000, 2), (1, 5))
        for dtype in ("float64", "float32")
    ),
]


def measure(make, arguments, rounds):
    """Return seconds of scikit-learn, fastbp and fastbp again, and the results of the first two.

    Of a fit those of its products too.
    """
    cpu = harness.one_processor()
    workers, results = {}, {}
    try:
        names = ("scikit-learn", "fastbp", *(["products"] if make is fit else []), "again")
        for name in names:
            workers[name] = Worker(cpu)
            workers[name].prepare(make, name.replace("again", "fastbp"), *arguments)
        for name in ("scikit-learn", "fastbp"):
            results[name] = workers[name].result()
        return harness.interleave(workers, rounds), results
    finally:
        for worker in workers.values():
            worker.stop()


def agreement(results):
    """Return in words how the two results compare; refuse those that do not."""
    theirs, ours = (np.asarray(results[name]) for name in ("scikit-learn", "fastbp"))
    if len(ours) != len(SEEDS):
        return f"{np.mean(theirs == ours):.4%} alike"
    spread = np.ptp(theirs)
    if abs(theirs.mean() - ours.mean()) > spread:
        raise SystemExit(f"accuracy {ours} against {theirs}: beyond the spread of the seeds")
    return f"{theirs.mean():.2%}, {ours.mean():.2%}"


def measure_grid(rounds):
    """Return seconds with one job, with two in threads, with one again; of products, too."""
    workers = {}
    try:
        for name, make, jobs in (
            ("one", grid, 1),
            ("two", grid, 2),
            ("again", grid, 1),
            ("one of products", products_of_two, 1),
            ("two of products", products_of_two, 2),
        ):
            workers[name] = Worker()
            workers[name].prepare(make, "fastbp", jobs)
        return harness.interleave(workers, rounds)
    finally:
        for worker in workers.values():
            worker.stop()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="", help="only rows that hold this text")
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    facts, found = harness.about(options.rounds), []

    def report(*cells):
        found.append(cells)
        print(*cells, sep=" | ", flush=True)

    for name, make, arguments, asked in ROWS:
        if options.rows not in name:
            continue
        times, results = measure(make, arguments, options.rounds)
        control = harness.spread(times["again"], times["fastbp"])
        report(
            name,
            duration(np.nanmedian(times["scikit-learn"])),
            duration(np.nanmedian(times["fastbp"])),
            unless_noise(ratio(times["scikit-learn"], times["fastbp"]), control),
            asked,
            f"{np.nanmedian(times['scikit-learn'] / times['products']):.2f}" if make is fit else "",
            agreement(results),
            f"{control[0]:.2f}–{control[1]:.2f}",
        )
    name = "grid search of digits, 2 threads to 1"
    if options.rows in name:
        times = measure_grid(options.rounds)
        control = harness.spread(times["again"], times["one"])
        one, two = (duration(np.nanmedian(times[jobs])) for jobs in ("one", "two"))
        gain = unless_noise(ratio(times["one"], times["two"]), control)
        alone = np.nanmedian(times["one of products"] / times["two of products"])
        report(name, one, two, gain, 1.7, f"{alone:.2f}", "", f"{control[0]:.2f}–{control[1]:.2f}")
    header = [
        "what",
        "scikit-learn (or 1 job)",
        "fastbp (or 2 jobs)",
        "ratio",
        "asked",
        "of the products",
        "accuracy, or classes alike",
        "A/A",
    ]
    text = f"{harness.table(header, found)}\n\n{harness.origin(facts)}"
    if options.write:
        harness.write(harness.HERE / "README.md", "estimators", text)


if __name__ == "__main__":
    main()
