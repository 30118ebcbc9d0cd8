"""CSV files of networks: one of links and, beside it, one of nodes; read as drafts of networks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qkdrmp.errors import TopologyError, did_you_mean
from qkdrmp.network.csv_table import ANY, LATITUDE, LONGITUDE, NOT_NEGATIVE, POSITIVE, CsvTable, titles_of
from qkdrmp.network.draft import Draft

ENDS = ("source", "target")
LINK_COLUMNS = {
    "source": ("source", "from", "a", "src", "node_a", "node1", "node_1", "end_a", "a_end", "start", "from_node"),
    "target": (
        "target",
        "to",
        "b",
        "dst",
        "node_b",
        "node2",
        "node_2",
        "end_b",
        "b_end",
        "end",
        "to_node",
        "destination",
    ),
    "length_km": ("length_km", "length", "distance", "km", "distance_km", "dist_km", "dist", "fibre_km", "fiber_km"),
    "length_m": ("length_m", "distance_m", "dist_m"),
    "attenuation_db_per_km": (
        "attenuation_db_per_km",
        "attenuation",
        "db_per_km",
        "db_km",
        "attenuation_db_km",
        "alpha",
    ),
    "loss_db": ("loss_db",),
    "classical_length_km": ("classical_length_km", "classical_km"),
}
NODE_COLUMNS = {
    "name": ("name", "node", "site", "label"),
    "id": ("id", "node_id"),
    "kind": ("kind", "type", "role", "node_type"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "x": ("x",),
    "y": ("y",),
    "x_km": ("x_km",),
    "y_km": ("y_km",),
}
_RANGES = {"latitude": LATITUDE, "longitude": LONGITUDE, "x": ANY, "y": ANY, "x_km": ANY, "y_km": ANY}


def is_links(content: Any) -> bool:
    """Return whether the content of a file is a CSV file with columns for both ends of links."""
    return isinstance(content, str) and not any(titles_of(content).isdisjoint(LINK_COLUMNS[end]) for end in ENDS)


def read_csv(path: Path, content: Any, nodes: Path | None = None) -> Draft:
    """Read a CSV file of links, and the CSV file of its nodes if there is one.

    Parameters
    ----------
    nodes : Path, optional
        That file; by default the one beside the links that has the same name but for ``nodes`` instead of ``links``.
    """
    if not isinstance(content, str):
        raise TopologyError(f"{path}: must be a CSV file")
    links = CsvTable.read(path, content, LINK_COLUMNS)
    links.require(*ENDS)
    draft = Draft(_name(path), "", [], [_link(links, row) for row in links.rows])
    beside = _nodes_beside(path) if nodes is None else nodes
    if beside is None:
        draft.nodes = [{"name": end} for end in dict.fromkeys(end for link in draft.links for end in link["ends"])]
    else:
        draft.notes += [] if nodes else [f"nodes are those of {beside.name}"]
        _read_nodes(beside, links, draft)
    _miss_lengths(links, draft)
    draft.notes += links.notes()
    return draft


def _name(path: Path) -> str:
    """Return what a network is called: as its folder, or as its file without what says that it is about links."""
    stem = re.sub(r"[_.\- ]?(links|edges)$", "", path.stem, flags=re.IGNORECASE)
    return stem or path.resolve().parent.name or path.stem


def _nodes_beside(path: Path) -> Path | None:
    name = re.sub("(links|edges)$", "nodes", path.stem, flags=re.IGNORECASE)
    beside = path.with_name(f"{name}{path.suffix}")
    return beside if name != path.stem and beside.is_file() else None


def _link(table: CsvTable, row: int) -> dict[str, Any]:
    ends = [table.text(row, end) for end in ENDS]
    for end, meaning in zip(ends, ENDS, strict=True):
        if not end:
            table.complain(row, meaning, "is empty, but must name a node")
    link: dict[str, Any] = {"ends": ends, "extra": table.extra(row)}
    length, metres = table.number(row, "length_km", POSITIVE), table.number(row, "length_m", POSITIVE)
    if length is not None and metres is not None:
        table.complain(row, "length_m", "is given besides the length in km: one of them must go")
    link |= _given(length_km=length if length is not None or metres is None else metres / 1000)
    link |= _given(classical_length_km=table.number(row, "classical_length_km", POSITIVE))
    link |= _given(attenuation_db_per_km=table.number(row, "attenuation_db_per_km", NOT_NEGATIVE))
    link |= _given(loss_db=table.number(row, "loss_db", NOT_NEGATIVE))
    if {"attenuation_db_per_km", "loss_db"} <= link.keys():
        table.complain(row, "loss_db", "is given besides the attenuation: one of them must go")
    return link


def _given(**fields: float | None) -> dict[str, float]:
    return {name: value for name, value in fields.items() if value is not None}


def _read_nodes(path: Path, links: CsvTable, draft: Draft) -> None:
    """Take the nodes of a draft from a file; links name them by their id, if they have one, or by their name."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: cannot be read: {error}") from None
    table = CsvTable.read(path, text, NODE_COLUMNS)
    key = "id" if _names_ids(table, draft) else "name"
    table.require(key)
    draft.nodes = [_node(table, row, key) for row in table.rows]
    _check_names(table, key, draft)
    draft.planar_km = "x_km" in table.columns
    names = {table.text(row, key): draft.nodes[number]["name"] for number, row in enumerate(table.rows)}
    for row, link in zip(links.rows, draft.links, strict=True):
        for end, meaning in zip(link["ends"], ENDS, strict=True):
            if end and end not in names:
                links.complain(row, meaning, f"must be a node of {path.name}{did_you_mean(end, names)}")
        link["ends"] = [names.get(end, end) for end in link["ends"]]
    draft.notes += table.notes()


