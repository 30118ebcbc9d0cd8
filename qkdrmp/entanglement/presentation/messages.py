"""The messages of one connection, for ladder diagrams."""

from __future__ import annotations

from typing import Any

from qkdrmp.family import MessagePresentation, MessageSequence, Results


def _ids(results: Results) -> list[str]:
    """Return the ids of all connections, and of the connections within networks that are part of them."""
    return list(dict.fromkeys([*results.table("connections")["id"], *results.table("milestones")["connection"]]))


def _sequence(results: Results, connection: str) -> MessageSequence:
    """Return the messages about a connection and the connections within it."""

    def inside(name: str) -> bool:
        return name == connection or name.startswith(f"{connection}/")

    messages, milestones = results.table("messages"), results.table("milestones")
    connections = results.table("connections")
    about = messages["connections"].map(lambda names: any(map(inside, str(names).split(","))))
    arrows = messages[about.astype(bool)]
    steps = milestones[milestones["connection"].map(inside).astype(bool)]
    inner = steps["connection"] + ": " + steps["event"]
    notes = steps.assign(text=steps["event"].where(steps["connection"] == connection, inner))
    whole = connection.partition("/")[0]
    row: Any = connections.iloc[list(connections["id"]).index(whole)]
    path = row.path.split(">") if row.path else [row.src, row.dst]
    if connection != whole:  # within a network, it only has a part of the way
        path = [node for node in path if node in {*arrows["source"], *arrows["target"]}] or path
    return MessageSequence(f"{path[0]} to {path[-1]}, {row.state}", path, arrows, notes)


MESSAGES = MessagePresentation(
    ids=_ids,
    sequence=_sequence,
    colours={
        "CSR": "blue",
        "RESPONSE": "orange",
        "REJECT": "red",
        "LAU": "green",
        "BARRIER": "purple",
        "SWAPRESULT": "sky",
        "PURIFYRESULT": "pink",
        "TEARDOWN": "brown",
        "TERMINATION": "black",
    },
    frequent=("SWAPRESULT", "PURIFYRESULT", "DISCARDED", "RESTART", "NEWPARTNER", "BIND", "VACATED"),
)
