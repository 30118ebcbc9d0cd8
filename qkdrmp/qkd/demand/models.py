"""Demand: who asks whom for how many keys, and when.

A demand is a frozen dataclass with a method `processes`. It is given a `RequestWorkload`, which names the
users and takes the requests, and the users it is to act for; it returns generators that SimPy runs as processes. A
plain generator function of the same two arguments does as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field
from simpy.events import ProcessGenerator

from qkdrmp.config.registry import Registry
from qkdrmp.kernel import arrivals
from qkdrmp.kernel.randomness import joined
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.network.demand import demand_of
from qkdrmp.qkd.demand.request_list import FixedList
from qkdrmp.qkd.demand.workload import (
    NonNegativeFloat,
    Pair,
    PositiveFloat,
    PositiveInt,
    Rate,
    RequestDemand,
    RequestWorkload,
    check_pair,
)

QNET_QUANTUM_TICKS = 2000
LONGEST_INTERVAL_S = 4e6
"""Some 46 days; in ticks, an offset drawn from it is a 64-bit number."""


@dataclass(frozen=True, kw_only=True)
class _EqualRequests:
    """Requests that are all alike.

    Parameters
    ----------
    key_num, key_length_bits : int
        Keys of a request and the length of each.
    priority : int
        Higher is more urgent.
    patience_s : float, optional
        Seconds after which a request that still waits is given up.
    """

    key_num: PositiveInt = 1
    key_length_bits: PositiveInt = 256
    priority: Annotated[int, Field(strict=True)] = 0
    patience_s: PositiveFloat | None = None

    concurrent: ClassVar[int | None] = None

    def request_sizes(self) -> set[int]:
        """Return the sizes of the requests, in bits."""
        return {self.key_num * self.key_length_bits}

    def users_named(self) -> Iterable[str]:
        """Return the users that the parameters name."""
        return ()

    def _ask(self, workload: RequestWorkload) -> arrivals.Ask:
        return partial(
            workload.ask,
            keys=self.key_num,
            key_bits=self.key_length_bits,
            priority=self.priority,
            patience_s=self.patience_s,
        )


@dataclass(frozen=True, kw_only=True)
class ClosedLoop(_EqualRequests):
    """Every user asks an idle peer, waits for the end of the request, thinks, and asks again.

    The demand of QNET's published experiment: until one of its requests has ended, a user waits
    ``|N(first_mean_s, first_sd_s)|`` before an attempt; later, a Poisson number of 2 ns with mean `think_s`. Requests
    are alike; see also `key_num`, `key_length_bits`, `priority` and `patience_s` of the other models.

    Parameters
    ----------
    first_mean_s, first_sd_s, think_s : float
        See above, in seconds.
    peers : {"reachable", "all"}
        Whom a user may choose: those that can be reached by a route, or all.
    """

    key_num: PositiveInt = 10
    key_length_bits: PositiveInt = 32
    first_mean_s: NonNegativeFloat = 0.010
    first_sd_s: NonNegativeFloat = 0.005
    think_s: PositiveFloat = 0.020
    peers: Literal["reachable", "all"] = "reachable"

    concurrent: ClassVar[int | None] = 1

    def __post_init__(self) -> None:
        waits = {"first_mean_s + first_sd_s": self.first_mean_s + self.first_sd_s, "think_s": self.think_s}
        for name, wait_s in waits.items():
            if to_ticks(wait_s) < QNET_QUANTUM_TICKS:
                raise ValueError(f"{name} = {wait_s:g} must be at least {to_seconds(QNET_QUANTUM_TICKS):g} s")

    def processes(self, workload: RequestWorkload, sources: Sequence[str]) -> Iterable[ProcessGenerator]:
        """Return one loop for each user that has a peer to ask."""
        peers = {user: self._peers(workload, user) for user in sources}
        loops = arrivals.ClosedLoopUsers(workload.env, peers, self._ask(workload))
        return [
            loops.loop(user, self._first, self._later, workload.random(joined(">", user)))
            for user in sources
            if peers[user]
        ]

    def _peers(self, workload: RequestWorkload, user: str) -> Sequence[str]:
        if self.peers == "all":
            return [peer for peer in workload.users if peer != user]
        return workload.reachable(user)

    def _first(self, random: np.random.Generator) -> int:
        return to_ticks(abs(random.normal(self.first_mean_s, self.first_sd_s)))

    def _later(self, random: np.random.Generator) -> int:
        return int(random.poisson(to_ticks(self.think_s) / QNET_QUANTUM_TICKS)) * QNET_QUANTUM_TICKS


@dataclass(frozen=True)
class PairRate:
    """The rate of one ordered pair in a traffic matrix, in requests per second (at most one a tick)."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    src: str
    dst: str
    rate_per_s: Rate

    def __post_init__(self) -> None:
        check_pair(self.src, self.dst)


