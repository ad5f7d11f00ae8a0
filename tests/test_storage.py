"""Files: what is written comes back, whole and to the bit, or there is one clear error."""

import hashlib
import importlib.metadata
import json
import os
import random
import re
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from lanes import corpus, fuzz
from safetensors.numpy import load_file

import fastbp
from fastbp import FormatError, files, network, network2

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.glob("v*"))
NETWORKS = corpus.networks()
CONTAINERS = [name for name in NETWORKS if files.is_container(name)]
windows = pytest.mark.skipif(os.name == "nt", reason="no such files or permissions")


def equal(a, b):
    """Assert that two networks are the same, to the bit."""
    assert type(a) is type(b)
    assert list(a.sizes) == list(b.sizes)
    assert a.num_layers == b.num_layers
    assert a.dtype == b.dtype
    if isinstance(a, network2.Network):
        assert a.cost is b.cost
        assert a.activations == b.activations
    for mine, theirs in zip(a.biases + a.weights, b.biases + b.weights, strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        assert mine.tobytes() == theirs.tobytes()
        assert mine.flags.c_contiguous
        assert mine.flags.owndata
        assert mine.flags.writeable


# -- there and back ------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back(name, tmp_path):
    """Class, sizes, dtype, cost, activations and every bit; what is loaded can be trained."""
    net = NETWORKS[name]
    net.save(tmp_path / name)
    loaded = fastbp.load(tmp_path / name)
    equal(loaded, net)
    equal(fastbp.load(str(tmp_path / name)), net)
    assert os.listdir(tmp_path) == [name]
    x, y = np.ones((net.sizes[0], 1)), np.ones((net.sizes[-1], 1))
    more = (0.1, 10) if isinstance(net, network2.Network) else ()
    loaded.update_mini_batch([(x, y)], 0.5, *more)
    assert not np.array_equal(loaded.biases[-1], net.biases[-1])


@pytest.mark.parametrize("name", CONTAINERS)
def test_another_program_reads_a_container(name, tmp_path):
    """The safetensors package finds the arrays under the book's names."""
    net = NETWORKS[name]
    net.save(tmp_path / name)
    found = load_file(tmp_path / name)
    expected = files.layers(net.biases, net.weights)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


def test_loading_a_container_draws_no_number(tmp_path):
    """Both global generators stay where they are."""
    NETWORKS["chapter3.safetensors"].save(tmp_path / "n.safetensors")
    before = random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2:]
    fastbp.load(tmp_path / "n.safetensors")
    after = random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2:]
    assert after == before


def test_the_dtype_may_be_another(tmp_path):
    """``dtype`` casts; a number beyond float32 is refused, not made infinite."""
    net = NETWORKS["chapter3.safetensors"]
    net.save(tmp_path / "n.safetensors")
    loaded = fastbp.load(tmp_path / "n.safetensors", dtype=np.float32)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded.weights[0], net.weights[0].astype(np.float32))
    net = network2.Network([2, 2], random_state=0)
    net.weights[0][1, 0] = 1e300
    net.save(tmp_path / "n.safetensors")
    with pytest.raises(FormatError, match=r"weights\[0\]\[1, 0\]: expected a finite number"):
        fastbp.load(tmp_path / "n.safetensors", dtype=np.float32)


class OwnCost:
    """A cost that a user wrote."""

    fn = staticmethod(lambda a, y: float(np.sum(np.abs(a - y))))
    delta = staticmethod(lambda z, a, y: np.sign(a - y))


@pytest.mark.parametrize("cost", [OwnCost, OwnCost()])
@pytest.mark.parametrize("name", ["n.safetensors", "n.json"])
def test_a_cost_of_ones_own_is_asked_for(cost, name, tmp_path):
    """The file names it; without it there is one error that says what to do."""
    network2.Network([3, 2], cost).save(tmp_path / name)
    for load in (fastbp.load, network2.load):
        hint = rf"{name}: cost: expected a cost among .*OwnCost.*load\(filename, cost=\.\.\.\)"
        with pytest.raises(FormatError, match=hint):
            load(tmp_path / name)
        assert load(tmp_path / name, cost=cost).cost is cost


