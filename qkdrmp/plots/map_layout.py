"""Where nodes are on a map: at their coordinates, or, where some have none, as far apart as their links are long."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from qkdrmp.topology import Topology

FEW = 60
"""A network of more nodes is laid out by fewer steps."""
STEPS, FEWER_STEPS = 500, 60
SHORTEST = 0.02
"""How near nodes are laid out at least, as a share of the longest way: nearer ones look like one, and take long."""
APART = 0.25
"""How far pieces of a network stand apart, as a share of the widest."""

Places = dict[str, tuple[float, float]]


class Coordinates(Enum):
    """What the places of nodes on a map are."""

    DEGREES = "degrees"
    PLANE = "x and y"
    NONE = "none"


def coordinates(topology: Topology) -> Coordinates:
    """Return which coordinates all nodes have; degrees, if they have both."""
    nodes = topology.nodes.values()
    if all(node.latitude is not None for node in nodes):
        return Coordinates.DEGREES
    return Coordinates.PLANE if all(node.x is not None for node in nodes) else Coordinates.NONE


def positions(topology: Topology) -> Places:
    """Return where to draw each node, to the right and up: its longitude and latitude, or its x and y.

    Where some nodes have neither, all are laid out so that they are as far apart as the shortest way between them is
    long; pieces that no link joins stand side by side. Longitudes run on beyond 180 in a network across that meridian.

    Examples
    --------
    >>> import qkdrmp
    >>> longitude, latitude = qkdrmp.plots.positions(qkdrmp.load_topology("beijing_qman"))["TR15"]
    >>> round(longitude), round(latitude)
    (116, 40)
    """
    kind = coordinates(topology)
    if kind is Coordinates.DEGREES:
        longitudes = _joined([float(node.longitude or 0) for node in topology.nodes.values()])
        return {
            name: (x, float(node.latitude or 0))
            for x, (name, node) in zip(longitudes, topology.nodes.items(), strict=True)
        }
    if kind is Coordinates.PLANE:
        return {name: (float(node.x or 0), float(node.y or 0)) for name, node in topology.nodes.items()}
    return _laid_out(topology)


def _joined(longitudes: list[float]) -> list[float]:
    """Return longitudes on one side of their widest gap, those to the west of 180 with 360 added if need be."""
    around = sorted(x % 360 for x in longitudes)
    gaps = [(after - before, after) for before, after in zip(around, [*around[1:], around[0] + 360], strict=True)]
    start = max(gaps)[1] % 360
    joined = [start + (x - start) % 360 for x in longitudes]
    shift = 360 if max(joined) > 360 or min(joined) >= 180 else 0
    return longitudes if np.ptp(longitudes) <= np.ptp(joined) + 1e-9 else [x - shift for x in joined]


def _laid_out(topology: Topology) -> Places:
    """Return a layout of each piece of the network, the largest first, from left to right."""
    pieces: list[list[str]] = sorted(map(list, _pieces(topology)), key=lambda names: -len(names))
    laid = [_piece(topology, names) for names in pieces]
    apart = APART * max(float(np.ptp(at, axis=0).max()) for at in laid) or 1.0
    found: Places = {}
    left = 0.0
    for names, at in zip(pieces, laid, strict=True):
        moved = at + np.array([left - at[:, 0].min(), -at[:, 1].mean()])
        found |= {name: (float(x), float(y)) for name, (x, y) in zip(names, moved, strict=True)}
        left = moved[:, 0].max() + apart
    return {name: found[name] for name in topology.nodes}


def _pieces(topology: Topology) -> Iterable[Iterable[str]]:
    order = {name: number for number, name in enumerate(topology.nodes)}
    return (sorted(piece, key=order.__getitem__) for piece in nx.connected_components(topology.graph))


def _piece(topology: Topology, names: list[str]) -> NDArray[np.float64]:
    """Return places of the nodes of a piece whose links are on average as long as they are, in km."""
    if len(names) == 1:
        return np.zeros((1, 2))
    graph = topology.graph.subgraph(names)
    ways = shortest_path(nx.to_scipy_sparse_array(graph, names, weight="length_km"), directed=False)
    ways = np.maximum(ways, SHORTEST * ways.max() * (1 - np.eye(len(names))))
    at = _as_far_as_the_way(ways, STEPS if len(names) <= FEW else FEWER_STEPS)
    place = dict(zip(names, at, strict=True))
    drawn = sum(float(np.hypot(*(place[a] - place[b]))) for a, b in graph.edges)
    return at * (graph.size("length_km") / drawn) if drawn else at


def _as_far_as_the_way(ways: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Return places whose distances are about those given: classical scaling, then steps of SMACOF.

    Far pairs count less, by the inverse square of their distance, as with Kamada and Kawai (Information Processing
    Letters 31, 7 (1989)). The steps are those of de Leeuw (Recent Developments in Statistics (1977), p. 133).
    """
    at = _scaled(ways)
    weights = 1 / np.maximum(ways, 1e-9) ** 2
    np.fill_diagonal(weights, 0)
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    for _ in range(steps):
        apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
        pull = -weights * ways / np.maximum(apart, 1e-9)
        np.fill_diagonal(pull, 0)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        at = inverse @ (pull @ at)
    return at


def _scaled(ways: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places by classical scaling; in each axis, the node that is farthest out is on the positive side."""
    squared = ways**2
    centred = -0.5 * (squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh(centred)
    at = vectors[:, :-3:-1] * np.sqrt(np.maximum(values[:-3:-1], 0))
    signs = np.sign(at[np.abs(at).argmax(axis=0), [0, 1]])
    places: NDArray[np.float64] = at * np.where(signs == 0, 1, signs)
    return places
