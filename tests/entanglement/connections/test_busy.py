"""What is busy and what is infeasible, and when a busy network expects to have enough: estimate against actual."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import EndReason
from qkdrmp.topology import Link, Node, Topology
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    entry_of,
    left_over,
    network_of,
    run,
)

NESTED = {"p": "x", "o": "x", "q": "x"}


def rivals(
    names: str,
    holder: Mapping[str, Any],
    other: Mapping[str, Any],
    memories: int = 8,
    at: Sequence[Mapping[str, Any]] = (),
    nested: bool = False,
    policy: str = "round-robin",
    loss: float = 0.0,
) -> EntanglementNetwork:
    """Return a network in which a second connection is asked for while the first one is there."""
    return network_of(
        chain(names, networks=NESTED if nested else {}, loss=loss),
        [holder, {"at_s": 0.01, **other}],
        links=CERTAIN,
        gates=PERFECT,
        memories={**FOR_EVER, "per_interface": memories, "at": at},
        layers={"nested": ["x"] if nested else []},
        allocation={"policy": policy},
        trace=True,
    )


# Memories: the Initiator says when the connection is to end, and every node of the path knows


ENDS = [({"teardown_s": 0.06}, 60_000), ({"teardown_s": 0.06, "teardown_by": "both"}, 60_000), ({"lasts_s": 0.05}, 0)]


@pytest.mark.parametrize(("timed", "until_us"), ENDS)
def test_a_node_knows_when_a_timed_connection_will_end(timed: Mapping[str, Any], until_us: int) -> None:
    # Installed at A at 440 us; R is 110 us away from A, and so is the TERMINATION.
    network = run(rivals("ARB", timed, {}, at=[{"node": "R", "per_interface": 1}]), 0.5)
    first, entry = entry_of(network), entry_of(network, "c2")
    assert first.installed == 440 * US
    end = (until_us or 50_440) * US
    attempt, again = entry.attempts
    assert (attempt.reason, attempt.by) == (EndReason.BUSY, "R")
    assert attempt.available == attempt.freed == end + 110 * US
    assert (again.asked, again.reason) == (attempt.available, None)


SHORT = [
    (1, 1, 1, "0 of 1 memory towards A is free, not 1"),
    (1, 1, 2, "there is only 1 memory towards A, not 2"),
    (3, 2, 2, "1 of 3 memories towards A is free, not 2"),
    (4, 2, 3, "2 of 4 memories towards A are free, not 3"),
    (4, 2, 5, "there are only 4 memories towards A, not 5"),
]


@pytest.mark.parametrize(("memories", "held", "asked", "sentence"), SHORT)
def test_a_node_says_how_many_memories_it_lacks(memories: int, held: int, asked: int, sentence: str) -> None:
    at = [{"node": "R", "per_interface": memories}]
    network = run(rivals("ARB", {"memories": held}, {"memories": asked}, at=at), 0.02)
    assert entry_of(network, "c2").attempts[0].detail == sentence


def test_nobody_knows_when_the_responder_will_release() -> None:
    holder = {"teardown_s": 0.06, "teardown_by": "dst"}
    network = run(rivals("ARB", holder, {}, at=[{"node": "R", "per_interface": 1}]), 0.05)
    assert entry_of(network, "c2").attempts[0].available is None


def test_a_connection_ends_by_its_pairs_or_its_time_whichever_is_first() -> None:
    holder = {"pairs": 1000, "lasts_s": 0.02}  # a pair takes about 300 us
    network = run(rivals("ARB", holder, {}, at=[{"node": "R", "per_interface": 1}]), 0.1)
    attempt = entry_of(network, "c2").attempts[0]
    assert attempt.available == attempt.freed == (440 + 20_000 + 110) * US


def test_if_both_sides_are_short_the_later_one_counts() -> None:
    # c1 has R's memory towards A until 60 ms, c2 the one towards D until 90 ms; c3 needs both.
    nodes = [Node("R", "router"), *(Node(name, "end") for name in "ABCD")]
    network = network_of(
        Topology("star", nodes, [Link((name, "R"), 20.0, 0.0) for name in "ABCD"]),
        [
            {"src": "A", "dst": "B", "teardown_s": 0.06},
            {"src": "C", "dst": "D", "teardown_s": 0.09},
            {"src": "A", "dst": "D", "at_s": 0.01},
        ],
        links=CERTAIN,
        memories={**FOR_EVER, "per_interface": 8, "at": [{"node": "R", "per_interface": 1}]},
    )
    run(network, 0.2)
    attempt, again = entry_of(network, "c3").attempts
    assert (attempt.reason, attempt.by) == (EndReason.BUSY, "R")
    assert attempt.available == attempt.freed == 90_110 * US
    assert again.outcome == "installed"


def test_a_nested_network_reports_through_its_border_when_it_expects_to_be_free() -> None:
    # A - p - o - q - B, the middle three nested. o is 220 us from A: from A to p, and by the one inside from p to o.
    at = [{"node": "o", "per_interface": 1}]
    network = run(rivals("ApoqB", {"teardown_s": 0.06}, {}, at=at, nested=True), 0.5)
    entry = entry_of(network, "c2")
    attempt, again = entry.attempts
    assert (attempt.reason, attempt.by) == (EndReason.BUSY, "o")
    assert attempt.available == attempt.freed == (60_000 + 220) * US
    assert again.outcome == "installed"


@pytest.mark.parametrize(("nested", "way_us"), [(False, 210 + 210), (True, 110 + 210 + 110 + 110 + 110)])
def test_a_connection_of_so_many_pairs_is_expected_to_end_as_it_does(nested: bool, way_us: int) -> None:
    # The links never fail, so pairs come in a fixed time. o counts its swaps, and stops later: flat, the last result is
    # 210 us to A and B, and as long takes a TERMINATION. Nested, o's results come to p and q, p's to q, q's to B, whose
    # TERMINATION stops q, and the one of q stops o. The rate so far includes the start, hence the 5 % of what remains.
    at = [{"node": "o", "per_interface": 1}]
    network = run(rivals("ApoqB", {"pairs": 100}, {}, at=at, nested=nested), 0.5)
    first, entry = entry_of(network), entry_of(network, "c2")
    assert first.state is ConnectionStatus.DELIVERED
    assert first.last is not None
    assert first.first is not None
    per_pair = (first.last - first.first) / 99
    attempt = entry.attempts[0]
    assert (attempt.reason, attempt.by) == (EndReason.BUSY, "o")
    assert attempt.available is not None
    assert attempt.freed is not None
    assert attempt.freed - attempt.available == pytest.approx(
        way_us * US, abs=per_pair + 0.05 * (attempt.freed - attempt.asked)
    )
    assert attempt.freed > attempt.asked + 15 * per_pair, "and that is some time after it was asked"


# Rates: the share of a link that others have


HEAVY = {"weight": 3, "memories": 2}
FAST = {"memories": 2, "minimum_rate": 15_000.0}
"""A trial of 20 km takes 100 us: two memories make 20,000 pairs/s alone, and 10,000 with the lane beside HEAVY."""


def test_a_rate_that_others_keep_a_connection_from_is_busy_and_comes_when_it_was_expected() -> None:
    network = run(rivals("AB", {**HEAVY, "teardown_s": 0.06}, FAST, memories=4, policy="buffer-space"), 0.5)
    attempt, again = entry_of(network, "c2").attempts
    assert (attempt.reason, attempt.by) == (EndReason.BUSY, "B")
    assert "15000" in attempt.detail or "10000" in attempt.detail
    # B hears of the end at 60,110 us, and the two agree on a list without c1 within a round trip of 220 us.
    assert attempt.freed is not None
    assert 60_110 * US < attempt.freed <= (60_110 + 220) * US
    assert attempt.available == (60_110 + 220) * US
    assert again.outcome == "installed"
    assert entry_of(network, "c2").state is ConnectionStatus.UNFINISHED


def test_a_rate_that_the_link_never_has_is_infeasible_whoever_is_there() -> None:
    network = run(
        rivals(
            "AB", {**HEAVY, "teardown_s": 0.06}, {**FAST, "minimum_rate": 25_000.0}, memories=4, policy="buffer-space"
        ),
        0.5,
    )
    entry = entry_of(network, "c2")
    assert [attempt.reason for attempt in entry.attempts] == [EndReason.INFEASIBLE]
    best = float(re.findall(r"the best rate is ([\d.]+)", entry.attempts[0].detail)[0])
    assert 15_000 < best <= 20_000, "what an empty network would promise"


def test_if_it_is_not_known_when_the_others_end_it_is_busy_without_an_estimate() -> None:
    network = run(rivals("AB", HEAVY, FAST, memories=4, policy="buffer-space"), 0.5)
    entry = entry_of(network, "c2")
    assert {(attempt.reason, attempt.available, attempt.freed) for attempt in entry.attempts} == {
        (EndReason.BUSY, None, None)
    }
    assert (entry.state, len(entry.attempts)) == (ConnectionStatus.REJECTED, 4)


def test_of_several_that_end_as_many_are_waited_for_as_are_in_the_way() -> None:
    # Six lanes: beside c1 and c2 (5 of weight) 6/6 = 1 memory has trials, beside c1 (2) 6/3 = 2.
    network = network_of(
        chain("AB"),
        [
            {"weight": 2, "teardown_s": 0.09},
            {"weight": 3, "teardown_s": 0.06},
            {"at_s": 0.01, **FAST},
        ],
        links=CERTAIN,
        gates=PERFECT,
        memories={**FOR_EVER, "per_interface": 6},
    )
    run(network, 0.5)
    attempt, again = entry_of(network, "c3").attempts
    assert attempt.available == (60_110 + 220) * US
    assert again.outcome == "installed"


def test_a_busy_nested_network_offers_its_rate_later() -> None:
    # The exit of the network, q, is the Responder inside it, and rejects. One trial in ten succeeds.
    holder, asked = {**HEAVY, "teardown_s": 0.06}, {**FAST, "minimum_rate": 700.0}
    network = run(rivals("ApoqB", holder, asked, memories=4, policy="buffer-space", nested=True, loss=0.5), 0.5)
    attempt, again = entry_of(network, "c2").attempts
    assert (attempt.reason, attempt.by) == (EndReason.BUSY, "q")
    # q is 330 us from A, and the one inside ends as the TERMINATION of its own users comes.
    assert attempt.available is not None
    assert attempt.freed is not None
    assert attempt.freed <= attempt.available <= (60_000 + 330 + 220) * US
    assert again.outcome == "installed"
    network.release(entry_of(network, "c2"), "A")
    run(network, 0.6)
    assert left_over(network) == []
