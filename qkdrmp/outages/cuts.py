"""Cuts: links and repeaters that are gone, and the scenario without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from qkdrmp.scenario import Scenario
from qkdrmp.topology import NodeKind, Topology

REPLICATIONS = 3
"""Runs of each cut, if nothing else is said."""
RELAYS = (NodeKind.REPEATER, NodeKind.ROUTER)


@dataclass(frozen=True)
class Cut:
    """Links and repeaters that are gone at once; none at all is the whole network.

    Parameters
    ----------
    gone : tuple of tuple of str
        Each a link, by its two ends, or a repeater, by its name alone.
    """

    gone: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        """What it is called, such as ``A-B`` or ``A-B + R``."""
        return " + ".join("-".join(one) for one in self.gone)

    @property
    def kind(self) -> str:
        """What is gone: a ``link``, a ``repeater``, or a ``pair`` of these."""
        return "pair" if len(self.gone) > 1 else "link" if len(self.gone[0]) > 1 else "repeater"

    @property
    def words(self) -> str:
        """It with its kind, such as ``repeater R``."""
        return f"{'' if self.kind == 'pair' else f'{self.kind} '}{self.name}"

    def takes(self, ends: tuple[str, ...]) -> bool:
        """Return whether the link with these ends is gone."""
        return any(set(one) <= set(ends) for one in self.gone)

    def of(self, scenario: Scenario) -> Scenario:
        """Return a scenario without what is gone; a repeater that is gone is still there, without links."""
        return scenario.replace(self.changes(scenario))

    def changes(self, scenario: Scenario) -> dict[str, Any]:
        """Return the fields in which a scenario differs without what is gone."""
        whole = scenario.topology
        links = [link for link in whole.links if not self.takes(link.ends)]
        left = Topology(f"{whole.name} without {self.name}", whole.nodes.values(), links, whole.source, whole.notes)
        changes: dict[str, Any] = {"topology": left}
        for section in scenario.sections():
            exceptions = getattr(scenario, section).at
            kept = [one for one in exceptions if not self.takes(tuple(one.get("link", ())))]
            if len(kept) < len(exceptions):
                changes[f"{section}.at"] = kept
        return changes


def cuts_of(topology: Topology, pairs: bool = False) -> Iterator[Cut]:
    """Yield every single cut of a link and of a repeater, and then, if asked for, those of two of them."""
    links: list[tuple[str, ...]] = [link.ends for link in topology.links]
    relays: list[tuple[str, ...]] = [(node.name,) for node in topology.nodes.values() if node.kind in RELAYS]
    single = [*links, *relays]
    yield from (Cut((one,)) for one in single)
    if pairs:
        both = combinations(single, 2)
        yield from (Cut(two) for two in both if not any(set(a) <= set(b) for a, b in (two, two[::-1])))
