"""The command line: what it prints, writes and refuses."""

import csv
import io
import json
import os
import platform
import random
import re
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from importlib.metadata import version

import numpy as np
import pytest
from tolerances import LOCKED_WEIGHTS

import fastbp
from fastbp import Dataset, cli, datasets, files, kernel_info, network2
from fastbp.cli import tables
from fastbp.reference import network2 as reference

NAMES = ["height", "constant", "mass"]
CLASSES = ["ash", "birch", "oak tree"]
DIGITS = ("train", "digits", "--epochs", "2")
PATIENCE = 60  # seconds; that a process ends at all


def samples(n=90, seed=5):
    """Return well separated classes on very different scales; one column is constant."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    X = rng.normal(size=(n, 3)) * 0.3 + np.stack([y, 0 * y, (y == 1) * 2], axis=1)
    return X * [0.01, 0, 1000] + [5, 0.1, -2000], y


def write_csv(path, header, rows, encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def trees(tmp_path):
    """A CSV file with words for classes, in the last column."""
    X, y = samples()
    rows = [[*map(repr, x.tolist()), CLASSES[j]] for x, j in zip(X, y, strict=True)]
    return write_csv(tmp_path / "trees.csv", [*NAMES, "species"], rows)


@pytest.fixture
def command(capsys):
    """Run a command in this process; return its exit code, stdout and stderr."""

    def run(*argv):
        code = cli.main([str(word) for word in argv])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def succeed(command):
    """Run a command that must succeed without a word on stderr; return its lines."""

    def run(*argv):
        code, out, err = command(*argv)
        assert (code, err) == (0, "")
        return out.splitlines()

    return run


def refused(result, *words, code=2):
    """Check that a command ended with this code and one line that holds these words."""
    got, _, err = result
    assert got == code, err
    assert err.startswith("fastbp: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err


def module(*argv, cwd, **options):
    """Start ``python -m fastbp`` as a user does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    argv = [sys.executable, "-m", "fastbp", *argv]
    return subprocess.Popen(argv, cwd=cwd, **(pipes | options))


def hits(lines):
    return [int(m[1]) for line in lines if (m := re.match(r"Epoch \d+: (\d+) / ", line))]


def halves(X, y, seed=0, test_size=0.2):
    """Return training and held-out samples as the command line promises to split them."""
    rows = np.random.default_rng(seed).permutation(len(y))
    n = round(len(y) * test_size)
    return Dataset(X[rows[n:]], y[rows[n:]]), Dataset(X[rows[:n]], y[rows[:n]])


def standardised(training, *parts):
    """Scale by the mean and deviation of ``training``; by 1 what is constant."""
    scale = training.std(axis=0)
    scale[np.ptp(training, axis=0) == 0] = 1
    return [(part - training.mean(axis=0)) / scale for part in parts]


# -- train -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_main_job_reaches_95_percent(succeed, seed):
    """The digits are learnt with the defaults, whatever the seed, and the split is stated."""
    lines = succeed("train", "digits", "--seed", seed)
    counts = hits(lines)
    assert len(counts) == 40
    assert counts[-1] >= 0.95 * 359
    assert "1438 samples" in lines[0]
    assert "359 held out" in lines[0]
    assert f"seed {seed}" in lines[0]
    assert lines[-2] == f"Test accuracy: {counts[-1] / 359:.2%} ({counts[-1]} / 359)"
    figures = re.fullmatch(
        rf"Training: (\S+) s per epoch, (\S+) samples per second, "
        rf"SIMD level {kernel_info()['level']}",
        lines[-1],
    )
    seconds, speed = float(figures[1]), float(figures[2].replace(",", ""))
    assert seconds * speed == pytest.approx(1438, rel=0.01)


@pytest.mark.parametrize(
    ("options", "hidden", "cost", "dtype", "steps"),
    [
        ("", [30], network2.CrossEntropyCost, "float64", (10, 0.5, 0.1)),
        (
            "--hidden 20,15 --mini-batch-size 7 --eta 0.3 --lmbda 2 --cost quadratic "
            "--dtype float32 --seed 3 --test-size 0.3",
            [20, 15],
            network2.QuadraticCost,
            "float32",
            (7, 0.3, 2.0),
        ),
    ],
)
def test_options_reach_the_training(succeed, tmp_path, options, hidden, cost, dtype, steps):
    """The lines and the saved weights are those of the public class with these options."""
    lines = succeed(*DIGITS, *options.split(), "--save", tmp_path / "m.json")
    digits = datasets.load_digits()
    seed, test_size = (3, 0.3) if options else (0, 0.2)
    training, test = halves(digits.X, digits.Y, seed, test_size)
    net = network2.Network([64, *hidden, 10], cost, dtype=dtype, random_state=seed)
    counts = net.SGD(
        training, 2, *steps, test, monitor_evaluation_accuracy=True, verbose=False
    )[1]  # fmt: skip
    assert hits(lines) == counts
    saved = json.loads((tmp_path / "m.json").read_text())
    assert saved["sizes"] == [64, *hidden, 10]
    assert saved["cost"] == cost.__name__
    assert saved["dtype"] == dtype
    assert "mean" not in saved
    for mine, theirs in zip(
        net.weights + net.biases, saved["weights"] + saved["biases"], strict=True
    ):
        np.testing.assert_array_equal(mine, np.array(theirs, dtype))


def test_same_command_same_lines(succeed):
    """A command repeats itself; another seed gives other lines."""
    first, again = succeed(*DIGITS), succeed(*DIGITS)
    assert first[:-1] == again[:-1]
    assert hits(succeed(*DIGITS, "--seed", "1")) != hits(first)


def test_global_generators_are_left_alone(succeed):
    """Everything is drawn from --seed, nothing from the global generators."""
    before = random.getstate(), np.random.get_state()[1].tolist()
    succeed(*DIGITS)
    assert before == (random.getstate(), np.random.get_state()[1].tolist())


def test_evaluation_is_not_timed(succeed, monkeypatch):
    """Seconds per epoch are those of the training alone."""
    slow = network2.Network.accuracy
    monkeypatch.setattr(
        network2.Network, "accuracy", lambda net, data: time.sleep(0.3) or slow(net, data)
    )
    line = succeed(*DIGITS)[-1]
    assert float(re.search(r"(\S+) s per epoch", line)[1]) < 0.25


def test_mnist_is_judged_by_its_own_test_set(succeed, monkeypatch, tmp_path):
    """--data goes to the loader; all training images are trained on; nothing is scaled."""
    X, y = samples(60)
    asked = []

    def load(path):
        asked.append(path)
        return Dataset(X[:40] / 4000, y[:40]), Dataset(X[40:] / 4000, y[40:])

    monkeypatch.setattr(cli, "load_mnist", load)
    lines = succeed("train", "mnist", "--data", "DIR", "--save", tmp_path / "m.json")
    assert asked == ["DIR"]
    assert "40 samples to train on, 20 held out" in lines[0]
    assert hits(lines)
    assert "mean" not in json.loads((tmp_path / "m.json").read_text())


