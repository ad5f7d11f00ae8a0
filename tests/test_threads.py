"""Several threads on one mini-batch: the same bits, no thread too many, and none that hangs."""

import threading
import time

import numpy as np
import pytest
from test_interrupts import CtrlC, bits, each_class, each_dtype, samples, whole_mini_batches
from twins import poison

from fastbp import network, network2
from fastbp._dispatch import core
from fastbp.functions import COSTS
from fastbp.training import threads

pytestmark = pytest.mark.skipif(not core.TEAMS, reason="this build computes with one thread")

LARGE, BATCH = [64, 512, 512, 10], 128  # worth two threads


class Door:
    """The core's loop over an epoch of its own, for any number of threads."""

    def __init__(self, sizes, n, batch, dtype, rows=None, cost="quadratic", decay=1.0):
        rng = np.random.default_rng(3)
        X, Y = rng.standard_normal((n, sizes[0])), rng.random((n, sizes[-1]))
        net = network.Network(sizes, dtype=dtype, random_state=1)
        layout, biases, weights = net._checked()
        self.params, self.grads = layout.pack(biases, weights), layout.empty()
        rows = min(rows or layout.block_rows, batch)
        self.grads[:] = np.nan
        self._workspace = {parts: layout.workspace(rows, parts) for parts in (1, 2, 3, 7)}
        self._buffers = self.params, self.grads, layout.layers
        self._samples, self._order = (X, Y.astype(dtype)), rng.permutation(n)
        self._step = batch, COSTS[cost], 0.7, decay
        self.n = n

    def own_targets(self):
        """Read the targets as a view of an array; return that."""
        X, Y = self._samples
        owner = Y.copy()
        self._samples = X, owner.view()
        return owner

    def arguments(self, parts, position=0, seconds=1e9):
        """Return what all of so many threads give to the core."""
        workspace, data = poison(self._workspace[parts]), core.Samples(*self._samples)
        return (
            *self._buffers, *workspace, data, self._order, position, *self._step, seconds, None,
        )  # fmt: skip

    def epoch(self, *parts, seconds=1e9):
        """Go through the epoch, with the next number of ``parts`` at each entry."""
        position, entries = 0, 0
        while position < self.n:
            now, before = parts[entries % len(parts)], position
            position = threads.enter(now, core.train, *self.arguments(now, position, seconds))
            assert position > before
            entries += 1
        return self.params.tobytes(), entries


# More parts than rows of a layer or samples of the last mini-batch; blocks of 5 and of 3 samples.
@pytest.mark.core
@each_dtype
@pytest.mark.parametrize("cost", list(COSTS))
@pytest.mark.parametrize("decay", [1.0, 0.75])
@pytest.mark.parametrize("rows", [None, 5])
@pytest.mark.parametrize(
    ("sizes", "n", "batch"),
    [([2, 3, 1], 23, 4), ([33, 17, 40, 10], 61, 13), ([30, 64, 10], 300, 50), ([9, 1], 7, 7)],
    ids=str,
)
def test_the_bits_do_not_depend_on_the_number_of_threads(sizes, n, batch, rows, decay, cost, dtype):
    """An epoch leaves the same parameters with 1, 2, 3 and 7 threads."""

    def epoch(parts):
        return Door(sizes, n, batch, dtype, rows=rows, cost=cost, decay=decay).epoch(parts)[0]

    alone = epoch(1)
    assert np.isfinite(np.frombuffer(alone, dtype)).all()
    for parts in (2, 3, 7):
        assert epoch(parts) == alone


@pytest.mark.core
@each_dtype
def test_the_bits_do_not_depend_on_when_the_number_changes(dtype):
    """Threads may join and leave at any look at the clock, also within a mini-batch."""
    case = [33, 170, 90, 10], 2000, 500, dtype
    alone, _ = Door(*case).epoch(1)
    mixed, entries = Door(*case).epoch(2, 1, 3, 7, seconds=0.0)
    assert entries > 8
    assert mixed == alone


@pytest.fixture
def started(monkeypatch):
    """Return the list of threads that have been started, on a machine of two processors."""
    begun, start = [], threading.Thread.start
    monkeypatch.setattr(threads, "processors", lambda: 2)
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (begun.append(thread), start(thread))
    )
    return begun


