"""Nesting: the route of a connection, and which nested networks it crosses as virtual links."""

from __future__ import annotations

from collections.abc import Collection

from qkdrmp.network.routing import Route, routes_to, shortest_routes
from qkdrmp.topology import Topology


class Nesting:
    """Routing for every depth of nesting.

    A node belongs to the networks that its attribute ``network`` names, such as ``"A/x"`` for network x inside
    network A, or ``"A,B"`` for a border that joins networks A and B. A nested network looks from outside like one
    virtual link between the two borders by which a route enters and leaves it.

    Parameters
    ----------
    topology : Topology
    nested : collection of str
        The networks that are nested, by their full names.
    """

    def __init__(self, topology: Topology, nested: Collection[str] = ()) -> None:
        self.topology = topology
        self.nested = frozenset(nested)
        self._routes: dict[str, dict[str, Route]] = {}
        self._networks = {
            name: [[one for one in chain if one in nested] for chain in networks_of(node.extra.get("network"))]
            for name, node in topology.nodes.items()
        }

    def route(self, node: str, destination: str) -> Route | None:
        """Return the physical route between two nodes, in which no user relays; None if there is none."""
        if destination not in self._routes:
            self._routes[destination] = routes_to(self.topology, destination)
        return self._routes[destination].get(node)

    def physical_path(self, node: str, destination: str) -> Route:
        """Return the route between two nodes; only the first of them if there is none."""
        return self.route(node, destination) or (node,)

    def routes(self, node: str, destination: str, most: int) -> list[Route]:
        """Return up to so many routes between two nodes, the shortest first; one at most if networks are nested."""
        if most == 1 or self.nested:
            return [self.physical_path(node, destination)]
        return shortest_routes(self.topology, node, destination, most) or [(node,)]

    def step(self, node: str, destination: str, depth: int) -> tuple[str, str | None] | None:
        """Return the next hop towards a destination, seen from inside `depth` networks.

        Returns
        -------
        tuple of (str, str or None), or None
            The next node, and the network that the hop crosses if it is virtual; None if there is no route.
        """
        route = self.route(node, destination)
        if route is None or len(route) < 2:
            return None
        stretches = [(self._stretch(route, one, depth), one) for one in self._at(node, depth)]
        links, network = max(stretches, key=lambda stretch: stretch[0], default=(0, None))
        return (route[links], network) if links >= 2 else (route[1], None)

    def path(self, src: str, dst: str, depth: int) -> tuple[str, ...] | None:
        """Return the nodes from one to another as seen from inside `depth` networks; None if there is no route."""
        path = [src]
        while path[-1] != dst:
            step = self.step(path[-1], dst, depth)
            if step is None:
                return None
            path.append(step[0])
        return tuple(path)

    def _stretch(self, route: Route, network: str, depth: int) -> int:
        """Return how many links of a route, from its first node on, are inside a network."""
        inside = [network in self._at(node, depth) for node in route]
        return (inside.index(False) if False in inside else len(inside)) - 1

    def _at(self, node: str, depth: int) -> list[str]:
        return [chain[depth] for chain in self._networks[node] if depth < len(chain)]


def networks_of(attribute: object) -> list[list[str]]:
    """Return the networks that a node's attribute ``network`` names, by their full names.

    Names are separated by commas; each gives a list of the networks that are one in the other, from the outermost in.
    """
    names = [name.strip() for name in str(attribute).split(",")] if attribute else []
    parts = [name.split("/") for name in names if name]
    return [["/".join(one[: number + 1]) for number in range(len(one))] for one in parts]