def _names_ids(table: CsvTable, draft: Draft) -> bool:
    """Return whether links name nodes by their ids rather than by their names."""
    known = {key: {table.text(row, key) for row in table.rows} for key in ("name", "id")}
    ends = {end for link in draft.links for end in link["ends"]}
    return "id" in table.columns and (
        "name" not in table.columns or len(ends & known["id"]) > len(ends & known["name"])
    )


def _node(table: CsvTable, row: int, key: str) -> dict[str, Any]:
    name = table.text(row, "name") or table.text(row, key)
    node: dict[str, Any] = {"name": name, "extra": table.extra(row)}
    if key == "name" and table.text(row, "id"):
        node["extra"]["id"] = table.text(row, "id")
    node |= {"kind": kind} if (kind := table.text(row, "kind")) else {}
    values = {meaning: table.number(row, meaning, allowed) for meaning, allowed in _RANGES.items()}
    return node | _given(
        **{meaning.removesuffix("_km"): value for meaning, value in values.items() if value is not None}
    )


def _check_names(table: CsvTable, key: str, draft: Draft) -> None:
    """Note names that are missing, and those that are there twice."""
    for said in dict.fromkeys((key, "name")):
        seen: dict[str, int] = {}
        for row, node in zip(table.rows, draft.nodes, strict=True):
            value = table.text(row, key) if said == key else node["name"]
            if not value:
                table.complain(row, key, "is empty, but must name the node")
            elif value in seen:
                table.complain(row, said if said in table.columns else key, f"is that of row {seen[value]} already")
            seen.setdefault(value, row)


def _miss_lengths(links: CsvTable, draft: Draft) -> None:
    """Note links that have neither a length nor ends with coordinates."""
    planar = ("x", "y") if draft.planar_km else ()
    placed = {
        node["name"]
        for node in draft.nodes
        if {"latitude", "longitude"} <= node.keys() or (planar and {*planar} <= node.keys())
    }
    for row, link in zip(links.rows, draft.links, strict=True):
        unplaced = [end for end in link["ends"] if end not in placed]
        if unplaced and not (links.text(row, "length_km") or links.text(row, "length_m")) and all(link["ends"]):
            what = (
                f"the link {'-'.join(link['ends'])} has no length, and {unplaced[0]} no coordinates to compute it from"
            )
            if "length_km" not in links.columns and "length_m" not in links.columns:
                links.require("length_km")
            links.problems.append(f"row {row}: {what}")
