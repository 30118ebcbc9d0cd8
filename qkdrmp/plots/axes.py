"""The axes of a figure of a sweep: which field goes along x, which set lines apart, and the points of each line.

Figures and reports, which draw with different libraries, both start from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from qkdrmp.plots.canvas import COLOURS
from qkdrmp.plots.labels import value_text
from qkdrmp.stats.estimators import ROUNDING, half_width, swept_columns

LEAST_POINTS = 3
"""Numbers that a field needs to be preferred along x."""
LEAST_SPAN = 0.02
"""An axis that does not begin at 0 spans at least this share of its values: smaller differences are to look small."""
NOT_FROM_ZERO = "axis does not begin at 0"
MAGNITUDES = 50.0
"""Values whose largest is at least so many times the smallest have a logarithmic axis."""


def swept(runs: pd.DataFrame) -> list[str]:
    """Return the swept columns of a table of runs: those before ``replication`` that take several values.

    If none does, it is the first of them.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4], "queue.policy": ["fcfs"]}, replications=1)
    >>> qkdrmp.plots.swept(runs)
    ['pools.capacity']
    """
    return varied(runs) or swept_columns(runs)[:1]


def varied(runs: pd.DataFrame) -> list[str]:
    """Return the columns before ``replication`` that take several values."""
    return [name for name in swept_columns(runs) if runs[name].nunique(dropna=False) > 1]


def is_scale(values: pd.Series[Any]) -> bool:
    """Return whether values can be points of an axis: several numbers, none of them missing.

    Examples
    --------
    >>> import pandas as pd
    >>> import qkdrmp
    >>> qkdrmp.plots.is_scale(pd.Series([2, 4, 8])), qkdrmp.plots.is_scale(pd.Series(["fcfs", "priority"]))
    (True, False)
    """
    kinds = pd.api.types
    number = kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    return bool(number and not values.isna().any() and values.nunique() > 1)


def along(runs: pd.DataFrame) -> str:
    """Return the swept field that shows most along x: the first scale of three numbers or more, else names."""
    fields = swept(runs)
    names = [name for name in fields if not is_scale(runs[name])]
    return [*_long_scales(runs), *names, *fields][0]


def is_scattered(runs: pd.DataFrame, x: str) -> bool:
    """Return whether no two points differ in `x` alone, as in a design without a grid: lines would be meaningless."""
    fields = swept(runs)
    others = [name for name in fields if name != x]
    points = runs[fields].drop_duplicates()
    return x in fields and bool(others) and not points.duplicated(others).any()


def is_grid(runs: pd.DataFrame) -> bool:
    """Return whether the runs are over two swept fields, each a scale of three numbers or more."""
    fields = swept(runs)
    return len(fields) == len(_long_scales(runs)) == 2 and not is_scattered(runs, fields[0])


def _long_scales(runs: pd.DataFrame) -> list[str]:
    return [name for name in swept(runs) if is_scale(runs[name]) and runs[name].nunique() >= LEAST_POINTS]


def cells(runs: pd.DataFrame, fields: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield each combination of the values of some fields, and its runs: numbers rising, names as in the table."""
    if not fields:
        yield {}, runs
        return
    ranks = [pd.factorize(runs[name], sort=is_scale(runs[name]), use_na_sentinel=False)[0] for name in fields]
    for _, group in runs.groupby(ranks):
        yield {name: group[name].iloc[0] for name in fields}, group


def value_range(low: float, high: float, lowest_mean: float) -> tuple[float, float]:
    """Return where an axis of values begins and ends: at 0, unless that would hide the differences.

    Even then differences of less than 2 % do not fill it.

    Parameters
    ----------
    low, high : float
        The ends of what is drawn, intervals included.
    lowest_mean : float
        If it is not negative, no true value is, and nothing below 0 is shown.
    """
    if high - low <= ROUNDING * abs(high):  # else the axis would show nothing but rounding errors
        bottom, top = sorted((0.0, 1.5 * high))
        return (bottom, top) if top > bottom else (0.0, 1.0)
    if lowest_mean >= 0 and low < high / 2:
        return 0.0, high
    wider = max(0.0, LEAST_SPAN * max(abs(low), abs(high)) - (high - low)) / 2
    return low - wider, high + wider


