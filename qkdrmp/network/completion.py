"""What files of networks leave out, and the rules that complete it; each rule says in a note what it has done."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qkdrmp.errors import TopologyError, counted, did_you_mean, listed, one_of
from qkdrmp.topology import COORDINATES, NodeKind

EARTH_RADIUS_KM = 6371.0088
LOCAL_KM = 1.0
"""Length of a link within one place: between a user and its own repeater, or two nodes with the same coordinates."""

FEW = 3
"""So many links without a length are named one by one."""

KIND_RULES = ("sites", "leaves")
END, REPEATER = NodeKind.END.value, NodeKind.REPEATER.value
KINDS = {kind.value for kind in NodeKind}
SYNONYMS = dict.fromkeys(("user", "client", "host", "customer", "endpoint", "end node"), END) | dict.fromkeys(
    ("relay", "trusted", "trusted node", "trusted relay", "trusted repeater", "quantum repeater"), REPEATER
)
"""Other words for kinds of nodes, in small letters."""


@dataclass(frozen=True)
class Completion:
    """How what a file of a network leaves out is completed.

    Parameters
    ----------
    kinds : str, optional
        Which rule gives kinds to nodes where no node of the file has one: ``sites``, which is the default, makes
        every node a repeater with a user of its own; ``leaves`` makes nodes with one link users, all others repeaters.
    detour : float, optional
        How many times as long as the great circle a fibre is whose length is computed, at least 1, the default. The
        routing factor of Recommendation ITU-T G.826, clause 6.2, is 1.5 below 1000 km and 1.25 beyond 1200 km; between
        them a route counts as 1500 km.
    nodes : Path, optional
        The CSV file of nodes that belongs to a CSV file of links.

    Raises
    ------
    TopologyError
        If there is no such rule, or the detour is less than 1 or not finite.
    """

    kinds: str | None = None
    detour: float | None = None
    nodes: Path | None = None

    def __post_init__(self) -> None:
        if self.kinds is not None and self.kinds not in KIND_RULES:
            raise TopologyError(f"kinds = {self.kinds!r} must be {one_of(KIND_RULES, self.kinds)}")
        if self.detour is not None and not 1 <= self.detour < math.inf:
            raise TopologyError(f"detour = {self.detour} must be at least 1, and finite")


@dataclass
class Draft:
    """A network as a file describes it: nodes and links with the fields of our own format, as far as they are there.

    Parameters
    ----------
    name, source : str
    nodes, links : list of dict
        Fields may be missing, and values may be wrong: who makes a topology of a draft checks them.
    notes : list of str
        What was left out or completed so far, a sentence each.
    planar_km : bool
        Whether `x` and `y` are kilometres.
    """

    name: str
    source: str
    nodes: list[dict[str, Any]]
    links: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    planar_km: bool = False

    def complete(self, rules: Completion) -> None:
        """Complete what is missing as far as the rules go, and note it.

        Raises
        ------
        TopologyError
            If links end at nodes that are not there, or the rules cannot be applied.
        """
        _check_ends(self)
        understand_kinds(self)
        _drop_loops(self)
        _place(self)
        _measure(self, rules)
        _spread_losses(self)
        _merge(self)
        _complete_kinds(self, rules)


def _check_ends(draft: Draft) -> None:
    names = {node["name"] for node in draft.nodes}
    wrong = [(link["ends"], end) for link in draft.links for end in link["ends"] if end not in names]
    if wrong:
        lines = (f"link {'-'.join(ends)}: there is no node '{end}'{did_you_mean(end, names)}" for ends, end in wrong)
        raise TopologyError("\n".join(lines))


def understand_kinds(draft: Draft) -> None:
    """Replace other words for kinds of nodes, as `SYNONYMS` has them, whatever their letters."""
    read: Counter[tuple[str, str]] = Counter()
    for node in draft.nodes:
        said = node.get("kind")
        if isinstance(said, str) and said not in KINDS:
            word = said.strip().casefold().replace("_", " ").replace("-", " ")
            if kind := word if word in KINDS else SYNONYMS.get(word):
                node["kind"] = kind
                read[said, kind] += 1
    draft.notes += [
        f"kind '{said}' is read as {kind} ({counted(count, 'node')})" for (said, kind), count in read.items()
    ]


def _drop_loops(draft: Draft) -> None:
    loops = [link["ends"][0] for link in draft.links if link["ends"][0] == link["ends"][1]]
    if loops:
        draft.links = [link for link in draft.links if link["ends"][0] != link["ends"][1]]
        names = listed(dict.fromkeys(loops))
        draft.notes.append(f"{counted(len(loops), 'link')} from a node to itself left out: {names}")


def _is_outside(node: dict[str, Any]) -> bool:
    """Return whether the Topology Zoo says of a node that it belongs to a neighbour of the network."""
    return str(node.get("extra", {}).get("Internal")) == "0"


def _is_junction(node: dict[str, Any]) -> bool:
    """Return whether a node of the Topology Zoo stands for a link of more than two ends."""
    return str(node.get("extra", {}).get("hyperedge")) == "1"


def _place(draft: Draft) -> None:
    """Place nodes of the Topology Zoo without coordinates in the middle of those neighbours that have some."""
    if not any("Internal" in node.get("extra", {}) for node in draft.nodes):
        return
    degrees = {node["name"]: found for node in draft.nodes if (found := _degrees(node))}
    missing = {node["name"]: node for node in draft.nodes if "latitude" not in node and "longitude" not in node}
    placed: list[str] = []
    while True:
        beside = _middles(draft, degrees, missing.keys() - set(placed))
        if not beside:
            break
        degrees |= beside
        placed += beside
    for name in placed:
        missing[name]["latitude"], missing[name]["longitude"] = degrees[name]
    if placed:
        where = (
            "stand in the middle of their neighbours" if len(placed) > 1 else "stands in the middle of its neighbours"
        )
        draft.notes.append(f"{counted(len(placed), 'node')} without coordinates {where}: {listed(placed)}")


def _middles(
    draft: Draft, degrees: dict[str, tuple[float, float]], missing: Collection[str]
) -> dict[str, tuple[float, float]]:
    around: dict[str, list[tuple[float, float]]] = {}
    for link in draft.links:
        for name, other in (link["ends"], link["ends"][::-1]):
            if name in missing and other in degrees:
                around.setdefault(name, []).append(degrees[other])
    return {
        name: (math.fsum(y for y, _ in places) / len(places), math.fsum(x for _, x in places) / len(places))
        for name, places in around.items()
    }


def _degrees(node: dict[str, Any]) -> tuple[float, float] | None:
    return _pair(node, "latitude", "longitude", 180)


def _pair(node: dict[str, Any], first: str, second: str, limit: float = math.inf) -> tuple[float, float] | None:
    values = [node.get(first), node.get(second)]
    good = all(is_number(value) and abs(value) <= limit for value in values if value is not None)
    return (values[0], values[1]) if good and None not in values else None  # type: ignore[return-value]


def is_number(value: Any) -> bool:
    """Return whether a value of a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _measure(draft: Draft, rules: Completion) -> None:
    """Compute lengths that are missing from the places of both ends."""
    detour, nodes = rules.detour or 1.0, {node.get("name"): node for node in draft.nodes}
    measured, local = 0, []
    for link in draft.links:
        if link.get("length_km") is not None:
            continue
        found = _straight_km(draft, *(nodes[end] for end in link["ends"]))
        if found is not None:
            link["length_km"] = detour * found or LOCAL_KM
            measured += found > 0
            local += [] if found else ["-".join(link["ends"])]
    unknown = ["-".join(link["ends"]) for link in draft.links if link.get("length_km") is None]
    if len(unknown) > FEW:
        raise TopologyError(
            f"{len(unknown)} links have no length, and not both ends have coordinates: {listed(unknown)}"
        )
    straight = "straight line between" if draft.planar_km else "great circle between"
    if measured:
        times = "" if detour == 1 else f", times {detour:g}"
        draft.notes.append(
            f"{counted(measured, 'link')} without a length: taken as the {straight} the coordinates{times}"
        )
    elif rules.detour is not None:
        draft.notes.append(f"detour = {detour:g} has no effect: no length is computed from coordinates")
    if local:
        draft.notes.append(
            f"{counted(len(local), 'link')} between equal coordinates: taken as {LOCAL_KM:g} km: {listed(local)}"
        )


