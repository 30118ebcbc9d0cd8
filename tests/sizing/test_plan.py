"""Plans: what they call the smallest is so by other means, and what they cannot do they say."""

from __future__ import annotations

import math
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import qkdrmp
from qkdrmp.qkd.sizing import SIZING
from qkdrmp.qkd.theory.laws import shortfall
from qkdrmp.scenario import Scenario
from qkdrmp.verdicts.targets import assessed
from tests.qkd.theory.test_laws import two_users


def thread() -> Executor:
    return ThreadPoolExecutor(1)


def planned(scenario: Scenario, **options: Any) -> qkdrmp.Sizing:
    return qkdrmp.plan(scenario, executor=thread, replications=options.pop("replications", 6), **options)


@pytest.fixture(scope="module")
def line() -> qkdrmp.Sizing:
    scenario = qkdrmp.load_scenario("line").replace({"targets": {"wait_p95_s": 0.01}, "duration_s": 11})
    return planned(scenario.replace({"pools.interrupt_share": 0.25, "pools.recover_share": 1.0}))


def test_the_smallest_meets_its_targets_with_fresh_seeds(line: qkdrmp.Sizing) -> None:
    assert line.is_met
    assert line.confirmed is not None
    fresh = qkdrmp.sweep(line.scenario, {"pools.capacity": [line.confirmed.value]}, 6, seed=991, executor=thread())
    for target in line.targets:
        assert target.allows(fresh[target.metric].mean())
        assert not assessed(fresh, target).is_missed


def test_half_of_it_does_not_do(line: qkdrmp.Sizing) -> None:
    assert line.confirmed is not None
    half = int(line.confirmed.value or 0) // 2
    runs = qkdrmp.sweep(line.scenario, {"pools.capacity": [half]}, 6, seed=991, executor=thread())
    assert runs["wait_p95_s"].mean() > 0.01


def test_the_confirmation_has_other_seeds_than_the_search(line: qkdrmp.Sizing) -> None:
    assert line.confirmed is not None
    assert line.confirmed.experiment.seed != 1
    assert len(line.confirmed.experiment.runs) == 6 * len(line.confirmed.steps)


def test_thresholds_that_let_pools_serve_on_need_less(line: qkdrmp.Sizing) -> None:
    # The scenario interrupts service at a quarter of the capacity and resumes it when the pool is full.
    assert line.chosen is not None
    assert line.scenario.pools.interrupt == 0
    needs = line.searched[line.searched["meets"]].groupby("about")["value"].min()
    assert needs[line.chosen.words] < needs[""]


def test_the_sentences_begin_with_the_answer_and_say_how_it_is_known(line: qkdrmp.Sizing) -> None:
    asked, *others = line.sentences
    assert asked.startswith("Asked for: waiting time of delivered requests, 95th percentile at most 10 ms")
    assert line.confirmed is not None
    smallest = f"Key pool capacity = {line.confirmed.value} keys is the smallest that meets all targets"
    assert any(sentence.startswith(smallest) for sentence in others)
    assert any(sentence.startswith("Searched for with") for sentence in others)


def test_the_size_of_a_single_pool_is_that_of_theory() -> None:
    # The mean wait is E[(N - C)+] / lambda of an M/D/1 queue: with the target in the middle between two sizes there is
    # one answer, which statistics may make larger by one.
    rate = 60
    waits = {capacity: shortfall(rate / 100, capacity) / rate for capacity in (2, 3)}
    matrix = [{"src": "A", "dst": "B", "rate_per_s": rate}]
    found = planned(two_users(**{"targets": {"wait_mean_s": sum(waits.values()) / 2}, "demand.matrix": matrix}))
    assert found.confirmed is not None
    assert found.confirmed.value in (3, 4)


def test_overloaded_links_are_made_faster_first() -> None:
    scenario = qkdrmp.load_scenario("line").replace(
        {"targets": {"wait_p95_s": 0.05}, "demand.rate_per_s": 15 * 17, "duration_s": 3, "warmup_s": 0.5}
    )
    found = planned(scenario)
    assert "2 of 2 links are asked for more keys than can be made there" in found.sentences[1]
    assert {one.place for one in found.upgrades} == {"Alice-R", "R-Bob"}
    assert all(one.then == pytest.approx(17 * 15 * 2 * 512 / 0.9) for one in found.upgrades)
    assert max(qkdrmp.link_loads(found.scenario).values()) == pytest.approx(0.9)
    assert found.is_met
    assert any(sentence.startswith("That needs a higher rate of 2 links: Alice-R from") for sentence in found.sentences)


def test_what_no_size_can_do_is_said_with_what_binds() -> None:
    scenario = qkdrmp.load_scenario("line").replace({"targets": {"delivery_mean_s": 1e-9}, "duration_s": 3})
    found = planned(scenario)
    assert not found.is_met
    assert found.scenario == scenario
    (nothing,) = [sentence for sentence in found.sentences if "meets all targets" in sentence]
    assert "time to delivery" in nothing


