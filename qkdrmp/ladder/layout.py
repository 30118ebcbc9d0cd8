"""The layout of a ladder diagram, for pictures and reports: which messages are shown as which arrows, and where.

Places are columns across, the first node in column 0, and inches down from the first moment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qkdrmp.ladder.colours import colours
from qkdrmp.ladder.time_axis import TimeAxis

MOST_MESSAGES = 200
ARROW_INCHES, LEAST_INCHES, MOST_INCHES = 0.65, 1.8, 32.0
LONGEST_DETAIL = 20
LOOP_COLUMNS, LOOP_INCHES = 0.22, 0.1
"""How far an arrow from a node to itself goes aside, and at least down."""
LOST_SHARE = 0.5
"""How much of its way the arrow of a lost message has."""


@dataclass(frozen=True)
class Arrow:
    """What one node sent to another at the same time.

    Parameters
    ----------
    source, target : int
        Columns.
    sent_s, received_s : float
        Of a lost message, when it would have been received.
    lost : bool
    kinds : tuple of str
        The kinds of the messages.
    label, words : str
        The messages with their details, those longer than `LONGEST_DETAIL` letters shortened, and whole.
    """

    source: int
    target: int
    sent_s: float
    received_s: float
    lost: bool
    kinds: tuple[str, ...]
    label: str
    words: str


@dataclass(frozen=True)
class Note:
    """What happened at a node, or at several, at one time.

    Parameters
    ----------
    columns : tuple of int
    time_s : float
    lines : tuple of str
    """

    columns: tuple[int, ...]
    time_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class LadderLayout:
    """What a ladder shows, and where.

    Parameters
    ----------
    title : str
    omission : str
        Which messages are shown, if not all are.
    nodes : tuple of str
        By column.
    arrows : tuple of Arrow
        In the order of sending.
    notes : tuple of Note
    axis : TimeAxis
    colours : mapping of str to str
        The colour of each kind of message.
    """

    title: str
    omission: str
    nodes: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    notes: tuple[Note, ...]
    axis: TimeAxis
    colours: Mapping[str, str]

    @classmethod
    def of(
        cls,
        title: str,
        nodes: tuple[str, ...],
        messages: pd.DataFrame,
        notes: pd.DataFrame,
        colour_names: Mapping[str, str] = MappingProxyType({}),
    ) -> LadderLayout:
        """Return the layout of the messages and notes of a `Ladder`."""
        messages, notes, omission = _shown(messages, notes)
        arrows, marks = _arrows(nodes, messages), _notes(nodes, notes)
        busy = [(arrow.sent_s, arrow.received_s) for arrow in arrows] + [(note.time_s, note.time_s) for note in marks]
        axis = TimeAxis.fit(busy or [(0.0, 0.0)], _inches(arrows))
        shades = colours([kind for arrow in arrows for kind in arrow.kinds], colour_names)
        return cls(title, omission, nodes, arrows, marks, axis, shades)

    @property
    def height(self) -> float:
        """How far down the last moment is, inches."""
        return self.axis.inches[-1]

    def path(self, arrow: Arrow) -> NDArray[np.float64]:
        """Return the places that an arrow goes through: two, or three if it goes from a node to itself."""
        start = np.array([arrow.source, self.axis.place(arrow.sent_s)])
        end = np.array([arrow.target, self.axis.place(arrow.received_s)])
        if arrow.source == arrow.target:
            aside, back = start[0] + LOOP_COLUMNS, max(end[1], start[1] + LOOP_INCHES)
            return np.array([start, (aside, start[1]), (end[0], back)])
        return np.array([start, start + (LOST_SHARE if arrow.lost else 1.0) * (end - start)])


def over(node: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes that a note is about: a node, or several joined by a comma."""
    return [node] if node in nodes else node.split(",")


def _shown(messages: pd.DataFrame, notes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the messages and notes to show, and which these are, if some are left out."""
    half = MOST_MESSAGES // 2
    if len(messages) <= MOST_MESSAGES:
        return messages, notes, ""
    head, tail = messages.iloc[:half], messages.iloc[-half:]
    near = (notes["time_s"] <= head["sent_s"].max()) | (notes["time_s"] >= tail["sent_s"].min())
    omission = f"the first {half} and the last {half} of {len(messages):,} messages"
    return pd.concat([head, tail]), notes[near], omission


def _arrows(nodes: Sequence[str], messages: pd.DataFrame) -> tuple[Arrow, ...]:
    column = {name: number for number, name in enumerate(nodes)}
    usual = (messages["received_s"] - messages["sent_s"]).median()
    found = []
    key: Any
    for key, group in messages.groupby(["source", "target", "sent_s", "received_s"], sort=False, dropna=False):
        source, target, sent_s, received_s = key
        lost = math.isnan(received_s)
        if lost:
            received_s = sent_s + (0.0 if math.isnan(usual) else usual)
        kinds = tuple(group["message"].unique())
        texts = _text(group, LONGEST_DETAIL), _text(group)
        found.append(Arrow(column[source], column[target], sent_s, received_s, lost, kinds, *texts))
    return tuple(found)


def _text(messages: pd.DataFrame, longest: int | None = None) -> str:
    """Return the messages of an arrow in words: each kind once, with its details, of which long ones end with dots."""
    details: dict[str, Counter[str]] = {}
    for kind, detail in zip(messages["message"], messages["detail"].astype(str), strict=True):
        details.setdefault(kind, Counter())[shortened(detail, longest or len(detail))] += 1
    return " + ".join(_kind_text(kind, found) for kind, found in details.items())


def _kind_text(kind: str, details: Counter[str]) -> str:
    """Return a kind of message with its details: equal ones counted, a first word that all have only once."""
    texts = [" ".join(filter(None, [str(count) if count > 1 else "", text])) for text, count in details.items()]
    if len(details) == 1:
        ((text, count),) = details.items()
        return " ".join(filter(None, [str(count) if count > 1 else "", kind, text]))
    first = {text.partition(" ")[0] for text in texts}
    shared = f"{first.pop()} " if len(first) == 1 else ""
    return f"{kind} {shared}{'; '.join(text.removeprefix(shared) for text in texts)}"


def shortened(text: str, letters: int) -> str:
    """Return a text of no more than so many letters, with dots in place of what is left out."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"


def _notes(nodes: Sequence[str], notes: pd.DataFrame) -> tuple[Note, ...]:
    found = []
    key: Any
    for key, group in notes.groupby(["node", "time_s"], sort=False):
        node, time_s = key
        columns = tuple(nodes.index(name) for name in over(node, nodes))
        found.append(Note(columns, time_s, tuple(group["text"])))
    return tuple(found)


def _inches(arrows: Iterable[Arrow]) -> float:
    """Return how high a ladder has to be for the gap between two columns that most arrows cross."""
    crossed = Counter(gap for arrow in arrows for gap in range(*sorted((arrow.source, arrow.target))))
    return min(max(ARROW_INCHES * max(crossed.values(), default=0), LEAST_INCHES), MOST_INCHES)
