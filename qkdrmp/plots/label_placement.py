"""The placing of labels: one after the other, each where it covers least of what is drawn and of other labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float64]
"""Rectangles, a row each: left, right, bottom and top, in pixels; ``bottom`` is the smaller of the last two."""

Lines = NDArray[np.float64]
"""Straight lines, a row each: x and y of the start, x and y of the end."""

NO_BOXES: Boxes = np.empty((0, 4))
NO_LINES: Lines = np.empty((0, 4))
FITS = 1e-6
"""A label that covers no more than such an area fits."""


def box(centre: ArrayLike, width: float, height: float) -> Boxes:
    """Return one rectangle around a point."""
    x, y = np.asarray(centre, dtype=float)
    return np.array([[x - width / 2, x + width / 2, y - height / 2, y + height / 2]])


def boxes_along(start: ArrayLike, end: ArrayLike, size: float) -> Boxes:
    """Return squares of `size` side by side from `start` to `end`: a text that is not level."""
    first, last = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    count = 1 + int(np.ceil(np.hypot(*(last - first)) / size))
    centres = first + np.linspace(0, 1, count)[:, None] * (last - first)
    return np.repeat(centres, 2, axis=1) + np.array([-size, size, -size, size]) / 2


def overlap(boxes: Boxes, others: Boxes) -> float:
    """Return the sum of the areas that each of some boxes shares with each of some others."""
    mine, theirs = boxes[:, None], others[None]
    sides = np.minimum(mine[..., 1::2], theirs[..., 1::2]) - np.maximum(mine[..., ::2], theirs[..., ::2])
    return float(np.prod(np.maximum(sides, 0), axis=2).sum())


def length_within(boxes: Boxes, lines: Lines) -> float:
    """Return how much of some lines is within some boxes: the sum of the lengths of each line in each box."""
    start, way = lines[None, :, :2], (lines[:, 2:] - lines[:, :2])[None]
    low, high = boxes[:, None, ::2], boxes[:, None, 1::2]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        enters, leaves = (low - start) / way, (high - start) / way
    level = np.broadcast_to(way == 0, enters.shape)  # along an axis, a line is within the box all the time, or never
    inside = (low <= start) & (start <= high)
    enters, leaves = (
        np.where(level, np.where(inside, side, np.nan), at) for side, at in ((-np.inf, enters), (np.inf, leaves))
    )
    first = np.maximum(np.minimum(enters, leaves).max(axis=2), 0)
    last = np.minimum(np.maximum(enters, leaves).min(axis=2), 1)
    shares = np.nan_to_num(np.maximum(last - first, 0))
    return float((shares * np.hypot(way[..., 0], way[..., 1])).sum())


class LabelPlacer:
    """Chooses the place of each label in turn: the one with the least area covered.

    Parameters
    ----------
    drawn : Boxes
        What is drawn already.
    drawn_cost : float
        How bad it is to cover what is drawn, beside the same area of another label.
    lines : Lines
        Lines that are drawn already; covering them is as bad as `drawn_cost` says.
    line_width : float
        Their width.
    step : float
        The area, square pixels, that each place may cover more than the next in order before that is preferred.
    bounds : tuple of float
        Left, right, bottom and top of what is visible, in pixels; it is as bad to leave it as to cover a label.
    """

    def __init__(
        self,
        drawn: Boxes = NO_BOXES,
        *,
        drawn_cost: float = 1.0,
        lines: Lines = NO_LINES,
        line_width: float = 1.0,
        step: float = 0.0,
        bounds: tuple[float, float, float, float] = (-np.inf, np.inf, -np.inf, np.inf),
    ) -> None:
        self._drawn, self._drawn_cost, self._step = drawn, drawn_cost, step
        self._lines, self._line_width = lines, line_width
        self._line_boxes: Boxes = np.sort(lines.reshape(-1, 2, 2), axis=1).transpose(0, 2, 1).reshape(-1, 4)
        self._bounds = np.array([bounds])
        self._labels: list[Boxes] = []
        self._frames = np.empty((64, 4))

    def place(self, candidates: Sequence[Boxes]) -> int:
        """Return the index of the best of some places for a label, and keep it free from now on.

        Parameters
        ----------
        candidates : sequence of Boxes
            What the label would cover in each place; of places that are equally good, the first is taken.
        """
        covered, crossed = self._costs(candidates)
        least = [cost + self._step * number for number, cost in enumerate(covered)]  # if it crosses nothing
        found: list[tuple[float, int]] = []
        for number in sorted(range(len(candidates)), key=least.__getitem__):
            if found and least[number] > found[0][0]:
                break
            found = [min([*found, (covered[number] + crossed(number), number)])]
        ((_, best),) = found
        self._keep(candidates[best])
        return best

    def fit(self, candidates: Sequence[Boxes]) -> int | None:
        """Return the index of the best of some places for a label that may cover lines only, or None; keep it free."""
        covered, crossed = self._costs(candidates)
        free = [number for number, area in enumerate(covered) if area <= FITS]
        if not free:
            return None
        best = min(free, key=crossed)
        self._keep(candidates[best])
        return best

    def _costs(self, candidates: Sequence[Boxes]) -> tuple[list[float], Callable[[int], float]]:
        """Return the cost of covering boxes, labels and the outside in each place, and what gives the rest of it."""
        around = _frame(np.concatenate(candidates))
        drawn, labels = self._drawn[_touches(self._drawn, around)], self._labels_near(around)
        lines = np.flatnonzero(_touches(self._line_boxes, around))

        def covered(boxes: Boxes) -> float:
            outside = _area(boxes) - overlap(boxes, self._bounds)
            return overlap(boxes, labels) + outside + self._drawn_cost * overlap(boxes, drawn)

        def crossed(number: int) -> float:
            boxes = candidates[number]
            near = lines[_touches(self._line_boxes[lines], _frame(boxes))]
            length = length_within(boxes, self._lines[near])
            return self._drawn_cost * self._line_width * length + self._step * number

        return [covered(boxes) for boxes in candidates], crossed

    def _keep(self, boxes: Boxes) -> None:
        if len(self._labels) == len(self._frames):
            self._frames = np.concatenate([self._frames, np.empty_like(self._frames)])
        self._frames[len(self._labels)] = _frame(boxes)
        self._labels.append(boxes)

    def _labels_near(self, around: NDArray[np.float64]) -> Boxes:
        near = np.flatnonzero(_touches(self._frames[: len(self._labels)], around))
        return np.concatenate([NO_BOXES, *(self._labels[number] for number in near)])


def _area(boxes: Boxes) -> float:
    return float(((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).sum())


def _frame(boxes: Boxes) -> NDArray[np.float64]:
    """Return the one box around some boxes."""
    left, bottom = boxes[:, ::2].min(axis=0)
    right, top = boxes[:, 1::2].max(axis=0)
    return np.array([left, right, bottom, top])


def _touches(boxes: Boxes, around: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which boxes can overlap with anything in a box."""
    left, right, bottom, top = around
    inside: NDArray[np.bool_] = (
        (boxes[:, 0] <= right) & (boxes[:, 1] >= left) & (boxes[:, 2] <= top) & (boxes[:, 3] >= bottom)
    )
    return inside
