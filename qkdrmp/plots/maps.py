"""Maps of networks: their nodes at their places, with what happened there."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextToPath
from matplotlib.transforms import ScaledTranslation

from qkdrmp.plots.canvas import COLOURS, canvas, whole
from qkdrmp.plots.map_layout import Coordinates, Places, coordinates, positions
from qkdrmp.plots.node_names import MapScale, NamePlace, node_factor, place_names, spread
from qkdrmp.topology import NodeKind, Topology

WIDEST, HIGHEST = 8.0, 7.0
"""Of a map, inches; longer names and more of them fit on a larger one."""
BESIDE_INCHES, BENEATH_INCHES, BAR_INCHES = 0.9, 1.0, 0.9
"""What stands to the side of a map, and above and beneath it."""
MARGIN, LONGEST = 0.1, 4.0
"""Of a map: its margin as a share of its width or height, and the most that one may be of the other."""
NODE_COLOURS, LINK_COLOURS = "YlOrRd", "crest"
GREY = "0.6"
LETTER_INCHES, SHORTEST_LINE = 0.09, 14
"""Of the words beside a bar of colours, which are broken where the map is low: of a letter, and the least letters of a
line."""
NAME_POINTS, LINE_POINTS, GAP_POINTS = 7, 8.5, 2
AXIS_POINTS, LEGEND_POINTS = 34, 18
"""How high the axis and its title are, and the legend beneath it."""
STYLES = {
    NodeKind.REPEATER: ("s", COLOURS[1], 12.0, "repeater"),
    NodeKind.END: ("o", COLOURS[0], 7.8, "user"),
    NodeKind.ROUTER: ("h", "0.7", 12.0, "router"),
    NodeKind.PASSIVE: ("D", "0.85", 9.0, "takes no part"),
}
"""Shape, colour, diameter in points, and name in the legend."""


def load(
    nodes: pd.DataFrame,
    topology: Topology,
    ax: Axes | None = None,
    *,
    links: Mapping[tuple[str, str], float] | None = None,
    links_label: str = "load of the link",
) -> Axes:
    """Draw the network with its repeaters coloured by the requests they have served (figure 3(b)).

    Parameters
    ----------
    nodes : pandas.DataFrame
        The table of nodes of a run, or of the mean of several.
    topology : Topology
    links : mapping of tuple of str to float, optional
        A number for each link by its two ends, in either order, which colours it; others are grey.
    links_label : str
        What that is.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("beijing").replace({"duration_s": 1, "warmup_s": 0})
    >>> results = qkdrmp.simulate(scenario, seed=1)
    >>> ax = qkdrmp.plots.load(results.nodes, scenario.topology)
    """
    served = nodes.set_index("node")["served"]
    values = {name: float(served[name]) for name in topology.repeaters}
    return coloured(
        topology, ax, nodes=values, nodes_label="requests served as relay", links=links, links_label=links_label
    )


def coloured(
    topology: Topology,
    ax: Axes | None = None,
    *,
    nodes: Mapping[str, float] | None = None,
    nodes_label: str = "",
    links: Mapping[tuple[str, str], float] | None = None,
    links_label: str = "",
) -> Axes:
    """Draw the network with nodes and links coloured by numbers of your own, of at least 0.

    Parameters
    ----------
    topology : Topology
    nodes : mapping of str to float, optional
        A number for each node; others have the colour of their kind.
    links : mapping of tuple of str to float, optional
        A number for each link by its two ends, in either order; others are grey.
    nodes_label, links_label : str
        What these are.

    Examples
    --------
    >>> import qkdrmp
    >>> network = qkdrmp.load_topology("beijing_qman")
    >>> ax = qkdrmp.plots.coloured(network, nodes=dict.fromkeys(network.repeaters, 1.0), nodes_label="rent")
    """
    with canvas(ax, *_size(topology, bars=bool(nodes) + bool(links))) as ax:
        drawn = _Map(topology, ax)
        drawn.colour_nodes(nodes or {}, nodes_label)
        drawn.colour_links(links or {}, links_label)
        drawn.draw()
    return ax


def network(topology: Topology, ax: Axes | None = None) -> Axes:
    """Draw a topology at its coordinates, north up and east to the right.

    Names that do not fit are left out, which is said beneath: nodes with more links come first.

    Examples
    --------
    >>> import qkdrmp
    >>> ax = qkdrmp.plots.network(qkdrmp.load_topology("beijing_qman"))
    >>> ax.get_xlabel()
    'longitude (degrees east)'
    """
    with canvas(ax, *_size(topology)) as ax:
        _Map(topology, ax).draw()
    return ax


def _size(topology: Topology, bars: int = 0) -> tuple[float, float]:
    """Return the width and the height of a figure of the shape of the network with so many bars of colours, inches."""
    wide, high = np.ptp(list(positions(topology).values()), axis=0) * (_stretch(topology), 1)
    share = min(max(wide / high, 1 / LONGEST), LONGEST) if high else LONGEST if wide else 1.0
    across = min(WIDEST, HIGHEST * share)
    return across + BESIDE_INCHES + BAR_INCHES * bars, across / share + BENEATH_INCHES


def _stretch(topology: Topology) -> float:
    """Return the length on the ground of a degree to the east, beside one to the north; 1 in a plane."""
    if coordinates(topology) is not Coordinates.DEGREES:
        return 1.0
    latitudes = [float(node.latitude or 0) for node in topology.nodes.values()]
    return max(math.cos(math.radians((min(latitudes) + max(latitudes)) / 2)), 0.05)


class _Map:
    """A map in axes whose size is known before anything is drawn, so that nothing is drawn over."""

    def __init__(self, topology: Topology, ax: Axes) -> None:
        self.topology, self.ax = topology, ax
        self.places = positions(topology)
        self.factor = node_factor(len(topology.nodes))
        self.node_colours: dict[str, Any] = {}
        self.link_colours: dict[frozenset[str], Any] = {}

    def colour_nodes(self, values: Mapping[str, float], label: str) -> None:
        """Colour nodes by numbers, from 0 on, and draw a bar for the colours."""
        if values:
            shades = self._bar(max(*values.values(), 1), NODE_COLOURS, label)
            self.node_colours = {name: shades.to_rgba(np.array(value)) for name, value in values.items()}

    def colour_links(self, values: Mapping[tuple[str, str], float], label: str) -> None:
        """Colour links by numbers, from 0 on, and draw a bar for the colours."""
        if values:
            shades = self._bar(max(values.values()) or 1.0, LINK_COLOURS, label)
            self.link_colours = {frozenset(ends): shades.to_rgba(np.array(value)) for ends, value in values.items()}

    def _bar(self, most: float, colours: str, label: str) -> ScalarMappable:
        shades = ScalarMappable(Normalize(0, most), cmap=sns.color_palette(colours, as_cmap=True))
        drawn = whole(self.ax)
        letters = max(int(self.ax.bbox.height / drawn.dpi / LETTER_INCHES), SHORTEST_LINE)
        drawn.colorbar(shades, ax=self.ax, label=textwrap.fill(label, letters), shrink=0.7)
        return shades

    def draw(self) -> None:
        """Draw everything: first what has a size of its own, then the nodes, and names where they fit."""
        self._frame()
        self.ax.figure.canvas.draw()  # from here on it is known where everything is
        self.point = self.ax.figure.dpi / 72
        centres = {name: self._points(place) for name, place in self.places.items()}
        centres = spread(centres, self.factor * STYLES[NodeKind.REPEATER][2])
        self.places = {name: self._place(centre) for name, centre in centres.items()}
        self._links()
        self._nodes()
        self._names(centres)

    def _points(self, place: tuple[float, float]) -> tuple[float, float]:
        x, y = self.ax.transData.transform(place) / self.point
        return float(x), float(y)

    def _place(self, points: tuple[float, float]) -> tuple[float, float]:
        x, y = self.ax.transData.inverted().transform(np.array(points) * self.point)
        return float(x), float(y)

    def _frame(self) -> None:
        ax, at = self.ax, np.array(list(self.places.values()))
        stretch, middle = _stretch(self.topology), (at.min(axis=0) + at.max(axis=0)) / 2
        wide, high = np.ptp(at, axis=0) * (stretch, 1)
        wide, high = max(wide, high / LONGEST), max(high, wide / LONGEST)
        reach = (0.5 + MARGIN) * np.array([wide / stretch, high]) if wide else (1 / stretch, 1.0)
        ax.set_xlim(middle[0] - reach[0], middle[0] + reach[0])
        ax.set_ylim(middle[1] - reach[1], middle[1] + reach[1])
        ax.set_aspect(1 / stretch)
        self._legend()
        if coordinates(self.topology) is Coordinates.NONE:
            ax.set_axis_off()
            return
        ax.tick_params(left=True, bottom=True, labelleft=True, labelbottom=True)
        if coordinates(self.topology) is Coordinates.DEGREES:
            ax.set_xlabel("longitude (degrees east)")
            ax.set_ylabel("latitude (degrees north)")
            ax.xaxis.set_major_formatter(lambda x, _: f"{(x + 180) % 360 - 180:g}")
        else:
            ax.set_xlabel("x")
            ax.set_ylabel("y")
        sns.despine(ax=ax)

    def _legend(self) -> None:
        """Say beneath the axes what the kinds of nodes look like."""
        self.beneath = 2 if coordinates(self.topology) is Coordinates.NONE else AXIS_POINTS
        beneath = self.ax.transAxes + ScaledTranslation(0, -self.beneath / 72, whole(self.ax).dpi_scale_trans)
        kinds = {node.kind for node in self.topology.nodes.values()}
        coloured = {self.topology.nodes[name].kind for name in self.node_colours}
        handles = [_handle(kind, kind in coloured) for kind in STYLES if kind in kinds]
        style: dict[str, Any] = {"frameon": False, "fontsize": 8, "ncols": len(handles), "borderpad": 0.2}
        at: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": beneath}
        self.ax.legend(handles=handles, **style, **at)

    def _links(self) -> None:
        lines = [[self.places[end] for end in link.ends] for link in self.topology.links]
        found = [self.link_colours.get(frozenset(link.ends)) for link in self.topology.links]
        widths = [(2.6 if colour else 1.0) * max(self.factor, 0.5) for colour in found]
        colours = [colour or GREY for colour in found]
        self.ax.add_collection(LineCollection(lines, colors=colours, linewidths=widths, zorder=1), autolim=False)

    def _nodes(self) -> None:
        for kind, (shape, colour, points, _) in STYLES.items():
            names = [node.name for node in self.topology.nodes.values() if node.kind is kind]
            if names:
                at = np.array([self.places[name] for name in names])
                size = (self.factor * points) ** 2
                colours = [self.node_colours.get(name, colour) for name in names]
                style: dict[str, Any] = {"marker": shape, "s": size, "c": colours, "edgecolors": "0.25", "zorder": 2}
                self.ax.scatter(at[:, 0], at[:, 1], linewidths=0.7 * max(self.factor, 0.5), **style)
        self.ax.autoscale(False)

    def _names(self, centres: Places) -> None:
        """Write each name that fits beside its node, and say how many do not."""
        (left, bottom), (right, top) = self.ax.bbox.get_points() / self.point
        scale = MapScale(
            letter=0,
            line=LINE_POINTS,
            node=self.factor * STYLES[NodeKind.REPEATER][2],
            link=2,
            gap=GAP_POINTS,
            far=True,
        )
        links = [link.ends for link in self.topology.links]
        found = place_names(centres, links, scale, (left, right, bottom, top), _name_width)
        for name, place in found.items():
            self._name(name, centres[name], place)
        said = []
        if coordinates(self.topology) is Coordinates.NONE:
            said.append("not all nodes have coordinates: drawn as far apart as the links are long")
        if left_out := len(centres) - len(found):
            said.append(
                f"{left_out} of {len(centres)} names do not fit and are left out; nodes with more links come first"
            )
        if said:
            style: dict[str, Any] = {"va": "top", "fontsize": NAME_POINTS, "color": "0.35"}
            down = (4, -self.beneath - LEGEND_POINTS)
            self.ax.annotate("\n".join(said), (0, 0), down, "axes fraction", "offset points", **style)

    def _name(self, name: str, centre: tuple[float, float], place: NamePlace) -> None:
        style: dict[str, Any] = {"ha": place.align, "va": "center", "fontsize": NAME_POINTS, "parse_math": False}
        shift = (place.right, place.up)
        text = self.ax.annotate(name, self.places[name], shift, textcoords="offset points", zorder=4, **style)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        if place.far:
            end = (
                centre[0] + place.right,
                centre[1] + place.up - math.copysign(LINE_POINTS / 2, place.up) * (place.up != 0),
            )
            line = np.array([self.places[name], self._place(end)])
            self.ax.plot(line[:, 0], line[:, 1], color="0.45", linewidth=0.5, zorder=1.5)


def _name_width(name: str) -> float:
    """Return how wide a name is, in points."""
    return (
        float(TextToPath().get_text_width_height_descent(name, FontProperties(size=NAME_POINTS), ismath=False)[0]) + 2
    )


def _handle(kind: NodeKind, is_coloured: bool) -> Line2D:
    """Return how a kind looks in the legend; one whose nodes have the colours of numbers has none of its own."""
    shape, colour, points, label = STYLES[kind]
    colour = "white" if is_coloured else colour
    style: dict[str, Any] = {"linestyle": "", "markeredgecolor": "0.25", "markeredgewidth": 0.7}
    return Line2D([], [], marker=shape, color=colour, markersize=0.8 * points, label=label, **style)
