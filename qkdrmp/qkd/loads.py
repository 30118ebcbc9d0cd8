"""The offered load of links: the keys that are asked of them over those that they make, if any; who is concerned."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.config.points import label
from qkdrmp.config.sections import shown
from qkdrmp.errors import QKDRMPError, are, counted, listed
from qkdrmp.family import Service
from qkdrmp.key_rates.model import HasMeanRate, KnowsLinkRate, LinkRate
from qkdrmp.network.routing import leads_to
from qkdrmp.qkd.demand.workload import KnowsRates, Pair
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.stats.words import number, percent
from qkdrmp.topology import Link

SHOWN = 3
"""How many links and pairs of users are named."""


def link_loads(settings: QKDSettings) -> dict[tuple[str, str], float]:
    """Return the offered load of every link: key bits asked for over key bits it can make (``inf`` if it makes none).

    Known for demands whose rates do not depend on what happens: `PoissonRequests`, `Rekey`, a `FixedList`, whose
    requests are spread over the duration, and your own with a method ``offered_bps``. Both directions of a link share
    its devices unless the scenario says `per_direction`; then the busier direction counts.

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
    for pair, bits_per_s in offered(settings).items():
        for hop in pairwise(routes[pair] or ()):
            asked[hop] += bits_per_s
    loads = {}
    for link in settings.topology.links:
        forth, back = asked[link.ends], asked[link.ends[::-1]]
        if forth or back:
            bits_per_s = max(forth, back) if has_own_devices(settings, link) else forth + back
            made_bps = rate_bps(settings, link)
            loads[link.ends] = bits_per_s / made_bps if made_bps else math.inf
    return loads


def has_own_devices(settings: QKDSettings, link: Link) -> bool:
    """Return whether each direction of a link has devices of its own, at full rate."""
    return settings.key_rate.here(link=link.ends).per_direction


def rate_bps(settings: QKDSettings, link: Link) -> float:
    """Return the mean rate of one pair of devices of a link, in key bits per second.

    If a block of post-processing has more keys than pools can hold, only those that they can hold count.

    Raises
    ------
    QKDRMPError
        If its key-rate model does not say its mean rate.
    """
    model = settings.key_rate.here(link=link.ends).build()
    if not isinstance(model, HasMeanRate):
        raise QKDRMPError(
            f"key_rate.model = {shown(model)} must have a method mean_rate_bps(fibre, key_bits) for loads"
        )
    rate = model.mean_rate_bps(settings.fibre(link), settings.pools.key_length_bits)
    made = link_rate(settings, link)
    if not made.block_s or not settings.has_pools(link):
        return rate
    return min(rate, storable_bits(settings, link) / made.block_s)


def link_rate(settings: QKDSettings, link: Link) -> LinkRate:
    """Return what a link makes in the long run; no rate and no blocks if its key-rate model does not say them."""
    model = settings.key_rate.here(link=link.ends).build()
    return model.link_rate(settings.fibre(link)) if isinstance(model, KnowsLinkRate) else LinkRate(math.nan)


def storable_bits(settings: QKDSettings, link: Link) -> int:
    """Return how many key bits of a block the larger pool of a link with pools can hold."""
    streams = [settings.stream(*way) for way in (link.ends, link.ends[::-1])]
    return max(stream.key_bits * stream.thresholds.capacity for stream in streams)


def offered(settings: QKDSettings) -> dict[Pair, float]:
    """Return the key bits per second that each ordered pair of users with a route asks for; empty if not known."""
    found: dict[Pair, float] = {}
    reachable = [pair for pair, route in settings.routes().items() if leads_to(route, pair[1])]
    for source in settings.topology.ends:
        demand = settings.demand.here(node=source).build()
        if not isinstance(demand, KnowsRates):
            return {}
        mine = [pair for pair in reachable if pair[0] == source]
        rates = demand.offered_bps(mine, settings.duration_s)
        found |= {pair: rate for pair, rate in rates.items() if pair in mine and rate > 0}
    return found


def service(settings: QKDSettings) -> Service:
    """Return by which routes users are served, and the offered loads; where that is not known, all users ask."""
    asked = offered(settings)
    routes = {pair: route for pair, route in settings.routes().items() if route and leads_to(route, pair[1])}
    return Service({pair: route for pair, route in routes.items() if not asked or pair in asked}, known_loads(settings))


# In sentences


@dataclass(frozen=True)
class Overload:
    """Links that are asked for more keys than they have and make, if they make any.

    Parameters
    ----------
    loads : dict of (str, str) to float
        Of these links, the largest first.
    pairs : dict of (str, str) to float
        The key bits per second of each pair of users whose route leads over one of them, the most first.
    """

    loads: Mapping[tuple[str, str], float]
    pairs: Mapping[Pair, float]


def overload(settings: QKDSettings) -> Overload:
    """Return which links are overloaded, and who uses them."""
    known = {link: load for link, load in known_loads(settings).items() if load < math.inf}
    loads = {link: load for link, load in known.items() if load > 1 + _stock(settings, link)}
    hops = {hop for link in loads for hop in (link, link[::-1])}
    routes = settings.routes()
    asked = {pair: rate for pair, rate in offered(settings).items() if hops & set(pairwise(routes[pair] or ()))}
    return Overload(loads, _falling(asked))


