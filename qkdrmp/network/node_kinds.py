"""Kinds of nodes as files say them, or leave them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from qkdrmp.errors import TopologyError, counted, listed
from qkdrmp.network.draft import Draft
from qkdrmp.network.lengths import LOCAL_KM
from qkdrmp.topology import COORDINATES, NodeKind

KIND_RULES = ("sites", "leaves")
END, REPEATER = NodeKind.END.value, NodeKind.REPEATER.value
KINDS = {kind.value for kind in NodeKind}
SYNONYMS = dict.fromkeys(("user", "client", "host", "customer", "endpoint", "end node"), END) | dict.fromkeys(
    ("relay", "trusted", "trusted node", "trusted relay", "trusted repeater", "quantum repeater"), REPEATER
)
"""Other words for kinds of nodes, in small letters."""


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


def _is_outside(node: dict[str, Any]) -> bool:
    """Return whether the Topology Zoo says of a node that it belongs to a neighbour of the network."""
    return str(node.get("extra", {}).get("Internal")) == "0"


def _is_junction(node: dict[str, Any]) -> bool:
    """Return whether a node of the Topology Zoo stands for a link of more than two ends."""
    return str(node.get("extra", {}).get("hyperedge")) == "1"


def complete_kinds(draft: Draft, rule: str | None) -> None:
    """Give kinds to all nodes if none has one, by a rule; see `completion.Completion`."""
    if any(node.get("kind") is not None for node in draft.nodes):
        if rule is not None:
            draft.notes.append(f"kinds = {rule} has no effect: the file has kinds of nodes")
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
        (_make_leaves_users if rule == "leaves" else _attach_users)(draft, others)


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
