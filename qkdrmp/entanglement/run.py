"""A run of an entanglement network, from tick 0 on."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from qkdrmp.entanglement.invariants import check_network
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.results import metrics, tables
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks


class EntanglementRun:
    """One network under simulation.

    Parameters
    ----------
    settings : EntanglementSettings
        The scenario.
    seed : int
    record : collection of str
        Which of ``messages``, ``pairs`` and ``rulesets`` to record.
    """

    def __init__(self, settings: EntanglementSettings, seed: int, record: Collection[str] = ()) -> None:
        trace = tables.MessageLog() if "messages" in record else False
        self.network = EntanglementNetwork(settings, seed, trace, "pairs" in record, "rulesets" in record)
        self.warmup = to_ticks(settings.warmup_s)

    def advance(self, until: int) -> None:
        """Simulate up to tick `until`, warm-up included."""
        self.network.env.advance(until)

    def summary(self) -> dict[str, float]:
        """Return the metrics up to now (see `metrics.METRICS`)."""
        return metrics.summary(self.network, self.warmup)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables that every run has, and those that were recorded."""
        return tables.tables(self.network)

    def findings(self) -> list[str]:
        """Say which connections got pairs with wrong partners, or none though they were installed long ago."""
        entries = self.network.ledger.entries.values()
        wrong = [entry for entry in entries if entry.wrong_partner]
        found = []
        if wrong:
            pairs, of = sum(entry.wrong_partner for entry in wrong), sum(entry.pairs for entry in wrong)
            names = ", ".join(entry.id for entry in wrong)
            found.append(f"{pairs} of {of} delivered pairs have halves that are not each other's partners: {names}")
        late = self.network.env.now - self.network.env.now // 2
        idle = [e for e in entries if e.done is None and not e.pairs and (e.installed or late) < late]
        if idle:
            names = ", ".join(entry.id for entry in idle)
            found.append(f"{len(idle)} connections have been installed for half of the time and have no pair: {names}")
        return found

    def check(self) -> None:
        """Raise `InvariantError` if something that must always hold does not."""
        check_network(self.network)
