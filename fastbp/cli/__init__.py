"""The command line: train, predict, compare, info."""

import importlib
import json
import os
import platform
import random
import sys
import time
import unicodedata
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from fastbp import files, network2, shuffling
from fastbp._dispatch import kernel_info
from fastbp.cli import options, tables
from fastbp.cli.tables import Encoding, InputError, Table
from fastbp.datasets import load_digits, load_mnist, search
from fastbp.errors import DivergenceError, shown, text
from fastbp.samples import Dataset, pairs
from fastbp.training import loop

# How far a last-place change of the starting weights may grow in a stable training. On
# the digits it reaches 4e-14 (float64) and 2e-5 (float32) after 30 epochs up to eta 2,
# and 10 at eta 5.
CHAOTIC = {"float64": 1e-9, "float32": 1e-3}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in ``argv`` and return its exit code.

    0: done; 1: the run failed; 2: a bad option or file; 130: Ctrl-C.
    """
    try:
        args = options.parser().parse_args(argv)
        COMMANDS[args.command](args)
        sys.stdout.flush()
    except InputError as error:
        return _fail(error, 2)
    except BrokenPipeError:
        # Whoever read us has left (| head). What is still buffered must go somewhere at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DivergenceError, MemoryError, OSError, UnicodeEncodeError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", 130)
    return 0


def _fail(problem: object, code: int) -> int:
    print("fastbp:", printable(" ".join(str(problem).split())), file=sys.stderr)
    return code


def printable(words: str) -> str:
    """Return ``words`` with escapes for what a terminal would obey, or not show, as it is.

    Names come from files: control characters, changes of direction, line breaks and halves of
    surrogate pairs are escaped. The joiners of Persian, of Indian scripts and of emoji stay.
    """
    if words.isprintable():
        return words
    return "".join(
        c.encode("unicode_escape").decode("ascii")
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\u200c\u200d"
        else c
        for c in words
    )


def _say(line: str) -> None:
    """Print a line; a name that stdout cannot encode is no reason to end the command."""
    code = sys.stdout.encoding or "utf-8"
    print(printable(line).encode(code, "backslashreplace").decode(code), flush=True)


# -- commands ------------------------------------------------------------------------


def train(args: Namespace) -> None:
    """Train on one part of the data, report the hits on the other after each epoch."""
    if args.save is not None:
        _check_target(args.save)
    task = _task(args)
    net = _network(args, task)
    for line in _headline(args, task, net):
        _say(line)
    hits = running = 0

    def after_epoch(epoch: int) -> None:
        nonlocal hits, running
        hits = net.accuracy(task.test)
        say(_book_line(epoch, hits, task))
        running = epoch + 1

    try:
        with _progress(args.epochs) as say:
            seconds = _descend(net, args, task.training, after_epoch)
    except KeyboardInterrupt:
        outcome = "nothing saved"
        if args.save is not None:
            _save(net, task.encoding, args.save)  # it is left after a whole mini-batch
            outcome = f"saved what was learnt: {args.save}"
        raise KeyboardInterrupt(f"interrupted in epoch {running}; {outcome}") from None
    print(f"Test accuracy: {hits / len(task.test):.2%} ({hits} / {len(task.test)})")
    print(
        f"Training: {seconds / args.epochs:.3g} s per epoch, "
        f"{args.epochs * len(task.training) / seconds:,.0f} samples per second, "
        f"SIMD level {kernel_info()['level']}"
    )
    if args.save is not None:
        _save(net, task.encoding, args.save)
        _say(f"Saved: {args.save}")


def predict(args: Namespace) -> None:
    """Print the class of each sample, and the accuracy on stderr where labels are at hand."""
    net, encoding = _load(args.model)
    _refuse_options(args)
    table = _read(args, encoding)
    n_in = table.X.shape[1]
    if n_in != encoding.n_in:
        expected = f"{tables.count(encoding.n_in, 'feature')}, as the model has"
        raise InputError(text(args.source, expected, n_in))
    outputs = net.feedforward(encoding.inputs(table.X, args.source).T)
    predicted = [encoding.classes[j] for j in outputs.argmax(axis=0)]
    for label in predicted:
        print(printable(str(label)))
    if table.labels is not None:
        sys.stdout.flush()
        hits = sum(map(tables.same, predicted, table.labels))
        n = len(predicted)
        print(f"Accuracy: {hits / n:.2%} ({hits} / {n})", file=sys.stderr)


def compare(args: Namespace) -> None:
    """Train the plain NumPy reference and the fast class side by side, from the same seed."""
    from fastbp.reference import network2 as reference

    task = _task(args)
    fast, twin = _network(args, task), _network(args, task)
    plain: Any = reference  # it carries no types, as the book's programs do not
    cost = plain.COSTS[options.COSTS[args.cost]]
    slow = plain.Network(fast.sizes, cost, random_state=args.seed)
    for line in _headline(args, task, fast):
        _say(line)
    print("The reference computes one sample at a time in NumPy, float64.")
    training, test = pairs(task.training, fast.sizes[-1]), list(task.test)
    slow_seconds = 0.0
    print(f"{'reference':<28}fastbp", flush=True)
    with _progress(args.epochs) as say:

        def after_epoch(epoch: int) -> None:
            nonlocal slow_seconds
            started = time.perf_counter()
            slow.SGD(training, 1, args.mini_batch_size, args.eta, args.lmbda, verbose=False)
            slow_seconds += time.perf_counter() - started
            left = _book_line(epoch, slow.accuracy(test), task)
            say(f"{left:<28}{_book_line(epoch, fast.accuracy(task.test), task)}")

        fast_seconds = _descend(fast, args, task.training, after_epoch)
    ulp = float(np.finfo(fast.dtype).eps)
    twin.weights = [w * fast.dtype.type(1 + ulp) for w in twin.weights]
    _descend(twin, args, task.training, lambda epoch: None)
    apart = _difference(fast, twin)
    print(f"Largest difference of a weight or bias: {_difference(fast, slow):.2g}")
    if args.dtype == "float32":
        print(
            "float32 keeps some 7 digits of a number and the reference 16: this is float32's\n"
            "rounding, not an error; --dtype float64 compares the steps themselves."
        )
    if apart > CHAOTIC[args.dtype]:
        print(
            "Chaotic settings: rounding itself grows, so that a fastbp run from weights one unit\n"
            f"in the last place away ended {apart:.2g} away and no two programs stay together;\n"
            "the steps agree, and the final accuracies as those of two seeds do."
        )
    else:
        print(
            "Stable settings: a fastbp run from weights one unit in the last place away ended\n"
            f"{apart:.2g} away."
        )
    print(
        f"Seconds per epoch: reference {slow_seconds / args.epochs:.3g}, "
        f"fastbp {fast_seconds / args.epochs:.3g} (SIMD level {kernel_info()['level']}); "
        f"ratio {slow_seconds / fast_seconds:.1f}"
    )


def info(args: Namespace) -> None:
    """Print versions, SIMD level, compiler and platform."""
    kernel = kernel_info()
    facts = {
        "fastbp": version("fastbp"),
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": np.__version__,
        "SIMD level": kernel["level"],
        "compiler": kernel["compiler"],
        "flags": kernel["flags"],
        "platform": platform.platform(),
    }
    for name, fact in facts.items():
        print(f"{name:<12}{fact}")


COMMANDS = {"train": train, "predict": predict, "compare": compare, "info": info}


# -- data ----------------------------------------------------------------------------


class Task(NamedTuple):
    """Data to train on, data to judge by, and what the network's numbers mean."""

    training: Dataset
    test: Dataset
    encoding: Encoding
    split: str


