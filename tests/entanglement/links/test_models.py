import math
import re
from itertools import product
from typing import Any

import pytest

from qkdrmp.entanglement.links.models import (
    LINK_MODELS,
    LinkModel,
    OpticalLink,
    TrialLaw,
    barrett_kok,
    mim,
    mm,
    msm,
    single_click,
)

FLIGHT = 100_000_000  # 20 km at 2e8 m/s


@pytest.mark.parametrize(
    ("model", "length_km", "pairs_per_s"),
    [
        (mim, 20.0, 1990.5),
        (mim, 50.0, 200.0),
        (mim, 100.0, 10.0),
        (msm, 20.0, 3981.1),
        (msm, 50.0, 400.0),
        (msm, 100.0, 20.0),
        (mm, 20.0, 995.3),
        (mm, 50.0, 100.0),
        (mm, 100.0, 5.0),
    ],
)
def test_rates_of_perfect_devices(model: LinkModel, length_km: float, pairs_per_s: float) -> None:
    law = model(OpticalLink(length_km, detector_efficiency=1.0))
    assert law.pairs_per_s == pytest.approx(pairs_per_s, abs=0.05)


def test_efficiencies_enter_once_per_end() -> None:
    loss = 10**-0.4
    assert mim(OpticalLink(20.0, 0.8, 0.5)).success_probability == pytest.approx(0.4**2 / 2 * loss)
    assert mm(OpticalLink(20.0, 0.8, 0.5)).success_probability == pytest.approx(0.4**2 / 2 * loss)
    assert msm(OpticalLink(20.0, 0.8, 0.5)).success_probability == pytest.approx(0.8 * 0.5**2 * loss)


# Photons counted one by one
#
# Each end has a photon or none; each photon arrives with eta; two that arrive leave by one port and click once.


def rounds_of(emits: tuple[int, int], eta: float) -> float:
    """Return the probability that exactly one detector clicks if so many photons are emitted at each end."""
    arrive = product(*([0, 1] if photon else [0] for photon in emits))
    ways = [(a + b, eta ** (a + b) * (1 - eta) ** (sum(emits) - a - b)) for a, b in arrive]
    return sum(probability for photons, probability in ways if photons >= 1)


@pytest.mark.parametrize(("alpha", "eta"), [(0.1, 0.3), (0.5, 1.0), (0.02, 0.01)])
def test_one_click_succeeds_as_often_and_as_well_as_counted_photon_by_photon(alpha: float, eta: float) -> None:
    emitted = {pair: alpha ** sum(pair) * (1 - alpha) ** (2 - sum(pair)) for pair in product((0, 1), repeat=2)}
    clicks = {pair: probability * rounds_of(pair, eta) for pair, probability in emitted.items()}
    law = single_click(OpticalLink(10.0, eta, 1.0, attenuation_db_per_km=0.0, bright_state=alpha))
    assert law.success_probability == pytest.approx(sum(clicks.values()))
    assert law.state is not None
    assert law.state.fidelity == pytest.approx((clicks[0, 1] + clicks[1, 0]) / sum(clicks.values()))
    assert law.state.psi_minus == law.state.psi_plus == pytest.approx(clicks[1, 1] / sum(clicks.values()) / 2)


def test_a_click_in_each_of_two_rounds_is_as_likely_as_counted_photon_by_photon() -> None:
    # Each qubit emits in the first round or in the second, with probability 1/2 each.
    eta = 0.3
    counted = 0.0
    for first in product((0, 1), repeat=2):
        second = (1 - first[0], 1 - first[1])
        counted += 0.25 * rounds_of(first, eta) * rounds_of(second, eta)
    law = barrett_kok(OpticalLink(20.0, eta, 1.0, attenuation_db_per_km=0.0))
    assert law.success_probability == pytest.approx(counted) == pytest.approx(eta**2 / 2)
    assert law.state is None


def test_one_photon_crosses_half_of_the_fibre_where_two_cross_it_whole() -> None:
    # The rule of thumb: 2 alpha eta and a fidelity of 1 - alpha, against eta^2 / 2; eta has half of the loss in dB.
    link = OpticalLink(200.0, 0.8, 0.5, bright_state=0.05)
    eta = 0.8 * 0.5 * 10**-2
    one, two = single_click(link), barrett_kok(link)
    assert one.success_probability == pytest.approx(2 * 0.05 * eta, rel=1e-3)
    assert one.state is not None
    assert one.state.fidelity == pytest.approx(0.95, rel=1e-3)
    assert two.success_probability == pytest.approx(eta**2 / 2)
    assert two.success_probability == pytest.approx(mim(link).success_probability)
    assert two.pairs_per_s == pytest.approx(mim(link).pairs_per_s / 2)


