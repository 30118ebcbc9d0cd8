"""A connection that has no use for its trials leaves them to others, and gets them back in time."""

from __future__ import annotations

import pytest

from qkdrmp.entanglement.ledger import ConnectionStatus
from tests.entanglement.small_networks import chain, left_over, network_of, run


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