@each_class
@each_dtype
def test_sgd_with_two_threads_has_the_bits_of_one(started, module, dtype):
    """SGD on a large network starts threads, leaves none behind, and learns the same."""
    data, before = samples(1000, LARGE[0], LARGE[-1]), threading.enumerate()
    nets = [module.Network(LARGE, dtype=dtype, random_state=1) for _ in range(3)]
    decay = {"lmbda": 50.0} if module is network2 else {}
    for n_threads, net in enumerate(nets, 1):
        net.SGD(data, 2, BATCH, 0.1, verbose=False, n_threads=n_threads, **decay)
        assert threading.enumerate() == before
        assert bool(started) == (n_threads > 1)
    assert bits(nets[0]) == bits(nets[1]) == bits(nets[2])


@each_class
def test_small_work_starts_no_thread(started, module, monkeypatch):
    """The book's mini-batches are not worth a thread; nor is any on one processor."""
    net = module.Network([784, 100, 10], random_state=1)
    net.SGD(samples(100, 784, 10), 2, 10, 0.1, verbose=False, n_threads=8)
    assert started == []
    monkeypatch.setattr(threads, "processors", lambda: 1)
    net = module.Network(LARGE, random_state=1)
    net.SGD(samples(200, LARGE[0], 10), 1, BATCH, 0.1, verbose=False, n_threads=2)
    assert started == []


def test_never_more_threads_than_asked_for_or_processors(monkeypatch):
    """The number is bounded by ``n_threads``, by the processors and by the work."""
    monkeypatch.setattr(threads, "processors", lambda: 4)
    assert [threads.Pace(n).most(1e12, 8) for n in (1, 2, 3, 4, 5, 2**70)] == [1, 2, 3, 4, 4, 4]
    assert threads.Pace(4).most(0.0, 8) == 1
    assert 1 <= threads.processors() <= 4


def test_the_faster_number_is_used_and_the_other_tried_again():
    """One thread where two are slower, as another program has the processor; two if it ends."""
    for faster, slower in ((1, 2), (2, 1)):
        pace, used = threads.Pace(2), {1: 0.0, 2: 0.0}
        for _ in range(100):
            parts, share = pace.next(2)
            used[parts] += share
            pace.note(parts, 1.0 if parts == faster else 2.0, 1000)
        assert 0 < used[slower] < 0.05 * used[faster]
        for _ in range(12):
            parts, share = pace.next(2)
            pace.note(parts, 1.0 if parts == slower else 2.0, 1000)
        assert pace.next(2)[0] == slower


@each_class
@pytest.mark.parametrize("path", ["core", "own backprop"])
@pytest.mark.parametrize(
    ("bad", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)],
)
def test_a_bad_number_is_refused_and_changes_nothing(bad, error, path, module):
    """Refused as other integers are: before a shuffle, a line or a step."""
    net = module.Network([3, 4, 2], random_state=1)
    if path == "own backprop":
        net.backprop = net.backprop
    before = bits(net)
    with pytest.raises(error, match=r"^n_threads: "):
        net.SGD(samples(20, 3, 2), 1, 5, 0.1, n_threads=bad, shuffle=lambda _: 1 / 0)
    assert bits(net) == before


@each_class
def test_a_users_own_backprop_runs_with_any_number(module, started):
    """On the slower path there is one thread, whatever the number."""
    nets = [module.Network(LARGE, random_state=1) for _ in range(2)]
    for n_threads, net in enumerate(nets, 1):
        net.backprop = net.backprop
        net.SGD(samples(130, 64, 10), 1, BATCH, 0.1, verbose=False, n_threads=n_threads)
    assert started == []
    assert bits(nets[0]) == bits(nets[1])


class LateError(Exception):
    """What keeps a thread from entering the core."""


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("absent", [0, 1])
def test_those_who_wait_for_one_that_never_comes_return(absent, parts):
    """An exception before a thread enters is raised, ends all, and nothing has changed."""
    door, before = Door(LARGE, 500, BATCH, np.float64), threading.enumerate()
    params, reached = door.params.tobytes(), []

    def train(*arguments):
        if arguments[-1] == absent:
            raise LateError
        reached.append(core.train(*arguments))
        return reached[-1]

    with pytest.raises(LateError):
        threads.enter(parts, train, *door.arguments(parts))
    assert reached == [0] * (parts - 1)
    assert threading.enumerate() == before
    assert door.params.tobytes() == params


