"""Key pools and streams against a model of a few lines, and the levels at which pools get stuck."""

from __future__ import annotations

import tracemalloc
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qkdrmp.kernel.environment import Environment
from qkdrmp.qkd.invariants import check_pool
from qkdrmp.qkd.keys.key_bits import IndexedKeys, KeyBits
from qkdrmp.qkd.keys.key_get import KeyRange
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.thresholds import Replenish, StreamSettings, Thresholds
from qkdrmp.qkd.prediction import predict_stuck
from qkdrmp.qkd.settings import PoolSettings
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import simulate
from qkdrmp.topology import Link, Node, NodeKind, Topology

SEED = 7
fixed = settings(derandomize=True, deadline=None, database=None)


@st.composite
def thresholds(draw: st.DrawFn, most: int = 40) -> Thresholds:
    capacity = draw(st.integers(1, most))
    recover = draw(st.integers(1, capacity))
    interrupt = draw(st.integers(0, recover - 1))
    return Thresholds(capacity, interrupt, recover, draw(st.integers(0, 3)), draw(st.integers(0, capacity)))


def joined(keys: list[int], key_bits: int) -> int:
    """Return keys as one number, the first one leading."""
    return int("".join(f"{key:0{key_bits}b}" for key in keys), 2)


def in_a_row(count: int, key_bits: int) -> list[int]:
    """Return the first keys of a stream, drawn one after the other."""
    words = -(-key_bits // 64)
    drawn = np.random.default_rng(SEED).bit_generator.random_raw(count * words).tolist()
    keys = [joined(drawn[place : place + words], 64) for place in range(0, len(drawn), words)]
    return [key >> 64 * words - key_bits for key in keys]


class MirroredPools(RuleBasedStateMachine):
    """One key stream: keys come in at both ends, the downstream end chooses, the upstream end follows in any order."""

    @initialize(
        sizes=thresholds(), key_bits=st.sampled_from([1, 8, 13, 256]), replenish=st.sampled_from(list(Replenish))
    )
    def begin(self, sizes: Thresholds, key_bits: int, replenish: Replenish) -> None:
        self.env = Environment()
        self.sizes, self.key_bits, self.replenish = sizes, key_bits, replenish
        chosen = StreamSettings(sizes, key_bits, replenish)
        self.stream = KeyStream(self.env, ("a", "b"), chosen, np.random.default_rng(SEED))
        self.up, self.down = self.stream.upstream, self.stream.downstream
        self.calls = {"interrupt": 0, "free": 0, "ready": 0}
        self.down.on_interrupt = lambda: self.count("interrupt")
        self.down.on_free = lambda: self.count("free")
        self.down.on_ready = lambda: self.count("ready")
        # The model.
        self.made = sizes.initial
        self.coming: list[int] = []
        self.next = 0
        self.level = sizes.initial
        self.serving, self.stuck = sizes.initial > sizes.interrupt, False
        self.wants: dict[int, int] = {}
        self.interrupts = int(not self.serving)
        self.interrupted = self.stuck_time = 0
        self.in_flight: list[KeyRange] = []
        self.set_aside: dict[str, list[KeyRange]] = {"up": [], "down": []}
        self.used: dict[str, dict[KeyRange, int]] = {"up": {}, "down": {}}
        self.voided: dict[str, list[KeyRange]] = {"up": [], "down": []}
        self.up_stored = sizes.initial
        self.awaited: list[KeyRange] = []

    def count(self, what: str) -> None:
        self.calls[what] += 1

    def pool(self, end: str) -> KeyPool:
        return self.up if end == "up" else self.down

    # Keys come in

    @precondition(lambda self: self.stream.free > 0)
    @rule(data=st.data(), refill_done=st.booleans())
    def make_keys(self, data: st.DataObject, refill_done: bool) -> None:
        keys = data.draw(st.integers(1, self.stream.free))
        ready = self.calls["ready"]
        self.down.store(keys, refill_done)
        self.made += keys
        self.coming.append(keys)
        self.level += keys
        if refill_done or self.level >= self.sizes.recover:
            self.serving = True
        assert self.calls["ready"] == ready + self.serving

    @precondition(lambda self: self.coming)
    @rule()
    def keys_arrive_upstream(self) -> None:
        keys = self.coming.pop(0)
        self.up.store(keys)
        self.up_stored += keys

    # Keys go out

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, max(1, self.level + 1)))
        above = self.level > self.sizes.interrupt
        possible = self.serving and above and self.level - count >= self.sizes.reserve
        assert self.down.can_serve(count) == possible
        if not possible:
            return
        free = self.calls["free"]
        keys = self.down.claim(count)
        assert (keys.first, keys.count) == (self.next, count)
        assert self.calls["free"] == free + 1
        self.next += count
        self.level -= count
        self.in_flight.append(keys)
        self.set_aside["down"].append(keys)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def claim_arrives(self, data: st.DataObject) -> None:
        keys = data.draw(st.sampled_from(self.in_flight))
        self.in_flight.remove(keys)
        assert self.up.has(keys) == (keys.first + keys.count <= self.up_stored)
        self.take_upstream(keys)

    def take_upstream(self, keys: KeyRange) -> None:
        if not self.up.has(keys):
            self.awaited.append(keys)
        self.up.once_stored(keys, lambda: self.hold_upstream(keys))

    def hold_upstream(self, keys: KeyRange) -> None:
        if keys in self.awaited:
            self.awaited.remove(keys)
        assert self.up.hold(keys)
        assert not self.up.hold(keys)
        self.set_aside["up"].append(keys)

    @rule(end=st.sampled_from(["up", "down"]), data=st.data())
    def use(self, end: str, data: st.DataObject) -> None:
        assume(self.set_aside[end])
        keys = data.draw(st.sampled_from(self.set_aside[end]))
        self.set_aside[end].remove(keys)
        bits = self.pool(end).use(keys)
        assert bits == joined(in_a_row(keys.first + keys.count, self.key_bits)[keys.first :], self.key_bits)
        self.used[end][keys] = bits
        assert not self.pool(end).hold(keys)

    @rule(end=st.sampled_from(["up", "down"]), data=st.data())
    def void(self, end: str, data: st.DataObject) -> None:
        over = self.set_aside[end] + list(self.used[end])
        assume(over)
        keys = data.draw(st.sampled_from(over))
        self.pool(end).void(keys)
        if keys in self.set_aside[end]:
            self.set_aside[end].remove(keys)
        else:
            del self.used[end][keys]
        self.voided[end].append(keys)
        assert not self.pool(end).hold(keys)

    # The rules of service

    @rule(request=st.integers(1, 4), count=st.integers(1, 45))
    def want(self, request: int, count: int) -> None:
        self.wants[request] = count
        self.down.want(request, count)

    @rule(request=st.integers(1, 4))
    def unwant(self, request: int) -> None:
        self.wants.pop(request, None)
        self.down.unwant(request)

    @rule()
    def review(self) -> None:
        calls = self.calls["interrupt"]
        self.down.review()
        blocks = any(count + self.sizes.reserve > self.level for count in self.wants.values())
        due = self.level <= self.sizes.interrupt or (blocks and self.replenish is Replenish.DEMAND)
        assert self.calls["interrupt"] == calls + (self.serving and due)
        if self.serving and due:
            self.serving = False
            self.interrupts += 1
        self.stuck = self.serving and blocks and self.replenish is Replenish.THRESHOLD

    @rule(ticks=st.integers(1, 100))
    def wait(self, ticks: int) -> None:
        self.env.advance(self.env.now + ticks)
        self.interrupted += ticks * (not self.serving)
        self.stuck_time += ticks * self.stuck

    # What always holds

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        assert (self.down.level, self.down.serving) == (self.level, self.serving)
        assert self.down.interrupts == self.interrupts
        assert self.down.interrupted.integral(self.env.now) == self.interrupted
        assert self.down.stuck.value == self.stuck
        assert self.down.stuck.integral(self.env.now) == self.stuck_time
        for end, stored in (("up", self.up_stored), ("down", self.made)):
            pool = self.pool(end)
            check_pool(end, pool)
            assert pool.stored == stored
            assert pool.claimed == sum(keys.count for keys in self.set_aside[end])
            assert pool.used == sum(keys.count for keys in self.used[end])
            assert pool.voided == sum(keys.count for keys in self.voided[end])

    @invariant()
    def what_is_on_its_way_is_the_only_difference(self) -> None:
        coming = sum(self.coming)
        claims = sum(keys.count for keys in self.in_flight + self.awaited)
        assert self.up.level - claims + coming == self.level
        assert 0 <= self.stream.free <= min(self.up.free, self.down.free)
        assert self.stream.free == self.sizes.capacity - max(self.up.level + coming, self.level)

    @invariant()
    def both_ends_get_the_same_keys_and_no_key_is_given_twice(self) -> None:
        for keys in self.used["up"].keys() & self.used["down"].keys():
            assert self.used["up"][keys] == self.used["down"][keys]
        for end in ("up", "down"):
            taken = sorted((k.first, k.count) for k in [*self.set_aside[end], *self.used[end], *self.voided[end]])
            assert all(first + count <= following for (first, count), (following, _) in pairwise(taken))


