"""What verdicts say of theory: true where it holds, and loud where it does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import qkdrmp
from qkdrmp import law_table, verdict


@pytest.fixture(scope="module")
def scenario() -> qkdrmp.Scenario:
    return qkdrmp.load_scenario("line").replace({"duration_s": 6, "demand.rate_per_s": 60})


@pytest.fixture(scope="module")
def runs(scenario: qkdrmp.Scenario) -> pd.DataFrame:
    return qkdrmp.sweep(scenario, {"pools.capacity": [4, 8]}, replications=4, executor=ThreadPoolExecutor(1))


def test_each_cell_stands_beside_its_bound(runs: pd.DataFrame, scenario: qkdrmp.Scenario) -> None:
    table = law_table(runs, scenario).query("metric == 'key_rate_bps'")
    assert table["value"].tolist() == pytest.approx([20_000 + 2 * keys * 256 / 5 for keys in (5, 9)])
    assert not table["is_broken"].any()
    assert table["share"].between(0.8, 1.0).all()


def test_the_verdict_says_how_near_the_bound_is(runs: pd.DataFrame, scenario: qkdrmp.Scenario) -> None:
    (sentence,) = verdict(runs, scenario)["Theory"]
    assert sentence.startswith("No protocol, pool size or route can bring the mean delivered key rate above")
    assert "above 20,512 bit/s to 20,922 bit/s (largest multicommodity flow; limited by" in sentence
    shares = (runs.groupby("pools.capacity")["key_rate_bps"].mean() / [20_512, 20_921.6]).tolist()
    least, most = (f"{100 * share:.0f} %" for share in sorted(shares))
    assert f"{least} to {most} of it is reached." in sentence or f"{least} of it is reached." in sentence


def test_a_verdict_takes_the_laws_that_it_is_given(runs: pd.DataFrame, scenario: qkdrmp.Scenario) -> None:
    laws = law_table(runs, scenario)
    assert verdict(runs, scenario, laws) == verdict(runs, scenario)
    assert verdict(runs, scenario, laws.iloc[:0])["Theory"] == ["No bound or closed law is known for this scenario."]


def test_runs_above_a_bound_are_called_an_error(runs: pd.DataFrame, scenario: qkdrmp.Scenario) -> None:
    wrong = runs.assign(key_rate_bps=1.1 * law_table(runs, scenario)["value"].max() + runs["replication"])
    assert law_table(wrong, scenario).query("metric == 'key_rate_bps'")["is_broken"].all()
    assert "That must not be: please report it" in verdict(wrong, scenario)["Theory"][-1]


def test_chance_above_the_mean_demand_is_no_error() -> None:
    scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    runs = qkdrmp.sweep(scenario, {"pools.capacity": [16]}, replications=4, executor=ThreadPoolExecutor(1))
    more = runs.assign(key_rate_bps=[15_000.0, 15_900.0, 15_800.0, 15_700.0])
    assert not law_table(more, scenario)["is_broken"].any()
    assert "all of it is reached" in " ".join(verdict(more, scenario)["Theory"])


def test_where_no_theory_applies_that_is_said() -> None:
    scenario = qkdrmp.load_scenario("chain").replace({"duration_s": 0.02})
    runs = qkdrmp.sweep(scenario, {"memories.t2_s": [0.1, 1.0]}, replications=2, executor=ThreadPoolExecutor(1))
    assert verdict(runs, scenario)["Theory"] == ["No bound or closed law is known for this scenario."]
