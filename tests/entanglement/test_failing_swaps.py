"""Swaps that fail: how long pairs take, against closed forms, and what the tables say of them."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from qkdrmp.entanglement.links.models import OpticalLink, TrialLaw
from qkdrmp.entanglement.messages import SwapResult
from qkdrmp.entanglement.network import EntanglementNetwork
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

SLOT_US = 100
P = 0.1
"""Success of a trial."""


def one_in_ten(link: OpticalLink) -> TrialLaw:
    """A link of one trial in each slot, of which both ends know at its end."""
    slot = SLOT_US * US
    return TrialLaw(P, slot, (0, 0), (slot, slot))


def slotted(names: str, swap_success: float, classical_km: float = 1e-9, **sections: Any) -> EntanglementNetwork:
    """Return a chain in which each interface has one memory, and messages take no tick, or few."""
    return network_of(
        chain(names, classical_km=[classical_km] * (len(names) - 1)),
        links={"model": one_in_ten, "fidelity": 0.95},
        gates={**PERFECT, "swap_success": swap_success},
        **{"memories": {**FOR_EVER, "per_interface": 1}, "setup": {"processing_s": 0.0}, **sections},
    )


def waits(network: EntanglementNetwork) -> np.ndarray[Any, Any]:
    """Return the slots from each delivery to the next."""
    return np.diff([pair.tick for pair in deliveries(network)]) / (SLOT_US * US)


def check_mean(found: np.ndarray[Any, Any], expected: float) -> None:
    assert found.mean() == pytest.approx(expected, abs=3 * found.std() / sqrt(len(found)))


@pytest.mark.parametrize("swap_success", [1.0, 0.5, 0.2])
def test_two_links_wait_for_each_other_once_for_each_swap_they_need(swap_success: float) -> None:
    network = run(slotted("ARB", swap_success), 8.0)
    both = (3 - 2 * P) / (P * (2 - P))  # until both of two held links have a pair
    check_mean(waits(network), both / swap_success)
    assert entry_of(network).wrong_partner == 0
    assert {pair.fidelity for pair in deliveries(network)} == {deliveries(network)[0].fidelity}


def test_memories_are_free_again_when_the_far_ends_know() -> None:
    # With any delay at all the next slot begins before they know: each swap, good or bad, costs one slot more.
    network = run(slotted("ARB", 0.5, classical_km=1.0), 8.0)
    check_mean(waits(network), ((3 - 2 * P) / (P * (2 - P)) + 1) / 0.5)


def test_the_second_level_of_swaps_waits_for_the_first() -> None:
    # The longer of two independent times to a pair over two links, by their distribution: the waits of the first level
    # are geometric sums of the longer of two geometric times.
    network = run(slotted("AQRSB", 0.5), 16.0)
    slots = np.arange(4000)
    both = np.diff((1 - (1 - P) ** slots) ** 2, prepend=0)
    success, tried = np.zeros(len(slots)), np.array([1.0, *np.zeros(len(slots) - 1)])
    for _ in range(60):  # tries: 1 - 2^-60 of all pairs
        tried = np.convolve(tried, both)[: len(slots)]
        success += 0.5 * tried
        tried *= 0.5
    longer = np.diff(np.cumsum(success) ** 2, prepend=0)
    assert longer.sum() == pytest.approx(1, abs=1e-9)
    check_mean(waits(network), float((slots * longer).sum()) / 0.5)


def test_failed_swaps_leave_nothing_behind_and_are_seen_in_messages() -> None:
    network = network_of(
        chain("AQRSB", loss=0.2),
        [{"pairs": 200, "memories": 3, "minimum_fidelity": 0.5}],
        trace=True,
        gates={"swap_success": 0.7},
    )
    run(network, 5.0)
    assert entry_of(network).state == "delivered"
    assert left_over(network) == []
    results = [hop.message for hop in network.hops or () if isinstance(hop.message, SwapResult)]
    lost = [message for message in results if not message.success]
    assert len(lost) / len(results) == pytest.approx(0.3, abs=3 * sqrt(0.3 * 0.7 / (len(results) / 2)))
    assert lost[0].label == f"number {lost[0].number} failed"


def test_a_node_may_swap_worse_than_others() -> None:
    at = [{"node": "R", "swap_success": 0.5}]
    network = network_of(
        chain("AQRSB", loss=0.2), [{"memories": 3}], trace=True, gates={**PERFECT, "at": at}, links={"fidelity": 0.98}
    )
    run(network, 0.5)
    failing = {
        message.source
        for hop in network.hops or ()
        if isinstance(message := hop.message, SwapResult) and not message.success
    }
    assert failing == {"R"}
