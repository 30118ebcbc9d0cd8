"""Files of graphs: GraphML, as of the Topology Zoo, and node-link JSON, as of topohub, read as drafts of networks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
from pydantic import BaseModel

from qkdrmp.errors import TopologyError, listed
from qkdrmp.network import file_records as fields
from qkdrmp.network.draft import Draft
from qkdrmp.network.lengths import great_circle_km, is_number

_NUMBER = re.compile(r"n?\d+")
_CALLED = ("label", "name")
_SPELLINGS = {"Latitude": "latitude", "Longitude": "longitude", "lat": "latitude", "lon": "longitude"}
_POSITION, _DISTANCE = "pos", "dist"
_CLOSE, _CLOSE_KM = 0.05, 2.0


def is_node_link(content: Any) -> bool:
    """Return whether the content of a file is node-link data."""
    return any("id" in node for node in objects(content, "nodes"))


def is_graphml(content: Any) -> bool:
    """Return whether the content of a file is GraphML."""
    return isinstance(content, str) and "<graphml" in content


def objects(content: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects listed under `key`, as far as there are any."""
    items = content.get(key) if isinstance(content, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def read_graphml(path: Path, content: Any) -> Draft:
    """Read GraphML through networkx, by writing it as node-link data first."""
    if not is_graphml(content):
        raise TopologyError(f"{path}: must be GraphML")
    try:
        graph: Any = nx.parse_graphml(content)
        # networkx sorts edges by node; the order in which they are listed matters to some routing rules.
        elements = [*ElementTree.fromstring(content).iter()]
        ends = [(edge.attrib["source"], edge.attrib["target"]) for edge in elements if edge.tag.endswith("}edge")]
        declared = {node.attrib["id"] for node in elements if node.tag.endswith("}node")}
    except (ElementTree.ParseError, nx.NetworkXError, TypeError, ValueError, KeyError) as error:
        raise TopologyError(f"{path}: broken GraphML: {error}") from None
    nodes = [{**attributes, "id": node} for node, attributes in graph.nodes.items() if node in declared]
    return read_node_link(path, {"graph": graph.graph, "nodes": nodes, "links": list(_edges(graph, ends))})


def _edges(graph: Any, ends: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the edges in the order of a file, each of several between two nodes with its own attributes."""
    pair: Any = tuple if graph.is_directed() else frozenset
    left: dict[Any, list[dict[str, Any]]] = {}
    for a, b, attributes in graph.edges(data=True):
        left.setdefault(pair((a, b)), []).append(attributes)
    for a, b in ends:
        found = left[pair((a, b))]
        yield {**(found.pop(0) if len(found) > 1 else found[0]), "source": a, "target": b}


def read_node_link(path: Path, content: Any) -> Draft:
    """Read a file of `networkx.node_link_data`."""
    record = fields.checked(fields.GraphRecord, path, content)
    about = record.graph if isinstance(record.graph, dict) else {}
    draft = Draft(
        path.stem, _source(about), [_node(node) for node in record.nodes], [_link(edge) for edge in record.links]
    )
    _read_positions(draft)
    _call(draft)
    if about.get("demands"):
        draft.notes.append("the demands of the file are left out")
    return draft


def _source(about: dict[str, Any]) -> str:
    """Return what the attributes of a graph of the Topology Zoo say about its source."""
    said = [str(about[key]) for key in ("Network", "NetworkDate", "Source", "Creator") if about.get(key)]
    return ", ".join(said)


def _node(node: fields.GraphNode) -> dict[str, Any]:
    spelled = {_SPELLINGS.get(key, key): value for key, value in node.rest.items()}
    made = _sorted_out(fields.NodeRecord, {"name": node.id}, spelled)
    if not (is_number(made.get("x")) and is_number(made.get("y"))):  # they mean something else
        made["extra"] |= {axis: made.pop(axis) for axis in ("x", "y") if axis in made}
    return made


def _link(edge: fields.GraphEdge) -> dict[str, Any]:
    return _sorted_out(fields.LinkRecord, {"ends": [edge.source, edge.target]}, edge.rest)


def _sorted_out(model: type[BaseModel], start: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """Return `start` with those `attributes` that are fields of our own format, and all others as extra."""
    known = model.model_fields.keys() - start.keys() - {"extra"}
    record: dict[str, Any] = {**start, "extra": {}}
    for key, value in attributes.items():
        (record if key in known else record["extra"])[key] = value
    return record


def _call(draft: Draft) -> None:
    """Call nodes by their label or name where their ids are numbers; those that share one by both."""
    if not all(_NUMBER.fullmatch(node["name"]) for node in draft.nodes):
        return
    called = {node["name"]: _called(node) for node in draft.nodes}
    times = Counter(called.values())
    shared = {id_: f"{name} ({id_})" for id_, name in called.items() if name and times[name] > 1}
    names = {id_: shared.get(id_) or name or id_ for id_, name in called.items()}
    if len(set(names.values())) < len(names):
        return
    for node in draft.nodes:
        node["name"] = names[node["name"]]
    for link in draft.links:
        link["ends"] = [names.get(end, end) for end in link["ends"]]
    if shared:
        draft.notes.append(f"{len(shared)} nodes share a name and have their id behind it: {listed(shared.values())}")
    if (unnamed := sum(not name for name in called.values())) and any(called.values()):
        draft.notes.append(f"nodes without a name are called by their id ({unnamed})")


def _called(node: dict[str, Any]) -> str:
    found = (str(node["extra"][key]).strip() for key in _CALLED if node["extra"].get(key) is not None)
    return next(filter(None, found), "")


def _read_positions(draft: Draft) -> None:
    """Take positions as longitude and latitude if the distances of topohub fit that, or else as places in a plane."""
    places = {node["name"]: node["extra"].get(_POSITION) for node in draft.nodes}
    if not all(isinstance(at, list | tuple) and len(at) == 2 and all(map(is_number, at)) for at in places.values()):
        return
    distances = [link for link in draft.links if "length_km" not in link and is_number(link["extra"].get(_DISTANCE))]
    for link in distances:
        link["length_km"] = link["extra"].pop(_DISTANCE) or None  # 0 where both ends are in one place
    degrees = bool(distances) and all(abs(x) <= 180 and abs(y) <= 90 for x, y in places.values())
    degrees = degrees and _fits(distances, {name: (y, x) for name, (x, y) in places.items()}, great_circle_km)
    for node in draft.nodes:
        x, y = node["extra"].pop(_POSITION)
        node |= {"longitude": x, "latitude": y} if degrees else {"x": x, "y": y}
    if distances and not degrees and not _fits(distances, places, lambda *at: math.dist(at[:2], at[2:])):
        draft.notes.append("lengths are those of the file, although they do not fit its positions: check them")


def _fits(links: list[dict[str, Any]], places: dict[str, Any], distance: Callable[..., float]) -> bool:
    """Return whether most links are about as long as a straight line between their ends."""
    ends_known = (link for link in links if link["length_km"] and all(end in places for end in link["ends"]))
    lengths = [(link["length_km"], link["ends"]) for link in ends_known]
    close: list[bool] = [
        abs(distance(*places[a], *places[b]) - km) <= max(_CLOSE * km, _CLOSE_KM) for km, (a, b) in lengths
    ]
    return sum(close) * 2 > len(close) or not close
