"""Memories of a node that its interfaces share: how many connections fit, and how many trials each link then makes."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest

from qkdrmp import load_scenario
from qkdrmp.config.sections import Section
from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import EndReason
from qkdrmp.entanglement.settings import EntanglementSettings, MemorySettings
from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.simulation import predict
from qkdrmp.topology import Link, Node, Topology
from tests.entanglement.small_networks import (
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    left_over,
    network_of,
    run,
)
from tests.entanglement.test_blocking import ARRIVALS, HARDLY_ANY_PAIRS, erlang_b, share_blocked

KM = 20.0
HUB = Topology("hub", [Node(name, "end") for name in "HAB"], [Link(("H", "A"), KM, 0.0), Link(("H", "B"), KM, 0.0)])
MIM: dict[str, Any] = {"model": "mim", "detector_efficiency": 0.8}
P, SLOT_S = 0.32, 1e-4


# How many connections fit


@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize("memories", [2, 4])
def test_blocking_at_a_node_with_two_links_is_that_of_all_connections_together(memories: int, arrivals: int) -> None:
    rate, lasts_s = 2.0, 0.5  # of each of two pairs of users: two erlang at H
    demand = {"model": "poisson", "rate_per_s": rate, "users": [["H", "A"], ["H", "B"]], "mean_lasts_s": lasts_s}
    network = network_of(
        HUB,
        demand={**demand, "memories": 1, "minimum_fidelity": 0.25},
        setup={"retries": 0},
        memories={**FOR_EVER, "at": [{"node": "H", "per_node": memories}]},
        links=HARDLY_ANY_PAIRS,
    )
    run(network, arrivals / (2 * rate))
    entries = [entry for entry in network.ledger.entries.values() if to_seconds(entry.asked) > 20 * lasts_s]
    blocked, error = share_blocked(entries)
    held = [to_seconds(e.done - e.asked) for e in entries if e.state is ConnectionStatus.DELIVERED and e.done]
    load = 2 * rate * sum(held) / len(held)
    assert error < 0.02
    assert blocked == pytest.approx(erlang_b(memories, load), abs=3 * error)
    assert {(e.reason, e.attempts[-1].by) for e in entries if e.state is ConnectionStatus.REJECTED} == {
        (EndReason.BUSY, "H")
    }


@pytest.mark.parametrize(("memories", "admitted"), [(3, False), (4, True)])
def test_a_repeater_needs_the_quota_at_both_interfaces(memories: int, admitted: bool) -> None:
    network = network_of(
        chain("ARB"),
        [{"memories": 2, "pairs": 10}],
        memories={**FOR_EVER, "per_interface": 4, "at": [{"node": "R", "per_node": memories}]},
    )
    entry = entry_of(run(network, 1.0))
    if admitted:
        assert (entry.state, entry.pairs) == (ConnectionStatus.DELIVERED, 10)
    else:
        assert (entry.reason, entry.attempts[0].by) == (EndReason.INFEASIBLE, "R")
        assert entry.attempts[0].detail == "there are only 3 memories, not 4"
    assert left_over_but_shared(network) == []


def left_over_but_shared(network: EntanglementNetwork) -> list[str]:
    """Return what is left over, but for interfaces that have no memories of their own."""
    shared = {node for node, by_peer in network.interfaces.items() for one in by_peer.values() if one.pool is not None}
    for by_peer in network.interfaces.values():
        for interface in by_peer.values():
            assert interface.free == interface.total
            assert interface.occupied == 0
    return [one for one in left_over(network) if one.partition(" ")[0] not in shared]


def test_a_busy_node_says_when_enough_of_its_memories_will_be_free() -> None:
    asked = [
        {"src": "H", "dst": "A", "memories": 2, "lasts_s": 0.1},
        {"src": "H", "dst": "B", "memories": 2, "at_s": 0.01, "teardown_s": 0.5},
    ]
    network = network_of(HUB, asked, memories={**FOR_EVER, "per_node": 3}, setup={"retries": 5}, links=MIM)
    run(network, 0.3)
    second = entry_of(network, "c2")
    first = second.attempts[0]
    assert first.reason is EndReason.BUSY
    assert first.available is not None
    assert first.freed == entry_of(network, "c1").done
    assert first.available == pytest.approx(first.freed, abs=300 * US)
    assert second.installed is not None


# How many trials each link makes


def test_connections_at_two_links_have_half_of_the_memories_each_and_all_of_them_alone() -> None:
    memories, joins_s, leaves_s, ends_s = 12, 1.0, 2.0, 3.0
    asked = [
        {"src": "H", "dst": "A", "memories": 2},
        {"src": "H", "dst": "B", "memories": 2, "at_s": joins_s, "teardown_s": leaves_s},
    ]
    node = {**FOR_EVER, "per_interface": memories, "at": [{"node": "H", "per_node": memories}]}
    network = network_of(HUB, asked, memories=node, links=MIM, gates=PERFECT)
    run(network, ends_s)
    for connection, since, until, share in (
        ("c1", 0.01, joins_s, 1.0),
        ("c1", joins_s + 0.01, leaves_s, 0.5),
        ("c2", joins_s + 0.01, leaves_s, 0.5),
        ("c1", leaves_s + 0.01, ends_s, 1.0),
    ):
        ticks = range(to_ticks(since), to_ticks(until))
        pairs = sum(one.connection == connection and one.tick in ticks for one in deliveries(network))
        trials = (until - since) / SLOT_S * memories * share
        assert pairs == pytest.approx(trials * P, abs=3 * sqrt(trials * P * (1 - P))), (connection, since)


def test_a_memory_is_at_one_interface_at_a_time() -> None:
    connections = [
        {"src": "H", "dst": "AB"[i % 2], "memories": 1 + i % 3, "at_s": 0.001 * i, "lasts_s": 0.0035} for i in range(40)
    ]
    node = {**FOR_EVER, "per_interface": 10, "at": [{"node": "H", "per_node": 10}]}
    network = network_of(HUB, connections, memories=node, links=MIM, setup={"retries": 0})
    interfaces = [*network.interfaces["H"].values()]
    seen = set()
    for tick in range(50, 50_000, 70):
        network.env.advance(tick * US)
        assert sum(max(one.memories, one.occupied) for one in interfaces) <= 10
        for one in interfaces:
            reserved = sum(share.quota for share in one.shares.values())
            assert reserved <= 10
            seen.add(one.memories)
    assert len(seen) > 5
    assert left_over_but_shared(run(network, 0.1)) == []


@pytest.mark.parametrize("order", ["midpoint", "asap"])
@pytest.mark.parametrize("policy", ["round-robin", "statistical"])
def test_two_links_with_one_connection_have_as_many_as_if_they_were_divided_beforehand(policy: str, order: str) -> None:
    def made(**at_repeater: int) -> list[Any]:
        network = network_of(
            chain("ARB"),
            [{"memories": 2}],
            memories={**FOR_EVER, "per_interface": 6, "at": [{"node": "R", **at_repeater}]},
            links={**MIM, "at": [{"link": ["R", "B"], "detector_efficiency": 0.3}]},
            allocation={"policy": policy},
            setup={"swap_order": order},
        )
        return deliveries(run(network, 0.1))

    assert made(per_node=12) == made(per_interface=6) != made(per_node=8)


# Settings


@pytest.mark.parametrize(
    ("memories", "said"),
    [
        ({"per_node": 0}, "memories.per_node = 0 must be at least 1"),
        ({"per_node": 4, "per_interface": 4}, "memories.per_node = 4 must not be set together with per_interface"),
        (
            {"at": [{"link": ["A1", "R1"], "per_node": 4}]},
            "memories.at, entry 1: per_node cannot be set for a single link",
        ),
    ],
)
def test_what_is_wrong_is_said(memories: dict[str, Any], said: str) -> None:
    with pytest.raises(QKDRMPError) as caught:
        load_scenario("shared_link").replace({"memories": memories})
    assert said in str(caught.value)


def test_a_node_may_have_what_the_others_have_not() -> None:
    section = MemorySettings.model_validate(
        {"per_node": 9, "at": [{"node": "X", "per_interface": 3}, {"link": ["Y", "Z"], "per_interface": 2}]}
    )
    assert isinstance(section, Section)
    assert [section.here(node=name).per_node for name in "XY"] == [None, 9]
    assert section.here(node="X").count == 3
    assert section.here(node="Y", link=("Y", "Z")).count == 2


def test_it_is_predicted_that_a_connection_will_never_fit() -> None:
    scenario = load_scenario("shared_link")
    found = predict(scenario.replace({"memories": {"per_node": 3}}))
    assert any("want 2 memories at every interface, but R1 has 3: they will be rejected" in line for line in found)
    assert predict(scenario.replace({"memories": {"per_node": 12}})) == []
    one = scenario.replace(
        {"memories": {"per_node": 1}, "demand.connections": [{"src": "A1", "dst": "A2", "memories": 1}]}
    )
    assert "want 1 memory at every interface, but R1 has 1: they will be rejected" in predict(one)[0]


def test_the_lanes_of_a_link_are_the_memories_of_the_end_with_fewer() -> None:
    settings = EntanglementSettings(topology=HUB, duration_s=1.0, memories={"at": [{"node": "H", "per_node": 5}]})
    assert {settings.lanes(link) for link in HUB.links} == {5}
