"""Admission: what a node can offer a connection, and why it refuses one."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.connections.state import ConnectionState
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import CSR, SetupReject
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec, EndReason
from qkdrmp.entanglement.rulesets.link_budget import QCap
from qkdrmp.entanglement.runtime.session import Workbench
from qkdrmp.entanglement.settings import SetupSettings


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hop towards the Initiator offers: pairs per second, their fidelity, and memories for them."""

    rate: float
    fidelity: float
    memories: int


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

    def offer(self, interface: Interface, spec: ConnectionSpec) -> Offer:
        """Return what a link offers one more connection while all of them use their whole share."""
        others = sum(entry.weight for entry in interface.allocation.active)
        attempts = min(spec.memories, interface.link.lanes * spec.weight / (spec.weight + others))
        return Offer(attempts * interface.pairs_per_s, interface.fidelity, spec.memories)

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
        return self.reject(record.attempt, EndReason.BUSY, self._available(short[0], quota)) if short else None

    def reject(
        self, attempt: AttemptId, reason: EndReason, available: int | None = None, detail: str = ""
    ) -> SetupReject:
        """Return a REJECT by this node."""
        return SetupReject(attempt, reason, self.bench.name, available, detail)

    def _available(self, interface: Interface, memories: int) -> int | None:
        """Return when so many memories are expected to be free, by the expected ends of the connections there."""
        free = interface.free
        ends = [(self._expected_end(self.records[one]), share.quota) for one, share in interface.shares.items()]
        for end, quota in sorted((end, quota) for end, quota in ends if end is not None):
            free += quota
            if free >= memories:
                return end
        return None

    def _expected_end(self, record: ConnectionState) -> int | None:
        """Return when a connection will have all its pairs at the rate it has had so far; None if that is unknown."""
        now, session, need = self.bench.env.now, record.session, record.spec.pairs
        if session is None or need is None or not session.progress:
            return None
        per_pair = (now - record.active) / session.progress
        return now + round(per_pair * max(0, need - session.progress))
