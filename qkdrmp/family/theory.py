"""The noun `Law`: what theory says of a metric of a scenario, beside which simulated values stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """What theory says of the mean of a metric over runs.

    Parameters
    ----------
    metric : str
    value : float
    name : str
        What the law is called.
    is_bound : bool
        Whether the mean cannot be above the value; otherwise it is equal to it.
    because : str
        What the value follows from, such as the links that limit it.
    """

    metric: str
    value: float
    name: str
    is_bound: bool = False
    because: str = ""
