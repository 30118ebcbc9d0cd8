"""The placing of labels: one after the other, each where it covers least of what is drawn and of other labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float64]
"""Rectangles, a row each: left, right, bottom and top, in pixels; ``bottom`` is the smaller of the last two."""


def box(centre: ArrayLike, width: float, height: float) -> Boxes:
    """Return one rectangle around a point."""
    x, y = np.asarray(centre, dtype=float)
    return np.array([[x - width / 2, x + width / 2, y - height / 2, y + height / 2]])


def boxes_along(start: ArrayLike, end: ArrayLike, size: float) -> Boxes:
    """Return squares of `size` side by side from `start` to `end`: a line, or a text that is not level."""
    first, last = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    count = 1 + int(np.ceil(np.hypot(*(last - first)) / size))
    centres = first + np.linspace(0, 1, count)[:, None] * (last - first)
    return np.repeat(centres, 2, axis=1) + np.array([-size, size, -size, size]) / 2


def overlap(boxes: Boxes, others: Boxes) -> float:
    """Return the sum of the areas that each of some boxes shares with each of some others."""
    mine, theirs = boxes[:, None], others[None]
    sides = np.minimum(mine[..., 1::2], theirs[..., 1::2]) - np.maximum(mine[..., ::2], theirs[..., ::2])
    return float(np.prod(np.maximum(sides, 0), axis=2).sum())


class LabelPlacer:
    """Chooses the place of each label in turn: the one with the least area covered.

    Parameters
    ----------
    drawn : Boxes
        What is drawn already, such as lines.
    drawn_cost : float
        How bad it is to cover what is drawn, beside the same area of another label.
    step : float
        The area, square pixels, that each place may cover more than the next in order before that is preferred.
    bounds : tuple of float
        Left, right, bottom and top of what is visible, in pixels; it is as bad to leave it as to cover a label.
    """

    def __init__(
        self,
        drawn: Boxes,
        *,
        drawn_cost: float = 1.0,
        step: float = 0.0,
        bounds: tuple[float, float, float, float] = (-np.inf, np.inf, -np.inf, np.inf),
    ) -> None:
        self._drawn, self._drawn_cost, self._step = drawn, drawn_cost, step
        self._bounds = np.array([bounds])
        self._labels: Boxes = np.empty((0, 4))

    def place(self, candidates: Sequence[Boxes]) -> int:
        """Return the index of the best of some places for a label, and keep it free from now on.

        Parameters
        ----------
        candidates : sequence of Boxes
            What the label would cover in each place; of places that are equally good, the first is taken.
        """
        around = np.concatenate(candidates)
        drawn, labels = _near(self._drawn, around), _near(self._labels, around)

        def cost(number: int) -> float:
            boxes = candidates[number]
            outside = _area(boxes) - overlap(boxes, self._bounds)
            return overlap(boxes, labels) + self._drawn_cost * overlap(boxes, drawn) + outside + self._step * number

        best = min(range(len(candidates)), key=cost)
        self._labels = np.concatenate([self._labels, candidates[best]])
        return best


def _area(boxes: Boxes) -> float:
    return float(((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).sum())


def _near(boxes: Boxes, around: Boxes) -> Boxes:
    """Return the boxes that can overlap with any of some others."""
    left, bottom = around[:, ::2].min(axis=0)
    right, top = around[:, 1::2].max(axis=0)
    inside = (boxes[:, 0] < right) & (boxes[:, 1] > left) & (boxes[:, 2] < top) & (boxes[:, 3] > bottom)
    near: Boxes = boxes[inside]
    return near