@pytest.mark.mnist
def test_mnist_files(succeed, mnist_path):
    """One epoch on the real files reaches 93 %."""
    lines = succeed("train", "mnist", "--data", mnist_path, "--epochs", "1")
    assert "60000 samples" in lines[0]
    assert hits(lines)[0] > 9300


# -- progress --------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_on_a_terminal(monkeypatch, capsys):
    """On a terminal the bar goes to stderr and the lines stay whole on stdout."""
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main([*DIGITS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(hits(lines)) == 2
    assert "1/2" in terminal.getvalue()
    assert "epoch" in terminal.getvalue()
    assert "Epoch 0:" not in terminal.getvalue()


def test_no_bar_without_tqdm(monkeypatch, capsys):
    """On a terminal without tqdm there are the lines and nothing else."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert cli.main([*DIGITS]) == 0
    assert len(hits(capsys.readouterr().out.splitlines())) == 2
    assert terminal.getvalue() == ""


# -- files, standardising, predict -------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_csv_round_trip(succeed, command, trees, tmp_path, dtype):
    """Predictions of a saved model are those of the net trained by hand, classes by name."""
    model = tmp_path / "m.json"
    lines = succeed("train", trees, "--save", model, "--dtype", dtype, "--epochs", "5")
    X, y = samples()
    training, test = halves(X, y)
    for_training, for_test, everything = standardised(training.X, training.X, test.X, X)
    net = network2.Network([3, 30, 3], dtype=dtype, random_state=0)
    net.SGD(Dataset(for_training, training.Y), 5, 10, 0.5, 0.1, verbose=False)
    expected = [CLASSES[j] for j in net.feedforward(everything.T).argmax(axis=0)]
    n_right = net.accuracy(Dataset(for_test, test.Y))
    assert n_right > 12  # a model that has learnt nothing would prove little
    assert hits(lines)[-1] == n_right

    code, out, err = command("predict", model, trees)
    assert code == 0
    assert out.splitlines() == expected
    right = sum(a == CLASSES[j] for a, j in zip(expected, y, strict=True))
    assert err == f"Accuracy: {right / 90:.2%} ({right} / 90)\n"


def test_scaling_is_measured_on_the_training_part(succeed, trees, tmp_path):
    """Mean and scale are the training part's, and a constant column's scale is 1."""
    succeed("train", trees, "--save", tmp_path / "m.json", "--epochs", "1")
    saved = json.loads((tmp_path / "m.json").read_text())
    training, _ = halves(*samples())
    np.testing.assert_allclose(saved["mean"], training.X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        saved["scale"], [*training.X.std(axis=0)[[0]], 1, training.X[:, 2].std()]
    )
    assert saved["scale"][1] == 1
    assert saved["classes"] == CLASSES
    assert saved["features"] == NAMES
    assert saved["label"] == "species"


@pytest.mark.parametrize("run", ["train", "compare"])
def test_headline_names_the_features(succeed, trees, tmp_path, run):
    """The columns of a CSV file are named, the first 8 of many, so that an id is noticed."""
    line = succeed(run, trees, "--epochs", "1")[1]
    assert line == "3 features: height, constant, mass; standardised; 3 classes"
    rows = [[*range(9), j] for j in "xyxy"]
    wide = write_csv(tmp_path / "wide.csv", [*"abcdefghi", "class"], rows)
    line = succeed(run, wide, "--epochs", "1", "--no-standardise")[1]
    assert line == "9 features: a, b, c, d, e, f, g, h, …; 2 classes"
    assert succeed(run, "digits", "--epochs", "1")[1] == "64 features; 10 classes"


def test_headline_in_any_encoding(tmp_path):
    """A name that stdout cannot encode does not end the training."""
    rows = [[i, i, "xy"[i % 2]] for i in range(10)]
    write_csv(tmp_path / "d.csv", ["größe", "a\nb", "class"], rows)
    ascii = os.environ | {"PYTHONIOENCODING": "ascii"}
    with module("train", "d.csv", "--epochs", "1", cwd=tmp_path, env=ascii) as run:
        out, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (0, "")
    assert out.splitlines()[1].startswith("2 features: gr\\xf6\\xdfe, a\\nb; ")


# What a terminal would obey or not show, and what is to be seen of it.
HOSTILE = {
    "\x1b[31mred\x1b[0m": "\\x1b[31mred\\x1b[0m",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "two\nlines": "two\\nlines",
    "over\rwritten": "over\\rwritten",
    "del\x7f\x08": "del\\x7f\\x08",
    "\x9b1A": "\\x9b1A",
    "next\x85line": "next\\x85line",
    "line\u2028\u2029": "line\\u2028\\u2029",
    "\u202egnp.exe": "\\u202egnp.exe",
    "\u2066isolated\u2069": "\\u2066isolated\\u2069",
    "\ud800": "\\ud800",
    "\ufeffmark": "\\ufeffmark",
    "\0": "\\x00",
}
ORDINARY = [
    "größe",
    "日本語",
    "العربية",
    "می\u200cخواهم",
    "👩\u200d🔬",
    "1\xa0000",
    "e\u0301",
    "a\\b",
    "\ue000",
]


@pytest.mark.parametrize("name", ["m.json", "m.safetensors"])
def test_names_of_classes_are_no_commands_to_a_terminal(command, tmp_path, name):
    """What a model calls its classes is printed on one line each, without control characters."""
    classes = [word for word in [*HOSTILE, *ORDINARY] if name == "m.json" or word != "\ud800"]
    n = len(classes)
    net = network2.Network([n, n], random_state=0)
    net.weights, net.biases = [np.eye(n)], [np.zeros((n, 1))]
    cli._save(net, tables.Encoding(n, classes), str(tmp_path / name))
    np.savez(tmp_path / "d.npz", X=np.eye(n))
    code, out, _ = command("predict", tmp_path / name, tmp_path / "d.npz")
    assert code == 0
    shown = [HOSTILE.get(word, word) for word in classes]
    assert out.split("\n") == [*shown, ""]
    assert not set(out) & {*"\x1b\x07\r\x7f\x08\x9b\x85\u2028\u2029\u202e\u2066\0"}


@pytest.mark.skipif(os.name == "nt", reason="no such names of files")
def test_names_in_files_are_no_commands_to_a_terminal(command, tmp_path):
    """Columns in the headline and in errors, labels, and the name of the file that is saved."""
    word = "\x1b[31mred\u202e"
    escaped = "\\x1b[31mred\\u202e"
    path = tmp_path / f"{word}.csv"
    write_csv(path, [word, "größe", "class"], [[i, i, f"{word}{i % 2}"] for i in range(10)])
    model = tmp_path / f"{word}.json"
    code, out, err = command("train", path, "--epochs", "1", "--save", model)
    assert (code, err) == (0, "")
    assert f"2 features: {escaped}, größe; " in out
    assert f"{escaped}.csv: 8 samples" in out
    assert f"/{escaped}.json" in out.splitlines()[-1]
    results = [command("train", path, "--label", "x"), command("train", path, "--label", word)]
    write_csv(path, [word, word, "class"], [[1, 2, "x"]])
    results.append(command("train", path))
    write_csv(path, ["a", "b"], [[1, word], [2, word]])
    results.append(command("train", path))
    write_csv(path, ["a", "b"], [[word, "x"]])
    results.append(command("train", path))
    results.append(command("predict", model, path))
    np.savez(tmp_path / f"{word}.npz", **{f"{word}X": np.zeros((2, 2))})
    results.append(command("train", tmp_path / f"{word}.npz"))
    results.append(command("train", tmp_path / f"{word}{word}"))
    results.append(command("train", "digits", "--eta", word))
    results.append(command("train", "digits", word))
    for result in results:
        refused(result, "red")
    for _, out, err in results:
        assert not set(out + err) & {*"\x1b\u202e"}


def test_one_is_singular(succeed, command, tmp_path):
    """One feature, one sample: no plural."""
    path = write_csv(tmp_path / "d.csv", ["a", "b"], [[1, "x"], [2, "y"]])
    model = tmp_path / "m.json"
    lines = succeed("train", path, "--test-size", "0.5", "--epochs", "1", "--save", model)
    assert "1 sample to train on, 1 held out" in lines[0]
    assert lines[1].startswith("1 feature: a; ")
    bare = write_csv(tmp_path / "bare.csv", ["c"], [[1]])
    refused(command("predict", model, bare), "the model's 1 feature,")
    refused(command("predict", model, "digits"), "expected 1 feature, as the model has, got 64")


def test_standardise_can_be_switched(succeed, trees, tmp_path):
    """--no-standardise leaves a file's values, --standardise scales the digits."""
    succeed("train", trees, "--no-standardise", "--save", tmp_path / "m.json", "--epochs", "1")
    assert "mean" not in json.loads((tmp_path / "m.json").read_text())
    lines = succeed(*DIGITS, "--standardise", "--save", tmp_path / "d.json")
    digits = datasets.load_digits()
    training, test = halves(digits.X, digits.Y)
    X, X_test = standardised(training.X, training.X, test.X)
    net = network2.Network([64, 30, 10], random_state=0)
    net.SGD(Dataset(X, training.Y), 2, 10, 0.5, 0.1, verbose=False)
    assert hits(lines)[-1] == net.accuracy(Dataset(X_test, test.Y))
    assert "standardised" in lines[1]
    assert succeed(*DIGITS, "--standardize")[:-1] == lines[:-2]
    assert succeed(*DIGITS, "--standardise", "--no-standardize")[:-1] == succeed(*DIGITS)[:-1]


def test_predict_knows_columns_by_name(succeed, command, trees, tmp_path):
    """Without its label column, or in another order, a file is predicted alike."""
    model = tmp_path / "m.json"
    succeed("train", trees, "--save", model, "--epochs", "3")
    _, expected, _ = command("predict", model, trees)
    with open(trees, newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    bare = write_csv(tmp_path / "bare.csv", NAMES, [row[:3] for row in rows])
    assert succeed("predict", model, bare) == expected.splitlines()
    turned = write_csv(
        tmp_path / "turned.csv", ["species", *NAMES[::-1]], [row[::-1] for row in rows]
    )
    code, out, err = command("predict", model, turned)
    assert (code, out) == (0, expected)
    assert err.startswith("Accuracy")
    renamed = write_csv(tmp_path / "renamed.csv", [*NAMES, "kind"], rows)
    refused(command("predict", model, renamed), "renamed.csv, line 1", "'kind'", "--label")
    code, out, err = command("predict", model, renamed, "--label", "kind")
    assert (code, out) == (0, expected)
    assert err.startswith("Accuracy")
    for name in NAMES:  # it would be a feature and the label at once
        result = command("predict", model, trees, "--label", name)
        refused(result, "--label: expected a column that is none of the model's", f"got '{name}'")
    lacking = write_csv(tmp_path / "lacking.csv", NAMES[:2], [row[:2] for row in rows])
    refused(command("predict", model, lacking), "3 features", "'mass'")


def test_label_column_by_name(succeed, tmp_path):
    """--label takes the classes from any column; integers in any form are sorted as numbers.

    A byte order mark, as spreadsheets write it, is no part of the first name.
    """
    X, y = samples()
    words = np.array(["10", "-3.0", "007"])[y]
    rows = [[j, *x] for j, x in zip(words, X, strict=True)]
    path = write_csv(tmp_path / "numbers.csv", ["kind", *NAMES], rows, "utf-8-sig")
    succeed("train", path, "--label", "kind", "--save", tmp_path / "m.json", "--epochs", "3")
    assert json.loads((tmp_path / "m.json").read_text())["classes"] == [-3, 7, 10]


def test_accuracy_counts_numbers_in_any_form(command, tmp_path):
    """A label that is written otherwise counts as its class, an unknown one as wrong."""
    X, y = samples()
    np.savez(tmp_path / "d.npz", X=X, y=y)
    model = tmp_path / "m.json"
    assert command("train", tmp_path / "d.npz", "--save", model)[0] == 0
    _, out, err = command("predict", model, tmp_path / "d.npz")
    assert "(90 / 90)" in err
    rows = [[*x, f"{j}.0"] for x, j in zip(X, out.split(), strict=True)]
    rows[0][-1], rows[1][-1] = "?", "7"
    path = write_csv(tmp_path / "d.csv", [*NAMES, "class"], rows)
    assert "(88 / 90)" in command("predict", model, path)[2]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([-5, 0, 7]), [-5, 0, 7]),
        (np.array([9, 4, 200], np.uint8), [4, 9, 200]),
        (np.array([2.0, 1.0, 0.0]), [0, 1, 2]),
        (np.array([True, False, True]), [0, 1]),
        (np.array(["b", "a", "ä"]), ["a", "b", "ä"]),
        (np.array([2**64 - 1, 0, 1], np.uint64), [0, 1, 2**64 - 1]),
    ],
)
def test_npz_labels(succeed, command, tmp_path, labels, classes):
    """Labels of an NPZ file may be any integers or words; predict gives them back."""
    X, y = samples()
    np.savez(tmp_path / "d.npz", X=X.astype(np.float32), y=labels[y])
    model = tmp_path / "m.json"
    succeed("train", tmp_path / "d.npz", "--save", model)
    assert json.loads(model.read_text(encoding="utf-8"))["classes"] == classes
    code, out, err = command("predict", model, tmp_path / "d.npz")
    assert code == 0
    assert out.splitlines() == [str(classes[classes.index(c)]) for c in labels[y].tolist()]
    assert "100.00%" in err
    np.savez(tmp_path / "bare.npz", X=X)
    assert "\n".join(succeed("predict", model, tmp_path / "bare.npz")) + "\n" == out


