"""Figures: each function draws into an axes and returns it, so that a paper can arrange and restyle them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from qkdrmp.errors import QKDRMPError, did_you_mean
from qkdrmp.network.topology import NodeKind, Topology
from qkdrmp.statistics import half_width

LABELS = {
    "pools.capacity": "key pool capacity $V_m$ (keys)",
    "duration_s": "simulated time (s)",
    "requests_delivered": "requests processed",
    "wait_mean_s": "mean waiting time (s)",
    "key_rate_bps": "delivered key rate (bit/s)",
    "queue.capacity": "queue capacity (requests)",
    "queue.policy": "queue policy",
    "pools.initial": "initial level (keys)",
    "pools.interrupt": "interrupt threshold $V_i$ (keys)",
    "pools.interrupt_share": "interrupt threshold (share of the capacity)",
    "pools.recover": "recovery threshold $V_r$ (keys)",
    "pools.recover_share": "recovery threshold (share of the capacity)",
    "pools.reserve": "reserve (keys)",
    "pools.key_length_bits": "length of a pool key (bit)",
    "pools.replenish": "replenishment",
    "access.mode": "access links",
    "key_rate.model": "key-rate model",
    "key_rate.rate_bps": "key rate of a link (bit/s)",
    "demand.rate_per_s": "requests of a pair (1/s)",
    "demand.key_num": "keys of a request",
    "demand.key_length_bits": "length of a key (bit)",
    "demand.patience_s": "patience of users (s)",
    "demand.think_s": "mean time between requests (s)",
}
NOT_SWEPT = ("replication", "seed", "requests_started")
DPI = 160
MARKERS = "osD^vPX<>h"
WIDEST_NAMES = 40
MAP_SIZE = (9.0, 7.0)
LOAD_COLOURS = "YlOrRd"


def swept(runs: pd.DataFrame) -> list[str]:
    """Return the swept columns of a table of runs: those before ``replication`` that take several values."""
    before = list(runs.columns[: runs.columns.get_loc("replication")])
    several = [name for name in before if runs[name].nunique(dropna=False) > 1]
    return several or before[:1]


def figure(width: float = 6.4, height: float = 4.2) -> Axes:
    """Return the axes of a new figure, `width` by `height` inches, in the style of this package."""
    sns.set_theme(context="paper", style="ticks", font_scale=1.15)
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def save(ax: Axes, path: Path) -> None:
    """Write the figure that `ax` belongs to into a file, by its suffix a PNG (also without one), PDF or SVG; close it.

    Raises
    ------
    QKDRMPError
        If there is no such kind of picture.
    """
    kind = path.suffix.removeprefix(".").lower() or "png"
    known = FigureCanvasBase.get_supported_filetypes()
    if kind not in known:
        raise QKDRMPError(f"{path}: cannot draw a '{kind}' file{did_you_mean(kind, known)}: {', '.join(known)}")
    drawn = ax.figure if isinstance(ax.figure, Figure) else ax.figure.figure
    drawn.savefig(path, dpi=DPI, format=kind)
    plt.close(drawn)


def curve(runs: pd.DataFrame, figure_of: str, ax: Axes | None = None, scale: float = 1.0) -> Axes:
    """Draw the mean of one column over the swept fields, with 95 % confidence intervals.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    figure_of : str
        The column.
    scale : float
        Factor on the column, such as 1e3 for milliseconds.

    Returns
    -------
    matplotlib.axes.Axes
        The first swept field along x, as lines with bands, or as points with bars if its values are no numbers;
        one colour for each value of the others.
    """
    ax = ax or figure()
    fields = swept(runs)
    x, others = fields[0], fields[1:]
    names = None if _is_scale(runs[x]) else [_text(value) for value in runs[x].unique()]
    in_order = all(pd.api.types.is_numeric_dtype(runs[name]) for name in others)
    lines = list(runs.groupby(others, sort=in_order, dropna=False)) if others else [((), runs)]
    colours = sns.color_palette("viridis", len(lines) + 1) if len(lines) > 1 else sns.color_palette("colorblind", 1)
    for number, (values, group) in enumerate(lines):
        cells = group.groupby(x, sort=False, dropna=False)[figure_of]
        mean, half = scale * cells.mean(), scale * cells.apply(half_width)
        label, marker = ", ".join(map(_text, values)), MARKERS[number % len(MARKERS)]
        style: dict[str, Any] = {"label": label, "marker": marker, "color": colours[number], "markersize": 4.5}
        if names is None:
            ax.plot(mean.index, mean, **style)
            ax.fill_between(mean.index, mean - half, mean + half, color=colours[number], alpha=0.25, linewidth=0)
        else:
            beside = 0.6 * (number - (len(lines) - 1) / 2) / len(lines)
            at = [names.index(_text(value)) + beside for value in mean.index]
            ax.errorbar(at, mean, half, linestyle="", capsize=3, **style)
    _finish_curve(ax, LABELS.get(x, x), LABELS.get(figure_of, figure_of), names)
    if others:
        _add_legend(ax, others)
    replications = runs["replication"].nunique()
    if replications > 1:
        what = "bands" if names is None else "bars"
        note = f"{what}: 95 % confidence intervals, {replications} replications"
        ax.set_title(note, loc="left", fontsize=8, color="0.35")
    return ax


def _is_scale(values: pd.Series[Any]) -> bool:
    """Return whether values can be points of an axis: several numbers, none of them missing."""
    kinds = pd.api.types
    number = kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    return bool(number and not values.isna().any() and values.nunique() > 1)


def _text(value: object) -> str:
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _finish_curve(ax: Axes, x: str, y: str, names: Sequence[str] | None) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if ax.dataLim.y0 < ax.dataLim.y1 / 2:
        ax.set_ylim(bottom=0)
    if names is not None:
        ax.set_xticks(range(len(names)), names)
        ax.set_xlim(-0.5, len(names) - 0.5)
        if max(map(len, names)) * len(names) > WIDEST_NAMES:
            plt.setp(ax.get_xticklabels(), rotation=20, ha="right")
    sns.despine(ax=ax)


def _add_legend(ax: Axes, fields: Sequence[str]) -> None:
    handles, labels = ax.get_legend_handles_labels()
    title = "\n".join(LABELS.get(name, name) for name in fields)
    beside = (1.0, 0.5)
    ax.legend(handles[::-1], labels[::-1], title=title, frameon=False, loc="center left", bbox_to_anchor=beside)


def throughput(runs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw requests processed over the swept fields (figure 3(a) when these are capacity and duration)."""
    return curve(runs, "requests_delivered", ax)


