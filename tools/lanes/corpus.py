"""One small file of each kind that fastbp writes and reads, the same bytes at each call.

``python tools/lanes/corpus.py FOLDER`` writes them: the fixtures of a version of the format.
"""

import pickle
import struct
import sys
from pathlib import Path

import numpy as np

import fastbp
from fastbp import Dataset, cli, network2
from fastbp.cli import tables


def counted(net, factor=1 / 64):
    """Give ``net`` numbers that no random stream decides."""
    start = 0
    for part in (net.biases, net.weights):
        for array in part:
            array[...] = np.arange(start, start + array.size).reshape(array.shape) % 97 - 48.5
            array *= array.dtype.type(factor)
            start += array.size
    return net


def networks():
    """Return a network for each name of a file."""
    relu = {"activation": ["relu", "tanh", "softmax"], "dtype": np.float32}
    return {
        "chapter1.safetensors": counted(fastbp.Network([3, 4, 2])),
        "chapter1-float32.safetensors": counted(fastbp.Network([2, 3], dtype=np.float32)),
        "chapter3.safetensors": counted(network2.Network([3, 4, 2])),
        "chapter3-options.safetensors": counted(
            network2.Network([3, 4, 3, 2], network2.LogLikelihoodCost, **relu)
        ),
        "book.json": counted(network2.Network([3, 4, 2], network2.QuadraticCost)),
    }


def encoding():
    """Return what the command line keeps beside a network."""
    scaling = np.array([0.5, -1.25, 3.0]), np.array([1.0, 0.125, 2.0])
    return tables.Encoding(3, ["oak", "älm"], ["width", "höhe", "leaf"], "kind", scaling)


def samples():
    """Return the samples of a checkpoint's run."""
    return Dataset(np.arange(36.0).reshape(12, 3) % 7 - 3, np.arange(12) % 2)


def run_on(path, epochs=4):
    """Train with a checkpoint at ``path``, or go on from it; return network and history."""
    net = counted(network2.Network([3, 4, 2]))
    keep = fastbp.Checkpoint(path, every=2)
    history = fastbp.train(
        net, samples(), epochs=epochs, mini_batch_size=4, random_state=1, checkpoint=keep,
        validation=samples(), early_stopping=9,
    )  # fmt: skip
    return net, history


def write(folder):
    """Write all files into ``folder``; return their paths."""
    folder = Path(folder)
    for name, net in networks().items():
        net.save(folder / name)
    for name in ("commandline.safetensors", "commandline.json"):
        cli._save(counted(network2.Network([3, 4, 2])), encoding(), str(folder / name))
    run_on(folder / "checkpoint.safetensors")
    return sorted(folder.iterdir())


def write_data(folder):
    """Write files of samples, as others make them; return a reader for each path."""
    folder, X, y = Path(folder), samples().X, samples().Y
    rows = [",".join([*map(str, x), ("elm", "oak")[k]]) + "\n" for x, k in zip(X, y, strict=True)]
    (folder / "d.csv").write_text("a,b,c,kind\n" + "".join(rows), encoding="utf-8")
    np.savez(folder / "d.npz", X=X, y=y)
    shape = (2, 4, 4)
    pixels = np.arange(32, dtype=np.uint8).tobytes()
    (folder / "d.idx").write_bytes(struct.pack(">4I", 0x0803, *shape) + pixels)
    images, labels = np.arange(7 * 784).reshape(7, 784) % 256 / np.float32(256), np.arange(7)
    training = [*images[:4]], [*labels[:4]]
    sets = training, (images[4:6], labels[4:6]), (images[6:], labels[6:])
    (folder / "d.pkl").write_bytes(pickle.dumps(sets, 2))
    return {
        folder / "d.csv": lambda path: tables.read_csv(str(path), None),
        folder / "d.npz": lambda path: tables.read_npz(str(path)),
        folder / "d.idx": lambda path: fastbp.datasets._read_idx(Path(path), shape),
        folder / "d.pkl": lambda path: fastbp.datasets.mnist_arrays(path, (4, 2, 1))[0],
    }


if __name__ == "__main__":
    print(*write(sys.argv[1]), sep="\n")
