"""Faults: a save that is killed, or interrupted; a full disk; calls and allocations that fail.

A save must leave the old file or the new one, and nothing beside it; a call that gets no memory
must raise MemoryError and change nothing.
"""

import dis
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np

import fastbp
from fastbp import files, network2
from lanes import corpus, memory

KILLS, SHORT_KILLS = 200, 20
SAVERS = ("x.safetensors", "x.json", "checkpoint")


# -- the files that are saved --------------------------------------------------------------


def network(i, hidden=40):
    """Return the i-th network to save, some 30 kB."""
    net = network2.Network([60, hidden, 10], random_state=0)
    return corpus.counted(net, 1 / 64 + i)


def save(path, i, hidden=40):
    """Save the i-th network by the saver that the path's name asks for."""
    if path.name == "checkpoint":
        net = network(i, hidden)
        keep = fastbp.Checkpoint(path)
        keep.write({"i": i}, files.layers(net.biases, net.weights))
    else:
        network(i, hidden).save(path)


def saved(path, candidates, hidden=40):
    """Say which of the networks is in the file; an error if none is."""
    if path.name == "checkpoint":
        _, arrays = fastbp.Checkpoint(path).read()
        weight = arrays["weights.0"]
    else:
        weight = fastbp.load(path).weights[0]
    return next(i for i in candidates if np.array_equal(weight, network(i, hidden).weights[0]))


def left_behind(folder):
    """Return the names of temporary files."""
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


# -- killed while saving -------------------------------------------------------------------


