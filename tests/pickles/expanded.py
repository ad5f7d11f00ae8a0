"""Make a set as the book's expand_mnist.py does; written to run under Python 2 too.

    python expanded.py FILE PROTOCOL

python2-protocol0.pkl.gz and python2-protocol2.pkl.gz are of Python 2.7.18 and NumPy 1.16.6.
"""

import gzip
import random
import sys

import numpy as np

try:
    from cPickle import dump
except ImportError:
    from pickle import dump

# How each image is shifted: by one pixel along an axis; the line that comes in is empty.
SHIFTS = [(1, 0, 0), (-1, 0, 27), (1, 1, 0), (-1, 1, 27)]


def sets():
    """Return training, validation and test sets of some made-up images."""
    images = np.zeros((7, 28, 28), np.float32)
    for i, image in enumerate(images):
        image[i : i + 6, 4:20] = np.arange(16) * 16 / 256.0
        image[0, i] = image[i, 0] = image[27, 27] = 255 / 256.0
    images, labels = images.reshape(7, 784), np.array([5, 0, 4, 1, 9, 2, 1])
    return [(images[rows].copy(), labels[rows]) for rows in (slice(4), slice(4, 6), slice(6, 7))]


def expanded(training):
    """Return lists of images and labels: each image, and the four that are shifted."""
    pairs = []
    for image, label in zip(*training):  # noqa: B905  # Python 2 has no strict
        pairs.append((image, label))
        for by, axis, line in SHIFTS:
            shifted = np.roll(image.reshape(28, 28), by, axis)
            shifted[(line, slice(None)) if axis == 0 else (slice(None), line)] = 0
            pairs.append((shifted.reshape(784), label))
    random.Random(1).shuffle(pairs)
    return [list(part) for part in zip(*pairs)]  # noqa: B905


if __name__ == "__main__":
    training, validation, test = sets()
    # Without the name and the time, so that the file is the same each time.
    with open(sys.argv[1], "wb") as target, gzip.GzipFile("", "wb", 9, target, 0) as stream:
        dump((expanded(training), validation, test), stream, int(sys.argv[2]))
