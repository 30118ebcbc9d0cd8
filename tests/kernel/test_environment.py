import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.node import NetworkNode


def ticking(env: Environment, seen: list[int], period: int = 10, times: int = 20):
    for _ in range(times):
        yield env.timeout(period)
        seen.append(env.now)


def test_time_is_a_whole_number_of_ticks_from_zero() -> None:
    env, seen = Environment(), list[int]()
    assert env.now == 0
    env.process(ticking(env, seen))
    env.advance(to_ticks(1e-12) * 55)
    assert seen == [10, 20, 30, 40, 50]
    assert env.now == 55
    assert isinstance(env.now, int)


def test_advance_stops_before_the_events_of_that_tick() -> None:
    env, seen = Environment(), list[int]()
    env.process(ticking(env, seen))
    env.advance(20)
    assert seen == [10]
    env.advance(21)
    assert seen == [10, 20]


@pytest.mark.parametrize("until", [-5, 0, 20])
def test_advancing_to_the_past_does_nothing(until: int) -> None:
    env = Environment()
    env.advance(20)
    events = env.events
    env.advance(until)
    assert env.now == 20
    assert env.events == events


def test_a_process_of_one_timeout_is_three_events() -> None:
    env = Environment()
    env.process(ticking(env, [], times=1))
    assert env.events == 0
    env.advance(100)
    assert env.events == 3  # its start, its timeout, its end


def test_an_environment_is_idle_when_nothing_is_to_happen() -> None:
    env = Environment()
    assert env.is_idle
    env.process(ticking(env, [], times=1))
    assert not env.is_idle
    env.advance(10)
    assert not env.is_idle
    env.advance(11)
    assert env.is_idle
    env.timeout(5)
    assert not env.is_idle
    env.advance(100)
    env.advance(200)
    assert env.is_idle


def test_looking_changes_nothing() -> None:
    env = Environment()
    env.process(ticking(env, []))
    env.advance(45)
    assert env.events == env.events == env.events
    env.advance(1000)
    assert env.events == 22


@given(st.lists(st.integers(0, 230), max_size=8))
def test_the_count_of_events_does_not_depend_on_the_stops(stops: list[int]) -> None:
    whole, pieces = Environment(), Environment()
    for env in (whole, pieces):
        env.process(ticking(env, []))
        NetworkNode(env, "idle")
    for stop in sorted(stops):
        pieces.advance(stop)
        _ = pieces.events
    for env in (whole, pieces):
        env.advance(150)
        env.advance(230)
    assert whole.events == pieces.events
    assert whole.now == pieces.now
