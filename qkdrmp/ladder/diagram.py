"""Ladder diagrams: the messages of one request or one connection, as a run really sent them.

Nodes stand side by side in the order of the path and time runs down. `of_request` and `of_connection` read the tables
of a run; a `Ladder` is drawn into axes or written as Mermaid text.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.errors import QKDRMPError, did_you_mean
from qkdrmp.family import Results
from qkdrmp.ladder.layout import LadderLayout, over
from qkdrmp.ladder.picture import Picture
from qkdrmp.plots.inputs import SimulatedScenario
from qkdrmp.plots.times import brief

ARROW_COLUMNS = ["source", "target", "message", "sent_s", "received_s", "detail"]
NOTE_COLUMNS = ["time_s", "node", "text"]
PER_PAIR = ("SWAPRESULT", "PURIFYRESULT")
IDS_SHOWN = 5
ESCAPED = {ord(mark): f"#{ord(mark)};" for mark in '#;"%<>'} | {ord(mark): " " for mark in "\r\n\t"}
NOUNS = {"qkd": "request", "entanglement": "connection"}
"""What a ladder is of, by the kind of scenario; the tables have it in the plural."""


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
    """

    title: str
    nodes: tuple[str, ...]
    arrows: pd.DataFrame
    notes: pd.DataFrame

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
        >>> print(qkdrmp.ladder.of_request(results, 3).mermaid(times=True))
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
        told = [f"    {line}" for _, line in sorted(lines, key=lambda line: line[0])]
        title = [f"    title: {_escaped(self.title)}"] if self.title.strip() else []
        return "\n".join(["sequenceDiagram", *title, *people, *told, ""])

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
        >>> ax = qkdrmp.ladder.of_request(results, 3).draw()
        >>> ax.get_ylabel()
        'time'
        """
        return Picture(self.layout(), ax).ax

    def layout(self) -> LadderLayout:
        """Return which of its messages are shown, and where."""
        return LadderLayout.of(self.title, self.nodes, self.arrows, self.notes)


def of_request(results: Results, request: int) -> Ladder:
    """Return the ladder of one request of the QKD family.

    Raises
    ------
    QKDRMPError
        If there is no such request, the family has none, or the run did not record its messages.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1, record=["messages"])
    >>> ladder = qkdrmp.ladder.of_request(results, 3)
    >>> ladder.title
    'line, seed 1: request 3, Alice to Bob, delivered'
    >>> ladder.nodes
    ('Alice', 'R', 'Bob')
    """
    check_noun(results.scenario, "request")
    messages = results.table("messages")
    _check_id(request, list(results.table("requests")["id"]), "request")
    row = _row(results.table("requests"), request)
    arrows = messages[messages["request"] == request].sort_values("sent_s", kind="stable")
    end = f"{row.state} ({row.reason})" if isinstance(row.reason, str) else row.state
    notes = [(row.start_s, row.src, "asked")]
    if row.state == "delivered":
        notes.append((row.end_s, row.src, "delivered"))
    elif isinstance(row.rejected_by, str):
        refusals = arrows.loc[(arrows["source"] == row.rejected_by) & (arrows["message"] == "REJECT"), "sent_s"]
        notes.append((refusals.min() if len(refusals) else row.end_s, row.rejected_by, end))
    title = f"{results.scenario.name}, seed {results.seed}: request {request}, {row.src} to {row.dst}, {end}"
    return _ladder(title, _path(row), arrows, pd.DataFrame(notes, columns=NOTE_COLUMNS))


def of_connection(results: Results, connection: str, *, pairs: bool = False) -> Ladder:
    """Return the ladder of one connection of the entanglement family, and of the connections inside it.

    Parameters
    ----------
    results : Results
    connection : str
    pairs : bool
        Whether to show what is sent for every single pair (`PER_PAIR`) as well.

    Raises
    ------
    QKDRMPError
        If there is no such connection, the family has none, or the run did not record its messages.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("shared_link"), seed=1, record=["messages"])
    >>> ladder = qkdrmp.ladder.of_connection(results, "C")
    >>> ladder.nodes
    ('C1', 'R1', 'R2', 'C2')
    >>> ladder.arrows["message"].unique().tolist()
    ['CSR', 'RESPONSE', 'LAU', 'BARRIER', 'TERMINATION']
    """
    check_noun(results.scenario, "connection")
    messages = results.table("messages")
    row = _connection(results, connection)

    def inside(name: str) -> bool:
        return name == connection or name.startswith(f"{connection}/")

    about = messages["connections"].map(lambda names: any(map(inside, str(names).split(","))))
    shown = about.astype(bool) & (pairs | ~messages["message"].isin(PER_PAIR))
    arrows = messages[shown].sort_values("sent_s", kind="stable")
    events = results.table("milestones")[results.table("milestones")["connection"].map(inside).astype(bool)]
    inner = events["connection"] + ": " + events["event"]
    notes = events.assign(text=events["event"].where(events["connection"] == connection, inner))
    path = _path(row)
    if connection != row.id:  # within a network, it only has a part of the way
        path = [node for node in path if node in {*arrows["source"], *arrows["target"]}] or path
    title = (
        f"{results.scenario.name}, seed {results.seed}: connection {connection}, {path[0]} to {path[-1]}, {row.state}"
    )
    return _ladder(title, path, arrows, notes)


def _connection(results: Results, connection: str) -> Any:
    """Return the row of a connection, or of the one around it."""
    ids = [*results.table("connections")["id"], *results.table("milestones")["connection"]]
    _check_id(connection, list(dict.fromkeys(ids)), "connection")
    return _row(results.table("connections"), connection.partition("/")[0])


def tell(results: Results, wanted: int | str, *, pairs: bool = False) -> Ladder:
    """Return the ladder of a request, by its number, or of a connection, by its id.

    Raises
    ------
    QKDRMPError
        If there is no such request or connection, or the run did not record its messages.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1, record=["messages"])
    >>> ladder = qkdrmp.ladder.tell(results, qkdrmp.ladder.first(results))
    """
    return of_request(results, wanted) if isinstance(wanted, int) else of_connection(results, wanted, pairs=pairs)


def first(results: Results) -> int | str:
    """Return the id of the first delivered request, or of the first delivered connection; of others if there is none.

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
    noun = NOUNS[results.scenario.kind]
    table = results.tables[f"{noun}s"]
    if table.empty:
        raise QKDRMPError(f"there is nothing to draw: the run has no {noun}s")
    best = table[table["state"] == "delivered"]
    good = table[table["state"] != "rejected"]
    found = next(rows for rows in (best, good, table) if len(rows))["id"].iloc[0]
    return found if isinstance(found, str) else int(found)


