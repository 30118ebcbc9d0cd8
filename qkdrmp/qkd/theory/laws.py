"""What theory says of a scenario: the bound on deliverable keys, and the wait at a pool between two users."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy

from qkdrmp.errors import QKDRMPError, listed
from qkdrmp.family import Law
from qkdrmp.key_rates.constant import Constant
from qkdrmp.qkd.demand.models import PoissonRequests
from qkdrmp.qkd.keys.thresholds import Replenish
from qkdrmp.qkd.loads import link_loads, rate_bps
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.qkd.theory.bounds import key_bound

BOUND = "largest multicommodity flow"
SHOWN = 3
"""How many links are named."""


def laws(settings: QKDSettings) -> list[Law]:
    """Return what theory says of the metrics of a scenario."""
    return [*_bounds(settings), *_single_pool(settings)]


def _bounds(settings: QKDSettings) -> Iterator[Law]:
    try:
        bound = key_bound(settings)
    except QKDRMPError:  # a model of the user's own
        return
    names = ["-".join(link) for link in bound.binding]
    because = f"limited by {listed(names, SHOWN)}" if names else "which is all that is asked for"
    yield Law("key_rate_bps", bound.key_rate_bps, BOUND, True, because)
    if not math.isnan(bound.requests):
        yield Law("requests_delivered", bound.requests, BOUND, True, because)


def _single_pool(settings: QKDSettings) -> Iterator[Law]:
    """Yield the mean wait at one pool between two users of which one asks the other by a Poisson process.

    What is missing in such a pool, requests that wait included, is the queue of a server with a constant service time,
    that of making a key: P. Naor and S. Ray's base-stock queue, as in J. A. Buzacott and J. G. Shanthikumar, Stochastic
    Models of Manufacturing Systems (1993), section 4.3. By Little's law the mean wait is E[(N - C)+] / lambda.
    """
    demand, topology = settings.demand.build(), settings.topology
    if len(topology.links) != 1 or not isinstance(demand, PoissonRequests) or settings.demand.at:
        return
    link = topology.links[0]
    askers = {way: load for way, load in _rates(settings, demand).items() if load}
    if len(askers) != 1 or not settings.has_pools(link):
        return
    (way, rate) = next(iter(askers.items()))
    stream, sizes = settings.stream(*way), settings.stream(*way).thresholds
    is_plain = (
        stream.replenish is Replenish.CONTINUOUS
        and (sizes.interrupt, sizes.recover, sizes.reserve, stream.block_keys) == (0, 1, 0, 1)
        and demand.key_num * demand.key_length_bits == stream.key_bits
        and demand.patience_s is None
        and isinstance(settings.key_rate.build(), Constant)
        and settings.key_rate.per_direction
    )
    load = max(link_loads(settings).values())
    if is_plain and load < 1:
        name = "M/D/1 queue of missing keys"
        wait_s = shortfall(load, sizes.capacity) / rate
        because = f"load {load:.3g}, a key every {1e3 * stream.key_bits / rate_bps(settings, link):.3g} ms"
        yield Law("wait_mean_s", wait_s, name, False, because)


def _rates(settings: QKDSettings, demand: PoissonRequests) -> dict[tuple[str, str], float]:
    pairs = [pair for pair, route in settings.routes().items() if route]
    bits = demand.key_num * demand.key_length_bits
    return {pair: rate / bits for pair, rate in demand.offered_bps(pairs, settings.duration_s).items()}


def shortfall(load: float, capacity: int) -> float:
    """Return E[(N - C)+], N being the number in an M/D/1 queue.

    Parameters
    ----------
    load : float
        Below 1.
    capacity : int
        C (>= 0).
    """
    arrivals = scipy.stats.poisson.pmf(np.arange(capacity + 2), load)
    states = [1 - load]  # of the chain at departures: D. G. Kendall, J. Royal Statistical Society B 13 (1951) 151
    for n in range(capacity):
        earlier = sum(states[i] * arrivals[n - i + 1] for i in range(1, n + 1))
        states.append(float((states[n] - states[0] * arrivals[n] - earlier) / arrivals[0]))
    above = 1 - np.cumsum(states[:capacity])
    mean = load + load**2 / (2 * (1 - load))
    return max(float(mean - above.sum()), 0.0)
