"""How many keys a network could deliver at most, whatever its protocol, pools and routes.

Nothing delivers more keys than the largest fractional multicommodity flow: of each pair of users at most what it asks
for, over each link at most what its devices make and its pools have at first. Only repeaters relay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qkdrmp.kernel.invariants import require
from qkdrmp.network.routing import leads_to
from qkdrmp.qkd.demand.workload import KnowsSizes, Pair
from qkdrmp.qkd.loads import has_own_devices, offered, rate_bps
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import RequestStatus
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.qkd.theory.flows import Flow, FlowLimit, Hop, largest_flow
from qkdrmp.topology import Link

ROUNDING = 1e-6
"""The share by which the solver may be wrong."""


@dataclass(frozen=True)
class KeyBound:
    """The most that could be delivered in the counted time of a run, with links at their mean rates.

    Parameters
    ----------
    key_rate_bps : float
        Key bits per second, of all pairs of users together.
    requests : float
        Requests; nan if it is not known how large they are.
    asked_bps : float
        What is asked for; infinite if users ask as fast as they get.
    binding : dict of (str, str) to float
        The links that limit the rate, and by how many bits per second it would rise for each one more there; the
        highest first.
    """

    key_rate_bps: float
    requests: float
    asked_bps: float
    binding: Mapping[Hop, float]


def key_bound(settings: QKDSettings) -> KeyBound:
    """Return the most that any protocol and routing could deliver of what is asked for.

    Raises
    ------
    QKDRMPError
        If a key-rate model does not say its mean rate.

    Examples
    --------
    >>> import qkdrmp
    >>> line = qkdrmp.load_scenario("line")
    >>> bounds = [qkdrmp.key_bound(line.replace({"demand.rate_per_s": rate})) for rate in (15, 100)]
    >>> [round(bound.key_rate_bps) for bound in bounds]
    [15360, 20461]
    """
    counted_s = settings.duration_s - settings.warmup_s
    asked = offered(settings) or dict.fromkeys(
        (pair for pair, route in settings.routes().items() if leads_to(route, pair[1])), math.inf
    )
    limits = [limit for link in _links(settings) for limit in _limits(settings, link, counted_s)]
    relays = set(settings.topology.repeaters)
    flow = largest_flow(limits, asked, relays)
    return KeyBound(
        flow.value,
        _requests(settings, limits, asked, relays, flow) * counted_s,
        sum(asked.values()),
        flow.prices,
    )


def _links(settings: QKDSettings) -> Iterator[Link]:
    yield from (link for link in settings.topology.links if all(map(settings.takes_part, link.ends)))


def _limits(settings: QKDSettings, link: Link, counted_s: float) -> Iterator[FlowLimit]:
    """Yield the key bits per second that a link can give: what it makes, and what its pools have at first."""
    ways = (link.ends, link.ends[::-1])
    stocks = [_stock_bits(settings, way) / counted_s if settings.has_pools(link) else 0.0 for way in ways]
    rate = rate_bps(settings, link)
    if has_own_devices(settings, link):
        yield from (FlowLimit((way,), rate + stock) for way, stock in zip(ways, stocks, strict=True))
    else:
        yield FlowLimit(ways, rate + sum(stocks))


def _stock_bits(settings: QKDSettings, way: Hop) -> float:
    stream = settings.stream(*way)
    sizes = stream.thresholds
    # After a warm-up pools may be full, and a block of keys nearly made.
    return stream.key_bits * (sizes.capacity + stream.block_keys if settings.warmup_s else sizes.initial)


def _requests(
    settings: QKDSettings, limits: Sequence[FlowLimit], asked: Mapping[Pair, float], relays: set[str], flow: Flow
) -> float:
    """Return how many requests per second could be delivered at most."""
    sizes = {}
    for user in {source for source, _ in asked}:
        demand = settings.demand.here(node=user).build()
        if not isinstance(demand, KnowsSizes) or not demand.request_sizes():
            return math.nan
        sizes[user] = min(demand.request_sizes())
    if len(set(sizes.values())) == 1:
        return flow.value / next(iter(sizes.values()))
    return largest_flow(limits, asked, relays, {pair: 1 / sizes[pair[0]] for pair in asked}).value


def check_bound(network: QKDNetwork) -> None:
    """Check that a run delivered no more than the largest flow of the keys that were made in it.

    Raises
    ------
    InvariantError
        If it did.
    """
    settings = network.settings
    delivered = sum(entry.request.bits for entry in network.ledger.entries if entry.state is RequestStatus.DELIVERED)
    asked: dict[Pair, float] = {}
    for entry in network.ledger.entries:
        pair = entry.request.src, entry.request.dst
        asked[pair] = asked.get(pair, 0.0) + entry.request.bits
    made: dict[Hop, float] = {
        stream.ends: stream.downstream.stored * stream.settings.key_bits for stream in network.streams
    }
    everything = sum(asked.values())  # links without pools make what is asked for
    limits = [FlowLimit((way,), min(made.get(way, everything), everything)) for way in _ways(settings)]
    most = largest_flow(limits, asked, set(settings.topology.repeaters)).value
    require(
        delivered <= most * (1 + ROUNDING), f"delivered {delivered} bits <= {most:.0f}, the most that its keys allow"
    )


def _ways(settings: QKDSettings) -> Iterator[Hop]:
    for link in _links(settings):
        yield from (link.ends, link.ends[::-1])
