"""Protocol families: what they declare holds, and a further one needs its own module and one entry in a table."""

import pickle
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import qkdrmp
from qkdrmp.family import FAMILIES
from qkdrmp.stats.columns import Column, NotRecorded, unit_of
from tests.toy_family import COINS, CoinResults, CoinScenario


@pytest.fixture
def coins(monkeypatch: pytest.MonkeyPatch) -> CoinScenario:
    monkeypatch.setitem(FAMILIES, COINS.kind, COINS)  # the one line
    made = qkdrmp.make_scenario({"kind": "coins", "topology": "line", "duration_s": 2.0, "warmup_s": 0.5})
    assert isinstance(made, CoinScenario)
    return made


def test_a_third_family_runs(coins: CoinScenario) -> None:
    results = qkdrmp.simulate(coins, seed=3, record="tosses", check=True)
    assert isinstance(results, CoinResults)
    counted = results.tosses[results.tosses["time_s"] >= 0.5]
    assert dict(results.summary)["tosses"] == len(counted) > 0
    assert results.summary["heads"] == counted["heads"].sum()


def test_a_third_family_is_swept_and_summarised(coins: CoinScenario) -> None:
    with ThreadPoolExecutor(1) as executor:
        runs = qkdrmp.sweep(coins, {"coins.heads": [0.0, 1.0]}, replications=3, executor=executor, progress=False)
    assert runs[runs["coins.heads"] == 0]["heads"].eq(0).all()
    all_heads = runs[runs["coins.heads"] == 1]
    assert (all_heads["heads"] == all_heads["tosses"]).all()
    assert "heads_mean" in qkdrmp.summarise(runs, ["coins.heads", "duration_s"])


def test_a_third_family_predicts_and_settles(coins: CoinScenario) -> None:
    assert qkdrmp.predict(coins) == []
    assert qkdrmp.predict(coins.replace({"coins.heads": 0.0})) == ["no coin will fall heads up"]
    assert list(qkdrmp.suggest_warmup(coins, replications=2).quantities["quantity"]) == ["toss_rate_hz"]


def test_a_third_family_is_read_from_a_file(coins: CoinScenario, tmp_path: Path) -> None:
    (tmp_path / "coins.toml").write_text('kind = "coins"\ntopology = "line"\nduration_s = 1\n[coins]\nheads = 0.25\n')
    assert qkdrmp.load_scenario(tmp_path / "coins.toml").value("coins.heads") == 0.25


def test_without_its_entry_a_family_is_unknown() -> None:
    with pytest.raises(qkdrmp.ScenarioError, match="kind = 'coins' must be one of qkd, entanglement"):
        qkdrmp.make_scenario({"kind": "coins", "topology": "line", "duration_s": 1.0})


@pytest.mark.parametrize("kind", ["qkd", "entanglement"])
def test_a_family_declares_the_tables_and_metrics_of_its_runs(kind: str) -> None:
    family = FAMILIES[kind]
    name = {"qkd": "line", "entanglement": "chain"}[kind]
    results = qkdrmp.simulate(qkdrmp.load_scenario(name), record=family.records)
    assert type(results) is family.results
    assert list(results.summary.index) == [metric.name for metric in family.metrics]
    assert {name: list(table.columns) for name, table in results.tables.items()} == {
        name: table.names for name, table in family.tables.items()
    }
    assert family.main_metric in results.summary
    assert family.counted.asked in results.summary
    assert {family.counted.begun, family.counted.ended, "id", "state"} <= {*results.table(family.counted.nouns).columns}


@pytest.mark.parametrize("kind", ["qkd", "entanglement"])
def test_every_column_says_its_meaning_and_its_unit(kind: str) -> None:
    family = FAMILIES[kind]
    for column in (*family.metrics, *(column for table in family.tables.values() for column in table.columns)):
        assert column.meaning.strip(), column.name
        assert unit_of(column.name) in ("", column.unit), column.name
    names = [metric.name for metric in family.metrics]
    assert len(set(names)) == len(names)


def test_a_unit_that_contradicts_the_name_is_refused() -> None:
    with pytest.raises(ValueError, match="column wait_s: unit = 'ms' must be 's'"):
        Column("wait_s", "a time", len, unit="ms")
    assert Column("wait_s", "a time", len, "waiting time").label == "waiting time (s)"


def test_the_tables_of_results_are_attributes_that_an_editor_completes() -> None:
    results = qkdrmp.simulate(qkdrmp.load_scenario("line").replace({"duration_s": 1.5}))
    assert {"requests", "nodes", "pools", "messages", "levels"} <= {*dir(results)}
    assert results.requests is results.tables["requests"]
    with pytest.raises(NotRecorded, match=r"levels were not recorded: call simulate\(..., record=\['levels'\]\)"):
        _ = results.levels
    with pytest.raises(AttributeError, match=r"no 'requets' \(did you mean 'requests'\?\)"):
        _ = results.requets
    again = pickle.loads(pickle.dumps(results))
    assert again.requests.equals(results.requests)


def test_what_cannot_be_recorded_is_refused() -> None:
    scenario = qkdrmp.load_scenario("line")
    with pytest.raises(qkdrmp.QKDRMPError, match=r"record = 'level' must be one of messages, levels \(did you"):
        qkdrmp.simulate(scenario, record=["level"])
    with pytest.raises(qkdrmp.QKDRMPError, match="record = 'pairs' must be one of messages, levels"):
        qkdrmp.simulate(scenario, record="pairs")


SCRIPT = """
    import qkdrmp
    from qkdrmp.entanglement.family import EntanglementScenario
    from qkdrmp.qkd.family import QKDScenario

    def known(keys: QKDScenario, pairs: EntanglementScenario) -> None:
        qkdrmp.simulate(keys).requests.head()
        qkdrmp.simulate(pairs).connections.head()

    def typo(keys: QKDScenario) -> None:
        qkdrmp.simulate(keys).requets

    def of_the_other_family(keys: QKDScenario) -> None:
        qkdrmp.simulate(keys).connections

    results = qkdrmp.simulate(qkdrmp.load_scenario("line"))
    results.requests.head()
    results.conections
"""


def test_a_typo_in_the_name_of_a_table_is_an_error_to_a_type_checker(tmp_path: Path) -> None:
    if shutil.which("mypy", path=Path(sys.executable).parent) is None:
        pytest.skip("needs mypy")
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, "-m", "mypy", str(tmp_path / "script.py")]  # settings and cache are those of the project
    checked = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    errors = [line for line in checked.stdout.splitlines() if "script.py" in line]
    assert [line.split('"')[3] for line in errors] == ["requets", "connections", "conections"], checked.stdout
