"""A protocol family of one module, as somebody else would write it: users toss coins at a rate."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from simpy.events import ProcessGenerator

from qkdrmp.config.sections import Section
from qkdrmp.family import Counted, Family, Quantity, Results
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.invariants import require
from qkdrmp.kernel.randomness import Streams
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Column, Table
from qkdrmp.stats.time_bins import Numbers, rate


class CoinSettings(Section):
    """How coins fall."""

    rate_per_s: Annotated[float, Field(gt=0)] = 100.0
    heads: Annotated[float, Field(ge=0, le=1)] = 0.5


@dataclass(frozen=True)
class Toss:
    number: int
    tick: int
    heads: bool


class CoinResults(Results):
    tosses = Table[Toss](
        "a toss",
        [
            Column("id", "number of the toss", lambda toss: toss.number),
            Column("time_s", "when the coin fell", lambda toss: to_seconds(toss.tick)),
            Column("heads", "whether it fell heads up", lambda toss: toss.heads),
        ],
        record="tosses",
    )


class CoinScenario(Scenario[CoinResults]):
    """A scenario of coins."""

    kind: Literal["coins"]
    coins: CoinSettings = CoinSettings()


class CoinRun:
    def __init__(self, scenario: CoinScenario, seed: int, record: Collection[str] = ()) -> None:
        self.env, self.tosses, self.record = Environment(), list[Toss](), record
        self.warmup = to_ticks(scenario.warmup_s)
        self.env.process(self._toss(scenario.coins, Streams(seed).stream("coins")))

    def _toss(self, coins: CoinSettings, random: np.random.Generator) -> ProcessGenerator:
        while True:
            yield self.env.timeout(to_ticks(random.exponential(1 / coins.rate_per_s)))
            self.tosses.append(Toss(len(self.tosses) + 1, self.env.now, bool(random.random() < coins.heads)))

    def advance(self, until: int) -> None:
        self.env.advance(until)

    def summary(self) -> dict[str, float]:
        return {metric.name: metric.get(self) for metric in METRICS}

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"tosses": CoinResults.tosses.frame(self.tosses)} if "tosses" in self.record else {}

    def findings(self) -> list[str]:
        return [] if self.tosses else ["no coin was tossed"]

    def check(self) -> None:
        require(self.tosses == sorted(self.tosses, key=lambda toss: toss.tick), "coins fall one after the other")

    def counted(self) -> Iterator[Toss]:
        return (toss for toss in self.tosses if toss.tick >= self.warmup)


METRICS: tuple[Column[CoinRun], ...] = (
    Column("tosses", "coins tossed after the warm-up", lambda run: sum(1 for _ in run.counted())),
    Column("heads", "of these, those that fell heads up", lambda run: sum(toss.heads for toss in run.counted())),
    Column("events", "events processed", lambda run: run.env.events),
)


def _predict(scenario: CoinScenario) -> list[str]:
    return ["no coin will fall heads up"] if scenario.coins.heads == 0 else []


def _toss_rate(results: Any, edges: Numbers) -> Numbers:
    return rate(results.tosses["time_s"], edges)


COINS = Family(
    kind="coins",
    title="coins",
    scenario=CoinScenario,
    results=CoinResults,
    start=CoinRun,
    predict=_predict,
    metrics=METRICS,
    main_metric="heads",
    counted=Counted(noun="toss", nouns="tosses", begun="time_s", ended="time_s", asked="tosses"),
    field_labels={"coins.heads": "probability of heads"},
    settling=(Quantity("toss_rate_hz", "coins tossed (1/s)", _toss_rate),),
    settling_record=("tosses",),
)
