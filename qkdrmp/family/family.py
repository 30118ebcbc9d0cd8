"""The noun `Family`: everything that a protocol family declares, and the table of all families."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qkdrmp.errors import QKDRMPError
from qkdrmp.family.presentation import Presentation
from qkdrmp.family.quality import Quality
from qkdrmp.family.results import Results, Run, RunWarning
from qkdrmp.family.service import Pair, Service
from qkdrmp.family.sizing import SizingRules
from qkdrmp.family.theory import Law
from qkdrmp.metric import OWN_METRICS
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Better, Column, Table, tables_of
from qkdrmp.stats.estimators import TIME

SHARED_LABELS = {
    TIME: "time (s)",
    "duration_s": "simulated time (s)",
    "faults.loss": "lost messages (share)",
    "faults.duplication": "duplicated messages (share)",
    "faults.extra_delay_s": "longest extra delay of a message (s)",
}
"""What is called the same along an axis in every family."""


@dataclass(frozen=True)
class Quantity:
    """Something that a run shows in the course of time.

    Parameters
    ----------
    name : str
    measure : callable
        Returns what the results of a run show in each interval between some edges, s; nan where they show nothing.
    label : str
        What it is called along an axis, with its unit; by default like the metric of the same name.
    is_internal : bool
        Whether it is a state of the network, such as the level of a pool, and nothing that users get.
    """

    name: str
    measure: Callable[[Any, NDArray[np.float64]], NDArray[np.float64]]
    label: str = ""
    is_internal: bool = False


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the runs of a family count: the requests or connections that users ask for.

    Parameters
    ----------
    noun, nouns : str
        What one of them is called, and several; the table of all of them has the latter name, and columns ``id``,
        ``src``, ``dst``, ``state`` (``delivered``, ``rejected``, ``unfinished``, or another word) and ``reason``.
    begun, ended : str
        The columns of that table with when one was asked for, and when it ended.
    asked : str
        The metric with how many were asked for.
    goods, goods_asked : str
        The metrics with how much was delivered, and how much of it was asked for; the latter is nan where it is not
        known. Equal to each other, they say nothing about the network.
    shares : mapping of str to str
        The metrics that are a share, each with the metric that counts what it is a share of.
    reasons : mapping of str to str
        Why one of them may be rejected, by the word for it in tables, in a few more words.
    """

    noun: str
    nouns: str
    begun: str
    ended: str
    asked: str
    goods: str
    goods_asked: str
    shares: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A protocol family, as it declares itself.

    Parameters
    ----------
    kind : str
        Its name in scenarios.
    title : str
        What its scenarios are about, in words.
    scenario : type of Scenario
    results : type of Results
    start : callable
        Returns a run at tick 0 of a scenario, a seed, and the names of what to record.
    known_beforehand : callable
        Returns, in sentences by topic, what is known of runs of a scenario before them, right or wrong; the load that
        is offered to links has the topic ``Load``.
    predict : callable
        Returns, in sentences, what will go wrong in runs of a scenario.
    service : callable, optional
        Returns the `Service` of the network of a scenario, by which it is known what is lost if a link is gone.
    bridges_s : callable, optional
        Returns, of the results of a run, for how long a stock on each link would serve on if it made nothing more, in
        seconds; by default there is no stock.
    laws : callable
        Returns what theory says of the metrics of a scenario; nothing where none applies.
    metrics : tuple of Column
        The metrics of a run; its summary has these columns.
    main_metric : str
        The metric that sums up a run; more is better, and its title is a plural, such as ``requests processed``.
    print_metrics : tuple of str
        The main metrics: drawn for print, unless all runs have the same value, and first where designs are compared.
    counted : Counted
    sizing : SizingRules
        What can be made larger to meet targets.
    qualities : tuple of Quality
        By which the cells of a sweep are judged, the first being that of throughput.
    field_labels : mapping of str to str
        What the fields of its scenarios are called along an axis, by path, units included.
    warning : type of RunWarning
        Of the warnings about how a run ended.
    has_steady_state : callable
        Returns whether runs of a scenario have a steady state, which there is none of if its demand ends.
    settling : tuple of Quantity
        By which the end of the warm-up is recognised.
    settling_record : tuple of str
        What runs have to record for these.
    figures_record : tuple of str, optional
        What a single run has to record for its figures; by default, it has none.
    presentation_module : str
        The module whose ``PRESENTATION`` is the `Presentation` of the family. It is imported when it is first needed:
        what draws is slow to import, and most runs draw nothing.
    """

    kind: str
    title: str
    scenario: type[Scenario[Any]]
    results: type[Results]
    start: Callable[[Any, int, Collection[str]], Run]
    known_beforehand: Callable[[Any], Mapping[str, Sequence[str]]]
    predict: Callable[[Any], list[str]]
    laws: Callable[[Any], Sequence[Law]]
    metrics: tuple[Column[Any], ...]
    main_metric: str
    print_metrics: tuple[str, ...]
    counted: Counted
    sizing: SizingRules
    qualities: tuple[Quality, ...]
    field_labels: Mapping[str, str]
    service: Callable[[Any], Service] | None = None
    bridges_s: Callable[[Any], Mapping[Pair, float]] | None = None
    warning: type[RunWarning] = RunWarning
    has_steady_state: Callable[[Any], bool]
    settling: tuple[Quantity, ...]
    settling_record: tuple[str, ...]
    figures_record: tuple[str, ...] | None = None
    presentation_module: str

    @cached_property
    def presentation(self) -> Presentation:
        """What is said and drawn about its runs."""
        found: Presentation = importlib.import_module(self.presentation_module).PRESENTATION
        return found

    @cached_property
    def labels(self) -> dict[str, str]:
        """What its metrics, its quantities and the fields of its scenarios are called along an axis, by name."""
        quantities = {quantity.name: quantity.label for quantity in self.settling if quantity.label}
        metrics = {metric.name: metric.label for metric in self.metrics}
        return {**SHARED_LABELS, **self.field_labels, **quantities, **metrics}

    @cached_property
    def better(self) -> dict[str, Better]:
        """Whether more or less of each metric is better, by name."""
        return {metric.name: metric.better for metric in self.metrics}

    @cached_property
    def given(self) -> dict[str, str]:
        """For each metric of what was delivered only, the one with the share that was not, by name."""
        return {metric.name: metric.given for metric in self.metrics if metric.given}

    @property
    def tables(self) -> dict[str, Table[Any]]:
        """The kinds of table that its results have, by name."""
        return tables_of(self.results)

    @property
    def records(self) -> tuple[str, ...]:
        """What its runs record only if asked to."""
        asked = (table.record for table in self.tables.values())
        return tuple(dict.fromkeys(record for record in asked if record is not None))


FAMILIES: dict[str, Family] = {}
"""All protocol families by kind; see `simulation`, where they are entered."""


def family_of(scenario: Scenario[Any]) -> Family:
    """Return the protocol family of a scenario.

    Raises
    ------
    QKDRMPError
        If it is something else.
    """
    return FAMILIES[checked_scenario(scenario).kind]


def checked_scenario(scenario: Any) -> Scenario[Any]:
    """Return a scenario.

    Raises
    ------
    QKDRMPError
        If it is something else, such as the name of one.
    """
    if isinstance(scenario, Scenario):
        return scenario
    raise QKDRMPError(f"scenario = {scenario!r} must be a Scenario, as load_scenario returns it")


def declared_metrics() -> Iterator[Column[Any]]:
    """Yield the metrics of all protocol families, and those of the user's own."""
    for family in FAMILIES.values():
        yield from family.metrics
    yield from OWN_METRICS.values()
