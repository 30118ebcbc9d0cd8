"""How times are written: in the unit that suits them."""

from __future__ import annotations

import math

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
ROUNDED = 0.9995  # what would be rounded to 1,000 µs is 1 ms


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the size, in seconds, and the name of the unit that suits a time."""
    fitting = (unit for unit in UNITS if abs(seconds) >= ROUNDED * unit[0])
    return next(fitting, UNITS[-1 if seconds and math.isfinite(seconds) else 0])


def brief(seconds: float, digits: int = 3) -> str:
    """Return a time in words, with so many digits at least."""
    size, unit = time_unit(seconds)
    value = seconds / size
    return f"{value:,.0f} {unit}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g} {unit}"


def exact(seconds: float, step: float) -> str:
    """Return a time with one digit more than steps of `step` need."""
    size, unit = next((one for one in UNITS if abs(seconds) >= one[0]), UNITS[0])
    digits = max(0, 1 - math.floor(math.log10(step / size))) if step else 6
    return f"{seconds / size:,.{min(digits, 12)}f} {unit}"