class TestMirroredPools(MirroredPools.TestCase):
    settings = settings(fixed, max_examples=120, stateful_step_count=40)


@pytest.mark.slow
class TestMirroredPoolsAtLength(MirroredPools.TestCase):
    settings = settings(fixed, max_examples=2000, stateful_step_count=80)


@fixed
@given(st.integers(0, 20), st.integers(1, 300))
def test_keys_for_is_the_least_number_of_keys(bits: int, key_bits: int) -> None:
    keys = StreamSettings(Thresholds(1, 0, 1), key_bits).keys_for(bits * 37)
    assert keys * key_bits >= bits * 37 > (keys - 1) * key_bits


@fixed
@given(st.integers(1, 70), st.integers(1, 300))
def test_key_bits_fill_their_length(key_bits: int, count: int) -> None:
    source = IndexedKeys(np.random.default_rng(1), key_bits)
    keys = [source.joined(index, 1) for index in range(count)]
    assert all(0 <= key < 2**key_bits for key in keys)
    ones = sum(key.bit_count() for key in keys)
    assert abs(ones - count * key_bits / 2) <= 5 * (count * key_bits / 4) ** 0.5


@fixed
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60))
def test_no_bit_is_taken_twice(lengths: list[int]) -> None:
    source, whole = KeyBits(np.random.default_rng(5)), KeyBits(np.random.default_rng(5))
    taken = [source.take(bits) for bits in lengths]
    # Patterns of 64 bits do not repeat by chance.
    patterns = [
        key >> shift & (1 << 64) - 1
        for key, bits in zip(taken, lengths, strict=True)
        for shift in range(0, bits - 63, 64)
    ]
    assert len(set(patterns)) == len(patterns)
    assert [whole.take(bits) for bits in lengths] == taken