def test_a_cost_that_borrows_a_name_is_not_taken_for_ours(tmp_path):
    """A user's class called QuadraticCost is no QuadraticCost in a container."""
    own = type("QuadraticCost", (OwnCost,), {})
    network2.Network([3, 2], own).save(tmp_path / "n.safetensors")
    with pytest.raises(FormatError, match="takes your own"):
        fastbp.load(tmp_path / "n.safetensors")


def test_what_each_class_is_saved_as(tmp_path):
    """The book has no JSON of chapter 1's class; a loader says which class a file is of."""
    net = NETWORKS["chapter1.safetensors"]
    with pytest.raises(ValueError, match=r"filename: expected a name in \.safetensors"):
        net.save(tmp_path / "n.json")
    assert os.listdir(tmp_path) == []
    net.save(tmp_path / "n.safetensors")
    with pytest.raises(FormatError, match="expected a network2 of fastbp's, got a 'network'"):
        network2.load(tmp_path / "n.safetensors")
    with pytest.raises(ValueError, match="cost: expected None"):
        fastbp.load(tmp_path / "n.safetensors", cost=OwnCost)
    corpus.run_on(tmp_path / "run.safetensors")
    with pytest.raises(FormatError, match="network or network2 of fastbp's, got a 'checkpoint'"):
        fastbp.load(tmp_path / "run.safetensors")


def test_only_the_suffix_chooses(tmp_path):
    """A container by another name is no JSON, and the other way round."""
    net = NETWORKS["chapter3.safetensors"]
    net.save(tmp_path / "n.safetensors")
    net.save(tmp_path / "n.json")
    os.rename(tmp_path / "n.safetensors", tmp_path / "a.json")
    os.rename(tmp_path / "n.json", tmp_path / "b.safetensors")
    for name in ("a.json", "b.safetensors"):
        with pytest.raises(FormatError, match=name):
            fastbp.load(tmp_path / name)


def test_the_books_json_is_the_books(tmp_path):
    """The bytes are those of the book's program, ``json.dump`` into a text file."""
    net = NETWORKS["book.json"]
    data = {"sizes": net.sizes, "weights": [w.tolist() for w in net.weights],
            "biases": [b.tolist() for b in net.biases], "cost": "QuadraticCost"}  # fmt: skip
    with open(tmp_path / "books.json", "w") as file:
        json.dump(data, file)
    net.save(tmp_path / "ours.json")
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "books.json").read_bytes()


