import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.kernel.units import TICKS_PER_SECOND, delay_ticks, to_seconds, to_ticks


def test_a_tick_is_a_picosecond() -> None:
    assert to_ticks(1) == TICKS_PER_SECOND == 10**12
    assert to_ticks(1e-12) == 1
    assert to_seconds(1) == 1e-12


@pytest.mark.parametrize(("seconds", "ticks"), [(0.1, 10**11), (0.6, 6 * 10**11), (0.0, 0), (140, 140 * 10**12)])
def test_seconds_of_scenarios_are_exact(seconds: float, ticks: int) -> None:
    assert to_ticks(seconds) == ticks
    assert isinstance(to_ticks(seconds), int)


def test_a_time_whose_ticks_are_no_float_is_exact() -> None:
    assert to_ticks(1e300) == int(1e300) * TICKS_PER_SECOND


@given(st.integers(0, 2**52))
def test_ticks_survive_the_way_to_seconds_and_back(ticks: int) -> None:
    assert to_ticks(to_seconds(ticks)) == ticks


def test_light_in_fibre_takes_five_microseconds_a_kilometre() -> None:
    assert delay_ticks(1.0, 2e8) == 5 * 10**6
    assert delay_ticks(10.0, 3e8) == 33_333_333