def test_the_busiest_link_is_named_where_its_rate_helps() -> None:
    topology = qkdrmp.load_topology("line")
    changes = {
        "topology": topology,
        "key_rate.at": [{"link": ["R", "Bob"], "model": "constant", "rate_bps": 17_000}],
        "targets": {"wait_p95_s": 0.08},
        "duration_s": 11,
    }
    found = planned(qkdrmp.load_scenario("line").replace(changes))
    effects = found.effects[found.effects["metric"] == "wait_p95_s"]
    assert effects["link"].iloc[0] == "R-Bob"
    assert effects["is_better"].iloc[0]
    assert any("The link to upgrade first is R-Bob (load 90 %): with" in sentence for sentence in found.sentences)
    hardly = replace(found, effects=found.effects.assign(difference=-0.01 * found.effects["before"]))
    assert any("would bring no target clearly nearer" in sentence for sentence in hardly.sentences)


def test_targets_that_nothing_is_known_of_are_not_drawn(line: qkdrmp.Sizing, tmp_path: Path) -> None:
    assert line.confirmed is not None
    assert "plan.png" in line.save(tmp_path)
    experiment = line.confirmed.experiment
    unknown = experiment.runs.assign(**{target.metric: math.nan for target in line.targets})
    lost = replace(line, confirmed=replace(line.confirmed, experiment=replace(experiment, runs=unknown)))
    assert "plan.png" not in lost.save(tmp_path)
    with pytest.raises(qkdrmp.QKDRMPError, match=r"^line: nothing was confirmed, so there is nothing to draw"):
        lost.draw()


def test_sizes_by_link_are_smaller_where_less_is_drawn() -> None:
    changes = {
        "key_rate.at": [{"link": ["R", "Bob"], "model": "constant", "rate_bps": 60_000}],
        "targets": {"wait_p95_s": 0.02},
        "duration_s": 11,
    }
    found = planned(qkdrmp.load_scenario("line").replace(changes), by_link=True)
    sizes = found.sizes.set_index("link")["capacity"]
    assert sizes["R-Bob"] < sizes["Alice-R"]
    alike = replace(found, sizes=found.sizes.assign(capacity=5))
    assert any(sentence.startswith("With a size for each link, 5 keys, pools") for sentence in alike.sentences)
    assert found.by_link is not None
    assert found.by_link.passed


def test_sizes_by_link_keep_the_other_exceptions_of_pools() -> None:
    own = {"link": ("R", "Bob"), "reserve": 1}
    line = qkdrmp.load_scenario("line").replace({"pools.at": [own], "duration_s": 2})
    changes = SIZING.by_link(line, [qkdrmp.simulate(line, seed=1).pools])
    shaped = line.replace(changes)
    assert shaped.stream("R", "Bob").thresholds.reserve == 1
    assert shaped.stream("Alice", "R").thresholds.reserve == 0


def test_memories_are_sized_likewise() -> None:
    # The connection wants eight memories at every interface: with fewer it is rejected, with more nothing changes.
    scenario = qkdrmp.load_scenario("chain").replace({"targets": {"pair_rate_hz": 100}, "duration_s": 0.01})
    found = planned(scenario, replications=3)
    assert found.confirmed is not None
    assert (found.confirmed.field, found.confirmed.value) == ("memories.per_interface", 8)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, {}, "line: a plan needs targets, such as targets.wait_p95_s"),
        ({"targets": {"blocking": 0.1}}, {"size": "pools.capacty"}, "size = 'pools.capacty' must be a field"),
        ({"targets": {"blocking": 0.1}}, {"size": "queue.policy"}, "size = 'queue.policy' must be a field"),
        (
            {"targets": {"blocking": 0.1}},
            {"size": "demand.key_num"},
            "size = 'demand.key_num' must be a field of the d",
        ),
        ({"targets": {"blocking": 0.1}}, {"replications": 2}, "replications = 2 must be at least 3"),
    ],
)
def test_wrong_questions_are_refused(changes: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match=words):
        planned(qkdrmp.load_scenario("line").replace(changes), **options)


def test_a_factor_scales_all_capacities() -> None:
    line = qkdrmp.load_scenario("line").replace(
        {"pools.at": [{"link": ["R", "Bob"], "capacity": 5}], "pools.capacity_factor": 1.5}
    )
    pools: pd.DataFrame = qkdrmp.simulate(line.replace({"duration_s": 2}), seed=1).pools
    assert pools.set_index("stream")["capacity"].to_dict() == {
        "Alice>R": 12,
        "R>Alice": 12,
        "R>Bob": 8,
        "Bob>R": 8,
    }