def test_saved_model_is_the_books(succeed, tmp_path):
    """network2.load of the package and of the reference read the file."""
    path = tmp_path / "m.json"
    succeed(*DIGITS, "--save", path)
    saved = json.loads(path.read_text())
    for program in (network2, reference):
        net = program.load(path)
        assert net.cost is program.CrossEntropyCost
        for mine, theirs in zip(net.weights, saved["weights"], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_predict_reads_the_books_file(command, tmp_path):
    """A file of network2's save has no classes; they are the outputs' numbers."""
    net = network2.Network([64, 5, 10], random_state=1)
    net.save(tmp_path / "book.json")
    code, out, _ = command("predict", tmp_path / "book.json", "digits")
    expected = net.feedforward(datasets.load_digits().X.T).argmax(axis=0)
    assert code == 0
    assert out.split() == [str(j) for j in expected]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_container_predicts_as_the_json(succeed, command, trees, tmp_path, dtype):
    """The same model by both suffixes: same classes by name, same scaling, same lines."""
    results = []
    for name in ("m.json", "m.safetensors"):
        lines = succeed("train", trees, "--save", tmp_path / name, "--dtype", dtype, "--epochs", 5)
        assert lines[-1] == f"Saved: {tmp_path / name}"
        results.append(command("predict", tmp_path / name, trees))
    assert results[0] == results[1]
    assert results[0][0] == 0
    with pytest.warns(UserWarning, match="standardised"):
        net = network2.load(tmp_path / "m.safetensors")
    assert net.dtype == dtype
    blob = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    refused(command("predict", tmp_path / "m.safetensors", trees), "m.safetensors", "damaged")
    (tmp_path / "m.safetensors").write_text("a,b\n")
    refused(command("predict", tmp_path / "m.safetensors", trees), "m.safetensors", "container")


@pytest.mark.parametrize("name", ["m.json", "m.safetensors"])
def test_load_warns_of_a_model_on_standardised_columns(succeed, command, tmp_path, name):
    """``load`` of either module says what the network takes, the caller's line; else nothing."""
    model, data = tmp_path / name, datasets.load_digits()
    for load in (fastbp.load, network2.load):
        succeed(*DIGITS, "--save", model)
        load(model)  # a warning is an error in these tests
        succeed(*DIGITS, "--standardise", "--save", model)
        with pytest.warns(UserWarning, match=rf"{re.escape(str(model))}: .*standardised") as caught:
            net = load(model)
        assert [warning.filename for warning in caught] == [__file__]
        _, out, _ = command("predict", model, "digits")
        json_name = model.suffix == ".json"
        facts = json.loads(model.read_text()) if json_name else files.read(model, "network2")[1]
        X = (data.X - np.array(facts["mean"])) / facts["scale"]
        predicted = net.feedforward(X.T).argmax(axis=0)
        assert out.split() == [str(facts["classes"][j]) for j in predicted]


@pytest.mark.parametrize(("dtype", "winner"), [("float64", "1"), ("float32", "0")])
def test_predict_computes_as_trained(command, tmp_path, dtype, winner):
    """A model is used in its own dtype: float32 cannot see what makes 1 win here."""
    model = {
        "sizes": [1, 2],
        "weights": [[[1.0], [1 + 1e-12]]],
        "biases": [[[0.0], [0.0]]],
        "cost": "QuadraticCost",
        "dtype": dtype,
    }
    (tmp_path / "m.json").write_text(json.dumps(model))
    write_csv(tmp_path / "d.csv", ["a"], [[1]])
    assert command("predict", tmp_path / "m.json", tmp_path / "d.csv") == (0, f"{winner}\n", "")


def test_failed_save_keeps_the_old_file(succeed, command, tmp_path, monkeypatch):
    """What goes wrong while saving leaves the old file alone in its folder."""
    path = tmp_path / "m.json"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        refused(command(*DIGITS, "--save", path), "No space left", code=1)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["m.json"]
    succeed(*DIGITS, "--save", path)
    assert os.listdir(tmp_path) == ["m.json"]


@pytest.mark.skipif(os.name == "nt", reason="no permission bits")
def test_saved_file_has_usual_permissions(succeed, tmp_path):
    """The umask decides who may read the model, as for any file."""
    (tmp_path / "any").touch()
    succeed(*DIGITS, "--save", tmp_path / "m.json")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("any", "m.json")]
    assert modes[0] == modes[1]


