"""Cut-offs: a half that has waited too long to be swapped is discarded, and both ends know; against exact numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf, log, sqrt
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from qkdrmp.entanglement.links.models import OpticalLink, TrialLaw
from qkdrmp.entanglement.messages import Discarded
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.settings import MemorySettings
from qkdrmp.kernel.units import to_seconds
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    fidelity_of,
    left_over,
    network_of,
    run,
    werner,
)
from tests.entanglement.test_failing_swaps import SLOT_US, one_in_ten, waits

SLOT_S = to_seconds(SLOT_US * US)


def discarded(network: EntanglementNetwork) -> list[Any]:
    return [hop for hop in network.hops or () if isinstance(hop.message, Discarded)]


# By hand


def test_a_half_that_waits_too_long_is_discarded_and_its_other_end_informed() -> None:
    # MSM links of 20 km: slots of 100 us; those of 200 km: slots of 1000 us. A pair of the short link waits 150 us.
    network = network_of(
        chain("ARB", [20.0, 200.0]),
        [{}],
        trace=True,
        links=CERTAIN,
        memories={**FOR_EVER, "per_interface": 1, "cutoff_s": 150e-6},
        gates=PERFECT,
    )
    run(network, 0.02)
    gone = discarded(network)
    assert {(hop.source, hop.target, hop.received - hop.sent) for hop in gone} == {("R", "A", 110 * US)}
    # Discarded after 150, known to A after 110 more; the next slot begins 40 later and heralds after 100.
    gaps = Counter(np.diff([hop.sent for hop in gone]) // US)
    assert gaps.most_common(1)[0][0] == 150 + 110 + 40 + 100
    assert len(deliveries(network)) > 3
    assert entry_of(network).wrong_partner == 0


def a_slot_for_each_km(link: OpticalLink) -> TrialLaw:
    slot = round(link.length_km) * 100 * US
    return TrialLaw(1.0, slot, (0, 0), (slot, slot))


@pytest.mark.parametrize(("early", "are_discarded"), [(0, False), (1, True)])
def test_a_pair_that_comes_at_the_very_tick_comes_in_time(early: int, are_discarded: bool) -> None:
    # After a swap a link has its next pair after 100 us and waits for the other, which needs 300.
    network = network_of(
        chain("ARB", [1.0, 3.0], classical_km=[1e-9, 1e-9]),
        trace=True,
        links={"model": a_slot_for_each_km},
        memories={**FOR_EVER, "per_interface": 1, "cutoff_s": to_seconds(200 * US - early)},
        gates=PERFECT,
        setup={"processing_s": 0.0},
    )
    run(network, 0.1)
    assert len(discarded(network)) == pytest.approx(len(deliveries(network)) if are_discarded else 0, abs=2)
    # Else A-R has just lost its pair at 300, and has the next one at 400, for a swap. Slots of R-B begin at 300, 600
    # and 900, so its next pair comes at 900, where A-R has its pair of 800 (that of 500 is lost at 700).
    assert entry_of(network).pairs == pytest.approx(0.1 / (450e-6 if are_discarded else 300e-6), abs=4)


def test_only_nodes_with_a_cut_off_discard_and_users_never_do() -> None:
    at = [{"node": node, "cutoff_s": 2e-4} for node in ("A", "R", "B")]
    network = network_of(
        chain("AQRSB", loss=0.2), [{"memories": 3}], trace=True, memories={**FOR_EVER, "at": at}, gates=PERFECT
    )
    run(network, 1.0)
    assert {hop.source for hop in discarded(network)} == {"R"}
    assert {hop.target for hop in discarded(network)} == {"A", "B"}
    assert len(deliveries(network)) > 100


def test_a_cut_off_leaves_nothing_behind() -> None:
    network = network_of(
        chain("AQRSB", loss=0.2),
        [{"pairs": 100, "memories": 3, "minimum_fidelity": 0.5}],
        trace=True,
        memories={"cutoff_s": 3e-4},
        gates={"swap_success": 0.7},
    )
    run(network, 5.0)
    assert len(discarded(network)) > 50
    assert entry_of(network).state == "delivered"
    assert left_over(network) == []


@pytest.mark.parametrize("cutoff_s", [0.0, -1.0, True, [], [0.1, 0.0], [0.1, inf], "0.1"])
def test_a_cut_off_is_above_zero(cutoff_s: Any) -> None:
    with pytest.raises(ValidationError, match="must be greater than 0, or a list of such times"):
        MemorySettings(cutoff_s=cutoff_s)


# Two links and a swap: the numbers of Li, Coopmans and Elkouss
#
# arXiv:2005.04946, by the program repeater-cut-off-optimization; p = 0.1, w0 = 0.98. Times in slots; a pair loses
# coherence with 400 slots, each of its two halves with 800.

P, W0, COHERENCE = 0.1, 0.98, 400
ROWS = {None: (14.7368, 0.93818, 0.049144), 10: (17.0734, 0.95020, 0.044919)}
"""For a cut-off: mean slots for a pair, mean Werner parameter, secret key per slot as the authors count it."""


def exact(cutoff: int | None) -> tuple[float, float]:
    """Return the mean of the slots for a pair and of its Werner parameter, from two geometric times.

    Either the later pair is at most a cut-off behind, or the attempt has cost the earlier one and the cut-off.
    """
    q, behind = 1 - P, np.arange(4000)
    probability = np.where(behind == 0, P / (2 - P), 2 * P * q**behind / (2 - P))
    ok = behind <= (len(behind) if cutoff is None else cutoff)
    success, earlier = probability[ok].sum(), 1 / (1 - q * q)
    slots = earlier + (behind * probability)[ok].sum() / success
    if cutoff is not None:
        slots += (1 - success) / success * (earlier + cutoff)
    parameter = W0**2 * (np.exp(-behind / COHERENCE) * probability)[ok].sum() / success
    return float(slots), float(parameter)


def secret_fraction(parameter: float, base: float = 2.0) -> float:
    """Return that of BB84 with Werner pairs: 1 - 2 h((1 - w)/2)."""
    error = (1 - parameter) / 2
    return 1 + 2 * (error * log(error, base) + (1 - error) * log(1 - error, base))


@pytest.mark.parametrize("cutoff", ROWS)
def test_the_published_numbers_are_exact(cutoff: int | None) -> None:
    slots, parameter = exact(cutoff)
    assert (slots, parameter) == pytest.approx(ROWS[cutoff][:2], abs=6e-5)
    # Their program takes the entropy in nats; in bits it is 0.04086 and 0.03890 per slot.
    assert secret_fraction(parameter, np.e) / slots == pytest.approx(ROWS[cutoff][2], abs=6e-7)


def simulated(cutoff: int | None, seconds: float) -> tuple[Sequence[float], Sequence[float]]:
    """Return slots from pair to pair, and Werner parameters; a link's pair waits a slot until it is heralded."""
    halves_s = 2 * COHERENCE * SLOT_S
    network = network_of(
        chain("ARB", classical_km=[1e-9, 1e-9]),
        links={"model": one_in_ten, "fidelity": fidelity_of(W0 * np.exp(1 / COHERENCE))},
        memories={
            "t1_s": halves_s,
            "t2_s": halves_s,
            "per_interface": 1,
            "cutoff_s": None if cutoff is None else cutoff * SLOT_S,
        },
        gates=PERFECT,
        setup={"processing_s": 0.0},
    )
    run(network, seconds)
    return waits(network), np.array([werner(pair.fidelity) for pair in deliveries(network)])


def check(cutoff: int | None, seconds: float, within: float) -> None:
    slots, parameters = simulated(cutoff, seconds)
    for found, expected in zip((slots, parameters), ROWS[cutoff][:2], strict=True):
        assert np.mean(found) == pytest.approx(expected, abs=3 * np.std(found) / sqrt(len(found)))
        assert np.mean(found) == pytest.approx(expected, rel=within)
    key = secret_fraction(float(np.mean(parameters)), np.e) / float(np.mean(slots))
    assert key == pytest.approx(ROWS[cutoff][2], rel=2 * within)


@pytest.mark.parametrize("cutoff", ROWS)
def test_two_links_have_the_published_numbers(cutoff: int | None) -> None:
    check(cutoff, 6.0, within=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", ROWS)
def test_two_links_have_the_published_numbers_within_a_percent(cutoff: int | None) -> None:
    check(cutoff, 60.0, within=0.01)
