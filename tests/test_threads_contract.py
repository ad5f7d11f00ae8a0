"""Threads and processes of the user's: one writer, any number of readers, a fork, the same bits."""

import dis
import functools
import gc
import hashlib
import itertools
import os
import random
import subprocess
import sys
import textwrap
import threading
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from test_bad_input import SIZES, trained_elsewhere
from test_interrupts import bits, each_class, each_dtype, samples, update

import fastbp
from fastbp import _network, gradients, network, network2
from fastbp._dispatch import core
from fastbp.training import threads

N = 40
PATIENCE = 60.0  # seconds; that something ends at all


WRITERS = {
    "SGD": lambda net: net.SGD(samples(N, 3, 2), 1, 5, 0.5, verbose=False),
    "update_mini_batch": lambda net: update(net, samples(N, 3, 2), 0.5, N),
    "fastbp.train": lambda net: fastbp.train(net, samples(N, 3, 2), epochs=1),
    "L-BFGS": lambda net: fastbp.train(net, samples(N, 3, 2), epochs=1, optimizer="lbfgs"),
    "large_weight_initializer": lambda net: net.large_weight_initializer(),
}


@each_class
@pytest.mark.parametrize("writer", WRITERS)
def test_every_second_writer_is_refused_at_once(writer, module):
    """All that changes a network raises RuntimeError while another thread changes it."""
    if writer == "large_weight_initializer" and module is network:
        pytest.skip("network2 has it alone")
    net = module.Network(SIZES, random_state=1)
    before = bits(net)
    with trained_elsewhere(net):
        state = net._generator.bit_generator.state
        with pytest.raises(RuntimeError, match=r"in another thread; train a copy"):
            WRITERS[writer](net)
        assert bits(net) == before
        assert net._generator.bit_generator.state == state
    assert bits(net) != before
    after = bits(net)
    WRITERS[writer](net)
    assert bits(net) != after


@each_class
def test_an_exception_at_any_moment_frees_the_network(module):
    """Whenever a signal handler raises on the way into a call or out, the network is free again."""
    net, moments = module.Network(SIZES, random_state=1), 0

    class StoppedError(Exception):
        pass

    def hold(due):
        """Enter and leave; raise at the moment of that number; return how many there were."""
        ran = 0

        def step(frame, event, argument):
            nonlocal ran
            if frame.f_code.co_filename != _network.__file__:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode" and frame.f_lasti in handled(frame.f_code):
                ran += 1
                if ran == due:
                    raise StoppedError
            return step

        tracer = sys.gettrace()
        sys.settrace(step)
        try:
            with net._writing():
                pass
        finally:
            sys.settrace(tracer)
        return ran

    moments = hold(0)
    assert moments > 3
    for due in range(1, moments + 1):
        with pytest.raises(StoppedError):
            hold(due)
        failures = []
        other = threading.Thread(target=lambda: failures.extend(refusal(net)))  # noqa: B023
        other.start()
        other.join(PATIENCE)
        assert not failures


@each_class
def test_a_guard_goes_with_its_network(module):
    """A network that nobody has any more leaves nothing behind, also where it refers to itself."""
    gc.collect()
    before = len(_network._GUARDS)
    for _ in range(3):
        net = module.Network(SIZES, random_state=1)
        net.itself = net
        update(net, samples(N, 3, 2), 0.5, N)
    assert len(_network._GUARDS) > before
    del net
    gc.collect()
    assert len(_network._GUARDS) == before


@functools.cache
def handled(code):
    """Return before which instructions Python runs signal handlers: behind calls and jumps."""
    steps = list(dis.get_instructions(code))
    where = ("CALL", "RESUME", "JUMP_BACKWARD")
    return {after.offset for step, after in pairwise(steps) if step.opname.startswith(where)}


def refusal(net):
    """Return the error with which a writer is refused, if it is."""
    try:
        update(net, samples(N, 3, 2), 0.5, N)
    except RuntimeError as error:
        return [error]
    return []


