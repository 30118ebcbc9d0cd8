"""Defects of the public implementation, QNET 1.3.0, that must not come back.

For each there is a check that the package passes, and a variant of the package with the defect that fails it, so that
the check is known to notice.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from simpy.events import ProcessGenerator

from qkdrmp.family import Results
from qkdrmp.kernel.arrivals import ClosedLoopUsers, Wait
from qkdrmp.kernel.randomness import Streams
from qkdrmp.kernel.units import to_ticks
from qkdrmp.key_rates.model import Block, Fibre
from qkdrmp.network.layer import on
from qkdrmp.qkd.invariants import check_network, check_quiescent
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.quantum_link import KeyGenerator, Supply
from qkdrmp.qkd.layers.queue import RequestQueue
from qkdrmp.qkd.layers.reservation import Reservation
from qkdrmp.qkd.layers.resource import QKDRMP
from qkdrmp.qkd.layers.routing import QKDRouting
from qkdrmp.qkd.messages import Done, Refill, Reject, Request
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import KeyRequest, RejectReason, RequestEntry, RequestStatus
from qkdrmp.scenario import Scenario
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import simulate
from qkdrmp.topology import Link, Node, NodeKind, Topology
from tests.qkd.helpers import Instant

Patch = pytest.MonkeyPatch


def topology(*paths: str) -> Topology:
    """Return the network of some paths such as "U1 R1 U2"; U are users, R repeaters, P passive nodes."""
    kinds = {"U": NodeKind.END, "R": NodeKind.REPEATER, "P": NodeKind.PASSIVE}
    walks = [path.split() for path in paths]
    names = dict.fromkeys(name for walk in walks for name in walk)
    pairs = dict.fromkeys(pair for walk in walks for pair in pairwise(walk))
    return Topology("test", [Node(name, kinds[name[0]]) for name in names], [Link(pair, 1.0) for pair in pairs])


LINE = topology("U1 R1 R2 U2")
SLOW = {"model": Instant, "rate_bps": 32e3}  # a pool key every ms


def ask(src: str = "U1", dst: str = "U2", keys: int = 10, start_s: float = 0.0, **limits: float) -> dict[str, Any]:
    return {"src": src, "dst": dst, "keys": keys, "key_bits": 32, "start_s": start_s, **limits}


def scenario(where: Topology, *requests: dict[str, Any], **sections: Any) -> Scenario:
    asked = {"demand": {"model": "list", "requests": list(requests)}} if requests else {}
    return make_scenario({"topology": where, "duration_s": 1.0, "key_rate": SLOW, **asked, **sections})


def ended(chosen: Scenario, most_events: int = 100_000) -> QKDNetwork:
    """Return the network of a scenario when nothing happens any more."""
    network = QKDNetwork(chosen, seed=1)
    for _ in range(most_events):
        if network.env.peek() == math.inf:
            return network
        network.env.step()
    raise AssertionError("events without end")


def check_all_delivered(network: QKDNetwork) -> None:
    assert [str(entry.state) for entry in network.ledger.entries] == ["delivered"] * len(network.ledger.entries)
    check_network(network)
    check_quiescent(network)


def delivery_order(network: QKDNetwork) -> list[int]:
    def end(entry: RequestEntry) -> int:
        assert entry.state is RequestStatus.DELIVERED
        assert entry.end is not None
        return entry.end

    return [entry.request.id for entry in sorted(network.ledger.entries, key=end)]


# Strict comparison: a pool of 40 never serves 40


def check_whole_pool_is_served() -> None:
    check_all_delivered(ended(scenario(LINE, ask(keys=40), pools={"capacity": 40})))


def test_a_pool_serves_all_its_keys() -> None:
    check_whole_pool_is_served()


def test_strict_comparison_is_noticed(monkeypatch: Patch) -> None:
    def can_serve(pool: KeyPool, keys: int) -> bool:
        return pool.serving and pool.level - keys > pool.settings.thresholds.reserve

    monkeypatch.setattr(KeyPool, "can_serve", can_serve)
    with pytest.raises(AssertionError):
        check_whole_pool_is_served()


# Stuck pools


def check_no_pool_sticks(replenish: str) -> None:
    pools = {"capacity": 30, "replenish": replenish}
    network = ended(scenario(LINE, *(ask(start_s=0.1 * n) for n in range(8)), pools={**pools, "reserve": 1}))
    assert not any(stream.downstream.stuck.value for stream in network.streams)
    check_all_delivered(network)


@pytest.mark.parametrize("replenish", ["demand", "continuous"])
def test_no_pool_sticks(replenish: str) -> None:
    check_no_pool_sticks(replenish)


def test_stuck_pools_are_noticed() -> None:
    with pytest.raises(AssertionError):
        check_no_pool_sticks("threshold")


# Unsynchronised mirrors

CROSSING = topology("U1 R1 R2 R3 U2", "U3 R2", "R3 U4", "U5 R1")


def crossing_flows(mirrors: str) -> Results:
    demand = {"model": "poisson", "rate_per_s": 4.0, "key_num": 10, "key_length_bits": 32}
    pools = {"mirrors": mirrors, "replenish": "threshold"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return simulate(scenario(CROSSING, demand=demand, pools=pools, duration_s=3.0))


def check_both_ends_give_the_same_keys(mirrors: str) -> None:
    row = crossing_flows(mirrors).summary
    assert row["requests_delivered"] > 20
    assert row["mismatched_keys"] == 0


def test_both_copies_of_a_pool_give_a_request_the_same_keys() -> None:
    check_both_ends_give_the_same_keys("claimed")


def test_unsynchronised_mirrors_are_noticed() -> None:
    with pytest.raises(AssertionError):
        check_both_ends_give_the_same_keys("head")


# A queue-full REJECT that goes the wrong way: the reason to the receiver, the cancellation to the sender

FULL = scenario(
    topology("U1 R1 R2 R3 U2"),
    ask(start_s=0.5),
    key_rate={"model": Instant, "rate_bps": 1e6, "at": [{"link": ["R1", "R2"], "rate_bps": 32.0}]},
    queue={"at": [{"node": "R2", "capacity": 0}]},
)


def check_queue_full_is_reported_both_ways() -> None:
    network = ended(FULL)
    (entry,) = network.ledger.entries
    assert (entry.state, entry.reason, entry.rejected_by) == (RequestStatus.REJECTED, RejectReason.QUEUE_FULL, "R2")
    assert not any(stack.routing.reservations for stack in network.stacks.values())
    # R3 had served it: its keys are gone at both ends of R2-R3.
    voided = {stream.name: (stream.upstream.voided, stream.downstream.voided) for stream in network.streams}
    assert {name: keys for name, keys in voided.items() if any(keys)} == {"R2>R3": (10, 10)}
    check_network(network)
    check_quiescent(network)


def test_a_full_queue_is_reported_to_the_sender_and_cancelled_at_the_receiver() -> None:
    check_queue_full_is_reported_both_ways()


def test_a_reversed_cancel_path_is_noticed(monkeypatch: Patch) -> None:
    def reject(layer: QKDRMP, one: Reservation, reason: RejectReason, accepted_downstream: bool = True) -> None:
        layer._drop(one)
        layer._notify_upstream(one, Reject(one.request.id, RejectReason.CANCELLED, layer.node.name))
        if accepted_downstream and one.down is not None:
            one.down.channel.put(Reject(one.request.id, reason, layer.node.name))

    monkeypatch.setattr(QKDRMP, "reject", reject)
    with pytest.raises((AssertionError, RuntimeError)):
        check_queue_full_is_reported_both_ways()


# A cancel handler that removes from a list while it goes through it, and uncounts every other request


def check_cancelling_one_leaves_the_others() -> None:
    chosen = scenario(LINE, ask(), ask(patience_s=0.005), ask(), ask(), ask(), pools={"capacity": 10})
    network = QKDNetwork(chosen, seed=1)
    queue = network.stacks["R2"].resource.queue
    network.env.advance(to_ticks(0.004))
    assert (len(queue), queue.length.value) == (5, 5)
    network.env.advance(to_ticks(0.006))
    assert (len(queue), queue.length.value) == (4, 4)
    assert sorted(waiting.request.id for waiting in queue) == [1, 3, 4, 5]
    network.env.advance(to_ticks(1.0))
    states = [entry.state for entry in network.ledger.entries]
    assert states == [RequestStatus.DELIVERED, RequestStatus.REJECTED, *[RequestStatus.DELIVERED] * 3]
    check_quiescent(network)


def test_cancelling_one_request_leaves_the_others_in_the_queue() -> None:
    check_cancelling_one_leaves_the_others()


def test_removing_from_a_list_while_going_through_it_is_noticed(monkeypatch: Patch) -> None:
    leave = RequestQueue.leave

    def careless(queue: RequestQueue, reservation: Reservation) -> None:
        waiting = list(queue)
        if reservation in waiting:
            for one in waiting:
                waiting.remove(one)
                leave(queue, one)

    monkeypatch.setattr(RequestQueue, "leave", careless)
    with pytest.raises(AssertionError):
        check_cancelling_one_leaves_the_others()


# A lost wake-up after a refill


def check_refills_wake_who_waits() -> None:
    check_all_delivered(ended(scenario(LINE, *(ask() for _ in range(4)), pools={"capacity": 40})))


def test_a_refill_wakes_all_who_wait_for_it() -> None:
    check_refills_wake_who_waits()


def test_a_lost_wakeup_is_noticed(monkeypatch: Patch) -> None:
    monkeypatch.setattr(QKDRMP, "scan", lambda layer, pool: pool.review())
    with pytest.raises(AssertionError):
        check_refills_wake_who_waits()


def test_one_wakeup_for_four_waiting_is_noticed(monkeypatch: Patch) -> None:
    def scan(layer: QKDRMP, pool: KeyPool) -> None:
        for reservation in layer.queue.waiting_for(pool)[:1]:
            if reservation.can_be_served:
                layer._serve_waiting(reservation)
        pool.review()

    monkeypatch.setattr(QKDRMP, "scan", scan)
    with pytest.raises(AssertionError):
        check_refills_wake_who_waits()


# FCFS that rotates blocked heads to the tail


def rotating(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return [*waiting[1:], waiting[0]]


def check_first_come_first_served(policy: Any) -> None:
    # 1 ms of keys at a time: looks at the queue find its head blocked nine times of ten.
    pools = {"capacity": 10, "interrupt": 0, "replenish": "continuous"}
    chosen = scenario(LINE, *(ask() for _ in range(6)), pools=pools, queue={"policy": policy})
    network = ended(chosen)
    assert delivery_order(network) == [1, 2, 3, 4, 5, 6]


def test_first_come_is_first_served() -> None:
    check_first_come_first_served("fcfs")


def test_rotating_blocked_heads_is_noticed() -> None:
    with pytest.raises(AssertionError):
        check_first_come_first_served(rotating)


# A second refill started while the first runs


def check_one_refill_at_a_time() -> None:
    network = QKDNetwork(scenario(LINE, ask(start_s=0.9), pools={"capacity": 40}), seed=1)
    (stream,) = (stream for stream in network.streams if stream.name == "R1>R2")
    # The refill of the empty pool runs from 5 us on; asking for it once more changes nothing.
    network.env.advance(to_ticks(0.010))
    network.stacks["R1"].generation.refill(Refill("R2"))
    network.env.advance(to_ticks(0.5))
    assert (stream.downstream.stored, stream.downstream.level, stream.overflow) == (40, 40, 0)
    assert int(stream.downstream.interrupted.integral(network.env.now)) == to_ticks(40e-3 + 5e-6)


def test_one_refill_at_a_time() -> None:
    check_one_refill_at_a_time()


def test_a_second_refill_meanwhile_is_noticed(monkeypatch: Patch) -> None:
    def start(supply: Supply) -> None:
        supply.open = True
        supply._session = supply.link.session(supply.stream.settings.key_bits)
        KeyGenerator(supply.link.env).submit(supply)

    monkeypatch.setattr(Supply, "start", start)
    with pytest.raises(AssertionError):
        check_one_refill_at_a_time()


# Repeater loads counted twice


def check_loads_are_counted_once() -> None:
    results = simulate(scenario(LINE, *(ask() for _ in range(4))), seed=1)
    served = dict(zip(results.nodes["node"], results.nodes["served"], strict=True))
    assert results.summary["requests_delivered"] == 4
    assert served == {"U1": 0, "R1": 4, "R2": 4, "U2": 0}


def test_repeaters_count_each_request_once() -> None:
    check_loads_are_counted_once()


def test_counting_loads_twice_is_noticed(monkeypatch: Patch) -> None:
    done = QKDRouting.done

    @on(Done)
    def counted_again(routing: QKDRouting, message: Done) -> None:
        routing.relayed += message.request_id in routing.reservations
        done(routing, message)

    monkeypatch.setattr(QKDRouting, "done", counted_again)
    with pytest.raises(AssertionError):
        check_loads_are_counted_once()


# Requests silently dropped at nodes that take no part

ASTRAY = topology("U1 R1 U3 R2 U2")
ROUND_A_PASSIVE_NODE = topology("U1 R1 P1 R2 U2")


def check_nothing_is_dropped_silently(where: Topology, policy: str, reason: RejectReason) -> None:
    network = ended(scenario(where, ask(), routing={"policy": policy}))
    (entry,) = network.ledger.entries
    assert (entry.state, entry.reason) == (RequestStatus.REJECTED, reason)
    check_quiescent(network)


@pytest.mark.parametrize(
    ("where", "policy", "reason"),
    [
        (ASTRAY, "through-repeaters", RejectReason.NO_ROUTE),
        (ASTRAY, "through-end-nodes", RejectReason.REFUSED),
        (ROUND_A_PASSIVE_NODE, "through-repeaters", RejectReason.NO_ROUTE),
        (ROUND_A_PASSIVE_NODE, "through-end-nodes", RejectReason.NO_ROUTE),
    ],
)
def test_requests_that_cannot_pass_are_rejected(where: Topology, policy: str, reason: RejectReason) -> None:
    check_nothing_is_dropped_silently(where, policy, reason)


def test_dropping_requests_silently_is_noticed(monkeypatch: Patch) -> None:
    request = QKDRouting.request

    @on(Request)
    def drop_what_is_not_ours(routing: QKDRouting, message: Request) -> None:
        last = len(message.path) + 1 == len(message.key_request.route)
        if not last or message.key_request.dst == routing.node.name:
            request(routing, message)

    monkeypatch.setattr(QKDRouting, "request", drop_what_is_not_ours)
    with pytest.raises(AssertionError):
        check_nothing_is_dropped_silently(ASTRAY, "through-end-nodes", RejectReason.REFUSED)


# A user who stops for good when no peer is idle


def check_everybody_goes_on_asking() -> None:
    demand = {"model": "closed-loop", "think_s": 0.01, "key_num": 10}
    results = simulate(scenario(topology("U1 R1 U2", "R1 U3"), demand=demand, duration_s=20.0), seed=1)
    late = results.requests.query("start_s > 15")
    assert set(late["src"]) == {"U1", "U2", "U3"}


def test_users_go_on_asking_after_no_peer_was_idle() -> None:
    check_everybody_goes_on_asking()


def test_a_user_who_stops_when_no_peer_is_idle_is_noticed(monkeypatch: Patch) -> None:
    def loop(
        users: ClosedLoopUsers, user: str, first: Wait, later: Wait, random: np.random.Generator
    ) -> ProcessGenerator:
        while idle := [peer for peer in users.peers[user] if peer not in users.busy]:
            peer = idle[int(random.integers(len(idle)))]
            yield users.env.timeout((later if user in users.experienced else first)(random))
            if user in users.busy or peer in users.busy:
                continue
            users.busy |= {user, peer}
            yield users.ask(user, peer)
            users.busy -= {user, peer}
            users.experienced.add(user)

    monkeypatch.setattr(ClosedLoopUsers, "loop", loop)
    with pytest.raises(AssertionError):
        check_everybody_goes_on_asking()


# Message handling not filtered by request id


def check_requests_are_distinguished() -> None:
    where = topology("U1 R1 R2 U2", "U3 R1", "R2 U4")
    network = ended(scenario(where, ask(), ask("U3", "U4"), ask("U4", "U1"), ask("U1", "U2", 3)))
    check_all_delivered(network)


def test_messages_belong_to_their_request() -> None:
    check_requests_are_distinguished()


def test_handling_messages_of_any_request_is_noticed(monkeypatch: Patch) -> None:
    def find(routing: QKDRouting, request_id: int) -> Reservation | None:
        return next(iter(routing.reservations.values()), None)

    monkeypatch.setattr(QKDRouting, "find", find)
    with pytest.raises((AssertionError, KeyError)):
        check_requests_are_distinguished()


# A random seed that is never set


def check_seed_decides() -> None:
    demand = {"model": "closed-loop"}
    chosen = scenario(CROSSING, demand=demand, key_rate={"model": "bb84-sifted"}, duration_s=0.2)
    first, again, other = (simulate(chosen, seed) for seed in (1, 1, 2))
    assert not first.requests.equals(other.requests)
    for name, table in first.tables.items():
        assert table.equals(again.tables[name])


def test_the_seed_decides_everything() -> None:
    check_seed_decides()


def unseeded(streams: Streams, name: str) -> np.random.Generator:
    return np.random.default_rng()


def always_the_same(streams: Streams, name: str) -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("stream", [unseeded, always_the_same])
def test_a_seed_that_is_never_set_is_noticed(
    monkeypatch: Patch, stream: Callable[[Streams, str], np.random.Generator]
) -> None:
    monkeypatch.setattr(Streams, "stream", stream)
    with pytest.raises(AssertionError):
        check_seed_decides()


# Lower-rate links whose keys are counted differently at the two ends


@dataclass(frozen=True)
class Trickle:
    """A link that gives a few keys at a time, whatever is asked for."""

    keys: int

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> Trickle:
        return self

    def block(self, keys: int) -> Block:
        return Block(10**9, min(keys, self.keys))

    def mean_rate_bps(self, fibre: Fibre, key_bits: int) -> float:
        return self.keys * key_bits * 1e3


def check_slow_links_count_alike(keys_at_a_time: int) -> None:
    requests = [ask(keys=keys, start_s=0.01 * keys) for keys in (10, 3, 7, 10)]
    network = ended(scenario(LINE, *requests, pools={"capacity": 12}, key_rate={"model": Trickle(keys_at_a_time)}))
    for stream in network.streams:
        assert stream.upstream.stored == stream.downstream.stored
        assert stream.upstream.level == stream.downstream.level
    check_all_delivered(network)


@pytest.mark.parametrize("keys_at_a_time", [1, 3, 7])
def test_links_that_give_fewer_keys_than_asked_count_them_alike_at_both_ends(keys_at_a_time: int) -> None:
    check_slow_links_count_alike(keys_at_a_time)


def test_counting_what_was_asked_for_instead_of_what_came_is_noticed(monkeypatch: Patch) -> None:
    finish = Supply.finish

    def count_differently(supply: Supply, block: Block) -> None:
        stream = supply.stream
        asked = stream.settings.thresholds.recover - stream.downstream.level

        def store_as_asked(count: int, filled: bool = False) -> None:
            KeyPool.store(stream.upstream, max(count, asked), filled)

        stream.upstream.store = store_as_asked  # type: ignore[method-assign,assignment]
        finish(supply, block)

    monkeypatch.setattr(Supply, "finish", count_differently)
    with pytest.raises(AssertionError):
        check_slow_links_count_alike(3)
