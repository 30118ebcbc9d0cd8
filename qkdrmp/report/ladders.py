"""The ladder diagrams of some requests or connections, laid out for the page to draw."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

from qkdrmp import ladder
from qkdrmp.family import Results
from qkdrmp.ladder.colours import colours
from qkdrmp.ladder.diagram import Ladder
from qkdrmp.ladder.picture import over
from qkdrmp.ladder.time_axis import TimeAxis
from qkdrmp.plots.times import brief

MOST_LADDERS, MOST_ARROWS = 40, 120
PIXELS = 72
"""Of an inch of the time axis."""
ARROW_INCHES, LEAST_INCHES, MOST_INCHES = 0.6, 2.0, 36.0
ENDED = {"qkd": "end_s", "entanglement": "done_s"}
BEGUN = {"qkd": "start_s", "entanglement": "asked_s"}


def ladders(results: Results) -> list[dict[str, Any]]:
    """Return ladders as JSON can hold them: what to call each, and where its nodes, arrows and notes are."""
    noun = ladder.NOUNS[results.scenario.kind]
    table = results.tables[f"{noun}s"]
    return [
        {"name": f"{noun} {wanted}: {why}", **laid_out(ladder.tell(results, wanted))}
        for wanted, why in chosen(table, BEGUN[results.scenario.kind], ENDED[results.scenario.kind]).items()
    ]


def chosen(table: pd.DataFrame, begun: str, ended: str) -> dict[int | str, str]:
    """Return the ids of requests or connections worth a look, and why: some of each sort, then others."""
    state, took = table["state"], table[ended] - table[begun]
    delivered = table[state == "delivered"]
    found: dict[int | str, str] = {}

    def add(rows: pd.DataFrame, why: str) -> None:
        for wanted in rows["id"].tolist()[:1]:
            found.setdefault(wanted, why)

    add(delivered, "the first delivered")
    add(delivered.loc[took[delivered.index].sort_values(ascending=False, kind="stable").index], "the slowest delivered")
    for reason, group in table[table["reason"].notna()].groupby("reason", sort=False):
        add(group, f"the first {group['state'].iloc[0]}, {reason}")
    add(table[state == "unfinished"], "the first unfinished")
    step = max(1, len(table) // MOST_LADDERS)
    row: Any
    for row in table.iloc[::step].itertuples(index=False):
        if len(found) < MOST_LADDERS:
            why = f"{row.state}, {row.reason}" if isinstance(row.reason, str) else str(row.state)
            found.setdefault(row.id, f"{row.src} to {row.dst}, {why}")
    return found


def laid_out(told: Ladder) -> dict[str, Any]:
    """Return a ladder with its places: columns across, pixels down."""
    arrows, column = told.arrows.head(MOST_ARROWS), {name: number for number, name in enumerate(told.nodes)}
    left_out = len(told.arrows) - len(arrows)
    notes = told.notes[told.notes["time_s"] <= arrows["sent_s"].max()] if left_out else told.notes
    usual = float((arrows["received_s"] - arrows["sent_s"]).median())
    ends = arrows["received_s"].fillna(arrows["sent_s"] + (usual if usual == usual else 0.0))
    busy = [*zip(arrows["sent_s"], ends, strict=True), *zip(notes["time_s"], notes["time_s"], strict=True)] or [
        (0.0, 0.0)
    ]
    axis = TimeAxis.fit(busy, _inches(arrows, column))
    return {
        "title": told.title + (f" (the first {MOST_ARROWS} of {len(told.arrows):,} messages)" if left_out else ""),
        "nodes": list(told.nodes),
        "height": _pixels(axis.inches[-1]),
        "arrows": _arrows(arrows.assign(end_s=ends), column, axis),
        "notes": _notes(notes, column, axis),
        "ticks": [[_pixels(axis.place(time)), name] for time, name in axis.ticks()],
        "cuts": [
            [_pixels(axis.place(start)), _pixels(axis.place(end)), brief(end - start)] for start, end in axis.cuts
        ],
        "colours": colours(arrows["message"]),
    }


def _pixels(inches: float) -> float:
    return round(PIXELS * inches, 1)


def _inches(arrows: pd.DataFrame, column: dict[str, int]) -> float:
    """Return how high a ladder has to be for the gap that most different flights cross."""
    flights = arrows.drop_duplicates(["source", "target", "sent_s"])
    crossed = [
        gap
        for source, target in zip(flights["source"], flights["target"], strict=True)
        for gap in range(*sorted((column[source], column[target])))
    ]
    most = max((len(list(group)) for _, group in itertools.groupby(sorted(crossed))), default=0)
    return min(max(ARROW_INCHES * most, LEAST_INCHES), MOST_INCHES)


def _notes(notes: pd.DataFrame, column: dict[str, int], axis: TimeAxis) -> list[list[Any]]:
    """Return nodes, height and text; notes at the same place are one."""
    key: Any
    rows = []
    for key, group in notes.groupby(["node", "time_s"], sort=False):
        node, time = key
        rows.append(
            [[column[name] for name in over(node, column)], _pixels(axis.place(time)), ", ".join(group["text"])]
        )
    return rows


def _arrows(arrows: pd.DataFrame, column: dict[str, int], axis: TimeAxis) -> list[list[Any]]:
    """Return source, target, both heights, label, colour's kind, and whether it was lost; same flights are one."""
    rows = []
    keys = ["source", "target", "sent_s", "end_s"]
    key: Any
    for key, group in arrows.groupby(keys, sort=False):
        source, target, sent, end = key
        label = " + ".join(
            dict.fromkeys(
                f"{kind} {detail}".strip() for kind, detail in zip(group["message"], group["detail"], strict=True)
            )
        )
        lost = bool(group["received_s"].isna().all())
        places = [_pixels(axis.place(sent)), _pixels(axis.place(end))]
        rows.append([column[source], column[target], *places, label, group["message"].iloc[0], lost])
    return rows