def _straight_km(draft: Draft, a: dict[str, Any], b: dict[str, Any]) -> float | None:
    places = [_degrees(node) for node in (a, b)]
    if places[0] and places[1]:
        return great_circle_km(*places[0], *places[1])
    planar = [_pair(node, "x", "y") for node in (a, b)]
    return math.dist(planar[0], planar[1]) if draft.planar_km and planar[0] and planar[1] else None


def great_circle_km(latitude: float, longitude: float, latitude2: float, longitude2: float) -> float:
    """Return the distance in km between two places on the ground, given in degrees."""
    phi, phi2 = math.radians(latitude), math.radians(latitude2)
    across = math.sin(math.radians(longitude2 - longitude) / 2) ** 2
    haversine = math.sin((phi2 - phi) / 2) ** 2 + math.cos(phi) * math.cos(phi2) * across
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, haversine)))


def _spread_losses(draft: Draft) -> None:
    """Replace the loss of whole links, in dB, by an attenuation."""
    for link in draft.links:
        if "loss_db" in link and is_number(link.get("length_km")):
            link["attenuation_db_per_km"] = link.pop("loss_db") / link["length_km"]


def _merge(draft: Draft) -> None:
    """Keep the shortest of the links between the same two nodes, as a topology has one."""
    between: dict[frozenset[str], list[dict[str, Any]]] = {}
    for link in draft.links:
        between.setdefault(frozenset(link["ends"]), []).append(link)
    merged, dropped = [], set[int]()
    for links in between.values():
        if len(links) > 1 and all(is_number(link.get("length_km")) for link in links):
            kept = min(links, key=lambda link: float(link["length_km"]))
            dropped |= {id(link) for link in links if link is not kept}
            kept["extra"] = {**kept.get("extra", {}), "parallel": len(links)}
            merged.append(f"{'-'.join(kept['ends'])} ({len(links)})")
    draft.links = [link for link in draft.links if id(link) not in dropped]
    if merged:
        draft.notes.append(
            f"{counted(len(merged), 'pair')} of nodes with several links: the shortest is kept: {listed(merged)}"
        )


