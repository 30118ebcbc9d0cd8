"""The rule engine of a node: it starts RuleSets, and passes them the messages about their pairs."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.connections.hops import VirtualHop
from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.connections.teardown import TeardownProtocol
from qkdrmp.entanglement.ledger import ConnectionLedger
from qkdrmp.entanglement.links.agreement import AllocationEntry
from qkdrmp.entanglement.links.allocation_protocol import AllocationProtocol
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import Discarded, NewPartner, PairMessage, PurifyResult, Restart, SwapResult
from qkdrmp.entanglement.quantum.bell_diagonal import Basis
from qkdrmp.entanglement.quantum.pairs import Qubit, discard
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.entanglement.rulesets.ruleset import RuleSet
from qkdrmp.entanglement.runtime.compiled_rule import compiled
from qkdrmp.entanglement.runtime.session import Workbench
from qkdrmp.network.layer import Layer, on


@dataclass(frozen=True, slots=True)
class RunningConnection:
    """A connection whose RuleSet runs at this node, as its session sees it.

    Parameters
    ----------
    record : ConnectionState
    outer : ConnectionState or None
        The connection around the network that it is inside of, if this is a border.
    ledger : ConnectionLedger
    teardowns : TeardownProtocol
    user : str
        The node.
    """

    record: ConnectionState
    outer: ConnectionState | None
    ledger: ConnectionLedger
    teardowns: TeardownProtocol
    user: str

    @property
    def attempt(self) -> AttemptId:
        """The attempt at the connection."""
        return self.record.attempt

    @property
    def path(self) -> tuple[str, ...]:
        """The nodes of the network that the connection is in."""
        return self.record.path

    def deliver(self, qubit: Qubit, basis: Basis | None) -> None:
        """Give a pair to the application."""
        self.ledger.deliver(self.attempt, qubit, basis)

    def hand_over(self, partner: str, qubit: Qubit) -> None:
        """Give a pair to the connection around this one, which may not be installed here yet."""
        outer = self.outer
        if outer is None or outer.is_over:
            discard(qubit)
        elif outer.session is None:
            outer.early.append((partner, qubit.number, qubit))
            qubit.share.add_idle(1)
        else:
            outer.session.arrive(outer.session.buffer(partner, 0), qubit.number, qubit)

    def leave_out(self, partner: str, number: int) -> None:
        """Note that a pair will never come to the connection around this one, which may not be installed here yet."""
        outer = self.outer
        if outer is not None and outer.session is not None:
            outer.session.leave_out(partner, number)
        elif outer is not None and not outer.is_over:
            outer.early.append((partner, number, None))

    def retract(self, number: int) -> None:
        """Take back a pair that was given to the application."""
        self.ledger.retract(self.attempt, number)

    def complete(self) -> None:
        """End the connection, as a rule wants; unless this user has all pairs, that aborts it."""
        completed = self.record.is_end and self.record.is_full
        self.teardowns.terminate(self.record, completed)
        if completed:
            self.ledger.complete(self.attempt, self.user)


class RuleEngine(Layer):
    """The RuleSets that run at a node.

    Parameters
    ----------
    bench : Workbench
    records : ConnectionTable
    sharing : AllocationProtocol
    teardowns : TeardownProtocol
    ledger : ConnectionLedger
    """

    def __init__(
        self,
        bench: Workbench,
        records: ConnectionTable,
        sharing: AllocationProtocol,
        teardowns: TeardownProtocol,
        ledger: ConnectionLedger,
    ) -> None:
        self.bench = bench
        self.records = records
        self.sharing = sharing
        self.teardowns = teardowns
        self.ledger = ledger
        sharing.armed = self._armed

    def install(self, record: ConnectionState, ruleset: RuleSet) -> None:
        """Start a RuleSet, and let the links make pairs for it as soon as their other ends agree."""
        outer = self.records.get(record.attempt.outer)
        running = RunningConnection(record, outer, self.ledger, self.teardowns, self.bench.name)
        session = compiled(running, self.bench, ruleset)
        record.install(session)
        self.ledger.note(record.attempt, self.bench.name, "RuleSet installed")
        for interface in record.interfaces:
            peer = interface.peer
            interface.open(record.attempt, session.source(peer), session.buffer(peer, 0))
        self._let_wait(record)
        for message in record.queue:
            session.take(message)
        for partner, number, qubit in record.early:
            if qubit is None:
                session.leave_out(partner, number)
            else:
                qubit.share.add_idle(-1)
                session.arrive(session.buffer(partner, 0), number, qubit)
        record.queue.clear()
        record.early.clear()
        session.work()

    def _let_wait(self, record: ConnectionState) -> None:
        """Let halves wait for one more to purify with, in a connection, in those around it and in those inside it."""
        around = [record]
        while (outer := self.records.get(around[-1].attempt.outer)) is not None:
            around.append(outer)
        unused = sum(one.session.unused for one in around if one.session is not None)
        for interface in record.interfaces:
            interface.shares[record.attempt].let_wait(unused)
        for inner in self.records.alive(*(hop.inner for hop in record.hops if isinstance(hop, VirtualHop))):
            if inner.session is not None:
                self._let_wait(inner)

    def share(self, record: ConnectionState, interface: Interface) -> None:
        """Ask for a connection's share of a link."""
        spec = record.spec
        entry = AllocationEntry(record.attempt, spec.weight, spec.priority, spec.memories)
        self.sharing.add(interface, entry)

    def _armed(self, attempt: AttemptId, interface: Interface, tick: int) -> None:
        record = self.records.get(attempt)
        if record is not None and record.phase is Phase.INSTALLED:
            record.active = max(record.active, tick)
            self.ledger.arm(attempt, tick)
            self.ledger.note(
                attempt,
                self.bench.name,
                f"armed towards {interface.peer} from trial {interface.allocation.agreements[-1].since}",
            )

    # Messages about pairs

    @on(SwapResult, PurifyResult, Discarded, Restart, NewPartner)
    def take(self, message: PairMessage) -> None:
        """Hand a message to the RuleSet; keep it during the setup of the connection, and drop it after its end."""
        record = self.records.get(message.attempt)
        if record is not None and record.session is not None:
            record.session.take(message)
        elif record is not None and not record.is_over:
            record.queue.append(message)
        else:
            self.records.late_messages += 1
