"""The shipped digits, the readers of MNIST's files, and the book's loader."""

import gzip
import io
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pickles import expanded

from fastbp import datasets, mnist_loader, pickles

PICKLES = Path(__file__).parent / "pickles"
SPLIT = (6, 2, 2)
STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array):
    """Return an array of unsigned bytes as the content of an IDX file."""
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder, content, name=str, pack=bytes):
    """Write the four files, ``content`` by stem, under changed names and packed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, data in content.items():
        (folder / name(stem)).write_bytes(pack(data))


def python2_array(array):
    """Return the codes with which Python 2's cPickle, protocol 2, writes an array."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def number(value):
        return b"J" + struct.pack("<i", value)

    raw = array.tobytes()
    dtype = (
        b"cnumpy\ndtype\n"
        + text(array.dtype.str[1:].encode())
        + b"K\x00K\x01\x87R(K\x03"
        + text(array.dtype.str[:1].encode())
        + b"NNN"
        + number(-1)
        + number(-1)
        + b"K\x00tb"
    )
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        + text(b"b")
        + b"\x87R(K\x01("
        + b"".join(map(number, array.shape))
        + b"t"
        + dtype
        + b"\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )


def python2_pickle(parts):
    """Return (training, validation, test) as the book's program pickled it."""
    pairs = (python2_array(x) + python2_array(y) + b"\x86" for x, y in parts)
    return b"\x80\x02(" + b"".join(pairs) + b"t."


@pytest.fixture(scope="module")
def pixels():
    """Ten random images as bytes, the extreme values among them."""
    made = np.random.default_rng(2).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    made[0, 0, :2] = 0, 255
    return made


@pytest.fixture(scope="module")
def labels():
    """Ten labels, each once."""
    return np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7], np.uint8)


@pytest.fixture(scope="module")
def content(pixels, labels):
    """The four files of a set of 8 training and 2 test images."""
    return dict(zip(STEMS, map(idx, (pixels[:8], labels[:8], pixels[8:], labels[8:])), strict=True))


@pytest.fixture(scope="module")
def parts(pixels, labels):
    """The same ten images as the book's pickle holds them."""
    x, y = pixels.reshape(10, 784).astype(np.float32) / 256, labels.astype(np.int64)
    return (x[:6], y[:6]), (x[6:8], y[6:8]), (x[8:], y[8:])


@pytest.fixture
def check(pixels, labels):
    """A function which demands that arrays read are the ten images, exactly."""

    def equal(arrays):
        *arrays, counts = arrays
        assert counts == SPLIT
        for got, expected, dtype in zip(
            arrays,
            (pixels.reshape(10, 784) / 256, labels),
            (np.float32, np.int64),
            strict=True,
        ):
            assert got.dtype == dtype
            assert got.shape == expected.shape
            assert got.flags.c_contiguous
            assert got.flags.writeable
            np.testing.assert_array_equal(got, expected)

    return equal


def test_digits():
    """The shipped digits are 1,797 rows of sixteenths in [0, 1], with the known label counts."""
    digits = datasets.load_digits()
    assert len(digits) == 1797
    assert digits.X.shape == (1797, 64)
    assert digits.X.dtype == np.float64
    assert digits.X.flags.c_contiguous
    np.testing.assert_array_equal(np.unique(digits.X), np.arange(17) / 16)
    assert zlib.crc32((16 * digits.X).astype(np.uint8)) == 4087501628  # scikit-learn's order
    assert digits.Y.dtype == np.int64
    assert np.bincount(digits.Y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_are_those_of_scikit_learn():
    """The shipped digits are scikit-learn's, in the same order."""
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    ours = datasets.load_digits()
    np.testing.assert_array_equal(ours.X, theirs.data / 16)
    np.testing.assert_array_equal(ours.Y, theirs.target)


def test_digits_state_their_licence():
    """The licence file beside the digits names authors, source, licence and changes."""
    text = Path(datasets.__file__).with_name("data").joinpath("DIGITS-LICENSE.txt").read_text()
    for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "test-set part"):
        assert part in text


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_files(tmp_path, content, check, pack, dotted, end):
    """IDX files are read under each of their names, packed or not, whatever the name says."""
    write_idx(tmp_path, content, lambda s: (s.replace("-idx", ".idx") if dotted else s) + end, pack)
    check(datasets.mnist_arrays(tmp_path, SPLIT))


@pytest.mark.parametrize("protocol", ["Python 2", 1, 2, 3, 4, 5])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_pickles(tmp_path, parts, check, protocol, pack):
    """The book's file is read as Python 2 wrote it and as Python 3 writes it again."""
    made = python2_pickle(parts) if protocol == "Python 2" else pickle.dumps(parts, protocol)
    (tmp_path / "mnist.pkl.gz").write_bytes(pack(made))
    check(datasets.mnist_arrays(tmp_path, SPLIT))
    check(datasets.mnist_arrays(str(tmp_path / "mnist.pkl.gz"), SPLIT))


