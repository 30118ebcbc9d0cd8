"""How many replications are enough: until the confidence interval of a metric is as narrow as wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qkdrmp.errors import ScenarioError
from qkdrmp.stats.estimators import half_width

LEAST = 5  # fewer replications are alike by chance too often
GROWTH = 2  # largest growth in one round: few replications estimate poorly how many are needed


@dataclass(frozen=True)
class Precision:
    """The rule that stops a sequence of replications.

    Replications are added in rounds: after each, the interval so far says how many there should be, and at most twice
    as many are made as there were. That the sequence stops when the interval happens to be narrow makes it contain the
    mean slightly less often than 95 times in 100 (Law, Simulation Modeling and Analysis, section 9.4.1).

    Parameters
    ----------
    share : float
        The largest half-width of the 95 % interval, as a share of the mean, above 0.
    metric : str
        The column whose interval it is.
    max_replications : int
        The largest number of replications, at least 2.

    Raises
    ------
    ScenarioError
        If a number is not allowed.
    """

    share: float
    metric: str
    max_replications: int = 100

    def __post_init__(self) -> None:
        if not (isinstance(self.share, int | float) and 0 < self.share < math.inf):
            raise ScenarioError(
                f"precision = {self.share!r} must be a number above 0, such as 0.05 for 5 % of the mean"
            )
        if not isinstance(self.max_replications, int) or self.max_replications < 2:
            raise ScenarioError(f"max_replications = {self.max_replications!r} must be a whole number of at least 2")

    @property
    def least(self) -> int:
        """The smallest number of replications."""
        return min(LEAST, self.max_replications)

    def is_reached(self, values: Sequence[float]) -> bool:
        """Return whether the interval of the mean of some values is narrow enough."""
        return self._excess(values) <= 1

    def wanted(self, values: Sequence[float]) -> int:
        """Return how many replications there should be, after those that gave `values` (nan where it is unknown)."""
        made = len(values)
        if self.is_reached(values) or np.isnan(np.asarray(values, dtype=float)).all():
            return made
        estimate = made * min(self._excess(values) ** 2, GROWTH)
        return max(made, min(self.max_replications, max(made + 1, math.ceil(estimate))))

    def _excess(self, values: Sequence[float]) -> float:
        """Return the half-width over what is allowed; infinite if nothing is known."""
        known = np.asarray(values, dtype=float)
        known = known[~np.isnan(known)]
        half = half_width(known)
        if math.isnan(half):
            return math.inf
        return 0.0 if half == 0 else half / max(self.share * abs(float(known.mean())), 1e-300)
