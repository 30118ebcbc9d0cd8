import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.entanglement.links.models import (
    MIM,
    MM,
    MSM,
    LinkModel,
    lane_of_trial,
    start_of_trial,
    trial_at,
)

LINKS: list[type[LinkModel]] = [MSM, MIM, MM]
FLIGHT = 100_000_000  # 20 km at 2e8 m/s


@pytest.mark.parametrize(
    ("link", "length_km", "pairs_per_s"),
    [
        (MIM, 20.0, 1990.5),
        (MIM, 50.0, 200.0),
        (MIM, 100.0, 10.0),
        (MSM, 20.0, 3981.1),
        (MSM, 50.0, 400.0),
        (MSM, 100.0, 20.0),
        (MM, 20.0, 995.3),
        (MM, 50.0, 100.0),
        (MM, 100.0, 5.0),
    ],
)
def test_rates_of_perfect_devices(link: type[LinkModel], length_km: float, pairs_per_s: float) -> None:
    made = link(length_km, detector_efficiency=1.0)
    assert made.pairs_per_s == pytest.approx(pairs_per_s, abs=0.05)


def test_efficiencies_enter_once_per_end() -> None:
    loss = 10**-0.4
    assert MIM(20.0, 0.8, 0.5).success_probability == pytest.approx(0.4**2 / 2 * loss)
    assert MM(20.0, 0.8, 0.5).success_probability == pytest.approx(0.4**2 / 2 * loss)
    assert MSM(20.0, 0.8, 0.5).success_probability == pytest.approx(0.8 * 0.5**2 * loss)


def test_attenuation_is_in_decibels_per_kilometre() -> None:
    assert MSM(30.0, 1.0, 1.0, attenuation_db_per_km=0.1).success_probability == pytest.approx(10**-0.3)
    assert MSM(30.0, 1.0, 1.0, attenuation_db_per_km=0.0).success_probability == 1.0


@pytest.mark.parametrize(
    ("link", "slot", "start", "herald"),
    [
        (MIM(20.0), FLIGHT, (0, 0), (FLIGHT, FLIGHT)),
        (MSM(20.0), FLIGHT, (FLIGHT // 2, FLIGHT // 2), (3 * FLIGHT // 2, 3 * FLIGHT // 2)),
        (MM(20.0), 2 * FLIGHT, (0, FLIGHT), (2 * FLIGHT, FLIGHT)),
    ],
)
def test_times_of_a_trial(link: LinkModel, slot: int, start: tuple[int, int], herald: tuple[int, int]) -> None:
    assert link.slot_ticks == slot
    assert (link.start_ticks("sender"), link.start_ticks("receiver")) == start
    assert (link.herald_ticks("sender"), link.herald_ticks("receiver")) == herald


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("length_km", [2e-7, 0.001, 0.0123456789, 33.3, 1234.5])
def test_a_memory_is_never_asked_to_hold_two_trials(link: type[LinkModel], length_km: float) -> None:
    made = link(length_km)
    for end in ("sender", "receiver"):
        assert 0 <= made.start_ticks(end) <= made.herald_ticks(end) <= made.start_ticks(end) + made.slot_ticks


def test_the_signal_speed_scales_all_times() -> None:
    slow = MM(20.0, speed_m_per_s=1e8)
    assert (slow.slot_ticks, slow.herald_ticks("receiver")) == (4 * FLIGHT, 2 * FLIGHT)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("length_km", 0.0, "must be above 0 and finite"),
        ("length_km", math.inf, "must be above 0 and finite"),
        ("length_km", 1e-9, "at least one tick"),
        ("length_km", 1e5, "no trial can succeed"),
        ("source_efficiency", 0.0, "above 0 and at most 1"),
        ("detector_efficiency", 1.1, "above 0 and at most 1"),
        ("detector_efficiency", math.nan, "above 0 and at most 1"),
        ("attenuation_db_per_km", -0.1, "0 or more and finite"),
        ("speed_m_per_s", 0.0, "must be above 0 and finite"),
    ],
)
def test_a_bad_value_is_a_clear_error(link: type[LinkModel], name: str, value: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; .*{complaint}.*\.$"):
        link(**{"length_km": 20.0, name: value})


def test_trials_are_numbered_slot_by_slot_and_lane_by_lane() -> None:
    assert [trial_at(0, lane, 3, 10) for lane in range(3)] == [0, 1, 2]
    assert [trial_at(ticks, 1, 3, 10, origin_ticks=5) for ticks in (5, 14, 15, 24, 25)] == [1, 1, 4, 4, 7]
    assert [start_of_trial(n, 3, 10, origin_ticks=5) for n in (0, 2, 3, 7)] == [5, 5, 15, 25]


@given(
    st.integers(0, 10**9),
    st.integers(1, 64),
    st.integers(1, 10**10),
    st.integers(0, 10**15),
    st.integers(0, 10**12),
)
def test_the_trial_clock_reads_back(trial: int, lanes: int, slot: int, origin: int, offset: int) -> None:
    start = start_of_trial(trial, lanes, slot, origin)
    assert trial_at(start + offset % slot, lane_of_trial(trial, lanes), lanes, slot, origin) == trial
    assert trial_at(start + slot, lane_of_trial(trial, lanes), lanes, slot, origin) == trial + lanes
