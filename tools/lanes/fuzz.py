"""Damaged and mutated files: a clear error, or what an independent reader finds in them.

Bit flips must be found by the digest. Mutated containers carry a right digest again, so that
they reach what stands behind it; what is accepted then must be what the ``safetensors`` package,
or the standard library's JSON, reads from the same bytes.
"""

import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastbp
from fastbp import cli, files
from fastbp.cli import tables
from lanes import corpus

FLIPS, MUTANTS = 10_000, 100_000
SHORT_FLIPS, SHORT_MUTANTS = 2_000, 6_000
ATHERIS_SECONDS = 60
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # no disk for so many files

NASTY = [
    None, True, False, 0, -1, 1, 2, 255, 2**31, 2**32, 2**63, 2**64, 10**400, -(2**63), 1.5, 1e300,
    "", "0", "1", "2", "F16", "F32", "F64", "I64", "x" * 300, "\ud800", "__metadata__", "weights.0",
    "sigmoid", "relu", "softmax", "QuadraticCost", "json", [], {}, [0], [0, 8], [[]], {"own": "X"},
    [2**62, 4], [1, 1, 1, 1, 1, 1],
]  # fmt: skip
WORDS = [
    b"NaN", b"Infinity", b"-0", b"1e999", b" ", b"\n", b"{", b"}", b"[", b"]", b'"', b",", b":",
    b"\\u0041", b"\xff", b"\x00", b'"a":1,', b"[" * 2000,
]  # fmt: skip


# -- mutants -------------------------------------------------------------------------------


def flip(blob, bit):
    """Return the bytes with one bit the other way."""
    changed = bytearray(blob)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def mutated_bytes(blob, rng):
    """Return the bytes after one to three changes of no structure."""
    blob = bytearray(blob)
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(blob) + 1)
        j = min(len(blob), i + rng.choice([1, 2, 8, 64]))
        match rng.randrange(6):
            case 0:
                del blob[i:j]
            case 1:
                blob[i:i] = rng.choice(WORDS)
            case 2:
                blob[i:j] = rng.choice(WORDS)
            case 3:
                blob[i:i] = blob[i:j]
            case 4:
                blob[i:j] = rng.randbytes(j - i)
            case 5:
                del blob[i:]
        blob = blob or bytearray(b"\0")
    return bytes(blob)


def mutated_value(value, rng):
    """Return a copy of decoded JSON with one node changed."""
    inner = isinstance(value, dict | list) and value
    if inner and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        copy, key = (dict(value) if isinstance(value, dict) else list(value)), rng.choice(keys)
        action = rng.randrange(10)
        if action == 0:
            del copy[key]
        elif action == 1 and isinstance(copy, list):
            copy.insert(key, rng.choice(NASTY))
        elif action == 1:
            copy[rng.choice(["extra", "weights.9", "biases.0", "moments.0.biases.0"])] = copy[key]
        elif action == 2:
            items = list(copy.items()) if isinstance(copy, dict) else copy
            rng.shuffle(items)
            copy = dict(items) if isinstance(copy, dict) else items
        else:
            copy[key] = mutated_value(copy[key], rng)
        return copy
    if type(value) in (int, float) and rng.random() < 0.5:
        return value + rng.choice([-8, -1, 1, 8])
    if isinstance(value, str) and value[:1] == "{" and rng.random() < 0.9:  # the facts
        return json.dumps(mutated_value(json.loads(value), rng), separators=(",", ":"))
    return rng.choice(NASTY)


def signed(blob):
    """Return a container with the digest that its bytes should have."""
    start = 8 + len(files._BEGIN)
    if not blob[8:].startswith(files._BEGIN) or len(blob) < start + 64:
        return blob
    blank = blob[:start] + b"0" * 64 + blob[start + 64 :]
    return blank[:start] + hashlib.sha256(blank).hexdigest().encode() + blank[start + 64 :]


