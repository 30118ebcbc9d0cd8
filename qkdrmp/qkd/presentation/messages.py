"""The messages of one request, for ladder diagrams."""

from __future__ import annotations

from typing import Any

import pandas as pd

from qkdrmp.family import MessagePresentation, MessageSequence, Results


def _ids(results: Results) -> list[int]:
    return list(results.table("requests")["id"])


def _sequence(results: Results, request: int) -> MessageSequence:
    requests, messages = results.table("requests"), results.table("messages")
    row: Any = requests.iloc[_ids(results).index(request)]
    arrows = messages[messages["request"] == request]
    end = f"{row.state} ({row.reason})" if isinstance(row.reason, str) else row.state
    notes = [(row.start_s, row.src, "asked")]
    if row.state == "delivered":
        notes.append((row.end_s, row.src, "delivered"))
    elif isinstance(row.rejected_by, str):
        refusals = arrows.loc[(arrows["source"] == row.rejected_by) & (arrows["message"] == "REJECT"), "sent_s"]
        notes.append((refusals.min() if len(refusals) else row.end_s, row.rejected_by, end))
    path = row.path.split(">") if row.path else [row.src, row.dst]
    steps = pd.DataFrame(notes, columns=["time_s", "node", "text"])
    return MessageSequence(f"{row.src} to {row.dst}, {end}", path, arrows, steps)


MESSAGES = MessagePresentation(
    ids=_ids,
    sequence=_sequence,
    colours={
        "REQUEST": "blue",
        "ACCEPT": "orange",
        "CLAIM": "brown",
        "CONFIRM": "green",
        "CIPHERTEXT": "purple",
        "ACKNOWLEDGE": "sky",
        "DONE": "black",
        "REFILL": "pink",
        "REJECT": "red",
    },
)
