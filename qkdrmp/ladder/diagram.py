"""Ladder diagrams: the messages of one request or one connection, as a run really sent them.

Nodes stand side by side in the order of the path and time runs down. `of` reads the results of a run; a `Ladder` is
drawn into axes or written as Mermaid text.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.errors import QKDRMPError, did_you_mean, listed
from qkdrmp.family import Family, MessagePresentation, Results, family_of
from qkdrmp.ladder.layout import LadderLayout, over
from qkdrmp.ladder.picture import Picture
from qkdrmp.plots.times import brief

ARROW_COLUMNS = ["source", "target", "message", "sent_s", "received_s", "detail"]
NOTE_COLUMNS = ["time_s", "node", "text"]
IDS_SHOWN = 5
ESCAPED = {ord(mark): f"#{ord(mark)};" for mark in '#;"%<>'} | {ord(mark): " " for mark in "\r\n\t"}


@dataclass(frozen=True)
class Ladder:
    """The messages between a few nodes.

    Parameters
    ----------
    title : str
    nodes : tuple of str
        From left to right.
    arrows : pandas.DataFrame
        One row a message, with the columns `ARROW_COLUMNS`; ``received_s`` is empty if it was lost.
    notes : pandas.DataFrame
        What happened at a node, with the columns `NOTE_COLUMNS`; the node ``A,B`` is a note over both.
    colour_names : mapping of str to str
        The names of the colours that kinds of messages have, see `colours.PALETTE`; others have what is free.
    """

    title: str
    nodes: tuple[str, ...]
    arrows: pd.DataFrame
    notes: pd.DataFrame
    colour_names: Mapping[str, str] = field(default_factory=dict)

    def mermaid(self, times: bool = False) -> str:
        """Return the ladder as a Mermaid sequence diagram, in the order of sending.

        Parameters
        ----------
        times : bool
            Whether to write behind each message how long after the first it was sent.

        Examples
        --------
        >>> import qkdrmp
        >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1, record=["messages"])
        >>> print(qkdrmp.ladder.of(results, 3).mermaid(times=True))
        sequenceDiagram
            title: line, seed 1: request 3, Alice to Bob, delivered
            participant n0 as Alice
            participant n1 as R
            participant n2 as Bob
            Note over n0: asked
            n0->>n1: REQUEST +0 s
            n1->>n2: REQUEST +50 µs
            ...
        """
        alias = {name: f"n{number}" for number, name in enumerate(self.nodes)}
        people = [f"    participant {alias[name]} as {_escaped(name)}" for name in self.nodes]
        begin = self.arrows["sent_s"].min()
        lines = [
            (time, f"Note over {','.join(alias[name] for name in over(node, self.nodes))}: {_escaped(text)}")
            for time, node, text in self.notes[NOTE_COLUMNS].itertuples(index=False)
        ]
        for source, target, message, sent, received, detail in self.arrows[ARROW_COLUMNS].itertuples(index=False):
            label = _escaped(" ".join(filter(None, [message, detail, f"+{brief(sent - begin, 6)}" if times else ""])))
            lines.append((sent, f"{alias[source]}{'--x' if math.isnan(received) else '->>'}{alias[target]}: {label}"))
        steps = [f"    {line}" for _, line in sorted(lines, key=lambda line: line[0])]
        title = [f"    title: {_escaped(self.title)}"] if self.title.strip() else []
        return "\n".join(["sequenceDiagram", *title, *people, *steps, ""])

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draw the ladder: time runs down, long stretches without a message are cut, ticks show the true time.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it, a figure as high as the messages need.

        Examples
        --------
        >>> import qkdrmp
        >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1, record=["messages"])
        >>> ax = qkdrmp.ladder.of(results, 3).draw()
        >>> ax.get_ylabel()
        'time'
        """
        return Picture(self.layout(), ax).ax

    def layout(self) -> LadderLayout:
        """Return which of its messages are shown, and where."""
        return LadderLayout.of(self.title, self.nodes, self.arrows, self.notes, self.colour_names)


