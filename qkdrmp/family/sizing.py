"""The noun `SizingRules`: what of the scenarios of a family can be made larger to meet targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Changes = Mapping[str, Any]
"""New values of fields, by path."""


@dataclass(frozen=True)
class Alternative:
    """Other values of some fields, with which a design may do with less.

    Parameters
    ----------
    words : str
        What it is, such as ``pools serve down to their last key``.
    changes : dict of str to object
    """

    words: str
    changes: Changes


@dataclass(frozen=True)
class Upgrade:
    """A link made faster.

    Parameters
    ----------
    place : str
        The link.
    load : float
        Its offered load.
    now, then : float
        Its rate, per second.
    changes : dict of str to object
    """

    place: str
    load: float
    now: float
    then: float
    changes: Changes


def no_alternatives(scenario: Any) -> Iterator[Alternative]:
    """Yield nothing."""
    return iter(())


def no_upgrades(scenario: Any, most_load: float) -> list[Upgrade]:
    """Return nothing."""
    return []


@dataclass(frozen=True, kw_only=True)
class SizingRules:
    """How scenarios of a family are sized.

    Parameters
    ----------
    field : str
        The field that is sized unless another one is asked for: a whole number, of which more is better.
    prepared : callable
        Returns a scenario as it is sized, and why it was changed, if it was.
    alternatives : callable
        Yields other values of fields worth a try.
    relief : callable
        Returns the upgrades after which no link of a scenario has more than some load, those of the busiest first.
    fastest : callable
        Returns the upgrades that double the rate of each of the busiest links, by itself.
    share_field : str
        The field with a factor on sizes that differ by link; empty if there is none.
    by_link : callable
        Returns the changes that give each link a size by what the pools of runs needed, given the scenario and the
        tables of pools of some runs.
    sizes : callable
        Returns the size of each link: ``link``, ``capacity``.
    """

    field: str
    prepared: Callable[[Any], tuple[Any, str]] = lambda scenario: (scenario, "")
    alternatives: Callable[[Any], Iterator[Alternative]] = no_alternatives
    relief: Callable[[Any, float], list[Upgrade]] = no_upgrades
    fastest: Callable[[Any], list[Upgrade]] = lambda scenario: []
    share_field: str = ""
    by_link: Callable[[Any, list[pd.DataFrame]], Changes] = lambda scenario, pools: {}
    sizes: Callable[[Any], pd.DataFrame] = lambda scenario: pd.DataFrame()
