"""Faults while saving, and lack of memory; the lane that finds them is tested on broken code."""

import inspect
import os
import random
import tempfile
from pathlib import Path

import pytest
from lanes import faults, fuzz, memory

from fastbp import files

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.name == "nt", reason="fork, kill and mount"),
]


@pytest.fixture
def folder():
    """Return a folder in memory: nothing here asks what a disk does with an fsync."""
    with tempfile.TemporaryDirectory(dir=fuzz.MEMORY) as path:
        yield Path(path)


def problems(checks):
    """Return what a lane found, and that it looked."""
    found = list(checks)
    assert found
    return [problem for problem in found if problem is not None]


def test_killed_while_saving(folder):
    """After SIGKILL at 20 random moments the old network or the new one is there, whole."""
    assert problems(faults.kills(20, random.Random(0), folder)) == []


def test_each_system_call_fails_or_is_the_last(folder):
    """Failing, half done or killed at: an error, the old file or the new, nothing beside it."""
    assert problems(faults.system_calls(folder)) == []


def test_a_full_disk(folder):
    """An error, and the old file."""
    assert problems(faults.full_disk(folder)) == []


def test_interrupted_at_each_bytecode(folder):
    """Whenever a signal handler raises: the old file or the new, nothing beside it, all closed."""
    assert problems(faults.interruptions(folder)) == []


@pytest.mark.parametrize("name", faults.SAVERS)
def test_the_order_of_a_save(name, folder):
    """Content reaches the disk before the name does, and then the folder."""
    calls = faults.with_fault(-1, faults.refused, lambda: faults.save(folder / name, 0))
    order = ["write", "fsync", "close", "replace", "open", "fsync", "close"]
    assert [call for call in calls if call in order][-len(order) :] == order


TEMPORARY = 'os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")'
OPENED = 'FileIO(temporary, "x")'
RENAMED = "        os.replace(temporary, target)\n"
FLUSHED = "            os.fsync(file.fileno())\n"
HANDLE = "os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)"
EARLY = f"    {OPENED}.close()\n    os.unlink(temporary)\n    try:\n        with"

# What is broken: function, old and new texts, and the checks that must see it.
BROKEN = {
    "written straight to the target": (
        "replace",
        {TEMPORARY: "target", OPENED: 'FileIO(temporary, "w")', RENAMED: ""},
        ["system_calls", "full_disk", "kills", "interruptions"],
    ),
    "nothing is cleared away": (
        "replace",
        {"os.unlink(temporary)": "pass"},
        ["system_calls", "full_disk", "interruptions"],
    ),
    "errors are swallowed": (
        "replace",
        {"        raise\n    _sync": "        return\n    _sync"},
        ["system_calls", "full_disk"],
    ),
    "renamed before it is written": (
        "replace",
        {RENAMED: "", f"with {OPENED} as file:\n": f"with {OPENED} as file:\n    " + RENAMED},
        ["system_calls", "full_disk", "interruptions"],
    ),
    "a file is left open": (
        "replace",
        {OPENED: f"FileIO({HANDLE}, 'w', closefd=False)"},
        ["system_calls", "interruptions"],
    ),
    "the name is made before the block that clears it away": (
        "replace",
        {"    try:\n        with": EARLY},
        ["interruptions"],
    ),
    "the folder's handle is lost": (
        "_sync_folder",
        {
            "handles.extend(map(os.open, [folder], [os.O_RDONLY]))": "handle = "
            "os.open(folder, os.O_RDONLY); handles.append(handle)"
        },
        ["interruptions"],
    ),
    "a short write is taken for a whole one": (
        "_write_all",
        {"view = view[os.write(handle, view) :]": "os.write(handle, view); break"},
        ["system_calls"],
    ),
    "permissions are lost": (
        "_inherit",
        {"stat.S_IMODE(old.st_mode)": "0o600"},
        ["system_calls"],
    ),
}
CASES = [(name, check) for name, broken in BROKEN.items() for check in broken[2]]


@pytest.mark.parametrize(("name", "check"), CASES)
def test_a_broken_save_is_found(name, check, folder, monkeypatch):
    """Each check of the lane turns red on what it is for."""
    function, changes, _ = BROKEN[name]
    source = inspect.getsource(getattr(files, function))
    for old, new in changes.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    namespace = {}
    exec("from __future__ import annotations\n" + source, vars(files), namespace)
    monkeypatch.setattr(files, function, namespace[function])
    run = getattr(faults, check)
    # By chance, so many times at most: the first problem found is enough.
    checks = run(500, random.Random(0), folder) if check == "kills" else run(folder)
    assert next(problem for problem in checks if problem is not None)


@pytest.mark.parametrize("name", memory.SHORT)
def test_each_allocation_fails_once(name, folder):
    """MemoryError, nothing changed, and the next call works; no crash."""
    missing = memory.lacking()
    if missing:
        pytest.skip(missing)
    assert problems(memory.failing(folder, [name])) == []


def test_a_swallowed_lack_of_memory_is_found(folder):
    """A call that answers something else without memory is a problem of the lane."""
    missing = memory.lacking()
    if missing:
        pytest.skip(missing)
    found = problems(memory.failing(folder, ["broken: swallowed", "broken: half"]))
    assert any("another result, and no error" in problem for problem in found)
    assert any("other parameters" in problem for problem in found)
