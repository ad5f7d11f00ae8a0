"""Ctrl-C and exceptions amid training: the state left is that after a whole mini-batch."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from fastbp import Dataset, network, network2

PATIENCE = 5.0  # seconds; that Ctrl-C is seen at all, not how fast

each_class = pytest.mark.parametrize("module", [network, network2], ids=["network", "network2"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def samples(n, n_in, n_out):
    rng = np.random.default_rng(5)
    return Dataset(rng.standard_normal((n, n_in)), rng.integers(0, n_out, n))


def bits(net):
    """Return the bytes of all biases and weights."""
    return [a.tobytes() for a in [*net.biases, *net.weights]]


def update(net, mini_batch, eta, n):
    if isinstance(net, network2.Network):
        net.update_mini_batch(mini_batch, eta, 0.0, n)
    else:
        net.update_mini_batch(mini_batch, eta)


def whole_mini_batches(net, state, data, size, eta):
    """Return after how many mini-batches ``net`` comes to ``state``, bit for bit; None if never."""
    for k in range(-(-len(data) // size)):
        if bits(net) == state:
            return k
        # A step by update_mini_batch may round apart from SGD's; lmbda is 0.
        net.SGD(data[k * size : (k + 1) * size], 1, size, eta, shuffle=False)
    return None


class CtrlC:
    """Sends this process what Ctrl-C sends, some time after the first epoch was shuffled."""

    def __init__(self, delay):
        self._timer = threading.Timer(delay, self._send)
        self.sent = None

    def _send(self):
        self.sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    def shuffle(self, data):
        """Keep the order, and start the clock."""
        self._timer.start()

    @contextmanager
    def expected(self):
        """See that KeyboardInterrupt ends the block, within patience."""
        # Python loses what is raised in a weak reference's callback, as the collector runs one for
        # each thread of an earlier test; such a collection in the block is where the signal lands.
        gc.collect()
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                yield
            assert time.perf_counter() - self.sent < PATIENCE
        finally:
            self._timer.cancel()
            signal.signal(signal.SIGINT, handler)


@pytest.mark.core
@each_class
@each_dtype
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
def test_ctrl_c_leaves_a_whole_number_of_mini_batches(delay, module, dtype):
    """Ctrl-C ends a long epoch early; a replay of k mini-batches has the same bits."""
    size, eta = 10, 0.1
    data = samples(60_000, 20, 10)
    net, replay = (
        module.Network([20, 500, 400, 10], dtype=dtype, random_state=1) for _ in range(2)
    )
    ctrl_c = CtrlC(delay)
    with ctrl_c.expected():
        net.SGD(data, 1, size, eta, shuffle=ctrl_c.shuffle)
    k = whole_mini_batches(replay, bits(net), data, size, eta)
    assert k is not None
    assert k > 0 or delay == 0
    net.SGD(data[:35], 1, size, eta, shuffle=False)  # the next call works, as if k were the start
    replay.SGD(data[:35], 1, size, eta, shuffle=False)
    assert bits(net) == bits(replay)


@pytest.mark.core
@each_class
@each_dtype
@pytest.mark.parametrize("method", ["SGD", "update_mini_batch"])
def test_ctrl_c_within_one_giant_mini_batch_leaves_the_state_before_it(method, module, dtype):
    """A mini-batch that was not finished counts for nothing, and the next call works."""
    data = samples(20_000, 64, 10)
    net = module.Network([64, 512, 512, 10], dtype=dtype, random_state=1)
    before, ctrl_c = bits(net), CtrlC(0.05)
    with ctrl_c.expected():
        if method == "SGD":
            net.SGD(data, 1, len(data), 0.1, shuffle=ctrl_c.shuffle)
        else:
            ctrl_c.shuffle(data)
            update(net, data, 0.1, len(data))
    assert bits(net) == before
    update(net, data[:20], 0.1, 20)
    assert bits(net) != before


@each_class
@pytest.mark.parametrize("method", ["SGD", "update_mini_batch"])
def test_a_handler_that_makes_the_network_another(method, module):
    """What it sets stays, and the call that it came in the midst of says so."""
    data, sizes = samples(60_000, 20, 10), [20, 500, 10]
    net, other = module.Network(sizes, random_state=1), module.Network([20, 5, 4], random_state=1)
    came = threading.Event()

    def handler(*_):
        net.sizes, net.weights, net.biases = other.sizes, other.weights, other.biases
        came.set()

    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    calls = {
        "SGD": lambda: net.SGD(data, 1, 10, 0.1, verbose=False),
        "update_mini_batch": lambda: update(net, data, 0.1, len(data)),
    }
    before = signal.signal(signal.SIGINT, handler)
    try:
        timer.start()
        with pytest.raises(ValueError, match=r"net: sizes: expected .*, as at first, got"):
            calls[method]()
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert came.is_set()
    assert net.weights is other.weights
    assert net.sizes == [20, 5, 4]


@each_class
def test_ctrl_c_between_a_users_mini_batches_leaves_a_whole_number(module):
    """Through an overridden ``backprop``, too, the state is that after k mini-batches."""
    data = samples(20_000, 20, 10)
    net, replay = (module.Network([20, 30, 10], random_state=1) for _ in range(2))
    for each in (net, replay):
        each.backprop = each.backprop
    ctrl_c = CtrlC(0.1)
    with ctrl_c.expected():
        net.SGD(data, 1, 10, 0.1, shuffle=ctrl_c.shuffle)
    assert whole_mini_batches(replay, bits(net), list_of_pairs(data), 10, 0.1) is not None


def list_of_pairs(data):
    """Return pairs with one-hot columns, as a user's own ``backprop`` gets them."""
    return [(x, np.eye(10)[:, [j]]) for x, j in data]


