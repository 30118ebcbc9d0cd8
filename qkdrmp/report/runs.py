"""What the page holds about a run that it shows: its map, the levels of its links, its ladders and its tables."""

from __future__ import annotations

import base64
import gzip
import json
from itertools import pairwise
from typing import Any

from qkdrmp.family import Story
from qkdrmp.family.story import edges
from qkdrmp.plots.times import brief
from qkdrmp.report import network_map
from qkdrmp.report.ladders import MOST_LADDERS, ladders
from qkdrmp.report.tables import MOST_ROWS, packed

FEW_LADDERS, FEW_ROWS = 8, 500
"""How much of the runs that can be chosen, beside the one that is shown at first, is kept."""


def unbroken(sentence: str) -> str:
    """Return a sentence whose numbers are not parted from their per-cent signs at the end of a line."""
    return sentence.replace(" %", "\u00a0%")


def of_first(story: Story) -> dict[str, Any]:
    """Return what the page holds about the run that it shows at first, as JSON can hold it."""
    return _run(story, MOST_LADDERS, MOST_ROWS)


def of_other(story: Story) -> str:
    """Return the like of another run, with fewer ladders and rows: JSON, compressed by gzip and written in base 64."""
    whole = json.dumps(_run(story, FEW_LADDERS, FEW_ROWS), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(whole.encode("utf-8"), mtime=0)).decode("ascii")


def _run(story: Story, most_ladders: int, most_rows: int) -> dict[str, Any]:
    scenario = story.results.scenario
    times = edges(scenario.duration_s)
    return {
        "finding": unbroken(story.summary),
        "map": network_map.network_map(story),
        "level": network_map.level(story) if story.links else None,
        "aspect": network_map.aspect(scenario.topology),
        "links": [link.name for link in story.links],
        "frames": [f"{brief(start)} to {brief(end)}" for start, end in pairwise(times.tolist())],
        "mostServed": f"{int(network_map.most_served(story)):,}",
        "ladders": ladders(story.results, most_ladders),
        "runTables": [packed(f"{title} of the run shown", table, most_rows) for title, table in story.tables.items()],
    }
