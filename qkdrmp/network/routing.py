"""Routes between users, made once for a topology."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice, pairwise, permutations
from typing import Any, Protocol, TypeAlias

import networkx as nx

from qkdrmp.config.registry import Registry
from qkdrmp.errors import QKDRMPError
from qkdrmp.topology import NodeKind, Topology

Route: TypeAlias = tuple[str, ...]
"""Names of the nodes a request passes, from its source on."""

Routes: TypeAlias = dict[tuple[str, str], Route | None]
"""A route, or None, for every ordered pair (source, destination) of distinct end nodes."""

_MM_PER_KM = 10**6


class RoutePolicy(Protocol):
    """Which way requests go.

    It is hashable, as functions and frozen dataclasses are: its routes are made once for a topology.
    """

    def __hash__(self) -> int: ...

    def __call__(self, topology: Topology, /) -> Routes:
        """Return the route of every ordered pair of end nodes that has one, by that pair.

        A route is a tuple of the names of nodes; it follows links, from its source on.
        """


def leads_to(route: Route | None, user: str) -> bool:
    """Return whether there is a route and it ends at the user it is for."""
    return route is not None and route[-1] == user


def repeater_routes(topology: Topology) -> Routes:
    """Return the shortest routes that have nothing but repeaters between the two users.

    Length is that of the quantum channels in whole millimetres. Of equally short routes the one with the
    fewest links is taken, then the one found first in the order of the file. A direct link between two users
    is used where it is the shortest way.

    Parameters
    ----------
    topology
        The network.

    Returns
    -------
    Routes
        Each route runs from source to destination; None where there is none.
    """
    repeaters = set(topology.repeaters)
    paths = {source: _shortest_paths(topology, source, repeaters) for source in topology.ends}
    return {(a, b): paths[a].get(b) for a, b in permutations(topology.ends, 2)}


def end_node_routes(topology: Topology) -> Routes:
    """Return the routes of the rule that lets a shortest way run through users, who then refuse to relay.

    A user sends straight to a destination it is linked to, and everything else to its gateway, the repeater
    whose link is listed last. From there on the way is the shortest in the whole graph, as in
    `repeater_routes`. Where it meets another user, possibly the source again, the route ends.

    Parameters
    ----------
    topology
        The network.

    Returns
    -------
    Routes
        A route that ends elsewhere than at its destination is refused there. None where the source has no
        gateway, the two are not connected, or the way runs through a node that is neither repeater nor user.
    """
    gateways = {name: _gateway(topology, name) for name in topology.ends}
    paths = {
        gateway: _shortest_paths(topology, gateway, topology.nodes)
        for gateway in dict.fromkeys(gateways.values())
        if gateway is not None
    }
    routes: Routes = {}
    for source, destination in permutations(topology.ends, 2):
        gateway = gateways[source]
        if destination in topology.neighbours(source):
            routes[source, destination] = (source, destination)
        elif gateway is None or destination not in paths[gateway]:
            routes[source, destination] = None
        else:
            onward = _until_refused(topology, paths[gateway][destination])
            routes[source, destination] = onward and (source, *onward)
    return routes


def _shortest_paths(topology: Topology, source: str, relays: Collection[str]) -> dict[str, Route]:
    """Return the shortest path from `source` to every node that can be reached through `relays` alone."""

    def weight(a: str, b: str, edge: dict[str, Any]) -> int | None:
        return None if a != source and a not in relays else _cost(topology, edge)  # None: no way on from here

    paths = nx.single_source_dijkstra_path(topology.graph, source, weight=weight)
    return {name: tuple(path) for name, path in paths.items()}


def _cost(topology: Topology, edge: Any) -> int:
    """Return the length of a link in millimetres, to which it adds one link, of which no number amounts to one."""
    length_km: float = edge["length_km"]
    return round(length_km * _MM_PER_KM) * len(topology.nodes) + 1


def _gateway(topology: Topology, end: str) -> str | None:
    repeaters = [n for n in topology.neighbours(end) if topology.nodes[n].kind is NodeKind.REPEATER]
    return repeaters[-1] if repeaters else None


def _until_refused(topology: Topology, path: Route) -> Route | None:
    """Return `path` up to the first user on it, or None if a node before that takes no part."""
    for position, name in enumerate(path):
        kind = topology.nodes[name].kind
        if kind is NodeKind.END:
            return path[: position + 1]
        if kind is not NodeKind.REPEATER:
            return None
    return path


def routes_to(topology: Topology, destination: str) -> dict[str, Route]:
    """Return the shortest route from every node that has one to `destination`, with repeaters and routers between.

    Length and ties are as in `repeater_routes`, seen from the destination, so the rest of a route is the route from
    any node on it.
    """
    relays = _relays(topology)
    return {name: path[::-1] for name, path in _shortest_paths(topology, destination, relays).items()}


def _relays(topology: Topology) -> set[str]:
    return {name for name, node in topology.nodes.items() if node.kind in (NodeKind.REPEATER, NodeKind.ROUTER)}


def shortest_routes(topology: Topology, source: str, destination: str, most: int) -> list[Route]:
    """Return up to so many routes between two nodes, the shortest first, with repeaters and routers between.

    The first one is that of `routes_to`, the others are those of Yen's algorithm (Management Science 17, 712 (1971)).
    """
    first = routes_to(topology, destination).get(source)
    if first is None:
        return []
    graph = topology.graph.subgraph(_relays(topology) | {source, destination})
    paths = nx.shortest_simple_paths(graph, source, destination, lambda a, b, edge: _cost(topology, edge))
    others = (path for path in map(tuple, islice(paths, most)) if path != first)
    return [first, *islice(others, most - 1)]


ROUTE_POLICIES: Registry[RoutePolicy] = Registry(
    "route policy", RoutePolicy, {"through-repeaters": repeater_routes, "through-end-nodes": end_node_routes}
)


@lru_cache(maxsize=16)
def routes_by(policy: RoutePolicy, topology: Topology) -> Routes:
    """Return the routes of a policy in a topology, with a route or None for every pair of end nodes.

    Raises
    ------
    QKDRMPError
        If it returns something else, or a route that does not follow links from its source on.
    """
    chosen, name = policy(topology), getattr(policy, "__name__", type(policy).__name__)
    if not isinstance(chosen, Mapping):
        raise QKDRMPError(f"route policy {name} must return a mapping from pairs of users to routes")
    routes = {pair: chosen.get(pair) for pair in permutations(topology.ends, 2)}
    for (source, destination), route in routes.items():
        if route and (route[0] != source or any(b not in topology.neighbours(a) for a, b in pairwise(route))):
            raise QKDRMPError(f"route policy {name}: {route} from {source} to {destination} must follow links")
    return routes
