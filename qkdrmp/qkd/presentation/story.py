"""The story of a run of the QKD family: links by the levels of their key pools, nodes by the requests they served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.errors import listed
from qkdrmp.family import LinkStory, Results, Run, Series, Story
from qkdrmp.family.story import BINS, edges, served_by
from qkdrmp.stats.words import number, percent

SERIOUS = 0.05
"""A pool that is without keys to give for a smaller share of the time is no bottleneck."""
SEEN_END = "downstream"  # the copy that the table of pools observes


def story(run: Run, results: Results) -> Story:
    """Return the story of a run that recorded the levels of its key pools."""
    scenario, pools, requests = results.scenario, results.table("pools"), results.table("requests")
    links = _links(results.table("levels"), pools, scenario.duration_s)
    delivered = requests[requests["state"] == "delivered"].rename(columns={"end_s": "time_s"})
    worst, finding = _bottleneck(pools, scenario.duration_s - scenario.warmup_s)
    return Story(
        results=results,
        links=links,
        served=served_by(list(scenario.topology.nodes), delivered, scenario.duration_s),
        served_label="requests delivered by way of the node so far",
        load_label="level of the emptier key pool of a link, share of its capacity",
        level_label="keys in the pool",
        load_is_good=True,
        bottleneck=next((link for link in links if set(link.ends) == worst), None),
        finding=finding,
        tables={"Requests": requests, "Key pools": pools, "Nodes": results.table("nodes")},
        remarks=tuple(refusals(requests)),
    )


def refusals(requests: pd.DataFrame) -> Iterator[str]:
    """Say which of the two meanings of a refusal applied how often: by a pool that is too small, or by another user."""
    refused = requests[requests["reason"] == "refused"]
    if refused.empty:
        return
    ends = refused["path"].str.rpartition(">")[2]
    astray = (ends != refused["dst"]) & (ends == refused["rejected_by"])
    found = [
        (len(refused) - int(astray.sum()), "wanted more keys than a pool on the way could ever give", ~astray),
        (int(astray.sum()), "had a path that leads into a user, who does not relay", astray),
    ]
    each = [f"{count:,} {why} (refused by {_by(refused[which])})" for count, why, which in found if count]
    yield f"Of the {len(requests):,} requests of this run, {' and '.join(each)}."


def _by(refused: pd.DataFrame) -> str:
    return listed(map(str, refused["rejected_by"].value_counts().index), 4)


def _links(levels: pd.DataFrame, pools: pd.DataFrame, duration_s: float) -> list[LinkStory]:
    seen = dict(list(levels[levels["end"] == SEEN_END].groupby("stream")))
    by_link: dict[frozenset[str], list[Any]] = {}
    row: Any
    for row in pools.itertuples(index=False):
        by_link.setdefault(frozenset((row.upstream, row.downstream)), []).append(row)
    links = []
    for rows in by_link.values():
        series = tuple(binned(row.stream, seen[row.stream], duration_s) for row in rows)
        load = np.min([one.mean / row.capacity for one, row in zip(series, rows, strict=True)], axis=0)
        first = rows[0]
        marks = {"capacity": first.capacity, "recovery": first.recover, "interrupt": first.interrupt}
        links.append(LinkStory((first.upstream, first.downstream), series, load, _merged(marks)))
    return links


def _merged(marks: dict[str, float]) -> dict[str, float]:
    """Return levels with their names, those of the same level joined."""
    names: dict[float, list[str]] = {}
    for name, level in marks.items():
        names.setdefault(float(level), []).append(name)
    return {" = ".join(same): level for level, same in names.items()}


def binned(name: str, changes: pd.DataFrame, duration_s: float) -> Series:
    """Return a level that changes in steps, by bins of time: its extremes, and its mean weighted by time.

    Parameters
    ----------
    name : str
    changes : pandas.DataFrame
        ``time_s`` in rising order, the first at 0, and the ``level`` from then on.
    duration_s : float
    """
    bounds = edges(duration_s)
    times, levels = changes["time_s"].to_numpy(dtype=float), changes["level"].to_numpy(dtype=float)
    inside = times < duration_s
    times, levels = times[inside], levels[inside]
    starts = np.union1d(times, bounds[:-1])
    values = levels[np.searchsorted(times, starts, side="right") - 1]
    spent = np.diff(np.append(starts, duration_s))
    first = np.searchsorted(starts, bounds[:-1])
    mean = np.add.reduceat(values * spent, first) / (duration_s / BINS)
    return Series(name, np.minimum.reduceat(values, first), mean, np.maximum.reduceat(values, first))


def _bottleneck(pools: pd.DataFrame, observed_s: float) -> tuple[set[str], str]:
    """Return the ends of the worst link, and the sentence about it: most time out of service, then lowest level."""
    if pools.empty:
        return set(), "No link has key pools."
    ranked = pools.assign(
        out_s=pools["interrupted_s"] + pools["stuck_s"], share=pools["level_mean"] / pools["capacity"]
    )
    worst = ranked.sort_values(["out_s", "share"], ascending=[False, True], kind="stable").iloc[0]
    ends = {str(worst["upstream"]), str(worst["downstream"])}
    level = f"mean level {number(worst['level_mean'], 3)} of {worst['capacity']} keys, lowest {worst['level_min']}"
    if worst["out_s"] <= 0:
        return ends, (
            f"No key pool was interrupted or stuck; the one with the lowest mean share of keys is {worst['stream']} "
            f"({level})."
        )
    share = worst["out_s"] / observed_s
    head = (
        "The bottleneck is the key pool"
        if share >= SERIOUS
        else "Key pools were hardly ever short of keys; the one most often without is"
    )
    return ends, (
        f"{head} {worst['stream']}: interrupted for {percent(worst['interrupted_s'] / observed_s)} and stuck for "
        f"{percent(worst['stuck_s'] / observed_s)} of the time ({level})."
    )
