"""What can be made larger in a key network: pools, thresholds, and rates of links."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from qkdrmp.family.sizing import Alternative, Changes, SizingRules, Upgrade
from qkdrmp.qkd.demand.workload import KnowsSizes
from qkdrmp.qkd.loads import known_loads, rate_bps

BUSIEST = 3
"""How many links are tried with twice the rate."""


def _prepared(scenario: Any) -> tuple[Any, str]:
    """Let pools be full at first, unless the scenario says otherwise: large ones would still fill."""
    if scenario.pools.initial is None and not scenario.pools.initial_share:
        return scenario.replace({"pools.initial_share": 1.0}), "pools are full at first, as large ones would still fill"
    return scenario, ""


def _request_keys(scenario: Any) -> int:
    """Return how many keys of a pool the largest request takes; 0 if that is not known."""
    sizes: set[int] = set()
    for user in scenario.topology.ends:
        demand = scenario.demand.here(node=user).build()
        if not isinstance(demand, KnowsSizes):
            return 0
        sizes |= demand.request_sizes()
    keys: int = -(-max(sizes, default=0) // scenario.pools.key_length_bits)
    return keys


def _alternatives(scenario: Any) -> Iterator[Alternative]:
    """Yield pools that are never interrupted before they are empty, and serve again as soon as a request fits."""
    keys = 1 if scenario.pools.replenish == "continuous" else _request_keys(scenario) + scenario.pools.reserve
    thresholds = scenario.pools.thresholds()
    if keys and not scenario.pools.at and (thresholds.interrupt, thresholds.recover) != (0, keys):
        yield Alternative(
            f"interrupt threshold 0 and recovery threshold {keys}, so that pools serve down to their last key",
            {"pools.interrupt": 0, "pools.recover": keys},
        )


def _relief(scenario: Any, most_load: float) -> list[Upgrade]:
    loads = known_loads(scenario).items()
    return [_upgrade(scenario, link, load, load / most_load) for link, load in loads if most_load < load < math.inf]


def _fastest(scenario: Any) -> list[Upgrade]:
    loads = [(link, load) for link, load in known_loads(scenario).items() if load < math.inf]
    return [_upgrade(scenario, link, load, 2.0) for link, load in loads[:BUSIEST]]


def _upgrade(scenario: Any, link: tuple[str, str], load: float, factor: float) -> Upgrade:
    now = rate_bps(scenario, scenario.topology.link(*link))
    entry = {"link": list(link), "model": "constant", "rate_bps": factor * now}
    return Upgrade("-".join(link), load, now, factor * now, {"key_rate.at": [entry]})


def _by_link(scenario: Any, pools: list[pd.DataFrame]) -> Changes:
    """Give each link pools as large as the deepest drawdown of its own, at least what the largest request takes."""
    levels = pd.concat(pools)
    drawn: dict[Any, float] = (levels["capacity"] - levels["level_min"]).groupby(levels["stream"]).mean().to_dict()
    least = max(_request_keys(scenario) + scenario.pools.reserve, 1)
    entries = []
    for link in scenario.topology.links:
        if scenario.has_pools(link):
            need = max(drawn.get(">".join(way), 0.0) for way in (link.ends, link.ends[::-1]))
            entries.append({"link": list(link.ends), "capacity": max(math.ceil(need), least)})
    return {"pools.at": [*scenario.pools.at, *entries]}


def _sizes(scenario: Any) -> pd.DataFrame:
    rows = [
        ("-".join(link.ends), scenario.stream(*link.ends).thresholds.capacity)
        for link in scenario.topology.links
        if scenario.has_pools(link)
    ]
    return pd.DataFrame(rows, columns=["link", "capacity"])


SIZING = SizingRules(
    field="pools.capacity",
    prepared=_prepared,
    alternatives=_alternatives,
    relief=_relief,
    fastest=_fastest,
    share_field="pools.capacity_factor",
    by_link=_by_link,
    sizes=_sizes,
)
"""How key networks are sized."""
