"""The story of a single run: how loaded its links were in the course of time, and what its nodes had served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qkdrmp.family.results import Results

BINS = 60
"""Parts of equal length into which the time of a run is divided."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A quantity of a link in each bin of time.

    Parameters
    ----------
    name : str
    low, mean, high : array of `BINS` numbers
        Its smallest, mean and largest value in each bin.
    """

    name: str
    low: Values
    mean: Values
    high: Values


@dataclass(frozen=True)
class LinkStory:
    """One link in the course of time.

    Parameters
    ----------
    ends : tuple of str
    series : tuple of Series
        One for each key stream, or a single one.
    load : array of `BINS` numbers
        The measure by which the map is coloured, from 0 to 1.
    marks : dict of str to float
        Levels worth a line, by name.
    """

    ends: tuple[str, str]
    series: tuple[Series, ...]
    load: Values
    marks: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its two ends."""
        return " – ".join(self.ends)


@dataclass(frozen=True)
class Story:
    """What happened in the course of a run, for a map with a slider.

    Parameters
    ----------
    results : Results
        With its messages.
    links : list of LinkStory
        Those links whose load is known.
    served : dict of str to array of `BINS` numbers
        What each node had served up to the end of each bin.
    served_label, load_label, level_label : str
        What `served`, the `load` of a link and its series are.
    load_is_good : bool
        Whether links with a high `load` are the good ones.
    bottleneck : LinkStory or None
        The link that limits the run most.
    finding : str
        The sentence that says so, or says that there is none.
    tables : dict of str to pandas.DataFrame
        The tables of the run to show, by title.
    remarks : tuple of str
        What else there is to say about this run, in sentences.
    """

    results: Results
    links: list[LinkStory]
    served: Mapping[str, Values]
    served_label: str
    load_label: str
    level_label: str
    load_is_good: bool
    bottleneck: LinkStory | None
    finding: str
    tables: Mapping[str, pd.DataFrame]
    remarks: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Everything to say about the run."""
        return " ".join([self.finding, *self.remarks])


def edges(duration_s: float) -> Values:
    """Return the ends of the bins of time, and the start of the first, s."""
    return np.linspace(0.0, duration_s, BINS + 1)


def served_by(nodes: list[str], done: pd.DataFrame, duration_s: float) -> dict[str, Values]:
    """Return how much each node had served up to the end of each bin: what was delivered on a path that it is on.

    Parameters
    ----------
    nodes : list of str
    done : pandas.DataFrame
        One row a delivery: ``time_s`` and ``path``, nodes joined by ``>``.
    duration_s : float
    """
    upto = edges(duration_s)[1:]
    paths = pd.Series([str(path).split(">") for path in done["path"]], done.index, dtype=object)
    passed = done.assign(node=paths).explode("node")
    times = {str(name): np.sort(group.to_numpy(dtype=float)) for name, group in passed.groupby("node")["time_s"]}
    never = np.empty(0)
    return {name: np.searchsorted(times.get(name, never), upto, side="right").astype(float) for name in nodes}
