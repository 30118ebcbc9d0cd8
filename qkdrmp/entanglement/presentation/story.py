"""The story of a run of the entanglement family: links by the share of their trials that connections were given."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.entanglement.presentation.promises import broken_promises
from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.family import LinkStory, Results, Series, Story
from qkdrmp.family.story import BINS, Values, served_by
from qkdrmp.stats.words import percent
from qkdrmp.topology import Topology

STEPS = 3
"""Parts of each bin of time, whose shares give the range within the bin."""
MOST_TRIALS = 200  # that are sampled in each part
SEED = 1
ALIKE = 0.05  # shares that differ by less are as good as the same


def story(run: EntanglementRun, results: Results) -> Story:
    """Return the story of a run that recorded its pairs."""
    scenario = results.scenario
    links = [_link(run, ends) for ends in run.network.links]
    paths = results.table("connections").set_index("id")["path"]
    delivered = results.table("pairs").assign(path=results.table("pairs")["connection"].map(paths))
    served = served_by(list(scenario.topology.nodes), delivered, scenario.duration_s)
    worst, finding = _bottleneck(results.table("links"))
    return Story(
        results=results,
        links=links,
        served=served,
        served_label="pairs delivered by way of the node so far",
        load_label="share of a link's trials given to connections",
        level_label="trials given to connections (share)",
        load_is_good=False,
        bottleneck=next((link for link in links if "-".join(link.ends) == worst), None),
        finding=" ".join([finding, *broken_promises(results.table("connections"), results.table("pairs"))]),
        tables={
            "Connections": results.table("connections"),
            "Links": results.table("links"),
            "Nodes": _nodes(scenario.topology, served, results.table("attempts")),
            "RuleSets": results.table("rulesets"),
        },
    )


def _link(run: EntanglementRun, ends: tuple[str, str]) -> LinkStory:
    """Return the story of a link, from the owners of its trials; of many trials, a random sample stands for all."""
    link, owner = run.network.links[ends], run.network.interfaces[ends[0]][ends[1]].allocation.owner
    random = np.random.default_rng(SEED)
    bounds = np.linspace(0, link.next_trial(0), BINS * STEPS + 1).astype(int)
    shares = [_share(owner, first, end, random) for first, end in pairwise(bounds.tolist())]
    steps = np.array(shares).reshape(BINS, STEPS)
    series = Series("-".join(ends), steps.min(axis=1), steps.mean(axis=1), steps.max(axis=1))
    return LinkStory(ends, (series,), series.mean)


def _share(owner: Callable[[int], object], first: int, end: int, random: np.random.Generator) -> float:
    few = end - first <= MOST_TRIALS
    trials = range(first, end) if few else random.integers(first, end, MOST_TRIALS).tolist()
    return float(np.mean([owner(trial) is not None for trial in trials])) if len(trials) else 0.0


def _bottleneck(links: pd.DataFrame) -> tuple[str, str]:
    """Return the busy link whose trials are good for the fewest pairs of each connection, and the sentence about it.

    The pairs that were made do not show it: where memories wait for the bottleneck, other links do not try.
    """
    used = links[(links["trials"] > 0) & (links["connections"] > 0)]
    if used.empty:
        return "", "No link gave a trial to a connection."
    share = used["allocated"] / used["trials"]
    good_for = used["success_probability"] * used["allocated"] / used["connections"]
    each = good_for[share >= share.max() - ALIKE].sort_values(kind="stable")
    row: Any = used.loc[each.index[0]]
    whose = "its one connection" if row["connections"] == 1 else f"each of its {row['connections']} connections"
    others = f", the fewest of the {len(each)} links that are about as busy" if len(each) > 1 else ""
    return str(row["link"]), (
        f"The bottleneck is the link {row['link']}: connections were given {percent(share[row.name])} of its trials, "
        f"good for {each.iloc[0]:,.0f} pairs of {whose}{others}."
    )


def _nodes(topology: Topology, served: dict[str, Values], attempts: pd.DataFrame) -> pd.DataFrame:
    refused = attempts["rejected_by"].value_counts()
    rows = [
        (name, str(node.kind), int(served[name][-1]), int(refused.get(name, 0)))
        for name, node in topology.nodes.items()
    ]
    return pd.DataFrame(rows, columns=["node", "kind", "pairs", "rejected_attempts"])
