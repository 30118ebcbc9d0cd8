"""Monitors against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.kernel.monitor import Monitor

Step = tuple[int, int]
steps = st.lists(st.tuples(st.integers(0, 40), st.integers(-5, 60)), max_size=30)
fixed = settings(derandomize=True, deadline=None, database=None)


def samples(first: int, changes: list[Step], end: int) -> np.ndarray:
    """Return the value during each tick from 0 to `end`; each change is (ticks since the one before, value)."""
    values = np.full(end, first)
    now = 0
    for wait, value in changes:
        now += wait
        values[now:] = value
    return values


def played(first: int, changes: list[Step]) -> tuple[Monitor, int]:
    monitor, now = Monitor(first), 0
    for wait, value in changes:
        now += wait
        monitor.set(value, now)
    return monitor, now


@fixed
@given(st.integers(-5, 60), steps, st.integers(0, 50))
def test_integral_and_mean_are_those_of_the_step_function(first: int, changes: list[Step], rest: int) -> None:
    monitor, now = played(first, changes)
    end = now + rest
    values = samples(first, changes, end)
    assert monitor.integral(end) == values.sum()
    last = changes[-1][1] if changes else first
    assert monitor.value == last
    assert monitor.mean(end) == (pytest.approx(values.mean()) if end else last)


@fixed
@given(st.integers(-5, 60), steps)
def test_extremes_include_values_that_lasted_no_time(first: int, changes: list[Step]) -> None:
    monitor, _ = played(first, changes)
    shown = [first, *(value for _, value in changes)]
    assert (monitor.low, monitor.high) == (min(shown), max(shown))


@fixed
@given(st.integers(-5, 60), steps, st.integers(0, 20), steps, st.integers(0, 20))
def test_after_a_reset_only_the_time_since_counts(
    first: int, before: list[Step], wait: int, after: list[Step], rest: int
) -> None:
    monitor, now = played(first, before)
    start = now + wait
    monitor.reset(start)
    kept, now = monitor.value, start
    for gap, value in after:
        now += gap
        monitor.set(value, now)
    end = now + rest
    values = samples(kept, after, end - start)
    assert monitor.integral(end) == values.sum()
    assert monitor.mean(end) == (pytest.approx(values.mean()) if end > start else monitor.value)
    shown = [kept, *(value for _, value in after)]
    assert (monitor.low, monitor.high) == (min(shown), max(shown))


@fixed
@given(st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**6)), max_size=10), st.integers(1, 10**18))
def test_integrals_are_exact_at_any_size(changes: list[Step], rest: int) -> None:
    monitor, now = played(0, changes)
    exact, value = 0, 0
    for wait, following in changes:
        exact += value * wait
        value = following
    assert monitor.integral(now + rest) == exact + value * rest


@fixed
@given(st.integers(0, 9), steps, st.lists(st.integers(0, 50), max_size=5))
def test_asking_changes_nothing(first: int, changes: list[Step], asked: list[int]) -> None:
    monitor, now = played(first, changes)
    before = monitor.integral(now + 50), monitor.mean(now + 50)
    for later in asked:
        monitor.integral(now + later)
        monitor.mean(now + later)
    assert (monitor.integral(now + 50), monitor.mean(now + 50)) == before