@pytest.mark.parametrize("parts", [2, 3])
def test_what_a_team_reads_stays_in_its_place(parts):
    """A signal handler that runs while the others wait cannot give back what they will read."""
    door, refused = Door(LARGE, 500, BATCH, np.float64), []
    owner = door.own_targets()

    def train(*arguments):  # the others are there already
        if arguments[-1] == 0:
            time.sleep(0.05)
            try:
                owner.resize(1, refcheck=False)
            except ValueError as error:
                refused.append(error)
        return core.train(*arguments)

    assert threads.enter(parts, train, *door.arguments(parts)) == 500
    assert len(refused) == 1
    assert np.isfinite(door.params).all()


def none_to_be_had(thread):
    raise RuntimeError("can't start new thread")


def run_at_once(thread):
    thread.run()  # in the caller's own thread, as a library of green threads may


def die_on_the_way(thread, start=threading.Thread.start):
    thread.run = lambda: None
    start(thread)


@pytest.mark.parametrize("start", [none_to_be_had, run_at_once, die_on_the_way])
def test_where_threads_cannot_be_had_one_does_the_work(start, monkeypatch):
    """No thread waits in the core for one that is not to come; the result is the same."""
    nets = [network.Network(LARGE, random_state=1) for _ in range(2)]
    data, before = samples(1000, 64, 10), threading.enumerate()
    nets[0].SGD(data, 1, BATCH, 0.1, verbose=False)
    monkeypatch.setattr(threads, "_PATIENCE", 0.05)
    monkeypatch.setattr(threading.Thread, "start", start)
    nets[1].SGD(data, 1, BATCH, 0.1, verbose=False, n_threads=2)
    assert bits(nets[0]) == bits(nets[1])
    assert threading.enumerate() == before


@each_class
def test_an_exception_between_two_starts_leaves_the_network_as_it_was(module, monkeypatch):
    """Ctrl-C amid the starts: those started end."""
    monkeypatch.setattr(threads, "processors", lambda: 3)
    net = module.Network(LARGE, random_state=1)
    before, running, start = bits(net), threading.enumerate(), threading.Thread.start
    count = 0

    def fail(thread):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        start(thread)

    data = samples(200, 64, 10)
    monkeypatch.setattr(threads, "_WORK", 1e7)
    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(KeyboardInterrupt):
        net.SGD(data, 1, BATCH, 0.1, n_threads=3)
    assert count == 2
    assert threading.enumerate() == running
    assert bits(net) == before


@each_class
@each_dtype
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
def test_ctrl_c_amid_two_threads_leaves_a_whole_number_of_mini_batches(
    delay, started, module, dtype
):
    """The state is that of a replay with one thread, and no thread is left."""
    data, eta = samples(60_000, 64, 10), 0.1
    net, replay = (module.Network(LARGE, dtype=dtype, random_state=1) for _ in range(2))
    before, ctrl_c = threading.enumerate(), CtrlC(delay)
    with ctrl_c.expected():
        net.SGD(data, 1, BATCH, eta, shuffle=ctrl_c.shuffle, n_threads=2)
    assert len(started) > 1 or delay == 0  # the timer is one
    ctrl_c._timer.join()
    assert threading.enumerate() == before
    k = whole_mini_batches(replay, bits(net), data, BATCH, eta)
    assert k is not None
    assert k > 0 or delay == 0


def test_divergence_amid_two_threads_goes_back(started):
    """What a failure leaves does not depend on the threads either."""
    data = samples(1000, 64, 10)
    nets = [network2.Network(LARGE, dtype=np.float32, random_state=1) for _ in range(2)]
    for n_threads, net in enumerate(nets, 1):
        with pytest.raises(ArithmeticError):
            net.SGD(data, 1, BATCH, 1.0, lmbda=-1e30, verbose=False, n_threads=n_threads)
    assert started
    assert bits(nets[0]) == bits(nets[1])
