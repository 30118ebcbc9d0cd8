"""The figures over the swept fields, as Vega-Lite specifications: curves with confidence bands, and a heatmap.

Both hold all metrics of the table and show the one that their parameter ``metric`` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from qkdrmp.plots.axes import NOT_FROM_ZERO, SweepAxes, cells, is_scale, value_range, varied
from qkdrmp.plots.labels import in_unit, label, name_and_unit, plain, value_text
from qkdrmp.plots.laws import FAR
from qkdrmp.stats import estimators
from qkdrmp.stats.words import number

HEIGHT, CELL_HEIGHT = 320, 44
MOST_TICKS = 12
Spec = dict[str, Any]


def metrics_of(runs: pd.DataFrame, main: str) -> list[str]:
    """Return the columns that can be drawn, the main one first, those that are always 0 last."""
    swept = estimators.swept_columns(runs)
    known = [name for name in estimators.metrics_of(runs, swept) if runs[name].notna().any()]
    return sorted(known, key=lambda name: (name != main, not runs[name].fillna(0).any()))


def labels_of(runs: pd.DataFrame, metrics: Sequence[str]) -> dict[str, str]:
    """Return what each metric is called, with its unit: times in one that suits them."""
    return {name: _unit(runs, name)[1] for name in metrics}


def _unit(runs: pd.DataFrame, metric: str) -> tuple[float, str]:
    scale, words = in_unit(metric, runs[metric].abs().max())
    return scale, plain(words)


def _label(name: str) -> str:
    return plain(label(name))


def curves(runs: pd.DataFrame, metrics: Sequence[str], laws: pd.DataFrame | None = None) -> Spec:
    """Return the metrics over the swept fields: lines with bands, or points with bars.

    What theory says is a dashed line, unless it is far above what was simulated.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    metrics : sequence of str
        See `metrics_of`; the first is shown at first.
    laws : pandas.DataFrame, optional
        As `law_table` returns it.
    """
    sweep = SweepAxes.of(runs)
    rows = [row for metric in metrics for row in _rows(sweep, metric, laws)]
    title = ", ".join(_label(name) for name in sweep.others)
    words = f"domains[metric][0] > 0 ? [labels[metric], '({NOT_FROM_ZERO})'] : labels[metric]"
    base = _base(rows, runs, metrics, words).encode(x=_across(sweep), color=_colour(sweep, title))
    ends = [alt.ExprRef("domains[metric][0]"), alt.ExprRef("domains[metric][1]")]
    upright = alt.Scale(domain=ends, nice=True, zero=False)  # said for all layers, else those of areas add 0
    mean = alt.Y("mean:Q", title=None, scale=upright, axis=alt.Axis(tickCount=6))
    tooltip = [alt.Tooltip("interval:N", title="mean, 95 %"), alt.Tooltip("xname:N", title=_label(sweep.x))]
    tooltip += [alt.Tooltip("group:N", title=title)] if sweep.others else []
    points = base.mark_point(size=50, filled=True, opacity=1).encode(y=mean, tooltip=tooltip)
    interval = base.encode(y=alt.Y("low:Q", title=None, scale=upright), y2="high:Q")
    if sweep.has_lines:
        line = base.mark_line(strokeWidth=1.8).encode(y=mean)
        theory = [_theory(base, upright)] if any("law" in row for row in rows) else []
        return _sized(alt.layer(interval.mark_area(opacity=0.22, clip=True), *theory, line, points), HEIGHT)
    bars = interval.mark_rule(strokeWidth=1.6, clip=True)
    if sweep.is_scale or not sweep.others:
        return _sized(alt.layer(bars, points), HEIGHT)
    groups = [name for name, _ in sweep.groups]
    beside = alt.XOffset("group:N", sort=groups, scale=alt.Scale(paddingOuter=1))
    return _sized(alt.layer(bars.encode(xOffset=beside), points.encode(xOffset=beside)), HEIGHT)


def _theory(base: alt.Chart, upright: alt.Scale) -> Any:
    """Return what theory says, dashed."""
    tooltip = [alt.Tooltip("law:Q", title="by theory", format=",.4~r"), alt.Tooltip("lawname:N", title="law")]
    dashed = base.transform_filter("isValid(datum.law)").mark_line(strokeWidth=1.4, strokeDash=[5, 4], tooltip=True)
    return dashed.encode(y=alt.Y("law:Q", title=None, scale=upright), tooltip=tooltip)


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
    sweep = SweepAxes(kept, x, (y,))
    across, upwards = ([value_text(cell[field]) for cell, _ in cells(runs, [field])] for field in (x, y))
    if 2 * sum(1 for _ in cells(kept, [x, y])) < len(across) * len(upwards):
        return None  # no grid, but points in a design
    rows = [row for metric in metrics for row in _rows(sweep, metric)]
    base = _base(rows, kept, metrics).encode(
        x=alt.X("xname:N", sort=across, title=_label(x), axis=alt.Axis(labelAngle=0 if is_scale(runs[x]) else -30)),
        y=alt.Y("group:N", sort=upwards[::-1], title=_label(y)),
    )
    cell_of = base.mark_rect().encode(
        color=alt.Color("mean:Q", title=None, scale=alt.Scale(scheme="viridis", zero=False), legend=None),
        tooltip=[alt.Tooltip("interval:N", title="mean, 95 %")],
    )
    ink = alt.condition("datum.shade > 0.6", alt.value("black"), alt.value("white"))
    written = base.mark_text(fontSize=11).encode(text="short:N", color=ink)
    fixed = ", ".join(f"{name_and_unit(field)[0]} = {value_text(value)}" for field, value in last.items())
    return _sized(alt.layer(cell_of, written), CELL_HEIGHT * len(upwards)), fixed


def data_of(rows: list[Spec]) -> Any:
    """Return rows as the data of a chart."""
    return alt.InlineData(values=rows)


def _base(rows: list[Spec], runs: pd.DataFrame, metrics: Sequence[str], words: str = "labels[metric]") -> alt.Chart:
    labels = labels_of(runs, metrics)
    domains = {metric: _domain([row for row in rows if row["metric"] == metric]) for metric in metrics}
    title = alt.TitleParams(text=alt.ExprRef(words), anchor="start", fontWeight="normal")
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
    if not rows:
        return [0.0, 1.0]
    low, high = min(row["low"] for row in rows), max(max(row["high"], row.get("law", 0.0)) for row in rows)
    return list(value_range(low, high, min(row["mean"] for row in rows)))


def _rows(sweep: SweepAxes, metric: str, laws: pd.DataFrame | None = None) -> list[Spec]:
    """Return a row for each point of each line in which the metric is known."""
    scale, _ = _unit(sweep.runs, metric)
    known = {} if laws is None else _laws(sweep, laws[laws["metric"] == metric], scale)
    rows = [
        {
            "metric": metric,
            "group": line.name,
            "x": x,
            "xname": name,
            **_mean(mean, half),
            **known.get((line.name, x), {}),
        }
        for line in sweep.lines(metric, scale)
        for x, name, mean, half in line.points.itertuples(index=False)
        if mean == mean
    ]
    means = [row["mean"] for row in rows]
    low, span = min(means, default=0.0), (max(means, default=0.0) - min(means, default=0.0)) or 1.0
    return [_plain({**row, "shade": (row["mean"] - low) / span}) for row in rows]


def _laws(sweep: SweepAxes, laws: pd.DataFrame, scale: float) -> dict[tuple[str, Any], Spec]:
    """Return what theory says of each point of each line, unless it is far above what was simulated."""
    found = {}
    for row in laws.to_dict("records"):
        if 0 <= row["value"] <= FAR * row["simulated"]:
            group = ", ".join(value_text(row[field]) for field in sweep.others)
            found[group, row[sweep.x]] = {"law": scale * row["value"], "lawname": row["law"]}
    return found


def _mean(mean: float, half: float) -> Spec:
    known = half if half == half else 0.0
    interval = number(mean) + (f" ± {number(known, 3)}" if known > 0 else "")
    return {"mean": mean, "low": mean - known, "high": mean + known, "short": number(mean, 3), "interval": interval}


def _plain(row: Mapping[str, Any]) -> Spec:
    """Return a row as JSON can hold it, to seven digits."""
    values = {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
    return {key: float(f"{value:.7g}") if isinstance(value, float) else value for key, value in values.items()}


def _across(sweep: SweepAxes) -> alt.X:
    title = _label(sweep.x)
    if not sweep.is_scale:
        angle = 0 if max(map(len, sweep.names)) < 12 else -20
        return alt.X("xname:N", sort=sweep.names, title=title, axis=alt.Axis(labelAngle=angle))
    values = sorted(sweep.runs[sweep.x].unique().tolist())
    kind = {"type": "log"} if sweep.is_logarithmic else {"type": "linear", "zero": False}
    scale = alt.Scale(**kind, nice=False, padding=12)
    ticks = values if len(values) <= MOST_TICKS else alt.Undefined
    axis = alt.Axis(labelOverlap=True, format=",~r", values=ticks)
    return alt.X("x:Q", title=title, scale=scale, axis=axis)


def _colour(sweep: SweepAxes, title: str) -> Any:
    """Return how lines are distinguished: their colours, with a legend if there are several."""
    groups = [name for name, _ in sweep.groups]
    if len(groups) == 1:
        return alt.value(sweep.colours[0])
    longest = max(map(len, groups))
    columns = 6 if longest < 6 else 2 if longest < 24 else 1
    legend = alt.Legend(orient="bottom", columns=columns, titleLimit=340, labelLimit=330, symbolType="circle")
    scale = alt.Scale(domain=groups, range=sweep.colours)
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
    spec: Spec = styled.to_dict(validate=False)
    return spec | {"autosize": {"type": "fit-x", "contains": "padding"}}