def _read(args: Namespace, encoding: Encoding | None = None) -> Table:
    """Return the samples of DATA; of mnist the test images."""
    if args.source == "digits":
        return _table(load_digits())
    if args.source == "mnist":
        return _table(_mnist(args)[1])
    if args.source.lower().endswith(".csv"):
        return tables.read_csv(args.source, args.label, encoding)
    return tables.read_npz(args.source)


def _refuse_options(args: Namespace) -> None:
    """Refuse an unknown kind of data, and options that the kind does not have."""
    name = args.source.lower()
    if args.source not in ("digits", "mnist") and not name.endswith((".npz", ".csv")):
        expected = "digits, mnist, a .npz or a .csv file"
        hint = options.nearest(args.source, ("digits", "mnist"))
        raise InputError(text("DATA", expected, repr(args.source), hint))
    if args.data is not None and args.source != "mnist":
        raise InputError(text("--data", "mnist, whose folder it names", args.source))
    if args.label is not None and not name.endswith(".csv"):
        raise InputError(text("--label", "a CSV file, whose column it names", args.source))


def _table(data: Dataset) -> Table:
    return Table(data.X, data.Y.tolist())


def _mnist(args: Namespace) -> tuple[Dataset, Dataset]:
    try:
        return load_mnist(args.data)
    except FileNotFoundError:
        looked = [f"{folder} ({state})" for folder, state in search(args.data)[1]]
        hint = "'fastbp train --help' says where to get them; --data DIR names their folder"
        expected = "the four IDX files, .gz or not, or mnist.pkl.gz"
        got = f"no complete set in {', '.join(looked)}"
        raise InputError(text("mnist", expected, got, hint)) from None
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error