def known_loads(settings: QKDSettings) -> dict[tuple[str, str], float]:
    """Return the offered load of every link, the largest first; none if a key-rate model does not say its rate."""
    try:
        return _falling(link_loads(settings))
    except QKDRMPError:  # a model of the user's own
        return {}


def _stock(settings: QKDSettings, ends: tuple[str, str]) -> float:
    """Return how many keys the pools of a link have at first, as a share of what it makes in the whole run."""
    link = settings.topology.link(*ends)
    if not settings.has_pools(link):
        return 0.0
    streams = [settings.stream(*way) for way in (ends, ends[::-1])]
    bits = sum(stream.thresholds.initial * stream.key_bits for stream in streams)
    return bits / (rate_bps(settings, link) * settings.duration_s)


def _falling(values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return dict(sorted(values.items(), key=lambda one: -one[1]))


def overloaded(settings: QKDSettings) -> Iterator[str]:
    """Say which links are asked for more keys than they can make, and whose requests that concerns."""
    found = overload(settings)
    if not found.loads:
        return
    links = [f"{_dashed(link)} for {number(load, 3)} times as many" for link, load in found.loads.items()]
    pairs = [">".join(pair) for pair in found.pairs]
    count, every = len(found.loads), len(settings.topology.links)
    yield (
        f"{count} of {counted(every, 'link')} {are(count)} asked for more keys than can be made there, "
        f"{listed(links, SHOWN)}: the requests of "
        f"{len(pairs)} of {len(offered(settings))} pairs of users queue up, or are rejected, however large pools are, "
        f"those of: {', '.join(pairs)}"
    )


def without_keys(settings: QKDSettings) -> list[Link]:
    """Return the links that make no keys, as far as it is known."""
    found = []
    for link in settings.topology.links:
        try:
            makes_none = all(map(settings.takes_part, link.ends)) and rate_bps(settings, link) == 0
        except QKDRMPError:  # a model of the user's own
            continue
        found += [link] if makes_none else []
    return found


def dead_links(settings: QKDSettings) -> Iterator[str]:
    """Say which links make no keys, why, and whose requests that concerns."""
    dead = without_keys(settings)
    if not dead:
        return
    hops = {hop for link in dead for hop in (link.ends, link.ends[::-1])}
    served = {pair: route for pair, route in settings.routes().items() if leads_to(route, pair[1])}
    pairs = [">".join(pair) for pair, route in served.items() if hops & set(pairwise(route or ()))]
    makes = "makes" if len(dead) == 1 else "make"
    yield (
        f"{len(dead)} of {counted(len(settings.topology.links), 'link')} {makes} no keys, "
        f"{listed([_why(settings, link) for link in dead], SHOWN)}: requests of {len(pairs)} of {len(served)} pairs of "
        f"users find no more keys there than pools have at first{': ' * bool(pairs)}{listed(pairs, SHOWN)}"
    )


def _why(settings: QKDSettings, link: Link) -> str:
    reason = link_rate(settings, link).reason
    name = label(settings.key_rate.here(link=link.ends).model)
    return f"{link} ({name} at {number(link.loss_db, 3)} dB{f': {reason}' if reason else ''})"


def dropped_keys(settings: QKDSettings) -> Iterator[str]:
    """Say which links have blocks of more keys than their pools can hold."""
    found = []
    for link in settings.topology.links:
        made = link_rate(settings, link)
        if made.block_s and made.rate_bps and settings.has_pools(link):
            most = storable_bits(settings, link)
            if made.block_bits > most:
                block = f"{number(made.block_bits, 3)} bits every {number(made.block_s, 3)} s"
                found.append(f"{link} {block} for pools of {number(most)}")
    if found:
        yield (
            f"blocks of {counted(len(found), 'link')} have more keys than pools can hold, and the others are dropped: "
            f"{listed(found, SHOWN)} (a larger pools.capacity, or smaller blocks, avoid that)"
        )


def load_known(settings: QKDSettings) -> Iterator[str]:
    """Say how loaded links are, and what pairs of users ask for, as far as it is known."""
    loads, asked = known_loads(settings), _falling(offered(settings))
    if any(load < math.inf for load in loads.values()):
        busiest = [f"{_dashed(link)} {percent(load)}" for link, load in loads.items() if load < math.inf]
        rates = [f"{'>'.join(pair)} {number(rate, 3)}" for pair, rate in asked.items()]
        alike = len({round(rate, 9) for rate in asked.values()}) == 1
        each = (
            f"{len(asked)} pairs of users with {number(max(asked.values()), 3)} each" if alike else listed(rates, SHOWN)
        )
        over = len(overload(settings).loads)
        yield (
            f"offered load of links, as a share of the keys they can make: {listed(busiest, SHOWN)}; {over or 'none'} "
            f"of {len(settings.topology.links)} links {are(over)} overloaded; in bit/s, of {each}"
        )


def _dashed(link: tuple[str, str]) -> str:
    return "-".join(link)
