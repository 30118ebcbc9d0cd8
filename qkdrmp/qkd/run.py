"""A run of QKD resource management, from tick 0 on."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from qkdrmp.kernel.units import to_ticks
from qkdrmp.qkd import metrics, tables
from qkdrmp.qkd.invariants import check_network, check_quiescent, is_quiescent
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.qkd.theory.bounds import check_bound


class QKDRun:
    """One network under simulation.

    Parameters
    ----------
    settings : QKDSettings
        The scenario.
    seed : int
    record : collection of str
        Which of ``messages`` and ``levels`` (every change of every pool's level) to record.
    """

    def __init__(self, settings: QKDSettings, seed: int, record: Collection[str] = ()) -> None:
        trace = tables.message_rows() if "messages" in record else False
        self.network = QKDNetwork(settings, seed, trace, histories="levels" in record)
        self.warmup = to_ticks(settings.warmup_s)
        self._is_warm = self.warmup == 0

    def advance(self, until: int) -> None:
        """Simulate up to tick `until`, warm-up included."""
        env = self.network.env
        if not self._is_warm and until >= self.warmup:
            env.advance(self.warmup)
            self.network.reset_statistics()
            self._is_warm = True
        env.advance(until)

    def summary(self) -> dict[str, float]:
        """Return the metrics up to now (see `metrics.METRICS`)."""
        return metrics.summary(self.network, self.warmup)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables requests, nodes, pools and pairs, and those that were recorded."""
        return tables.tables(self.network, self.warmup)

    def findings(self) -> list[str]:
        """Name the stuck pools."""
        stuck = [stream.name for stream in self.network.streams if stream.is_stuck]
        if not stuck:
            return []
        return [
            f"{len(stuck)} of {len(self.network.streams)} key pools are stuck at the end, with too few keys for a "
            f"waiting request and too many to be refilled: {', '.join(stuck)}"
        ]

    def check(self) -> None:
        """Raise `InvariantError` if something that must always hold does not."""
        check_network(self.network)
        check_bound(self.network)
        if is_quiescent(self.network):
            check_quiescent(self.network)
