"""Outlooks: when a node expects to have more for a connection than it has now."""

from __future__ import annotations

from collections.abc import Sequence

from qkdrmp.entanglement.connections.state import ConnectionState
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.request import ConnectionSpec
from qkdrmp.entanglement.rulesets.link_budget import LaterRate


def rate_beside(spec: ConnectionSpec, interface: Interface, others: int) -> float:
    """Return how many pairs per second a link offers a connection beside others of so much weight in all."""
    attempts = min(spec.memories, interface.link.lanes * spec.weight / (spec.weight + others))
    return attempts * interface.pairs_per_s


def rate_now(spec: ConnectionSpec, interface: Interface) -> float:
    """Return how many pairs per second a link offers one more connection now."""
    return rate_beside(spec, interface, sum(entry.weight for entry in interface.allocation.active))


class Outlook:
    """What a node expects of the connections that it knows.

    Parameters
    ----------
    records : ConnectionTable
    """

    def __init__(self, records: ConnectionTable) -> None:
        self.records = records

    def end(self, record: ConnectionState, now: int) -> int | None:
        """Return when a connection will end: at its time, or with all its pairs at the rate it has had so far.

        None if neither is known. A nested network does not know how many of its pairs one outside takes; it assumes
        that it is one.
        """
        if record.is_over:
            return now
        ends = [] if record.ends is None else [max(now, record.ends)]
        session, need = record.session, record.need
        if session is not None and need is not None and session.progress:
            per_pair = (now - record.active) / session.progress
            ends.append(now + round(per_pair * max(0, need - session.progress)))
        return min(ends, default=None)

    def memories(self, interfaces: Sequence[Interface], memories: int, now: int) -> int | None:
        """Return when so many memories will be free at all of these interfaces; None if that is not known."""
        times = [self._memories(interface, memories, now) for interface in interfaces]
        return max((time for time in times if time is not None), default=None) if None not in times else None

    def _memories(self, interface: Interface, memories: int, now: int) -> int | None:
        free = interface.free
        ends = [(self.end(self.records[one], now), share.quota) for one, share in interface.shares.items()]
        for end, quota in sorted((end, quota) for end, quota in ends if end is not None):
            free += quota
            if free >= memories:
                return end
        return None

    def rates(self, interface: Interface, spec: ConnectionSpec, now: int) -> tuple[LaterRate, ...]:
        """Return what a link will offer a connection as those that share it end, and at last when it has it alone.

        After an end the link is shared anew within a round trip.
        """
        entries = interface.allocation.active
        settling = self.records.sharing.round_trip(interface)
        known = [(self.records.get(entry.id), entry.weight) for entry in entries]
        ends = [(None if record is None else self.end(record, now), weight) for record, weight in known]
        others = sum(weight for _, weight in ends)
        found: list[LaterRate] = []
        for end, weight in sorted((end, weight) for end, weight in ends if end is not None):
            others -= weight
            found.append((end + settling, rate_beside(spec, interface, others)))
        return (*found, (None, rate_beside(spec, interface, 0))) if others else tuple(found)
