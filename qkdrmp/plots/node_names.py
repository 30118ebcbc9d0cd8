"""Where the names of nodes stand on a map: beside each node, on the side where they cover least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qkdrmp.plots.label_placement import Boxes, LabelPlacer, box, boxes_along

SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Sides of a node, to the right and up; the best first."""
DIAGONAL = 0.7
"""How far a name at a corner is from its node, as a share of the distance at a side."""


@dataclass(frozen=True)
class MapScale:
    """Sizes on a map, all in one unit such as pixels.

    Parameters
    ----------
    letter, line : float
        Mean width of a letter, and height of a line of text.
    node, link : float
        Diameter of a node, and width of a link.
    gap : float
        Between a node and its name.
    """

    letter: float
    line: float
    node: float
    link: float
    gap: float


class NamePlace(NamedTuple):
    """How far a name is from its node, to the right and up, and which end of it stands there, halfway up."""

    right: float
    up: float
    align: str


def place_names(
    centres: Mapping[str, tuple[float, float]],
    links: Iterable[tuple[str, str]],
    scale: MapScale,
    bounds: tuple[float, float, float, float],
) -> dict[str, NamePlace]:
    """Return the place of each name.

    Parameters
    ----------
    centres : mapping of str to tuple of float
        Where each node is, to the right and up, in the unit of `scale`.
    links : iterable of tuple of str
        The ends of each link.
    bounds : tuple of float
        Left, right, bottom and top of the map.
    """
    nodes = [box(centre, scale.node, scale.node) for centre in centres.values()]
    lines = [boxes_along(centres[a], centres[b], scale.link) for a, b in links]
    placer = LabelPlacer(np.concatenate([*nodes, *lines]), step=1.0, bounds=bounds)
    places = [_beside(side, scale) for side in SIDES]
    return {
        name: places[placer.place([_name_box(len(name), centre, place, scale) for place in places])]
        for name, centre in centres.items()
    }


def _beside(side: tuple[int, int], scale: MapScale) -> NamePlace:
    right, up = side
    share = DIAGONAL if right and up else 1.0
    away = share * (scale.node / 2 + scale.gap)
    align = "left" if right > 0 else "right" if right < 0 else "center"
    return NamePlace(right * away, up * (away + scale.line / 2), align)


def _name_box(letters: int, centre: tuple[float, float], place: NamePlace, scale: MapScale) -> Boxes:
    width = letters * scale.letter
    shift = {"left": width / 2, "center": 0.0, "right": -width / 2}[place.align]
    return box((centre[0] + place.right + shift, centre[1] + place.up), width, scale.line)
