"""Admission: what a node can offer a connection, and why it refuses one."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.connections.hops import PhysicalHop
from qkdrmp.entanglement.connections.outlook import Outlook, attempts_alone, attempts_beside, attempts_of, entry_of
from qkdrmp.entanglement.connections.state import ConnectionState
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.policies import assures_trials
from qkdrmp.entanglement.messages import CSR, SetupReject
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec, EndReason, counted_memories
from qkdrmp.entanglement.rulesets.link_budget import NO_REPORT, HopReport, InnerPath, LaterRate, QCap
from qkdrmp.entanglement.runtime.session import Workbench
from qkdrmp.entanglement.settings import SetupSettings
from qkdrmp.kernel.units import to_ticks

_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hop towards the Initiator offers: pairs per second, their fidelity, and memories for them.

    The other attributes are those of a `QCap`.
    """

    rate: float
    fidelity: float
    memories: int
    later: tuple[LaterRate, ...] = ()
    attempts: float = 1.0
    hop: HopReport = NO_REPORT
    inner: InnerPath | None = None


class Admission:
    """The admission of connections at a node.

    Parameters
    ----------
    bench : Workbench
    settings : SetupSettings
    records : ConnectionTable
    """

    def __init__(self, bench: Workbench, settings: SetupSettings, records: ConnectionTable) -> None:
        self.bench = bench
        self.settings = settings
        self.records = records
        self.outlook = Outlook(records)

    def offer(self, interface: Interface, spec: ConnectionSpec) -> Offer:
        """Return what a link offers one more connection while all of them use their whole share."""
        attempts = attempts_beside(spec, interface, self.outlook.entries(interface))
        later = self.outlook.rates(interface, spec, self.bench.env.now)
        rate = attempts * interface.pairs_per_s
        fidelity = interface.physics.state.fidelity
        return Offer(rate, fidelity, spec.memories, later, attempts, _report(interface, spec))

    def qcap(self, record: ConnectionState, offer: Offer | None) -> QCap:
        """Return what this node reports to the Responder; it has no offer if it is the Initiator."""
        device = self.bench.device
        offer = offer or Offer(float("inf"), 1.0, record.spec.memories)
        before, after = (
            hop.interface.physics.device if isinstance(hop, PhysicalHop) else device for hop in record.hops
        )
        return QCap(
            self.bench.name,
            offer.rate,
            offer.fidelity,
            device.gate_error,
            device.readout_error,
            before.memory,
            after.memory,
            offer.memories,
            offer.later,
            offer.attempts,
            to_ticks(self.settings.processing_s),
            offer.hop,
            offer.inner,
            self.bench.swap_success,
            (before.cutoffs, after.cutoffs),
        )

    def refusal(self, csr: CSR, record: ConnectionState) -> SetupReject | None:
        """Return the REJECT of a request, or None if it can be admitted."""
        if csr.asker in self.settings.refuse:
            return self.reject(csr.attempt, EndReason.UNAUTHORISED)
        if csr.responder == self.bench.name and csr.attempt.connection in self.records.released:
            return self.reject(csr.attempt, EndReason.TORN_DOWN)
        return self.shortage(record)

    def shortage(self, record: ConnectionState) -> SetupReject | None:
        """Return the REJECT of a connection for which an interface has too few free memories; None if all have."""
        quota = record.spec.memories
        needed = {} if record.spec.is_null else {i: i.needed(quota, record.interfaces) for i in record.interfaces}
        short = {interface: memories for interface, memories in needed.items() if interface.free < memories}
        for interface, memories in short.items():
            if interface.total < memories:
                there_are = "there is" if interface.total == 1 else "there are"
                there = f"{there_are} only {_memories(interface)}, not {memories}"
                return self.reject(record.attempt, EndReason.INFEASIBLE, detail=there)
        if not short:
            return self._breach(record)
        interface, memories = next(iter(short.items()))
        are = "is" if 1 in (interface.free, interface.total) else "are"
        there = f"{interface.free} of {_memories(interface)} {are} free, not {memories}"
        return self.reject(record.attempt, EndReason.BUSY, self.outlook.memories(short, self.bench.env.now), there)

    def _breach(self, record: ConnectionState) -> SetupReject | None:
        """Return the REJECT of a connection that would take from others what their promised rates need."""
        now, entry = self.bench.env.now, entry_of(record.attempt, record.spec)
        for interface in record.interfaces if not record.spec.is_null else ():
            others = [self.records[attempt] for attempt in interface.shares]
            promised = {other.attempt: other.attempts[interface.peer] for other in others if other.is_promised}
            if not promised:
                continue
            left = attempts_of(interface, [*self.outlook.entries(interface), entry])
            robbed = [attempt for attempt, attempts in promised.items() if left[attempt] < attempts * (1 - _CLOSE)]
            if robbed:
                ends = [self.outlook.end(self.records[attempt], now) for attempt in robbed]
                free = max((end for end in ends if end is not None), default=None) if None not in ends else None
                there = f"the link to {interface.peer} has promised its rate to others"
                return self.reject(record.attempt, EndReason.BUSY, free, there)
        return None

    def promise(self, record: ConnectionState) -> None:
        """Note which shares of its links a connection has been offered; they stay its own if a rate is asked for."""
        if record.is_promised:
            for interface in record.interfaces:
                record.attempts[interface.peer] = attempts_of(interface, self.outlook.entries(interface))[
                    record.attempt
                ]

    def reject(
        self, attempt: AttemptId, reason: EndReason, available: int | None = None, detail: str = ""
    ) -> SetupReject:
        """Return a REJECT by this node."""
        return SetupReject(attempt, reason, self.bench.name, available, detail)


def _memories(interface: Interface) -> str:
    """Return how many memories there are of which an interface speaks: of its own, or of all of the node."""
    counted = counted_memories(interface.total)
    return counted if interface.pool is not None else f"{counted} towards {interface.peer}"


def _report(interface: Interface, spec: ConnectionSpec) -> HopReport:
    """Return what is known of a link; of its two ends, that of the previous hop comes first."""
    physics, here = interface.physics, interface.end
    law, lanes = physics.law, interface.link.lanes
    starts, heralds = (law.starts[1 - here], law.starts[here]), (law.heralds[1 - here], law.heralds[here])
    is_given_before = not (interface.binds_late or interface.memories_move)
    is_assured = assures_trials(interface.allocation.policy) and is_given_before
    return HopReport(
        law.slot_ticks,
        starts,
        heralds,
        physics.delay,
        lanes,
        attempts_alone(spec, interface),
        law.success_probability,
        physics.state,
        is_assured,
    )
