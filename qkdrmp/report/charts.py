"""The figures over the swept fields, as Vega-Lite specifications: curves with confidence bands, and a heatmap.

Both hold all metrics of the table and show the one that their parameter ``metric`` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import seaborn as sns

from qkdrmp.plots.canvas import COLOURS
from qkdrmp.plots.curves import LEAST_POINTS, MAGNITUDES, is_scale, swept
from qkdrmp.plots.labels import value_text
from qkdrmp.plots.times import time_unit
from qkdrmp.report.comparison import cells, varied
from qkdrmp.report.words import name_and_unit, plain
from qkdrmp.stats.estimators import half_width
from qkdrmp.stats.words import number

NOT_METRICS = ("replication", "seed", "failed")
HEIGHT, CELL_HEIGHT = 320, 44
MOST_COLOURS, MOST_TICKS = 10, 12
Spec = dict[str, Any]


def metrics_of(runs: pd.DataFrame, main: str) -> list[str]:
    """Return the columns that can be drawn, the main one first, those that are always 0 last."""
    after = list(runs.columns[runs.columns.get_loc("replication") :])
    known = [name for name in after if name not in NOT_METRICS and runs[name].notna().any()]
    return sorted(known, key=lambda name: (name != main, not runs[name].fillna(0).any()))


def labels_of(runs: pd.DataFrame, metrics: Sequence[str]) -> dict[str, str]:
    """Return what each metric is called, with its unit: times in one that suits them."""
    return {name: _unit(runs, name)[1] for name in metrics}


def _unit(runs: pd.DataFrame, metric: str) -> tuple[float, str]:
    name, unit = name_and_unit(metric)
    if unit != "s" and not metric.endswith("_s"):
        return 1.0, plain(metric)
    size, unit = time_unit(float(runs[metric].abs().max()))
    return 1 / size, f"{name} ({unit})"


def curves(runs: pd.DataFrame, metrics: Sequence[str]) -> Spec:
    """Return the metrics over the first swept scale, with a colour for each combination of the others' values.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    metrics : sequence of str
        See `metrics_of`; the first is shown at first.
    """
    fields = swept(runs)
    x = next((field for field in fields if _is_axis(runs[field])), fields[0])
    others = [field for field in varied(runs) if field != x]
    scattered = all(group[x].nunique() < 2 for _, group in cells(runs, others))  # a design that is no grid
    others = [] if scattered else others
    groups = [", ".join(map(value_text, cell.values())) for cell, _ in _in_order(runs, others)]
    rows = [row for metric in metrics for row in _rows(runs, metric, x, others)]
    title = ", ".join(map(plain, others))
    colour = _colour(groups, title, all(is_scale(runs[field]) for field in others))
    base = _base(rows, runs, metrics).encode(x=_across(runs, x), color=colour)
    ends = [alt.ExprRef("domains[metric][0]"), alt.ExprRef("domains[metric][1]")]
    mean = alt.Y("mean:Q", title=None, scale=alt.Scale(domain=ends, nice=True), axis=alt.Axis(tickCount=6))
    tooltip = [alt.Tooltip("interval:N", title="mean, 95 %"), alt.Tooltip("xname:N", title=plain(x))]
    tooltip += [alt.Tooltip("group:N", title=title)] if others else []
    points = base.mark_point(size=50, filled=True, opacity=1).encode(y=mean, tooltip=tooltip)
    band = base.encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    if _is_axis(runs[x]) and scattered:
        return _sized(alt.layer(band.mark_rule(strokeWidth=1.2, clip=True), points), HEIGHT)
    if _is_axis(runs[x]):
        line = base.mark_line(strokeWidth=1.8).encode(y=mean)
        return _sized(alt.layer(band.mark_area(opacity=0.22, clip=True), line, points), HEIGHT)
    beside = {"xOffset": alt.XOffset("group:N", sort=groups, scale=alt.Scale(paddingOuter=1))} if others else {}
    bars = band.mark_rule(strokeWidth=2, clip=True)
    return _sized(alt.layer(bars.encode(**beside), points.encode(**beside)), HEIGHT)


def _is_axis(values: pd.Series[Any]) -> bool:
    """Return whether values are numbers, and enough of them for lines to mean something."""
    return is_scale(values) and values.nunique() >= LEAST_POINTS


def heatmap(runs: pd.DataFrame, metrics: Sequence[str]) -> tuple[Spec, str] | None:
    """Return the means over the first two swept fields, and what holds for the others; None without a grid."""
    fields = varied(runs)
    if len(fields) < 2:
        return None
    x, y, *others = fields
    last = {field: runs[field].iloc[-1] for field in others}
    kept = runs
    for field, value in last.items():
        kept = kept[kept[field].isna() if pd.isna(value) else kept[field] == value]
    rows = [row for metric in metrics for row in _rows(kept, metric, x, [y])]
    names = {field: [value_text(cell[field]) for cell, _ in _in_order(runs, [field])] for field in (x, y)}
    if 2 * sum(1 for _ in cells(kept, [x, y])) < len(names[x]) * len(names[y]):
        return None  # no grid, but points in a design
    base = _base(rows, kept, metrics).encode(
        x=alt.X("xname:N", sort=names[x], title=plain(x), axis=alt.Axis(labelAngle=0 if is_scale(runs[x]) else -30)),
        y=alt.Y("group:N", sort=names[y][::-1], title=plain(y)),
    )
    cell_of = base.mark_rect().encode(
        color=alt.Color("mean:Q", title=None, scale=alt.Scale(scheme="viridis", zero=False), legend=None),
        tooltip=[alt.Tooltip("interval:N", title="mean, 95 %")],
    )
    ink = alt.condition("datum.shade > 0.6", alt.value("black"), alt.value("white"))
    written = base.mark_text(fontSize=11).encode(text="short:N", color=ink)
    cell = ", ".join(f"{name_and_unit(field)[0]} = {value_text(value)}" for field, value in last.items())
    return _sized(alt.layer(cell_of, written), CELL_HEIGHT * len(names[y])), cell


def data_of(rows: list[Spec]) -> Any:
    """Return rows as the data of a chart."""
    return alt.InlineData(values=rows)


def _base(rows: list[Spec], runs: pd.DataFrame, metrics: Sequence[str]) -> alt.Chart:
    labels = labels_of(runs, metrics)
    domains = {metric: _domain([row for row in rows if row["metric"] == metric]) for metric in metrics}
    title = alt.TitleParams(text=alt.ExprRef("labels[metric]"), anchor="start", fontWeight="normal")
    return (
        alt.Chart(data_of(rows), title=title)
        .add_params(
            alt.param(name="metric", value=metrics[0]),
            alt.param(name="labels", value=labels),
            alt.param(name="domains", value=domains),
        )
        .transform_filter("datum.metric === metric")
    )


def _domain(rows: list[Spec]) -> list[float]:
    """Return where an axis begins and ends: at 0, unless that would hide the differences."""
    ends = [row[name] for row in rows for name in ("low", "mean", "high") if row[name] is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    if low == high:
        return sorted([0.0, 1.5 * high]) if high else [0.0, 1.0]
    if all(row["mean"] >= 0 for row in rows) and low < high / 2:  # then no true value is negative
        low = 0.0
    return [low, high]


def _in_order(runs: pd.DataFrame, fields: Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Return the combinations of the values of some fields, numbers in rising order."""
    numbers = [field for field in fields if is_scale(runs[field])]
    return list(cells(runs.sort_values(numbers, kind="stable") if numbers else runs, fields))


