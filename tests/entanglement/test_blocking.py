"""How often connections are rejected for want of memories: Erlang's formula, and what is done about it."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, sqrt
from typing import Any

import numpy as np
import pytest

from qkdrmp.entanglement.ledger import ConnectionEntry, ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import EndReason
from qkdrmp.kernel.units import to_seconds
from tests.entanglement.small_networks import FOR_EVER, US, chain, entry_of, left_over, network_of, run

HARDLY_ANY_PAIRS: dict[str, Any] = {"source_efficiency": 1e-3, "detector_efficiency": 1e-2}


def erlang_b(circuits: int, load: float) -> float:
    terms = [load**k / factorial(k) for k in range(circuits + 1)]
    return terms[-1] / sum(terms)


@pytest.mark.parametrize(("circuits", "blocked"), [(1, 0.666667), (2, 0.4), (4, 0.095238)])
def test_the_formula_is_erlangs(circuits: int, blocked: float) -> None:
    assert erlang_b(circuits, 2.0) == pytest.approx(blocked, abs=5e-7)


def loaded(
    circuits: int, rate: float, lasts_s: float, arrivals: int, length_km: float = 20.0, seed: int = 1
) -> tuple[EntanglementNetwork, list[ConnectionEntry]]:
    """Return a link of some circuits after Poisson arrivals, and the connections that have ended, without the first."""
    demand = {
        "model": "poisson",
        "rate_per_s": rate,
        "users": [["A", "B"]],
        "mean_lasts_s": lasts_s,
        "memories": 1,
        "minimum_fidelity": 0.25,
    }
    network = network_of(
        chain("AB", length_km),
        seed=seed,
        demand=demand,
        setup={"retries": 0},
        allocation={"policy": "circuit"},
        memories={**FOR_EVER, "per_interface": circuits},
        links=HARDLY_ANY_PAIRS,
    )
    run(network, arrivals / rate)
    entries = [entry for entry in network.ledger.entries.values() if to_seconds(entry.asked) > 20 * lasts_s]
    return network, entries


def share_blocked(entries: Sequence[ConnectionEntry]) -> tuple[float, float]:
    """Return the share of rejected connections, and its standard error by the means of 30 batches."""
    rejected = [entry.state is ConnectionStatus.REJECTED for entry in entries]
    batches = [np.mean(batch) for batch in np.array_split(np.array(rejected), 30)]
    return float(np.mean(rejected)), float(np.std(batches, ddof=1)) / sqrt(30)


def held_s(network: EntanglementNetwork, entries: Sequence[ConnectionEntry]) -> float:
    """Return how long a connection holds its memory at A, where it is admitted or not, on average."""
    return float(
        np.mean([to_seconds(e.done - e.asked) for e in entries if e.state is ConnectionStatus.DELIVERED and e.done])
    )


ARRIVALS = [2000, pytest.param(20000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize(("circuits", "limit"), [(1, 0.666667), (2, 0.4), (4, 0.095238)])
def test_blocking_of_long_connections_is_that_of_two_erlang(circuits: int, limit: float, arrivals: int) -> None:
    # Setup takes 220 us of 0.5 s: nothing.
    network, entries = loaded(circuits, rate=4.0, lasts_s=0.5, arrivals=arrivals)
    blocked, error = share_blocked(entries)
    assert error < 0.02
    assert blocked == pytest.approx(limit, abs=3 * error)
    load = 4.0 * held_s(network, entries)
    assert blocked == pytest.approx(erlang_b(circuits, load), abs=3 * error)


@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize("circuits", [1, 2, 4])
def test_setup_and_teardown_count_as_holding(circuits: int, arrivals: int) -> None:
    # 100 km: a setup takes 1.02 ms, in which the memory is held; connections last 1 ms. Erlang's formula asks for the
    # mean holding time only, so it is exact for this sum of a constant and an exponential time too.
    network, entries = loaded(circuits, rate=1000.0, lasts_s=1e-3, arrivals=arrivals, length_km=100.0)
    blocked, error = share_blocked(entries)
    held = held_s(network, entries)
    assert held == pytest.approx(1.02e-3 + 1e-3, rel=0.06)
    assert blocked == pytest.approx(erlang_b(circuits, 1000.0 * held), abs=3 * error)
    assert blocked > erlang_b(circuits, 1.0) + 5 * error  # what it would be if they did not count


def test_all_that_is_blocked_is_busy_and_nothing_stays_behind() -> None:
    network, entries = loaded(2, rate=1000.0, lasts_s=1e-3, arrivals=500)
    rejected = [entry for entry in entries if entry.state is ConnectionStatus.REJECTED]
    assert {(entry.reason, entry.attempts[-1].by) for entry in rejected} == {(EndReason.BUSY, "A")}
    for interface in (network.interfaces["A"]["B"], network.interfaces["B"]["A"]):
        assert 0 <= interface.free <= 2


@pytest.mark.parametrize("circuits", [1, 3])
def test_no_more_connections_hold_a_link_than_it_has_circuits(circuits: int) -> None:
    network, _ = loaded(circuits, rate=1000.0, lasts_s=4e-3, arrivals=500)
    starts = [(entry.asked, 1) for entry in network.ledger.entries.values() if entry.installed is not None]
    ends = [(e.done, -1) for e in network.ledger.entries.values() if e.installed is not None and e.done is not None]
    level = np.cumsum([step for _, step in sorted(starts + ends)])
    assert level.max() == circuits


# --- The middle of a path ---------------------------------------------------------------------------------------------


def test_a_busy_repeater_rejects_and_every_hop_lets_go() -> None:
    # R has one memory on each side, which c1 holds; c2 gets as far as R at 110 and hears of it at 220.
    connections = [{"memories": 1, "pairs": None}, {"memories": 1, "at_s": 0.01}]
    network = network_of(
        chain("ARB"),
        connections,
        setup={"retries": 0},
        memories={**FOR_EVER, "per_interface": 8, "at": [{"node": "R", "per_interface": 1}]},
        links=HARDLY_ANY_PAIRS,
    )
    run(network, 0.05)
    entry = entry_of(network, "c2")
    assert (entry.state, entry.reason) == (ConnectionStatus.REJECTED, EndReason.BUSY)
    assert [attempt.by for attempt in entry.attempts] == ["R"]
    assert entry.done == 10_000 * US + 220 * US
    assert network.interfaces["A"]["R"].free == 7  # c1's alone
    assert network.interfaces["B"]["R"].free == 7


def test_a_rejected_connection_that_tries_again_gets_in_when_there_is_room() -> None:
    connections = [{"memories": 1, "teardown_s": 0.06}, {"memories": 1, "at_s": 0.01, "teardown_s": 0.5}]
    network = network_of(
        chain("ARB"),
        connections,
        setup={"retries": 5},
        memories={**FOR_EVER, "per_interface": 1},
        links=HARDLY_ANY_PAIRS,
    )
    run(network, 0.6)
    entry = entry_of(network, "c2")
    assert entry.installed is not None
    assert entry.installed > 60_000 * US
    assert entry.attempts[0].reason is EndReason.BUSY
    freed = entry.attempts[0].freed
    assert freed is not None
    assert freed == 60_000 * US  # at A, which had rejected it
    assert left_over(network) == []


def test_a_reject_names_the_node_it_comes_from_on_its_whole_way_back() -> None:
    network = network_of(
        chain("ARSB"),
        [{"memories": 2}],
        setup={"retries": 0},
        memories={**FOR_EVER, "per_interface": 2, "at": [{"link": ["S", "B"], "per_interface": 1}]},
    )
    run(network, 0.05)
    entry = entry_of(network)
    assert (entry.state, entry.attempts[0].by) == (ConnectionStatus.REJECTED, "S")
    assert entry.done == 4 * 110 * US
    assert left_over(network) == []


def test_a_connection_that_asks_for_nothing_may_wait_until_nothing_is_left() -> None:
    # A link that takes ages for a pair, and memories that forget at once: what is expected is noise, which is enough.
    network = network_of(
        chain("AB"),
        [{"minimum_fidelity": 0.25}],
        setup={"retries": 0},
        memories={"t1_s": 1e-3, "t2_s": 1e-3},
        links=HARDLY_ANY_PAIRS,
    )
    run(network, 0.05)
    assert entry_of(network).installed is not None
