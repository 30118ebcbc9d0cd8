"""Purification in a plan: by which protocol, and in how many rounds on links and after swaps."""

from __future__ import annotations

from typing import Literal, NamedTuple

PurificationProtocol = Literal["bbpssw", "dejmps"]
PROTOCOLS: tuple[PurificationProtocol, ...] = ("bbpssw", "dejmps")
Purifying = Literal["bbpssw", "dejmps", "any"]
"""What a Responder may plan with."""


class Purification(NamedTuple):
    """How pairs are purified: by which protocol, in how many rounds on each link, and after each swap.

    Parameters
    ----------
    links : tuple of int
        Rounds of each link, from left to right.
    heights : tuple of int
        Rounds after the swaps of each height in the tree, from the lowest; none where it ends.
    protocol : {"bbpssw", "dejmps"}
    """

    links: tuple[int, ...]
    heights: tuple[int, ...] = ()
    protocol: PurificationProtocol = "bbpssw"

    def after(self, height: int) -> int:
        """Return the rounds after swaps of a height (from 1)."""
        return self.heights[height - 1] if height <= len(self.heights) else 0

    @property
    def most(self) -> int:
        """How many halves may wait for their mates at a node, at most."""
        return max(self.links) + sum(self.heights)
