"""How long key pools bridge a link that makes no more keys."""

from __future__ import annotations

import math
from typing import cast

from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.qkd.tables import QKDResults


def bridges_s(results: QKDResults) -> dict[tuple[str, str], float]:
    """Return for how long the pools of each link serve on if it makes no more keys, by its two ends, in seconds.

    From their mean level in a run down to that at which they stop serving, V_i or the reserve, at the rate at which
    requests took keys in that run; of the two directions, the one that ends first. A link without pools bridges
    nothing, pools that nobody uses last without end (``inf``). Messages must still get through.
    """
    settings = cast(QKDSettings, results.scenario)
    found = {link.ends: math.inf if settings.has_pools(link) else 0.0 for link in settings.topology.links}
    for stream, serves_s in streams_s(results).items():
        link = stream if stream in found else stream[::-1]
        found[link] = min(found[link], serves_s)
    return found


def streams_s(results: QKDResults) -> dict[tuple[str, str], float]:
    """Return for how long the pools of each key stream serve on, by its two nodes, in seconds."""
    pools, settings = results.pools, cast(QKDSettings, results.scenario)
    found = {}
    for up, down, level, used in zip(pools.upstream, pools.downstream, pools.level_mean, pools.used, strict=True):
        sizes = settings.stream(up, down).thresholds
        spare = max(0.0, level - max(sizes.interrupt, sizes.reserve))
        found[up, down] = spare * settings.duration_s / used if used else math.inf
    return found
