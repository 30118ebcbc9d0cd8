"""Plan requests: what the RuleSets of a connection are planned for."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from qkdrmp.entanglement.quantum.bell_diagonal import Basis
from qkdrmp.entanglement.rulesets.link_budget import Physics, QCap, quality
from qkdrmp.entanglement.rulesets.purification import Purifying
from qkdrmp.entanglement.rulesets.swap_tree import Span, SwapOrder, midpoint

NOISE = 0.25
"""Fidelity of two halves that have nothing to do with each other: who asks for no more asks for none."""


@dataclass(frozen=True)
class PlanRequest:
    """What is asked of a connection, and of what it can be made.

    Parameters
    ----------
    connection : str
    attempt : int
    qcaps : tuple of QCap
        Of all nodes from Initiator to Responder.
    need : int or None
        Pairs to deliver; None is endless.
    minimum_fidelity, minimum_rate : float
    swap_order : callable
    physics : Physics
        What swaps and purification do; by default gates are perfect.
    outer : str, optional
        The connection to hand the pairs over to, instead of delivering them.
    basis : {"X", "Y", "Z"}, optional
        In which the ends measure what they deliver.
    purification : {"bbpssw", "dejmps", "any"}
        The protocol, on links alone; or whichever of them gives the highest rate, also after swaps.
    restart : bool
        Whether the spans of each swap begin again after it.
    """

    connection: str
    attempt: int
    qcaps: tuple[QCap, ...]
    need: int | None
    minimum_fidelity: float
    minimum_rate: float = 0.0
    swap_order: SwapOrder = midpoint
    physics: Physics = field(default_factory=Physics)
    outer: str | None = None
    basis: Basis | None = None
    purification: Purifying = "bbpssw"
    restart: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest fidelity and rate that are enough."""
        return self.minimum_fidelity, self.minimum_rate

    @property
    def is_bound(self) -> bool:
        """Whether a fidelity or a rate is asked for."""
        return self.minimum_fidelity > NOISE or self.minimum_rate > 0

    @property
    def quality(self) -> float:
        """Werner parameter of what swaps and waits leave of a perfect pair."""
        return quality(self.qcaps, self.physics)

    def tree(self) -> Span:
        """Return the swap tree of the path.

        Raises
        ------
        ValueError
            If it is not over the links of the path.
        """
        path = [qcap.node for qcap in self.qcaps]
        tree = self.swap_order(path)
        if tree.links != tuple(pairwise(path)):
            raise ValueError(f"swap_order must return a tree over the links of the path {path}, not over {tree.links}")
        return tree
