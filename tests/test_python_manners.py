"""What users of Python meet: changes of sections, what is written and shown, and errors that are sentences."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import qkdrmp
from qkdrmp import QKDRMPError, Scenario, ScenarioError, load_scenario, make_scenario, simulate
from qkdrmp.config.bundled import bundled_names
from qkdrmp.qkd.demand.request_list import PlannedRequest
from tests.report.experiments import HERE


@pytest.fixture(scope="module")
def line() -> Scenario:
    return load_scenario("line").replace({"duration_s": 2})


@pytest.fixture(scope="module")
def runs(line: Scenario) -> pd.DataFrame:
    return qkdrmp.sweep(line, {"pools.capacity": [2, 8]}, replications=2, executor=HERE, progress=False)


# Changes of a section


def test_a_mapping_for_a_section_is_merged_into_it(line: Scenario) -> None:
    merged = line.replace({"pools": {"capacity": 60, "reserve": 1}, "queue.capacity": 7})
    assert merged == line.replace({"pools.capacity": 60, "pools.reserve": 1, "queue.capacity": 7})
    assert merged.pools.replenish == line.pools.replenish == "continuous"
    assert line.replace({"sweep": {"replications": 3}}).sweep.over == line.sweep.over


def test_the_parameters_of_a_model_go_with_the_model_also_in_a_merged_section(line: Scenario) -> None:
    other = line.replace({"demand": {"model": "closed-loop", "key_num": 3}})
    assert other.demand.parameters == {"key_num": 3}
    same = line.replace({"demand": {"model": "poisson", "key_num": 3}})
    assert same.demand.parameters == {**line.demand.parameters, "key_num": 3}


def test_sections_of_entanglement_are_merged_as_well() -> None:
    chain = load_scenario("chain").replace({"memories": {"t2_s": 0.5}})
    assert chain == load_scenario("chain").replace({"memories.t2_s": 0.5})


def test_a_field_that_is_a_mapping_itself_is_replaced(line: Scenario) -> None:
    assert line.replace({"sweep": {"over": {"queue.capacity": [1]}}}).sweep.over == {"queue.capacity": [1]}


# Files


@pytest.mark.parametrize("name", bundled_names("scenarios"))
def test_a_scenario_that_is_saved_loads_back_equal(name: str, tmp_path: Path) -> None:
    scenario = load_scenario(name)
    scenario.save(tmp_path / "saved.toml")
    again = load_scenario(tmp_path / "saved.toml")
    assert again == scenario
    assert again != scenario.replace({"duration_s": scenario.duration_s * 2})
    assert not (tmp_path / "saved_topology.json").exists()


def test_a_changed_scenario_with_a_network_of_its_own_loads_back_equal(tmp_path: Path) -> None:
    nodes = [qkdrmp.Node("A", "end"), qkdrmp.Node("R", "repeater"), qkdrmp.Node("B", "end")]
    links = [qkdrmp.Link(("A", "R"), length_km=5), qkdrmp.Link(("R", "B"), length_km=8)]
    raw = {
        "topology": qkdrmp.Topology("own", nodes, links),
        "duration_s": 1.0,
        "preset": "qnet",
        "pools": {"capacity": 12, "at": [{"node": "R", "capacity": 30}]},
        "sweep": {"over": {"pools.capacity": [4, 8], "queue.policy": ["fcfs", "priority"]}, "replications": 3},
    }
    scenario = make_scenario(raw).replace({"description": 'with "quotes", ü and\nlines'})
    (tmp_path / "deep").mkdir()
    scenario.save(tmp_path / "deep" / "own.toml")
    assert load_scenario(tmp_path / "deep" / "own.toml") == scenario
    assert (tmp_path / "deep" / "own_topology.json").exists()


def test_a_list_of_requests_and_files_of_ones_own_go_along(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "list.csv").write_text("start_s,src,dst\n0.1,Alice,Bob\n")
    (tmp_path / "a" / "mine.py").write_text("def lifo(waiting, now):\n    return list(waiting)[::-1]\n")
    (tmp_path / "a" / "x.toml").write_text(
        'topology = "line"\nduration_s = 1\n[queue]\npolicy = "mine.py:lifo"\n'
        '[demand]\nmodel = "list"\nfile = "list.csv"\n'
    )
    scenario = load_scenario(tmp_path / "a" / "x.toml")
    scenario.save(tmp_path / "b" / "y.toml")
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"y.toml", "y_demand.csv", "mine.py"}
    again = load_scenario(tmp_path / "b" / "y.toml")
    assert simulate(again).summary.equals(simulate(scenario).summary)


def lifo(waiting: Sequence[Any], now: float) -> list[Any]:
    return list(waiting)[::-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queue.policy": lifo}, "queue.policy = lifo cannot be written, because a TOML file holds no such value"),
        (
            {"demand": {"model": "list", "requests": [PlannedRequest(0.1, "Alice", "Bob")]}},
            "demand.requests, entry 1 = PlannedRequest(",
        ),
        (
            {"sweep.over": {"queue.capacity": [1], "pools.interrupt": [1, None]}},
            "sweep.over.pools.interrupt = [1, None]",
        ),
    ],
)
def test_what_a_file_cannot_hold_is_refused(changes: dict[str, Any], said: str, line: Scenario, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=re.escape(said)):
        line.replace(changes).save(tmp_path / "x.toml")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_value_that_is_the_default_need_not_be_written(line: Scenario, tmp_path: Path) -> None:
    line.replace({"pools.interrupt": None}).save(tmp_path / "x.toml")
    assert load_scenario(tmp_path / "x.toml") == line
    over_preset = load_scenario("beijing_figure3").replace({"pools.refill_lead_delays": None})
    with pytest.raises(ScenarioError, match=r"pools\.refill_lead_delays = None cannot be written"):
        over_preset.save(tmp_path / "y.toml")


def test_a_place_where_nothing_can_be_written(line: Scenario, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none/x\.toml: cannot be written: No such file"):
        line.save(tmp_path / "none" / "x.toml")


def test_results_are_saved_as_csv_or_parquet(line: Scenario, tmp_path: Path) -> None:
    results = simulate(line, record=["messages"])
    files = results.save(tmp_path / "new" / "folder")
    assert files == ["run_summary.csv", *(f"{name}.csv" for name in results.tables)]
    read = pd.read_csv(tmp_path / "new" / "folder" / "requests.csv")
    assert_frame_equal(read, results.requests.replace({None: np.nan}), check_dtype=False)
    pytest.importorskip("pyarrow")
    assert results.save(tmp_path, "parquet") == [file.replace("csv", "parquet") for file in files]
    for name, table in results.tables.items():
        assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), table, check_dtype=False)
    summary = pd.read_parquet(tmp_path / "run_summary.parquet").set_index("metric")["value"]
    assert summary.to_dict() == results.summary.astype(float).to_dict()


def test_a_format_that_is_not_known_or_cannot_be_written(
    line: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = simulate(line)
    with pytest.raises(QKDRMPError, match=re.escape("format = 'parkett' must be one of csv, parquet (did you")):
        results.save(tmp_path, "parkett")
    monkeypatch.setattr("qkdrmp.stats.table_files.ENGINE", "no_such_package")
    with pytest.raises(QKDRMPError, match=re.escape("pip install 'qkdrmp[parquet]'")):
        results.save(tmp_path, "parquet")


# What there is, and what notebooks show


def test_what_comes_with_the_package_is_listed() -> None:
    scenarios, topologies = qkdrmp.list_scenarios(), qkdrmp.list_topologies()
    assert list(scenarios["name"]) == bundled_names("scenarios")
    assert set(scenarios["kind"]) == set(qkdrmp.FAMILIES)
    assert list(topologies["name"]) == bundled_names("topologies")


def test_modules_that_draw_are_completed_before_they_are_imported() -> None:
    code = "import sys, qkdrmp; assert {'plots', 'ladder', 'list_scenarios'} <= set(dir(qkdrmp));"
    subprocess.run([sys.executable, "-c", f"{code} assert 'matplotlib' not in sys.modules"], check=True)


def test_notebooks_show_a_scenario_by_what_differs(line: Scenario) -> None:
    shown = line._repr_html_()
    assert "<td>pools.capacity</td>" in shown
    assert "<td>40</td>" in shown
    assert "interrupt_share" not in shown


def test_what_notebooks_show_is_escaped(tmp_path: Path) -> None:
    evil = make_scenario({"topology": "line", "duration_s": 1.0, "name": "<script>a</script>", "description": "<em>&"})
    experiment_folder = tmp_path / "<i>"
    qkdrmp.sweep(evil, {"pools.capacity": [2]}, replications=2, folder=experiment_folder, executor=HERE, progress=False)
    results = simulate(evil)
    results.findings.append("<u>")
    experiment = qkdrmp.load_experiment(experiment_folder)
    for thing in (evil, results, experiment):
        shown = thing._repr_html_()
        assert "&lt;script&gt;a" in shown
        assert not re.search(r"<(script|i|u|em)\b", shown)
    assert "&lt;u&gt;" in results._repr_html_()
    assert "requests_delivered_mean" in experiment._repr_html_()


# Errors


WRONG: dict[str, tuple[Callable[[Scenario, pd.DataFrame], Any], str]] = {
    "by": (
        lambda line, runs: qkdrmp.summarise(runs, ["pools.capcity"]),
        "by = 'pools.capcity' must be one of pools.",
    ),
    "confidence": (lambda line, runs: qkdrmp.summarise(runs, None, 95), "confidence = 95 must be above 0 and below 1"),
    "results": (lambda line, runs: qkdrmp.summarise(simulate(line)), "not the results of a single run"),  # type: ignore[arg-type]
    "results compared": (lambda line, runs: qkdrmp.compare(simulate(line), "x"), "must be a table of runs, as sweep"),
    "metric": (lambda line, runs: qkdrmp.compare(runs, "pools.capacity", metrics="x"), "the runs have no metric 'x'"),
    "scenario": (lambda line, runs: qkdrmp.sweep("line"), "scenario = 'line' must be a Scenario, as load_scenario ret"),
    "predicted": (lambda line, runs: qkdrmp.predict("line"), "scenario = 'line' must be a Scenario"),
    "name": (lambda line, runs: qkdrmp.load_scenario(3), "scenario = 3 must be a name or the path of a file"),
    "mapping": (lambda line, runs: make_scenario("line"), "scenario = 'line' must be a mapping of fields to"),
    "changes": (lambda line, runs: line.replace("pools"), "line: changes = 'pools' must be a mapping of fields"),
    "path": (lambda line, runs: line.replace({3: 4}), "line: changes: 3 must be the path of a field, as text"),
    "in a section": (lambda line, runs: line.replace({"pools": {"capcity": 1}}), "pools: unknown field 'capcity' (did"),
    "no section": (lambda line, runs: line.replace({"pools": 3}), "line: pools = 3 must be a table"),
    "folder": (lambda line, runs: qkdrmp.load_experiment(3), "folder = 3 must be the path of a folder"),
    "executor": (lambda line, runs: qkdrmp.sweep(line, executor=3, progress=False), "executor = 3 must be an executor"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(case: str, line: Scenario, runs: pd.DataFrame) -> None:
    asked, words = WRONG[case]
    with pytest.raises(QKDRMPError) as caught:
        asked(line, runs)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_name_stands_for_a_list_of_it(runs: pd.DataFrame) -> None:
    assert_frame_equal(qkdrmp.summarise(runs, "pools.capacity"), qkdrmp.summarise(runs, ["pools.capacity"]))
    assert_frame_equal(qkdrmp.summarise(runs), qkdrmp.summarise(runs, ["pools.capacity", "duration_s"]))
    one, several = (qkdrmp.compare(runs, "pools.capacity", metrics=name) for name in ("wait_mean_s", ["wait_mean_s"]))
    assert_frame_equal(one, several)


def test_the_settings_of_a_sweep_are_kept_as_they_were_run(line: Scenario, tmp_path: Path) -> None:
    points = [{"pools.capacity": 2}, {"queue.capacity": 3}]
    qkdrmp.sweep(line, points, replications=1, folder=tmp_path, executor=HERE, progress=False)
    kept = json.loads((tmp_path / "scenario.json").read_text())["sweep"]
    assert kept == {"points": points, "replications": 1}