def test_a_parameter_that_is_not_finite_is_not_saved(tmp_path):
    """It is named, and the old file stays."""
    net = network2.Network([2, 2], random_state=0)
    net.save(tmp_path / "n.safetensors")
    before = (tmp_path / "n.safetensors").read_bytes()
    net.weights[0][1, 1] = np.nan
    with pytest.raises(ValueError, match=r"weights\[0\]\[1, 1\]: expected a finite number"):
        net.save(tmp_path / "n.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == before


def test_an_array_that_changes_while_it_is_written_does_not_spoil_the_file(tmp_path, monkeypatch):
    """The digest is of what is written, or the old file stays."""
    net = network2.Network([200, 200, 2], random_state=0)
    net.save(tmp_path / "n.safetensors")
    before = (tmp_path / "n.safetensors").read_bytes()

    def write(handle, data):
        net.weights[-1][:] += 1
        return os.write(handle, data)

    fake = SimpleNamespace(**{name: getattr(os, name) for name in dir(os)})
    fake.write = write
    monkeypatch.setattr(files, "os", fake)
    with pytest.raises(RuntimeError, match="an array was changed while it was written"):
        net.save(tmp_path / "n.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == before
    assert os.listdir(tmp_path) == ["n.safetensors"]


@pytest.mark.parametrize(
    "suffix", ["onnx", "npz", "npy", "pkl", "pickle", "joblib", "pt", "pth", "ckpt", "h5", "hdf5",
               "keras", "pb", "tflite", "mat", "csv", "gz", "zip", "ONNX", "SAFETENSORS"]
)  # fmt: skip
def test_a_name_of_another_format_gets_json_and_a_warning(suffix, tmp_path):
    """The book's ``save`` takes any name; who names another format is told what it gets."""
    path = tmp_path / f"n.{suffix}"
    net = NETWORKS["book.json"]
    with pytest.warns(UserWarning, match=rf"n\.{suffix}: this is the book's JSON") as caught:
        net.save(path)
    assert [warning.filename for warning in caught] == [__file__]
    assert path.read_bytes() == (FIXTURES / "v1" / "book.json").read_bytes()
    equal(fastbp.load(path), net)


@pytest.mark.parametrize("name", ["n", "n.json", "n.txt", "n.1", "npz", ".pkl", "n.v2.dat"])
def test_other_names_get_json_without_a_word(name, tmp_path):
    """A warning is an error in these tests."""
    NETWORKS["book.json"].save(tmp_path / name)
    equal(fastbp.load(tmp_path / name), NETWORKS["book.json"])


# -- versions ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_old_files_are_read(version, tmp_path):
    """A file of every version that there has been loads as the network that was saved."""
    folder = FIXTURES / version
    assert {path.name for path in folder.iterdir()} > set(NETWORKS)
    for name, net in NETWORKS.items():
        equal(fastbp.load(folder / name), net)
    for name in ("commandline.safetensors", "commandline.json"):
        with pytest.warns(UserWarning, match="standardised columns"):
            net = fastbp.load(folder / name)
        equal(net, NETWORKS["chapter3.safetensors"])
    run = tmp_path / "run"
    run.write_bytes((folder / "checkpoint.safetensors").read_bytes())
    net, history = corpus.run_on(run)
    assert history.epochs == 4
    best = load_file(folder / "checkpoint.safetensors")
    np.testing.assert_array_equal(net.weights[0], best["best.weights.0"])


def test_this_version_has_its_fixtures(tmp_path):
    """What is written today has the bytes of the fixture: a change needs a new version."""
    folder = FIXTURES / f"v{files.VERSION}"
    for path in corpus.write(tmp_path):
        if "checkpoint" not in path.name:  # it holds seconds
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_no_fixture_is_needed_by_a_fastbp_to_come():
    """The version that a file says it needs is there."""
    ours = tuple(map(int, importlib.metadata.version("fastbp").split(".")[:3]))
    assert tuple(map(int, files.NEEDS.split("."))) <= ours


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "2", "needs": "9.1.0"}, "version 1, got '2'; fastbp 9.1.0 reads it"),
        ({"version": "2", "needs": "rm -rf"}, "version 1, got '2'; a newer fastbp"),
        ({"version": 2}, "version 1, got 2; fastbp 0.1.0"),
        ({"format": "pt"}, "a container of fastbp's, got one of another program"),
    ],
)
def test_a_newer_file_says_what_it_needs(change, words, tmp_path):
    """An unknown version names the fastbp that reads it; a file of others is called that."""
    path = tmp_path / "n.safetensors"
    path.write_bytes(container(metadata=change))
    with pytest.raises(FormatError, match=words):
        fastbp.load(path)


# -- bad files -----------------------------------------------------------------------------


def container(metadata=None, facts=None, tensors=None, header=None, data=None):
    """Return a small container with changes, and a right digest."""
    blob = (FIXTURES / "v1" / "chapter3.safetensors").read_bytes()
    n = int.from_bytes(blob[:8], "little")
    content = json.loads(blob[8 : 8 + n])
    meta = content.pop("__metadata__")
    if facts is not None:
        meta["facts"] = json.dumps(json.loads(meta["facts"]) | facts, separators=(",", ":"))
    meta |= metadata or {}
    content = content if tensors is None else tensors(content)
    text = json.dumps({"__metadata__": meta, **content}, separators=(",", ":")).encode()
    text = (text if header is None else header(text)) + b" " * (-len(text) % 8)
    data = blob[8 + n :] if data is None else data(blob[8 + n :])
    return fuzz.signed(len(text).to_bytes(8, "little") + text + data)


