"""The connections that a node knows, and what it remembers of those that are over."""

from __future__ import annotations

from collections.abc import Iterable

from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.ledger import ConnectionLedger
from qkdrmp.entanglement.links.allocation_protocol import AllocationProtocol
from qkdrmp.entanglement.request import AttemptId


class ConnectionTable:
    """The connections at a node.

    Parameters
    ----------
    node : str
    ledger : ConnectionLedger
    sharing : AllocationProtocol

    Attributes
    ----------
    released : set of str
        Connections that the user of this node has released as their Responder.
    expired_holds : int
        Connections whose memories were released because the Response had not come in time.
    late_responses : int
        Responses that came after that, or after the connection had ended.
    late_messages : int
        Other messages for connections that had ended; they were dropped.
    """

    def __init__(self, node: str, ledger: ConnectionLedger, sharing: AllocationProtocol) -> None:
        self.node = node
        self.ledger = ledger
        self.sharing = sharing
        self.released: set[str] = set()
        self.expired_holds = 0
        self.late_responses = 0
        self.late_messages = 0
        self._states: dict[AttemptId, ConnectionState] = {}
        self._ended: dict[str, int] = {}

    def __getitem__(self, attempt: AttemptId) -> ConnectionState:
        return self._states[attempt]

    def get(self, attempt: AttemptId | None) -> ConnectionState | None:
        """Return the record of an attempt; None if this node has never had one."""
        return None if attempt is None else self._states.get(attempt)

    def values(self) -> Iterable[ConnectionState]:
        """Return all records."""
        return self._states.values()

    def add(self, record: ConnectionState) -> None:
        """Enter a connection."""
        self._states[record.attempt] = record

    def alive(self, *attempts: AttemptId | None) -> list[ConnectionState]:
        """Return the records of these attempts that are there and not over."""
        found = [self.get(attempt) for attempt in attempts]
        return [record for record in found if record is not None and not record.is_over]

    def has_ended(self, attempt: AttemptId) -> bool:
        """Return whether an attempt, or a later one at the same connection, is over."""
        return attempt.number <= self._ended.get(attempt.connection, 0)

    def mark_ended(self, attempt: AttemptId) -> None:
        """Remember that an attempt is over, so that late messages for it are ignored."""
        self._ended[attempt.connection] = max(attempt.number, self._ended.get(attempt.connection, 0))

    def note(self, record: ConnectionState, event: str) -> None:
        """Keep a milestone of a connection."""
        self.ledger.note(record.attempt, self.node, event)

    def drop(self, record: ConnectionState, event: str = "hold released") -> None:
        """End a connection at this node, if it has not ended yet; `event` is what to note if it was not installed."""
        if record.is_over:
            return
        was_installed = record.phase is Phase.INSTALLED
        record.end()
        self.mark_ended(record.attempt)
        self.note(record, "RuleSet terminated" if was_installed else event)
        if was_installed:
            for interface in record.interfaces:
                self.sharing.remove(interface, record.attempt)
