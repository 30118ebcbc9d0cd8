"""The offered load of links: the keys that are asked of them over those that they can make, and who is concerned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.config.sections import shown
from qkdrmp.errors import QKDRMPError, are, counted, listed
from qkdrmp.family import Service
from qkdrmp.key_rates.model import HasMeanRate
from qkdrmp.network.routing import leads_to
from qkdrmp.qkd.demand.workload import KnowsRates, Pair
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.stats.words import number, percent
from qkdrmp.topology import Link

SHOWN = 3
"""How many links and pairs of users are named."""


def link_loads(settings: QKDSettings) -> dict[tuple[str, str], float]:
    """Return the offered load of every link: key bits asked for over key bits it can make.

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
            loads[link.ends] = bits_per_s / rate_bps(settings, link)
    return loads


def has_own_devices(settings: QKDSettings, link: Link) -> bool:
    """Return whether each direction of a link has devices of its own, at full rate."""
    return settings.key_rate.here(link=link.ends).per_direction


def rate_bps(settings: QKDSettings, link: Link) -> float:
    """Return the mean rate of one pair of devices of a link, in key bits per second.

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
    return model.mean_rate_bps(settings.fibre(link), settings.pools.key_length_bits)


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
    """Links that are asked for more keys than they have and make.

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
    loads = {link: load for link, load in known_loads(settings).items() if load > 1 + _stock(settings, link)}
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


def load_known(settings: QKDSettings) -> Iterator[str]:
    """Say how loaded links are, and what pairs of users ask for, as far as it is known."""
    loads, asked = known_loads(settings), _falling(offered(settings))
    if loads:
        busiest = [f"{_dashed(link)} {percent(load)}" for link, load in loads.items()]
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
