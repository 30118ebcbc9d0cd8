"""The map of a network with its load in the course of time, and the level of one link beneath it, as Vega-Lite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np

from qkdrmp.family.story import BINS, LinkStory, Story, edges
from qkdrmp.plots.map_layout import Coordinates, Places, coordinates, positions
from qkdrmp.plots.node_names import MapScale, NamePlace, node_factor, place_names, spread
from qkdrmp.plots.times import time_unit
from qkdrmp.report.charts import Spec, data_of, dressed
from qkdrmp.topology import NodeKind, Topology

LOAD_RANGE = ["#9fb3c4", "#e69f00", "#9b0026"]  # from good to bad, also for the colour-blind
SERVED_RANGE = ["#eff5fb", "#08306b"]
SERIES_RANGE = ["#0173b2", "#de8f05"]
ROOMY, FEW = 440, 14
"""A map of more than so many nodes that is narrower than so many pixels does not name its users."""
MAP_HEIGHT, USUAL_HEIGHT, LEVEL_HEIGHT = 520, 440, 220
NAME_PIXELS = 11
SCALE = MapScale(letter=6.2, line=13, node=16, link=5, gap=4)  # pixels
MARGIN = 1.2
WIDEST, NARROWEST = 3.0, 1.0
"""Width of the map as a multiple of its height."""
SHAPES = {
    NodeKind.REPEATER: "square",
    NodeKind.END: "circle",
    NodeKind.ROUTER: "triangle-up",
    NodeKind.PASSIVE: "diamond",
}


def network_map(story: Story) -> Spec:
    """Return the map; its parameter ``frame`` is the bin of time, ``link`` the name of the chosen link."""
    topology = story.results.scenario.topology
    places = placed(topology)
    (left, right), (bottom, top) = domains(places)
    places, names = _seen(topology, places)
    factor = node_factor(len(places))
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[left, right]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[bottom, top]))
    lines = alt.Chart(data_of(_link_rows(story, topology, places))).transform_calculate(
        load="datum.loads ? datum.loads[frame] : null"
    )
    lines = lines.encode(x=x, y=y, x2="x2:Q", y2="y2:Q", tooltip=_link_tooltip(story))
    nodes = alt.Chart(data_of(_node_rows(story, topology, places, names))).transform_calculate(
        served="datum.counts[frame]"
    )
    served = alt.Scale(domain=[0, most_served(story)], range=SERVED_RANGE, interpolate="lab")
    layers = [
        lines.transform_filter("!datum.loads").mark_rule(strokeDash=[4, 3], color="#a0a7ad", strokeWidth=1.5),
        lines.transform_filter("datum.link === link").mark_rule(
            color="#111", strokeWidth=6 * factor + 5, opacity=0.85, strokeCap="round"
        ),
        lines.transform_filter("datum.loads")
        .mark_rule(strokeWidth=6 * factor, strokeCap="round")
        .encode(color=_load_colour(story)),
        lines.transform_filter("datum.loads").mark_rule(
            strokeWidth=20, opacity=0, cursor="pointer", description="link"
        ),
        nodes.mark_point(filled=True, opacity=1, stroke="#333", strokeWidth=1).encode(
            x=x,
            y=y,
            size=alt.Size("size:Q", scale=None),
            shape=alt.Shape("shape:N", scale=None),
            fill=alt.Fill("served:Q", scale=served, legend=None),
            tooltip=[alt.Tooltip("node:N"), alt.Tooltip("kind:N"), alt.Tooltip("served:Q", title=story.served_label)],
        ),
        _names(nodes, x, y, "white", 3),
        _names(nodes, x, y, "#222", 0),
    ]
    chosen = story.bottleneck or next(iter(story.links), None)
    chart = alt.layer(*layers).resolve_scale(fill="independent", color="independent")
    chart = chart.add_params(
        alt.param(name="frame", value=BINS - 1), alt.param(name="link", value=chosen.name if chosen else "")
    )
    if left_out := len(places) - len(names):
        chart = chart.properties(
            title=_said([f"{left_out} of {len(places)} names do not fit;", "a node shows its own when pointed at"])
        )
    return dressed(chart.properties(width="container", height=MAP_HEIGHT))


def _said(words: list[str]) -> alt.TitleParams:
    style: dict[str, Any] = {"fontSize": NAME_PIXELS, "fontWeight": "normal", "color": "#555"}
    return alt.TitleParams(words, anchor="start", orient="bottom", **style)


def _names(nodes: alt.Chart, x: alt.X, y: alt.Y, colour: str, outline: int) -> alt.Chart:
    hidden = f"width < {ROOMY} && datum.minor ? 0 : 1"
    mark = nodes.transform_filter("datum.align").mark_text(
        dx=alt.ExprRef("datum.dx"),
        dy=alt.ExprRef("datum.dy"),
        align=alt.ExprRef("datum.align"),
        baseline="middle",
        opacity=alt.ExprRef(hidden),
        fontSize=NAME_PIXELS,
        color=colour,
        stroke=colour,
        strokeWidth=outline,
    )
    named: alt.Chart = mark.encode(x=x, y=y, text="node:N")
    return named


def _load_colour(story: Story) -> alt.Color:
    scale = alt.Scale(domain=[0, 0.5, 1], range=load_range(story), interpolate="lab", clamp=True)
    return alt.Color("load:Q", scale=scale, legend=None)


def load_range(story: Story) -> list[str]:
    """Return the colours of links with the load 0, 0.5 and 1."""
    return LOAD_RANGE[::-1] if story.load_is_good else LOAD_RANGE


def most_served(story: Story) -> float:
    """Return how much the busiest node had served in the end, at least 1."""
    return max(1.0, *(float(counts[-1]) for counts in story.served.values()))


def _link_tooltip(story: Story) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("link:N"),
        alt.Tooltip("length:N"),
        alt.Tooltip("load:Q", title=story.load_label, format=".1%"),
    ]


def placed(topology: Topology) -> Places:
    """Return where to draw each node; degrees of longitude are as long as on the ground."""
    found = positions(topology)
    if coordinates(topology) is not Coordinates.DEGREES:
        return found
    shrunk = math.cos(math.radians(float(np.mean([y for _, y in found.values()]))))
    return {name: (x * shrunk, y) for name, (x, y) in found.items()}


def domains(places: Places) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of both axes: all places with a margin, in a shape that is neither too wide nor too high."""
    points = np.array(list(places.values()))
    middle, (width, height) = (points.max(axis=0) + points.min(axis=0)) / 2, np.ptp(points, axis=0) * MARGIN
    height = max(height, width / WIDEST) or 1.0
    width = max(width, height * NARROWEST)
    return (
        (float(middle[0] - width / 2), float(middle[0] + width / 2)),
        (float(middle[1] - height / 2), float(middle[1] + height / 2)),
    )


