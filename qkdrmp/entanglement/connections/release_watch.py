"""Release watches: when what a rejected attempt lacked was there, for the table of attempts; no node knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.entanglement.connections.outlook import rate_beside
from qkdrmp.entanglement.ledger import Attempt, ConnectionEntry, ConnectionLedger
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import CSR
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.environment import Environment

_CLOSE = 1e-12


@dataclass(frozen=True)
class RateWatch:
    """An attempt that waits for rates.

    Parameters
    ----------
    csr : CSR
        Its request; the QCaps have the rates.
    interfaces : list of Interface
        That the QCaps are about, without that of the Initiator.
    """

    csr: CSR
    interfaces: list[Interface]

    def is_over(self) -> bool:
        """Return whether all links offer the rates."""
        spec = self.csr.spec
        return all(
            rate_beside(spec, interface, interface.allocation.active) >= qcap.rate * (1 - _CLOSE)
            for interface, qcap in zip(self.interfaces, self.csr.qcaps[1:], strict=True)
        )


class ReleaseWatch:
    """What rejected attempts wait for, seen from outside.

    Parameters
    ----------
    env : Environment
    ledger : ConnectionLedger
    interfaces : dict of str to dict of str to Interface
        By node and neighbour; they may be added later.
    """

    def __init__(
        self, env: Environment, ledger: ConnectionLedger, interfaces: Mapping[str, Mapping[str, Interface]]
    ) -> None:
        self.env = env
        self.ledger = ledger
        self.interfaces = interfaces
        self._rates: dict[AttemptId, RateWatch] = {}

    def lack_of_rate(self, csr: CSR) -> None:
        """Note when all links of the path of a request offer the rates that its QCaps have; not across virtual ones."""
        found = [self.interfaces[node].get(before) for before, node in pairwise(csr.path)]
        interfaces = [interface for interface in found if interface is not None]
        self._rates[csr.attempt.root] = RateWatch(csr, interfaces if len(interfaces) == len(found) else [])

    def review(self, interface: Interface) -> None:
        """Look for attempts that wait for a link which is shared anew."""
        over = [id_ for id_, one in self._rates.items() if interface in one.interfaces and one.is_over()]
        for id_ in over:
            del self._rates[id_]
            self._note(self.ledger.entries[id_.connection].attempts[id_.number - 1])

    def _note(self, attempt: Attempt) -> None:
        if attempt.freed is None:
            attempt.freed = self.env.now

    def rejected(self, node: str, attempt: Attempt, entry: ConnectionEntry) -> None:
        """Note when a node that has rejected an attempt as busy has enough memories, if that is what it lacked."""
        if attempt.freed is not None or attempt.id in self._rates:
            return
        memories = entry.request.spec.memories
        path = [i for peer, i in self.interfaces[node].items() if peer in entry.path]

        def freed() -> None:
            lacking = [interface for interface in path if interface.free < interface.needed(memories, path)]
            if lacking:
                lacking[0].watch(lacking[0].needed(memories, path), freed)
            else:
                self._note(attempt)

        freed()
