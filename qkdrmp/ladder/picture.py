"""The picture of a ladder diagram: nodes side by side, time downwards, and texts where they cover least."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from qkdrmp.ladder.colours import BLACK, colours
from qkdrmp.ladder.time_axis import TimeAxis
from qkdrmp.plots.canvas import canvas
from qkdrmp.plots.times import brief

MOST_ARROWS = 200
ARROW_INCHES, COLUMN_INCHES = 0.65, 1.55
LEAST_INCHES, MOST_INCHES, NARROWEST_INCHES, WIDEST_INCHES = 1.8, 32.0, 5.5, 20.0
TEXT_POINTS, NOTE_WIDTH, LONGEST_DETAIL = 6.5, 20, 13
GREY = "0.45"


def over(node: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes that a note is about: a node, or several joined by a comma."""
    return [node] if node in nodes else node.split(",")


@dataclass(frozen=True)
class _Flight:
    """What one node sent to another at one time; one line of a picture."""

    source: int
    target: int
    sent: float
    end: float
    lost: bool
    kinds: tuple[str, ...]
    label: str


def _flights(nodes: Sequence[str], arrows: pd.DataFrame) -> list[_Flight]:
    column = {name: number for number, name in enumerate(nodes)}
    usual = (arrows["received_s"] - arrows["sent_s"]).median()
    flights = []
    key: Any
    for key, group in arrows.groupby(["source", "target", "sent_s", "received_s"], sort=False, dropna=False):
        source, target, sent, received = key
        lost = math.isnan(received)
        end = sent + (0.0 if math.isnan(usual) else usual) if lost else received
        label = _label(group)
        flights.append(
            _Flight(column[source], column[target], sent, end, lost, tuple(group["message"].unique()), label)
        )
    return flights


def _label(group: pd.DataFrame) -> str:
    details = [str(detail) if len(str(detail)) <= LONGEST_DETAIL else "" for detail in group["detail"]]
    texts = Counter(f"{kind} {detail}".strip() for kind, detail in zip(group["message"], details, strict=True))
    return " + ".join(text if count == 1 else f"{count} {text}" for text, count in texts.items())