@each_class
def test_ctrl_c_in_evaluation_changes_nothing(module):
    """Ctrl-C while a large set is evaluated ends the call; the network is as it was."""
    data = samples(60_000, 64, 10)
    net = module.Network([64, 512, 512, 10], random_state=1)
    before, ctrl_c = bits(net), CtrlC(0.05)
    with ctrl_c.expected():
        ctrl_c.shuffle(data)
        net.evaluate(data) if module is network else net.accuracy(data)
    assert bits(net) == before


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal to another process")
def test_ctrl_c_from_outside_ends_a_program_that_trains():
    """SIGINT to a process that trains ends it with KeyboardInterrupt, amid an epoch."""
    program = textwrap.dedent(
        """
        import signal
        import numpy as np
        from fastbp import Dataset, Network

        signal.signal(signal.SIGINT, signal.default_int_handler)
        rng = np.random.default_rng(5)
        data = Dataset(rng.standard_normal((300_000, 20)), rng.integers(0, 10, 300_000))
        net = Network([20, 200, 200, 10])
        net.SGD(data, 1000, 10, 0.1, shuffle=lambda _: print("training", flush=True))
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "training\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert out == ""  # no line of a finished epoch
    assert err.rstrip().endswith("KeyboardInterrupt")


class UserError(Exception):
    """A user's own error."""


def run(net, data, **options):
    options = {"epochs": 3, "mini_batch_size": 6, "eta": 0.5, "verbose": False} | options
    return net.SGD(data, **options)


@pytest.mark.core
@each_class
@each_dtype
@pytest.mark.parametrize("path", ["core", "own backprop"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_exception_in_evaluation_leaves_the_epochs_so_far(epoch, path, module, dtype):
    """An overridden ``evaluate`` or ``accuracy`` that raises after an epoch leaves that epoch."""
    data = samples(40, 3, 2)
    options = (
        {"test_data": data}
        if module is network
        else {"evaluation_data": data, "monitor_evaluation_accuracy": True}
    )

    class Own(module.Network):
        epochs = 0

        def evaluate(self, test_data):
            self.epochs += 1
            if self.epochs > epoch:
                raise UserError
            return 0

        accuracy = evaluate

    net, same = (cls([3, 4, 2], dtype=dtype, random_state=1) for cls in (Own, module.Network))
    if path == "own backprop":
        for each in (net, same):
            each.backprop = each.backprop
    with pytest.raises(UserError):
        run(net, data, shuffle=False, **options)
    run(same, data, shuffle=False, epochs=epoch + 1)
    assert bits(net) == bits(same)
    run(net, data, shuffle=False, epochs=1)
    run(same, data, shuffle=False, epochs=1)
    assert bits(net) == bits(same)


@pytest.mark.core
@each_class
@each_dtype
@pytest.mark.parametrize("form", ["list", "Dataset"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_exception_in_a_replaced_shuffle_leaves_the_epochs_so_far(
    epoch, form, module, dtype, monkeypatch
):
    """A shuffle of the user's that raises before an epoch leaves the last one's state and order."""
    data = samples(40, 3, 2)
    if form == "list":
        data = [(x, np.eye(2)[:, [j]]) for x, j in data]
    order, calls = data[:], 0

    def rotate(cards):
        nonlocal calls
        calls += 1
        if calls > epoch:
            raise UserError
        cards.append(cards.pop(0))

    net, same = (module.Network([3, 4, 2], dtype=dtype, random_state=1) for _ in range(2))
    arrays = [*net.biases, *net.weights]
    with pytest.raises(UserError):
        run(net, data, shuffle=rotate)
    if form == "list":
        assert [id(pair) for pair in data] == [id(p) for p in order[epoch:] + order[:epoch]]
    calls = -epoch
    run(same, order[:], epochs=epoch, shuffle=rotate)
    assert bits(net) == bits(same)
    if epoch == 0:
        assert all(a is b for a, b in zip(arrays, [*net.biases, *net.weights], strict=True))

    calls = 0
    net = module.Network([3, 4, 2], dtype=dtype)  # on the global generators: the module's shuffle
    start = bits(net)
    monkeypatch.setattr(module.random, "shuffle", rotate)
    with pytest.raises(UserError):
        run(net, data)
    assert (bits(net) == start) == (epoch == 0)


@each_class
def test_an_exception_in_a_users_backprop_leaves_the_mini_batches_so_far(module):
    """A ``backprop`` of the user's that raises in a mini-batch leaves the state before that one."""
    data = list_of_pairs(samples(40, 3, 10))
    net, same = (module.Network([3, 4, 10], random_state=1) for _ in range(2))
    calls, shipped = 0, net.backprop

    def backprop(x, y):
        nonlocal calls
        calls += 1
        if calls > 15:  # in the third mini-batch of six
            raise UserError
        return shipped(x, y)

    net.backprop = backprop
    same.backprop = same.backprop
    with pytest.raises(UserError):
        run(net, data, shuffle=False)
    assert whole_mini_batches(same, bits(net), data, 6, 0.5) == 2


def test_an_exception_in_a_signal_handler_is_raised_amid_an_epoch():
    """Any handler's exception, not only Ctrl-C's, ends a long epoch after a whole mini-batch."""
    data = samples(60_000, 20, 10)
    net, replay = (network.Network([20, 200, 200, 10], random_state=1) for _ in range(2))

    def handler(number, frame):
        raise UserError

    ctrl_c = CtrlC(0.05)
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(UserError):
            net.SGD(data, 1, 10, 0.1, shuffle=ctrl_c.shuffle)
    finally:
        signal.signal(signal.SIGINT, before)
    assert whole_mini_batches(replay, bits(net), data, 10, 0.1)