@each_class
@pytest.mark.parametrize("writer", WRITERS)
def test_biases_and_weights_change_at_one_moment(writer, module):
    """No instruction of a writer's comes between new biases and new weights, nor the reverse."""
    if writer == "large_weight_initializer" and module is network:
        pytest.skip("network2 has it alone")
    net = module.Network(SIZES, random_state=1)
    home, seen = os.path.dirname(fastbp.__file__), set()

    def look(frame, event, argument):
        # Another thread may come in before each of these instructions; it would see this.
        seen.add(tuple(b"".join(a.tobytes() for a in part) for part in (net.biases, net.weights)))
        if not frame.f_code.co_filename.startswith(home):
            return None
        frame.f_trace_opcodes = True
        return look

    tracer = sys.gettrace()
    sys.settrace(look)
    try:
        WRITERS[writer](net)
    finally:
        sys.settrace(tracer)
    biases, weights = map(set, zip(*seen, strict=True))
    assert len(biases) == len(weights) == len(seen) > 1


class Trained(network2.Network):
    """As if another thread trained it: whoever reads its state anew finds the next one."""

    states = itertools.repeat((None, None))
    # Both at once, or one after the other, which would be of two states.
    _parameters = property(lambda self: next(self.states))
    biases = property(lambda self: next(self.states)[0])
    weights = property(lambda self: next(self.states)[1])


COLUMN, DATA, OTHERS = np.full((3, 1), 0.3), samples(N, 3, 2), samples(7, 3, 2)
READERS = {
    "feedforward": lambda net: net.feedforward(COLUMN),
    "feedforward, a list": lambda net: net.feedforward(COLUMN.tolist()),
    "feedforward, columns": lambda net: net.feedforward(np.tile(COLUMN, 3)),
    "backprop": lambda net: net.backprop(COLUMN, COLUMN[:2]),
    "backprop, lists": lambda net: net.backprop(COLUMN.tolist(), COLUMN[:2].tolist()),
    "accuracy": lambda net: net.accuracy(DATA),
    "total_cost": lambda net: net.total_cost(DATA, 0.5),
    "flatten": gradients.flatten,
    "clipped_gradient": lambda net: gradients.clipped_gradient(net, DATA, 0.1),
    "gradient_gram, others": lambda net: gradients.gradient_gram(net, DATA, OTHERS),
    "hessian_vector_product": lambda net: gradients.hessian_vector_product(
        net, DATA, np.ones(net._layout().n_parameters)
    ),
} | {
    of_data.__name__: partial(lambda f, net: f(net, DATA), of_data)
    for of_data in (
        gradients.activations,
        gradients.deltas,
        gradients.gradient,
        gradients.gradient_gram,
        gradients.gradient_second_moment,
        gradients.input_gradient,
        gradients.jacobian,
        gradients.per_sample_costs,
        gradients.per_sample_gradient_norms,
        gradients.per_sample_gradients,
    )
}


def as_bytes(found):
    """Return the bytes of an array, or of all in lists and tuples."""
    if isinstance(found, list | tuple):
        return b"".join(map(as_bytes, found))
    return np.asarray(found).tobytes()


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_takes_one_state(reader):
    """Whatever is published while it works, a reader's result is that of one state."""
    read = READERS[reader]
    still = [network2.Network(SIZES, random_state=seed) for seed in range(7)]
    right = {as_bytes(read(net)) for net in still}
    assert len(right) > 1
    trained = Trained.__new__(Trained)
    vars(trained).update(vars(still[0]))
    trained.states = itertools.cycle([(net.biases, net.weights) for net in still])
    for _ in still:  # from one state after another
        assert as_bytes(read(trained)) in right


@pytest.mark.thorough
@each_class
@each_dtype
def test_readers_see_whole_states(module, dtype):
    """What eight readers see while one thread trains are states after whole mini-batches."""
    net, replay = (module.Network([5, 8, 3], dtype=dtype, random_state=1) for _ in range(2))
    data, steps = samples(20, 5, 3), 1500
    a, x = np.full((5, 1), 0.3), data[0][0]
    y = np.ones((3, 1))
    states = {}
    for step in range(steps + 1):
        nabla_b, nabla_w = replay.backprop(x, y)
        states[replay.feedforward(a).tobytes()] = step
        states[b"".join(g.tobytes() for g in (*nabla_b, *nabla_w))] = step
        update(replay, data, 0.3, len(data))
    seen, failures, over = set(), [], threading.Event()

    def read():
        try:
            while not over.is_set():
                seen.add(states[net.feedforward(a).tobytes()])
                nabla_b, nabla_w = net.backprop(x, y)
                seen.add(states[b"".join(g.tobytes() for g in (*nabla_b, *nabla_w))])
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # a thread may have to wait between any two steps of Python's
    try:
        for reader in readers:
            reader.start()
        for _ in range(steps):
            update(net, data, 0.3, len(data))
    finally:
        sys.setswitchinterval(interval)
        over.set()
        for reader in readers:
            reader.join(PATIENCE)
    assert not failures
    assert len(seen) > 2