def mutated_container(blob, rng):
    """Return a container with a change in its length, header or data, and mostly a right digest."""
    n = int.from_bytes(blob[:8], "little")
    header, data = blob[8 : 8 + n], blob[8 + n :]
    chance = rng.random()
    if chance < 0.55:
        value = json.loads(header)
        for _ in range(rng.choice([1, 1, 1, 2])):
            if isinstance(value, dict) and value:
                value = mutated_value(value, rng)
        header = json.dumps(value, separators=(",", ":"), allow_nan=True).encode()
        header += b" " * (-len(header) % rng.choice([8, 8, 8, 1, 16]))
    elif chance < 0.7:
        header = mutated_bytes(header, rng)
    elif chance < 0.85:
        special = rng.choice([np.nan, np.inf, -np.inf, 1e308, 5e-324, -0.0])
        k = 8 * rng.randrange(max(1, len(data) // 8))
        data = data[:k] + np.float64(special).tobytes() + data[k + 8 :]
    else:
        data = mutated_bytes(data, rng)
    length = len(header) if rng.random() < 0.95 else rng.choice([0, n + 1, n - 1, 2**20, 2**63])
    changed = length.to_bytes(8, "little") + header + data
    return signed(changed) if rng.random() < 0.95 else changed


def mutated_json(blob, rng):
    """Return a book's JSON with changes."""
    if rng.random() < 0.3:
        return mutated_bytes(blob, rng)
    value = mutated_value(json.loads(blob), rng)
    return json.dumps(value).encode()


def mutated_table(blob, rng):
    """Return a CSV file with changes."""
    if rng.random() < 0.3:
        return mutated_bytes(blob, rng)
    rows = [line.split(b",") for line in blob.splitlines()]
    for _ in range(rng.randint(1, 3)):
        row = rng.choice(rows)
        k = rng.randrange(len(row) + 1)
        cell = rng.choice([*WORDS, b"", b"1", b"-2.5", b"1e400", b"inf", b"oak", b'"a""b"', b"a"])
        row[k : k + rng.randrange(2)] = [cell] if rng.random() < 0.9 else []
        rows.insert(rng.randrange(len(rows)), list(row)) if rng.random() < 0.2 else None
    return b"\n".join(map(b",".join, rows)) + rng.choice([b"", b"\n", b"\r\n"])


# -- judges --------------------------------------------------------------------------------

REFUSED, READ = "refused", "read"  # any other verdict says what is wrong


def judge_container(path, blob):
    """Load the file, and hold it against what another program reads."""
    try:
        net = fastbp.load(path)
    except fastbp.FormatError:
        return REFUSED
    kept = files.layers(net.biases, net.weights)
    tensors = independent(blob)
    if kept.keys() != tensors.keys():
        return f"holds {sorted(tensors)}, loaded {sorted(kept)}"
    if any(a.tobytes() != tensors[name].tobytes() for name, a in kept.items()):
        return "other numbers than the safetensors package reads"
    return finite(net)


def independent(blob):
    """Return the arrays as the safetensors package reads them."""
    from safetensors.numpy import load

    return load(blob)


def judge_json(path, blob):
    """The same of the book's JSON."""
    try:
        net = fastbp.load(path)
    except fastbp.FormatError:
        return REFUSED
    data = json.loads(blob)
    for name in ("biases", "weights"):
        for mine, theirs in zip(getattr(net, name), data[name], strict=True):
            if not np.array_equal(mine, np.array(theirs, np.float64)):
                return f"other {name} than the file's"
    return finite(net)


def judge_commandline(path, blob):
    """The same of the command line's model, which has an encoding."""
    try:
        net, encoding = cli._load(str(path))
    except tables.InputError:
        return REFUSED
    if (encoding.n_in, len(encoding.classes)) != (net.sizes[0], net.sizes[-1]):
        return "an encoding of another network"
    return finite(net)


def judge_checkpoint(path, blob):
    """Go on from the file, which is for the same run or refused."""
    try:
        net, _ = corpus.run_on(path)
    except ValueError as error:
        if isinstance(error, fastbp.FormatError) or "as the run in this file has" in str(error):
            return REFUSED
        raise
    return finite(net)


def judge_data(read):
    """Return a judge of a reader of samples: finite numbers or a ValueError."""

    def judge(path, blob):
        try:
            found = read(path)
        except ValueError:
            return REFUSED
        X = getattr(found, "X", found)
        return READ if np.isfinite(X).all() else "a number that is not finite"

    return judge


def finite(net):
    """Judge a network's numbers, and whether it works."""
    if not all(np.isfinite(a).all() for a in net.weights + net.biases):
        return "a number that is not finite"
    net.feedforward(np.ones((net.sizes[0], 1)))
    return READ


def judged(judge, path, blob):
    """Write the bytes to ``path`` and judge what comes of it; no exception but the known one."""
    path.write_bytes(blob)
    try:
        return judge(path, blob)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"


# -- the lane ------------------------------------------------------------------------------


def judges(blobs):
    """Return (name, bytes, mutator, judge) of each file that fastbp writes."""
    for path, blob in blobs.items():
        container = files.is_container(path)
        mutate = mutated_container if container else mutated_json
        judge = judge_container if container else judge_json
        judge = {"commandline": judge_commandline, "checkpoint": judge_checkpoint}.get(
            path.stem, judge
        )
        yield path.name, blob, mutate, judge


def flips(blobs, n, rng, folder):
    """Flip n bits, in each byte of each container one at least; yield (what, bytes, verdict)."""
    cases = [case for case in judges(blobs) if files.is_container(case[0])]
    bits = [(case, 8 * k + rng.randrange(8)) for case in cases for k in range(len(case[1]))]
    more = [(case, bit) for case in cases for bit in range(8 * len(case[1]))]
    rng.shuffle(more)
    for (name, blob, _, judge), bit in (bits + more)[: max(n, len(bits))]:
        changed = flip(blob, bit)
        verdict = judged(judge, folder / f"flipped-{name}", changed)
        yield f"{name}, bit {bit}", changed, "accepted" if verdict == READ else verdict


def mutants(blobs, readers, n, rng, folder):
    """Mutate n files, of each kind its share; yield (what, bytes, verdict)."""
    cases = list(judges(blobs))
    for path, read in readers.items():
        mutate = mutated_table if path.suffix == ".csv" else mutated_bytes
        cases.append((path.name, path.read_bytes(), mutate, judge_data(read)))
    for _ in range(n):
        name, blob, mutate, judge = rng.choice(cases)
        changed = mutate(blob, rng)
        yield name, changed, judged(judge, folder / f"mutant-{name}", changed)


def run(options):
    """Run the lane; return how many files passed and failed."""
    rng = random.Random(options.seed)
    n_flips, n_mutants = (SHORT_FLIPS, SHORT_MUTANTS) if options.short else (FLIPS, MUTANTS)
    if importlib.util.find_spec("safetensors") is None:
        print("fuzz: without safetensors (pip install safetensors): nothing to compare with")
        return 0, 1
    passed = failed = 0
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        blobs = {path: path.read_bytes() for path in corpus.write(folder / "corpus")}
        (folder / "data").mkdir()
        readers = corpus.write_data(folder / "data")
        for kind, cases in (
            ("flipped bits", flips(blobs, n_flips, rng, folder)),
            ("mutated files", mutants(blobs, readers, n_mutants, rng, folder)),
        ):
            counts = {REFUSED: 0, READ: 0}
            for what, blob, verdict in cases:
                if verdict in counts:
                    counts[verdict] += 1
                    continue
                failed += 1
                print(f"fuzz: {what}: {verdict}; kept as {kept(blob, what)}")
            print(f"fuzz: {kind}: {counts[REFUSED]} refused, {counts[READ]} read as they are")
            passed += sum(counts.values())
    more_passed, more_failed = (0, 0) if options.short else guided(options.seed)
    return passed + more_passed, failed + more_failed


def kept(blob, what):
    """Keep a file that shows a fault; return its path."""
    name = f"fastbp-fuzz-{hashlib.sha256(blob).hexdigest()[:12]}-{what.split(',')[0]}"
    path = Path(tempfile.gettempdir()) / name
    path.write_bytes(blob)
    return path


# -- guided by coverage --------------------------------------------------------------------


def guided(seed, seconds=ATHERIS_SECONDS):
    """Let atheris look for a container that is accepted wrongly, or another exception."""
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: without atheris (pip install atheris): no search guided by coverage")
        return 0, 0
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "corpus").mkdir()
        corpus.write(Path(name) / "corpus")
        command = [sys.executable, "-m", "lanes.fuzz", str(Path(name) / "corpus"),
                   f"-max_total_time={seconds}", f"-seed={seed + 1}", "-max_len=4096",
                   f"-artifact_prefix={tempfile.gettempdir()}/fastbp-fuzz-"]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds + 120
        )
    output = found.stdout + found.stderr
    runs = [line.split()[1] for line in output.splitlines() if line.startswith("Done ")]
    if found.returncode == 0 and runs:
        print(f"fuzz: atheris: {runs[-1]} runs")
        return 1, 0
    print("fuzz: atheris:", *output.splitlines()[-25:], sep="\n  ")
    return 0, 1


def main():
    """Run atheris on the loaders, in a process of its own: it never returns."""
    import atheris

    atheris.instrument_all()
    path = Path(tempfile.mkdtemp(dir=MEMORY))

    def one(blob):
        kinds = [(files.SUFFIX, judge_container, signed(blob)), (".json", judge_json, blob)]
        for suffix, judge, content in kinds:
            target = path / f"a{suffix}"
            target.write_bytes(content)
            verdict = judge(target, content)
            if verdict not in (REFUSED, READ):
                raise AssertionError(verdict)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