def renamed(old, new):
    return lambda tensors: {(new if name == old else name): t for name, t in tensors.items()}


def changed(name, **fields):
    return lambda tensors: tensors | {name: tensors[name] | fields}


LONG = b"9" * 5000

BAD = {
    "empty": b"",
    "short": b"\x07\0\0",
    "zeros": bytes(1000),
    "a header of 1 TB": (2**40).to_bytes(8, "little") + b"{" * 500,
    "a header beyond the limit": container(facts={"a": "x" * 2**20}),
    "no JSON": container(header=lambda h: h[:-1]),
    "deep JSON": container(header=lambda h: h[:-1] + b',"a":' + b"[" * 200_000),
    "a list": container(header=lambda h: b"[" + h + b"]"),
    "no fastbp": container(header=lambda h: b"{}"),
    "a metadatum more": container({"a": "b"}),
    "a number as metadatum": container({"needs": 3}),
    "spaces": container(header=lambda h: h.replace(b":", b": ", 1)),
    "a key twice": container(header=lambda h: h.replace(b'"format"', b'"format":"x","format"')),
    "an array twice": container(
        header=lambda h: h[:-1] + h[h.index(b',"weights.0"') : h.index(b',"weights.1"')] + b"}"
    ),
    "NaN in the header": container(
        tensors=lambda t: t | {"weights.0": {**t["weights.0"], "a": float("nan")}}
    ),
    "NaN among the facts": container(facts={"a": float("nan")}),
    "facts that are a list": container({"facts": "[]"}),
    "facts with spaces": container({"facts": '{"a": 1}'}),
    "half a surrogate": container(facts={"a": "\ud800"}),
    "an unknown dtype": container(tensors=changed("weights.0", dtype="F16")),
    "a dtype that is a list": container(tensors=changed("weights.0", dtype=["F64"])),
    "a negative shape": container(tensors=changed("weights.0", shape=[-4, -3])),
    "an empty array": container(tensors=changed("weights.0", shape=[4, 0])),
    "a huge shape": container(tensors=changed("weights.0", shape=[2**62, 2**62])),
    "a shape of 4,000 digits": container(tensors=changed("weights.0", shape=[10**4000, 10**4000])),
    "offsets of 4,000 digits": container(tensors=changed("weights.0", data_offsets=[0, 10**4000])),
    "a shape of 5,000 digits": container(header=lambda h: h.replace(b"[4,3]", b"[4,%s]" % LONG)),
    "a dtype of 4,000 digits": container(tensors=changed("weights.0", dtype=10**4000)),
    "a version of 4,000 digits": container({"version": 10**4000}),
    "a cost of 4,000 digits": container(facts={"cost": 10**4000}),
    "a shape of bools": container(tensors=changed("weights.0", shape=[12, True])),
    "an offset of false": container(tensors=changed("weights.0", data_offsets=[False, 96])),
    "a gap": container(tensors=changed("weights.1", data_offsets=[104, 168])),
    "an overlap": container(tensors=changed("weights.1", data_offsets=[88, 152])),
    "bytes left over": container(data=lambda d: d + bytes(8)),
    "bytes lacking": container(data=lambda d: d[:-8]),
    "another shape": container(tensors=changed("weights.0", shape=[3, 4])),
    "three dimensions": container(tensors=changed("weights.0", shape=[4, 3, 1])),
    "no dimension": container(
        tensors=lambda t: {"weights.0": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}},
        data=lambda d: d[:8],
    ),
    "no array": container(tensors=lambda t: {}, data=lambda d: b""),
    "a name of no layer": container(tensors=renamed("weights.1", "weights.2")),
    "a name more": container(tensors=renamed("weights.1", "x")),
    "weights as integers": container(tensors=changed("weights.0", dtype="I64")),
    "two dtypes": container(tensors=changed("biases.1", dtype="F32", shape=[4, 1])),
    "NaN": container(data=lambda d: np.float64(np.nan).tobytes() + d[8:]),
    "infinity": container(data=lambda d: d[:-8] + np.float64(np.inf).tobytes()),
    "an unknown activation": container(facts={"activations": ["sigmoid", "eval"]}),
    "an activation that is a list": container(facts={"activations": [["sigmoid"], "sigmoid"]}),
    "one activation for all": container(facts={"activations": "sigmoid"}),
    "nothing but integers": container(
        tensors=lambda t: {name: tensor | {"dtype": "I64"} for name, tensor in t.items()}
    ),
    "no activations": container(facts={"activations": None}),
    "an activation too few": container(facts={"activations": ["sigmoid"]}),
    "an activation that the cost has not": container(facts={"activations": ["relu", "softmax"]}),
    "an unknown cost": container(facts={"cost": "os.system"}),
    "a cost that is a list": container(facts={"cost": ["x"]}),
    "an unknown kind": container({"kind": "x" * 1000}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_container_is_a_format_error(name, tmp_path):
    """Each is a FormatError that names the file, though its digest is right."""
    path = tmp_path / "n.safetensors"
    path.write_bytes(BAD[name])
    with pytest.raises(FormatError, match="safetensors: ") as caught:
        fastbp.load(path)
    assert len(str(caught.value)) < 600 + len(str(path))
    assert "Exceeds the limit" not in str(caught.value) or LONG in BAD[name]


def test_lists_of_lists_of_lists_are_a_format_error(tmp_path):
    """Also at the depth that Python's JSON just reads, and writes no more."""
    path = tmp_path / "n.safetensors"
    for depth in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit()):
        nested = b"[" * depth + b"]" * depth
        path.write_bytes(container(header=lambda h, nested=nested: h.replace(b"[4,3]", nested)))
        with pytest.raises(FormatError, match="safetensors: "):
            fastbp.load(path)