def test_python2_pickle_is_one(parts):
    """The pickle made here by hand is what an unrestricted unpickler takes for the arrays."""
    for (x, y), (expected_x, expected_y) in zip(
        pickle.loads(python2_pickle(parts), encoding="latin1"), parts, strict=True
    ):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("<f4", "<i4"),
        (">f4", ">i8"),
        ("<f4", "|u1"),
        ("<f8", "<i8"),
        (">f8", "<u2"),
        ("<f2", "|i1"),
    ],
)
@pytest.mark.parametrize("make", [lambda parts: pickle.dumps(parts, 5), python2_pickle])
def test_pickled_number_types(tmp_path, parts, check, image, label, make):
    """Byte order and width of the pickled numbers do not matter."""
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(make([(x.astype(image), y.astype(label)) for x, y in parts]))
    check(datasets.mnist_arrays(file, SPLIT))


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("form", [np.asfortranarray, lambda x: x[:, ::-1][:, ::-1]])
def test_the_order_of_a_pickled_array(tmp_path, parts, check, protocol, form):
    """An array in the order of Fortran, or one that is a view, is the same array."""
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(pickle.dumps([(form(x), y) for x, y in parts], protocol))
    check(datasets.mnist_arrays(file, SPLIT))


@pytest.mark.parametrize("dtype", ["|u1", "<i8", "<f4", "<f8"])
@pytest.mark.parametrize("form", ["arrays", "lists"])
def test_pixels_from_0_to_255(tmp_path, parts, check, dtype, form):
    """They are divided by 256, as the book's are, whatever their type."""

    def of(x, y):
        x = (256 * x).astype(dtype)
        return (x, y) if form == "arrays" else (list(x[:, :, None]), list(y))

    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps([of(x, y) for x, y in parts], 2))
    check(datasets.mnist_arrays(file, SPLIT))