class Picture:
    """A ladder in axes; places are columns across and inches down.

    Parameters
    ----------
    title, nodes, arrows, notes
        See `ladder.Ladder`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it, a figure as high as the messages need.
    """

    def __init__(
        self, title: str, nodes: Sequence[str], arrows: pd.DataFrame, notes: pd.DataFrame, ax: Axes | None = None
    ) -> None:
        arrows, self.notes, self.title = _shown(title, arrows, notes)
        self.nodes = nodes
        self.flights = _flights(nodes, arrows)
        self.colours = colours([kind for flight in self.flights for kind in flight.kinds])
        busy = [(flight.sent, flight.end) for flight in self.flights]
        busy += [(time, time) for time in self.notes["time_s"]] or [(0.0, 0.0)] * (not busy)
        crossed = Counter(gap for one in self.flights for gap in range(*sorted((one.source, one.target))))
        height = min(max(ARROW_INCHES * max(crossed.values(), default=0), LEAST_INCHES), MOST_INCHES)
        self.axis = TimeAxis.fit(busy, height)
        self.bottom = self.axis.inches[-1]
        width = self._across()
        with canvas(ax, width, self.bottom + 1.6) as self.ax:
            self._draw()

    def _draw(self) -> None:
        self._frame()
        for flight in self.flights:
            self._arrow(flight)
        self.ax.figure.canvas.draw()  # from here on it is known where everything is
        self.line = 1.25 * TEXT_POINTS * self.ax.figure.dpi / 72
        self.lines = np.concatenate([np.empty((0, 2)), *(self._along(flight) for flight in self.flights)])
        self.taken = np.empty((0, 2))
        key: Any
        for key, group in self.notes.groupby(["node", "time_s"], sort=False):
            self._note(over(key[0], self.nodes), key[1], "\n".join(group["text"]))
        for flight in sorted(self.flights, key=lambda flight: -len(flight.label)):  # the long ones have least choice
            self._name(flight)

    def _across(self) -> float:
        """Return the width of a figure, inches; set the margins, in columns, wide enough for what stands beside."""
        beside = {name for node in self.notes["node"] for name in over(node, self.nodes)}
        beside |= {self.nodes[flight.source] for flight in self.flights if flight.source == flight.target}
        margins = [1.3 if self.nodes[end] in beside else 0.4 for end in (0, -1)]
        gaps, frame = max(len(self.nodes) - 1, 1), sum(margins) + 2
        width = min(max(COLUMN_INCHES * gaps + frame, NARROWEST_INCHES), WIDEST_INCHES)
        self.margins = [margin * gaps / (width - frame) for margin in margins]
        return width

    def _frame(self) -> None:
        """Draw what stands around the messages."""
        ax, last = self.ax, len(self.nodes) - 1
        ax.set_xlim(-self.margins[0], last + self.margins[1])
        ax.set_ylim(self.bottom + 0.3, -0.25)
        rows = [-0.25, *self.axis.inches, self.bottom + 0.3]
        for number, (top, bottom) in enumerate(itertools.pairwise(rows)):
            cut = number % 2 == 0 and 0 < number < len(rows) - 2
            pattern: Any = (0, (1, 3)) if cut else "-"
            ax.vlines(range(len(self.nodes)), top, bottom, color="0.7", linewidth=0.9, linestyle=pattern, zorder=1)
        for start, end in self.axis.cuts:
            self._cut(self.axis.place(start), self.axis.place(end), end - start)
        crowded = last > 11 or max(map(len, self.nodes)) > 14
        ax.set_xticks(
            range(len(self.nodes)), self.nodes, rotation=35 if crowded else 0, ha="left" if crowded else "center"
        )
        ax.tick_params(axis="x", top=False, bottom=False, labeltop=True, labelbottom=self.bottom > 12 and not crowded)
        ticks = self.axis.ticks()
        ax.set_yticks([self.axis.place(time) for time, _ in ticks], [name for _, name in ticks], fontsize=7)
        ax.set_ylabel("time", fontsize=9)
        sns.despine(ax=ax, bottom=True)
        ax.set_title(self.title, loc="left", fontsize=9)
        self._legend()

    def _cut(self, top: float, bottom: float, length: float) -> None:
        middle, across = (top + bottom) / 2, self.ax.get_yaxis_transform()
        down = middle + np.array([-0.12, -0.08, -0.03, 0.03, 0.08, 0.12])
        zigzag = np.array([0, 0, 0.008, -0.008, 0, 0])
        self.ax.plot([0, 0], [top + 0.1, bottom - 0.1], color="white", lw=3, transform=across, clip_on=False, zorder=5)
        self.ax.plot(zigzag, down, color="0.2", lw=0.8, transform=across, clip_on=False, zorder=6)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        where = (len(self.nodes) - 1) / 2
        self.ax.text(where, middle, f"⋮ {brief(length)}", ha="center", va="center", fontsize=8, color=GREY, bbox=box)

    def _legend(self) -> None:
        handles = [Line2D([], [], color=colour, label=kind) for kind, colour in self.colours.items()]
        if any(flight.lost for flight in self.flights):
            handles.append(Line2D([], [], color=BLACK, linestyle="", marker="x", label="lost"))
        if handles:
            place = (1.0, 1.0)
            self.ax.legend(handles=handles, loc="upper left", bbox_to_anchor=place, frameon=False, fontsize=7)

    def _ends(self, flight: _Flight) -> NDArray[np.float64]:
        """Return where an arrow starts and ends; one to the node itself leaves and comes back a little later."""
        start = (flight.source, self.axis.place(flight.sent))
        end = (flight.target, self.axis.place(flight.end))
        if flight.source == flight.target:
            return np.array([(start[0] + 0.22, start[1]), end if end[1] > start[1] + 0.1 else (end[0], start[1] + 0.1)])
        share = 0.5 if flight.lost else 1.0
        return np.array([start, (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))])

    def _arrow(self, flight: _Flight) -> None:
        start, end = self._ends(flight)
        if flight.source == flight.target:
            self.ax.plot([flight.source, start[0]], [start[1], start[1]], color=self.colours[flight.kinds[0]], lw=1.1)
        for number, kind in enumerate(flight.kinds):
            colour = self.colours[kind]
            style: dict[str, Any] = {"color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
            style |= {"linestyle": (4 * number, (4, 4 * len(flight.kinds) - 4)) if len(flight.kinds) > 1 else "-"}
            style |= {"arrowstyle": "-" if flight.lost else "-|>", "mutation_scale": 8}
            self.ax.annotate("", tuple(end), tuple(start), arrowprops=style, zorder=3)
        if flight.lost:
            self.ax.plot(*end, marker="x", color=BLACK, markersize=6, markeredgewidth=1.4, zorder=6)

    def _along(self, flight: _Flight) -> NDArray[np.float64]:
        start, end = self.ax.transData.transform(self._ends(flight))
        return np.asarray(start + np.linspace(0, 1, 16)[:, None] * (end - start))

    def _freest(self, candidates: Sequence[NDArray[np.float64]]) -> int:
        """Return which of some places for a text, the best first, covers least, and take it."""

        def cost(number: int) -> float:
            texts, lines = (_near(candidates[number], others, self.line) for others in (self.taken, self.lines))
            return texts + 0.2 * lines + 0.1 * number

        best = min(range(len(candidates)), key=cost)
        self.taken = np.concatenate([self.taken, candidates[best]])
        return best

    def _write(self, centre: NDArray[np.float64], text: str, **style: Any) -> None:
        x, y = self.ax.transData.inverted().transform(centre)
        written = self.ax.text(
            x, y, text, ha="center", va="center", fontsize=TEXT_POINTS, zorder=7, parse_math=False, **style
        )
        written.set_in_layout(False)
        if "bbox" not in style:
            written.set_path_effects([withStroke(linewidth=2, foreground="white")])

    def _name(self, flight: _Flight) -> None:
        start, end = self.ax.transData.transform(self._ends(flight))
        if flight.source == flight.target:
            end = start + np.array([0.6 * self.line * len(flight.label), 0])  # the name stands to the right
        forward = (end - start) / (np.hypot(*(end - start)) or 1.0) * (1 if end[0] >= start[0] else -1)
        upward = np.array([-forward[1], forward[0]])
        spread = _spread(flight.label, self.line)[:, None] * forward
        free = max(0.0, 0.5 - 0.5 * np.ptp(spread @ forward) / (np.hypot(*(end - start)) or 1.0))  # to either side
        sides = itertools.product(0.5 + free * np.array([0, -0.25, 0.25, -0.5, 0.5, -0.75, 0.75, -1, 1]), (0.62, -0.62))
        centres = [start + share * (end - start) + side * self.line * upward for share, side in sides]
        centre = centres[self._freest([middle + spread for middle in centres])]
        angle = math.degrees(math.atan2(forward[1], forward[0]))
        self._write(centre, flight.label, color="0.15", rotation=angle, rotation_mode="anchor")

    def _note(self, over: Sequence[str], time: float, text: str) -> None:
        columns = [self.nodes.index(name) for name in over]
        text = "\n".join(textwrap.fill(line, NOTE_WIDTH) for line in text.splitlines())
        rows = text.splitlines()
        spread = _spread(max(rows, key=len), self.line)
        points = np.array([(across, row * self.line) for row in range(len(rows)) for across in spread])
        points[:, 1] -= points[:, 1].mean()
        place = self.axis.place(time)
        at = self.ax.transData.transform((float(np.mean(columns)), place))
        aside = np.ptp(spread) / 2 + 1.2 * self.line
        sides = (0.0,) if len(columns) > 1 else (-aside, aside) if columns[0] == 0 else (aside, -aside)
        shifts = [(side, down * self.line * 0.8) for down in (0, 1, -1, 2, -2, 3) for side in sides]
        best = self._freest([points + at + np.array(shift) for shift in shifts])
        self.ax.plot(columns, [place] * len(columns), "o-", color=GREY, markersize=3, linewidth=0.6, zorder=4)
        box = {"boxstyle": "round,pad=0.25", "facecolor": "0.93", "edgecolor": "0.6", "linewidth": 0.5}
        self._write(at + np.array(shifts[best]), text, color="0.2", bbox=box)


def _shown(title: str, arrows: pd.DataFrame, notes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the arrows and notes to draw, and the title, which says if some are left out."""
    half = MOST_ARROWS // 2
    if len(arrows) <= MOST_ARROWS:
        return arrows, notes, title
    head, tail = arrows.iloc[:half], arrows.iloc[-half:]
    near = (notes["time_s"] <= head["sent_s"].max()) | (notes["time_s"] >= tail["sent_s"].min())
    left_out = f"{title}\nthe first {half} and the last {half} of {len(arrows):,} messages"
    return pd.concat([head, tail]), notes[near], left_out


def _near(points: NDArray[np.float64], others: NDArray[np.float64], distance: float) -> int:
    return int((np.abs(points[:, None] - others[None]).max(axis=2) < distance).sum())


def _spread(text: str, line: float) -> NDArray[np.float64]:
    """Return points from left to right along a text."""
    half = 0.27 * line * len(text)
    return np.linspace(-half, half, max(2, len(text) // 2))