def _complete_kinds(draft: Draft, rules: Completion) -> None:
    if any(node.get("kind") is not None for node in draft.nodes):
        if rules.kinds is not None:
            draft.notes.append(f"kinds = {rules.kinds} has no effect: the file has kinds of nodes")
        return
    given = {END: [*filter(_is_outside, draft.nodes)], REPEATER: [*filter(_is_junction, draft.nodes)]}
    for kind, nodes in given.items():
        for node in nodes:
            node["kind"] = kind
    for nodes, are in ((given[END], "outside of the network are users"), (given[REPEATER], "that join links relay")):
        if nodes:
            names = listed(str(node.get("name")) for node in nodes)
            draft.notes.append(f"nodes {are}, by what the file says of them: {names}")
    if others := [node for node in draft.nodes if node.get("kind") is None]:
        (_make_leaves_users if rules.kinds == "leaves" else _attach_users)(draft, others)


def _make_leaves_users(draft: Draft, nodes: list[dict[str, Any]]) -> None:
    degree = Counter(end for link in draft.links for end in link["ends"])
    users = [node for node in nodes if degree[node["name"]] <= 1]
    if not users:
        raise TopologyError("kinds = leaves needs a node with one link, but every node has more of them")
    for node in nodes:
        node["kind"] = END if degree[node["name"]] <= 1 else REPEATER
    count = f"those with one link are users ({len(users)}), the others repeaters ({len(nodes) - len(users)})"
    draft.notes.append(f"no node has a kind: {count} (kinds = leaves)")


def _attach_users(draft: Draft, nodes: list[dict[str, Any]]) -> None:
    taken = {node["name"] for node in draft.nodes}
    for node in nodes:
        node["kind"] = REPEATER
        user = next(name for name in _user_names(str(node["name"])) if name not in taken)
        place: dict[str, Any] = {key: node[key] for key in COORDINATES if key in node}
        draft.nodes.append({"name": user, "kind": END, **place})
        draft.links.append({"ends": [user, node["name"]], "length_km": LOCAL_KM})
    such = f"such as '{draft.nodes[-len(nodes)]['name']}', over {LOCAL_KM:g} km"
    are = "are repeaters, each with a user of its own" if len(nodes) > 1 else "is a repeater with a user of its own"
    draft.notes.append(f"no node has a kind: {counted(len(nodes), 'node')} {are}, {such} (kinds = sites)")


def _user_names(name: str) -> Iterator[str]:
    yield f"{name} user"
    number = 2
    while True:
        yield f"{name} user {number}"
        number += 1
