"""The noun `Quality`: a metric by which designs are judged, and how much of it is worth a better design."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """A metric by which the cells of a sweep are judged.

    Parameters
    ----------
    metric : str
        Its column says whether more or less of it is better.
    worthwhile : float
        The smallest improvement that is worth anything.
    is_relative : bool
        Whether that is a share of the value that is improved on; otherwise it is a difference.
    """

    metric: str
    worthwhile: float = 0.02
    is_relative: bool = True

    def least(self, base: float) -> float:
        """Return the smallest improvement on a value that is worth anything."""
        return self.worthwhile * abs(base) if self.is_relative else self.worthwhile
