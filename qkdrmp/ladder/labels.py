"""Where the labels of a ladder stand: along their arrows, above or below, where they cover least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qkdrmp.ladder.layout import Arrow, LadderLayout, shortened
from qkdrmp.plots.label_placement import LabelPlacer, boxes_along

SHIFTS = sorted(np.linspace(-1, 1, 17), key=abs)
"""Places along an arrow, as shares of the free way to either end; the best first."""
ASIDE = 0.62
"""Distance of the middle of a label from its arrow, in lines of text."""
ARROW_COST = 0.15
"""How bad it is to cover an arrow, beside the same area of a label."""
ARROW_WIDTH, STEP = 0.25, 0.01  # in lines of text, and squares of them
FEWEST_LETTERS, MOST_LETTERS = 28, 90


@dataclass(frozen=True)
class DrawnScale:
    """Sizes of a ladder that is drawn, in pixels.

    Parameters
    ----------
    column, inch : float
        What a column and an inch of the layout are.
    letter, line : float
        Mean width of a letter, and height of a line of text.
    """

    column: float
    inch: float
    letter: float
    line: float

    def pixels(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places of a layout in pixels, to the right and down."""
        return places * (self.column, self.inch)


@dataclass(frozen=True)
class Label:
    """A label that has its place.

    Parameters
    ----------
    arrow : Arrow
        What it is about.
    text : str
    x, y : float
        Its middle, in pixels to the right of the first node and down from the first moment.
    angle : float
        Degrees by which it falls to the right.
    """

    arrow: Arrow
    text: str
    x: float
    y: float
    angle: float


def arrow_placer(layout: LadderLayout, scale: DrawnScale) -> LabelPlacer:
    """Return what places labels among the arrows of a ladder."""
    lines = [
        [*start, *end] for arrow in layout.arrows for start, end in itertools.pairwise(scale.pixels(layout.path(arrow)))
    ]
    width, step = ARROW_WIDTH * scale.line, STEP * scale.line**2
    return LabelPlacer(lines=np.reshape(lines, (-1, 4)), line_width=width, drawn_cost=ARROW_COST, step=step)


def place_labels(layout: LadderLayout, scale: DrawnScale, placer: LabelPlacer, *, cut: bool = False) -> Iterator[Label]:
    """Yield the labels of all arrows, the longest first, because it has the least choice.

    Parameters
    ----------
    cut : bool
        Whether labels that are longer than their arrow, and than a few words, end with dots; else only those do that
        are longer than `MOST_LETTERS`.
    """
    for arrow in sorted(layout.arrows, key=lambda arrow: -len(arrow.label)):
        start, end = _written_along(layout, scale, arrow)
        length = float(np.hypot(*(end - start))) or 1.0
        text = shortened(arrow.label, max(FEWEST_LETTERS, int(length / scale.letter)) if cut else MOST_LETTERS)
        forward = (end - start) / length * (1 if end[0] >= start[0] else -1)
        upward = np.array([forward[1], -forward[0]])
        half = 0.5 * scale.letter * len(text)
        centres = _centres(start, end, max(0.0, 0.5 - half / length), ASIDE * scale.line * upward)
        reach = max(0.0, half - 0.5 * scale.line) * forward
        best = placer.place([boxes_along(centre - reach, centre + reach, scale.line) for centre in centres])
        x, y = centres[best]
        yield Label(arrow, text, float(x), float(y), math.degrees(math.atan2(forward[1], forward[0])))


def _written_along(layout: LadderLayout, scale: DrawnScale, arrow: Arrow) -> NDArray[np.float64]:
    """Return the two ends of what a label is written along: its arrow, or a line to the right of a loop."""
    start, end = scale.pixels(layout.path(arrow))[-2:]
    if arrow.source == arrow.target:
        end = start + np.array([1.1 * scale.letter * len(arrow.label), 0])
    return np.array([start, end])


def _centres(
    start: NDArray[np.float64], end: NDArray[np.float64], free: float, aside: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return the places for the middle of a label that has a free share of its arrow to either side."""
    shares = [0.5 + free * shift for shift in SHIFTS]
    return [start + share * (end - start) + side * aside for share in shares for side in (1, -1)]
