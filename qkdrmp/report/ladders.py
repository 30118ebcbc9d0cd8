"""The ladder diagrams of some requests or connections, laid out for the page to draw."""

from __future__ import annotations

from typing import Any

import pandas as pd

from qkdrmp import ladder
from qkdrmp.family import Results, family_of
from qkdrmp.ladder.labels import DrawnScale, Label, arrow_placer, place_labels
from qkdrmp.ladder.layout import Arrow, LadderLayout, Note
from qkdrmp.plots.times import brief

MOST_LADDERS = 24
SCALE = DrawnScale(column=160, inch=72, letter=6.6, line=12.5)  # pixels


def ladders(results: Results, most: int = MOST_LADDERS) -> list[dict[str, Any]]:
    """Return ladders as JSON can hold them: what to call each, and where its nodes, arrows and notes are.

    There are none if the family sends no messages.
    """
    family = family_of(results.scenario)
    if family.presentation.messages is None:
        return []
    counted = family.counted
    table = results.table(counted.nouns)
    return [
        {"name": f"{counted.noun} {wanted}: {why}", **drawing(ladder.of(results, wanted).layout())}
        for wanted, why in chosen(table, counted.begun, counted.ended, most).items()
    ]


def chosen(table: pd.DataFrame, begun: str, ended: str, most: int = MOST_LADDERS) -> dict[int | str, str]:
    """Return the ids of the requests or connections to show, and why: the first of each outcome, then others."""
    state, took = table["state"], table[ended] - table[begun]
    delivered = table[state == "delivered"]
    found: dict[int | str, str] = {}

    def add(rows: pd.DataFrame, why: str) -> None:
        for wanted in rows["id"].tolist()[:1]:
            found.setdefault(wanted, why)

    add(delivered, "the first delivered")
    add(delivered.loc[took[delivered.index].sort_values(ascending=False, kind="stable").index], "the slowest delivered")
    for reason, group in table[table["reason"].notna()].groupby("reason", sort=False):
        add(group, f"the first {group['state'].iloc[0]}, {str(reason).replace('_', ' ')}")
    add(table[state == "unfinished"], "the first unfinished")
    step = max(1, len(table) // most)
    row: Any
    for row in table.iloc[::step].itertuples(index=False):
        if len(found) < most:
            why = f"{row.state}, {row.reason.replace('_', ' ')}" if isinstance(row.reason, str) else str(row.state)
            found.setdefault(row.id, f"{row.src} to {row.dst}, {why}")
    return found


def drawing(layout: LadderLayout) -> dict[str, Any]:
    """Return what the page has to draw of a ladder, in pixels to the right of the first node and down."""
    labels = {label.arrow: label for label in place_labels(layout, SCALE, arrow_placer(layout, SCALE), cut=True)}
    return {
        "title": layout.title + (f" ({layout.omission})" if layout.omission else ""),
        "nodes": [[name, SCALE.column * column] for column, name in enumerate(layout.nodes)],
        "height": _down(layout.height),
        "arrows": [_arrow(layout, arrow, labels[arrow]) for arrow in layout.arrows],
        "notes": [_note(layout, note) for note in layout.notes],
        "ticks": [[_down(layout.axis.place(time)), name] for time, name in layout.axis.ticks()],
        "cuts": [
            [_down(layout.axis.place(start)), _down(layout.axis.place(end)), brief(end - start)]
            for start, end in layout.axis.cuts
        ],
        "colours": layout.colours,
    }


def _arrow(layout: LadderLayout, arrow: Arrow, label: Label) -> dict[str, Any]:
    return {
        "path": SCALE.pixels(layout.path(arrow)).round(1).tolist(),
        "kinds": arrow.kinds,
        "lost": arrow.lost,
        "words": arrow.words,
        "label": [label.text, round(label.x, 1), round(label.y, 1), round(label.angle, 1)],
    }


def _note(layout: LadderLayout, note: Note) -> dict[str, Any]:
    who = ", ".join(layout.nodes[column] for column in note.columns)
    return {
        "columns": [SCALE.column * column for column in note.columns],
        "down": _down(layout.axis.place(note.time_s)),
        "text": f"{who}: {', '.join(note.lines)}",
    }


def _down(inches: float) -> float:
    return round(SCALE.inch * inches, 1)