def say_where_it_begins(ax: Axes) -> None:
    """Write on axes whether their values do not begin at 0, and keep that true when their limits change."""
    _say_where_it_begins(ax)
    ax.callbacks.connect("ylim_changed", _say_where_it_begins)


def _say_where_it_begins(ax: Axes) -> None:
    for text in [text for text in ax.texts if text.get_text() == NOT_FROM_ZERO]:
        text.remove()
    low, high = sorted(ax.get_ylim())
    if low > 0 or high < 0:
        corner: Any = {"xycoords": "axes fraction", "xytext": (3, 2), "textcoords": "offset points", "va": "bottom"}
        ax.annotate(NOT_FROM_ZERO, (0, 0), **corner, fontsize=8, color="0.35")


@dataclass(frozen=True)
class Line:
    """A metric over x.

    Parameters
    ----------
    name : str
        The values of the other swept fields.
    colour : str
    points : pandas.DataFrame
        One row a point: its ``x``, that in words (``name``), and the ``mean`` of the replications with the ``half``
        width of its 95 % interval; both are nan where they are not known.
    """

    name: str
    colour: str
    points: pd.DataFrame


@dataclass(frozen=True)
class SweepAxes:
    """Which swept field goes where.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    x : str
        The field along x.
    others : tuple of str
        The fields whose values set lines apart.
    is_scattered : bool
        Whether there are no lines, but the points of a design that is not a grid.
    """

    runs: pd.DataFrame
    x: str
    others: tuple[str, ...]
    is_scattered: bool = False

    @classmethod
    def of(cls, runs: pd.DataFrame, x: str | None = None) -> SweepAxes:
        """Return the axes of some runs, with a field along x that is given, or the one that shows most."""
        x = along(runs) if x is None else x
        if is_scattered(runs, x):
            return cls(runs, x, (), True)
        return cls(runs, x, tuple(name for name in swept(runs) if name != x))

    @property
    def is_scale(self) -> bool:
        """Whether the values along x are points of an axis; otherwise they are names."""
        return is_scale(self.runs[self.x])

    @property
    def has_lines(self) -> bool:
        """Whether points are joined by lines, with bands around them; otherwise they have bars."""
        return self.is_scale and not self.is_scattered

    @property
    def is_logarithmic(self) -> bool:
        """Whether the values along x span orders of magnitude."""
        values = self.runs[self.x]
        return self.is_scale and bool(0 < MAGNITUDES * values.min() <= values.max())

    @cached_property
    def names(self) -> list[str]:
        """The values along x, as people read them, in order."""
        return [value_text(cell[self.x]) for cell, _ in cells(self.runs, [self.x])]

    @cached_property
    def groups(self) -> list[tuple[str, pd.DataFrame]]:
        """The name and the runs of each line."""
        found = cells(self.runs, self.others)
        return [(", ".join(map(value_text, cell.values())), group) for cell, group in found]

    @property
    def has_order(self) -> bool:
        """Whether the colours of lines show an order: that of numbers, or any if there are too many to be distinct."""
        numbers = all(is_scale(self.runs[name]) for name in self.others)
        return len(self.groups) > 1 and (numbers or len(self.groups) > len(COLOURS))

    @property
    def colours(self) -> list[str]:
        """The colour of each line."""
        count = len(self.groups)
        return list(sns.color_palette("viridis", count + 1).as_hex() if self.has_order else COLOURS)[:count]

    def lines(self, metric: str, scale: float = 1.0) -> list[Line]:
        """Return the lines of a metric, which is multiplied by `scale`."""
        return [
            Line(name, colour, self._points(group, metric, scale))
            for (name, group), colour in zip(self.groups, self.colours, strict=True)
        ]

    def _points(self, runs: pd.DataFrame, metric: str, scale: float) -> pd.DataFrame:
        rows = []
        for cell, group in cells(runs, swept(self.runs) if self.is_scattered else [self.x]):
            values = scale * group[metric].to_numpy(dtype=float)
            mean = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            rows.append((cell[self.x], value_text(cell[self.x]), mean, half_width(values)))
        return pd.DataFrame(rows, columns=["x", "name", "mean", "half"])
