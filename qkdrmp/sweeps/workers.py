"""Workers: many independent tasks on any executor, short ones in batches, so that a worker that dies costs a retry.

An executor reports neither how far a batch got nor which task killed its worker. So tasks that were in progress when a
worker died are tried again, one at a time; a task whose worker dies twice while it is alone has failed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

import loky

from qkdrmp.errors import QKDRMPError
from qkdrmp.sweeps.ctrl_c import LOOK_S, CtrlC, held_back
from qkdrmp.sweeps.store import Failure

T = TypeVar("T")
R = TypeVar("R")

BATCH_S = 0.3  # what a batch of short tasks should take: long beside a message, short beside a person's patience
BATCHES_PER_WORKER = 2  # one running and one waiting
DEATHS_ALONE = 2
ORPHANED_S = 1.0  # how long a worker outlives a sweep that is killed, at most
UNKNOWN_WIDTH = 32  # workers of an executor that does not say how many it has

# Marks executors whose workers are killed if a sweep ends early: loky cannot shut down after tasks were cancelled.
KILLED = "killed_if_left"


class WorkersGone(QKDRMPError):
    """A worker died and broke the executor, which cannot be replaced."""


@dataclass(frozen=True)
class TaskResult(Generic[R]):
    """The outcome of a task.

    Parameters
    ----------
    result : R or Failure
    wall_s : float
        How long it took, s.
    """

    result: R | Failure
    wall_s: float


def attempt(function: Callable[[T], R], tasks: Sequence[T]) -> list[TaskResult[R]]:
    """Carry out a batch of tasks in this process; an error of one is its result."""
    return [_attempt(function, task) for task in tasks]


def _attempt(function: Callable[[T], R], task: T) -> TaskResult[R]:
    begun = time.perf_counter()
    try:
        result: R | Failure = function(task)
    except Exception as error:
        result = failure_of(error)
    return TaskResult(result, time.perf_counter() - begun)


def failure_of(error: BaseException) -> Failure:
    """Return the record of an error."""
    first = (str(error).strip().splitlines() or [""])[0]
    name = type(error).__name__
    return Failure(f"{name}: {first}" if first else name, "".join(traceback.format_exception(error)))


class Workers(Generic[T, R]):
    """Carries out tasks on an executor.

    Parameters
    ----------
    function : callable
        What is done with a task; it must be fit to be sent to the workers.
    executor : Executor or callable
        Any `concurrent.futures.Executor`, which is left open, or a function that makes one, which is called again if
        a worker dies and breaks the executor.

    Raises
    ------
    QKDRMPError
        If `executor` is neither.
    """

    def __init__(self, function: Callable[[T], R], executor: Executor | Callable[[], Executor]) -> None:
        if not callable(executor) and not hasattr(executor, "submit"):
            raise QKDRMPError(f"executor = {executor!r} must be an executor, or a function that makes one")
        self._function = function
        self._make = executor if callable(executor) else None
        self._executor = executor() if callable(executor) else executor
        self._broken, self._fresh = False, True
        self._ctrl_c = CtrlC()
        self._pace_s = BATCH_S
        self._tasks: Sequence[T] = ()
        self._waiting: deque[int] = deque()
        self._suspects: deque[int] = deque()
        self._alone: int | None = None  # the suspect that is being tried
        self._deaths = 0  # how often its worker died then
        self._in_progress: dict[Future[list[TaskResult[R]]], list[int]] = {}

    def __enter__(self) -> Workers[T, R]:
        self._ctrl_c.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._leave(kill=kind is not None)
        finally:
            self._ctrl_c.__exit__(kind)

    def _leave(self, kill: bool) -> None:
        kills = hasattr(self._executor, KILLED)
        for future in self._in_progress if not kills else ():
            future.cancel()
        if self._make is not None:
            _shut_down(self._executor, kill)

    def outcomes(self, tasks: Sequence[T]) -> Iterator[tuple[int, TaskResult[R]]]:
        """Yield the number of each task and its outcome, in the order in which they end.

        Raises
        ------
        WorkersGone
            If the executor broke, and there is no function that makes another one.
        KeyboardInterrupt
            If Ctrl-C has been pressed, after the outcomes that are there.
        """
        self._tasks = tasks
        self._waiting.extend(range(len(tasks)))
        while self._waiting or self._suspects or self._in_progress:
            self._ctrl_c.heed()
            self._submit()
            ended = wait(self._in_progress, LOOK_S, FIRST_COMPLETED).done
            for future in [future for future in self._in_progress if future in ended]:
                yield from self._ended(future, self._in_progress.pop(future))

    def _ended(self, future: Future[list[TaskResult[R]]], numbers: list[int]) -> Iterator[tuple[int, TaskResult[R]]]:
        """Yield the outcomes of a batch; if it was lost, its tasks are suspects, or one of them has failed."""
        try:
            batch = future.result()
        except Exception as error:
            self._broken |= isinstance(error, BrokenExecutor)
            self._deaths += numbers == [self._alone]
            if self._deaths < DEATHS_ALONE:
                self._suspects.extendleft(reversed(numbers))
                return
            batch = [TaskResult(failure_of(error), self._pace_s)]
        if numbers == [self._alone]:
            self._alone, self._deaths = None, 0
        self._pace_s = sum(done.wall_s for done in batch) / len(batch)
        yield from zip(numbers, batch, strict=True)

    def _submit(self) -> None:
        """Keep all workers busy; suspects go one by one, with nothing else in progress."""
        if self._broken and not self._in_progress:
            self._renew()
        if self._suspects:
            if not self._in_progress:
                self._alone = self._suspects.popleft()
                self._send([self._alone])
            return
        width = getattr(self._executor, "_max_workers", None) or UNKNOWN_WIDTH
        while self._waiting and not self._broken and len(self._in_progress) < BATCHES_PER_WORKER * width:
            fair = len(self._waiting) // (BATCHES_PER_WORKER * width)
            size = max(1, min(int(BATCH_S / max(self._pace_s, 1e-9)), fair))
            self._send([self._waiting.popleft() for _ in range(size)])

    def _send(self, numbers: list[int]) -> None:
        batch = [self._tasks[number] for number in numbers]
        with held_back():
            try:
                self._in_progress[self._executor.submit(attempt, self._function, batch)] = numbers
            except BrokenExecutor as error:
                if self._fresh:
                    raise WorkersGone(f"no worker can be started: {error}") from error
                self._broken = True
                (self._suspects if numbers == [self._alone] else self._waiting).extendleft(reversed(numbers))
            else:
                self._fresh = False

    def _renew(self) -> None:
        if self._make is None:
            raise WorkersGone(
                "a worker died and broke the executor; give a function that makes executors instead, which is called "
                "again in such a case"
            )
        _shut_down(self._executor, kill=True)
        self._executor = self._make()
        self._broken, self._fresh = False, True


def _shut_down(executor: Executor, kill: bool) -> None:
    if kill and hasattr(executor, KILLED):
        executor.shutdown(wait=True, kill_workers=True)  # type: ignore[call-arg]  # loky's
    else:
        executor.shutdown(wait=True)


def processes(jobs: int | None = None) -> Executor:
    """Return an executor with `jobs` processes on this machine; by default one for each core."""
    own: Executor = loky.ProcessPoolExecutor(jobs, initializer=begin_worker, initargs=(os.getpid(),))
    setattr(own, KILLED, True)
    return own


def begin_worker(parent: int) -> None:
    """Prepare a worker: it leaves Ctrl-C to the process that started it, and ends if that process dies.

    The process that starts it gives its own number, `parent`: it may be dead before the worker can ask for it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHANED_S)
    os._exit(1)