# -- compare -----------------------------------------------------------------------------


def figure(lines, pattern):
    return float(re.search(pattern, "\n".join(lines))[1])


@pytest.mark.parametrize("cost", ["cross-entropy", "quadratic"])
def test_compare_stays_together(succeed, cost):
    """At the defaults both classes print the same lines and end at the same weights."""
    lines = succeed("compare", "digits", "--epochs", "2", "--cost", cost)
    pairs = [re.fullmatch(r"(Epoch \d+: \d+ / 359) +(Epoch.*)", line) for line in lines]
    pairs = [pair for pair in pairs if pair]
    assert len(pairs) == 2
    assert all(pair[1] == pair[2] for pair in pairs)
    assert figure(lines, r"Largest difference of a weight or bias: (\S+)") < LOCKED_WEIGHTS
    assert any(line.startswith("Stable") for line in lines)
    reference_s, fastbp_s = figure(lines, r"reference (\d\S*),"), figure(lines, r"fastbp (\d\S*) ")
    assert figure(lines, r"ratio (\S+)") == pytest.approx(reference_s / fastbp_s, rel=0.02)
    assert hits(succeed("train", "digits", "--epochs", "2", "--cost", cost)) == hits(lines)


def test_compare_says_what_is_chaotic(succeed):
    """At eta 5 rounding grows until the runs part, and the output says so."""
    lines = succeed("compare", "digits", "--epochs", "5", "--eta", "5")
    assert any(line.startswith("Chaotic") for line in lines)
    assert not any(line.startswith("Stable") for line in lines)
    assert figure(lines, r"Largest difference of a weight or bias: (\S+)") > 1e-9


