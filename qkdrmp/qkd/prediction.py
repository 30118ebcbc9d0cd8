"""What will go wrong in a scenario: links without keys or overloaded, pools that fill too long, lost messages."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.network.faults import Lossy
from qkdrmp.network.routing import leads_to
from qkdrmp.qkd.demand.workload import KnowsSizes
from qkdrmp.qkd.filling import filling, late_filling
from qkdrmp.qkd.loads import dead_links, dropped_keys, load_known, overloaded
from qkdrmp.qkd.settings import QKDSettings


@dataclass(frozen=True)
class StuckPool:
    """A key stream whose pool can get stuck, and the levels, in keys, at which it does."""

    stream: str
    levels: tuple[int, ...]


def predict_stuck(settings: QKDSettings) -> list[StuckPool]:
    """Return the pools in use that can get stuck: too few keys for the next request, too many to be refilled.

    With requests of one size such a pool gets stuck eventually, and stays so. With several sizes a smaller request may
    release it. A custom demand must have a method `request_sizes`, which returns a set of sizes in bits; nothing is
    predicted for one without.
    """
    predicted = []
    for (upstream, downstream), sizes in _sizes_by_stream(settings).items():
        levels = settings.stream(upstream, downstream).stuck_levels(sizes)
        if levels:
            predicted.append(StuckPool(f"{upstream}>{downstream}", tuple(levels)))
    return predicted


def known_beforehand(settings: QKDSettings) -> dict[str, list[str]]:
    """Return, in sentences by topic, how loaded links are, and when empty pools have filled, as far as it is known."""
    found = {"Load": list(load_known(settings)), "Filling": list(filling(settings))}
    return {topic: sentences for topic, sentences in found.items() if sentences}


def predict(settings: QKDSettings) -> list[str]:
    """Return, in sentences, what will go wrong in runs of a scenario."""
    return [
        *dead_links(settings),
        *dropped_keys(settings),
        *overloaded(settings),
        *late_filling(settings),
        *_stuck_pools(settings),
        *_lost_messages(settings),
    ]


def _lost_messages(settings: QKDSettings) -> list[str]:
    models = [settings.faults.here(link=link.ends).build() for link in settings.topology.links]
    if any(isinstance(model, Lossy) and model.loss for model in models):
        return ["messages will be lost, and the protocol does not send them again: their requests stay unfinished"]
    return []


def _stuck_pools(settings: QKDSettings) -> list[str]:
    """Say which pools will get stuck, in one sentence for all that do so at the same levels."""
    by_levels: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for pool in predict_stuck(settings):
        by_levels[pool.levels].append(pool.stream)
    return [
        f"{len(streams)} key pools can get stuck with {' or '.join(map(str, levels))} keys, too few for a request "
        f"and too many to be refilled: {', '.join(streams)}"
        for levels, streams in by_levels.items()
    ]


def _sizes_by_stream(settings: QKDSettings) -> dict[tuple[str, str], set[int]]:
    """Return the sizes of the requests, in bits, that use each key stream, in the order of the file."""
    sizes: dict[tuple[str, str], set[int]] = {
        ends: set()
        for link in settings.topology.links
        if settings.has_pools(link)
        for ends in (link.ends, link.ends[::-1])
    }
    asked = {user: _request_sizes(settings, user) for user in settings.topology.ends}
    for (src, dst), route in settings.routes().items():
        for hop in pairwise(route or ()) if leads_to(route, dst) else ():
            if hop in sizes:
                sizes[hop] |= asked[src]
    return sizes


def _request_sizes(settings: QKDSettings, user: str) -> set[int]:
    demand = settings.demand.here(node=user).build()
    return demand.request_sizes() if isinstance(demand, KnowsSizes) else set()
