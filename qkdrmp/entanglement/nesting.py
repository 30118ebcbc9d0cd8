"""Nesting: the route of a connection, and which nested networks it crosses as virtual links."""

from __future__ import annotations

from collections.abc import Collection

from qkdrmp.network.routing import Route, routes_to, shortest_routes
from qkdrmp.topology import Topology


class Nesting:
    """Routing for every depth of nesting.

    A node belongs to the networks that its attribute ``network`` names, such as ``"A/x"`` for network x inside
    network A. A nested network looks from outside like one virtual link between the two borders by which a route
    enters and leaves it.

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
            name: [network for network in networks_of(node.extra.get("network")) if network in nested]
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
        network = self._network(node, depth)
        last = 0
        while network is not None and last + 1 < len(route) and self._network(route[last + 1], depth) == network:
            last += 1
        return (route[last], network) if last >= 2 else (route[1], None)

    def path(self, src: str, dst: str, depth: int) -> tuple[str, ...] | None:
        """Return the nodes from one to another as seen from inside `depth` networks; None if there is no route."""
        path = [src]
        while path[-1] != dst:
            step = self.step(path[-1], dst, depth)
            if step is None:
                return None
            path.append(step[0])
        return tuple(path)

    def _network(self, node: str, depth: int) -> str | None:
        networks = self._networks[node]
        return networks[depth] if depth < len(networks) else None


def networks_of(attribute: object) -> list[str]:
    """Return the full names of the networks that a node's attribute ``network`` names, from the outermost in."""
    parts = str(attribute).split("/") if attribute else []
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]
