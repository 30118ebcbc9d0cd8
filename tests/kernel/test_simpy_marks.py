"""What relies on SimPy's private marks, against what SimPy's own classes do."""

import pytest
import simpy
from simpy.events import EventPriority
from simpy.resources.base import Put
from simpy.resources.container import ContainerGet

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.simpy_marks import (
    Inbox,
    PastPut,
    RuledContainer,
    ScheduledEvent,
    TimedDelivery,
    deposit,
    events_pending,
    events_scheduled,
    succeed_later,
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
            TimedDelivery(env, 5, number, lambda event: seen.append((env.now, event.item)))
    env.advance(10)
    assert seen == [(5, number) for number in range(6)]


def test_a_scheduled_event_has_a_priority_of_its_own(env: Environment) -> None:
    seen: list[str] = []
    ScheduledEvent(env, 5, EventPriority(2)).callbacks.append(lambda _: seen.append("last"))
    env.timeout(5).callbacks.append(lambda _: seen.append("normal"))
    ScheduledEvent(env, 5, EventPriority(0)).callbacks.append(lambda _: seen.append("urgent"))
    env.advance(10)
    assert seen == ["urgent", "normal", "last"]


def test_items_come_in_again_and_again_without_events_of_their_own(env: Environment) -> None:
    inbox, seen = Inbox(env), list[tuple[int, object]]()

    def wait():
        while True:
            value = yield inbox
            seen.append((env.now, value))

    env.process(wait())
    for tick in (3, 4, 4):
        env.timeout(tick, tick).callbacks.append(lambda event: inbox.put(event.value))
    env.advance(10)
    assert seen == [(3, 3), (4, 4), (4, 4)]
    assert env.events == 1 + 3  # the start of the process and the timeouts


def test_what_comes_in_while_nobody_waits_is_kept(env: Environment) -> None:
    inbox = Inbox(env)
    inbox.put("early")
    inbox.put("too")
    assert inbox.kept == ["early", "too"]
    env.advance(10)
    assert env.events == 0


def test_a_process_goes_on_at_once_after_what_has_happened(env: Environment) -> None:
    seen: list[object] = []

    def wait():
        seen.append((yield PastPut(env)))
        seen.append((yield PastPut(env, "value")))
        yield env.timeout(1)

    env.process(wait())
    env.step()
    assert seen == [None, "value"]


def test_a_past_put_is_used_like_any_put_and_costs_no_event(env: Environment) -> None:
    seen: list[object] = []

    def wait():
        with PastPut(env, 1) as put:
            seen.append((yield put))
        result = yield put | env.timeout(5, "late")
        seen.append(list(result.values()))
        result = yield put & PastPut(env, 2) & env.timeout(5, "late")
        seen.append(list(result.values()))

    put = PastPut(env)
    put.cancel()
    assert (put.processed, put.ok) == (True, True)
    assert isinstance(put, Put)
    env.process(wait())
    env.advance(10)
    assert seen == [1, [1], [1, 2, "late"]]
    assert env.run(PastPut(env, "at once")) == "at once"


def test_an_event_that_succeeds_later_is_triggered_now(env: Environment) -> None:
    event, seen = env.event(), list[tuple[int, object]]()
    event.callbacks.append(lambda event: seen.append((env.now, event.value)))
    succeed_later(event, "value", 5)
    assert (event.triggered, event.processed) == (True, False)
    env.advance(10)
    assert seen == [(5, "value")]


class Gate(RuledContainer):
    """Serves gets up to an amount."""

    most = 0

    def may_get(self, get: ContainerGet) -> bool:
        return get.amount <= self.most

    def grant(self, get: ContainerGet) -> None:
        get.succeed(f"{get.amount} of {self.most}")


def test_a_container_serves_gets_by_its_own_rule_and_in_their_order(env: Environment) -> None:
    gate = Gate(env)
    gets = [gate.get(amount) for amount in (2, 3, 1)]
    served = []
    for gate.most in (1, 2, 3):
        gate.serve_gets()
        served.append([get.value for get in gets if get.triggered])
    assert served == [[], ["2 of 2"], ["2 of 2", "3 of 3", "1 of 3"]]
    assert gate.get(3).value == "3 of 3"
    assert gate.get_queue == []


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
