"""Admission: what a node can offer a connection, and why it refuses one."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.connections.outlook import Outlook, rate_now
from qkdrmp.entanglement.connections.state import ConnectionState
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import CSR, SetupReject
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec, EndReason
from qkdrmp.entanglement.rulesets.link_budget import LaterRate, QCap
from qkdrmp.entanglement.runtime.session import Workbench
from qkdrmp.entanglement.settings import SetupSettings


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hop towards the Initiator offers: pairs per second, their fidelity, and memories for them."""

    rate: float
    fidelity: float
    memories: int
    later: tuple[LaterRate, ...] = ()
    """See `QCap`."""


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
        later = self.outlook.rates(interface, spec, self.bench.env.now)
        return Offer(rate_now(spec, interface), interface.fidelity, spec.memories, later)

    def qcap(self, spec: ConnectionSpec, offer: Offer | None) -> QCap:
        """Return what this node reports to the Responder; it has no offer if it is the Initiator."""
        device = self.bench.device
        offer = offer or Offer(float("inf"), 1.0, spec.memories)
        return QCap(
            self.bench.name,
            offer.rate,
            offer.fidelity,
            device.gate_error,
            device.readout_error,
            device.memory.t1_s,
            device.memory.t2_s,
            offer.memories,
            offer.later,
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
        short = [] if record.spec.is_null else [i for i in record.interfaces if i.free < quota]
        for interface in short:
            if interface.memories < quota:
                there = f"there are only {interface.memories} memories towards {interface.peer}, not {quota}"
                return self.reject(record.attempt, EndReason.INFEASIBLE, detail=there)
        if not short:
            return None
        return self.reject(record.attempt, EndReason.BUSY, self.outlook.memories(short, quota, self.bench.env.now))

    def reject(
        self, attempt: AttemptId, reason: EndReason, available: int | None = None, detail: str = ""
    ) -> SetupReject:
        """Return a REJECT by this node."""
        return SetupReject(attempt, reason, self.bench.name, available, detail)
