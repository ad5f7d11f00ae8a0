"""Several threads on one mini-batch: how many, and how they enter the core together."""

import os
import threading
from collections.abc import Callable
from typing import Any

from fastbp._dispatch import core

# A thread is worth it where its share of a block of samples takes about a millisecond: so
# many multiply-adds times bytes of a number, at the rate of a fast processor of today. A
# barrier takes a thousandth of that; the rest is for uneven shares and slow wakings.
_WORK = 2e8

# Whether several threads are the faster hangs on what else the machine does: so both are
# tried, the slower one again in every so many entries, for a part of an entry's time.
_EVERY = 10
_TRIAL = 0.2

# Seconds that a thread may take to come; after these it is done without.
_PATIENCE = 1.0


class Pace:
    """How many threads to use next, from what was worth it so far; of one call of SGD."""

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._seconds: dict[int, float] = {}  # a sample, when last tried; by number of threads
        self._entries = 0

    def most(self, work: float, itemsize: int) -> int:
        """Return how many threads are worth it for ``work`` multiply-adds in a block."""
        if self._n_threads == 1 or not core.TEAMS:
            return 1
        return max(1, min(self._n_threads, processors(), int(work * itemsize / _WORK)))

    def next(self, most: int) -> tuple[int, float]:
        """Return how many threads are to enter, 1 or ``most``, for what part of the usual time."""
        if most == 1 or self._n_threads == 1:
            return 1, 1.0
        for untried in (most, 1):
            if untried not in self._seconds:
                return untried, _TRIAL
        faster = min(most, 1, key=self._seconds.__getitem__)
        self._entries += 1
        if self._entries % _EVERY:
            return faster, 1.0
        return (most if faster == 1 else 1), _TRIAL

    def give_up(self) -> None:
        """Use one thread from now on."""
        self._n_threads = 1

    def note(self, parts: int, seconds: float, samples: int) -> None:
        """Remember how long an entry took."""
        self._seconds[parts] = seconds / samples


ALONE = Pace(1)


def enter(parts: int, door: Callable[..., int], *arguments: Any) -> int | None:
    """Call ``door(*arguments, team, thread_id)`` in each of ``parts`` threads, of which this is 0.

    The threads live as long as the call, whose result is returned. None says that they cannot
    be had, and nothing has changed: a thread does not start, or is none of the system's own (as
    of a library that runs all in one), or is stopped on its way. An exception of any is raised;
    where it keeps one from entering the core, the others return from there with nothing changed.
    """
    if parts == 1:
        return door(*arguments)
    team = core.Team(parts)
    failures: list[BaseException] = []
    ours, ready = threading.get_native_id(), threading.Semaphore(0)

    def follow(part: int) -> None:
        try:
            if threading.get_native_id() != ours:
                ready.release()
                door(*arguments, team, part)
        except BaseException as error:
            failures.append(error)
            team.abort()

    threads = [threading.Thread(target=follow, args=(part,)) for part in range(1, parts)]
    result = None
    try:
        try:
            for thread in threads:
                thread.start()
            # Part 0 waits in the core, where no signal is seen: not before all are there.
            together = all(ready.acquire(timeout=_PATIENCE) for _ in threads)
        except RuntimeError:  # no more threads to be had
            together = False
        if together:
            result = door(*arguments, team, 0)
        else:
            team.abort()
    except BaseException:
        team.abort()  # Ctrl-C: part 0 may never come
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:  # it was started
                thread.join()
    if failures:
        raise failures[0]
    return result


def processors() -> int:
    """Return how many processors this process may use."""
    count: Any = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    if count is not None:
        return count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
