"""What theory says of the cells of a sweep, as a table beside the simulated values, and in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
import scipy

from qkdrmp.errors import QKDRMPError
from qkdrmp.family import family_of
from qkdrmp.plots.axes import cells
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import has_succeeded, swept_columns
from qkdrmp.stats.words import capital, percent
from qkdrmp.verdicts.design import amount, cell_words, longest, made, metric_name, single

CERTAIN = 0.9999
"""How sure it has to be that a mean is above its bound, or is not what a law says, before that is called an error."""
NOT_LAWS = "no bound or closed law is known for this scenario"
MOST_LINES = 6
ALL = 0.995


def law_table(runs: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Return what theory says of the cells of a sweep, beside what was simulated.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row a run, as `sweep` returns it; failed runs are left out.
    scenario : Scenario
        What was swept.

    Returns
    -------
    pandas.DataFrame
        One row for each cell and law: the swept fields, ``metric``, ``law`` (its name), ``value`` (what it says),
        ``is_bound`` (whether the mean cannot be above it; otherwise they are equal), ``because``, ``simulated`` (the
        mean of the runs), ``share`` of the value that this is, and ``is_broken``: whether the runs show with 99.99 %
        confidence that it does not hold, which is an error of the simulator, or of a model of your own.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line")
    >>> runs = qkdrmp.sweep(scenario, {"demand.rate_per_s": [15, 100]}, replications=3)
    >>> table = qkdrmp.law_table(runs, scenario).query("metric == 'key_rate_bps'")
    >>> table["value"].round(0).tolist(), table["is_broken"].tolist()
    ([15360.0, 20461.0], [False, False])
    """
    good = runs[has_succeeded(runs)]
    fields = swept_columns(good)
    rows = []
    for cell, group in cells(good, fields):
        try:
            laws = family_of(scenario).laws(made(scenario, cell))
        except QKDRMPError:  # a policy of the user's own is known by its name only
            continue
        for law in laws:
            if law.metric in group:
                values = group[law.metric].astype(float)
                rows.append({**cell, **_compared(law, values)})
    return pd.DataFrame(
        rows, columns=[*fields, "metric", "law", "value", "is_bound", "because", "simulated", "share", "is_broken"]
    )


def _compared(law: Any, values: pd.Series[Any]) -> dict[str, Any]:
    mean = float(values.mean())
    known = {"metric": law.metric, "law": law.name, "value": law.value, "is_bound": law.is_bound}
    share = mean / law.value if law.value else math.nan
    broken = _is_broken(law.value, law.is_bound, values.dropna())
    return {**known, "because": law.because, "simulated": mean, "share": share, "is_broken": broken}


def _is_broken(value: float, is_bound: bool, values: pd.Series[Any]) -> bool:
    """Return whether a mean is certainly above its bound, or certainly not what a law says."""
    if len(values) < 3:
        return False
    tail = CERTAIN if is_bound else (1 + CERTAIN) / 2
    half = float(scipy.special.stdtrit(len(values) - 1, tail) * values.std(ddof=1) / math.sqrt(len(values)))
    above = float(values.mean()) - value
    return above > half + 1e-6 * abs(value) if is_bound else abs(above) > half + 0.01 * abs(value)


def theory(runs: pd.DataFrame, scenario: Scenario, laws: pd.DataFrame) -> Iterator[str]:
    """Say what theory says of the cells of the longest duration, and how near to it they come.

    Parameters
    ----------
    runs : pandas.DataFrame
    scenario : Scenario
    laws : pandas.DataFrame
        As `law_table` returns it.
    """
    ends = longest(runs)
    table = longest(laws)
    if table.empty:
        yield capital(f"{NOT_LAWS}.")
        return
    shown = [metric for metric in dict.fromkeys(table["metric"]) if metric != "requests_delivered"]
    lines = [line for metric in shown for line in _of_metric(table[table["metric"] == metric], ends, scenario)]
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"{len(lines) - MOST_LINES} other values of theory are in the table of laws."
    if (broken := table[table["is_broken"]]).size:
        cell = cell_words({name: broken.iloc[0][name] for name in swept_columns(runs)})
        name, law = metric_name(broken.iloc[0]["metric"]), broken.iloc[0]["law"]
        yield (
            f"With {cell}, {name} does not agree with theory ({law}). That must not be: please report it, unless it "
            "comes from a model of your own."
        )


def _of_metric(table: pd.DataFrame, runs: pd.DataFrame, scenario: Scenario) -> Iterator[str]:
    fields = [name for name in swept_columns(runs) if runs[name].nunique(dropna=False) > 1]
    metric = str(table["metric"].iloc[0])
    for (because, is_bound), group in table.groupby(["because", "is_bound"], sort=False):
        where = "" if len(group) == len(table) else f"with {_cells(group, fields)}, "
        lowest, highest = (single(metric, value) for value in (group["value"].min(), group["value"].max()))
        value = lowest if lowest == highest else f"{lowest} to {highest}"
        if is_bound:
            yield capital(
                f"{where}no protocol, pool size or route can bring the mean {metric_name(metric)} above {value} "
                f"({group['law'].iloc[0]}; {because}): {_reached(group['share'])} is reached."
            )
            continue
        for row in group.to_dict("records"):
            cell = {name: row[name] for name in fields}
            same = runs[(runs[fields] == pd.Series(cell)).all(axis=1)] if fields else runs
            at = f"with {cell_words(cell)}, " if len(table) > 1 else ""
            yield capital(
                f"{at}{metric_name(metric)} is {single(metric, row['value'])} by theory ({row['law']}; {because}), and "
                f"{amount(metric, same[metric])} in the runs."
            )


def _reached(shares: pd.Series[float]) -> str:
    """Return shares of a bound; by chance more than the mean may be asked for, and delivered."""
    least, most = percent(shares.min()), percent(shares.max())
    if shares.max() < ALL:
        return f"{least} of it" if least == most else f"{least} to {most} of it"
    return "all of it" if shares.min() >= ALL else f"{least} to all of it"


def _cells(group: pd.DataFrame, fields: list[str]) -> str:
    first = cell_words({name: group.iloc[0][name] for name in fields})
    return first if len(group) == 1 else f"{first} and {len(group) - 1} more"
