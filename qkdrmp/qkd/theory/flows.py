"""The largest fractional multicommodity flow through a network, by linear programming.

See R. K. Ahuja, T. L. Magnanti and J. B. Orlin, Network Flows (1993), chapter 17.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from qkdrmp.errors import QKDRMPError

Hop = tuple[str, str]
BINDING = 1e-6
"""A limit binds if a unit more there is worth at least this share of what a unit of flow is worth."""


@dataclass(frozen=True)
class FlowLimit:
    """How much may flow over some hops together.

    Parameters
    ----------
    hops : tuple of (str, str)
        Both directions of a link, or one of them.
    most : float
    """

    hops: tuple[Hop, ...]
    most: float


@dataclass(frozen=True)
class Flow:
    """A largest flow.

    Parameters
    ----------
    value : float
        Its worth in all.
    prices : dict of (str, str) to float
        The limits that bind it, by their first hops, and how much it would rise for each unit more there; the
        highest first.
    """

    value: float
    prices: Mapping[Hop, float]


def largest_flow(
    limits: Sequence[FlowLimit],
    asked: Mapping[Hop, float],
    relays: set[str],
    worth: Mapping[Hop, float] | None = None,
) -> Flow:
    """Return the largest fractional multicommodity flow.

    All flows from one source are one commodity, which keeps the program small: it leaves its source, is passed on by
    relays, and ends at each sink.

    Parameters
    ----------
    limits : sequence of FlowLimit
    asked : dict of (str, str) to float
        The most that may flow for each ordered pair of users; infinite if there is no such limit.
    relays : set of str
        The nodes that pass flows on.
    worth : dict of (str, str) to float, optional
        What a unit of the flow of each pair is worth; by default 1.

    Raises
    ------
    QKDRMPError
        If the solver finds none.
    """
    if not limits or not asked:
        return Flow(0.0, {})
    sinks: dict[str, list[str]] = defaultdict(list)
    for source, sink in asked:
        sinks[source].append(sink)
    flows = list(_flows([hop for limit in limits for hop in limit.hops], sinks, relays))
    columns: dict[Any, int] = {key: number for number, key in enumerate([*flows, *asked])}
    entries = [
        (row, columns[source, hop], 1.0)
        for row, limit in enumerate(limits)
        for hop in limit.hops
        for source in sinks
        if (source, hop) in columns
    ]
    objective = np.zeros(len(columns))
    objective[len(flows) :] = [1.0 if worth is None else worth[pair] for pair in asked]
    scale = max(limit.most for limit in limits) or 1.0  # no number is too large for the solver's tolerances
    most = [math.inf] * len(flows) + [value / scale for value in asked.values()]
    solution = scipy.optimize.linprog(
        -objective,
        A_ub=_matrix(entries, len(limits), len(columns)),
        b_ub=[limit.most / scale for limit in limits],
        A_eq=_balance(flows, asked, columns),
        b_eq=np.zeros(len({(source, node) for source, hop in flows for node in hop if node != source} | set(asked))),
        bounds=[(0, value) for value in most],
        method="highs",
    )
    if solution.status != 0 or solution.fun is None:
        raise QKDRMPError(f"the largest flow was not found: {solution.message}")
    prices = {
        limit.hops[0]: -float(price)
        for limit, price in zip(limits, solution.ineqlin.marginals, strict=True)
        if -price > BINDING * objective.max()
    }
    return Flow(-float(solution.fun) * scale, dict(sorted(prices.items(), key=lambda one: -one[1])))


def _flows(hops: Sequence[Hop], sinks: Mapping[str, Sequence[str]], relays: set[str]) -> Iterator[tuple[str, Hop]]:
    """Yield the hops that each source's flow may take: from itself or a relay, to a relay or one of its sinks."""
    for source, of_it in sinks.items():
        heads = relays | set(of_it)
        for tail, head in hops:
            if (tail == source or tail in relays) and head in heads and head != source:
                yield source, (tail, head)


def _balance(flows: Sequence[tuple[str, Hop]], asked: Mapping[Hop, float], columns: Mapping[Any, int]) -> Any:
    """Return the rows that say: what comes to a node, of a source, goes on from there or ends there."""
    rows: dict[tuple[str, str], int] = {}
    entries = []
    for source, (tail, head) in flows:
        for node, sign in ((tail, -1.0), (head, 1.0)):
            if node != source:
                entries.append((rows.setdefault((source, node), len(rows)), columns[source, (tail, head)], sign))
    entries += [(rows.setdefault(pair, len(rows)), columns[pair], -1.0) for pair in asked]
    return _matrix(entries, len(rows), len(columns))


def _matrix(entries: Sequence[tuple[int, int, float]], rows: int, columns: int) -> Any:
    row, column, value = zip(*entries, strict=True) if entries else ((), (), ())
    return scipy.sparse.coo_array((value, (row, column)), shape=(rows, columns), dtype=float).tocsr()
