"""What can be predicted of a scenario: stuck pools, lost messages, and how busy each link will be."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.config.sections import shown
from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.units import delay_ticks
from qkdrmp.key_rates.model import Fibre, HasMeanRate
from qkdrmp.network.faults import Lossy
from qkdrmp.network.routing import leads_to
from qkdrmp.qkd.demand.models import PoissonRequests, Rekey
from qkdrmp.qkd.demand.workload import KnowsSizes
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.topology import Link


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


def predict(settings: QKDSettings) -> list[str]:
    """Return, in sentences, what will go wrong in runs of a scenario."""
    return [*_stuck_pools(settings), *_lost_messages(settings)]


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


def link_loads(settings: QKDSettings) -> dict[tuple[str, str], float]:
    """Return the offered load of every link under open demand: key bits asked for over key bits it can make.

    Only for `PoissonRequests` and `Rekey` demand, whose rates do not depend on what happens. Both directions of a link
    share its devices unless the scenario says `per_direction`; then the busier direction counts.

    Raises
    ------
    QKDRMPError
        If the key-rate model of a link does not say its mean rate.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.link_loads(qkdrmp.load_scenario("line"))
    {('Alice', 'R'): 0.768, ('R', 'Bob'): 0.768}
    """
    asked: dict[tuple[str, str], float] = defaultdict(float)
    routes = settings.routes()
    for pair, bits_per_s in _offered(settings).items():
        for hop in pairwise(routes[pair] or ()):
            asked[hop] += bits_per_s
    loads = {}
    for link in settings.topology.links:
        forth, back = asked[link.ends], asked[link.ends[::-1]]
        if forth or back:
            per_direction = settings.key_rate.here(link=link.ends).per_direction
            loads[link.ends] = (max(forth, back) if per_direction else forth + back) / _rate_bps(settings, link)
    return loads


def _rate_bps(settings: QKDSettings, link: Link) -> float:
    speed = settings.channels.here(link=link.ends).signal_speed_m_per_s
    fibre = Fibre(link.length_km, link.loss_db, delay_ticks(link.classical_length_km, speed))
    model = settings.key_rate.here(link=link.ends).build()
    if not isinstance(model, HasMeanRate):
        raise QKDRMPError(
            f"key_rate.model = {shown(model)} must have a method mean_rate_bps(fibre, key_bits) for loads"
        )
    return model.mean_rate_bps(fibre, settings.pools.key_length_bits)


def _offered(settings: QKDSettings) -> dict[tuple[str, str], float]:
    offered: dict[tuple[str, str], float] = defaultdict(float)
    reachable = [pair for pair, route in settings.routes().items() if leads_to(route, pair[1])]
    for source in settings.topology.ends:
        demand = settings.demand.here(node=source).build()
        mine = [pair for pair in reachable if pair[0] == source]
        if isinstance(demand, PoissonRequests):
            rates = dict.fromkeys(mine, demand.rate_per_s)
            rates |= {(pair.src, pair.dst): pair.rate_per_s for pair in demand.matrix if pair.src == source}
        elif isinstance(demand, Rekey):
            rates = {pair: 1 / demand.interval_s for pair in mine if not demand.pairs or pair in demand.pairs}
        else:
            return {}
        for pair, rate in rates.items():
            offered[pair] += rate * demand.key_num * demand.key_length_bits
    return offered