def test_compare_in_float32(succeed):
    """With float32 the difference is its rounding, which the output explains."""
    lines = succeed("compare", "digits", "--epochs", "1", "--dtype", "float32")
    assert 1e-9 < figure(lines, r"Largest difference of a weight or bias: (\S+)") < 1e-3
    assert any("float32's" in line for line in lines)
    assert any(line.startswith("Stable") for line in lines)


def test_compare_sees_a_difference(succeed, monkeypatch):
    """A reference that steps otherwise is reported, so compare does not judge itself."""
    step = reference.Network.update_mini_batch
    monkeypatch.setattr(
        reference.Network,
        "update_mini_batch",
        lambda net, batch, eta, lmbda, n: step(net, batch, eta * (1 + 1e-6), lmbda, n),
    )
    lines = succeed("compare", "digits", "--epochs", "1")
    assert figure(lines, r"Largest difference of a weight or bias: (\S+)") > 1e-8
    assert any(line.startswith("Stable") for line in lines)


# -- refusals ----------------------------------------------------------------------------


def quantities(rows, values):
    """Return a CSV file of so many rows, whose labels are so many different integers."""
    return "\n".join(["a,b", *(f"{i},{i % values}" for i in range(rows))]).encode()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("", ["COMMAND", "--help"]),
        ("nope", ["COMMAND", "nope", "train", "; see 'fastbp --help'"]),
        ("trian digits", ["'trian'", "did you mean train? see 'fastbp --help'"]),
        ("train Digit", ["'Digit'", "did you mean digits?"]),
        ("compare mnits", ["'mnits'", "did you mean mnist?"]),
        ("train", ["DATA"]),
        ("train nope", ["DATA", "digits", "'nope'"]),
        ("train digits --hidden 0", ["--hidden", "'0'"]),
        ("train digits --hidden x", ["--hidden", "'x'"]),
        ("train digits --hidden 3,,3", ["--hidden", "'3,,3'"]),
        ("train digits --hidden 3,1_0", ["--hidden", "'3,1_0'"]),
        ("train digits --epochs 1_0", ["--epochs", "at least 1", "'1_0'"]),
        ("train digits --epochs \u0661", ["--epochs", "at least 1", "'\u0661'"]),
        ("train digits --seed 1_0", ["--seed", "an integer", "'1_0'"]),
        (f"train digits --seed {'9' * 5000}", ["--seed", "an integer", "99…"]),
        ("train digits --eta 1_0", ["--eta", "finite number", "'1_0'"]),
        ("train digits --lmbda infinity", ["--lmbda", "finite number", "'infinity'"]),
        ("train digits --test-size 0.1_1", ["--test-size", "between 0 and 1", "'0.1_1'"]),
        ("train digits --eta nan", ["--eta", "finite", "'nan'"]),
        ("train digits --eta -1", ["--eta", "above 0", "'-1'"]),
        ("train digits --eta inf", ["--eta", "finite", "'inf'"]),
        ("train digits --lmbda -1", ["--lmbda"]),
        ("train digits --test-size 1.5", ["--test-size", "between 0 and 1", "'1.5'"]),
        ("train digits --test-size 0.0001", ["digits", "--test-size"]),
        ("train digits --epochs 0", ["--epochs", "at least 1"]),
        ("train digits --epochs 2.5", ["--epochs", "integer"]),
        (f"train digits --epochs {2**63}", ["--epochs", "below 2**63"]),
        ("train digits --mini-batch-size 0", ["--mini-batch-size"]),
        ("train digits --cost x", ["--cost", "cross-entropy", "quadratic"]),
        ("train digits --dtype int8", ["--dtype", "float32"]),
        ("train digits --seed -1", ["--seed"]),
        ("train digits --epo 3", ["--epo 3; did you mean --epochs? see 'fastbp train --help'"]),
        ("train digits --Eta=3", ["--Eta=3; did you mean --eta?"]),
        ("compare digits --zzz", ["--zzz; see 'fastbp compare --help'"]),
        ("predict m.json digits extra", ["extra; see 'fastbp predict --help'"]),
        ("--versoin", ["COMMAND"]),
        ("train digits --cost quadratics", ["--cost", "did you mean quadratic? see 'fastbp train"]),
        ("train digits --data x", ["--data", "mnist"]),
        ("train digits --label x", ["--label", "CSV"]),
        ("train mnist --test-size 0.5", ["--test-size", "mnist"]),
        ("train mnist --data nowhere", ["mnist", "IDX", "nowhere", "--data"]),
        ("train digits --save .", ["--save", "'.'"]),
        ("train digits --save no/folder", ["--save", "'no/folder'"]),
        *(
            (f"train digits --save m{suffix}", ["--save", f"'m{suffix}'", ".json or .safetensors"])
            for suffix in (
                ".onnx",
                ".npz",
                ".PKL",
                ".pth",
                ".h5",
                ".keras",
                ".csv",
                ".json.gz",
                ".SafeTensors",
            )
        ),
        ("compare digits --save x", ["--save"]),
        ("predict m.json", ["DATA"]),
        ("predict nope.json digits", ["nope.json", "no such file"]),
    ],
)
def test_bad_option(command, monkeypatch, tmp_path, argv, words):
    """A bad option is one line that names it and what is expected."""
    monkeypatch.chdir(tmp_path)
    refused(command(*argv.split()), *words)