def check_noun(scenario: SimulatedScenario, noun: str) -> None:
    """Raise `QKDRMPError` if runs of a scenario have none of what is asked for: a request or a connection.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.ladder.check_noun(qkdrmp.load_scenario("line"), "connection")
    Traceback (most recent call last):
        ...
    qkdrmp.errors.QKDRMPError: line has no connections: it is of the kind 'qkd'; give the id of a request
    """
    known = NOUNS[scenario.kind]
    if noun != known:
        raise QKDRMPError(
            f"{scenario.name} has no {noun}s: it is of the kind '{scenario.kind}'; give the id of a {known}"
        )


def _row(table: pd.DataFrame, wanted: int | str) -> Any:
    return table.iloc[list(table["id"]).index(wanted)]


def _check_id(wanted: int | str, ids: Sequence[Any], noun: str) -> None:
    if wanted in ids:
        return
    if not ids:
        raise QKDRMPError(f"there is no {noun} {wanted}: the run has none")
    if not isinstance(wanted, str):
        raise QKDRMPError(f"there is no {noun} {wanted}: they are {ids[0]} to {ids[-1]}")
    some = ", ".join(ids[:IDS_SHOWN]) + (f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else "")
    raise QKDRMPError(f"there is no {noun} {wanted!r}{did_you_mean(wanted, ids)}: there are {some}")


def _path(row: Any) -> list[str]:
    known = isinstance(row.path, str) and row.path
    return row.path.split(">") if known else [row.src, row.dst]


def _ladder(title: str, path: Sequence[str], arrows: pd.DataFrame, notes: pd.DataFrame) -> Ladder:
    arrows = arrows[ARROW_COLUMNS].fillna({"detail": ""}).reset_index(drop=True)
    notes = notes[NOTE_COLUMNS].sort_values("time_s", kind="stable").reset_index(drop=True)
    return Ladder(title, _in_order(path, arrows, notes), arrows, notes)


def _in_order(path: Sequence[str], arrows: pd.DataFrame, notes: pd.DataFrame) -> tuple[str, ...]:
    """Return the nodes of a path, and each other one beside the node it talks to most."""
    nodes = list(path)
    talks = Counter(map(frozenset, zip(arrows["source"], arrows["target"], strict=True)))
    noted = (name for node in notes["node"] for name in over(node, nodes))
    others = [name for name in dict.fromkeys([*arrows["source"], *arrows["target"], *noted]) if name not in nodes]
    while others:
        pairs = itertools.product(others, nodes)
        other, beside = max(pairs, key=lambda pair: talks[frozenset(pair)])
        here = nodes.index(beside)
        left, right = (
            sum(talks[frozenset((other, name))] for name in side) for side in (nodes[:here], nodes[here + 1 :])
        )
        nodes.insert(here if left > right else here + 1, other)
        others.remove(other)
    return tuple(nodes)


def _escaped(text: str) -> str:
    return text.translate(ESCAPED)