def _rows(runs: pd.DataFrame, metric: str, x: str, others: Sequence[str]) -> list[Spec]:
    scale, _ = _unit(runs, metric)
    rows = []
    for cell, group in _in_order(runs, [x, *others]):
        values = scale * group[metric].astype(float)
        if values.isna().all():
            continue
        mean, half = float(values.mean()), half_width(values)
        low, high = (mean - half, mean + half) if np.isfinite(half) else (mean, mean)
        row = {"metric": metric, "x": cell[x], "xname": value_text(cell[x]), "mean": mean, "low": low, "high": high}
        row |= {"group": ", ".join(value_text(cell[field]) for field in others)}
        row |= {"short": number(mean, 3), "interval": number(mean) + (f" ± {number(half, 3)}" if half > 0 else "")}
        rows.append(row)
    means = [row["mean"] for row in rows]
    low, span = min(means, default=0.0), (max(means, default=0.0) - min(means, default=0.0)) or 1.0
    return [_plain({**row, "shade": (row["mean"] - low) / span}) for row in rows]


def _plain(row: Mapping[str, Any]) -> Spec:
    """Return a row as JSON can hold it, to seven digits."""
    values = {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
    return {key: float(f"{value:.7g}") if isinstance(value, float) else value for key, value in values.items()}


def _across(runs: pd.DataFrame, x: str) -> alt.X:
    if not _is_axis(runs[x]):
        names = [value_text(cell[x]) for cell, _ in _in_order(runs, [x])]
        return alt.X(
            "xname:N", sort=names, title=plain(x), axis=alt.Axis(labelAngle=0 if max(map(len, names)) < 12 else -20)
        )
    values = sorted(runs[x].unique().tolist())
    wide = values[0] > 0 and values[-1] / values[0] > MAGNITUDES
    scale = alt.Scale(type="log" if wide else "linear", zero=False, nice=False, padding=12)
    ticks = values if len(values) <= MOST_TICKS else alt.Undefined
    axis = alt.Axis(labelOverlap=True, format=",~r", values=ticks)
    return alt.X("x:Q", title=plain(x), scale=scale, axis=axis)


def _colour(groups: list[str], title: str, has_order: bool) -> Any:
    """Return how groups are distinguished: colours in order if the groups have one."""
    if len(groups) == 1:
        return alt.value(COLOURS[0])
    in_order = has_order or len(groups) > MOST_COLOURS
    some = sns.color_palette("viridis", len(groups) + 1).as_hex() if in_order else COLOURS
    scale = alt.Scale(domain=groups, range=list(some[: len(groups)]))
    longest = max(map(len, groups))
    columns = 6 if longest < 6 else 2 if longest < 24 else 1
    legend = alt.Legend(orient="bottom", columns=columns, titleLimit=340, labelLimit=330, symbolType="circle")
    return alt.Color("group:N", sort=groups, title=title, scale=scale, legend=legend)


def _sized(chart: Any, height: int) -> Spec:
    return dressed(chart.properties(width="container", height=height))


def dressed(chart: Any) -> Spec:
    """Return a chart as a specification in the style of the page."""
    styled = (
        chart.configure(font="system-ui, sans-serif", background="transparent")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e8ebee")
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", symbolOpacity=1)
        .configure_title(fontSize=14)
    )
    spec: Spec = styled.to_dict(validate=True)
    return spec | {"autosize": {"type": "fit-x", "contains": "padding"}}