# What Python's float takes and no spreadsheet writes, or nobody takes.
NO_NUMBERS = ["1_0", "1e1_0", "\u0661", "\uff11", "1\xa0", "infinity", "-Inf", "NAN", "0x10", "1e",
              ".", "+", "1.5.2", "--1", "1d5", "\u22121"]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        (b"", ["header", "nothing"]),
        (b"a,b\n", ["rows", "none"]),
        (b"a,b\n1,x\n", ["2 classes", "'x'"]),
        (b"a,b\n1,x\n2,x\n3,x\n", ["2 classes", "'x'"]),
        (b"a,b\n1,x\n2,y\n", ["both training and test", "2", "--test-size"]),
        (b"a,b,c\n1,2,x\n1,x\n", ["line 3", "3 columns", "got 2"]),
        (b"a,b,c\n1,2,x\n\n1,two,x\n", ["line 4", "'b'", "finite number", "'two'"]),
        (b"a,b,c\n1,2,x\n1,,x\n", ["line 3", "'b'", "missing"]),
        (b"a,b,c\n1,2,x\n1,nan,x\n", ["line 3", "'b'", "missing"]),
        (b"a,b,c\n1,2,x\n1,-inf,x\n", ["line 3", "'b'", "'-inf'"]),
        (b"a,b,c\n1,2,x\n1,2,\n", ["line 3", "'c'", "class"]),
        (b"a,b,c\n1,2,x\n1,2,NaN\n", ["line 3", "'c'", "class", "'NaN'", "drop rows"]),
        *(
            (
                f"a,b,c\n1,2,x\n1,{cell},y\n".encode(),
                ["line 3", "'b'", "a finite number", repr(cell)],
            )
            for cell in NO_NUMBERS
        ),
        (f"a,b,c\n1,{'9' * 99_999}x,y\n".encode(), ["line 2", "'b'", "a finite number", "99…"]),
        (b"a,b,c\n1,1e400,y\n", ["line 2", "'b'", "a finite number", "'inf'"]),
        (b"a,b\n1,1.5\n2,2.5\n", ["classes", "1.5", "quantities"]),
        (quantities(300, 300), ["expected classes, got 300 different values in 300 rows"]),
        (quantities(41, 21), ["21 different values in 41 rows; fastbp learns classes, not quant"]),
        (b"a;b\n1;x\n", ["line 1", "commas", "a;b"]),
        (b"5.1,x\n4.9,y\n", ["line 1", "names", "5.1"]),
        (b",a,b\n0,1,x\n", ["line 1", "name", "index=False"]),
        (b"a,a,b\n0,1,x\n", ["line 1", "'a'"]),
        (b"\x89PNG\r\n\x1a\n\x00\xff", ["CSV"]),
        (b'a,b\n"1,x\n', ["CSV"]),
        (b"a,b\n1e308,x\n-1e308,y\n1e308,x\n1e308,x\n-1e308,y\n", ["standardise"]),
    ],
)
def test_bad_csv(command, monkeypatch, tmp_path, content, words):
    """A bad CSV file is one line that names file, line and column."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    refused(command("train", "bad.csv"), "bad.csv", *words)


def test_plain_decimal_numbers(tmp_path):
    """Each way to write one is read as what it says."""
    cells = ["7", " 7 ", "+7", "-7", "007", "7.", ".5", "-.5e-1", "1E+3", "2e3", "0.1"]
    path = write_csv(tmp_path / "d.csv", ["a", "b"], [[cell, "x"] for cell in cells])
    found = tables.read_csv(str(path), None).X[:, 0].tolist()
    assert found == [7, 7, 7, -7, 7, 7, 0.5, -0.05, 1000, 2000, 0.1]


def test_labels_that_are_no_numbers_are_words(succeed, tmp_path):
    """1_0 is not 10, nor another script's digit, nor infinity a number."""
    words = ["10", "1_0", "\u0661", "inf", "1e1"]
    rows = [[i, word] for i, word in enumerate(words * 9)]
    path = write_csv(tmp_path / "d.csv", ["a", "b"], rows)
    succeed("train", path, "--epochs", "1", "--save", tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text())["classes"] == sorted(words)
    assert not tables.same("1_0", 10)
    assert not tables.same("\u0661", 1)
    assert tables.same("1e1", 10)
    assert tables.same("007", "7.0")
    assert tables.same("9" * 5000, "9" * 5000)


@pytest.mark.parametrize(("rows", "values"), [(20, 20), (42, 21)])
def test_many_classes(succeed, tmp_path, rows, values):
    """Up to 20 classes, or two samples of each, are classes whatever their number."""
    (tmp_path / "d.csv").write_bytes(quantities(rows, values))
    assert f"{values} classes" in succeed("train", tmp_path / "d.csv", "--epochs", "1")[1]


def test_where_mnist_was_looked_for(command, monkeypatch, tmp_path):
    """Each folder is named, and what is missing there, on one line."""
    (tmp_path / "named" / "mnist").mkdir(parents=True)
    (tmp_path / "named" / "mnist" / "train-images-idx3-ubyte.gz").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("FASTBP_DATA", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "here")
    lacks = "lacks train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
    folders = [
        f"{tmp_path / 'named'} (none of the files)",
        f"{tmp_path / 'named' / 'mnist'} ({lacks})",
        f"{tmp_path / 'here'} (none of the files)",
        f"{tmp_path / 'here' / 'data'} (no such folder)",
        f"{tmp_path / 'data'} (no such folder)",
        f"{tmp_path / 'cache' / 'fastbp'} (no such folder)",
    ]
    for argv in (("train", "mnist"), ("compare", "mnist")):
        refused(command(*argv), "mnist.pkl.gz", "train --help", *folders)
    result = command("train", "mnist", "--data", tmp_path / "named")
    refused(result, f"no complete set in {folders[0]}, {folders[1]}; 'fastbp")


def test_label_must_be_a_column(command, trees):
    """--label with an unknown name shows the names that there are."""
    refused(command("train", trees, "--label", "kind"), "--label", "'kind'", "species")


NPZ = {
    "X alone": ({"X": np.zeros((9, 2))}, ["y"]),
    "no X": ({"a": np.zeros((9, 2)), "y": np.arange(9)}, ["X", "a, y"]),
    "objects": ({"X": np.zeros((2, 1)), "y": np.array([1, None])}, ["Object arrays"]),
    "words": ({"X": np.array([["a"], ["b"]]), "y": np.arange(2)}, ["X", "<U1"]),
    "complex": ({"X": np.zeros((2, 1), complex), "y": np.arange(2)}, ["X", "complex"]),
    "images": ({"X": np.zeros((9, 2, 2)), "y": np.arange(9)}, ["X", "(9, 2, 2)", "reshape"]),
    "none": ({"X": np.zeros((0, 2)), "y": np.arange(0)}, ["X", "(0, 2)"]),
    "nan": ({"X": np.array([[1.0], [np.nan]]), "y": np.arange(2)}, ["X[1, 0]", "nan"]),
    "short y": ({"X": np.zeros((9, 2)), "y": np.arange(8)}, ["y", "(9,)", "(8,)"]),
    "one-hot": ({"X": np.zeros((2, 2)), "y": np.eye(2)}, ["y", "argmax"]),
    "half": ({"X": np.zeros((2, 2)), "y": np.array([0, 0.5])}, ["y[1]", "0.5"]),
    "nan among words": ({"X": np.zeros((2, 2)), "y": np.array(["a", "nan"])}, ["y[1]", "'nan'"]),
    "dates": ({"X": np.zeros((2, 2)), "y": np.array([0, 1], "M8[s]")}, ["y", "datetime"]),
    "no characters": (
        {"X": np.zeros((2, 2)), "y": np.array([97, 2**21], ">u4").view(">U1")},
        ["y", "2097152"],
    ),
    "one class": ({"X": np.zeros((9, 2)), "y": np.zeros(9)}, ["2 classes"]),
}


@pytest.mark.parametrize("case", NPZ)
def test_bad_npz(command, tmp_path, case):
    """A bad NPZ file is one line that names file and array."""
    arrays, words = NPZ[case]
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(command("train", tmp_path / "bad.npz"), "bad.npz", *words)


