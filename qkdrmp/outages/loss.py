"""What a cut costs, as far as it is known without a run: who loses service, whose way is longer, what is overloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.family import Pair, Service
from qkdrmp.outages.cuts import Cut
from qkdrmp.topology import Topology


@dataclass(frozen=True)
class Detour:
    """The way of two users with the whole network, and with a cut, in kilometres of quantum channels.

    Parameters
    ----------
    before_km, after_km : float
        The latter is larger, or as large where there is another way of the same length.
    """

    before_km: float
    after_km: float

    @property
    def longer_km(self) -> float:
        """By how much it is longer."""
        return self.after_km - self.before_km


@dataclass(frozen=True)
class Loss:
    """What a cut costs.

    Parameters
    ----------
    cut : Cut
    disconnected : tuple of (str, str)
        Ordered pairs of users that have a route, but none with the cut.
    rerouted : mapping of (str, str) to Detour
        Those whose route is another one with the cut.
    loads : mapping of (str, str) to float
        The offered load of each link with the cut.
    overloaded : mapping of (str, str) to float
        Of these, the loads above 1 that are larger than with the whole network.
    """

    cut: Cut
    disconnected: tuple[Pair, ...]
    rerouted: Mapping[Pair, Detour]
    loads: Mapping[Pair, float]
    overloaded: Mapping[Pair, float]

    @property
    def longer_mean_km(self) -> float:
        """By how much the ways of those that are rerouted are longer, on average; 0 if nobody is."""
        longer = [way.longer_km for way in self.rerouted.values()]
        return sum(longer) / len(longer) if longer else 0.0

    @property
    def cost(self) -> tuple[float, ...]:
        """By which cuts are ranked: who loses service, then overloaded links, then who is rerouted, and how far."""
        over = max(self.overloaded.values(), default=0.0)
        return (len(self.disconnected), len(self.overloaded), over, len(self.rerouted), self.longer_mean_km)


def loss_of(cut: Cut, whole: Service, left: Service, topology: Topology) -> Loss:
    """Return what a cut costs.

    Parameters
    ----------
    cut : Cut
    whole, left : Service
        Without the cut, and with it.
    topology : Topology
        The whole network.
    """
    km = {ends: link.length_km for link in topology.links for ends in (link.ends, link.ends[::-1])}

    def length_km(route: tuple[str, ...]) -> float:
        return sum(km[hop] for hop in pairwise(route))

    rerouted = {
        pair: Detour(length_km(route), length_km(left.routes[pair]))
        for pair, route in whole.routes.items()
        if left.routes.get(pair, route) != route
    }
    disconnected = tuple(pair for pair in whole.routes if pair not in left.routes)
    overloaded = {link: load for link, load in left.loads.items() if load > max(1.0, whole.loads.get(link, 0.0))}
    return Loss(cut, disconnected, rerouted, left.loads, overloaded)