def forked(task, *, wait=None):
    """Run ``task`` in a forked child; kill it after ``wait`` seconds; return its status."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"!")
            task()
            os._exit(0)
        except BaseException as error:
            print(f"faults: {type(error).__name__}: {error}", flush=True)
            os._exit(1)
    os.read(reading, 1)
    os.close(reading), os.close(writing)
    if wait is not None:
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def kills(n, rng, folder):
    """Kill a process that saves, n times, at random moments; yield a problem or None."""
    for name in SAVERS:
        save(folder / name, 0)
    started = time.perf_counter()
    save(folder / SAVERS[0], 0)
    duration, amid = time.perf_counter() - started, 0
    for k in range(n):
        path = folder / SAVERS[k % len(SAVERS)]

        def endlessly(path=path):
            for i in range(1_000_000):
                save(path, i % 2)

        status = forked(endlessly, wait=rng.uniform(0, 6 * duration))
        assert os.WIFSIGNALED(status)
        leftover = left_behind(folder)
        amid += bool(leftover)
        for temporary in leftover:
            os.unlink(folder / temporary)
        yield attempt(f"killed, {path.name}", lambda path=path: saved(path, (0, 1)))
    print(f"faults: {n} processes killed while they saved, {amid} of them amid a file")


def attempt(what, check):
    """Return what is wrong with a check that raises or says so."""
    try:
        problem = check()
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    return f"{what}: {problem}" if isinstance(problem, str) else None


# -- system calls that fail ----------------------------------------------------------------


class System:
    """The module ``os``, of which the k-th call fails, or kills the process."""

    def __init__(self, k, fault):
        self._k, self._fault, self.calls = k, fault, []

    def __getattr__(self, name):
        found = getattr(os, name)
        if not callable(found) or name in ("fsdecode", "fspath", "strerror"):
            return found
        return lambda *arguments: self.call(name, found, *arguments)

    def call(self, name, found, *arguments):
        """Call ``found``, or do the fault in its place."""
        self.calls.append(name)
        if len(self.calls) - 1 == self._k:
            return self._fault(found, *arguments)
        return found(*arguments)

    def files(self):
        """Return the class ``FileIO``, whose opening and closing are such calls."""

        system = self

        class File(FileIO):
            def __init__(self, *arguments, **options):
                system.call("open", partial(super().__init__, **options), *arguments)

            def close(self):
                if not self.closed:
                    system.call("close", super().close)

        return File


def refused(found, *arguments):
    """Do half of what is asked for, and fail; what is closed is closed, whatever it says."""
    if found is os.write:
        os.write(arguments[0], memoryview(arguments[1])[: len(arguments[1]) // 2])
    if getattr(found, "__name__", "") == "close":
        found(*arguments)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def halved(found, *arguments):
    """Write half of what is asked for, as the system may; no error."""
    if found is os.write:
        return os.write(arguments[0], memoryview(arguments[1])[: -(-len(arguments[1]) // 2)])
    return found(*arguments)


def killed(found, *arguments):
    """Die in the midst."""
    if found is os.write:
        os.write(arguments[0], memoryview(arguments[1])[: len(arguments[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def with_fault(k, fault, task):
    """Run the task with the fault in the k-th call that storage makes; return the calls."""
    system, kept = System(k, fault), (files.os, files.FileIO)
    files.os, files.FileIO = system, system.files()
    try:
        task()
    finally:
        files.os, files.FileIO = kept
    return system.calls


def system_calls(folder):
    """Let each system call of each saver fail, and kill at each; yield a problem or None."""
    for name in SAVERS:
        for there in (True, False):
            path = folder / name
            for fault in (refused, halved, killed):
                k = 0
                while True:
                    path.unlink(missing_ok=True)
                    if there:
                        save(path, 0)
                    if k == len(with_fault(-1, fault, lambda path=path: save(path, 1))):
                        break
                    path.unlink()
                    if there:
                        save(path, 0)
                    what = f"{fault.__name__}, call {k} of saving {name}"
                    check = failing_call if fault is not killed else killing_call
                    yield attempt(
                        what, lambda p=path, k=k, f=fault, t=there, c=check: c(p, k, f, t)
                    )
                    k += 1


def failing_call(path, k, fault, there):
    """Save with a fault; return what is wrong with the outcome."""
    mode = path.stat().st_mode if there else None
    raised, descriptors = False, len(os.listdir("/dev/fd"))
    try:
        with_fault(k, fault, lambda: save(path, 1))
    except OSError:
        raised = True
    if not there and not path.exists():
        return None if raised else "no file, and no error"
    found = saved(path, (0, 1))
    if found == 0 and not raised:
        return "the old file, and no error"
    if left_behind(path.parent):
        return f"left behind: {left_behind(path.parent)}"
    if there and path.stat().st_mode != mode:
        return "other permissions"
    if len(os.listdir("/dev/fd")) != descriptors:
        return "a file was left open"
    return None


def killing_call(path, k, fault, there):
    """Save in a child that dies at a call."""
    status = forked(lambda: with_fault(k, fault, lambda: save(path, 1)))
    for temporary in left_behind(path.parent):
        os.unlink(path.parent / temporary)
    if not os.WIFSIGNALED(status):
        return "was not killed"
    if not there and not path.exists():
        return None
    saved(path, (0, 1))
    return None


# -- a signal handler that raises ----------------------------------------------------------


class Interruption(BaseException):
    """What a signal handler raises."""


SAVING = ("replace", "_write_all", "_inherit", "_sync_folder")


def interrupted(k, task):
    """Run the task with an exception at its k-th bytecode in ``SAVING``.

    Return None if there are fewer; else whether the bytecode before it was a call, behind which
    Python runs signal handlers.
    """
    before, kept = {}, sys.gettrace()  # in each frame
    count, behind_a_call = 0, None

    def at_bytecode(frame, event, _):
        nonlocal count, behind_a_call
        if event == "opcode":
            if count == k:
                behind_a_call = before.get(id(frame), "").startswith("CALL")
                raise Interruption
            before[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            count += 1
        return at_bytecode

    def at_call(frame, *_):
        frame.f_trace_opcodes = True
        before.pop(id(frame), None)
        return at_bytecode if frame.f_code.co_name in SAVING else None

    sys.settrace(at_call)
    try:
        task()
    except Interruption:
        pass
    finally:
        sys.settrace(kept)
    return behind_a_call


def interruptions(folder):
    """Raise an exception at each bytecode of a save; yield a problem or None."""
    for there in (True, False):
        for name in ("x", "device"):
            path = folder / name if name == "x" else Path(os.devnull)
            k, reached = 0, True
            while reached:
                reached, problem = interruption(path, k, there)
                yield problem and f"an exception at bytecode {k} of saving {path.name}: {problem}"
                k += 1


def interruption(path, k, there):
    """Save with an exception at a bytecode; return whether it was reached, and what is wrong."""
    old, new = b"the old file", [b"the new", b" file"]
    device = path == Path(os.devnull)
    if not device:
        path.unlink(missing_ok=True)
        if there:
            path.write_bytes(old)
    descriptors = len(os.listdir("/dev/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of a file that closed itself
        behind_a_call = interrupted(k, lambda: files.replace(path, new))
    leftover = [] if device else left_behind(path.parent)
    for temporary in leftover:
        os.unlink(path.parent / temporary)
    content = path.read_bytes() if not device and path.exists() else None
    problem = None
    if behind_a_call and len(os.listdir("/dev/fd")) != descriptors:
        problem = "a file was left open"
    elif leftover:
        problem = f"left behind: {leftover}"
    elif not device and content not in (old if there else None, b"".join(new)):
        problem = f"holds {content}"
    return behind_a_call is not None, problem


# -- a full disk ---------------------------------------------------------------------------


def full_disk(folder):
    """Save more than a disk of 256 kB holds; yield a problem or None."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    if not mounted:
        print("faults: without a right to mount: no disk of 256 kB, a limit on files instead")
    try:
        for name in SAVERS:
            path = disk / name
            yield attempt(f"full disk, {name}", lambda p=path, m=mounted: saving_too_much(p, m))
            path.unlink(missing_ok=True)
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)


def saving_too_much(path, mounted):
    """Save a network of 600 kB in a child; return what is wrong with the outcome."""

    def task():
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
        try:
            save(path, 1, hidden=1100)
        except OSError:
            os._exit(7)

    save(path, 0)
    if os.waitstatus_to_exitcode(forked(task)) != 7:
        return "no error"
    saved(path, (0,))
    return f"left behind: {left_behind(path.parent)}" if left_behind(path.parent) else None


# -- the lane ------------------------------------------------------------------------------


def run(options):
    """Run the lane; return how many checks passed and failed."""
    rng, passed, failed = random.Random(options.seed), 0, 0
    calls = memory.SHORT if options.short else memory.CALLS
    with tempfile.TemporaryDirectory() as name:
        for kind, check in (
            ("kills", lambda folder: kills(SHORT_KILLS if options.short else KILLS, rng, folder)),
            ("system calls", system_calls),
            ("interruptions", interruptions),
            ("full disk", full_disk),
            ("allocations", lambda folder: memory.failing(folder, calls)),
        ):
            folder, before = Path(name) / kind.replace(" ", "-"), passed
            folder.mkdir()
            for problem in check(folder):
                passed, failed = passed + (problem is None), failed + (problem is not None)
                if problem is not None:
                    print(f"faults: {problem}")
            print(f"faults: {kind}: {passed - before} passed")
    return passed, failed