def npy(array):
    """Return an array as the content of a file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(path, X, y, *, compression=zipfile.ZIP_DEFLATED, claim=None):
    """Write an NPZ file of these contents; ``claim`` goes over what it says of X's sizes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("X.npy", X)
        archive.writestr("y.npy", y)
    if claim is not None:
        content = path.read_bytes()
        at = content.index(b"PK\x01\x02") + 20  # packed and unpacked, in the central directory
        path.write_bytes(content[:at] + struct.pack("<2I", *claim) + content[at + 8 :])


X_OF_9, Y_OF_9 = npy(np.zeros((9, 2))), npy(np.arange(9))
SHAPE = b"(9, 2), }" + b" " * 11
X_OF_1E9 = X_OF_9.replace(SHAPE, b"(999999999, 2), }   ")


@pytest.mark.parametrize(
    ("X", "y", "options", "words"),
    [
        (b"", Y_OF_9, {}, ["an NPZ file of plain arrays"]),
        (X_OF_9, b"", {}, ["an NPZ file of plain arrays"]),
        (b"1,2\n", Y_OF_9, {}, ["an NPZ file of plain arrays"]),
        (X_OF_9[:6] + b"\3\0" + X_OF_9[8:], Y_OF_9, {}, ["X", "another format"]),
        (X_OF_9[:50], Y_OF_9, {}, ["an NPZ file of plain arrays"]),
        (X_OF_9[:-8], Y_OF_9, {}, ["X", "272 bytes, as its header says, got 264"]),
        (X_OF_9 + b"\0", Y_OF_9, {}, ["X", "272 bytes, as its header says, got 273"]),
        (X_OF_1E9, Y_OF_9, {}, ["X", "16000000112 bytes, as its header says, got 272"]),
        (X_OF_9.replace(SHAPE, b"(-9, -2), }         "), Y_OF_9, {}, ["an NPZ file"]),
        (
            X_OF_9.replace(b"(9, 2), }", b"(9" + b"0" * 4000 + b", 90), }"),
            Y_OF_9, {}, ["an NPZ file"],
        ),
        (X_OF_9, Y_OF_9, {"compression": zipfile.ZIP_BZIP2}, ["X", "another compression"]),
        (X_OF_9, Y_OF_9, {"compression": zipfile.ZIP_LZMA}, ["X", "another compression"]),
        (
            X_OF_9.replace(SHAPE, b"(9999999, 2), }     "), Y_OF_9,
            {"claim": (80, 159999984 + 128)}, ["X", "160000112 bytes"],
        ),
        (
            X_OF_9.replace(SHAPE, b"(9999999, 2), }     "), Y_OF_9,
            {"claim": (2**31, 9999999 * 16 + 128)}, ["X"],
        ),
    ],
)  # fmt: skip
def test_npz_members(command, tmp_path, X, y, options, words):
    """A member that is no array, or claims more than there is: one line, and no memory taken."""
    zipped(tmp_path / "bad.npz", X, y, **options)
    tracemalloc.start()
    try:
        refused(command("train", tmp_path / "bad.npz"), "bad.npz", *words)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_damaged_npz(command, tmp_path):
    """No damage to an NPZ file makes more than one line."""
    X, y = samples()
    path = tmp_path / "bad.npz"
    np.savez(path, X=X, y=y)
    good = path.read_bytes()
    for content in (b"", b"PK", good[:-200], good[:400], b"\x93NUMPY" + good, good[600:]):
        path.write_bytes(content)
        refused(command("train", path), "bad.npz", "NPZ")
    path.write_bytes(good[:500] + bytes(20) + good[520:])
    refused(command("train", path), "bad.npz", "CRC")


def test_folder_instead_of_a_file(command, tmp_path):
    """A folder with the name of a file is refused as what it is."""
    for name in ("d.csv", "d.npz"):
        (tmp_path / name).mkdir()
        refused(command("train", tmp_path / name), name)
    refused(command("predict", tmp_path, "digits"), str(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("not JSON", ["train --save", "got a file that is not JSON; the model comes first, then"]),
        ("[" + "9" * 5000 + "]", ["train --save", "digits"]),
        ("[1, 2]", ["sizes"]),
        ("[" * 100_000, ["train --save"]),
        ({"weights": 5}, []),
        ({"weights": [[[10**400]]]}, []),
        ({"sizes": [64, 5, "x"]}, ["sizes"]),
        ({"cost": "os.system"}, ["cost"]),
        ({"cost": ["x"]}, []),
        ({"dtype": "int8"}, ["dtype", "int8"]),
        ({"classes": [1, 2]}, ["classes", "10"]),
        ({"classes": [[]] * 10}, ["classes"]),
        ({"features": "x" * 64}, ["features", "64"]),
        ({"features": ["x"] * 64}, ["features", "distinct"]),
        ({"features": [f"x{k}" for k in range(64)], "label": "x7"}, ["features", "label"]),
        ({"label": 3}, ["label"]),
        ({"mean": [0.0] * 64}, ["mean and scale"]),
        ({"mean": [0.0] * 64, "scale": [1.0] * 63}, ["scale", "64"]),
        ({"mean": [0.0] * 64, "scale": [1.0] * 63 + [0.0]}, ["scale"]),
        ({"mean": [10**400] * 64, "scale": [1.0] * 64}, ["too large"]),
        ({"mean": [float("nan")] + [0.0] * 63, "scale": [1.0] * 64}, ["mean"]),
    ],
)
def test_bad_model(command, tmp_path, change, words):
    """A file that is no model, or a damaged one, is one line that names it."""
    path = tmp_path / "m.json"
    network2.Network([64, 5, 10]).save(path)
    if isinstance(change, dict):
        change = json.dumps(json.loads(path.read_text()) | change)
    path.write_text(change)
    refused(command("predict", path, "digits"), "m.json", *words)


def test_model_and_data_in_the_wrong_order(command, tmp_path):
    """Data in the place of the model are refused as that, of whatever kind they are."""
    X, y = samples()
    np.savez(tmp_path / "d.npz", X=X, y=y)
    (tmp_path / "d.csv").write_text("a,b\n1,x\n2,y\n")
    network2.Network([64, 10]).save(tmp_path / "m.json")
    for name in ("d.npz", "d.csv"):
        result = command("predict", tmp_path / name, tmp_path / "m.json")
        refused(result, name, "not JSON; the model comes first, then the data")


def test_class_that_cannot_be_printed(tmp_path):
    """A class that stdout cannot encode is one line, not a traceback."""
    path = tmp_path / "m.json"
    network2.Network([64, 10]).save(path)
    saved = json.loads(path.read_text()) | {"classes": ["größe"] * 10}
    path.write_text(json.dumps(saved))
    ascii = os.environ | {"PYTHONIOENCODING": "ascii"}
    with module("predict", "m.json", "digits", cwd=tmp_path, env=ascii) as run:
        out, err = run.communicate(timeout=PATIENCE)
    refused((run.returncode, out, err), "encode", code=1)


