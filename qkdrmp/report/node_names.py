"""Where to write the names of nodes on a map, so that they cover least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LETTER, LINE, NODE, THIN = 6.2, 13.0, 16.0, 5.0
"""Pixels: width of a letter, height of a line, size of a node, width of a link."""
AWAY = 12.0
SIDES = ((0, 1.4), (1, 0.3), (-1, 0.3), (0, -1.1), (0.7, 1.2), (-0.7, 1.2), (0.7, -0.9), (-0.7, -0.9))
"""Shifts of a name from its node, in `AWAY` pixels; to the right and down; the best first."""
Box = tuple[float, float, float, float]


def sides(
    places: Mapping[str, tuple[float, float]], links: Iterable[tuple[str, str]], height: float
) -> dict[str, dict[str, Any]]:
    """Return for each node by how many pixels its name is shifted, and how it is aligned.

    Parameters
    ----------
    places : mapping of str to tuple of float
        Where each node is, to the right and up, in any unit.
    links : iterable of tuple of str
        The ends of each link.
    height : float
        Of the map, pixels.
    """
    points = np.array(list(places.values()))
    scale = height / (np.ptp(points[:, 1]) or np.ptp(points[:, 0]) or 1.0)
    centres = {name: (scale * x, -scale * y) for name, (x, y) in places.items()}
    taken = [_box(x, y, NODE, NODE) for x, y in centres.values()]
    taken += [box for a, b in links for box in _along(np.array(centres[a]), np.array(centres[b]))]
    ends = np.array(list(centres.values()))
    edge: Box = (ends[:, 0].min() - NODE, ends[:, 0].max() + NODE, -np.inf, np.inf)
    found = {}
    for name, centre in centres.items():
        boxes = [_name_box(name, centre, side) for side in SIDES]
        costs = [
            sum(_overlap(box, other) for other in taken) + _outside(box, edge) + number
            for number, box in enumerate(boxes)
        ]
        best = int(np.argmin(costs))
        taken.append(boxes[best])
        right, down = SIDES[best]
        align = "left" if right > 0 else "right" if right < 0 else "center"
        found[name] = {"dx": AWAY * right, "dy": AWAY * down, "align": align}
    return found


def _along(start: NDArray[np.float64], end: NDArray[np.float64]) -> list[Box]:
    """Return small boxes along a link."""
    count = max(2, int(np.hypot(*(end - start)) / THIN))
    return [_box(x, y, THIN, THIN) for x, y in (start + share * (end - start) for share in np.linspace(0, 1, count))]


def _outside(box: Box, edge: Box) -> float:
    return LINE * (max(0.0, edge[0] - box[0]) + max(0.0, box[1] - edge[1]))


def _name_box(name: str, centre: tuple[float, float], side: tuple[float, float]) -> Box:
    width = LETTER * len(name)
    middle = centre[0] + AWAY * side[0] + np.sign(side[0]) * width / 2
    return _box(float(middle), centre[1] + AWAY * side[1] - LINE / 3, width, LINE)


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, x + width / 2, y - height / 2, y + height / 2


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[2], b[2]))
