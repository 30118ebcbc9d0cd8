"""What relies on SimPy's private marks, against what SimPy's own classes do."""

import pytest
import simpy
from simpy.events import EventPriority

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.simpy_marks import (
    Arrival,
    ScheduledEvent,
    TimedDelivery,
    deposit,
    events_pending,
    events_scheduled,
    past_event,
    processed,
)


@pytest.fixture
def env() -> Environment:
    return Environment()


def test_a_delivery_happens_when_and_in_the_order_a_timeout_would(env: Environment) -> None:
    seen: list[tuple[int, object]] = []
    for number in range(6):
        if number % 2:
            env.timeout(5, number).callbacks.append(lambda event: seen.append((env.now, event.value)))
        else:
            TimedDelivery(env, 5, number, lambda event: seen.append((env.now, event.value)))
    env.advance(10)
    assert seen == [(5, number) for number in range(6)]


def test_a_scheduled_event_has_a_priority_of_its_own(env: Environment) -> None:
    seen: list[str] = []
    ScheduledEvent(env, 5, EventPriority(2)).callbacks.append(lambda _: seen.append("last"))
    env.timeout(5).callbacks.append(lambda _: seen.append("normal"))
    ScheduledEvent(env, 5, EventPriority(0)).callbacks.append(lambda _: seen.append("urgent"))
    env.advance(10)
    assert seen == ["urgent", "normal", "last"]


def test_an_arrival_happens_again_and_again_without_events_of_its_own(env: Environment) -> None:
    arrival, seen = Arrival(env), list[tuple[int, object]]()

    def wait():
        while True:
            value = yield arrival
            seen.append((env.now, value))

    env.process(wait())
    for tick in (3, 4, 4):
        env.timeout(tick, tick).callbacks.append(lambda event: arrival.happen(event.value))
    env.advance(10)
    assert seen == [(3, 3), (4, 4), (4, 4)]
    assert env.events == 1 + 3  # the start of the process and the timeouts


def test_a_process_goes_on_at_once_after_a_past_event(env: Environment) -> None:
    seen: list[object] = []

    def wait():
        seen.append((yield past_event(env)))
        seen.append((yield processed(env.event(), "value")))
        yield env.timeout(1)

    env.process(wait())
    env.step()
    assert seen == [None, "value"]
    assert past_event(env) is past_event(env)
    assert past_event(env).processed
    assert past_event(env).ok


def test_a_deposit_serves_the_gets_of_a_store_like_a_put(env: Environment) -> None:
    one, other = simpy.Store(env), simpy.Store(env)
    gets = [[store.get() for _ in range(2)] for store in (one, other)]
    for item in "abc":
        one.put(item)
        deposit(other, item)
    env.advance(1)
    assert [get.value for get in gets[0]] == [get.value for get in gets[1]] == ["a", "b"]
    assert one.items == other.items == ["c"]


def test_to_count_the_events_takes_no_event_number(env: Environment) -> None:
    env.timeout(3)
    env.timeout(4)
    assert events_scheduled(env) == events_scheduled(env) == 2
    assert events_pending(env) == 2
    env.step()
    assert (events_scheduled(env), events_pending(env)) == (2, 1)
