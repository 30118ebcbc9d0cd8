"""QKD resource management as a protocol family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from qkdrmp.errors import ScenarioError, did_you_mean
from qkdrmp.family import Counted, Family, Quality, Quantity, RunWarning
from qkdrmp.key_rates import LimitsFibre, RateTrace
from qkdrmp.network.demand import NamesUsers
from qkdrmp.qkd.bridging import bridges_s
from qkdrmp.qkd.demand.request_list import FixedList
from qkdrmp.qkd.loads import service
from qkdrmp.qkd.metrics import METRICS
from qkdrmp.qkd.prediction import known_beforehand, predict
from qkdrmp.qkd.run import QKDRun
from qkdrmp.qkd.settings import PRESETS, QKDSettings
from qkdrmp.qkd.sizing import SIZING
from qkdrmp.qkd.tables import QKDResults
from qkdrmp.qkd.theory.laws import laws
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Column
from qkdrmp.stats.time_bins import Numbers, mean_of_steps, number_in_progress, rate


class StuckPoolWarning(RunWarning):
    """Key pools ended a run with too few keys to serve and too many to be refilled."""


class QKDScenario(QKDSettings, Scenario[QKDResults]):
    """A scenario of QKD resource management."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    family_metrics: ClassVar[tuple[Column[Any], ...]] = METRICS

    kind: Literal["qkd"] = "qkd"

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self._unknown_users()
        yield from self._unequal_ends()
        yield from self._unfit_fibres()
        yield from self._traces_of_single_links()

    def _unknown_users(self) -> Iterator[str]:
        users = self.topology.ends
        demands = [self.demand, *(self.demand.here(node=exception["node"]) for exception in self.demand.at)]
        models = [section.build() for section in demands]
        named = [("demand", name) for model in models if isinstance(model, NamesUsers) for name in model.users_named()]
        for section in ("demand", "routing"):
            at = enumerate(getattr(self, section).at, start=1)
            named += [(f"{section}.at, entry {number}", exception["node"]) for number, exception in at]
        for where, name in dict.fromkeys(named):
            if name not in users:
                yield f"{where}: {self.topology.name} has no end node '{name}'{did_you_mean(name, users)}"

    def _unequal_ends(self) -> Iterator[str]:
        for link in self.topology.links if self.pools.at else ():
            if self.has_pools(link):
                try:
                    self.stream(*link.ends)
                except ScenarioError as error:
                    yield str(error)

    def _unfit_fibres(self) -> Iterator[str]:
        for link in self.topology.links:
            model = self.key_rate.here(link=link.ends).build()
            if isinstance(model, LimitsFibre) and all(map(self.takes_part, link.ends)):
                try:
                    model.check_fibre(self.fibre(link))
                except ValueError as error:
                    yield f"key_rate: link {link}: {error}"

    def _traces_of_single_links(self) -> Iterator[str]:
        """Yield where a trace of a single link is in a file, which would not be found, or saved, with the scenario."""
        for number, entry in enumerate(self.key_rate.at, start=1):
            there = self.key_rate.here(node=entry.get("node"), link=entry.get("link", ()))
            if "file" in entry and isinstance(there.build(), RateTrace):
                yield f"key_rate.at, entry {number}: file must be given for all links: it has a column link for that"


# What shows whether a run has settled


def _has_steady_state(scenario: QKDScenario) -> bool:
    """Return whether users go on asking: a list of requests ends."""
    users = scenario.topology.ends
    return not any(isinstance(scenario.demand.here(node=user).build(), FixedList) for user in users)


def _pool_level(run: QKDResults, edges: Numbers) -> Numbers:
    levels = run.tables.get("levels")
    if levels is None or run.pools.empty:
        return np.full(len(edges) - 1, np.nan)
    levels = levels[levels["end"] == "downstream"]
    jumps = levels.groupby("stream")["level"].diff().fillna(levels["level"])
    shares = jumps / levels["stream"].map(run.pools.set_index("stream")["capacity"])
    return mean_of_steps(levels["time_s"], shares / len(run.pools), edges)


