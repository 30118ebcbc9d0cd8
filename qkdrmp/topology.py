"""Topology: who is connected to whom, by links of which length and loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

import networkx as nx

from qkdrmp.errors import TopologyError, did_you_mean, one_of


class NodeKind(StrEnum):
    """What a node does in the network.

    An ``end`` node is a user and never relays for others; a ``repeater`` only relays, and in key distribution
    it is trusted; a ``router`` joins lines of an entanglement network; a ``passive`` node is drawn, no more.
    """

    END = "end"
    REPEATER = "repeater"
    ROUTER = "router"
    PASSIVE = "passive"


_KINDS = {kind.value: kind for kind in NodeKind}
COORDINATES = ("latitude", "longitude", "x", "y")
_POOL_SIZES = {"pool_capacity": "capacity", "pool_key_length_bits": "key_length_bits"}
_EDGE_ATTRIBUTES = ("length_km", "classical_length_km", "attenuation_db_per_km")


@dataclass(frozen=True, slots=True)
class Node:
    """One place of the network.

    Parameters
    ----------
    name
        Unique within the topology, not empty.
    kind
        What the node does; the plain text, such as ``"end"``, will do.
    latitude, longitude
        Degrees, within [-90, 90] and [-180, 180]; both or none.
    extra
        Anything else the file says about the node; nothing here reads it.
    x, y
        Where a map without latitudes and longitudes shows the node, to the right and up, in any unit; both or none.
    pool_capacity, pool_key_length_bits
        Of its key pools, in keys and in bits, 1 or more: what a scenario assumes that says nothing of it.
    """

    name: str
    kind: NodeKind
    latitude: float | None = None
    longitude: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    x: float | None = None
    y: float | None = None
    pool_capacity: int | None = None
    pool_key_length_bits: int | None = None

    def __post_init__(self) -> None:
        # An unknown kind stays as it is, for the topology to report along with everything else.
        object.__setattr__(self, "kind", _KINDS.get(self.kind, self.kind))

    @property
    def place(self) -> dict[str, float]:
        """Its coordinates by their names, as far as they are known."""
        values = {name: getattr(self, name) for name in COORDINATES}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def pool_sizes(self) -> dict[str, int]:
        """What is known of its key pools, by the names of fields of scenarios."""
        values = {field: getattr(self, name) for name, field in _POOL_SIZES.items()}
        return {field: value for field, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Link:
    """A fibre between two nodes; it carries a quantum and a classical channel, in both directions.

    Parameters
    ----------
    ends
        The names of the two nodes, in either order.
    length_km
        Length of the quantum channel in km, greater than 0.
    attenuation_db_per_km
        Loss of the quantum channel per length in dB/km, 0 or more.
    classical_length_km
        Length of the classical channel in km, greater than 0; left out, it is `length_km`.
    extra
        Anything else the file says about the link; nothing here reads it.
    """

    ends: tuple[str, str]
    length_km: float
    attenuation_db_per_km: float = 0.2
    classical_length_km: float = None  # type: ignore[assignment]  # a float once the link is made
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", tuple(self.ends))
        if self.classical_length_km is None:
            object.__setattr__(self, "classical_length_km", self.length_km)

    @property
    def loss_db(self) -> float:
        """Loss of the quantum channel over the whole length, in dB."""
        return self.attenuation_db_per_km * self.length_km

    def __str__(self) -> str:
        return "-".join(self.ends)


class Topology:
    """A checked network that does not change.

    Parameters
    ----------
    name, source
        What the network is called, not empty; where its facts come from, free text.
    nodes, links
        At least one node, any number of links; their order is kept, and some routing rules depend on it.
    where
        What error messages call the input, such as its file; `name` by default.
    notes
        What a reader left out or completed, a sentence each.

    Attributes
    ----------
    notes : tuple[str, ...]
        As given.
    nodes, links : Mapping[str, Node], tuple[Link, ...]
        Every node by its name; every link.
    graph : networkx.Graph
        The same, frozen. Nodes carry `kind`, and `latitude` and `longitude`, `x` and `y` where known; edges carry
        `length_km`, `classical_length_km` and `attenuation_db_per_km`.

    Raises
    ------
    TopologyError
        If anything is wrong, with one line for each problem.

    Examples
    --------
    >>> import qkdrmp
    >>> nodes = [qkdrmp.Node("North", "end"), qkdrmp.Node("Hub", "repeater"), qkdrmp.Node("South", "end")]
    >>> links = [qkdrmp.Link(("North", "Hub"), length_km=5), qkdrmp.Link(("Hub", "South"), length_km=8)]
    >>> city = qkdrmp.Topology("city", nodes, links)
    >>> city.ends, city.repeaters
    (['North', 'South'], ['Hub'])
    """

    def __init__(
        self,
        name: str,
        nodes: Iterable[Node],
        links: Iterable[Link],
        source: str = "",
        notes: Iterable[str] = (),
        *,
        where: str = "",
    ) -> None:
        node_list = tuple(nodes)
        self.notes = tuple(notes)
        self.name, self.source = name, source
        self.links = tuple(links)
        self.nodes: Mapping[str, Node] = MappingProxyType({node.name: node for node in node_list})
        if problems := [*_name_problems(name, node_list), *_node_problems(node_list), *self._link_problems()]:
            raise TopologyError("\n".join(f"{where or name or 'topology'}: {line}" for line in problems))
        self._link_between = {ends: link for link in self.links for ends in (link.ends, link.ends[::-1])}
        self.graph: nx.Graph[str] = nx.freeze(_graph(node_list, self.links))

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle carries the facts only; the graph is made again on arrival.
        return Topology, (self.name, tuple(self.nodes.values()), self.links, self.source, self.notes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topology) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.__reduce__())

    def __repr__(self) -> str:
        return f"<Topology {self.name}: {len(self.nodes)} nodes, {len(self.links)} links>"

    @property
    def ends(self) -> list[str]:
        """Names of the end nodes, in the order of the file."""
        return self._named(NodeKind.END)

    @property
    def repeaters(self) -> list[str]:
        """Names of the repeaters, in the order of the file."""
        return self._named(NodeKind.REPEATER)

    def neighbours(self, name: str) -> tuple[str, ...]:
        """Return the nodes linked to node `name`, in the order of the links.

        Raises
        ------
        TopologyError
            If there is no such node.

        Examples
        --------
        >>> import qkdrmp
        >>> qkdrmp.load_topology("line").neighbours("R")
        ('Alice', 'Bob')
        """
        if name not in self.nodes:
            raise TopologyError(f"{self.name} has no node '{name}'{did_you_mean(name, self.nodes)}")
        return tuple(self.graph[name])

    def link(self, a: str, b: str) -> Link:
        """Return the link between nodes `a` and `b`, in either order.

        Raises
        ------
        TopologyError
            If there is no such node, or no link between them.

        Examples
        --------
        >>> import qkdrmp
        >>> link = qkdrmp.load_topology("line").link("R", "Alice")
        >>> link.ends, link.length_km, link.loss_db
        (('Alice', 'R'), 10.0, 2.0)
        """
        if b not in self.neighbours(a):
            self.neighbours(b)  # says so if there is no such node
            raise TopologyError(f"{self.name} has no link between '{a}' and '{b}'")
        return self._link_between[a, b]

    def summary(self) -> str:
        """Return a few lines that describe the network to a person.

        Examples
        --------
        >>> import qkdrmp
        >>> print(qkdrmp.load_topology("line").summary())
        line: 3 nodes (2 end, 1 repeater)
        links: 2, 20.000 km in all, from 10.000 to 10.000 km each
        connected pieces: 1
        source: made up for teaching
        """
        kinds = ", ".join(f"{len(names)} {kind}" for kind in NodeKind if (names := self._named(kind)))
        lines = [f"{self.name}: {len(self.nodes)} nodes ({kinds})"]
        if lengths := [link.length_km for link in self.links]:
            span = f"{sum(lengths):.3f} km in all, from {min(lengths):.3f} to {max(lengths):.3f} km each"
            lines.append(f"links: {len(lengths)}, {span}")
        lines.append(f"connected pieces: {nx.number_connected_components(self.graph)}")
        relays = {*self.repeaters, *self._named(NodeKind.ROUTER)}
        if lonely := [name for name in self.ends if relays.isdisjoint(self.graph[name])]:
            lines.append(f"end nodes that touch no repeater: {', '.join(lonely)}")
        if self.source:
            lines.append(f"source: {self.source}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _named(self, kind: NodeKind) -> list[str]:
        return [node.name for node in self.nodes.values() if node.kind is kind]

    def _link_problems(self) -> Iterator[str]:
        seen: set[frozenset[str]] = set()
        for link in self.links:
            for end in link.ends:
                if end not in self.nodes:
                    yield f"link {link}: the topology has no node '{end}'{did_you_mean(end, self.nodes)}"
            pair = frozenset(link.ends)
            if len(pair) == 1:
                yield f"link {link}: its ends must be two different nodes"
            elif pair in seen:
                yield f"link {link}: these two nodes are linked already"
            seen.add(pair)
            yield from (f"link {link}: {problem}" for problem in _quantity_problems(link))


def _name_problems(name: str, nodes: tuple[Node, ...]) -> Iterator[str]:
    if not name.strip():
        yield f"name = {name!r} must not be empty"
    if not nodes:
        yield "nodes = [] must have at least one entry"
    for node, times in Counter(node.name for node in nodes).items():
        if times > 1:
            yield f"node {node}: the name must be unique, but {times} nodes have it"


def _node_problems(nodes: tuple[Node, ...]) -> Iterator[str]:
    for number, node in enumerate(nodes, start=1):
        if not node.name.strip():
            yield f"node number {number}: name = {node.name!r} must not be empty"
        if node.kind not in _KINDS:
            yield f"node {node.name}: kind = '{node.kind}' must be {one_of(_KINDS, node.kind)}"
        if (node.latitude is None) != (node.longitude is None):
            yield f"node {node.name}: latitude and longitude must be given together"
        if (node.x is None) != (node.y is None):
            yield f"node {node.name}: x and y must be given together"
        for axis, value in (("x", node.x), ("y", node.y)):
            if value is not None and not math.isfinite(value):
                yield f"node {node.name}: {axis} = {value} must be finite"
        for name in _POOL_SIZES:
            if (size := getattr(node, name)) is not None and not size >= 1:
                yield f"node {node.name}: {name} = {size} must be at least 1"
        for what, degrees, limit in (("latitude", node.latitude, 90), ("longitude", node.longitude, 180)):
            if degrees is not None and not -limit <= degrees <= limit:
                yield f"node {node.name}: {what} = {degrees} must be from -{limit} to {limit} degrees"


def _quantity_problems(link: Link) -> Iterator[str]:
    quantities = {"length_km": link.length_km, "attenuation_db_per_km": link.attenuation_db_per_km}
    if link.classical_length_km != link.length_km:  # one wrong value is one problem
        quantities["classical_length_km"] = link.classical_length_km
    for what, value in quantities.items():
        zero_will_do = what == "attenuation_db_per_km"
        if not (value > 0 or (value == 0 and zero_will_do)):
            yield f"{what} = {value} must be {'at least 0' if zero_will_do else 'greater than 0'}"
        elif not math.isfinite(value):
            yield f"{what} = {value} must be finite"


def _graph(nodes: Iterable[Node], links: Iterable[Link]) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.Graph()
    for node in nodes:
        graph.add_node(node.name, kind=node.kind, **node.place)
    for link in links:
        graph.add_edge(*link.ends, **{name: getattr(link, name) for name in _EDGE_ATTRIBUTES})
    return graph
