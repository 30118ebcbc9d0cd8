"""What swept fields and metrics are called along axes, with their units, as their family declares it."""

from __future__ import annotations

from qkdrmp.family import FAMILIES
from qkdrmp.metric import LABELS as OWN_LABELS
from qkdrmp.plots.times import time_unit


def value_text(value: object) -> str:
    """Return a value of a swept field as people read it.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.plots.value_text(0.1 * 3), qkdrmp.plots.value_text(None)
    ('0.3', 'none')
    """
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def label(name: str) -> str:
    """Return what a metric or a field is called along an axis, with its unit; an unknown one by its name.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.plots.label("wait_mean_s")
    'mean waiting time (s)'
    """
    known = (family.labels for family in FAMILIES.values())
    return next((labels[name] for labels in (*known, OWN_LABELS) if name in labels), name)


def in_unit(name: str, largest: float) -> tuple[float, str]:
    """Return the factor on a column, and what it is called then: times in a unit that suits the largest."""
    if not name.endswith("_s"):
        return 1.0, label(name)
    size, unit = time_unit(largest)
    return 1 / size, label(name).removesuffix("(s)") + f"({unit})"
