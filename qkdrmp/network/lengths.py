"""Lengths of links that files leave out, from the places of nodes."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from qkdrmp.errors import TopologyError, counted, listed
from qkdrmp.network.draft import Draft

EARTH_RADIUS_KM = 6371.0088
LOCAL_KM = 1.0
"""Length of a link within one place: between a user and its own repeater, or two nodes with the same coordinates."""
FEW = 3
"""So many links without a length are named one by one."""


def place(draft: Draft) -> None:
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


def measure(draft: Draft, chosen: float | None) -> None:
    """Compute lengths that are missing from the places of both ends."""
    detour, nodes = chosen or 1.0, {node.get("name"): node for node in draft.nodes}
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
    elif chosen is not None:
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


def spread_losses(draft: Draft) -> None:
    """Replace the loss of whole links, in dB, by an attenuation."""
    for link in draft.links:
        if "loss_db" in link and is_number(link.get("length_km")):
            link["attenuation_db_per_km"] = link.pop("loss_db") / link["length_km"]