def aspect(topology: Topology) -> float:
    """Return the width of the map as a multiple of its height."""
    (left, right), (bottom, top) = domains(placed(topology))
    return (right - left) / (top - bottom)


def _link_rows(story: Story, topology: Topology, places: Places) -> list[Spec]:
    shown = {frozenset(link.ends): link for link in story.links}
    rows = []
    for link in topology.links:
        (x, y), (x2, y2) = (places[end] for end in link.ends)
        found = shown.get(frozenset(link.ends))
        row: Spec = {"x": x, "y": y, "x2": x2, "y2": y2, "length": f"{link.length_km:g} km"}
        row |= {"link": found.name if found else " – ".join(link.ends)}
        rows.append(row | {"loads": None if found is None else _rounded(found.load, 3)})
    return rows


def _node_rows(story: Story, topology: Topology, places: Places, names: Mapping[str, NamePlace]) -> list[Spec]:
    return [
        {
            "node": name,
            "minor": node.kind in (NodeKind.END, NodeKind.PASSIVE) and len(places) > FEW,
            "dx": names[name].right if name in names else 0,
            "dy": -names[name].up if name in names else 0,
            "align": names[name].align if name in names else None,
            "kind": str(node.kind),
            "shape": SHAPES[node.kind],
            "size": (110 if node.kind is NodeKind.END else 240) * node_factor(len(places)) ** 2,
            "x": places[name][0],
            "y": places[name][1],
            "counts": _rounded(story.served[name], 0),
        }
        for name, node in topology.nodes.items()
    ]