def of(results: Results, wanted: int | str | None = None, *, all_messages: bool = False) -> Ladder:
    """Return the ladder of one request or connection.

    Parameters
    ----------
    results : Results
        Of a run that recorded its messages.
    wanted : int or str, optional
        Number of a request, or id of a connection, also of one within a network; by default the `first`.
    all_messages : bool
        Whether to show frequent messages as well, such as those that are sent for every single pair.

    Raises
    ------
    QKDRMPError
        If there is no such request or connection, the run did not record its messages, or the family has none.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("shared_link"), seed=1, record=["messages"])
    >>> ladder = qkdrmp.ladder.of(results, "C")
    >>> ladder.title
    'shared_link, seed 1: connection C, C1 to C2, delivered'
    >>> ladder.nodes
    ('C1', 'R1', 'R2', 'C2')
    >>> ladder.arrows["message"].unique().tolist()
    ['CSR', 'RESPONSE', 'LAU', 'BARRIER', 'TERMINATION']
    """
    family = family_of(results.scenario)
    messages = messages_of(family)
    found = _id(results, first(results) if wanted is None else wanted)
    sequence = messages.sequence(results, found)
    left_out = () if all_messages else messages.frequent
    arrows = sequence.messages[~sequence.messages["message"].isin(left_out)].sort_values("sent_s", kind="stable")
    arrows = arrows[ARROW_COLUMNS].fillna({"detail": ""}).reset_index(drop=True)
    notes = sequence.notes[NOTE_COLUMNS].sort_values("time_s", kind="stable").reset_index(drop=True)
    title = f"{results.scenario.name}, seed {results.seed}: {family.counted.noun} {found}, {sequence.title}"
    return Ladder(title, _in_order(sequence.path, arrows, notes), arrows, notes, messages.colours)


def first(results: Results) -> int | str:
    """Return the id of the first delivered request or connection; of one not rejected, or of any, if there is none.

    Raises
    ------
    QKDRMPError
        If nothing was asked for.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1)
    >>> qkdrmp.ladder.first(results)
    1
    """
    nouns = family_of(results.scenario).counted.nouns
    table = results.table(nouns)
    if table.empty:
        raise QKDRMPError(f"there is nothing to draw: the run has no {nouns}")
    delivered = table[table["state"] == "delivered"]
    not_rejected = table[table["state"] != "rejected"]
    found = next(rows for rows in (delivered, not_rejected, table) if len(rows))["id"].iloc[0]
    return found if isinstance(found, str) else int(found)


def messages_of(family: Family) -> MessagePresentation:
    """Return how the messages of a family are shown.

    Raises
    ------
    QKDRMPError
        If it sends none.
    """
    messages = family.presentation.messages
    if messages is None:
        raise QKDRMPError(f"there are no ladder diagrams of runs of kind '{family.kind}': they send no messages")
    return messages


def _id(results: Results, wanted: int | str) -> Any:
    """Return an id as the tables of a run have it; numbers may be given as text."""
    family = family_of(results.scenario)
    known = {str(one): one for one in messages_of(family).ids(results)}
    if str(wanted) in known:
        return known[str(wanted)]
    some = listed(known, IDS_SHOWN) or "none"
    hint = did_you_mean(str(wanted), (one for one in known.values() if isinstance(one, str)))  # numbers hint at nothing
    raise QKDRMPError(f"{results.scenario.name} has no {family.counted.noun} '{wanted}'{hint}; known are {some}")


def _in_order(path: Sequence[str], arrows: pd.DataFrame, notes: pd.DataFrame) -> tuple[str, ...]:
    """Return the nodes of a path, and each other one beside the node it exchanges most messages with."""
    nodes = list(path)
    exchanged = Counter(map(frozenset, zip(arrows["source"], arrows["target"], strict=True)))
    noted = (name for node in notes["node"] for name in over(node, nodes))
    others = [name for name in dict.fromkeys([*arrows["source"], *arrows["target"], *noted]) if name not in nodes]
    while others:
        pairs = itertools.product(others, nodes)
        other, beside = max(pairs, key=lambda pair: exchanged[frozenset(pair)])
        here = nodes.index(beside)
        left, right = (
            sum(exchanged[frozenset((other, name))] for name in side) for side in (nodes[:here], nodes[here + 1 :])
        )
        nodes.insert(here if left > right else here + 1, other)
        others.remove(other)
    return tuple(nodes)


def _escaped(text: str) -> str:
    return text.translate(ESCAPED)