@fixed
@given(st.integers(1, 600), st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 20)), min_size=1, max_size=12))
def test_a_key_is_the_same_whenever_it_is_asked_for(key_bits: int, asked: list[tuple[int, int]]) -> None:
    source = IndexedKeys(np.random.default_rng(SEED), key_bits)
    expected = in_a_row(max(first + count for first, count in asked), key_bits)
    for first, count in asked:
        assert source.joined(first, count) == joined(expected[first : first + count], key_bits)


def test_pools_of_a_million_keys_take_no_memory_for_them() -> None:
    sizes = Thresholds(10**6, 0, 10**6, initial=10**6)
    tracemalloc.start()
    stream = KeyStream(Environment(), ("a", "b"), StreamSettings(sizes, 256), np.random.default_rng(1))
    for _ in range(1000):
        keys = stream.downstream.claim(900)
        stream.upstream.hold(keys)
        assert stream.downstream.use(keys) == stream.upstream.use(keys)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stream.downstream.level == stream.upstream.level == 10**5
    assert most < 10**6  # bytes; the keys have 32 million


# Stuck pools


def sticks(sizes: Thresholds, keys: int) -> bool:
    """Return whether requests for `keys` keys leave a pool stuck, by the closed form."""
    served = (sizes.recover - sizes.reserve) // keys
    return sizes.recover - keys * served > sizes.interrupt


