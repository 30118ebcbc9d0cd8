"""What files of networks leave out, and the rules that complete it; each rule says in a note what it has done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkdrmp.errors import TopologyError, counted, did_you_mean, listed, one_of
from qkdrmp.network.draft import Draft
from qkdrmp.network.lengths import is_number, measure, place, spread_losses
from qkdrmp.network.node_kinds import KIND_RULES, complete_kinds, understand_kinds


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


def complete(draft: Draft, rules: Completion) -> None:
    """Complete what is missing in a draft as far as the rules go, and note it.

    Raises
    ------
    TopologyError
        If links end at nodes that are not there, or the rules cannot be applied.
    """
    _check_ends(draft)
    understand_kinds(draft)
    _drop_loops(draft)
    place(draft)
    measure(draft, rules.detour)
    spread_losses(draft)
    _merge(draft)
    complete_kinds(draft, rules.kinds)


def _check_ends(draft: Draft) -> None:
    names = {node["name"] for node in draft.nodes}
    wrong = [(link["ends"], end) for link in draft.links for end in link["ends"] if end not in names]
    if wrong:
        lines = (f"link {'-'.join(ends)}: there is no node '{end}'{did_you_mean(end, names)}" for ends, end in wrong)
        raise TopologyError("\n".join(lines))


def _drop_loops(draft: Draft) -> None:
    loops = [link["ends"][0] for link in draft.links if link["ends"][0] == link["ends"][1]]
    if loops:
        draft.links = [link for link in draft.links if link["ends"][0] != link["ends"][1]]
        names = listed(dict.fromkeys(loops))
        draft.notes.append(f"{counted(len(loops), 'link')} from a node to itself left out: {names}")


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
