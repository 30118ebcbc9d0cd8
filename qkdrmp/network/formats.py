"""File formats of topologies: reading any of them, writing our own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import networkx as nx
from pydantic import BaseModel

from qkdrmp.config.bundled import resolve
from qkdrmp.config.registry import Registry
from qkdrmp.config.sections import shown
from qkdrmp.errors import TopologyError
from qkdrmp.network import file_records as fields
from qkdrmp.topology import Link, Node, NodeKind, Topology

EARTH_RADIUS_KM = 6371.0088


class TopologyReader(Protocol):
    """What makes a topology of a file in some format."""

    def __call__(self, path: Path, content: Any, /) -> Topology:
        """Return the topology that a file describes.

        Parameters
        ----------
        path : Path
            For error messages.
        content : object
            What the JSON of the file holds, or else its text.
        """


@dataclass(frozen=True)
class FileFormat:
    """A file format that is recognised by the content of a file.

    Parameters
    ----------
    recognises : callable
        Returns whether content is of this format.
    read : TopologyReader
    """

    recognises: Callable[[Any], bool]
    read: TopologyReader

    def __call__(self, path: Path, content: Any) -> Topology:
        """Return the topology that a file describes."""
        return self.read(path, content)


def load_topology(name_or_path: str | Path, format: str | TopologyReader | None = None) -> Topology:
    """Return a bundled topology, or the one a file describes.

    Parameters
    ----------
    name_or_path
        A bundled name such as ``"beijing_qman"``, or the path of a file.
    format
        ``qkdrmp``, ``qnet``, ``node-link`` or ``graphml``, or a reader of your own, as an object or named like
        ``my_reader.py:read``; by default the first of these formats that recognises the file.

    Raises
    ------
    TopologyError
        If there is no such file or format, or if anything in the file is wrong; one line for each problem.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.load_topology("beijing_qman")
    <Topology beijing_qman: 35 nodes, 37 links>
    """
    reader = None if format is None else _reader(format)
    path = resolve("topologies", name_or_path, TopologyError)
    content = _content(path)
    if reader is not None:
        made: Any = reader(path, content)
        if not isinstance(made, Topology):
            raise TopologyError(f"{path}: format = {shown(format)} must return a Topology, not {shown(made)}")
        return made
    for known in TOPOLOGY_READERS.values():
        if isinstance(known, FileFormat) and known.recognises(content):
            return known(path, content)
    raise TopologyError(
        f"{path}: must be in one of the formats {', '.join(TOPOLOGY_READERS)}, as far as can be seen; "
        f'our own says "format": "{fields.OWN_FORMAT}"'
    )


def _reader(format: str | TopologyReader) -> TopologyReader:
    try:
        return TOPOLOGY_READERS.made(TOPOLOGY_READERS.found(format))
    except ValueError as error:
        raise TopologyError(f"format = {shown(format)} {error}") from None


def save_topology(topology: Topology, path: str | Path) -> None:
    """Write `topology` to a file in our own format, one node or link a line.

    Parameters
    ----------
    topology
        What to write; `load_topology` gives an equal one back. What is in `extra` must be fit for JSON.
    path
        The file, which is replaced if it exists.

    Raises
    ------
    TopologyError
        If the file cannot be written.

    Examples
    --------
    >>> import qkdrmp
    >>> nodes = [qkdrmp.Node("North", "end"), qkdrmp.Node("Hub", "repeater"), qkdrmp.Node("South", "end")]
    >>> links = [qkdrmp.Link(("North", "Hub"), length_km=5), qkdrmp.Link(("Hub", "South"), length_km=8)]
    >>> city = qkdrmp.Topology("city", nodes, links)
    >>> qkdrmp.save_topology(city, "city.json")
    >>> qkdrmp.load_topology("city.json") == city
    True
    """
    as_json = partial(json.dumps, ensure_ascii=False)
    head = {"format": fields.OWN_FORMAT, "name": topology.name, "source": topology.source}
    members = [f'  "{key}": {as_json(value)}' for key, value in head.items() if value]
    lists = {"nodes": map(_node_fields, topology.nodes.values()), "links": map(_link_fields, topology.links)}
    for key, items in lists.items():
        rows = ",".join(f"\n    {as_json(item)}" for item in items)
        members.append(f'  "{key}": [{rows}\n  ]')
    try:
        Path(path).write_text("{\n" + ",\n".join(members) + "\n}\n", encoding="utf-8")
    except OSError as error:
        raise TopologyError(f"{path}: cannot be written: {error.strerror}") from None


def _node_fields(node: Node) -> dict[str, Any]:
    place = {} if node.latitude is None else {"latitude": node.latitude, "longitude": node.longitude}
    return {"name": node.name, "kind": node.kind.value, **place, **_extra(node)}


def _link_fields(link: Link) -> dict[str, Any]:
    same = link.classical_length_km == link.length_km
    names = ["length_km", "attenuation_db_per_km", *([] if same else ["classical_length_km"])]
    return {"ends": link.ends, **{name: getattr(link, name) for name in names}, **_extra(link)}


def _extra(item: Node | Link) -> dict[str, Any]:
    return {"extra": dict(item.extra)} if item.extra else {}


def _content(path: Path) -> Any:
    """Return what the JSON of a file holds, or the text of a file that is not meant as JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: cannot be read: {error}") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if path.suffix == ".json" or text.lstrip().startswith(("{", "[")):
            place = f"line {error.lineno}, column {error.colno}"
            raise TopologyError(f"{path}: broken JSON at {place}: {error.msg}") from None
        return text


def _is_own(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("qkdrmp")


def _read_own(path: Path, content: Any) -> Topology:
    record = fields.checked(fields.TopologyRecord, path, content)
    name = path.stem if record.name is None else record.name
    nodes = [Node(**node.model_dump()) for node in record.nodes]
    links = [Link(**link.model_dump()) for link in record.links]
    return Topology(name, nodes, links, record.source, where=str(path))


_QNET_KINDS = {"RMPEndNode": NodeKind.END, "RMPRepeaterNode": NodeKind.REPEATER}


def _is_qnet(content: Any) -> bool:
    return any("node1" in link for link in _objects(content, "links")) or any(
        node.get("type") in _QNET_KINDS for node in _objects(content, "nodes")
    )


def _read_qnet(path: Path, content: Any) -> Topology:
    record = fields.checked(fields.QnetRecord, path, content)
    return Topology(path.stem, map(_qnet_node, record.nodes), map(_qnet_link, record.links), where=str(path))


def _qnet_node(node: fields.QnetNode) -> Node:
    kind = _QNET_KINDS.get(node.type, NodeKind.PASSIVE)
    extra = node.rest | ({"type": node.type} if kind is NodeKind.PASSIVE else {})
    return Node(node.name, kind, node.latitude, node.longitude, extra)


def _qnet_link(link: fields.QnetLink) -> Link:
    quantum, classical = link.qchannel, link.cchannel or link.qchannel
    rest = {"qchannel": quantum.rest, "cchannel": classical.rest if link.cchannel else {}}
    return Link(
        (link.node1, link.node2),
        quantum.distance / 1000,
        quantum.attenuation,
        classical.distance / 1000,
        link.rest | {channel: extra for channel, extra in rest.items() if extra},
    )


def _is_node_link(content: Any) -> bool:
    return any("id" in node for node in _objects(content, "nodes"))


def _read_node_link(path: Path, content: Any) -> Topology:
    """Read a file of `networkx.node_link_data`, by writing it in our own format first."""
    record = fields.checked(fields.GraphRecord, path, content)
    nodes = [_sorted_out(fields.NodeRecord, {"name": node.id}, node.rest) for node in record.nodes]
    places = {node["name"]: [node.get("latitude"), node.get("longitude")] for node in nodes}
    links = [_edge(edge, places) for edge in record.links]
    return _read_own(path, {"format": fields.OWN_FORMAT, "nodes": nodes, "links": links})


def _edge(edge: fields.GraphEdge, places: dict[str, list[Any]]) -> dict[str, Any]:
    link = _sorted_out(fields.LinkRecord, {"ends": [edge.source, edge.target]}, edge.rest)
    degrees = places.get(edge.source, []) + places.get(edge.target, [])
    placed = len(degrees) == 4 and all(isinstance(d, int | float) and abs(d) <= 180 for d in degrees)
    if placed and "length_km" not in link:
        link["length_km"] = great_circle_km(*degrees)
    return link


def _is_graphml(content: Any) -> bool:
    return isinstance(content, str) and "<graphml" in content


def _read_graphml(path: Path, content: Any) -> Topology:
    """Read GraphML through networkx, by writing it as node-link data first."""
    if not _is_graphml(content):
        raise TopologyError(f"{path}: must be GraphML")
    try:
        graph: nx.Graph[str] = nx.Graph(nx.parse_graphml(content))
        # networkx sorts edges by node; the order in which they are listed matters to some routing rules.
        listed = [edge for edge in ElementTree.fromstring(content).iter() if edge.tag.endswith("}edge")]
        edges = [(edge.attrib["source"], edge.attrib["target"]) for edge in listed]
    except (ElementTree.ParseError, nx.NetworkXError, TypeError, ValueError, KeyError) as error:
        raise TopologyError(f"{path}: broken GraphML: {error}") from None
    nodes = [{**attributes, "id": node} for node, attributes in graph.nodes.items()]
    links = [{**graph.edges[edge], "source": edge[0], "target": edge[1]} for edge in edges]
    return _read_node_link(path, {"nodes": nodes, "links": links})


def _objects(content: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects listed under `key`, as far as there are any."""
    items = content.get(key) if isinstance(content, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _sorted_out(model: type[BaseModel], start: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """Return `start` with those `attributes` that are fields of our own format, and all others as extra."""
    known = model.model_fields.keys() - start.keys() - {"extra"}
    record: dict[str, Any] = {**start, "extra": {}}
    for key, value in attributes.items():
        (record if key in known else record["extra"])[key] = value
    return record


def great_circle_km(latitude: float, longitude: float, latitude2: float, longitude2: float) -> float:
    """Return the distance in km between two places on the ground, given in degrees."""
    phi, phi2 = math.radians(latitude), math.radians(latitude2)
    across = math.sin(math.radians(longitude2 - longitude) / 2) ** 2
    haversine = math.sin((phi2 - phi) / 2) ** 2 + math.cos(phi) * math.cos(phi2) * across
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, haversine)))


TOPOLOGY_READERS: Registry[TopologyReader] = Registry(
    "topology reader",
    TopologyReader,
    {
        "qkdrmp": FileFormat(_is_own, _read_own),
        "qnet": FileFormat(_is_qnet, _read_qnet),
        "node-link": FileFormat(_is_node_link, _read_node_link),
        "graphml": FileFormat(_is_graphml, _read_graphml),
    },
)
"""Every format by its name, in the order in which they are tried."""
