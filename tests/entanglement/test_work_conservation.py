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
