"""Releases by either user, to the tick: each user acts on what has come to it, and on nothing else.

Light takes 5 us a km, and a message 10 us more at each node that handles it: 110 us for a hop of 20 km.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.messages import CSR, Response, SetupReject, Teardown, Termination
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import EndReason
from qkdrmp.kernel.timer import Timer
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    entry_of,
    left_over,
    milestones,
    network_of,
    run,
)

SAID = (CSR, Response, SetupReject, Teardown, Termination)

Hop = tuple[str, str, str, float, float]


def trace(network: EntanglementNetwork) -> list[Hop]:
    """Return the messages of setup and teardown: what, from, to, sent and received, in us."""
    return [
        (hop.message.wire_name, hop.source, hop.target, hop.sent / US, (hop.received or 0) / US)
        for hop in network.hops or ()
        if isinstance(hop.message, SAID)
    ]


def asking(names: str, lengths_km: Any = 20.0, networks: Mapping[str, str] | None = None, **asked: Any) -> Any:
    return network_of(
        chain(names, lengths_km, networks),
        [asked],
        trace=True,
        links=CERTAIN,
        gates=PERFECT,
        memories={**FOR_EVER, "per_interface": 1},
        layers={"nested": sorted({*(networks or {}).values()})},
    )


def release_at(network: EntanglementNetwork, user: str, us: float) -> None:
    Timer.started(network.env, round(us * US), partial(release, network, user))


def release(network: EntanglementNetwork, user: str) -> None:
    network.release(entry_of(network), user)


# Before the request has come to the Responder


def test_a_responder_that_released_before_the_request_came_rejects_it() -> None:
    network = run(asking("AB", teardown_s=50e-6, teardown_by="dst"), 0.01)
    assert trace(network) == [("CSR", "A", "B", 0, 110), ("REJECT", "B", "A", 110, 220)]
    entry = entry_of(network)
    assert (entry.state, entry.reason, entry.done) == (ConnectionStatus.ABORTED, EndReason.TORN_DOWN, 220 * US)
    assert [(a.reason, a.by, a.ended) for a in entry.attempts] == [(EndReason.TORN_DOWN, "B", 220 * US)]
    assert left_over(network) == []


def test_such_a_reject_releases_every_hold_on_its_way_back_and_nobody_asks_again() -> None:
    network = run(asking("ARB", teardown_s=200e-6, teardown_by="dst"), 0.5)
    assert trace(network) == [
        ("CSR", "A", "R", 0, 110),
        ("CSR", "R", "B", 110, 220),
        ("REJECT", "B", "R", 220, 330),
        ("REJECT", "R", "A", 330, 440),
    ]
    assert milestones(network, "hold released") == {"R": 330 * US, "A": 440 * US}
    assert entry_of(network).state is ConnectionStatus.ABORTED
    assert left_over(network) == []


def test_both_may_release_before_the_request_has_come() -> None:
    # The TEARDOWN of A follows its request hop by hop; the REJECT of B meets it at R, and finds the hold gone.
    network = run(asking("ARB", teardown_s=200e-6, teardown_by="both"), 0.5)
    assert trace(network) == [
        ("CSR", "A", "R", 0, 110),
        ("CSR", "R", "B", 110, 220),
        ("TEARDOWN", "A", "R", 200, 310),
        ("REJECT", "B", "R", 220, 330),
        ("TEARDOWN", "R", "B", 310, 420),
    ]
    entry = entry_of(network)
    assert (entry.state, entry.reason, entry.done) == (ConnectionStatus.ABORTED, EndReason.TORN_DOWN, 200 * US)
    assert left_over(network) == []


def test_a_responder_in_a_nested_network_remembers_as_well() -> None:
    networks = {"p": "x", "q": "x", "B": "x"}
    network = run(asking("AopqB", networks=networks, teardown_s=50e-6, teardown_by="dst"), 0.5)
    assert [hop[0] for hop in trace(network)].count("RESPONSE") == 0
    entry = entry_of(network)
    assert (entry.state, entry.reason) == (ConnectionStatus.ABORTED, EndReason.TORN_DOWN)
    assert entry.done == 2 * 4 * 110 * US
    assert left_over(network) == []


def test_a_release_between_two_attempts_is_remembered_for_the_next_one() -> None:
    # R is busy until 30 ms, and B has never heard of c2 when its user releases it at 20 ms.
    network = network_of(
        chain("ARB"),
        [{"teardown_s": 0.03}, {"at_s": 0.01, "teardown_s": 0.02, "teardown_by": "dst"}],
        trace=True,
        memories={"per_interface": 1},
        setup={"retries": 9},
    )
    run(network, 1.0)
    entry = entry_of(network, "c2")
    assert entry.attempts[0].reason is EndReason.BUSY
    assert entry.attempts[-1].reason is EndReason.TORN_DOWN
    assert entry.attempts[-1].by == "B"
    assert entry.state is ConnectionStatus.ABORTED
    assert left_over(network) == []


# Afterwards: what the other user has done is not known before a message says so


def test_an_initiator_releases_what_its_responder_has_released_without_its_knowledge() -> None:
    # Installed at B at 220, R at 330, A at 440. The TERMINATION of B comes to A, 40 km away, after 210.
    network = asking("ARB")
    release_at(network, "B", 1000)
    release_at(network, "A", 1100)
    run(network, 0.01)
    assert milestones(network, "RuleSet terminated") == {"B": 1000 * US, "A": 1100 * US, "R": 1110 * US}
    terminations = [hop for hop in trace(network) if hop[0] == "TERMINATION"]
    assert terminations == [
        ("TERMINATION", "B", "A", 1000, 1210),
        ("TERMINATION", "B", "R", 1000, 1110),
        ("TERMINATION", "A", "R", 1100, 1210),
        ("TERMINATION", "A", "B", 1100, 1310),
    ]
    assert entry_of(network).done == 1000 * US
    assert left_over(network) == []


def test_an_initiator_installs_what_its_responder_has_released_until_it_hears_of_that() -> None:
    # B is installed at 220 and releases at 225. Its TERMINATION overtakes the Response, which R handles as well.
    network = asking("ARB")
    release_at(network, "B", 225)
    run(network, 0.01)
    assert milestones(network, "RuleSet installed") == {"B": 220 * US, "R": 330 * US}
    assert milestones(network, "RuleSet terminated") == {"B": 225 * US, "R": 335 * US}
    assert milestones(network, "hold released") == {"A": 435 * US}
    assert left_over(network) == []


def test_an_initiator_that_has_all_pairs_does_not_abort_when_its_time_is_over() -> None:
    # R is 5 km from A and 40 km from B. Both ends complete as the SWAPRESULT comes: A at once, B later.
    network = run(asking("ARB", [5.0, 40.0], pairs=1), 0.01)
    done = milestones(network, "RuleSet terminated")
    installed = milestones(network, "RuleSet installed")["A"]
    assert done["B"] - done["A"] == 175 * US
    between = (done["A"] + done["B"]) / 2 - installed
    network = run(asking("ARB", [5.0, 40.0], pairs=1, lasts_s=between / US / 1e6), 0.01)
    entry = entry_of(network)
    assert (entry.state, entry.pairs, entry.done) == (ConnectionStatus.DELIVERED, 1, done["B"])


@pytest.mark.parametrize("user", ["A", "B"])
def test_a_release_after_the_last_pair_says_nothing(user: str) -> None:
    network = asking("ARB", pairs=1)
    release_at(network, user, 5000)
    run(network, 0.01)
    assert entry_of(network).state is ConnectionStatus.DELIVERED
    assert [hop for hop in trace(network) if hop[3] >= 5000] == []
