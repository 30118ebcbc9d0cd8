"""Key pools as a SimPy user means them: Containers of keys whose puts and gets change both copies alike."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qkdrmp.kernel.environment import Environment
from qkdrmp.qkd import KeyPool, KeyRange, KeyStream, Replenish, StreamSettings, Thresholds
from qkdrmp.qkd.invariants import check_network, check_pool
from qkdrmp.qkd.keys.key_get import KeyGet
from tests.qkd.helpers import US, ask, line, scenario, start
from tests.qkd.helpers import stream as stream_of

fixed = settings(derandomize=True, deadline=None, database=None)

NEVER_INTERRUPTED = (0, 1)
"""V_i and V_r of a pool that serves whatever it holds."""


def stream(
    capacity: int = 10,
    interrupt: int = NEVER_INTERRUPTED[0],
    recover: int = NEVER_INTERRUPTED[1],
    replenish: Replenish = Replenish.THRESHOLD,
    delay: int = 0,
    env: simpy.Environment | None = None,
    **sizes: int,
) -> KeyStream:
    """Return a stream of keys of 8 bits."""
    chosen = StreamSettings(Thresholds(capacity, interrupt, recover, **sizes), 8, replenish)
    return KeyStream(env or simpy.Environment(), ("Alice", "Bob"), chosen, np.random.default_rng(1), delay)


def account(pool: KeyPool) -> tuple[int, int, int, int, int]:
    check_pool("pool", pool)
    return pool.stored, pool.level, pool.claimed, pool.used, pool.voided


# A process waits for keys


def test_a_get_waits_for_its_keys_and_both_ends_have_them() -> None:
    env, seen = simpy.Environment(), list[object]()
    keys = stream(env=env)

    def devices():
        for _ in range(3):
            yield env.timeout(10)
            seen.append((env.now, "made", (yield keys.upstream.put(2))))

    def bob():
        got = yield keys.downstream.get(5)
        seen.append((env.now, str(got)))
        assert keys.downstream.use(got) == keys.upstream.use(got)

    env.process(devices())
    env.process(bob())
    env.run()
    assert seen == [(10, "made", 2), (20, "made", 2), (30, "made", 2), (30, "keys 0-4")]
    assert account(keys.upstream) == account(keys.downstream) == (6, 1, 0, 5, 0)
    assert isinstance(keys.downstream, simpy.Container)


def test_gets_are_served_first_come_first_served_at_either_end() -> None:
    keys = stream()
    first, second, third = keys.downstream.get(4), keys.upstream.get(1), keys.downstream.get(2)
    keys.upstream.put(3)
    assert not any(get.triggered for get in (first, second, third))
    keys.downstream.put(2)
    assert (first.value, second.value, third.triggered) == (KeyRange(0, 4), KeyRange(4, 1), False)
    keys.downstream.put(2)
    assert third.value == KeyRange(5, 2)


def test_what_is_put_beyond_the_capacity_is_dropped_and_counted() -> None:
    keys = stream(capacity=10)
    assert [keys.downstream.put(count).value for count in (4, 9, 1)] == [4, 6, 0]
    assert keys.overflow == 4
    assert account(keys.upstream) == account(keys.downstream) == (10, 10, 0, 0, 0)


def test_an_interrupted_pool_serves_again_at_its_recovery_threshold() -> None:
    keys = stream(interrupt=2, recover=6)
    pool = keys.downstream
    assert not pool.serving
    waiting = pool.get(1)
    served = []
    for _ in range(6):
        keys.upstream.put(1)
        served.append(waiting.triggered)
    assert served == [False] * 5 + [True]
    assert (pool.level, pool.serving) == (5, True)
    assert pool.get(3).triggered
    assert (pool.level, pool.serving, pool.interrupts) == (2, False, 2)
    assert not pool.get(1).triggered


def test_the_reserve_remains() -> None:
    keys = stream(capacity=10, reserve=3, initial=8)
    five, one = keys.downstream.get(5), keys.downstream.get(1)
    assert (five.triggered, one.triggered, keys.downstream.level) == (True, False, 3)


def test_on_demand_a_get_that_the_level_cannot_serve_interrupts() -> None:
    keys = stream(capacity=10, interrupt=2, recover=8, initial=8, replenish=Replenish.DEMAND)
    keys.downstream.on_interrupt = lambda: keys.put(1)  # devices that make a key at once
    get = keys.downstream.get(9)
    assert get.value == KeyRange(0, 9)
    # Interrupted by the get, served with a ninth key, interrupted with none left: one more key.
    assert (keys.downstream.level, keys.downstream.serving, keys.downstream.interrupts) == (1, False, 2)


def test_who_waits_in_vain_under_the_threshold_rule_shows_as_a_stuck_pool() -> None:
    keys = stream(capacity=10, interrupt=2, recover=8, initial=8)
    get = keys.downstream.get(9)
    assert (keys.downstream.serving, keys.downstream.stuck.value) == (True, 1)
    get.cancel()
    assert keys.downstream.stuck.value == 0


@pytest.mark.parametrize("count", [0, -1])
def test_only_some_keys_can_be_put_or_got(count: int) -> None:
    keys = stream(capacity=10, reserve=2)
    with pytest.raises(ValueError, match=f"count = {count} must be at least 1"):
        keys.downstream.put(count)
    with pytest.raises(ValueError, match=f"count = {count} must be 1 to 8, the capacity without the reserve"):
        keys.downstream.get(count)


def test_a_get_that_could_never_be_served_is_an_error() -> None:
    keys = stream(capacity=10, reserve=2)
    with pytest.raises(ValueError, match="count = 9 must be 1 to 8"):
        keys.upstream.get(9)
    assert keys.downstream.get_queue == []


def test_keys_that_are_not_set_aside_cannot_be_used() -> None:
    keys = stream(initial=4)
    with pytest.raises(KeyError, match="keys 0-1 are not set aside here"):
        keys.downstream.use(KeyRange(0, 2))


# A delay between the copies


def test_the_copy_upstream_is_one_delay_later() -> None:
    env = Environment()
    keys = stream(env=env, delay=50)
    seen: list[object] = []

    def wait(name: str, pool: KeyPool):
        got = yield pool.get(2)
        seen.append((env.now, name, pool.use(got)))

    keys.downstream.put(4)
    assert (keys.downstream.level, keys.upstream.level) == (4, 0)
    env.process(wait("Alice", keys.upstream))
    env.process(wait("Bob", keys.downstream))
    env.advance(1)
    assert (keys.downstream.level, keys.upstream.level) == (0, 0)
    env.advance(51)
    first, second = (keys.bits(KeyRange(index, 2)) for index in (0, 2))
    assert first != second
    assert seen == [(0, "Bob", second), (50, "Alice", first)]
    assert account(keys.upstream)[:2] == account(keys.downstream)[:2] == (4, 0)


# Giving up


def test_a_get_may_lose_a_race() -> None:
    env, seen = simpy.Environment(), list[object]()
    keys = stream(env=env, initial=3)

    def bob():
        get = keys.downstream.get(5)
        result = yield get | env.timeout(10)
        seen.append((env.now, get in result))
        get.cancel()
        got = yield keys.downstream.get(3)
        seen.append((env.now, str(got)))

    env.process(bob())
    env.run()
    assert seen == [(10, False), (10, "keys 0-2")]
    assert account(keys.downstream) == (3, 0, 3, 0, 0)


def test_a_get_may_win_a_race_and_be_joined_to_others() -> None:
    env, seen = simpy.Environment(), list[object]()
    keys, others = stream(env=env), stream(env=env)

    def bob():
        get = keys.downstream.get(2)
        result = yield get | env.timeout(10)
        seen.append((env.now, result[get]))
        both = yield keys.downstream.get(1) & others.downstream.get(4)
        seen.append((env.now, list(both.values())))

    def devices():
        yield env.timeout(5)
        keys.downstream.put(3)
        yield env.timeout(5)
        others.downstream.put(4)

    env.process(bob())
    env.process(devices())
    env.run()
    assert seen == [(5, KeyRange(0, 2)), (10, [KeyRange(2, 1), KeyRange(0, 4)])]


def test_who_waited_behind_a_get_that_is_given_up_is_served() -> None:
    keys = stream(initial=3)
    large, small = keys.downstream.get(5), keys.upstream.get(2)
    assert not small.triggered
    large.cancel()
    large.cancel()
    assert small.value == KeyRange(0, 2)


def test_a_with_statement_gives_up_what_an_interrupt_ends() -> None:
    env = simpy.Environment()
    keys = stream(env=env)

    def bob():
        try:
            with keys.downstream.get(2) as got:
                yield got
        except simpy.Interrupt:
            yield env.timeout(5)
        with keys.downstream.get(2) as got:
            return (yield got)

    process = env.process(bob())
    env.run(1)
    process.interrupt()
    env.run(2)
    assert keys.downstream.get_queue == []
    keys.downstream.put(3)
    assert env.run(process) == KeyRange(0, 2)
    assert account(keys.upstream) == account(keys.downstream) == (3, 1, 2, 0, 0)


@pytest.mark.parametrize("delay", [0, 50])
def test_keys_that_nobody_has_learned_of_are_discarded_with_their_get(delay: int) -> None:
    env = Environment()
    keys = stream(env=env, delay=delay)
    get = keys.upstream.get(2)
    keys.upstream.put(3)
    assert (get.triggered, get.processed) == (True, False)
    get.cancel()
    get.cancel()
    env.advance(200)
    assert account(keys.upstream) == account(keys.downstream) == (3, 1, 0, 0, 2)


def test_a_get_that_has_happened_keeps_its_keys() -> None:
    env = Environment()
    keys = stream(env=env, initial=3)
    with keys.downstream.get(2) as got:
        env.advance(1)
    got.cancel()
    assert account(keys.downstream) == (3, 1, 2, 0, 0)


# Beside a plain Container

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(["put", "get", "impatient get"]), st.integers(1, 8), st.integers(0, 6)), max_size=30
)


def outcomes(
    env: simpy.Environment, script: list[Step], put: Callable[[int], Any], get: Callable[[int], Any], level: Any
) -> list[object]:
    """Carry out the steps two ticks apart; return when each get was served or given up, and the level at each step."""
    seen: list[object] = []

    def wait(number: int, amount: int, patience: int | None):
        event = get(amount)
        late = env.event() if patience is None else env.timeout(2 * patience + 1)  # never when something is put
        result = yield event | late
        seen.append((env.now, number, event in result))
        event.cancel()

    def go():
        for number, (what, amount, patience) in enumerate(script):
            yield env.timeout(2)
            if what == "put":
                put(amount)
            else:
                env.process(wait(number, amount, None if what == "get" else patience))
            yield env.timeout(0)
            seen.append((env.now, "level", level()))

    env.process(go())
    env.run()
    return seen


@settings(fixed, max_examples=300)
@given(steps, st.integers(8, 12), st.sampled_from(["upstream", "downstream"]))
def test_without_thresholds_a_pool_is_a_plain_container(script: list[Step], capacity: int, end: str) -> None:
    env, plain_env = simpy.Environment(), simpy.Environment()
    pool: KeyPool = getattr(stream(capacity, env=env), end)
    plain = simpy.Container(plain_env, capacity)

    def put_what_fits(amount: int) -> None:
        if fitting := min(amount, capacity - int(plain.level)):
            plain.put(fitting)

    def plain_get(amount: int) -> simpy.resources.container.ContainerGet:
        get = plain.get(amount)
        cancel = get.cancel

        def cancel_and_look_again() -> None:
            # A Container does not look at those behind a get that is given up before something else happens.
            cancel()
            plain.get(2 * capacity).cancel()

        get.cancel = cancel_and_look_again
        return get

    expected = outcomes(plain_env, script, put_what_fits, plain_get, lambda: plain.level)
    assert outcomes(env, script, pool.put, pool.get, lambda: pool.level) == expected


# Whatever comes in between


class Pool(RuleBasedStateMachine):
    """Gets and puts at both ends, gets given up, and the protocol's claims, at one stream whose copies may be apart."""

    @initialize(data=st.data(), delay=st.sampled_from([0, 3]), replenish=st.sampled_from(list(Replenish)))
    def begin(self, data: st.DataObject, delay: int, replenish: Replenish) -> None:
        capacity = data.draw(st.integers(1, 20))
        recover = data.draw(st.integers(1, capacity))
        interrupt = data.draw(st.integers(0, recover - 1))
        reserve = data.draw(st.integers(0, min(2, capacity - 1)))
        initial = data.draw(st.integers(0, capacity))
        self.env = Environment()
        self.sizes = Thresholds(capacity, interrupt, recover, reserve, initial)
        self.stream = KeyStream(
            self.env, ("a", "b"), StreamSettings(self.sizes, 16, replenish), np.random.default_rng(1), delay
        )
        self.up, self.down = self.stream.upstream, self.stream.downstream
        self.refills = 0
        self.down.on_interrupt = self.refill
        # The model.
        self.generated = self.level = initial
        self.dropped = 0
        self.serving = initial > interrupt
        self.interrupts = int(not self.serving)
        self.taken: list[KeyRange] = []
        self.waiting: list[KeyGet] = []
        self.gets: list[tuple[KeyGet, KeyPool]] = []
        self.held: list[KeyRange] = []
        self.processed_at: dict[KeyGet, int] = {}

    def refill(self) -> None:
        self.refills += 1

    # The model

    def may_serve(self, count: int) -> bool:
        above = self.level > self.sizes.interrupt and self.level - count >= self.sizes.reserve
        return self.serving and above

    def take(self, count: int) -> KeyRange:
        first = self.taken[-1].first + self.taken[-1].count if self.taken else 0
        self.taken.append(KeyRange(first, count))
        self.level -= count
        return self.taken[-1]

    def serve_and_review(self, serve: bool = True) -> None:
        """Serve the gets that wait, as far as may be, and interrupt service if that is due."""
        while serve and self.waiting and self.may_serve(self.waiting[0].amount):
            get = self.waiting.pop(0)
            assert get.value == self.take(get.amount)
        blocks = bool(self.waiting) and self.waiting[0].amount > self.level - self.sizes.reserve
        due = self.level <= self.sizes.interrupt or (blocks and self.stream.settings.replenish is Replenish.DEMAND)
        if self.serving and due:
            self.serving = False
            self.interrupts += 1

    # What happens

    @rule(end=st.sampled_from(["up", "down"]), count=st.integers(1, 25))
    def put(self, end: str, count: int) -> None:
        free = self.stream.free
        fitting = getattr(self, end).put(count).value
        assert fitting == min(count, free)
        self.generated += fitting
        self.dropped += count - fitting
        self.level += fitting
        if fitting:
            if self.level >= self.sizes.recover:
                self.serving = True
            if self.waiting:
                self.serve_and_review()

    @rule(end=st.sampled_from(["up", "down"]), count=st.integers(1, 12))
    def get(self, end: str, count: int) -> None:
        pool = getattr(self, end)
        assume(count <= self.sizes.capacity - self.sizes.reserve)
        get = pool.get(count)
        get.callbacks.append(lambda event: self.processed_at.__setitem__(event, self.env.now))
        self.waiting.append(get)
        self.gets.append((get, pool))
        self.serve_and_review()

    @precondition(lambda self: self.gets)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        get, pool = data.draw(st.sampled_from(self.gets))
        self.gets.remove((get, pool))
        before = get.triggered, get.processed, self.down.voided
        get.cancel()
        if get in self.waiting:
            self.waiting.remove(get)
            self.serve_and_review()
        elif before[:2] == (True, False):
            assert self.down.voided == before[2] + get.amount
        else:
            assert before[1]
            assert self.down.voided == before[2]
            self.held.append(get.value)

    @rule(count=st.integers(1, 12), late=st.integers(0, 5))
    def claim_of_the_protocol(self, count: int, late: int) -> None:
        assert self.down.can_serve(count) == self.may_serve(count)
        if not self.may_serve(count):
            return
        keys = self.down.claim(count)
        assert keys == self.take(count)
        self.env.timeout(self.stream.delay + late).callbacks.append(lambda event: self.up.hold(keys))
        self.held.append(keys)
        self.down.review()
        self.serve_and_review(serve=False)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), used=st.booleans())
    def use_or_void(self, data: st.DataObject, used: bool) -> None:
        keys = data.draw(st.sampled_from(self.held))
        assume(keys.first in self.up._aside)
        self.held.remove(keys)
        if used:
            assert self.down.use(keys) == self.up.use(keys)
        else:
            self.down.void(keys)
            self.up.void(keys)

    @rule(ticks=st.integers(1, 6))
    def wait(self, ticks: int) -> None:
        self.env.advance(self.env.now + ticks)

    # What always holds

    @invariant()
    def nothing_is_lost_and_the_rules_are_kept(self) -> None:
        assert (self.down.level, self.down.serving) == (self.level, self.serving)
        assert self.refills == self.interrupts - (self.sizes.initial <= self.sizes.interrupt)
        assert self.stream.overflow == self.dropped
        for pool, name in ((self.up, "up"), (self.down, "down")):
            check_pool(name, pool)
        assert self.down.stored == self.generated
        assert self.up.stored <= self.generated

    @invariant()
    def gets_are_served_in_their_order_and_none_waits_that_could_be(self) -> None:
        assert list(self.down.get_queue) == self.waiting
        assert not any(get.triggered for get in self.waiting)
        assert not (self.waiting and self.may_serve(self.waiting[0].amount))
        assert list(self.up.get_queue) == []
        served = [get.value for get, _ in self.gets if get.triggered]
        assert all(one.first < other.first for one, other in pairwise(served))

    def teardown(self) -> None:
        """When nothing is in flight, both ends have the same account, and every receiver has its keys."""
        self.env.advance(self.env.now + 100)
        assert account(self.up) == account(self.down)
        for get, pool in self.gets:
            if get.triggered:
                assert pool.use(get.value) >= 0
                assert get in self.processed_at


