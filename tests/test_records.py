"""Records of inputs most of which are 0: read in their place, to the same bits."""

import random

import numpy as np
import pytest
from test_equivalence import Block, both_dtypes
from test_sparse import CASES, samples
from twins import poison, twins

import fastbp
from fastbp import Dataset, network, network2
from fastbp._dispatch import core
from fastbp.functions import COSTS
from fastbp.training import packing, threads


def compressed(X, room=None):
    """Return records and starts of all rows, as the core writes them to poisoned arrays."""
    found = np.full(2 * X.nbytes + 2000 if room is None else room, 0xAB, np.uint8)
    starts = np.full(len(X) + 1, -1, np.intp)
    starts[0] = 0
    n = core.pack_nonzeros(core.Samples(X), 0, len(X), starts, found)
    assert room is not None or n == len(X)
    return found, starts


@pytest.mark.core
@both_dtypes
@pytest.mark.parametrize("n_0", [64, 65, 79, 95, 96, 97, 130, 784])
def test_a_record_is_a_mask_and_values(n_0, dtype):
    """Every place that is not 0 has its bit, and its value, and nothing else is written."""
    X = samples([n_0, 1], 40)[0].astype(dtype)
    X[1] = 0
    X[2] = -1
    X[3, 0], X[3, -1] = 2, 3
    X[4, 5] = -0.0
    X[5, 7] = np.finfo(dtype).tiny / 4  # as arithmetic has it: 0
    found, starts = compressed(X)
    mask_bytes = -(-n_0 // 64) * 8
    for x, start, end in zip(X, starts, starts[1:], strict=False):
        places = np.flatnonzero(np.abs(x) >= np.finfo(dtype).tiny)
        mask = found[start : start + -(-n_0 // 32) * 4]
        assert np.array_equal(np.flatnonzero(np.unpackbits(mask, bitorder="little")), places)
        values = start + mask_bytes + np.arange(len(places) * X.itemsize)
        assert found[values].tobytes() == x[places].tobytes()
        assert end == start + mask_bytes + -(-len(places) * X.itemsize // 8) * 8
    assert (found[starts[-1] + 2 * X[0].nbytes :] == 0xAB).all()  # a row's room may be used


@pytest.mark.core
@both_dtypes
def test_writing_ends_where_room_does(dtype):
    """So many records as there is certainly room for, and not a byte behind it."""
    X = np.ones((30, 200), dtype)
    whole, starts = compressed(X)
    for room in (0, 100, starts[1], starts[7] + 1, starts[20]):
        found = np.full(len(whole), 0xAB, np.uint8)
        at = np.full(len(X) + 1, -1, np.intp)
        at[0] = 0
        n = core.pack_nonzeros(core.Samples(X), 0, len(X), at, found[:room])
        assert at[n] <= room
        assert np.array_equal(at[: n + 1], starts[: n + 1])
        assert (found[room:] == 0xAB).all()
    assert n > 10


@pytest.mark.core
@pytest.mark.skipif(not core.HAS_FAST_PATHS, reason="the core's fast paths are switched off")
@pytest.mark.parametrize(
    ("dtype", "of_inputs"),
    [(np.float64, np.float64), (np.float64, np.float32), (np.float32, np.float32)],
)
@CASES
@pytest.mark.parametrize("decay", [1.0, 0.75])
@pytest.mark.parametrize("parts", [1, 3] if core.TEAMS else [1])
def test_training_changes_no_bit(sizes, batch, decay, parts, dtype, of_inputs):
    """In random order, by threads too; X itself, which is NaN then, is not read."""
    X, Y = samples(sizes, 3 * batch + 5)
    X = X.astype(of_inputs)
    order = np.random.default_rng(2).permutation(len(X))
    _, net = twins(sizes, "QuadraticCost", dtype)

    def trained(X, *of_records):
        block = Block(net, batch)
        block.workspace = block.layout.workspace(block.rows, parts)
        for part in np.split(order, [2 * batch]):
            poison(block.workspace)
            end = threads.enter(
                parts, core.train, block.params, block.grads, block.layout.layers, *block.workspace,
                core.Samples(X, Y.astype(dtype), None, *of_records), part, 0, batch,
                COSTS["quadratic"], 0.3, decay, 1e9, None,
            )  # fmt: skip
            assert end == len(part)
        return block.params

    found = trained(np.full_like(X, np.nan), *compressed(X))
    assert np.isfinite(found).all()
    assert found.tobytes() == trained(X, *packing.NONE).tobytes()


# -- when there are any --------------------------------------------------------------


@pytest.fixture
def written(monkeypatch):
    """Records of small data too; return the list of how many samples have been written."""
    calls, pack = [], core.pack_nonzeros

    def spy(X, start, stop, *rest):
        calls.append(stop - start)
        return pack(X, start, stop, *rest)

    monkeypatch.setattr(core, "pack_nonzeros", spy)
    monkeypatch.setattr(packing, "LEAST_BYTES", 0)
    monkeypatch.setattr(packing, "_PIECE", 1000)
    return calls


def digits(dtype=np.float32, share=0.15):
    """Return a Dataset of 100 samples with 130 inputs, few of them not 0."""
    X = samples([130, 10], 100, share=share)[0] if share < 1 else np.ones((100, 130))
    X[3::17] = 0
    return Dataset(X.astype(dtype), np.random.default_rng(1).integers(0, 10, 100))


RUNS = {
    "book": lambda net, data, **more: net.SGD(data, 6, 7, 0.5, verbose=False, **more),
    "clipped": lambda net, data: net.SGD(
        data, 6, 7, 0.5, lmbda=0.1, clip_norm=0.05, verbose=False
    ),
    "adam": lambda net, data: fastbp.train(
        net, data, epochs=6, mini_batch_size=7, random_state=0, l1=0.01
    ),
    "dropout": lambda net, data: fastbp.train(
        net, data, epochs=6, mini_batch_size=7, random_state=0, dropout=0.2,
        sample_weight=np.linspace(0, 2, len(data)), optimizer="sgd",
    ),
}  # fmt: skip


@both_dtypes
@pytest.mark.parametrize("run", RUNS)
def test_runs_are_the_same_bits(run, dtype, written, monkeypatch):
    """Whatever reads the inputs besides: norms, optimizers, weights, dropout."""
    found = []
    for epochs in (6, 7):
        monkeypatch.setattr(packing, "LEAST_EPOCHS", epochs)
        random.seed(1)
        net = network2.Network([130, 20, 10], dtype=dtype, random_state=0)
        RUNS[run](net, digits())
        found.append([a.tobytes() for a in (*net.weights, *net.biases)])
        assert sum(written) == 100
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("data", "told", "why"),
    [
        (digits(), {"shuffle": False}, "in order, the next rows are on their way as they are"),
        (digits(np.float64), {"dtype": np.float32}, "values are cut and rounded"),
    ],
)
def test_where_they_would_not_pay_there_are_none(data, told, why, written):
    told = {"dtype": np.float64, **told}
    net = network.Network([130, 20, 10], dtype=told.pop("dtype"))
    RUNS["book"](net, data, **told)
    assert not written, why


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_most_inputs_must_be_0_and_be_many(dtype, written, monkeypatch):
    """Records take a third of the memory of inputs at most, or nothing."""
    X = digits(dtype).X
    made = packing.pack(X)
    assert made is not packing.NONE
    assert made.starts[-1] + core.ALIGNMENT == made.rows.size <= X.nbytes // packing.MOST
    assert packing.pack(digits(dtype, share=1).X) is packing.NONE
    assert packing.pack(digits(dtype).X[:, :63].copy()) is packing.NONE
    assert packing.pack(np.zeros((1, 70_000), dtype)) is packing.NONE
    monkeypatch.setattr(packing, "LEAST_BYTES", X.nbytes + 1)
    assert packing.pack(X) is packing.NONE


def test_they_are_what_the_core_reads(written, monkeypatch):
    """In each epoch of the core's; none are written where no epoch is."""
    given, read = [], core.Samples

    def spy(X, *rest):
        if len(rest) == 4:  # to train on
            given.append(rest[-2:])
        return read(X, *rest)

    class Own(network2.CrossEntropyCost):
        @staticmethod
        def delta(z, a, y):
            return a - y

    monkeypatch.setattr(core, "Samples", spy)
    RUNS["book"](network2.Network([130, 20, 10], cost=Own), digits())
    fastbp.train(network2.Network([130, 20, 10]), digits(), epochs=6, schedule=lambda *_: None)
    assert not written
    assert not given
    RUNS["book"](network2.Network([130, 20, 10]), digits())
    assert sum(written) == 100
    assert len(given) == 6
    assert all(part is not None for pair in given for part in pair)


def test_samples_that_a_shuffle_puts_in_have_none(written):
    """It may do so in every epoch, and each time records would be written for one."""
    cards = [(x, y) for x, y in Dataset(digits().X, np.eye(10)[digits().Y])]

    def shuffle(order):
        order[:] = [(x.copy(), y) for x, y in order]

    RUNS["book"](network.Network([130, 20, 10]), cards, shuffle=shuffle)
    assert not written


def test_where_there_is_no_room_for_them_training_goes_on(written, monkeypatch):
    def refuse(*arrays):
        raise MemoryError

    found = []
    for made in (packing.PackedRows, refuse):
        monkeypatch.setattr(packing, "PackedRows", made)
        random.seed(1)
        net = network.Network([130, 20, 10], random_state=0)
        RUNS["book"](net, digits())
        found.append([a.tobytes() for a in (*net.weights, *net.biases)])
    assert sum(written) == 100  # of the first run
    assert found[0] == found[1]


def test_what_is_not_finite_is_found_in_records_too(written, monkeypatch):
    """Where the search was skipped, the error is that of the inputs themselves."""
    X = digits().X.copy()
    X[50, np.flatnonzero(X[50])[0]] = np.nan
    data, errors = Dataset(X, digits().Y, check_finite=False), []
    for least in (6, 7):
        monkeypatch.setattr(packing, "LEAST_EPOCHS", least)
        random.seed(3)
        net = network.Network([130, 20, 10], random_state=0)
        with pytest.raises(fastbp.DivergenceError, match="hold NaN") as caught:
            RUNS["book"](net, data, check_finite=False)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert sum(written) == 100