def test_pixels_from_0_to_1_stay(tmp_path, parts):
    """Also where white is 1, and in all three sets alike."""
    file, white = tmp_path / "a.pkl", np.float32(256 / 255)
    file.write_bytes(pickle.dumps([(x * white, y) for x, y in parts]))
    images, _, _ = datasets.mnist_arrays(file, SPLIT)
    np.testing.assert_array_equal(images, np.concatenate([x for x, _ in parts]) * white)
    # One set of nothing but black and 1 is of the same unit as the others.
    black = (parts[2][0] > 2).astype(np.float32)
    black[0, 0] = 1
    file.write_bytes(pickle.dumps([*((256 * x, y) for x, y in parts[:2]), (black, parts[2][1])]))
    images, _, _ = datasets.mnist_arrays(file, SPLIT)
    assert images[8:].max() == 1 / 256


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_an_expanded_set(tmp_path, protocol, columns):
    """What the book's expand_mnist.py writes: lists of so many arrays and scalars, in order."""
    training, validation, test = expanded.sets()
    images, labels = expanded.expanded(training)
    if columns:
        images = [image.reshape(784, 1) for image in images]
    file = tmp_path / "mnist_expanded.pkl.gz"
    file.write_bytes(gzip.compress(pickle.dumps(((images, labels), validation, test), protocol)))
    (x, y), *others = read_expanded(file)
    np.testing.assert_array_equal(x, np.array(images).reshape(20, 784))
    np.testing.assert_array_equal(y, labels)
    for got, expected in zip(others, (validation, test), strict=True):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
        assert (got[0].dtype, got[1].dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("protocol", [0, 2])
def test_an_expanded_set_of_python_2(protocol):
    """The files that Python 2 itself wrote hold the same pairs, and the other sets, bit for bit."""
    training, validation, test = expanded.sets()
    (x, y), *others = read_expanded(PICKLES / f"python2-protocol{protocol}.pkl.gz")
    found = sorted((label, image.tobytes()) for image, label in zip(x, y.tolist(), strict=True))
    images, labels = expanded.expanded(training)
    assert found == sorted(
        (int(j), image.tobytes()) for image, j in zip(images, labels, strict=True)
    )
    for got, expected in zip(others, (validation, test), strict=True):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


def test_the_loader_takes_an_expanded_set(tmp_path, monkeypatch):
    """Given its path; as many pairs to train on as there are."""
    monkeypatch.setattr(datasets, "SPLIT", (4, 2, 1))
    monkeypatch.setattr(datasets.mnist_arrays, "__defaults__", (None, (4, 2, 1)))
    file = PICKLES / "python2-protocol2.pkl.gz"
    (x, y), validation, test = mnist_loader.load_data(file)
    assert [len(x), len(y), len(validation[0]), len(test[0])] == [20, 20, 2, 1]
    training, validation, test = mnist_loader.load_data_wrapper(file)
    assert [len(training), len(validation), len(test)] == [20, 2, 1]
    assert [target.argmax() for _, target in training] == y.tolist()
    assert {image.shape for image, _ in training} == {(784, 1)}
    everything, judged = datasets.load_mnist(file)
    assert (len(everything), len(judged)) == (22, 1)


def read_expanded(file):
    """Return the three sets of a file, as pairs of arrays."""
    images, labels, counts = datasets.mnist_arrays(file, (4, 2, 1))
    assert counts == (20, 2, 1)
    cuts = np.cumsum(counts)[:-1]
    return list(zip(np.split(images, cuts), np.split(labels, cuts), strict=True))


def test_an_expanded_set_takes_little_memory(tmp_path):
    """Of 2,000 images as float64 at most three times what is returned."""
    images = [*np.random.default_rng(1).random((2000, 784))]
    labels = [np.int64(i % 10) for i in range(2000)]
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(((images, labels), expanded.sets()[1], expanded.sets()[2]), 2))
    del images
    tracemalloc.start()
    try:
        found = datasets.mnist_arrays(file, (4, 2, 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[2] == (2000, 2, 1)
    assert peak < 3.2 * found[0].nbytes


def test_a_long_text_in_quotes(tmp_path):
    """Of protocol 0: an array's data in pieces, of which no escape is cut in two."""
    draw = random.Random(3)
    for n in range(2**16 - 40, 2**16 + 40):
        # Escapes of one, two and four characters, backslashes among them.
        data = bytes(draw.choices(b"\\\\\\a\n\x00'", k=n // 2))
        quoted = repr(data)[1:].encode()
        stream = io.BufferedReader(io.BytesIO(b"S" + quoted + b"\n."))
        assert pickles.load(stream) == data


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The default places, in order, in an otherwise empty world."""
    here = tmp_path / "project" / "chapter1"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("FASTBP_DATA", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "fastbp"
    places = tmp_path / "named", here, here / "data", here.parent / "data", cache
    return [folder for place in places for folder in (place, place / "mnist")]


def test_order_of_places(places, content):
    """The first folder with a complete set wins, each place before its subfolder mnist."""
    for mark, folder in enumerate(places):
        write_idx(folder, content | {STEMS[3]: idx(np.array([mark, mark]))})
    for mark, folder in enumerate(places):
        assert datasets.mnist_arrays(split=SPLIT)[1][8:].tolist() == [mark, mark]
        # One file less and the set is not complete.
        (folder / STEMS[mark % 4]).unlink()
    with pytest.raises(FileNotFoundError):
        datasets.mnist_arrays(split=SPLIT)


def test_cache_in_the_home_folder(places, content, monkeypatch, check):
    """Without XDG_CACHE_HOME the user cache is ~/.cache; an empty variable is none."""
    if os.name == "nt":
        pytest.skip("Windows keeps its caches elsewhere")
    monkeypatch.setenv("FASTBP_DATA", "")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(places[0]))
    write_idx(places[0] / ".cache" / "fastbp", content)
    check(datasets.mnist_arrays(split=SPLIT))


@pytest.mark.parametrize("place", [2, 4], ids=[".", "data"])
def test_pickle_in_a_default_place(places, parts, check, place):
    """The book's pickle is found too: beside the program, as of the Python 3 ports, or in data."""
    places[place].mkdir(exist_ok=True)
    (places[place] / "mnist.pkl.gz").write_bytes(gzip.compress(python2_pickle(parts)))
    check(datasets.mnist_arrays(split=SPLIT))


def test_argument_is_the_only_place(places, content, tmp_path, check):
    """With an argument no other place is looked at; its subfolder mnist is."""
    write_idx(places[0], content)
    with pytest.raises(FileNotFoundError) as caught:
        datasets.mnist_arrays(tmp_path / "empty", SPLIT)
    assert str(tmp_path / "empty") in str(caught.value)
    assert not any(str(folder) in str(caught.value) for folder in places)
    write_idx(tmp_path / "empty" / "mnist", content)
    check(datasets.mnist_arrays(tmp_path / "empty", SPLIT))


@pytest.mark.parametrize(
    "load", [datasets.load_mnist, mnist_loader.load_data, mnist_loader.load_data_wrapper]
)
def test_nothing_found(places, content, load):
    """Without files the error says which are expected, where it looked, how to get them."""
    write_idx(places[4], {STEMS[0]: content[STEMS[0]], STEMS[2]: content[STEMS[2]]})
    places[6].mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        load()
    text = str(caught.value)
    states = dict.fromkeys(places, "no such folder")
    states[places[4]] = f"lacks {STEMS[1]}, {STEMS[3]}"
    states[places[2]] = states[places[6]] = "none of the files"
    looked = [f"  {folder}: {state}" for folder, state in states.items()]
    assert [line for line in text.splitlines() if line.startswith("  ")] == looked
    for part in (*STEMS, "mnist.pkl.gz", "$FASTBP_DATA", "argument"):
        assert part in text
    for part in ('fetch_openml("mnist_784", version=1', "torchvision", "Keras", "https://"):
        assert part in text


@pytest.mark.parametrize(
    ("number", "damage", "expected"),
    [
        (0, lambda data: data[:-1], "expected 6288 bytes, got 6287; truncated"),
        (0, lambda data: data + b"\0", "expected 6288 bytes, got more; trailing bytes"),
        (0, lambda data: data[:10], "expected an IDX header of 16 bytes, got a file of 10"),
        (1, lambda data: b"", "expected an IDX header of 8 bytes, got a file of 0"),
        (2, lambda data: b"\0\0\x0d" + data[3:], "the magic number 0x0803, got 0x0d03"),
        (1, lambda data: idx(np.zeros((8, 28, 28))), "the magic number 0x0801, got 0x0803"),
        (0, lambda data: idx(np.zeros((7, 28, 28))), r"dimensions \(8, 28, 28\), got \(7, 28, 28"),
        (0, lambda data: idx(np.zeros((8, 14, 56))), r"dimensions \(8, 28, 28\), got \(8, 14, 56"),
        (0, lambda data: data[:4] + b"\xff" * 4 + data[8:], r"got \(4294967295, 28, 28\)"),
        (3, lambda data: idx(np.zeros(3)), r"expected dimensions \(2,\), got \(3,\)"),
        (1, lambda data: idx(np.array([1, 2, 11, 4, 5, 12, 7, 8])), r"\[2\].* 0..9, got 11"),
        (3, lambda data: idx(np.array([9, 255])), r"\[1\].* 0..9, got 255"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_damaged_idx(tmp_path, content, number, damage, expected, pack):
    """A damaged IDX file is a ValueError with its name, what was expected and what was got."""
    stem = STEMS[number]
    write_idx(tmp_path, content | {stem: damage(content[stem])}, pack=pack)
    with pytest.raises(ValueError, match=f"{stem}.*{expected}"):
        datasets.mnist_arrays(tmp_path, SPLIT)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data[:5],
        lambda data: data[:-8] + bytes(8),
        lambda data: data[:40] + bytes(40) + data[80:],
        lambda data: data + b"rubbish",
    ],
    ids=["cut", "cut header", "checksum", "overwritten", "appended"],
)
def test_damaged_gzip(tmp_path, content, parts, damage):
    """A damaged gzip file is a ValueError with its name, for IDX files and for the pickle."""
    write_idx(tmp_path, content, lambda s: s + ".gz", lambda data: damage(gzip.compress(data)))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: expected a whole gzip"):
        datasets.mnist_arrays(tmp_path, SPLIT)
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(damage(gzip.compress(python2_pickle(parts))))
    with pytest.raises(ValueError, match=r"mnist\.pkl\.gz: expected a whole gzip"):
        datasets.mnist_arrays(file, SPLIT)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "mnist.pkl.gz"])
def test_gzip_bomb(tmp_path, content, parts, name):
    """A file that would unpack to 64 MiB is refused with less than 1 MiB of memory taken."""
    write_idx(tmp_path, content)
    (tmp_path / STEMS[0]).unlink()
    start = content[STEMS[0]] if "idx" in name else python2_pickle(parts)
    (tmp_path / name).write_bytes(gzip.compress(start + bytes(2**26)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"{name}: expected .* got more"):
            datasets.mnist_arrays(tmp_path, SPLIT)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def changed(parts, part, which, change):
    """Return the parts with one array replaced by ``change`` of a copy of it."""
    made = [list(pair) for pair in parts]
    array = made[part][which].copy()
    result = change(array)
    made[part][which] = array if result is None else result
    return made


def put(*where_and_value):
    """Return a function that sets one element."""
    *where, value = where_and_value
    return lambda array: array.__setitem__(tuple(where), value)


@pytest.mark.parametrize(
    ("part", "which", "change", "expected"),
    [
        (0, 0, lambda x: x.astype(np.complex64), "got numbers of type 'c8'"),
        (0, 0, lambda x: x.astype(bool), "got numbers of type 'b1'"),
        (0, 1, lambda y: y.astype(np.float32), r"training labels: expected integers .* float32"),
        (0, 0, lambda x: x[:, :783], r"training images: expected numbers of shape \(6, 784\)"),
        (0, 1, lambda y: y[:5], r"training labels: expected integers of shape \(6,\), got int64"),
        (1, 0, lambda x: x.reshape(2, 28, 28), r"\(2, 784\), got float32 of shape \(2, 28, 28\)"),
        (
            2,
            0,
            lambda x: x[:1],
            r"test images: expected numbers of shape \(2, 784\), got float32 of",
        ),
        (2, 1, lambda y: y[:1], r"test labels: expected integers of shape \(2,\), got int64"),
        (1, 1, put(1, 11), r"validation labels\[1\]: expected a label 0..9, got 11"),
        (1, 1, put(0, -1), r"validation labels\[0\]: expected a label 0..9, got -1"),
        (
            0,
            0,
            put(3, 5, 255.5),
            r"training images\[3, 5\]: expected a pixel .* 0 to 255, got 255.5",
        ),
        (0, 0, put(3, 5, np.inf), r"training images\[3, 5\]: expected a pixel .* got inf"),
        (0, 0, put(3, 5, -0.5), r"training images\[3, 5\]: expected .* got -0.5"),
        (2, 0, put(1, 783, np.nan), r"test images\[1, 783\]: expected .* got nan"),
        (
            0,
            0,
            lambda x: list(x[:, :783]),
            r"training images\[0\]: expected numbers of shape \(784,",
        ),
        (0, 0, lambda x: [*x[:5], 7], r"training images\[5\]: expected a numpy array of numbers"),
        (0, 0, lambda x: [], "training images: expected 1 to 600,000 of them, got 0"),
        (0, 0, lambda x: [*x, x[0]], r"training labels: expected integers of shape \(7,\)"),
        (0, 1, lambda y: [*y, y[0]], "training labels: expected 6 integers, .* a list of 7 values"),
        (0, 1, lambda y: [*y[:5], 2.0], "got the pickle code BINFLOAT"),
        (0, 1, lambda y: [*y[:5], np.float64(2)], "training labels: expected 6 integers"),
        (0, 1, lambda y: [*y[:5], True], "training labels: expected 6 integers"),
        (
            0,
            1,
            lambda y: [*y[:5], 2**70],
            r"training labels\[5\]: expected a label 0..9, got 11805",
        ),
        (
            0,
            1,
            lambda y: [*y[:5], np.uint8(10)],
            r"training labels\[5\]: expected a label 0..9, got 10",
        ),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_wrong_arrays_in_a_pickle(tmp_path, parts, part, which, change, expected, protocol):
    """Types, shapes and values in the pickle are checked, and the error says which array."""
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(pickle.dumps(changed(parts, part, which, change), protocol))
    with pytest.raises(ValueError, match=rf"mnist\.pkl\.gz: .*{expected}"):
        datasets.mnist_arrays(file, SPLIT)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda parts: pickle.dumps(parts[:2], 2), "expected .training, validation, test."),
        (lambda parts: pickle.dumps(b"abc", 4), "expected .training, validation, test."),
        (lambda parts: pickle.dumps([[1, 2], [3, 4], [5, 6]], 2), "expected a numpy array"),
        (lambda parts: pickle.dumps([("f4", "i8"), ("a", "b"), ("c", "d")], 2), "expected a numpy"),
        (lambda parts: pickle.dumps([parts[0]] * 3, 2), "a reference to nothing, a tuple or"),
        (lambda parts: python2_pickle(parts)[:-9], "got the end of the file"),
        (lambda parts: python2_pickle(parts) + b".", "got more behind the pickle's end"),
        (lambda parts: b"", "got the end of the file"),
        (lambda parts: b"(((", "got the end of the file"),
        (lambda parts: b"]" + b"(" * 50 + b".", "got "),
        (lambda parts: b"\x80\x02cnumpy\ndtype\nNb.", "got a state of no array"),
        (lambda parts: b"\x80\x02NNR.", "got a call of no function"),
        (lambda parts: b"\x80\x02cnumpy\ndtype\n]R.", "got a call of no function"),
        (lambda parts: b"\x80\x02cnumpy\nndarray\n)R.", "got a call of no function"),
        (lambda parts: b"\x80\x02N\x86.", "got a tuple of too few"),
        (lambda parts: b"\x80\x02NNa.", "got an item for no list"),
        (
            lambda parts: python2_pickle(parts).replace(b"(J\6\0\0\0", b"(J\7\0\0\0"),
            "got an array of",
        ),
        (
            lambda parts: python2_pickle(parts).replace(b"(J\6\0\0\0", b"(J\xff\xff\xff\xff"),
            "shape",
        ),
        (
            # The shape says six rows, the data hold five.
            lambda parts: python2_pickle(changed(parts, 0, 0, lambda x: x[:5])).replace(
                b"(J\5\0\0\0", b"(J\6\0\0\0"
            ),
            "got an array of 15680 bytes whose shape and type take others",
        ),
        (
            # A shape of tuples within tuples, whose text would have 2**60 parts.
            lambda parts: python2_pickle(parts).replace(
                b"(J\6\0\0\0J\x10\3\0\0t", b"N\x85" + b"q\0h\0\x86" * 60
            ),
            "got a reference to nothing, a tuple",
        ),
        (
            lambda parts: python2_pickle(parts).replace(
                b"(J\6\0\0\0J\x10\3\0\0t", b"N" + b"\x85" * 100_000
            ),
            "got an array without a shape",
        ),
    ],
)
def test_wrong_structure_of_a_pickle(tmp_path, parts, make, expected):
    """A pickle of anything else than three pairs of arrays is a ValueError with its name."""
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(make(parts))
    with pytest.raises(ValueError, match=rf"mnist\.pkl\.gz: .*{expected}"):
        datasets.mnist_arrays(file, SPLIT)


def test_characters_that_no_byte_makes(tmp_path, parts):
    """Text that stands for bytes in a pickle of Python 3 holds characters 0..255, or is refused."""

    def code(text):
        return b"X" + struct.pack("<I", len(text.encode())) + text.encode()

    raw = parts[2][0].tobytes().decode("latin1")
    made = pickle.dumps(parts, 2)
    assert made.count(code(raw)) == 1
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(made.replace(code(raw), code("\u0100" + raw[1:])))
    with pytest.raises(ValueError, match="'latin-1' codec can't encode character"):
        datasets.mnist_arrays(file, SPLIT)


class Command:
    """Pickles as a call of os.system."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
def test_malicious_pickle(tmp_path, parts, protocol):
    """A pickle that calls os.system is refused by that name, and nothing is executed."""
    witness = tmp_path / "executed"
    file = tmp_path / "mnist.pkl.gz"
    made = pickle.dumps((*parts, Command(f"echo > {witness}")), protocol)
    file.write_bytes(gzip.compress(made))
    with pytest.raises(
        ValueError, match=rf"mnist\.pkl\.gz: .* '{os.name}\.system'; nothing .* was executed"
    ):
        datasets.mnist_arrays(file, SPLIT)
    assert not witness.exists()
    pickle.loads(made)
    assert witness.exists()


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (b"\x80\x02cbuiltins\neval\n.", "'builtins.eval'"),
        (b"\x80\x02cnumpy\nload\n.", "'numpy.load'"),
        (b"\x80\x02cnumpy.core.multiarray\nfromstring\n.", "'numpy.core.multiarray.fromstring'"),
        (b"\x80\x02c_codecs\ndecode\n.", "'_codecs.decode'"),
        (b"\x80\x02c" + b"a" * 10_000 + b"\nb\n.", "no line of at most 200 characters, b'a{80}'"),
        (b"\x80\x02c" + b"a" * 100 + b"\nb\n.", "a reference to 'a{80}'"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "'os.system'"),
        (b"(S'echo'\nios\nsystem\n.", "the pickle code INST"),
        (b"(ios\nsystem\n.", "the pickle code INST"),
        (b"\x80\x02\x82\x01.", "the pickle code EXT1"),
        (b"Pname\n.", "the pickle code PERSID"),
        (b"\x80\x02}.", "the pickle code EMPTY_DICT"),
        (b"\x80\x02)\x81.", "the pickle code NEWOBJ"),
        (b"\x80\x05\x97.", "the pickle code NEXT_BUFFER"),
        (b"\x80\x02\xff.", r"the pickle code b'\\xff'"),
        (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.", f"more than {2**31} bytes"),
        (b"\x80\x02T\xff\xff\xff\xff.", f"more than {2**31} bytes"),
        (b"\x80\x02B\xff\xff\xff\x7f.", "the end of the file"),
        (b"\x80\x02Nr\xff\xff\xff\x7f0.", "the pickle code POP"),
        (b"I" + b"9" * 5000 + b"\n.", "no line of at most 200"),
        (b"S'a\n.", "a text without quotes"),
        (b"S'a\\'\n.", "got Trailing"),
        (b"S'" + b"a" * 70_000, "the end of the file"),
        (b"g5\n.", "a reference to nothing"),
    ],
)
def test_refused_pickle_codes(tmp_path, made, refused):
    """Names and codes that the book's file has not are refused before they act."""
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(made)
    with pytest.raises(ValueError, match=refused):
        datasets.mnist_arrays(file, SPLIT)


@pytest.mark.thorough
def test_a_hostile_pickle_is_bounded(tmp_path, monkeypatch):
    """However many codes there are, or bytes of data, or images that are one: an error."""
    file = tmp_path / "mnist.pkl.gz"
    monkeypatch.setattr(pickles, "_MOST_CODES", 1000)
    monkeypatch.setattr(pickles, "_MOST_BYTES", 100_000)
    quoted = b"S'" + b"\\x00" * 60_000 + b"'\n"
    for content, bound in (
        (b"]" * 2_000 + b".", "more than 1000 pickle codes"),
        ((b"B" + struct.pack("<I", 60_000) + bytes(60_000)) * 2 + b".", "more than 100000 bytes"),
        (quoted * 2 + b".", "more than 100000 bytes"),
    ):
        file.write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match=bound):
            datasets.mnist_arrays(file, SPLIT)
    monkeypatch.setattr(pickles, "_MOST_CODES", 10**7)
    image, labels = np.zeros(784, np.float32), np.zeros(2, np.int64)
    made = ([image] * 600_001, labels), (labels, labels), (labels + 1, labels + 1)
    file.write_bytes(pickle.dumps(made, 2))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expected 1 to 600,000 of them, got 600001"):
            datasets.mnist_arrays(file, SPLIT)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_pickle_that_claims_more_than_it_has(tmp_path):
    """Memory is asked for as the bytes come."""
    file = tmp_path / "mnist.pkl.gz"
    for content in (b"B\xff\xff\xff\x7f", b"T\xff\xff\xff\x7f", b"\x96\0\0\0\x70\0\0\0\0"):
        file.write_bytes(content + bytes(1000))
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match="the end of the file"):
                datasets.mnist_arrays(file, SPLIT)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_the_memo_may_have_gaps(tmp_path, parts, check):
    """A place of 2**32 - 1 takes no more memory than any other, and can be referred to."""
    made = python2_pickle(parts)
    name = b"cnumpy.core.multiarray\n_reconstruct\n"
    first, *others = made.split(name)
    made = first + name + b"r\xff\xff\xff\xff" + b"j\xff\xff\xff\xff".join(others)
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(made)
    check(datasets.mnist_arrays(file, SPLIT))


AUDIT = """
import sys
from fastbp import datasets
events = []
sys.addaudithook(lambda event, arguments: events.append((event, str(arguments[0]))))
datasets.mnist_arrays(sys.argv[1], (6, 2, 2))
found, events = events, []
print(found == [("open", sys.argv[1])] or found)
"""


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_reading_a_pickle_opens_one_file_and_does_nothing_else(tmp_path, parts, protocol):
    """An audit hook sees no import, and no name looked up; the names stand for our functions."""
    file = tmp_path / "mnist.pkl"
    file.write_bytes(pickle.dumps(parts, protocol))
    command = [sys.executable, "-c", AUDIT, str(file)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout == "True\n", found.stdout + found.stderr
    functions = [function for function in pickles._NAMES.values() if function is not None]
    assert {function.__module__ for function in functions} == {"fastbp.pickles"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "kind", ["IDX", "Python 2", "Python 3", "protocol 5", "lists", "protocol 0"]
)
def test_mutated_files(tmp_path, content, parts, kind):
    """A few bytes changed anywhere give a ValueError, or arrays of the right kind."""
    draw = random.Random(1)
    name = STEMS[1] if kind == "IDX" else "mnist.pkl.gz"
    good = {
        "IDX": content[STEMS[1]],
        "Python 2": python2_pickle(parts),
        "Python 3": pickle.dumps(parts, 4),
        "protocol 5": pickle.dumps(parts, 5),
        "lists": pickle.dumps([(list(x), list(y)) for x, y in parts], 2),
        "protocol 0": gzip.decompress((PICKLES / "python2-protocol0.pkl.gz").read_bytes()),
    }[kind]
    split = (4, 2, 1) if kind == "protocol 0" else SPLIT
    write_idx(tmp_path, content if kind == "IDX" else {})
    # The bytes around the data are the ones that matter.
    spots = [i for i in range(len(good)) if i < 700 or i > len(good) - 700]
    refused = 0
    for _ in range(1000):
        data = bytearray(good)
        for spot in draw.sample(spots, draw.randint(1, 3)):
            data[spot] = draw.randrange(256)
        (tmp_path / name).write_bytes(data)
        try:
            x, y, counts = datasets.mnist_arrays(tmp_path, split)
        except ValueError:
            refused += 1
            continue
        assert counts[1:] == split[1:]
        assert (x.shape, y.shape) == ((sum(counts), 784), (sum(counts),))
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert 0 <= x.min() <= x.max() <= 1
        assert 0 <= y.min() <= y.max() <= 9
    assert refused


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with 60,000 + 10,000 images; the first three pixels hold the image's number."""
    folder = tmp_path_factory.mktemp("whole")
    images = np.zeros((70_000, 28, 28), np.uint8)
    number = np.arange(70_000)
    for pixel in range(3):
        images[:, 0, pixel] = number >> 8 * pixel & 255
    labels = number // 3 % 10
    arrays = images[:60_000], labels[:60_000], images[60_000:], labels[60_000:]
    write_idx(folder, dict(zip(STEMS, map(idx, arrays), strict=True)))
    yield folder
    shutil.rmtree(folder)


def numbers(x):
    """Return the numbers of images from the whole set, exactly."""
    return (x[:, :3].reshape(-1, 3) * 256).astype(int) @ [1, 2**8, 2**16]


def test_load_mnist(whole, monkeypatch):
    """load_mnist gives two Datasets, 60,000 and 10,000 rows in the files' order."""
    monkeypatch.setenv("FASTBP_DATA", str(whole))
    for data, expected in zip(
        datasets.load_mnist(), (np.arange(60_000), np.arange(60_000, 70_000)), strict=True
    ):
        assert len(data) == len(expected)
        assert data.X.shape == (len(expected), 784)
        assert data.X.dtype == np.float32
        assert data.Y.dtype == np.int64
        np.testing.assert_array_equal(numbers(data.X), expected)
        np.testing.assert_array_equal(data.Y, expected // 3 % 10)


def test_load_mnist_demands_the_whole_set(tmp_path, content):
    """A smaller set is refused by load_mnist, with both sizes."""
    write_idx(tmp_path, content)
    with pytest.raises(ValueError, match=r"expected dimensions \(60000, 28, 28\), got \(8, 28, 28"):
        datasets.load_mnist(tmp_path)


SPLITS = (np.arange(50_000), np.arange(50_000, 60_000), np.arange(60_000, 70_000))


def test_load_data(whole):
    """load_data gives the book's split as three pairs of arrays."""
    parts = mnist_loader.load_data(whole)
    assert type(parts) is tuple
    for part, expected in zip(parts, SPLITS, strict=True):
        assert type(part) is tuple
        x, y = part
        assert x.shape == (len(expected), 784)
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        np.testing.assert_array_equal(numbers(x), expected)
        np.testing.assert_array_equal(y, expected // 3 % 10)


def test_load_data_wrapper(whole):
    """load_data_wrapper gives three lists of pairs, the training labels as unit columns."""
    lists = mnist_loader.load_data_wrapper(whole)
    assert type(lists) is tuple
    for pairs, expected in zip(lists, SPLITS, strict=True):
        assert type(pairs) is list
        assert {type(pair) for pair in pairs} == {tuple}
        assert {(x.shape, x.dtype.str) for x, _ in pairs} == {((784, 1), "<f4")}
        np.testing.assert_array_equal(numbers(np.array([x[:3] for x, _ in pairs])), expected)
        assert len({id(x.base) for x, _ in pairs}) == 1
        assert all(x.flags.c_contiguous for x, _ in pairs[:10])
    training, *labelled = lists
    # Both are views of the array of 60,000 images: nothing was copied.
    assert training[0][0].base is labelled[0][0][0].base
    assert {(y.shape, y.dtype.str) for _, y in training} == {((10, 1), "<f8")}
    assert len({id(y.base) for _, y in training}) == 1
    digits = SPLITS[0] // 3 % 10
    np.testing.assert_array_equal(np.array([y for _, y in training])[:, :, 0], np.eye(10)[digits])
    for pairs, expected in zip(labelled, SPLITS[1:], strict=True):
        assert {type(y) for _, y in pairs} == {np.int64}
        assert [y for _, y in pairs] == (expected // 3 % 10).tolist()


@pytest.mark.parametrize("j", [0, 7, np.int64(9)])
def test_vectorized_result(j):
    """vectorized_result gives the unit column of a digit, a new one each time."""
    e = mnist_loader.vectorized_result(j)
    assert e.shape == (10, 1)
    assert e.dtype == np.float64
    assert np.flatnonzero(e).tolist() == [j]
    assert e[j, 0] == 1.0
    assert mnist_loader.vectorized_result(j) is not e


@pytest.mark.mnist
def test_real_mnist(mnist_path):
    """The real MNIST has the known label counts, mean pixel and first labels."""
    training, test = datasets.load_mnist(mnist_path)
    assert training.Y[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.Y[:5].tolist() == [7, 2, 1, 0, 4]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(training.Y).tolist() == counts
    assert np.bincount(test.Y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # Sums of whole numbers below 2**53 are exact, so these published means are too.
    assert (training.X * 256).mean(dtype=np.float64) == 33.318421449829934
    assert (test.X * 256).mean(dtype=np.float64) == 33.791224489795916


@pytest.mark.mnist
def test_real_mnist_through_the_book_s_pickle(mnist_path, tmp_path):
    """The real images packed as the book packs them come back bit for bit, in the same order."""
    parts = mnist_loader.load_data(mnist_path)
    file = tmp_path / "mnist.pkl.gz"
    file.write_bytes(python2_pickle(parts))
    for (x, y), (expected_x, expected_y) in zip(mnist_loader.load_data(file), parts, strict=True):
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)
    file.unlink()
