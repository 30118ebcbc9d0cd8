"""Units: simulated time is an integer count of picoseconds ("ticks"); seconds appear at the border only."""

from math import nan

TICKS_PER_SECOND = 10**12

NEVER = 1 << 62
"""Later than all other ticks; no simulation gets there."""


def to_ticks(seconds: float) -> int:
    """Return `seconds` as a whole number of ticks (picoseconds), rounded to the nearest."""
    try:
        return round(seconds * TICKS_PER_SECOND)
    except OverflowError:  # so many seconds are whole
        return int(seconds) * TICKS_PER_SECOND


def to_seconds(ticks: int) -> float:
    """Return `ticks` (picoseconds) in seconds."""
    return ticks / TICKS_PER_SECOND


def seconds_or_nan(ticks: int | None) -> float:
    """Return `ticks` (picoseconds) in seconds, and nan for a time that is not known."""
    return nan if ticks is None else to_seconds(ticks)


def delay_ticks(length_km: float, speed_m_per_s: float) -> int:
    """Return the time a signal takes along `length_km` kilometres at `speed_m_per_s`, in ticks."""
    return to_ticks(length_km * 1e3 / speed_m_per_s)