def test_a_header_longer_than_the_file_takes_no_memory(tmp_path):
    """Sizes are looked at before memory is asked for."""
    path = tmp_path / "n.safetensors"
    path.write_bytes((2**19).to_bytes(8, "little") + container()[8:])
    with pytest.raises(FormatError, match="a header of at most 1 MiB, got one of 524288 bytes"):
        fastbp.load(path)


@pytest.mark.parametrize("name", ["n.safetensors", "n.json"])
def test_a_file_that_gets_shorter_while_it_is_read(name, tmp_path, monkeypatch):
    """Its end is an error, not a loop."""
    net = NETWORKS["chapter3.safetensors"]
    net.save(tmp_path / name)
    size = (tmp_path / name).stat().st_size
    os.truncate(tmp_path / name, size - 8)
    fake = SimpleNamespace(**{key: getattr(os, key) for key in dir(os)})
    fake.fstat = lambda handle: SimpleNamespace(st_size=size)
    monkeypatch.setattr(files, "os", fake)
    with pytest.raises(FormatError, match="expected 8 bytes more, got the end of the file"):
        fastbp.load(tmp_path / name)


def test_the_unchanged_container_is_good(tmp_path):
    """What the bad ones are made of loads: each is bad by its change alone."""
    path = tmp_path / "n.safetensors"
    path.write_bytes(container())
    equal(fastbp.load(path), NETWORKS["chapter3.safetensors"])


