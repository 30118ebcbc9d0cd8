import math
import os
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qkdrmp.sweeps.store import Failure
from qkdrmp.sweeps.workers import Workers, WorkersGone, processes


class Here(Executor):
    """Runs everything at once in this process, and counts batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.batches.append(len(args[1]))
        future.set_result(fn(*args, **kwargs))
        return future


def square(number: int) -> int:
    return number * number


def root(number: int) -> float:
    return math.sqrt(number)


def slow(number: int) -> int:
    time.sleep(0.4)
    return number


def very_slow(seconds: int) -> None:
    time.sleep(seconds)


def deadly(number: int, poison: set[int]) -> int:
    if number in poison:
        os._exit(1)
    return number


def deadly_once(number: int, folder: Path) -> int:
    marker = folder / str(number)
    if number in (3, 11) and not marker.exists():
        marker.touch()
        os._exit(1)
    return number


def carried_out(function: Any, tasks: list[int], executor: Any) -> dict[int, Any]:
    with Workers(function, executor) as workers:
        ended = list(workers.outcomes(tasks))
    assert Counter(number for number, _ in ended) == Counter(range(len(tasks)))
    return {tasks[number]: done.result for number, done in ended}


@pytest.mark.parametrize(
    "make", [partial(processes, 2), partial(ThreadPoolExecutor, 3), partial(ProcessPoolExecutor, 2)]
)
def test_every_task_is_carried_out_once_on_any_executor(make: Any) -> None:
    tasks = list(range(300))
    assert carried_out(square, tasks, make) == {number: number**2 for number in tasks}
    with make() as executor:
        assert carried_out(square, tasks, executor) == {number: number**2 for number in tasks}
        assert executor.submit(square, 3).result() == 9  # it is left open


def test_no_tasks_are_no_work() -> None:
    assert carried_out(square, [], Here()) == {}


def test_workers_can_be_given_more_tasks_later() -> None:
    with Workers(square, Here()) as workers:
        assert [done.result for _, done in workers.outcomes([2, 3])] == [4, 9]
        assert [done.result for _, done in workers.outcomes([5])] == [25]


def test_an_error_is_the_result_of_its_task() -> None:
    results = carried_out(root, [4, -1, 9], Here())
    assert (results[4], results[9]) == (2.0, 3.0)
    failure = results[-1]
    assert isinstance(failure, Failure)
    assert failure.error == "ValueError: math domain error"
    assert "in root" in failure.traceback


def test_short_tasks_go_in_batches_and_the_last_batches_are_small() -> None:
    executor = Here()
    assert len(carried_out(square, list(range(20_000)), executor)) == 20_000
    assert len(executor.batches) < 1000
    assert executor.batches[0] == 1  # nothing is known of their length yet
    assert max(executor.batches) > 50
    assert executor.batches[-1] == 1


def test_long_tasks_go_one_by_one() -> None:
    executor = Here()
    carried_out(slow, [1, 2, 3, 4], executor)
    assert executor.batches == [1, 1, 1, 1]


@pytest.mark.parametrize("make", [partial(processes, 2), partial(ProcessPoolExecutor, 2)])
def test_a_task_that_kills_its_worker_has_failed_and_no_other(make: Any) -> None:
    tasks = list(range(40))
    results = carried_out(partial(deadly, poison={23}), tasks, make)
    assert [number for number in tasks if isinstance(results[number], Failure)] == [23]
    assert all(results[number] == number for number in tasks if number != 23)
    assert "Terminated" in results[23].error or "Broken" in results[23].error


def test_a_worker_that_dies_once_costs_a_retry(tmp_path: Path) -> None:
    tasks = list(range(40))
    results = carried_out(partial(deadly_once, folder=tmp_path), tasks, partial(processes, 2))
    assert results == {number: number for number in tasks}


def test_an_executor_that_cannot_be_replaced_is_an_error() -> None:
    with ProcessPoolExecutor(1) as executor, pytest.raises(WorkersGone, match="give a function that makes executors"):
        carried_out(partial(deadly, poison={0}), [0, 1, 2], executor)


class Dead(Executor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise BrokenExecutor("no memory")


@pytest.mark.parametrize("executor", [Dead, Dead()])
def test_workers_that_cannot_be_started_are_an_error_and_no_endless_loop(executor: Any) -> None:
    with pytest.raises(WorkersGone, match="no worker can be started: no memory"):
        carried_out(square, [1, 2], executor)


class Losing(Here):
    """Loses every batch with a certain task, without breaking (as a cluster does)."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if 5 in args[1]:
            future: Future[Any] = Future()
            future.set_exception(OSError("worker lost"))
            self.batches.append(len(args[1]))
            return future
        return super().submit(fn, *args, **kwargs)


def test_a_batch_that_is_lost_is_tried_again_one_by_one() -> None:
    executor = Losing()
    results = carried_out(square, list(range(2000)), executor)
    assert isinstance(results[5], Failure)
    assert results[5].error == "OSError: worker lost"
    assert sum(isinstance(result, Failure) for result in results.values()) == 1


def test_leaving_early_does_not_wait_for_what_is_in_progress() -> None:
    def leave() -> None:
        with Workers(very_slow, partial(processes, 2)) as workers:
            for _ in workers.outcomes([0, 0, 60, 60, 60]):
                raise KeyboardInterrupt

    begun = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert time.perf_counter() - begun < 50  # the others would take 60 s and more
