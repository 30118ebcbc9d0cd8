"""Teardown: how connections end, from either end, during their setup or later, through networks in networks."""

from __future__ import annotations

from collections.abc import Callable

from qkdrmp.entanglement.connections.hops import VirtualHop
from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import Teardown, Termination
from qkdrmp.entanglement.request import EndReason
from qkdrmp.network.layer import Layer, on
from qkdrmp.network.transport import Transport


class TeardownProtocol(Layer):
    """The end of connections at a node.

    Parameters
    ----------
    node : str
    transport : Transport
    records : ConnectionTable

    Attributes
    ----------
    ended : callable
        Called at a user's node with the record of a connection that has been terminated, and why it was aborted; None
        if it is complete.
    """

    def __init__(self, node: str, transport: Transport, records: ConnectionTable) -> None:
        self.node = node
        self.transport = transport
        self.records = records
        self.ended: Callable[[ConnectionState, EndReason | None], None] = lambda record, reason: None

    # During setup: hop by hop along the holds

    @on(Teardown)
    def take_teardown(self, message: Teardown) -> None:
        """Handle CONNECTION TEARDOWN: end the connection here and pass it on towards the Responder."""
        record = self.records.get(message.attempt)
        if record is None:
            self.records.mark_ended(message.attempt)
        elif not record.is_over:
            self.tear_down(record)

    def tear_down(self, record: ConnectionState) -> None:
        """End a connection here and at all nodes from here to the Responder."""
        self.records.drop(record)
        if record.after is not None:
            record.after.tear_down(Teardown(record.attempt))

    # Of an installed connection: straight to every node of its path

    @on(Termination)
    def take_termination(self, message: Termination) -> None:
        """Handle RULESET TERMINATION: stop, unless only the sender has all its pairs."""
        record = self.records.get(message.attempt)
        if record is None:
            self.records.mark_ended(message.attempt)
        elif not record.is_over and not (message.completed and self._is_needed(record)):
            self._stop(record, message.completed, message.reason)

    def _is_needed(self, record: ConnectionState) -> bool:
        if self.records.alive(record.attempt.outer):
            return True
        return record.phase is Phase.INSTALLED and record.is_end and not record.is_full

    def terminate(self, record: ConnectionState, completed: bool, reason: EndReason = EndReason.TORN_DOWN) -> None:
        """End a connection here and at every node of its path, for a reason if it is not complete."""
        for name in record.path:
            if name != self.node:
                self.transport.send(name, Termination(record.attempt, completed, reason))
        self._stop(record, completed, reason)

    def _stop(self, record: ConnectionState, completed: bool, reason: EndReason) -> None:
        """End a connection here, with those inside that serve it, and, if it is aborted, the one around it."""
        self.records.drop(record)
        if record.is_end:
            self.ended(record, None if completed else reason)
        inner = [hop.inner for hop in record.hops if isinstance(hop, VirtualHop)]
        for other in self.records.alive(*inner, None if completed else record.attempt.outer):
            self.terminate(other, completed, reason)

    def release_connection(self, connection: str) -> None:
        """Tear a connection down as its Responder, now and whenever it is requested later."""
        self.records.released.add(connection)
        for record in [record for record in self.records.values() if record.attempt.connection == connection]:
            if record.phase is Phase.INSTALLED:
                self.terminate(record, completed=False)

    def abort_over(self, interface: Interface) -> None:
        """Abort every connection over a link whose other end no longer answers."""
        for record in self.records.alive(*interface.shares):
            if record.phase is Phase.INSTALLED:
                self.terminate(record, completed=False, reason=EndReason.SILENT)