def test_a_wrong_digest_is_refused(tmp_path):
    """Any other byte, of the digest or what it covers."""
    path, blob = tmp_path / "n.safetensors", container()
    for k in (8 + len(files._BEGIN), len(blob) - 1):
        path.write_bytes(blob[:k] + (b"0" if blob[k : k + 1] != b"0" else b"1") + blob[k + 1 :])
        with pytest.raises(FormatError, match="damaged"):
            fastbp.load(path)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 100_000, "{}", "[1]", "NaN", '{"sizes": [2, 1]}', "\xff", "9" * 5000,
     '{"sizes": [1e9, 1], "weights": [], "biases": [], "cost": "QuadraticCost"}',
     '{"sizes": [99999999, 99999999], "weights": [], "biases": [], "cost": "QuadraticCost"}',
     '{"sizes": [1, 1], "weights": [[[NaN]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
     '{"sizes": [1, 1], "weights": [[["a"]]], "biases": [[[0]]], "cost": "QuadraticCost"}',
     '{"sizes": [1, 1], "weights": [[{}]], "biases": [[[0]]], "cost": "QuadraticCost"}',
     '{"sizes": {}, "weights": 1, "biases": 2, "cost": "QuadraticCost"}',
     '{"sizes": [%s, 1], "weights": 1, "biases": 2, "cost": "QuadraticCost"}' % ("9" * 4000),
     '{"sizes": [N, N], "weights": 1, "biases": 2, "cost": "QuadraticCost"}'
     .replace("N", "9" * 4000),
     '{"sizes": [2, 1], "weights": 1, "biases": 2, "cost": %s}' % ("9" * 4000),
     '{"sizes": [2, 1], "weights": [[[%s, 1]]], "biases": [[[0]]], "cost": "QuadraticCost"}'
     % ("9" * 4000)],
    ids=lambda text: f"{text:.40}-{len(text)}",
)  # fmt: skip
def test_a_bad_json_is_a_format_error(text, tmp_path):
    """The book's JSON has the same one exception."""
    (tmp_path / "n.json").write_bytes(text.encode("latin-1"))
    for load in (fastbp.load, network2.load):
        with pytest.raises(FormatError, match=r"n\.json") as caught:
            load(tmp_path / "n.json")
        assert len(str(caught.value)) < 600
        assert "Exceeds the limit" not in str(caught.value) or "9" * 5000 in text


@pytest.mark.parametrize("name", ["x.csv", "renamed.bin", "empty", "cut.json"])
def test_a_file_that_is_not_json_is_told_what_is_read(name, tmp_path):
    """The text says what it is not, and what ``load`` reads, in one line."""
    path = tmp_path / name
    net = network2.Network([2, 1], random_state=0)
    net.save(tmp_path / "n.safetensors")
    net.save(tmp_path / "n.json")
    path.write_bytes({
        "x.csv": b"a,b\n1,2\n",
        "renamed.bin": (tmp_path / "n.safetensors").read_bytes(),
        "empty": b"",
        "cut.json": (tmp_path / "n.json").read_bytes()[:-9],
    }[name])  # fmt: skip
    form = (
        rf"{re.escape(str(path))}: expected a network as JSON, got a file that is not JSON \(.+\); "
        r"load reads what save wrote; a container's name ends in \.safetensors"
    )
    for load in (fastbp.load, network2.load):
        with pytest.raises(FormatError) as caught:
            load(path)
        assert re.fullmatch(form, str(caught.value))


def test_truncated_anywhere_or_longer(in_memory):
    """A file cut at any byte, or with bytes behind it, is refused."""
    path = in_memory / "n.safetensors"
    blob = container()
    for k in range(len(blob)):
        path.write_bytes(blob[:k])
        with pytest.raises(FormatError):
            fastbp.load(path)
    for more in (b"\0", bytes(8), blob):
        path.write_bytes(blob + more)
        with pytest.raises(FormatError):
            fastbp.load(path)


@pytest.fixture
def in_memory():
    """Return a folder for thousands of files, which no disk need see."""
    with tempfile.TemporaryDirectory(dir=fuzz.MEMORY) as folder:
        yield Path(folder)


@pytest.mark.thorough
def test_no_flipped_bit_is_missed(in_memory):
    """10,000 flips, each byte of each container at least once: a FormatError each time."""
    files = {path: path.read_bytes() for path in (FIXTURES / "v1").iterdir()}
    cases = list(fuzz.flips(files, 10_000, random.Random(0), in_memory))
    assert len(cases) == 10_000
    assert [(what, verdict) for what, _, verdict in cases if verdict != fuzz.REFUSED] == []


