"""Whatever the faults and the times: both ends always agree, every pair is right, and nothing stays behind."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qkdrmp.entanglement.connections.state import Phase
from qkdrmp.entanglement.invariants import check_network
from qkdrmp.entanglement.ledger import ConnectionEntry, ConnectionStatus
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.links.policies import LINK_POLICIES
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import ConnectionRequest, ConnectionSpec, EndReason
from qkdrmp.entanglement.results.tables import tables
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.channel import FaultyChannel
from qkdrmp.network.faults import RandomFaultSession
from qkdrmp.network.transport import Segment
from qkdrmp.topology import Link, Node, NodeKind, Topology
from tests.entanglement.networks import (
    RACES,
    Witness,
    check_ended,
    drain,
    networks_in,
    random_case,
    random_topology,
    round_trip_s,
    run_case,
    run_cases,
    unfinished,
)

LEAST = 0.05
"""In which share of the cases each of the races must have happened, for a pass to mean anything."""


def check_races(count: Counter[str], cases: int) -> None:
    print(dict(count))
    assert {race: count[race] for race in RACES if count[race] < LEAST * cases} == {}


# Random cases


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_nothing_breaks_under_faults(first: int) -> None:
    check_races(run_cases(range(first, first + 100)), 100)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 21_000, 1000))
def test_nothing_breaks_under_faults_at_length(first: int) -> None:
    check_races(run_cases(range(first, first + 1000)), 1000)


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_without_faults_nothing_deadlocks_with_one_memory_per_interface(first: int) -> None:
    count = run_cases(range(first, first + 100), faults=False, most_memories=1)
    assert count[ConnectionStatus.DELIVERED] > 50


def test_without_faults_nothing_deadlocks_with_more_memories() -> None:
    assert run_cases(range(100), faults=False)[ConnectionStatus.DELIVERED] > 100


@pytest.mark.slow
@pytest.mark.parametrize("memories", [1, 2, 8])
def test_without_faults_nothing_deadlocks_at_length(memories: int) -> None:
    run_cases(range(1000, 4000), faults=False, most_memories=memories)


@pytest.mark.parametrize("faults", [True, False])
def test_nothing_breaks_where_swaps_fail(faults: bool) -> None:
    assert run_cases(range(60), faults=faults, swap_success=0.6)[ConnectionStatus.DELIVERED] > 30


@pytest.mark.parametrize(("faults", "swap_success"), [(False, 1.0), (True, 1.0), (True, 0.7)])
def test_nothing_breaks_where_swaps_come_in_any_order(faults: bool, swap_success: float) -> None:
    count = run_cases(range(60), faults=faults, swap_success=swap_success, swap_order="asap", cutoff_trips=2.0)
    assert count[ConnectionStatus.DELIVERED] > 30


@pytest.mark.parametrize(("faults", "swap_success"), [(False, 1.0), (True, 1.0), (True, 0.7)])
@pytest.mark.parametrize("order", ["asap", None])
def test_nothing_breaks_where_pairs_are_bound_late(faults: bool, swap_success: float, order: str | None) -> None:
    cutoff = 2.0 if swap_success < 1 else None
    cases = {"faults": faults, "swap_success": swap_success, "swap_order": order, "cutoff_trips": cutoff}
    assert run_cases(range(60), policy="statistical", **cases)[ConnectionStatus.DELIVERED] > 30


@pytest.mark.parametrize("faults", [False, True])
def test_nothing_deadlocks_where_pairs_are_bound_late_with_one_memory_per_interface(faults: bool) -> None:
    count = run_cases(range(100), faults=faults, most_memories=1, policy="statistical")
    assert count[ConnectionStatus.DELIVERED] > 30


@pytest.mark.slow
@pytest.mark.parametrize("order", ["asap", None])
@pytest.mark.parametrize("first", range(0, 3000, 1000))
def test_nothing_breaks_where_pairs_are_bound_late_at_length(first: int, order: str | None) -> None:
    run_cases(range(first, first + 1000), policy="statistical", swap_order=order)


@pytest.mark.parametrize("policy", [None, "statistical"])
@pytest.mark.parametrize("faults", [True, False])
def test_nothing_breaks_where_the_interfaces_of_a_node_share_its_memories(faults: bool, policy: str | None) -> None:
    assert run_cases(range(100), faults=faults, shared=True, policy=policy)[ConnectionStatus.DELIVERED] > 50


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 3000, 1000))
def test_nothing_breaks_with_shared_memories_at_length(first: int) -> None:
    run_cases(range(first, first + 1000), shared=True, swap_order="asap" if first else None)


@pytest.mark.parametrize("trips", [0.5, 3.0])
def test_nothing_breaks_where_pairs_are_discarded_that_wait_too_long(trips: float) -> None:
    assert run_cases(range(60), cutoff_trips=trips, swap_success=0.9)[ConnectionStatus.DELIVERED] > 30


@pytest.mark.parametrize("faults", [True, False])
@pytest.mark.parametrize("spans_restart", [False, True])
def test_nothing_breaks_with_cut_offs_by_level(spans_restart: bool, faults: bool) -> None:
    cases = {"faults": faults, "spans_restart": spans_restart, "cutoff_trips": (1.0, 3.0, 8.0), "swap_success": 0.9}
    assert run_cases(range(30), **cases)[ConnectionStatus.DELIVERED] > 15


@pytest.mark.parametrize("kind", [{"policy": "statistical"}, {"shared": True}, {"most_memories": 1}], ids=str)
def test_nothing_breaks_where_spans_begin_again(kind: dict[str, Any]) -> None:
    assert run_cases(range(30), spans_restart=True, swap_success=0.9, **kind)[ConnectionStatus.DELIVERED] > 15


@pytest.mark.slow
@pytest.mark.parametrize("spans_restart", [False, True])
@pytest.mark.parametrize("faults", [True, False])
def test_nothing_breaks_with_cut_offs_by_level_at_length(spans_restart: bool, faults: bool) -> None:
    levels = {"cutoff_trips": (1.0, 3.0, 8.0), "swap_success": 0.9}
    run_cases(range(1000, 3000), faults=faults, spans_restart=spans_restart, **levels)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 3000, 1000))
def test_nothing_breaks_with_a_cut_off_at_length(first: int) -> None:
    run_cases(range(first, first + 1000), cutoff_trips=first / 1000 + 0.5, swap_success=0.9)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 3000, 1000))
def test_nothing_breaks_where_swaps_fail_at_length(first: int) -> None:
    run_cases(range(first, first + 1000), swap_success=0.6)


@pytest.mark.parametrize("seed", range(12))
def test_the_same_case_gives_the_same_tables(seed: int) -> None:
    first, second = (tables(run_case(random_case(seed), seed, trace=True, pairs=True)) for _ in range(2))
    assert first.keys() == second.keys() >= {"connections", "pairs", "messages"}
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name])


def test_the_table_of_nodes_counts_what_was_sent_again_and_what_came_late() -> None:
    network = run_case(random_case(4), 4, trace=True)
    nodes = tables(network)["nodes"].set_index("node")
    sent: dict[str, set[tuple[object, ...]]] = {name: set() for name in network.stacks}
    for hop in network.hops or ():
        message = hop.message
        if isinstance(message, Segment):
            sent[hop.source].add((hop.target, message.number, hop.sent))
        elif isinstance(message, LAU | Barrier) and not message.reply:
            sent[hop.source].add((message.wire_name, message.link, message.epoch, hop.sent))
    again = {name: len(times) - len({what[:-1] for what in times}) for name, times in sent.items()}
    assert nodes["retransmissions"].to_dict() == again
    assert min(again.values()) > 0
    expired = Counter(m.node for m in network.ledger.milestones or () if m.event == "hold expired")
    assert nodes["expired_holds"].to_dict() == {name: expired[name] for name in network.stacks}
    assert expired
    rejected = tables(network)["attempts"]["rejected_by"].value_counts()
    assert nodes["rejected"].sum() == rejected.sum()


# A network in which anything may happen next


class AnyOrder(RuleBasedStateMachine):
    """Users ask and tear down, time passes and channels get worse or better, in whatever order finds a fault."""

    @initialize(
        seed=st.integers(0, 10**6),
        nested=st.booleans(),
        memories=st.sampled_from([1, 2, 4]),
        policy=st.sampled_from([*LINK_POLICIES]),
        model=st.sampled_from(["mim", "msm", "mm"]),
        lead=st.sampled_from(["auto", 0, 2]),
        margin=st.sampled_from([0.0, 3.0, 20.0]),
        shared=st.booleans(),
    )
    def begin(
        self,
        seed: int,
        nested: bool,
        memories: int,
        policy: str,
        model: str,
        lead: str | int,
        margin: float,
        shared: bool,
    ) -> None:
        topology = random_topology(random.Random(seed), nested, relays=4, users=3)
        self.unit = unit = round_trip_s(topology)
        self.network = EntanglementNetwork(
            EntanglementSettings(
                topology=topology,
                duration_s=1.0,
                links={"model": model, "fidelity": 0.9},
                memories={"per_node": 3 * memories} if shared else {"per_interface": memories},
                allocation={"policy": policy, "lead": lead},
                setup={"timeout_margin_s": margin * unit, "hold_margin_s": margin * unit, "backoff_s": unit},
                layers={"nested": networks_in(topology)},
                faults={"loss": 0.1, "duplication": 0.1, "extra_delay_s": 2 * unit},
            ),
            seed,
        )
        self.witness = Witness(self.network)
        self.torn: set[str] = set()

    @rule(
        users=st.permutations(range(3)),
        need=st.sampled_from([None, 0, 1, 1, 3]),
        memories=st.integers(1, 2),
        fidelity=st.sampled_from([0.3, 0.8]),
        claim=st.tuples(st.integers(1, 2), st.integers(0, 1)),
        lasts=st.none() | st.floats(0.1, 5),
    )
    def ask(
        self,
        users: list[int],
        need: int | None,
        memories: int,
        fidelity: float,
        claim: tuple[int, int],
        lasts: float | None,
    ) -> None:
        names = self.network.topology.ends
        src, dst = [names[user] for user in users if user < len(names)][:2]
        weight, priority = claim
        spec = ConnectionSpec(
            pairs=need, minimum_fidelity=fidelity, memories=memories, weight=weight, priority=priority
        )
        lasts_s = None if lasts is None else lasts * self.unit
        entry = self.network.ask(ConnectionRequest(src, dst, spec, lasts_s=lasts_s))
        if lasts is not None:
            self.torn.add(entry.id)

    @precondition(lambda self: unfinished(self.network))
    @rule(which=st.integers(0, 100), by_src=st.booleans())
    def release(self, which: int, by_src: bool) -> None:
        there = unfinished(self.network)
        self.end(there[which % len(there)], by_src)

    @rule(shares=st.sampled_from([0.05, 0.3, 1.0, 4.0, 20.0]))
    def wait(self, shares: float) -> None:
        self.network.env.advance(self.network.env.now + to_ticks(shares * self.unit))

    @rule(loss=st.floats(0, 0.3), duplication=st.floats(0, 0.3), late=st.floats(0, 2))
    def impair(self, loss: float, duplication: float, late: float) -> None:
        for channel in self.network._channels.values():
            assert isinstance(channel, FaultyChannel)
            assert isinstance(channel.faults, RandomFaultSession)
            channel.faults = RandomFaultSession(channel.faults.random, loss, duplication, to_ticks(late * self.unit))

    @invariant()
    def all_is_well(self) -> None:
        check_network(self.network)

    def end(self, entry: ConnectionEntry, by_src: bool) -> None:
        self.torn.add(entry.id)
        self.network.release(entry, entry.request.src if by_src else entry.request.dst)

    def teardown(self) -> None:
        for entry in unfinished(self.network):
            if entry.request.spec.pairs is None:
                self.end(entry, by_src=True)
        self.network.env.advance(self.network.env.now + to_ticks(1000.0))
        assert unfinished(self.network) == []
        drain(self.network)
        check_ended(self.network, self.torn)
        self.witness.check()


AnyOrder.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestAnyOrder = AnyOrder.TestCase


@pytest.mark.slow
class TestAnyOrderAtLength(AnyOrder.TestCase):
    settings = settings(AnyOrder.TestCase.settings, max_examples=2000, stateful_step_count=30)


# What such cases have found


def chain(outer_km: float) -> EntanglementNetwork:
    """U1 - R1 - R2 - R3 - U2, with U3 at R2, U4 at R3 and the routers in a nested network; nobody asks yet."""
    nodes = [Node(name, NodeKind.ROUTER, extra={"network": "A"}) for name in ("R1", "R2", "R3")]
    nodes += [Node(name, NodeKind.END) for name in ("U1", "U2", "U3", "U4")]
    links = [Link(ends, 1.0) for ends in (("U1", "R1"), ("R1", "R2"), ("R2", "R3"), ("R2", "U3"), ("R3", "U4"))]
    links.append(Link(("R3", "U2"), 1.0, classical_length_km=outer_km))
    return EntanglementNetwork(
        EntanglementSettings(
            topology=Topology("chain", nodes, links),
            duration_s=1.0,
            memories={"per_interface": 1},
            layers={"nested": ["A"]},
            setup={"retries": 0},
        ),
        seed=1,
    )


def test_holds_in_a_nested_network_last_for_the_round_trip_around_it() -> None:
    network = chain(outer_km=10_000.0)
    entry = network.ask(ConnectionRequest("U1", "U2", ConnectionSpec(pairs=1, memories=1)))
    network.env.advance(to_ticks(2.0))
    assert entry.state is ConnectionStatus.DELIVERED
    assert all(stack.records.expired_holds == 0 for stack in network.stacks.values())


@pytest.mark.parametrize("taken", [False, True])
def test_a_border_admits_again_what_its_network_has_let_go_if_there_is_room(taken: bool) -> None:
    network = chain(outer_km=1000.0)
    entry = network.ask(ConnectionRequest("U1", "U2", ConnectionSpec(pairs=1, memories=1)))
    network.env.advance(to_ticks(0.006))  # the request has come to U2, and the Response is still to come to R3
    for name in ("R1", "R2", "R3"):
        stack = network.stacks[name]
        inner = next(record for record in stack.records.values() if record.attempt.network is not None)
        assert inner.phase is Phase.HELD
        assert inner.expiry is not None
        inner.expiry.cancel()
        stack.setup._expire(inner)
    rival = network.ask(ConnectionRequest("U3", "U4", ConnectionSpec(memories=1))) if taken else None
    network.env.advance(to_ticks(0.5))
    assert entry.state is (ConnectionStatus.REJECTED if taken else ConnectionStatus.DELIVERED)
    if rival is not None:
        assert (entry.reason, entry.attempts[0].by) == (EndReason.BUSY, "R3")
        network.release(rival, "U3")
    drain(network)
    check_ended(network, () if rival is None else (rival.id,))


def test_a_connection_whose_time_is_over_before_it_has_its_pairs_is_not_delivered() -> None:
    network = chain(outer_km=1.0)
    entry = network.ask(ConnectionRequest("U1", "U2", ConnectionSpec(pairs=1000, memories=1), lasts_s=0.001))
    network.env.advance(to_ticks(0.5))
    assert entry.pairs < 1000
    assert (entry.state, entry.reason) == (ConnectionStatus.ABORTED, EndReason.TORN_DOWN)
    check_ended(network, (entry.id,))
