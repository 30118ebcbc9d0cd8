"""A connection that has no use for its trials leaves them to others, and gets them back in time."""

from __future__ import annotations

import pytest

from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.topology import Link, Node, Topology
from tests.entanglement.small_networks import FOR_EVER, chain, entry_of, left_over, network_of, run


@pytest.mark.parametrize("seed", range(6))
def test_who_waits_for_one_more_pair_to_purify_with_gets_its_trials_back(seed: int) -> None:
    # Two rounds on each link, with a quota of three: one half waits in each stage, and after a swap two still do.
    asked = {"memories": 3, "pairs": 60, "minimum_fidelity": 0.86}
    network = network_of(
        chain("ARB"),
        [asked, asked],
        seed=seed,
        links={"model": "mim", "detector_efficiency": 0.9, "fidelity": 0.9},
        memories={"per_interface": 6},
    )
    run(network, 3.0)
    assert [(e.state, e.pairs) for e in network.ledger.entries.values()] == [(ConnectionStatus.DELIVERED, 60)] * 2
    assert left_over(network) == []


@pytest.mark.parametrize("seed", [6, 10, 17])
def test_who_purifies_what_a_nested_network_hands_over_gets_the_trials_inside_it_back(seed: int) -> None:
    # Two rounds on the virtual link A-P, with a quota of three: one half waits in each stage. Failed swaps leave gaps
    # among the numbers, for which all three lie idle at times, until the connection is passed over.
    asked = {"memories": 3, "pairs": 20, "minimum_fidelity": 0.8}
    network = network_of(
        chain("AaPB", networks=dict.fromkeys("AaP", "X")),
        [asked, asked],
        seed=seed,
        links={"model": "mim", "detector_efficiency": 0.9, "fidelity": 0.9},
        memories={"per_interface": 6},
        allocation={"policy": "statistical"},
        gates={"swap_success": 0.7},
        layers={"nested": ["X"]},
    )
    run(network, 2.0)
    assert [(e.state, e.pairs) for e in network.ledger.entries.values()] == [(ConnectionStatus.DELIVERED, 20)] * 2
    assert left_over(network) == []


def beside_an_idle_connection(memories: int, seed: int) -> EntanglementNetwork:
    """Return a network in which s-t1 waits for its long first link nearly always, while f-t2 uses the link r1-r2."""
    nodes = [Node(name, "end") for name in ("s", "f", "t1", "t2")] + [Node(name, "router") for name in ("r1", "r2")]
    lengths = {("s", "r1"): 150.0, ("f", "r1"): 1.0, ("r1", "r2"): 50.0, ("r2", "t1"): 1.0, ("r2", "t2"): 1.0}
    links = [Link(ends, length) for ends, length in lengths.items()]
    asked = [{"src": a, "dst": b, "memories": 4, "minimum_fidelity": 0.0} for a, b in (("s", "t1"), ("f", "t2"))]
    there = {"per_interface": memories, **FOR_EVER}
    return run(network_of(Topology("Y", nodes, links), asked, seed, memories=there), 2)


def pairs_alone(memories: int, seed: int) -> int:
    """Return how many pairs f-t2 gets if nobody else is there, and so many memories."""
    topology = chain(("f", "r1", "r2", "t2"), [1.0, 50.0, 1.0], loss=0.2)
    asked = [{"memories": 4, "minimum_fidelity": 0.0}]
    return entry_of(run(network_of(topology, asked, seed, memories={"per_interface": memories, **FOR_EVER}), 2)).pairs


@pytest.mark.parametrize(("memories", "pauses"), [(8, False), (16, True)])
def test_trials_are_left_to_others_only_if_these_find_memories_for_them(memories: int, pauses: bool) -> None:
    # Four memories are in the quota of s-t1. With 8, f-t2 has as many trials as it finds memories for without any of
    # those of s-t1; with 16 its half of the trials, 8 in a slot, are fewer than the 12 memories it may use.
    networks = [beside_an_idle_connection(memories, seed) for seed in range(2)]
    agreements = [len(network.interfaces["r1"]["r2"].allocation.agreements) for network in networks]
    assert all(count > 5 for count in agreements) if pauses else agreements == [3] * 2
    shared = sum(entry_of(network, "c2").pairs for network in networks)
    alone = sum(pairs_alone(memories - 4, seed) for seed in range(2))
    assert shared == pytest.approx(alone, abs=3 * (shared + alone) ** 0.5)