def _seen(topology: Topology, places: Places) -> tuple[Places, dict[str, NamePlace]]:
    """Return where nodes are drawn so that none hides another one, and the names that fit beside them, in pixels.

    That is for a map of the usual height.
    """
    (left, right), (bottom, top) = domains(places)
    unit = USUAL_HEIGHT / (top - bottom)
    scale = replace(SCALE, node=SCALE.node * node_factor(len(places)))
    centres = spread({name: (unit * x, unit * y) for name, (x, y) in places.items()}, scale.node)
    bounds = (unit * left, unit * right, unit * bottom, unit * top)
    names = place_names(centres, [link.ends for link in topology.links], scale, bounds)
    return {name: (x / unit, y / unit) for name, (x, y) in centres.items()}, names


def level(story: Story) -> Spec:
    """Return the level of the link that the parameter ``link`` names, over time, with a line at bin ``frame``."""
    size, unit = time_unit(story.results.scenario.duration_s)
    times = edges(story.results.scenario.duration_s) / size
    chosen = story.bottleneck or story.links[0]
    axis_x = alt.X("time:Q", title=f"time ({unit})", scale=alt.Scale(domain=[0, times[-1]], nice=False))
    axis_y = alt.Y("low:Q", title=story.level_label, scale=alt.Scale(zero=True))
    data = alt.Chart(data_of([row for link in story.links for row in _series_rows(link)]))
    data = data.transform_filter("datum.link === link").transform_calculate(times="times")
    data = data.transform_flatten(["times", "low", "mean", "high"], as_=["time", "low", "mean", "high"])
    names = alt.Legend(orient="bottom", title=None)
    data = data.encode(x=axis_x, color=alt.Color("series:N", legend=names, scale=alt.Scale(range=SERIES_RANGE)))
    band = data.mark_area(opacity=0.2, interpolate="step-after").encode(y=axis_y, y2="high:Q")
    line = data.mark_line(strokeWidth=1.8, interpolate="step-after").encode(y="mean:Q")
    layers: list[Any] = [band, line, *_marks(story)]
    now = alt.Chart(data_of([{}])).transform_calculate(time="(times[frame] + times[frame + 1]) / 2")
    layers.append(now.mark_rule(color="#111", strokeDash=[4, 3]).encode(x="time:Q"))
    title = alt.TitleParams(text=alt.ExprRef("link"), anchor="start", fontWeight="normal")
    chart = alt.layer(*layers, title=title).add_params(
        alt.param(name="frame", value=BINS - 1),
        alt.param(name="link", value=chosen.name),
        alt.param(name="times", value=_rounded(times, 6)),
    )
    return dressed(chart.properties(width="container", height=LEVEL_HEIGHT))


def _marks(story: Story) -> list[alt.Chart]:
    rows = [
        {"link": link.name, "mark": name, "at": value} for link in story.links for name, value in link.marks.items()
    ]
    if not rows:
        return []
    base = alt.Chart(data_of(rows)).transform_filter("datum.link === link").encode(y="at:Q")
    line = base.mark_rule(color="#777", strokeDash=[2, 3])
    return [
        line,
        base.mark_text(align="right", dy=-6, fontSize=11, color="#555").encode(x=alt.value("width"), text="mark:N"),
    ]


def _series_rows(link: LinkStory) -> list[Spec]:
    def steps(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
        return _rounded(np.append(values, values[-1]), 4)

    return [
        {"link": link.name, "series": one.name, "low": steps(one.low), "mean": steps(one.mean), "high": steps(one.high)}
        for one in link.series
    ]


def _rounded(values: np.ndarray[Any, np.dtype[np.float64]], digits: int) -> list[float]:
    """Return numbers to so many digits; whole ones as such, which is shorter to write."""
    return [int(value) if value == int(value) else value for value in np.round(values, digits).tolist()]
