"""Intervals hold what they should: a run whose mean is known, put through the sweep and the estimators many times."""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest

from qkdrmp import Scenario, compare, load_scenario, summarise
from qkdrmp.sweeps.plan import Plan, Task
from qkdrmp.sweeps.sweep import carry_out

WAIT_S = 3.0
WAITS = 100  # of a run; by the central limit theorem their mean is nearly normal
SLOWER = 1.1  # the wait with a queue of 1, over that with a queue of 2
REPLICATIONS = 10


class Here(Executor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def toy(task: Task) -> Sequence[dict[str, float]]:
    """Return the mean of exponential waits, of which the queues share most of the random numbers, but not all."""
    capacity = task.point["queue.capacity"]
    shared = np.random.default_rng(task.seed).exponential(WAIT_S, WAITS).mean()
    own = np.random.default_rng([task.seed, capacity]).exponential(WAIT_S, WAITS).mean()
    return [{"wait_mean_s": float(0.7 * shared + 0.3 * own) * (SLOWER if capacity == 1 else 1.0)}]


def coverage(sweeps: int, replications: int = REPLICATIONS, **rule: Any) -> tuple[float, float]:
    """Return the share of sweeps whose interval holds the mean, and of those whose paired interval the difference."""
    scenario: Scenario = load_scenario("line")
    means = differences = 0
    for seed in range(sweeps):
        plan = Plan(scenario, {"queue.capacity": [1, 2]}, replications, seed, simulate=toy, **rule)
        runs = carry_out(plan, executor=Here(), progress=False).runs
        cell = summarise(runs, plan.swept).iloc[1]
        means += cell["wait_mean_s_low"] <= WAIT_S <= cell["wait_mean_s_high"]
        pair = compare(runs, "queue.capacity", metrics=["wait_mean_s"]).iloc[0]
        differences += pair["low"] <= (1 - SLOWER) * WAIT_S <= pair["high"]
    return means / sweeps, differences / sweeps


def test_most_intervals_hold_the_mean() -> None:
    # 120 sweeps: 95 % within four standard errors.
    for share in coverage(120):
        assert share == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / 120) ** 0.5)


@pytest.mark.slow
def test_93_to_97_of_100_intervals_hold_the_mean() -> None:
    for share in coverage(1000):
        assert 0.93 <= share <= 0.97


@pytest.mark.slow
def test_intervals_of_sweeps_that_stop_by_precision_hold_the_mean_nearly_as_often() -> None:
    mean, difference = coverage(1000, replications=5, precision=0.04, metric="wait_mean_s")
    assert 0.90 <= mean <= 0.97
    assert 0.90 <= difference <= 0.97