def wait(runs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the mean waiting time of delivered requests over the swept fields, in milliseconds."""
    ax = curve(runs, "wait_mean_s", ax, scale=1e3)
    ax.set_ylabel("mean waiting time (ms)")
    return ax


def load(nodes: pd.DataFrame, topology: Topology, ax: Axes | None = None) -> Axes:
    """Draw the network with its repeaters coloured by the requests they have served (figure 3(b)).

    Parameters
    ----------
    nodes : pandas.DataFrame
        The table of nodes of a run, or of the mean of several.
    topology : Topology
    """
    ax = ax or figure(*MAP_SIZE)
    served = nodes.set_index("node")["served"]
    values = [float(served[name]) for name in topology.repeaters]
    if values:
        shades = ScalarMappable(Normalize(0, max(*values, 1)), cmap=LOAD_COLOURS)
        ax.figure.colorbar(shades, ax=ax, label="requests served as relay", shrink=0.7)
    _draw_network(topology, ax, values)
    return ax


def network(topology: Topology, ax: Axes | None = None) -> Axes:
    """Draw a topology at its coordinates."""
    ax = ax or figure(*MAP_SIZE)
    _draw_network(topology, ax, None)
    return ax


def _draw_network(topology: Topology, ax: Axes, loads: Sequence[float] | None) -> None:
    places = positions(topology)
    nx.draw_networkx_edges(topology.graph, places, ax=ax, edge_color="0.6", width=1.0)
    blue, orange = sns.color_palette("colorblind", 2).as_hex()
    styles = {
        NodeKind.REPEATER: ("s", orange, 150, "repeater"),
        NodeKind.END: ("o", blue, 60, "user"),
        NodeKind.ROUTER: ("h", "0.7", 150, "router"),
        NodeKind.PASSIVE: ("D", "0.85", 80, "takes no part"),
    }
    for kind, (shape, colour, size, label) in styles.items():
        at = np.array([places[node.name] for node in topology.nodes.values() if node.kind is kind])
        if len(at):
            shaded = kind is NodeKind.REPEATER and loads is not None
            colours: dict[str, Any] = {"color": colour}
            if shaded:
                colours = {"c": loads, "cmap": LOAD_COLOURS, "vmin": 0, "vmax": max(*(loads or ()), 1)}
            ax.scatter(
                at[:, 0],
                at[:, 1],
                marker=shape,
                s=size,
                edgecolors="0.25",
                linewidths=0.7,
                zorder=2,
                label=label,
                **colours,
            )
    _finish_map(topology, ax)
    _name_nodes(ax, places)


def _name_nodes(ax: Axes, places: dict[str, tuple[float, float]]) -> None:
    """Write each name beside its node, on the side where it covers least."""
    ax.figure.canvas.draw()
    points = ax.figure.dpi / 72
    centres = {name: ax.transData.transform(place) for name, place in places.items()}
    taken = [_box(x, y, 12 * points, 12 * points) for x, y in centres.values()]
    for name, (x, y) in centres.items():
        width, height = 5.2 * points * len(name), 9 * points
        sides = [(dx, dy) for dy in (1, -1, 0) for dx in (0, 1, -1) if dx or dy]
        shifts = [(dx * (width / 2 + 7 * points), dy * 12 * points) for dx, dy in sides]
        boxes = [_box(x + dx, y + dy, width, height) for dx, dy in shifts]
        best = min(range(len(boxes)), key=lambda number: sum(_overlap(boxes[number], other) for other in taken))
        taken.append(boxes[best])
        shift = (shifts[best][0] / points, shifts[best][1] / points)
        text = ax.annotate(name, places[name], shift, textcoords="offset points", ha="center", va="center", fontsize=7)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, x + width / 2, y - height / 2, y + height / 2


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[2], b[2]))


def _finish_map(topology: Topology, ax: Axes) -> None:
    ax.margins(0.08)
    ax.legend(frameon=False, loc="best", fontsize=8)
    if not _has_places(topology):
        ax.set_axis_off()
        return
    latitude = float(np.mean([node.latitude for node in topology.nodes.values() if node.latitude is not None]))
    ax.set_aspect(1 / math.cos(math.radians(latitude)), adjustable="datalim")
    ax.tick_params(left=True, bottom=True, labelleft=True, labelbottom=True)
    ax.set_xlabel("longitude (degrees east)")
    ax.set_ylabel("latitude (degrees north)")
    sns.despine(ax=ax)


def _has_places(topology: Topology) -> bool:
    return all(node.latitude is not None for node in topology.nodes.values())


def positions(topology: Topology) -> dict[str, tuple[float, float]]:
    """Return where to draw each node: longitude and latitude, or a layout where some are unknown."""
    if _has_places(topology):
        return {name: (float(node.longitude or 0), float(node.latitude or 0)) for name, node in topology.nodes.items()}
    laid_out = nx.kamada_kawai_layout(topology.graph, weight="length_km")
    return {name: (float(x), float(y)) for name, (x, y) in laid_out.items()}