@each_class
def test_arrays_that_were_read_keep_their_values(module):
    """A list of weights that a reader holds is that of one state for ever."""
    net = module.Network(SIZES, random_state=1)
    held = [*net.biases, *net.weights]
    values = [array.copy() for array in held]
    for n_threads in (1, 2):
        net.SGD(samples(N, 3, 2), 2, 5, 0.5, verbose=False, n_threads=n_threads)
        update(net, samples(N, 3, 2), 0.5, N)
    for array, value in zip(held, values, strict=True):
        np.testing.assert_array_equal(array, value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@each_class
@pytest.mark.parametrize("held", [False, True], ids=["after training", "amid training"])
def test_a_forked_child_trains(held, module, monkeypatch):
    """Forked after training with threads, or amid it in another thread: the child's bits are ours.

    The child has but one of its parent's threads, and nobody who would give back a guard.
    """
    monkeypatch.setattr(threads, "processors", lambda: 2)
    large, batch = [64, 512, 512, 10], 128  # worth two threads
    net = module.Network(large, random_state=1)
    data = samples(1000, 64, 10)
    net.SGD(data, 1, batch, 0.1, verbose=False, n_threads=2)
    small = module.Network(SIZES, random_state=1)

    def digest():
        net.SGD(data, 1, batch, 0.1, verbose=False, n_threads=2, shuffle=False)
        small.SGD(samples(N, 3, 2), 1, 5, 0.5, verbose=False, shuffle=False)
        return hashlib.sha256(b"".join(bits(net) + bits(small))).digest()

    def in_child():
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(into, digest())
            finally:
                os._exit(0)
        os.close(into)
        with os.fdopen(out, "rb") as file:
            found = file.read()
        os.waitpid(pid, 0)
        return found

    if held:
        start = [a.copy() for a in small.biases], [a.copy() for a in small.weights]
        with trained_elsewhere(small):
            found = in_child()
        small.biases, small.weights = start
    else:
        found = in_child()
    assert found == digest()


PROGRAM = """
import hashlib, random, sys
import numpy as np
import fastbp
from fastbp import network, network2
from fastbp.training import threads
sys.path.insert(0, sys.argv[2])
from test_threads_contract import seeded_runs
threads.processors = lambda: 8
threads._WORK = 1e6
print(seeded_runs(int(sys.argv[1])))
"""


def seeded_runs(n_threads):
    """Return a digest of the parameters and of what was said of runs with fixed seeds."""
    total = hashlib.sha256()
    data = samples(600, 20, 10)
    for module in (network, network2):
        for dtype in (np.float32, np.float64):
            for state in (None, 3):
                random.seed(1)
                np.random.seed(1)
                net = module.Network([20, 30, 10], dtype=dtype, random_state=state)
                net.SGD(data, 2, 50, 0.5, verbose=False, n_threads=n_threads)
                total.update(b"".join(bits(net)))
    net = network2.Network([20, 30, 10], random_state=3)
    history = fastbp.train(
        net, data, epochs=2, mini_batch_size=50, dropout=0.2, random_state=5, n_threads=n_threads
    )
    total.update(repr(history["cost"]).encode() + b"".join(bits(net)))
    return total.hexdigest()


@pytest.mark.skipif(not core.TEAMS, reason="this build computes with one thread")
def test_a_seed_has_the_same_bits_in_every_process_and_with_any_number_of_threads(monkeypatch):
    """1, 2, 3 and 7 threads, each in a process of its own, and twice in this one."""
    monkeypatch.setattr(threads, "_WORK", 1e6)
    monkeypatch.setattr(threads, "processors", lambda: 8)
    here = seeded_runs(1)
    assert seeded_runs(3) == here
    for n_threads in (1, 2, 3, 7):
        found = subprocess.run(
            [
                sys.executable,
                "-c",
                textwrap.dedent(PROGRAM),
                str(n_threads),
                os.path.dirname(__file__),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(n_threads)},
        )
        assert found.stdout.strip() == here
