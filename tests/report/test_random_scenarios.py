"""Random small scenarios pass through everything that is made of them, without an exception or a warning."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import matplotlib.pyplot as plt
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import qkdrmp
from qkdrmp import QKDRMPError, RunWarning, Scenario
from qkdrmp.entanglement.family import EntanglementScenario
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.errors import SweepWarning
from qkdrmp.family import family_of
from qkdrmp.report import replay, runs
from qkdrmp.report.page import render
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import run_once
from tests.entanglement.networks import random_case
from tests.qkd.strategies import scenarios
from tests.report.experiments import HERE, experiment

FEW, MANY = 1, 100
FAULTS = {"faults": {"loss": 0.2, "duplication": 0.2, "extra_delay_s": 1e-4}}
NEVER = {"model": "poisson", "rate_per_s": 1e-9}
KINDS: dict[str, Mapping[str, dict[str, Any]]] = {
    "as they are": {"qkd": {}, "entanglement": {}},
    "faults": {"qkd": FAULTS, "entanglement": FAULTS},
    "nobody asks": {"qkd": {"demand": NEVER}, "entanglement": {"demand": NEVER}},
    "all are rejected": {
        "qkd": {"demand": {"model": "poisson", "rate_per_s": 50, "key_num": 500}},
        "entanglement": {"demand": {"model": "poisson", "rate_per_s": 1e3, "minimum_fidelity": 0.9999, "pairs": 1}},
    },
    "hardly any time": {"qkd": {"duration_s": 1e-9}, "entanglement": {"duration_s": 1e-9}},
}
SWEPT: dict[str, dict[str, list[Any]]] = {
    "qkd": {"queue.policy": ["fcfs", "priority"], "queue.capacity": [0, 1, 5], "pools.key_length_bits": [8, 64]},
    "entanglement": {"setup.retries": [0, 1, 4], "allocation.policy": ["circuit", "lottery"]},
}

TARGETS: dict[str, dict[str, float]] = {
    "qkd": {"wait_p95_s": 0.05, "wait_mean_s": 0.001, "blocking": 0.2, "undelivered": 0.3},
    "entanglement": {"setup_p95_s": 0.1, "fidelity_mean": 0.8, "blocking": 0.3, "undelivered": 0.5},
}


def draw(ax: Any) -> None:
    """Draw a figure, and forget it."""
    ax.figure.canvas.draw()
    plt.close(ax.figure)


@contextmanager
def unless(words: str) -> Iterator[None]:
    """Let pass an error that says what there is none of."""
    try:
        yield
    except QKDRMPError as error:
        if words not in str(error):
            raise


def pictures(scenario: Scenario, made: Any) -> Iterator[Any]:
    presentation, table = family_of(scenario).presentation, made.runs
    results = run_once(scenario, int(table["seed"].iloc[-1]), family_of(scenario).records)
    yield qkdrmp.plots.network(scenario.topology)
    yield from (ax for _, ax in presentation.run_figures(results))
    yield from (ax for _, ax in presentation.sweep_figures(table, qkdrmp.law_table(table, scenario), lambda: results))
    yield qkdrmp.ladder.of(results, qkdrmp.ladder.first(results)).draw()


def passes(scenario: Scenario, choose: random.Random) -> None:
    """Send a scenario through sweep, verdict, report, pictures, ladder, comparison, warm-up, failures and plan."""
    fields = SWEPT[scenario.kind]
    swept = {"duration_s": [scenario.duration_s / 2, scenario.duration_s]} | fields
    over = {field: swept[field] for field in choose.sample([*swept], choose.choice([0, 1, 1, 2]))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RunWarning)
        warnings.simplefilter("ignore", SweepWarning)
        made = experiment(scenario, over, choose.choice([1, 2, 3]))
        assert not made.runs["failed"].any()
        with patch.multiple(runs, MOST_LADDERS=2, FEW_LADDERS=1), patch.object(replay, "MOST_RUNS", 2):
            render(made)
        qkdrmp.verdict(made.runs, scenario)
        with unless("there is nothing to draw"):
            draw(choose.choice([*pictures(scenario, made)]))
        draw(qkdrmp.plots.warmup(qkdrmp.suggest_warmup(scenario, 1, 2))[0])
        for field in [*over][:1]:
            compared = qkdrmp.compare(made.runs, field)
            qkdrmp.conclusions(compared)
            with unless("there is nothing to draw"):
                draw(qkdrmp.plots.differences(compared))
        draw(qkdrmp.failures(scenario, executor=HERE, progress=False).draw())
        targets = TARGETS[scenario.kind]
        asked = scenario.replace({"targets": {name: targets[name] for name in choose.sample([*targets], 2)}})
        sizing = qkdrmp.plan(asked, replications=3, executor=HERE)
        assert sizing.sentences
        with unless("there is nothing to draw"):
            draw(sizing.draw()[0])
    plt.close("all")


def check_keys(raw: dict[str, Any], number: int, kind: str) -> None:
    passes(make_scenario({"kind": "qkd", **raw, **KINDS[kind]["qkd"]}), random.Random(number))


def check_pairs(number: int, kind: str) -> None:
    found = random_case(number, faults=False)
    raw = {"kind": "entanglement"} | {name: getattr(found, name) for name in EntanglementSettings.model_fields}
    passes(EntanglementScenario.from_mapping(raw | KINDS[kind]["entanglement"]), random.Random(number))


def drawn(examples: int) -> Callable[[Any], Any]:
    def decorate(test: Any) -> Any:
        quick = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        given_all = given(
            st.booleans().flatmap(lambda finite: scenarios(finite=finite)),
            st.integers(0, 10**6),
            st.sampled_from([*KINDS]),
        )
        return seed(1)(quick(given_all(test)))

    return decorate


@drawn(FEW)
def test_random_keys_pass_through_everything(raw: dict[str, Any], number: int, kind: str) -> None:
    check_keys(raw, number, kind)


@pytest.mark.parametrize("number", range(FEW))
def test_random_pairs_pass_through_everything(number: int) -> None:
    check_pairs(number, [*KINDS][number % len(KINDS)])


@pytest.mark.slow
@drawn(MANY)
def test_random_keys_pass_through_everything_at_length(raw: dict[str, Any], number: int, kind: str) -> None:
    check_keys(raw, number, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_random_pairs_pass_through_everything_at_length(kind: str) -> None:
    for number in range(MANY):
        check_pairs(number, kind)


@pytest.mark.parametrize("kind", ["qkd", "entanglement"])
def test_what_nobody_asks_anything_of_passes_through_everything(kind: str) -> None:
    name = {"qkd": "line", "entanglement": "blocking"}[kind]
    passes(qkdrmp.load_scenario(name).replace({"demand": NEVER, "warmup_s": 0, "duration_s": 0.02}), random.Random(2))