@settings(fixed, max_examples=500)
@given(thresholds(most=100), st.integers(1, 100))
def test_stuck_levels_of_one_size_follow_the_closed_form(sizes: Thresholds, keys: int) -> None:
    sizes = Thresholds(sizes.capacity, sizes.interrupt, sizes.recover, sizes.reserve)
    assume(keys + sizes.reserve <= sizes.recover)
    levels = sizes.stuck_levels([keys])
    assert bool(levels) == sticks(sizes, keys)
    assert levels in ([], [sizes.recover - keys * ((sizes.recover - sizes.reserve) // keys)])


def explored(sizes: Thresholds, asked: set[int]) -> list[int]:
    """Return the stuck levels found by walking through every state and every next request there is."""
    asked = {keys for keys in asked if keys + sizes.reserve <= sizes.recover}
    seen: set[tuple[int, bool]] = set()
    # The same states as of a pool: its level, and whether it serves.
    todo = [(sizes.initial, sizes.initial > sizes.interrupt), (sizes.recover, True)]
    stuck = set()
    while todo:
        level, serving = state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        if not serving:
            todo.append((max(level, sizes.recover), True))
            continue
        for keys in asked:
            if level - keys >= sizes.reserve:
                todo.append((level - keys, level - keys > sizes.interrupt))
            else:
                stuck.add(level)
    return sorted(stuck)


@settings(fixed, max_examples=500)
@given(thresholds(), st.sets(st.integers(1, 40), max_size=4))
def test_stuck_levels_of_mixed_sizes_are_those_found_by_exploring(sizes: Thresholds, asked: set[int]) -> None:
    assert sizes.stuck_levels(asked) == explored(sizes, asked)


STUCK = {
    0: [*range(14, 20), *range(27, 30)],
    1: [*range(14, 21), *range(27, 31)],
}
CAPACITIES = range(11, 80)


@pytest.mark.parametrize("reserve", [0, 1])
def test_stuck_capacities_for_ten_keys_are_those_derived_by_hand(reserve: int) -> None:
    stuck = [
        capacity
        for capacity in range(1, 80)
        if Thresholds(capacity, capacity // 4, capacity, reserve).stuck_levels([10])
    ]
    assert stuck == STUCK[reserve]


def small_line() -> Topology:
    names = {"U1": NodeKind.END, "R1": NodeKind.REPEATER, "R2": NodeKind.REPEATER, "U2": NodeKind.END}
    nodes = [Node(name, kind) for name, kind in names.items()]
    return Topology("line", nodes, [Link(pair, 1.0) for pair in pairwise(names)])


def stuck_after_a_run(sizes: Thresholds, asked: list[int], replenish: str = "threshold") -> list[str]:
    """Return the names of the streams stuck after requests for so many keys each, one after the other."""
    requests = [
        {"start_s": 0.001 * number, "src": "U1", "dst": "U2", "keys": keys, "key_bits": 32}
        for number, keys in enumerate(asked)
    ]
    pools = {name: getattr(sizes, name) for name in ("capacity", "interrupt", "recover", "reserve", "initial")}
    scenario = make_scenario(
        {
            "topology": small_line(),
            "duration_s": 0.001 * len(asked) + 0.1,
            "pools": {**pools, "replenish": replenish},
            "queue": {"capacity": len(asked)},
            "key_rate": {"model": "constant", "rate_bps": 1e9},
            "demand": {"model": "list", "requests": requests},
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = simulate(scenario, check=True)
    stuck = list(results.pools.loc[results.pools["stuck"], "stream"])
    assert results.summary["stuck_pools"] == len(stuck)
    assert bool(results.findings) == bool(stuck)
    assert (results.summary["requests_unfinished"] > 0) == bool(stuck)
    assert ((results.pools["stuck_s"] > 0) >= results.pools["stuck"]).all()
    return stuck


@pytest.mark.parametrize("reserve", [0, 1])
def test_pools_stick_in_simulation_exactly_where_predicted(reserve: int) -> None:
    sizes = {capacity: Thresholds(capacity, capacity // 4, capacity, reserve) for capacity in CAPACITIES}
    stuck = [capacity for capacity in CAPACITIES if stuck_after_a_run(sizes[capacity], [10] * 9)]
    assert stuck == STUCK[reserve]


@pytest.mark.parametrize("replenish", ["demand", "continuous"])
def test_pools_that_are_replenished_otherwise_never_stick(replenish: str) -> None:
    for capacity in (14, 20, 27, 30):
        assert stuck_after_a_run(Thresholds(capacity, capacity // 4, capacity, 1), [10] * 9, replenish) == []


@settings(fixed, max_examples=60)
@given(thresholds(), st.integers(1, 20))
def test_pools_of_any_size_stick_in_simulation_exactly_where_predicted(sizes: Thresholds, keys: int) -> None:
    assume(keys + sizes.reserve <= sizes.recover)
    enough = [keys] * (sizes.capacity // keys + sizes.recover // keys + 2)
    predicted = sizes.stuck_levels([keys])
    assert bool(stuck_after_a_run(sizes, enough)) == bool(predicted)


def test_stuck_pools_are_predicted_for_users_with_a_demand_of_their_own() -> None:
    demand = {"model": "poisson", "rate_per_s": 1.0, "key_num": 5, "key_length_bits": 32}
    scenario = make_scenario(
        {
            "topology": small_line(),
            "duration_s": 60.0,
            "pools": {"capacity": 30, "replenish": "threshold", "reserve": 1},
            "key_rate": {"model": "constant", "rate_bps": 1e6},
            "demand": {**demand, "at": [{"node": "U1", "key_num": 10}]},
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = simulate(scenario)
    stuck = list(results.pools.loc[results.pools["stuck"], "stream"])
    assert stuck == ["R1>R2"]
    assert "R1>R2" in [pool.stream for pool in predict_stuck(scenario)]  # type: ignore[arg-type]


def test_shares_of_the_capacity_are_rounded_down_from_what_was_written() -> None:
    assert PoolSettings(capacity=100, interrupt_share=0.29).thresholds().interrupt == 29
    assert PoolSettings(capacity=100, recover_share=0.57).thresholds().recover == 57
