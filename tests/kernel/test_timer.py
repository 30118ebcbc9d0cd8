"""Timers: what they start, cancel and start again."""

from __future__ import annotations

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer


def test_a_started_timer_acts_once_unless_it_is_cancelled() -> None:
    env, rung = Environment(), []
    Timer.started(env, 5, lambda: rung.append(env.now))
    cancelled = Timer.started(env, 6, lambda: rung.append(env.now))
    assert cancelled.running
    cancelled.cancel()
    env.advance(10)
    assert rung == [5]
    assert not cancelled.running
