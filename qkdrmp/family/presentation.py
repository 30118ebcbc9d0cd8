"""What is said and drawn about the runs of a protocol family, on the command line, in reports and in diagrams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from qkdrmp.family.results import Results
from qkdrmp.family.story import Story

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FigureFile: TypeAlias = "tuple[str, Axes]"
"""The name of a file, and the axes of what goes into it."""


@dataclass(frozen=True)
class MessageSequence:
    """The messages about one request or connection, and what happened at nodes meanwhile.

    Parameters
    ----------
    title : str
        From where to where, and how it ended.
    path : tuple of str
        The nodes on its way, in order.
    messages : pandas.DataFrame
        One row a message: ``source``, ``target``, ``message`` (its kind), ``sent_s``, ``received_s`` (empty if it was
        lost) and ``detail``.
    notes : pandas.DataFrame
        What happened at a node: ``time_s``, ``node`` and ``text``; the node ``A,B`` is a note over both.
    """

    title: str
    path: Sequence[str]
    messages: pd.DataFrame
    notes: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class MessagePresentation:
    """How the messages of a protocol family are shown in ladder diagrams.

    Parameters
    ----------
    ids : callable
        Returns the ids of the requests or connections in the results of a run.
    sequence : callable
        Returns the messages about one of them, by its id.
    colours : mapping of str to str
        The colour of each kind of message: a name of `ladder.colours.PALETTE`.
    frequent : tuple of str
        Kinds that a diagram leaves out unless asked: there are too many of them.
    """

    ids: Callable[[Results], Sequence[Any]]
    sequence: Callable[[Results, Any], MessageSequence]
    colours: Mapping[str, str]
    frequent: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RuleListing:
    """The rules that nodes were given for a request or connection.

    Parameters
    ----------
    lines : tuple of str
        For people.
    json : str
        For programs.
    """

    lines: Sequence[str]
    json: str


def no_figures(results: Results) -> Iterator[FigureFile]:
    """Return no figures."""
    return iter(())


def no_cautions(cells: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Return no sentences."""
    return iter(())


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What is said and drawn about the runs of a protocol family.

    Parameters
    ----------
    cell_summary : callable
        Returns in a phrase what came out of the runs of one cell of a sweep.
    run_figures : callable
        Yields the figures of the results of one run, if its family has a ``figures_record``.
    sweep_figures : callable
        Yields the figures of a table of runs, given what theory says of them (see `law_table`), and a function that
        simulates the last cell once more and returns the results.
    story_record : tuple of str
        What a run has to record for `story`.
    story : callable
        Returns what happened in the course of a run that has ended, given the run and its results.
    cautions : callable
        Yields sentences on what makes the metrics of a sweep doubtful, given the runs of each cell by its description.
    messages : MessagePresentation, optional
        By default there are no ladder diagrams.
    rulesets_record : tuple of str
        What a run has to record for `rulesets`.
    rulesets : callable, optional
        Returns the rules that nodes were given, given the run, by the request or connection that they are for; by
        default there are none.
    """

    cell_summary: Callable[[pd.DataFrame], str]
    run_figures: Callable[[Results], Iterator[FigureFile]] = no_figures
    sweep_figures: Callable[[pd.DataFrame, pd.DataFrame, Callable[[], Results]], Iterator[FigureFile]]
    story_record: tuple[str, ...]
    story: Callable[[Any, Results], Story]
    cautions: Callable[[Mapping[str, pd.DataFrame]], Iterator[str]] = no_cautions
    messages: MessagePresentation | None = None
    rulesets_record: tuple[str, ...] = ()
    rulesets: Callable[[Any], Mapping[str, RuleListing]] | None = None