def _requests_in_progress(run: QKDResults, edges: Numbers) -> Numbers:
    return number_in_progress(run.requests["start_s"], run.requests["end_s"], edges)


def _request_rate(run: QKDResults, edges: Numbers) -> Numbers:
    return rate(run.requests.loc[run.requests["state"] == "delivered", "end_s"], edges)


def _wait_mean(run: QKDResults, edges: Numbers) -> Numbers:
    delivered = run.requests[run.requests["state"] == "delivered"]
    sums, counts = (
        np.histogram(delivered["end_s"].astype(float), edges, weights=by)[0]
        for by in (delivered["wait_s"].astype(float), None)
    )
    means: Numbers = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return means


QKD = Family(
    kind="qkd",
    title="key requests",
    scenario=QKDScenario,
    results=QKDResults,
    start=QKDRun,
    known_beforehand=known_beforehand,
    predict=predict,
    laws=laws,
    metrics=METRICS,
    main_metric="requests_delivered",
    print_metrics=("requests_delivered", "wait_mean_s", "wait_p95_s", "blocking", "fairness", "pool_level_mean"),
    counted=Counted(
        noun="request",
        nouns="requests",
        begun="start_s",
        ended="end_s",
        asked="requests_started",
        goods="requests_delivered",
        goods_asked="requests_started",
        shares={
            "blocking": "requests_servable",
            "undelivered": "requests_started",
            "unservable": "requests_started",
        },
        reasons={
            "no_route": "no path of trusted repeaters leads to the peer, however large pools are",
            "refused": "a node on the way could never serve it: it wants more keys than a pool ever holds, or its path "
            "leads into a user who does not relay",
            "peer_busy": "the receiver had as many requests as allowed",
            "user_busy": "the sender had as many requests as allowed",
            "queue_full": "a node had to queue it and had no slot left",
            "expired": "it still waited for keys when the user's patience or its deadline ended",
        },
    ),
    sizing=SIZING,
    qualities=(
        Quality("requests_delivered"),
        Quality("undelivered", 0.005, is_relative=False),
        Quality("blocking", 0.005, is_relative=False),
        Quality("wait_p95_s", 0.05),
        Quality("fairness", 0.01, is_relative=False),
    ),
    field_labels={
        "pools.capacity": "key pool capacity $V_m$ (keys)",
        "pools.capacity_factor": "factor on key pool capacities",
        "pools.initial": "initial level (keys)",
        "pools.initial_share": "initial level (share of the capacity)",
        "pools.interrupt": "interrupt threshold $V_i$ (keys)",
        "pools.interrupt_share": "interrupt threshold (share of the capacity)",
        "pools.recover": "recovery threshold $V_r$ (keys)",
        "pools.recover_share": "recovery threshold (share of the capacity)",
        "pools.reserve": "reserve (keys)",
        "pools.key_length_bits": "length of a pool key (bit)",
        "pools.replenish": "replenishment",
        "queue.capacity": "queue capacity (requests)",
        "queue.policy": "queue policy",
        "access.mode": "access links",
        "key_rate.model": "key-rate model",
        "key_rate.rate_bps": "key rate of a link (bit/s)",
        "demand.key_num": "keys of a request",
        "demand.key_length_bits": "length of a key (bit)",
        "demand.patience_s": "patience of users (s)",
        "demand.think_s": "mean time between requests (s)",
        "demand.rate_per_s": "requests of a pair of users (1/s)",
    },
    service=service,
    bridges_s=bridges_s,
    warning=StuckPoolWarning,
    has_steady_state=_has_steady_state,
    settling=(
        Quantity("pool_level_mean", _pool_level, is_internal=True),
        Quantity("requests_in_progress", _requests_in_progress, "requests in progress"),
        Quantity("request_rate_hz", _request_rate, "requests processed (1/s)"),
        Quantity("wait_mean_s", _wait_mean),
    ),
    settling_record=("levels",),
    presentation_module="qkdrmp.qkd.presentation",
)
"""The family of kind ``qkd``."""