def _task(args: Namespace) -> Task:
    """Read DATA, split it and bring it to the scale to train on."""
    _refuse_options(args)
    from_file = args.source not in ("digits", "mnist")
    if args.source == "mnist":
        if args.test_size is not None:
            raise InputError(text("--test-size", "other data: mnist has its own test set", "mnist"))
        training, test = _mnist(args)
        encoding = Encoding(training.X.shape[1], list(range(10)))
        split = "its own test set"
    else:
        table = _read(args)
        if table.labels is None:
            raise InputError(text(args.source, "arrays X and y", "X alone", "y holds the classes"))
        classes, places = tables.classes(table.labels, args.source)
        test_size = options.TEST_SIZE if args.test_size is None else args.test_size
        rows, held_out = tables.split(len(places), test_size, args.seed, args.source)
        training, test = (Dataset(table.X[part], places[part]) for part in (rows, held_out))
        encoding = Encoding(table.X.shape[1], classes, table.features, table.label)
        split = f"split at random, seed {args.seed}"
    if from_file if args.standardise is None else args.standardise:
        encoding = replace(encoding, scaling=tables.standardisation(training.X, args.source))
        training, test = (
            Dataset(encoding.inputs(part.X, args.source), part.Y) for part in (training, test)
        )
    return Task(training, test, encoding, split)


# -- training ------------------------------------------------------------------------


def _network(args: Namespace, task: Task) -> network2.Network:
    sizes = [task.encoding.n_in, *args.hidden, len(task.encoding.classes)]
    cost = network2.COSTS[options.COSTS[args.cost]]
    return network2.Network(sizes, cost, dtype=args.dtype, random_state=args.seed)


def _descend(
    net: network2.Network,
    args: Namespace,
    data: Dataset,
    after_epoch: Callable[[int], None],
) -> float:
    """Train as ``SGD`` does, and return the seconds it took without ``after_epoch``."""
    seconds = started = 0.0
    eta, lmbda = args.eta, args.lmbda

    def report(epoch: int, _: Any) -> bool:
        nonlocal seconds, started
        seconds += time.perf_counter() - started
        after_epoch(epoch)
        started = time.perf_counter()
        return False

    with net._writing():
        started = time.perf_counter()
        loop.run(
            net,
            shuffling.EpochOrder(data, net._shuffle(True, lambda: random.shuffle)),
            epochs=range(args.epochs),
            mini_batch_size=args.mini_batch_size,
            eta=lambda epoch: eta,
            l2=lmbda / len(data),
            cost=lambda: net._compiled_cost("update_mini_batch"),
            own_samples=net._own_samples,
            step=lambda mini_batch, n: net.update_mini_batch(mini_batch, eta, lmbda, n),
            check_finite=False,
            after_epoch=report,
        )
    return seconds