@dataclass(frozen=True, kw_only=True)
class PoissonRequests(_EqualRequests):
    """Every ordered pair of users asks by a Poisson process of its own, whatever the outcome of earlier requests.

    Parameters
    ----------
    rate_per_s : float
        Requests per second of each pair that has a route and is not in the matrix.
    matrix : sequence of {src, dst, rate_per_s}
        Pairs with a rate of their own; with a matrix and no `rate_per_s`, only these pairs ask.
    """

    rate_per_s: Rate = 0.0
    matrix: tuple[PairRate, ...] = ()

    def __post_init__(self) -> None:
        if not self.rate_per_s and not any(pair.rate_per_s for pair in self.matrix):
            raise ValueError("give rate_per_s, or a matrix, so that there are requests")

    def offered_bps(self, pairs: Sequence[Pair], duration_s: float) -> Mapping[Pair, float]:
        """Return the mean key bits per second of each pair."""
        own = {(pair.src, pair.dst): pair.rate_per_s for pair in self.matrix}
        return {pair: own.get(pair, self.rate_per_s) * self.key_num * self.key_length_bits for pair in pairs}

    def rates(self, workload: RequestWorkload, sources: Sequence[str]) -> dict[Pair, float]:
        """Return the rate of every pair that asks, in requests per second."""
        rates = {(src, dst): self.rate_per_s for src in sources for dst in workload.reachable(src)}
        rates |= {(pair.src, pair.dst): pair.rate_per_s for pair in self.matrix if pair.src in sources}
        return {pair: rate for pair, rate in rates.items() if rate > 0}

    def processes(self, workload: RequestWorkload, sources: Sequence[str]) -> Iterable[ProcessGenerator]:
        """Return one process for each pair."""
        return [
            arrivals.poisson(workload.env, pair, rate, workload.random(joined(">", *pair)), self._ask(workload))
            for pair, rate in self.rates(workload, sources).items()
        ]

    def users_named(self) -> Iterable[str]:
        """Return the users in the matrix."""
        return [name for pair in self.matrix for name in (pair.src, pair.dst)]


@dataclass(frozen=True, kw_only=True)
class Rekey(_EqualRequests):
    """Every pair asks for a fresh key at constant intervals, as encryptors do.

    Parameters
    ----------
    interval_s : float
        Seconds between two requests of a pair (1e-12 to 4e6); each pair starts at a random moment of the
        first interval.
    pairs : sequence of [src, dst]
        Which pairs; by default every ordered pair that has a route.
    """

    interval_s: PositiveFloat = 1.0
    pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= to_ticks(self.interval_s) <= to_ticks(LONGEST_INTERVAL_S):
            raise ValueError(
                f"interval_s = {self.interval_s:g} must be from 1e-12 (a tick) to {LONGEST_INTERVAL_S:g} s"
            )
        for number, (src, dst) in enumerate(self.pairs, start=1):
            check_pair(src, dst, f"pairs, entry {number}: ")

    def offered_bps(self, pairs: Sequence[Pair], duration_s: float) -> Mapping[Pair, float]:
        """Return the mean key bits per second of each pair."""
        asking = [pair for pair in pairs if not self.pairs or pair in self.pairs]
        return dict.fromkeys(asking, self.key_num * self.key_length_bits / self.interval_s)

    def processes(self, workload: RequestWorkload, sources: Sequence[str]) -> Iterable[ProcessGenerator]:
        """Return one process for each pair."""
        interval = to_ticks(self.interval_s)
        everybody = [(src, dst) for src in sources for dst in workload.reachable(src)]
        pairs = [pair for pair in self.pairs if pair[0] in sources] if self.pairs else everybody
        offsets = [int(workload.random(joined(">", *pair)).integers(interval)) for pair in pairs]
        ask = self._ask(workload)
        return [
            arrivals.periodic(workload.env, pair, interval, offset, ask)
            for pair, offset in zip(pairs, offsets, strict=True)
        ]

    def users_named(self) -> Iterable[str]:
        """Return the users in the list of pairs."""
        return [name for pair in self.pairs for name in pair]


REQUEST_DEMANDS: Registry[RequestDemand] = Registry(
    "demand",
    RequestDemand,
    {"closed-loop": ClosedLoop, "poisson": PoissonRequests, "list": FixedList, "rekey": Rekey},
    demand_of,
)
