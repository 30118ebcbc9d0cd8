"""A network as a file describes it, before what is missing is completed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Draft:
    """A network as a file describes it: nodes and links with the fields of our own format, as far as they are there.

    Parameters
    ----------
    name, source : str
    nodes, links : list of dict
        Fields may be missing, and values may be wrong: who makes a topology of a draft checks them.
    notes : list of str
        What was left out or completed so far, a sentence each.
    planar_km : bool
        Whether `x` and `y` are kilometres.
    """

    name: str
    source: str
    nodes: list[dict[str, Any]]
    links: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    planar_km: bool = False
