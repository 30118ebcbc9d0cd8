"""Files of QNET, read as drafts of networks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from qkdrmp.network import file_records as fields
from qkdrmp.network.draft import Draft
from qkdrmp.network.graph_files import objects
from qkdrmp.topology import NodeKind

_KINDS = {"RMPEndNode": NodeKind.END, "RMPRepeaterNode": NodeKind.REPEATER}


def is_qnet(content: Any) -> bool:
    """Return whether the content of a file is a network as QNET writes it."""
    return any("node1" in link for link in objects(content, "links")) or any(
        node.get("type") in _KINDS for node in objects(content, "nodes")
    )


def read_qnet(path: Path, content: Any) -> Draft:
    """Read a file of QNET; nodes that neither ask for keys nor relay them are passive."""
    record = fields.checked(fields.QnetRecord, path, content)
    passive = Counter(node.type for node in record.nodes if node.type not in _KINDS)
    sized = [node.name for node in record.nodes if node.key_pool_volume is not None or node.key_length is not None]
    notes = [f"type '{kind}' is read as passive ({count} of the nodes)" for kind, count in passive.items()]
    if sized:
        notes.append(
            f"key_pool_volume and key_length of {len(sized)} nodes are the sizes of their key pools, unless a scenario "
            "has pools.capacity and pools.key_length_bits"
        )
    return Draft(path.stem, "", [_node(node) for node in record.nodes], [_link(link) for link in record.links], notes)


def _node(node: fields.QnetNode) -> dict[str, Any]:
    kind = _KINDS.get(node.type, NodeKind.PASSIVE)
    extra = node.rest | ({"type": node.type} if kind is NodeKind.PASSIVE else {})
    place = {} if node.latitude is None else {"latitude": node.latitude}
    place |= {} if node.longitude is None else {"longitude": node.longitude}
    sizes = {"pool_capacity": node.key_pool_volume, "pool_key_length_bits": node.key_length}
    return {"name": node.name, "kind": kind.value, **place, **sizes, "extra": extra}


def _link(link: fields.QnetLink) -> dict[str, Any]:
    quantum, classical = link.qchannel, link.cchannel or link.qchannel
    rest = {"qchannel": quantum.rest, "cchannel": classical.rest if link.cchannel else {}}
    return {
        "ends": [link.node1, link.node2],
        "length_km": quantum.distance / 1000,
        "attenuation_db_per_km": quantum.attenuation,
        "classical_length_km": classical.distance / 1000,
        "extra": link.rest | {channel: extra for channel, extra in rest.items() if extra},
    }
