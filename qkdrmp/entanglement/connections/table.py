"""The records of a node: which connections it knows, and what it remembers of those that are over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.ledger import ConnectionLedger
from qkdrmp.entanglement.links.allocation_protocol import AllocationProtocol


class ConnectionTable:
    """The connections at a node.

    Parameters
    ----------
    node : str
    ledger : ConnectionLedger
    sharing : AllocationProtocol

    Attributes
    ----------
    seen : Counter
        How often something out of the ordinary has happened: ``late_responses``, ``expired_holds``, ``late_messages``.
    """

    def __init__(self, node: str, ledger: ConnectionLedger, sharing: AllocationProtocol) -> None:
        self.node = node
        self.ledger = ledger
        self.sharing = sharing
        self.seen: Counter[str] = Counter()
        self._by_key: dict[str, ConnectionState] = {}
        self._ended: dict[str, int] = {}

    def __getitem__(self, key: str) -> ConnectionState:
        return self._by_key[key]

    def get(self, key: str | None) -> ConnectionState | None:
        """Return the record of an attempt; None if this node has never had one."""
        return None if key is None else self._by_key.get(key)

    def values(self) -> Iterable[ConnectionState]:
        """Return all records."""
        return self._by_key.values()

    def add(self, record: ConnectionState) -> None:
        """Enter a connection."""
        self._by_key[record.key] = record

    def alive(self, *keys: str | None) -> list[ConnectionState]:
        """Return the records of these attempts that are there and not over."""
        found = [self.get(key) for key in keys]
        return [record for record in found if record is not None and record.phase is not Phase.OVER]

    def has_ended(self, connection: str, attempt: int) -> bool:
        """Return whether an attempt, or a later one at the same connection, is over."""
        return attempt <= self._ended.get(connection, 0)

    def mark_ended(self, key: str) -> None:
        """Remember that an attempt is over, so that late messages for it are ignored."""
        connection, _, attempt = key.rpartition("#")
        self._ended[connection] = max(int(attempt), self._ended.get(connection, 0))

    def note(self, record: ConnectionState, event: str) -> None:
        """Keep a milestone of a connection."""
        self.ledger.note(record.key, self.node, event)

    def drop(self, record: ConnectionState, event: str = "hold released") -> None:
        """End a connection at this node, if it has not ended yet; `event` is what to note if it was not installed."""
        if record.phase is Phase.OVER:
            return
        was_installed = record.phase is Phase.INSTALLED
        record.end()
        self.mark_ended(record.key)
        self.note(record, "RuleSet terminated" if was_installed else event)
        if was_installed:
            for interface in record.interfaces:
                self.sharing.unwant(interface, record.key)