def test_model_must_fit_the_data(command, succeed, trees, tmp_path):
    """A model for 3 features refuses the digits and a CSV file of other width."""
    X, y = samples()
    np.savez(tmp_path / "d.npz", X=X, y=y)
    succeed("train", tmp_path / "d.npz", "--save", tmp_path / "m.json", "--epochs", "1")
    refused(command("predict", tmp_path / "m.json", "digits"), "3 features", "64")
    wide = write_csv(tmp_path / "wide.csv", list("abcde"), [range(5)])
    refused(command("predict", tmp_path / "m.json", wide), "3 features", "5 columns")


def test_divergence_is_a_failed_run(command, tmp_path):
    """A run that diverges ends with exit code 1 and its reason, and saves nothing."""
    result = command(*DIGITS, "--eta", "1e308", "--save", tmp_path / "m.json")
    refused(result, "eta = 1e+308", "NaN or infinite", code=1)
    assert os.listdir(tmp_path) == []


def test_too_large_a_network(command):
    """A network that no memory holds is one line, not a traceback."""
    refused(command(*DIGITS, "--hidden", 10**17), "parameters", code=1)


# -- the process ---------------------------------------------------------------------------


def interrupted(*argv, cwd, after="Epoch 9:"):
    """Send Ctrl-C once a line that starts with ``after`` is out; return what is left."""
    # Tests that a shell started with & ignore SIGINT, and so would all that they start.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = module(*argv, cwd=cwd)
    finally:
        signal.signal(signal.SIGINT, handler)
    with run:
        late = threading.Timer(PATIENCE, run.kill)
        late.start()
        for line in run.stdout:
            if line.startswith(after):
                run.send_signal(signal.SIGINT)
                break
        # Not communicate: it would lose the lines that were read ahead.
        out, err = run.stdout.read(), run.stderr.read()
        run.wait()
        late.cancel()
    return run.returncode, out, err


def test_ctrl_c(tmp_path):
    """Ctrl-C in the training ends it with a short line and exit code 130."""
    code, out, err = interrupted("train", "digits", "--epochs", "1000000", cwd=tmp_path)
    assert code == 130
    epoch = int(re.fullmatch(r"fastbp: interrupted in epoch (\d+); nothing saved\n", err)[1])
    lines = 10 + len(hits(out.splitlines()))
    assert epoch in (lines - 1, lines)  # it may come while the last line is on its way
    assert os.listdir(tmp_path) == []


def test_ctrl_c_saves_what_was_learnt(command, tmp_path):
    """With --save the model is written as trained so far, and predict can use it."""
    argv = ("train", "digits", "--epochs", "1000000", "--save", "m.json")
    code, _, err = interrupted(*argv, cwd=tmp_path)
    assert code == 130
    expected = r"fastbp: interrupted in epoch \d+; saved what was learnt: m\.json\n"
    assert re.fullmatch(expected, err)
    assert os.listdir(tmp_path) == ["m.json"]
    _, _, err = command("predict", tmp_path / "m.json", "digits")
    assert float(re.match(r"Accuracy: (\S+)%", err)[1]) > 90


def test_ctrl_c_in_the_evaluation_belongs_to_its_epoch(command, monkeypatch, tmp_path):
    """The epoch that is named is the one whose line was not yet printed; its steps are kept."""
    counts = []

    def accuracy(net, data):
        counts.append(net.weights)
        if len(counts) == 3:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(network2.Network, "accuracy", accuracy)
    path = tmp_path / "m.json"
    result = command("train", "digits", "--save", path)
    refused(result, f"interrupted in epoch 2; saved what was learnt: {path}", code=130)
    for mine, saved in zip(counts[-1], json.loads(path.read_text())["weights"], strict=True):
        np.testing.assert_array_equal(mine, saved)


def test_ctrl_c_outside_the_training(command, monkeypatch, tmp_path):
    """Before a training, and in compare, Ctrl-C has nothing to save and names no epoch."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli, "load_digits", stop)
        code, _, err = command("train", "digits", "--save", tmp_path / "m.json")
    assert (code, err) == (130, "fastbp: interrupted\n")
    monkeypatch.setattr(network2.Network, "accuracy", stop)
    code, _, err = command("compare", "digits")
    assert (code, err) == (130, "fastbp: interrupted\n")
    assert os.listdir(tmp_path) == []


def test_reader_that_leaves(tmp_path):
    """A closed pipe, as of ``| head``, ends the command without a word."""
    with module("train", "digits", "--epochs", "1000000", cwd=tmp_path) as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait(PATIENCE) == 1


def test_reader_that_is_not_there(tmp_path):
    """Output that is buffered to the end is dropped as quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with module("info", cwd=tmp_path, stdout=writer, env=buffered) as run:
        os.close(writer)
        _, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (1, "")


def test_module_runs(tmp_path):
    """``python -m fastbp`` is the command line, with its exit codes."""
    with module("train", "digits", "--epochs", "1", cwd=tmp_path) as run:
        out, err = run.communicate(timeout=PATIENCE)
    assert (run.returncode, err) == (0, "")
    assert len(hits(out.splitlines())) == 1
    with module("train", "nope", cwd=tmp_path) as run:
        out, err = run.communicate(timeout=PATIENCE)
    refused((run.returncode, out, err), "'nope'")
    assert out == ""


def test_info(succeed):
    """info says what a report of a problem needs."""
    text = "\n".join(succeed("info"))
    for fact in (*kernel_info().values(), np.__version__, platform.python_version()):
        assert fact in text
    assert platform.platform() in text


def test_info_explains_the_level(capsys):
    """The help of info says what the SIMD level is, and what forces one."""
    with pytest.raises(SystemExit):
        cli.main(["info", "--help"])
    flat = " ".join(capsys.readouterr().out.split())
    assert "base runs on every processor" in flat
    assert "FASTBP_LEVEL forces one" in flat


@pytest.mark.parametrize("command_name", ["", "train", "predict", "compare", "info"])
def test_help(capsys, command_name):
    """Each help ends well, shows an example, and a default wherever there is one."""
    with pytest.raises(SystemExit) as end:
        cli.main([*command_name.split(), "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert f"  fastbp {command_name}" in out
    assert "example" in out
    assert "None" not in out
    if command_name in ("train", "compare"):
        flat = " ".join(out.split())
        for default in ("0.2;", "30)", "10)", "0.5)", "0.1)", "cross-entropy)", "float64)", "0)"):
            assert f"(default: {default}" in flat


def test_version(capsys):
    """--version prints name and version."""
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"fastbp {version('fastbp')}\n"