def test_no_mutated_file_deceives(in_memory):
    """Mutated files are refused, or are what an independent reader finds in them."""
    files = {path: path.read_bytes() for path in (FIXTURES / "v1").iterdir()}
    (in_memory / "data").mkdir()
    readers = corpus.write_data(in_memory / "data")
    verdicts = {
        (what, verdict): blob
        for what, blob, verdict in fuzz.mutants(files, readers, 3000, random.Random(0), in_memory)
    }
    kinds = {verdict for _, verdict in verdicts}
    assert kinds == {fuzz.REFUSED, fuzz.READ}
    # The mutator reaches what lies behind the digest: some of each kind are read.
    assert {what for what, verdict in verdicts if verdict == fuzz.READ} >= {
        "chapter1.safetensors", "chapter3-options.safetensors", "book.json", "d.csv", "d.npz",
    }  # fmt: skip


def test_missing_and_forbidden_files_are_the_systems_errors(tmp_path):
    """What is not there is a FileNotFoundError, as of ``open``."""
    for name in ("n.safetensors", "n.json"):
        with pytest.raises(FileNotFoundError):
            fastbp.load(tmp_path / name)


@windows
def test_only_regular_files_are_read(tmp_path):
    """A pipe, which could block, a device, which never ends, and a folder are refused."""
    for name in ("a.safetensors", "a.json"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(FormatError, match="expected a regular file"):
            fastbp.load(tmp_path / name)
    for name in ("b.safetensors", "b.json"):
        (tmp_path / name).symlink_to("/dev/zero")
        with pytest.raises(FormatError, match="expected a regular file"):
            fastbp.load(tmp_path / name)


# -- what loading does besides -------------------------------------------------------------

AUDIT = """
import sys
import fastbp
Checkpoint = fastbp.Checkpoint  # whose module is imported when it is asked for
events = []
active = False
def hook(event, arguments):
    if active and event != "builtins.id":  # the address of an object is nobody's secret
        events.append((event, str(arguments[0]) if event == "open" else ""))
sys.addaudithook(hook)
# The book's load draws a network first, from generators that NumPy imports when asked for.
for path in sorted(sys.argv[1:], key=lambda path: path.endswith(".json")):
    if path.endswith(".json"):
        import numpy.random
    events.clear()
    active = True
    try:
        if "checkpoint" in path:
            Checkpoint(path).read()
        else:
            fastbp.load(path)
    except fastbp.FormatError:
        pass
    finally:
        active = False
    assert events == [("open", path)], (path, events)
print("done")
"""


def test_loading_opens_one_file_and_does_nothing_else(tmp_path):
    """An audit hook sees the one ``open``, and no import, no compile, no other event."""
    paths = [str(path) for path in (FIXTURES / "v1").iterdir()]
    for i, name in enumerate(["spaces", "NaN", "bytes lacking", "an unknown cost"]):
        (tmp_path / f"{i}.safetensors").write_bytes(BAD[name])
        paths.append(str(tmp_path / f"{i}.safetensors"))
    command = [sys.executable, "-c", AUDIT, *paths]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout == "done\n", found.stderr


@pytest.mark.parametrize("good", [True, False])
def test_loading_takes_twice_the_file_at_most(good, tmp_path):
    """Whether the file is good or claims more than it has."""
    path = tmp_path / "n.safetensors"
    network2.Network([1000, 500, 10], random_state=0).save(path)
    size = path.stat().st_size
    if not good:
        with path.open("r+b") as file:
            file.truncate(size - 8)
    tracemalloc.start()
    try:
        if good:
            fastbp.load(path)
        else:
            with pytest.raises(FormatError):
                fastbp.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= (2 * size if good else 2**16)


# -- replacing -----------------------------------------------------------------------------

SAVED = ["n.safetensors", "n.json"]


@windows
@pytest.mark.parametrize("name", SAVED)
def test_permissions_are_the_usual_ones(name, tmp_path):
    """A new file has those that ``open`` gives, an old one keeps its own, also checkpoints."""
    net = NETWORKS["chapter3.safetensors"]
    previous = os.umask(0o027)
    try:
        net.save(tmp_path / name)
        keep = fastbp.Checkpoint(tmp_path / f"run-{name}")
        keep.write({}, {"a": np.ones(1)})
    finally:
        os.umask(previous)
    for path in (tmp_path / name, tmp_path / f"run-{name}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (tmp_path / name).chmod(0o664)
    net.save(tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o664


@windows
@pytest.mark.parametrize("name", SAVED)
def test_links_stay(name, tmp_path):
    """A symbolic link goes on to point where it did, to the new content, also into nothing."""
    net = NETWORKS["chapter3.safetensors"]
    (tmp_path / "real").mkdir()
    (tmp_path / name).symlink_to(Path("real") / "target")
    for _ in range(2):  # the first time the link leads to nothing
        net.save(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert os.listdir(tmp_path / "real") == ["target"]
        equal(fastbp.load(tmp_path / name), net)


@pytest.mark.parametrize("name", SAVED)
def test_a_file_that_is_read_only_stays(name, tmp_path, monkeypatch):
    """Replacing would get around the permissions; ``open`` does not either."""
    (tmp_path / name).write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write all
    with pytest.raises(PermissionError):
        NETWORKS["chapter3.safetensors"].save(tmp_path / name)
    assert (tmp_path / name).read_text() == "old"
    assert os.listdir(tmp_path) == [name]


@windows
def test_what_is_no_file_is_written_to(tmp_path):
    """A pipe gets the book's JSON, and is not replaced by a file; a folder is an error."""
    net = NETWORKS["book.json"]
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    net.save(tmp_path / "pipe")
    assert reader.communicate()[0] == (FIXTURES / "v1" / "book.json").read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        net.save(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "nothing" / "n.json")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


# -- the writer's own limits ---------------------------------------------------------------


def test_any_arrays_and_facts_come_back(tmp_path):
    """What estimators and checkpoints keep: three dtypes, any layout, any byte order."""
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.random((3, 4)).T, "ü": np.arange(6, dtype=">i8")[::-2],
        "c": rng.random((2, 3, 4)).astype(">f4"), "d": np.array(2.5),
    }  # fmt: skip
    facts = {"text": "ü\n\u2028\0", "list": [1, 2.5, None, True], "more": {"a": {}}, "big": 2**70}
    files.write(tmp_path / "a", "test", arrays, facts)
    kind, found, back = files.read(tmp_path / "a", "other", "test")
    assert (kind, found) == ("test", facts)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype.isnative
        assert back[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("arrays", "facts", "error"),
    [
        ({"a": np.ones(3, np.float16)}, {}, TypeError),
        ({"a": np.array(["x"])}, {}, TypeError),
        ({"a": np.array([None])}, {}, TypeError),
        ({"a": np.ones((0, 3))}, {}, ValueError),
        ({"a": np.ones((1, 1, 1, 1, 1))}, {}, ValueError),
        ({}, {"a": float("nan")}, ValueError),
        ({}, {"a": "\ud800"}, ValueError),
        ({}, {"a": {1}}, TypeError),
        ({}, {"a": "x" * 2**20}, ValueError),
    ],
)
def test_what_could_not_be_read_is_not_written(arrays, facts, error, tmp_path):
    """It is refused before a file is touched."""
    with pytest.raises(error):
        files.write(tmp_path / "a", "test", arrays, facts)
    assert os.listdir(tmp_path) == []


def test_the_digest_is_of_the_whole_file(tmp_path):
    """As docs/files.md says: SHA-256 with zeros in the digest's own place."""
    blob = (FIXTURES / "v1" / "chapter3.safetensors").read_bytes()
    begin = b'{"__metadata__":{"sha256":"'
    assert blob[8:].startswith(begin)
    start = 8 + len(begin)
    blank = blob[:start] + b"0" * 64 + blob[start + 64 :]
    assert blob[start : start + 64].decode() == hashlib.sha256(blank).hexdigest()
    assert int.from_bytes(blob[:8], "little") % 8 == 0


def test_chapter_1s_class_is_exported():
    """Both names of the loader and its error are there."""
    assert fastbp.load.__module__ == "fastbp.loading"
    assert issubclass(fastbp.FormatError, ValueError)
    assert network.Network.save is not network2.Network.save
