"""The options of the command line, their help and their errors."""

import argparse
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from fastbp.cli.tables import InputError, is_number
from fastbp.errors import shown

COSTS = {"cross-entropy": "CrossEntropyCost", "quadratic": "QuadraticCost"}
DTYPES = ("float64", "float32")
TEST_SIZE = 0.2

# Of each command: what it does, and examples.
_TRAIN = """\
Train a network on one part of the data. After each epoch a line says how many samples
of the other, held-out part it classifies rightly.

examples:
  fastbp train digits
  fastbp train mnist --data DIR --hidden 100 --epochs 10
  fastbp train flowers.csv --label species --save flowers.json

MNIST's four .gz files are at https://ossci-datasets.s3.amazonaws.com/mnist/ among other
places. Without --data they are looked for in $FASTBP_DATA, ., ./data, ../data and the user
cache."""
_PREDICT = """\
Print the class of each sample of DATA, one a line. Where DATA holds labels, a last line
on stderr says how many are right. Of digits all 1,797 samples are taken, also those that
a model was trained on; of mnist the 10,000 test images.

examples:
  fastbp predict flowers.json new-flowers.csv
  fastbp predict model.json mnist --data DIR > classes.txt"""
_COMPARE = """\
Train the plain NumPy reference and the compiled class from the same seed, on the same
data in the same order, and print how far they part and how long each takes.

examples:
  fastbp compare digits
  fastbp compare digits --eta 5                 (chaotic: rounding grows)
  fastbp compare mnist --data DIR --epochs 1"""
_INFO = """\
Print versions, SIMD level, compiler, its flags and the platform: what a report of a
problem or of a speed should hold. The SIMD level is the build of the core in use; base
runs on every processor, x86v3 and x86v4 use wider vectors; FASTBP_LEVEL forces one.

example:
  fastbp info"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of bad files."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        # A command's parser refuses what it does not know itself, so as to name its own help.
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = next((word for word in unknown if word.startswith("-")), "")
            hint = nearest(option.partition("=")[0], self._option_string_actions)
            problem = f"unrecognized arguments: {' '.join(unknown)}"
            self.error(f"{problem}; {hint}" if hint else problem)
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            *others, last = action.choices
            problem = f"expected {', '.join(others)} or {last}, got {value!r}"
            hint = nearest(value, action.choices)
            raise argparse.ArgumentError(action, f"{problem}; {hint}" if hint else problem)

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ")
        link = " " if message.endswith("?") else "; "
        raise InputError(f"{message}{link}see '{self.prog} --help'")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint ``did you mean …?`` if ``word`` is close to a known one."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


def parser() -> argparse.ArgumentParser:
    """Return the parser; ``command`` of what it parses is the name of the command."""
    parser = _Parser(
        prog="fastbp",
        description="Train neural networks as in Nielsen's book, on a compiled core.",
        epilog="""\
examples:
  fastbp train digits
  fastbp train flowers.csv --label species --save flowers.json
  fastbp predict flowers.json new-flowers.csv

'fastbp COMMAND --help' explains each command.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastbp {version('fastbp')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, help: str, text: str) -> argparse.ArgumentParser:
        description, epilog = text.split("\n\n", 1)
        command: argparse.ArgumentParser = commands.add_parser(
            name,
            help=help,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        return command

    train = add("train", "train a network and test it on held-out data", _TRAIN)
    _add_data_options(train, label="the last")
    _add_split_options(train)
    _add_training_options(train, epochs=40)
    train.add_argument(
        "--save",
        metavar="FILE",
        help="write the trained model, as JSON or, to a name in .safetensors, as a container "
        "with a digest; network2.load reads both; names of other formats are refused",
    )

    predict = add("predict", "print the class of each sample", _PREDICT)
    predict.add_argument("model", metavar="MODEL", help="a file that 'fastbp train --save' wrote")
    _add_data_options(predict, label="the one that the model knows, else the last")

    compare = add("compare", "train the plain NumPy reference and fastbp side by side", _COMPARE)
    _add_data_options(compare, label="the last")
    _add_split_options(compare)
    _add_training_options(compare, epochs=5)

    add("info", "print versions, SIMD level and compiler", _INFO)
    return parser


def _add_data_options(parser: argparse.ArgumentParser, *, label: str) -> None:
    parser.add_argument(
        "source",
        metavar="DATA",
        help="digits (shipped), mnist, a .npz file with arrays X (n, k) and y (n,), "
        "or a .csv file with a header row",
    )
    parser.add_argument("--data", metavar="DIR", help="folder of the MNIST files")
    parser.add_argument(
        "--label",
        metavar="NAME",
        help=f"column of a .csv file that holds the classes, words or integers (default: {label})",
    )


def _add_split_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test-size",
        type=_option(_float, lambda x: 0 < x < 1, "a fraction between 0 and 1"),
        metavar="FRACTION",
        help=f"part of the samples that is held out, chosen by --seed (default: {TEST_SIZE}; "
        "mnist has its own test set)",
    )
    parser.add_argument(
        "--standardise",
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="bring each feature to mean 0 and deviation 1, as measured on the training part "
        "(default: on for .csv and .npz, off for digits and mnist)",
    )


def _add_training_options(parser: argparse.ArgumentParser, *, epochs: int) -> None:
    def add(name: str, kind: Callable[[str], Any], default: str, metavar: str, help: str) -> None:
        parser.add_argument(
            name, type=kind, default=default, metavar=metavar, help=f"{help} (default: {default})"
        )

    count = _option(_int, lambda n: 1 <= n < 2**63, "an integer of at least 1, below 2**63")
    sizes = "neurons in each hidden layer, such as 30 or 100,30"
    add(
        "--hidden",
        _option(lambda v: [_int(n) for n in v.split(",")], lambda s: min(s) >= 1, sizes),
        "30",
        "N[,N...]",
        "neurons in each hidden layer",
    )
    add("--epochs", count, str(epochs), "N", "passes through the training data")
    add("--mini-batch-size", count, "10", "N", "samples to a step")
    positive = _option(_float, lambda x: 0 < x < math.inf, "a finite number above 0")
    add("--eta", positive, "0.5", "RATE", "learning rate")
    not_negative = _option(_float, lambda x: 0 <= x < math.inf, "a finite number from 0")
    add("--lmbda", not_negative, "0.1", "DECAY", "weight decay (the book's lambda)")
    for name, choices, help in (
        ("--cost", tuple(COSTS), "cost function"),
        ("--dtype", DTYPES, "type of weights and computation"),
    ):
        parser.add_argument(
            name, choices=choices, default=choices[0], help=f"{help} (default: {choices[0]})"
        )
    seed = _option(_int, lambda n: n >= 0, "an integer from 0")
    add("--seed", seed, "0", "N", "decides split, starting weights and the order of the samples")


def _float(value: str) -> float:
    if not is_number(value):
        raise ValueError
    return float(value)


def _int(value: str) -> int:
    if not is_number(value):
        raise ValueError
    return int(value)


def _option(
    kind: Callable[[str], Any], good: Callable[[Any], bool], expected: str
) -> Callable[[str], Any]:
    """Return what turns an option's text into a value, or refuses it."""

    def convert(value: str) -> Any:
        try:
            result = kind(value)
        except ValueError:
            result = None
        if result is None or not good(result):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {shown(value)}")
        return result

    return convert
