"""A protocol family, as somebody else would write it: users ask each other to toss coins, and count the heads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from simpy.events import ProcessGenerator

from qkdrmp.config.sections import Section
from qkdrmp.family import Counted, Family, Quality, Quantity, Results, SizingRules
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.invariants import require
from qkdrmp.kernel.randomness import Streams
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Column, Table
from qkdrmp.stats.time_bins import Numbers, rate

LATENCY = to_ticks(1e-4)
SIDES = ("tails", "heads")


class CoinSettings(Section):
    """How coins fall."""

    rate_per_s: Annotated[float, Field(gt=0)] = 100.0
    heads: Annotated[float, Field(ge=0, le=1)] = 0.5


@dataclass(frozen=True)
class Toss:
    number: int
    users: tuple[str, str]
    tick: int
    heads: bool


@dataclass(frozen=True)
class CoinMessage:
    toss: Toss
    kind: str
    source: str
    target: str
    tick: int


class CoinResults(Results):
    tosses = Table[Toss](
        "a toss",
        [
            Column("id", "number of the toss", lambda toss: toss.number),
            Column("src", "user who asked", lambda toss: toss.users[0]),
            Column("dst", "user who tossed", lambda toss: toss.users[1]),
            Column("time_s", "when the coin fell", lambda toss: to_seconds(toss.tick)),
            Column("state", "delivered if it fell heads up", lambda toss: "delivered" if toss.heads else "rejected"),
            Column("reason", "why it did not count", lambda toss: None if toss.heads else "tails"),
        ],
    )
    messages = Table[CoinMessage](
        "a message",
        [
            Column("toss", "number of the toss", lambda message: message.toss.number),
            Column("message", "kind", lambda message: message.kind),
            Column("source", "sender", lambda message: message.source),
            Column("target", "receiver", lambda message: message.target),
            Column("sent_s", "when it was sent", lambda message: to_seconds(message.tick)),
            Column("received_s", "when it arrived", lambda message: to_seconds(message.tick + LATENCY)),
            Column(
                "detail",
                "what else it says",
                lambda message: "" if message.kind == "TOSS" else SIDES[message.toss.heads],
            ),
        ],
        record="messages",
    )


class CoinScenario(Scenario[CoinResults]):
    """A scenario of coins."""

    kind: Literal["coins"]
    coins: CoinSettings = CoinSettings()


class CoinRun:
    def __init__(self, scenario: CoinScenario, seed: int, record: Collection[str] = ()) -> None:
        self.env, self.tosses, self.record = Environment(), list[Toss](), record
        self.warmup, self.users = to_ticks(scenario.warmup_s), list(scenario.topology.ends)
        self.env.process(self._toss(scenario.coins, Streams(seed).stream("coins")))

    def _toss(self, coins: CoinSettings, random: np.random.Generator) -> ProcessGenerator:
        while True:
            yield self.env.timeout(to_ticks(random.exponential(1 / coins.rate_per_s)))
            src, dst = random.choice(self.users, 2, replace=False)
            heads = bool(random.random() < coins.heads)
            self.tosses.append(Toss(len(self.tosses) + 1, (str(src), str(dst)), self.env.now, heads))

    def advance(self, until: int) -> None:
        self.env.advance(until)

    def summary(self) -> dict[str, float]:
        return {metric.name: metric.get(self) for metric in METRICS}

    def tables(self) -> dict[str, pd.DataFrame]:
        tables = {"tosses": CoinResults.tosses.frame(self.tosses)}
        recorded = {"messages": CoinResults.messages.frame(self._messages())} if "messages" in self.record else {}
        return tables | recorded

    def _messages(self) -> Iterator[CoinMessage]:
        for toss in self.tosses:
            src, dst = toss.users
            yield CoinMessage(toss, "TOSS", src, dst, toss.tick)
            yield CoinMessage(toss, "RESULT", dst, src, toss.tick + LATENCY)

    def findings(self) -> list[str]:
        return [] if self.tosses else ["no coin was tossed"]

    def check(self) -> None:
        require(self.tosses == sorted(self.tosses, key=lambda toss: toss.tick), "coins fall one after the other")

    def counted(self) -> Iterator[Toss]:
        return (toss for toss in self.tosses if toss.tick >= self.warmup)


METRICS: tuple[Column[CoinRun], ...] = (
    Column("tosses", "coins tossed after the warm-up", lambda run: sum(1 for _ in run.counted())),
    Column(
        "heads",
        "of these, those that fell heads up",
        lambda run: sum(toss.heads for toss in run.counted()),
        "coins showing heads",
    ),
    Column("rejected_tails", "the others", lambda run: sum(not toss.heads for toss in run.counted())),
    Column("events", "events processed", lambda run: run.env.events),
)


def _predict(scenario: CoinScenario) -> list[str]:
    return ["no coin will fall heads up"] if scenario.coins.heads == 0 else []


def _toss_rate(results: Any, edges: Numbers) -> Numbers:
    return rate(results.tosses["time_s"], edges)


COINS = Family(
    kind="coins",
    title="coin tosses",
    scenario=CoinScenario,
    results=CoinResults,
    start=CoinRun,
    known_beforehand=lambda scenario: {},
    laws=lambda scenario: [],
    sizing=SizingRules(field="coins"),
    predict=_predict,
    metrics=METRICS,
    main_metric="heads",
    print_metrics=("heads",),
    counted=Counted(
        noun="toss", nouns="tosses", begun="time_s", ended="time_s", asked="tosses", goods="heads", goods_asked="tosses"
    ),
    qualities=(Quality("heads"),),
    field_labels={"coins.heads": "probability of heads"},
    has_steady_state=lambda scenario: True,
    settling=(Quantity("toss_rate_hz", _toss_rate, "coins tossed (1/s)"),),
    settling_record=(),
    figures_record=(),
    presentation_module="tests.toy_presentation",
)