class TestPool(Pool.TestCase):
    settings = settings(fixed, max_examples=150, stateful_step_count=40)


@pytest.mark.slow
class TestPoolAtLength(Pool.TestCase):
    settings = settings(fixed, max_examples=3000, stateful_step_count=80)


# In a network that runs


def test_a_process_may_take_keys_from_the_pools_of_a_running_network() -> None:
    requests = [ask(at_us=100 * number) for number in range(20)]
    network = start(scenario(line(1, 2, 3), requests, pools={"capacity": 40}, duration_s=0.01))
    env, keys = network.env, stream_of(network, "R1>R2")
    got: list[KeyRange] = []

    def tap(pool: KeyPool):
        for _ in range(10):
            with pool.get(7) as get:
                result = yield get | env.timeout(333 * US)
                if get in result:
                    got.append(get.value)
                    pool.use(get.value)
            keys.downstream.put(3)
            yield env.timeout(77 * US)

    for pool in (keys.upstream, keys.downstream):
        env.process(tap(pool))
    for moment in range(1, 100):
        env.advance(moment * 100 * US)
        check_network(network)
    assert len(got) > 10
    assert len(set(got)) == len(got)
    assert all(entry.mismatched_bits == 0 and entry.end for entry in network.ledger.entries)
    up, down = keys.upstream, keys.downstream
    assert (up.stored, up.level, up.voided) == (down.stored, down.level, down.voided)
    assert up.claimed + up.used == down.claimed + down.used == 10 * len(requests) + 7 * len(got)
