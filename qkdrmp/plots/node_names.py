"""Where the names of nodes stand on a map: beside each node, where they cover no node and no other name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qkdrmp.plots.label_placement import Boxes, LabelPlacer, box

SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Sides of a node, to the right and up; the best first."""
DIAGONAL = 0.7
"""How far a name at a corner is from its node, as a share of the distance at a side."""
FAR = (1.3, 2.8)
"""How much farther names may be that a thin line leads to, in lines of text."""
MANY, SMALLEST = 45, 0.3
"""Nodes are smaller on a map of more than so many, but not by more than such a factor."""
LINE_COST = 0.5
"""How bad it is to cover a link, beside the same area of anything else."""


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
        Between a node and its name, and to either side of a name.
    far : bool
        Whether names may stand farther away, where a thin line leads to them.
    """

    letter: float
    line: float
    node: float
    link: float
    gap: float
    far: bool = False


class NamePlace(NamedTuple):
    """How far a name is from its node, to the right and up, and which end of it stands there, halfway up."""

    right: float
    up: float
    align: str
    far: bool = False


def node_factor(count: int) -> float:
    """Return how large nodes are on a map of so many of them, beside those on a map of few."""
    return max(min(1.0, math.sqrt(MANY / count)), SMALLEST)


def place_names(
    centres: Mapping[str, tuple[float, float]],
    links: Iterable[tuple[str, str]],
    scale: MapScale,
    bounds: tuple[float, float, float, float],
    width: Callable[[str], float] | None = None,
) -> dict[str, NamePlace]:
    """Return the place of each name that fits: it covers no node and no other name, and stays within the bounds.

    Nodes with more links are named first, so that it is theirs that fit.

    Parameters
    ----------
    centres : mapping of str to tuple of float
        Where each node is, to the right and up, in the unit of `scale`.
    links : iterable of tuple of str
        The ends of each link.
    bounds : tuple of float
        Left, right, bottom and top of the map.
    width : callable, optional
        Returns the width of a name; by default its letters are of the mean width.
    """
    ends = list(links)
    nodes = [box(centre, scale.node, scale.node) for centre in centres.values()]
    lines = np.array([[*centres[a], *centres[b]] for a, b in ends]).reshape(-1, 4)
    placer = LabelPlacer(np.concatenate(nodes), lines=lines, line_width=LINE_COST * scale.link, step=1.0, bounds=bounds)
    places = [_beside(side, scale, far) for far in (0.0, *(FAR if scale.far else ())) for side in SIDES]
    degree = Counter(end for pair in ends for end in pair)
    found = {}
    for name in sorted(centres, key=lambda name: -degree[name]):
        size = width(name) if width else len(name) * scale.letter
        candidates = [_name_box(size, centres[name], place, scale) for place in places]
        best = placer.fit(candidates)
        if best is not None:
            found[name] = places[best]
    return {name: found[name] for name in centres if name in found}


def spread(centres: Mapping[str, tuple[float, float]], distance: float) -> dict[str, tuple[float, float]]:
    """Return where to draw nodes so that those in one place can be seen: the first there, the others around it."""
    together: dict[tuple[float, float], list[str]] = {}
    for name, (x, y) in centres.items():
        together.setdefault((round(x, 2), round(y, 2)), []).append(name)
    moved = dict(centres)
    for names in together.values():
        x, y = centres[names[0]]
        for number, name in enumerate(names[1:]):
            angle = -math.pi / 4 + 2 * math.pi * number / max(len(names) - 1, 1)
            moved[name] = (x + distance * math.cos(angle), y + distance * math.sin(angle))
    return moved


def _beside(side: tuple[int, int], scale: MapScale, far: float) -> NamePlace:
    right, up = side
    share = DIAGONAL if right and up else 1.0
    away = share * (scale.node / 2 + scale.gap + far * scale.line)
    align = "left" if right > 0 else "right" if right < 0 else "center"
    above = max(away, scale.node / 2)  # clear of the node, also at a corner
    return NamePlace(right * away, up * (above + scale.line / 2), align, far > 0)


def _name_box(width: float, centre: tuple[float, float], place: NamePlace, scale: MapScale) -> Boxes:
    shift = {"left": width / 2, "center": 0.0, "right": -width / 2}[place.align]
    return box((centre[0] + place.right + shift, centre[1] + place.up), width + 2 * scale.gap, scale.line)