def test_attenuation_is_in_decibels_per_kilometre() -> None:
    assert msm(OpticalLink(30.0, 1.0, 1.0, attenuation_db_per_km=0.1)).success_probability == pytest.approx(10**-0.3)
    assert msm(OpticalLink(30.0, 1.0, 1.0, attenuation_db_per_km=0.0)).success_probability == 1.0


@pytest.mark.parametrize(
    ("law", "slot", "start", "herald"),
    [
        (mim(OpticalLink(20.0)), FLIGHT, (0, 0), (FLIGHT, FLIGHT)),
        (msm(OpticalLink(20.0)), FLIGHT, (FLIGHT // 2, FLIGHT // 2), (3 * FLIGHT // 2, 3 * FLIGHT // 2)),
        (mm(OpticalLink(20.0)), 2 * FLIGHT, (0, FLIGHT), (2 * FLIGHT, FLIGHT)),
        (barrett_kok(OpticalLink(20.0)), 2 * FLIGHT, (0, 0), (2 * FLIGHT, 2 * FLIGHT)),
        (single_click(OpticalLink(20.0)), FLIGHT, (0, 0), (FLIGHT, FLIGHT)),
    ],
)
def test_times_of_a_trial(law: TrialLaw, slot: int, start: tuple[int, int], herald: tuple[int, int]) -> None:
    assert (law.slot_ticks, law.starts, law.heralds) == (slot, start, herald)


@pytest.mark.parametrize("model", LINK_MODELS.values(), ids=LINK_MODELS)
@pytest.mark.parametrize("length_km", [2e-7, 0.001, 0.0123456789, 33.3, 1234.5])
def test_a_memory_is_never_asked_to_hold_two_trials(model: LinkModel, length_km: float) -> None:
    law = model(OpticalLink(length_km))
    for start, herald in zip(law.starts, law.heralds, strict=True):
        assert 0 <= start <= herald <= start + law.slot_ticks


def test_the_signal_speed_scales_all_times() -> None:
    slow = mm(OpticalLink(20.0, speed_m_per_s=1e8))
    assert (slow.slot_ticks, slow.heralds[1]) == (4 * FLIGHT, 2 * FLIGHT)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("length_km", 0.0, "must be above 0 and finite"),
        ("length_km", math.inf, "must be above 0 and finite"),
        ("length_km", 1e-9, "must be so much that light takes a tick"),
        ("source_efficiency", 0.0, "must be above 0 and at most 1"),
        ("detector_efficiency", 1.1, "must be above 0 and at most 1"),
        ("detector_efficiency", math.nan, "must be above 0 and at most 1"),
        ("attenuation_db_per_km", -0.1, "must be at least 0 and finite"),
        ("speed_m_per_s", 0.0, "must be above 0 and finite"),
        ("bright_state", 0.0, "must be above 0 and below 1"),
        ("bright_state", 1.0, "must be above 0 and below 1"),
    ],
)
def test_a_bad_value_is_a_clear_error(name: str, value: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} = {value} {complaint}"):
        OpticalLink(**{"length_km": 20.0, name: value})


@pytest.mark.parametrize("model", LINK_MODELS.values(), ids=LINK_MODELS)
def test_so_much_loss_that_no_trial_can_succeed_is_refused(model: LinkModel) -> None:
    with pytest.raises(ValueError, match=r"^success_probability = 0\.0 must be above 0 and at most 1$"):
        model(OpticalLink(1e5))


@pytest.mark.parametrize(
    ("law", "complaint"),
    [
        ((1.1, 10, (0, 0), (5, 5)), "success_probability = 1.1 must be above 0 and at most 1"),
        ((math.nan, 10, (0, 0), (5, 5)), "success_probability = nan must be above 0 and at most 1"),
        ((0.5, 0, (0, 0), (0, 0)), "slot_ticks = 0 must be at least 1"),
        ((0.5, 10, (0, 6), (5, 5)), "heralds = (5, 5) must be from 0 to slot_ticks = 10 after starts = (0, 6)"),
        ((0.5, 10, (0, -1), (5, 5)), "starts = (0, -1) must be at least 0"),
        ((0.5, 10, (0, 0), (5, 11)), "heralds = (5, 11) must be from 0 to slot_ticks = 10 after starts = (0, 0)"),
    ],
)
def test_a_law_that_cannot_be_is_refused(law: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        TrialLaw(*law)