def _difference(a: Any, b: Any) -> float:
    """Return the largest difference of any weight or bias of two networks."""
    mine, others = [*a.weights, *a.biases], [*b.weights, *b.biases]
    return max(float(np.abs(p - q).max()) for p, q in zip(mine, others, strict=True))


def _headline(args: Namespace, task: Task, net: network2.Network) -> list[str]:
    encoding = task.encoding
    features = tables.count(encoding.n_in, "feature")
    if encoding.features is not None:  # so that a column that only numbers the rows is noticed
        features += f": {tables.some(encoding.features)}"
    scaled = "" if encoding.scaling is None else "; standardised"
    return [
        f"{args.source}: {tables.count(len(task.training), 'sample')} to train on, "
        f"{len(task.test)} held out ({task.split})",
        f"{features}{scaled}; {len(encoding.classes)} classes",
        f"Network {net.sizes}, {args.cost} cost, {args.dtype}, seed {args.seed}",
        f"Epochs {args.epochs}, mini-batch size {args.mini_batch_size}, eta {args.eta:g}, "
        f"lmbda {args.lmbda:g}",
    ]


def _book_line(epoch: int, hits: int, task: Task) -> str:
    return f"Epoch {epoch}: {hits} / {len(task.test)}"


@contextmanager
def _progress(epochs: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that prints an epoch's line; on a terminal, above a bar."""
    bar = _bar(epochs)
    if bar is None:
        yield lambda line: print(line, flush=True)
        return

    def say(line: str) -> None:
        bar.update()
        bar.write(line, file=sys.stdout)
        sys.stdout.flush()

    with bar:
        yield say


def _bar(epochs: int) -> Any:
    """Return a tqdm bar, or None where there is no terminal or no tqdm."""
    if not sys.stderr.isatty():
        return None
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ModuleNotFoundError:
        return None
    return tqdm(total=epochs, unit=" epochs", leave=False, dynamic_ncols=True, file=sys.stderr)


# -- model files -----------------------------------------------------------------------


def _check_target(path: str) -> None:
    """Refuse a target that cannot be written, before the training rather than after it."""
    if suffix := files.other_format(path):
        hint = f"what is written is no {suffix} file"
        raise InputError(text("--save", "a name in .json or .safetensors", repr(path), hint))
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(text("--save", "the name of a file", repr(path)))
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise InputError(
            text("--save", "a file in a folder that is there, to write to", repr(path))
        )


def _save(net: network2.Network, encoding: Encoding, path: str) -> None:
    """Write a container or the book's JSON, with the encoding; a failure leaves the old file."""
    if files.is_container(path):
        try:
            net._write(path, "network2", net._facts() | encoding.to_json())
        except ValueError as error:  # of too many features
            raise InputError(str(error)) from error
        return
    data = net._to_json() | encoding.to_json() | {"dtype": net.dtype.name}
    files.replace(path, [json.dumps(data).encode("utf-8")])


def _load(path: str) -> tuple[network2.Network, Encoding]:
    """Read what ``_save``, or the book's ``save``, wrote."""
    expected = "a model that 'fastbp train --save' wrote"
    with tables.reading(path, expected, ValueError, RecursionError):
        if files.is_container(path):
            _, data, arrays = files.read(path, "network2")
        else:
            try:
                data = json.loads(files.contents(path).decode("utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                hint = "the model comes first, then the data"
                raise InputError(text(path, expected, "a file that is not JSON", hint)) from error
    dtype = data.get("dtype", "float64") if isinstance(data, dict) else "float64"
    if dtype not in options.DTYPES:
        raise InputError(text(f"{path}: dtype", "float64 or float32", shown(dtype)))
    try:
        if files.is_container(path):
            net = network2.from_container(data, arrays, path)
        else:
            net = network2.from_json(data, path, dtype=dtype)
        return net, Encoding.from_json(data, net.sizes[0], net.sizes[-1], path)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
