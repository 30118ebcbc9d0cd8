"""Outlooks: when a node expects to have more for a connection than it has now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

from qkdrmp.entanglement.connections.state import ConnectionState
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.policies import attempts_per_slot
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec
from qkdrmp.entanglement.rulesets.link_budget import LaterRate

NEWCOMER = AttemptId("")


def entry_of(attempt: AttemptId, spec: ConnectionSpec) -> AllocationEntry:
    """Return a connection's claim on a link."""
    return AllocationEntry(attempt, spec.weight, spec.priority, spec.memories)


def attempts_of(interface: Interface, entries: Sequence[AllocationEntry]) -> dict[AttemptId, float]:
    """Return how many trials of a slot the policy gives to connections that share a link, bounded by their quotas."""
    lanes = interface.link.lanes
    agreement = Agreement(entries=(*entries,), places=(*range(len(entries)),), lanes=lanes)
    given = attempts_per_slot(interface.allocation.policy, agreement)
    return {entry.id: min(entry.memories or lanes, given.get(entry.id, 0)) for entry in entries}


def rate_beside(spec: ConnectionSpec, interface: Interface, others: Sequence[AllocationEntry]) -> float:
    """Return how many pairs per second a link offers a connection beside others."""
    return attempts_beside(spec, interface, others) * interface.pairs_per_s


def attempts_beside(spec: ConnectionSpec, interface: Interface, others: Sequence[AllocationEntry]) -> float:
    """Return how many trials of a slot a link gives a connection beside others, with memories for them."""
    return attempts_of(interface, [*others, entry_of(NEWCOMER, spec)])[NEWCOMER]


def attempts_alone(spec: ConnectionSpec, interface: Interface) -> float:
    """Return how many trials of a slot a link gives a connection while there are no others, and memories for all."""
    return attempts_of(interface, [entry_of(NEWCOMER, spec)._replace(memories=None)])[NEWCOMER]


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

    def entries(self, interface: Interface) -> list[AllocationEntry]:
        """Return the claims of all connections on a link, also of those whose setup is not complete."""
        return [entry_of(attempt, self.records[attempt].spec) for attempt in interface.shares]

    def memories(self, needed: Mapping[Interface, int], now: int) -> int | None:
        """Return when so many memories will be free at all of these interfaces; None if that is not known."""
        times = [self._memories(interface, memories, now) for interface, memories in needed.items()]
        return max((time for time in times if time is not None), default=None) if None not in times else None

    def _memories(self, interface: Interface, memories: int, now: int) -> int | None:
        free = interface.free
        ends = [(self.end(self.records[share.attempt], now), share.quota) for share in interface.rivals]
        for end, quota in sorted((end, quota) for end, quota in ends if end is not None):
            free += quota
            if free >= memories:
                return end
        return None

    def rates(self, interface: Interface, spec: ConnectionSpec, now: int) -> tuple[LaterRate, ...]:
        """Return what a link will offer a connection as those that share it end, and at last when it has it alone.

        After an end the link is shared anew within a round trip.
        """
        entries = self.entries(interface)
        settling = self.records.sharing.round_trip(interface)
        others, found = list(entries), list[LaterRate]()
        ends = [(self.end(self.records[entry.id], now), entry) for entry in entries]
        for end, entry in sorted(((end, entry) for end, entry in ends if end is not None), key=itemgetter(0)):
            others.remove(entry)
            found.append((end + settling, rate_beside(spec, interface, others)))
        return (*found, (None, rate_beside(spec, interface, []))) if others else tuple(found)
