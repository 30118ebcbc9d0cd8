"""The trial clock: trials are numbered slot by slot and lane by lane, and the numbers read back."""

from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.entanglement.links.trial_clock import TrialClock


def test_trials_are_numbered_slot_by_slot_and_lane_by_lane() -> None:
    clock = TrialClock(3, 10, (0, 4), origin=5)
    assert [clock.trial_start(trial, 0) for trial in (0, 2, 3, 7)] == [5, 5, 15, 25]
    assert [clock.trial_start(trial, 1) for trial in (0, 2, 3, 7)] == [9, 9, 19, 29]
    assert [clock.next_trial(0, now) for now in (5, 6, 15, 16)] == [0, 3, 3, 6]


@given(
    st.integers(0, 10**9),
    st.integers(1, 64),
    st.integers(1, 10**10),
    st.integers(0, 10**15),
    st.integers(0, 10**12),
)
def test_the_trial_clock_reads_back(slot: int, lanes: int, ticks: int, origin: int, offset: int) -> None:
    clock = TrialClock(lanes, ticks, origin=origin)
    first = slot * lanes
    assert {clock.trial_start(first + lane, 0) for lane in range(lanes)} == {clock.slot_start(slot)}
    assert clock.next_trial(0, clock.slot_start(slot)) == first
    assert clock.next_trial(0, clock.slot_start(slot) + 1 + offset % ticks) == first + lanes
