"""Maps of networks: their nodes at their places, with what happened there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from qkdrmp.plots.canvas import COLOURS, canvas
from qkdrmp.plots.node_names import MapScale, place_names
from qkdrmp.topology import NodeKind, Topology

MAP_SIZE = (9.0, 7.0)
LOAD_COLOURS = "YlOrRd"
NAME_POINTS = 7
SCALE = MapScale(letter=4.6, line=8.5, node=12, link=2, gap=2)  # points


def load(nodes: pd.DataFrame, topology: Topology, ax: Axes | None = None) -> Axes:
    """Draw the network with its repeaters coloured by the requests they have served (figure 3(b)).

    Parameters
    ----------
    nodes : pandas.DataFrame
        The table of nodes of a run, or of the mean of several.
    topology : Topology

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("beijing").replace({"duration_s": 1, "warmup_s": 0})
    >>> results = qkdrmp.simulate(scenario, seed=1)
    >>> ax = qkdrmp.plots.load(results.nodes, scenario.topology)
    """
    served = nodes.set_index("node")["served"]
    values = [float(served[name]) for name in topology.repeaters]
    with canvas(ax, *MAP_SIZE) as ax:
        if values:
            shades = ScalarMappable(Normalize(0, max(*values, 1)), cmap=LOAD_COLOURS)
            ax.figure.colorbar(shades, ax=ax, label="requests served as relay", shrink=0.7)
        _draw_network(topology, ax, values)
    return ax


def network(topology: Topology, ax: Axes | None = None) -> Axes:
    """Draw a topology at its coordinates.

    Examples
    --------
    >>> import qkdrmp
    >>> ax = qkdrmp.plots.network(qkdrmp.load_topology("beijing_qman"))
    >>> ax.get_xlabel()
    'longitude (degrees east)'
    """
    with canvas(ax, *MAP_SIZE) as ax:
        _draw_network(topology, ax, None)
    return ax


def _draw_network(topology: Topology, ax: Axes, loads: Sequence[float] | None) -> None:
    places = positions(topology)
    nx.draw_networkx_edges(topology.graph, places, ax=ax, edge_color="0.6", width=1.0)
    blue, orange = COLOURS[:2]
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
    _name_nodes(topology, ax, places)


def _name_nodes(topology: Topology, ax: Axes, places: dict[str, tuple[float, float]]) -> None:
    """Write each name beside its node, on the side where it covers least."""
    ax.figure.canvas.draw()  # from here on it is known where everything is
    point = ax.figure.dpi / 72
    centres = {name: tuple(ax.transData.transform(place) / point) for name, place in places.items()}
    (left, bottom), (right, top) = ax.bbox.get_points() / point
    links = [link.ends for link in topology.links]
    for name, place in place_names(centres, links, SCALE, (left, right, bottom, top)).items():
        shift = (place.right, place.up)
        style: dict[str, Any] = {"ha": place.align, "va": "center", "fontsize": NAME_POINTS}
        text = ax.annotate(name, places[name], shift, textcoords="offset points", **style)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])


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
    """Return where to draw each node: longitude and latitude, or x and y, or a layout where some are unknown.

    Examples
    --------
    >>> import qkdrmp
    >>> longitude, latitude = qkdrmp.plots.positions(qkdrmp.load_topology("beijing_qman"))["TR15"]
    >>> round(longitude), round(latitude)
    (116, 40)
    """
    if _has_places(topology):
        return {name: (float(node.longitude or 0), float(node.latitude or 0)) for name, node in topology.nodes.items()}
    if all(node.x is not None for node in topology.nodes.values()):
        return {name: (float(node.x or 0), float(node.y or 0)) for name, node in topology.nodes.items()}
    laid_out = nx.kamada_kawai_layout(topology.graph, weight="length_km")
    return {name: (float(x), float(y)) for name, (x, y) in laid_out.items()}
