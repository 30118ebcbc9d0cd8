"""The picture of a ladder diagram: nodes side by side, time downwards, and texts where they cover least."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from qkdrmp.ladder.colours import BLACK
from qkdrmp.ladder.labels import DrawnScale, arrow_placer, place_labels
from qkdrmp.ladder.layout import Arrow, LadderLayout, Note
from qkdrmp.plots.canvas import canvas
from qkdrmp.plots.label_placement import LabelPlacer, box
from qkdrmp.plots.times import brief

COLUMN_INCHES, NARROWEST_INCHES, WIDEST_INCHES = 1.55, 5.5, 20.0
ABOVE_INCHES, BELOW_INCHES, FRAME_INCHES = 0.25, 0.3, 1.6
TEXT_POINTS, LINE_POINTS, LETTER_POINTS = 6.5, 8.125, 4.4
NOTE_LETTERS = 20
GREY = "0.45"


class Picture:
    """A ladder in axes; places are columns across and inches down.

    Parameters
    ----------
    layout : LadderLayout
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it, a figure as high as the messages need.
    """

    def __init__(self, layout: LadderLayout, ax: Axes | None = None) -> None:
        self.layout = layout
        width = self._across()
        with canvas(ax, width, layout.height + FRAME_INCHES) as self.ax:
            self._frame()
            for arrow in layout.arrows:
                self._arrow(arrow)
            self._texts()

    def _across(self) -> float:
        """Return the width of a figure, inches; set the margins, in columns, wide enough for what stands beside."""
        last = len(self.layout.nodes) - 1
        beside = {column for note in self.layout.notes for column in note.columns}
        beside |= {arrow.source for arrow in self.layout.arrows if arrow.source == arrow.target}
        margins = [1.3 if end in beside else 0.4 for end in (0, last)]
        gaps, frame = max(last, 1), sum(margins) + 2
        width = min(max(COLUMN_INCHES * gaps + frame, NARROWEST_INCHES), WIDEST_INCHES)
        self.margins = [margin * gaps / (width - frame) for margin in margins]
        return width

    def _frame(self) -> None:
        """Draw what stands around the messages."""
        ax, axis, last = self.ax, self.layout.axis, len(self.layout.nodes) - 1
        bottom = self.layout.height + BELOW_INCHES
        ax.set_xlim(-self.margins[0], last + self.margins[1])
        ax.set_ylim(bottom, -ABOVE_INCHES)
        self._lifelines([-ABOVE_INCHES, *axis.inches, bottom])
        for start, end in axis.cuts:
            self._cut(axis.place(start), axis.place(end), end - start)
        self._name_nodes()
        ticks = axis.ticks()
        ax.set_yticks([axis.place(time) for time, _ in ticks], [name for _, name in ticks], fontsize=7)
        ax.set_ylabel("time", fontsize=9)
        sns.despine(ax=ax, bottom=True)
        title = "\n".join(filter(None, [self.layout.title, self.layout.omission]))
        ax.set_title(title, loc="left", fontsize=9)
        self._legend()

    def _lifelines(self, rows: list[float]) -> None:
        """Draw the line of each node, dotted where time is cut."""
        for number, (top, bottom) in enumerate(itertools.pairwise(rows)):
            cut = number % 2 == 0 and 0 < number < len(rows) - 2
            pattern: Any = (0, (1, 3)) if cut else "-"
            nodes = range(len(self.layout.nodes))
            self.ax.vlines(nodes, top, bottom, color="0.7", linewidth=0.9, linestyle=pattern, zorder=1)

    def _name_nodes(self) -> None:
        nodes = self.layout.nodes
        crowded = len(nodes) > 12 or max(map(len, nodes)) > 14
        turned: dict[str, Any] = {"rotation": 35, "ha": "left"} if crowded else {"rotation": 0, "ha": "center"}
        self.ax.set_xticks(range(len(nodes)), nodes, **turned)
        again = self.layout.height > 12 and not crowded
        self.ax.tick_params(axis="x", top=False, bottom=False, labeltop=True, labelbottom=again)

    def _cut(self, top: float, bottom: float, length: float) -> None:
        middle, across = (top + bottom) / 2, self.ax.get_yaxis_transform()
        down = middle + np.array([-0.12, -0.08, -0.03, 0.03, 0.08, 0.12])
        zigzag = np.array([0, 0, 0.008, -0.008, 0, 0])
        self.ax.plot([0, 0], [top + 0.1, bottom - 0.1], color="white", lw=3, transform=across, clip_on=False, zorder=5)
        self.ax.plot(zigzag, down, color="0.2", lw=0.8, transform=across, clip_on=False, zorder=6)
        around = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        where = (len(self.layout.nodes) - 1) / 2
        self.ax.text(where, middle, f"⋮ {brief(length)}", ha="center", va="center", fontsize=8, color=GREY, bbox=around)

    def _legend(self) -> None:
        handles = [Line2D([], [], color=colour, label=kind) for kind, colour in self.layout.colours.items()]
        if any(arrow.lost for arrow in self.layout.arrows):
            handles.append(Line2D([], [], color=BLACK, linestyle="", marker="x", label="lost"))
        if handles:
            place = (1.0, 1.0)
            self.ax.legend(handles=handles, loc="upper left", bbox_to_anchor=place, frameon=False, fontsize=7)

    def _arrow(self, arrow: Arrow) -> None:
        *before, start, end = self.layout.path(arrow)
        for corner in before:
            self.ax.plot(*zip(corner, start, strict=True), color=self.layout.colours[arrow.kinds[0]], lw=1.1)
        for number, kind in enumerate(arrow.kinds):
            style: dict[str, Any] = {"color": self.layout.colours[kind], "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
            style |= {"linestyle": (4 * number, (4, 4 * len(arrow.kinds) - 4)) if len(arrow.kinds) > 1 else "-"}
            style |= {"arrowstyle": "-" if arrow.lost else "-|>", "mutation_scale": 8}
            self.ax.annotate("", tuple(end), tuple(start), arrowprops=style, zorder=3)
        if arrow.lost:
            self.ax.plot(*end, marker="x", color=BLACK, markersize=6, markeredgewidth=1.4, zorder=6)

    def _texts(self) -> None:
        """Write notes and labels, now that it is known how large everything is."""
        self.ax.figure.canvas.draw()
        point = self.ax.figure.dpi / 72
        origin, unit = self.ax.transData.transform([(0, 0), (1, 1)])
        column, inch = np.abs(unit - origin)
        self.scale = DrawnScale(float(column), float(inch), LETTER_POINTS * point, LINE_POINTS * point)
        placer = arrow_placer(self.layout, self.scale)
        for note in self.layout.notes:
            self._note(note, placer)
        for label in place_labels(self.layout, self.scale, placer):
            turned = {"rotation": -label.angle, "rotation_mode": "anchor"}
            written = self._write(np.array([label.x, label.y]), label.text, color="0.15", **turned)
            written.set_path_effects([withStroke(linewidth=2, foreground="white")])

    def _write(self, middle: NDArray[np.float64], text: str, **style: Any) -> Any:
        x, y = middle / (self.scale.column, self.scale.inch)
        style |= {"ha": "center", "va": "center", "fontsize": TEXT_POINTS, "zorder": 7, "parse_math": False}
        written = self.ax.text(x, y, text, **style)
        written.set_in_layout(False)
        return written

    def _note(self, note: Note, placer: LabelPlacer) -> None:
        """Write a note beside its node, or over the middle of its nodes, and mark these."""
        place, line = self.layout.axis.place(note.time_s), self.scale.line
        rows = [row for text in note.lines for row in textwrap.wrap(text, NOTE_LETTERS)]
        width, height = self.scale.letter * max(map(len, rows)), line * len(rows)
        at = self.scale.pixels(np.array([np.mean(note.columns), place]))
        aside = width / 2 + 1.2 * line
        sides = (0.0,) if len(note.columns) > 1 else (-aside, aside) if note.columns == (0,) else (aside, -aside)
        middles = [at + np.array([side, 0.8 * line * down]) for down in (0, -1, 1, -2, 2, -3) for side in sides]
        best = placer.place([box(middle, width, height) for middle in middles])
        self.ax.plot(note.columns, [place] * len(note.columns), "o-", color=GREY, markersize=3, linewidth=0.6, zorder=4)
        around = {"boxstyle": "round,pad=0.25", "facecolor": "0.93", "edgecolor": "0.6", "linewidth": 0.5}
        self._write(middles[best], "\n".join(rows), color="0.2", bbox=around)
