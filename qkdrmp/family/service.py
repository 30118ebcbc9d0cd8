"""Service: which pairs of users ask for something, by which routes, and how loaded links are with that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Pair: TypeAlias = tuple[str, str]
"""Two users, or the two ends of a link."""


@dataclass(frozen=True)
class Service:
    """What a network does for its users, as far as it is known without a run.

    Parameters
    ----------
    routes : mapping of (str, str) to tuple of str
        Of each ordered pair of users that asks for something and has a route, the nodes from one to the other.
    loads : mapping of (str, str) to float
        The offered load of each link that is used: what is asked for over what it can make. Empty if not known.
    """

    routes: Mapping[Pair, tuple[str, ...]]
    loads: Mapping[Pair, float]
