"""Protocol families: what they declare holds, and a further one needs its own module and one entry in a table."""

import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from click.testing import CliRunner

import qkdrmp
from qkdrmp.cli import main
from qkdrmp.family import FAMILIES
from qkdrmp.stats.columns import Column, NotRecorded, unit_of
from tests.toy_family import COINS, CoinResults, CoinScenario

mpl.use("Agg")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def coins(monkeypatch: pytest.MonkeyPatch) -> CoinScenario:
    monkeypatch.setitem(FAMILIES, COINS.kind, COINS)  # the one line
    made = qkdrmp.make_scenario({"kind": "coins", "topology": "line", "duration_s": 2.0, "warmup_s": 0.5})
    assert isinstance(made, CoinScenario)
    return made


def test_a_third_family_runs(coins: CoinScenario) -> None:
    results = qkdrmp.simulate(coins, seed=3, record="messages", check=True)
    assert isinstance(results, CoinResults)
    counted = results.tosses[results.tosses["time_s"] >= 0.5]
    assert dict(results.summary)["tosses"] == len(counted) > 0
    assert results.summary["heads"] == counted["state"].eq("delivered").sum()


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


COINS_FILE = """
kind = "coins"
topology = "line"
duration_s = 2.0
[coins]
rate_per_s = 50
[sweep]
replications = 3
[sweep.over]
"coins.heads" = [0.0, 0.25, 0.5]
"""


@pytest.fixture
def folder(coins: CoinScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "qkdrmp.cli.sweeps.processes", lambda jobs: ThreadPoolExecutor(1)
    )  # other processes know no coins
    (tmp_path / "coins.toml").write_text(COINS_FILE)
    return tmp_path


def command(*arguments: str) -> list[str]:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_a_third_family_is_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("coins" in line for line in command("list"))
    files = {"scenarios": ["line", "coins.toml"], "topologies": []}
    monkeypatch.setattr("qkdrmp.cli.look.bundled_names", files.get)
    assert command("list")[2:4] == [
        "Scenarios of coin tosses (qkdrmp run, sweep or ladder NAME):",
        "  coins.toml        ",
    ]


def test_a_third_family_is_run_on_the_command_line(folder: Path) -> None:
    lines = command("run", "coins.toml")
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == ["tosses", "heads", "rejected_tails", "events"]
    assert lines[-1] == "written to results/coins: run_summary.csv, tosses.csv, run.json, coins.png"
    assert (folder / "results" / "coins" / "coins.png").stat().st_size > 1000
    assert "messages.csv" in command("run", "coins.toml", "--trace")[-1]


def test_a_third_family_is_swept_and_reported_on_the_command_line(folder: Path) -> None:
    lines = command("sweep", "coins.toml", "--out", "out")
    assert "predicted with coins.heads = 0.0: no coin will fall heads up" in lines
    assert "  coins.heads = 0         0.0 ± 0.0 heads" in lines
    assert lines[-2] == "written to out: runs.csv, timings.csv, summary.csv, heads.png, coins.png"

    command("report", "out")
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    for words in (
        "Coins showing heads do not saturate within what was swept",
        "of the tosses. By reason:",
        "No coin showed heads with probability of heads = 0.",
        "Coins have no bottleneck.",
        "The messages of single tosses",
        "Links: share of heads",
        "Nodes: coins that the node asked for so far",
        '"colours":{"TOSS":"#d55e00","RESULT":"#029e73"}',
        '"title":"Tosses of the run shown"',
    ):
        assert words in page
    assert re.search(r'"name":"toss \d+: the first rejected, tails"', page)

    assert command("figures", "out") == ["written to out/figures: heads.pdf, heads.png, heads.csv, heads.txt"]
    assert (
        (folder / "out" / "figures" / "heads.txt")
        .read_text()
        .startswith("Coins showing heads over probability of heads")
    )
    runs = qkdrmp.load_experiment("out").runs
    axes = qkdrmp.plots.curve(runs, "heads")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("probability of heads", "coins showing heads")

    compared = command("compare", "out", "coins.heads")
    assert "heads" in compared[1]
    assert compared[-1] == "written to out: compare.csv, compare.png"


def test_a_third_family_has_a_warm_up(folder: Path) -> None:
    lines = command("warmup", "coins.toml")
    assert [line.partition(":")[0] for line in lines] == ["coins", "toss_rate_hz", "written to results/coins"]


def test_a_third_family_has_ladder_diagrams(folder: Path) -> None:
    lines = command("ladder", "coins.toml", "--id", "3")
    tosses = qkdrmp.simulate(qkdrmp.load_scenario("coins.toml")).table("tosses").set_index("id")
    src, dst, state = tosses.loc[3, ["src", "dst", "state"]]
    assert lines == [
        f"coins, seed 1: toss 3, {src} to {dst}, {state}: 2 messages",
        "written to results/coins: ladder_3.png, ladder_3.mmd",
    ]
    mermaid = (folder / "results" / "coins" / "ladder_3.mmd").read_text(encoding="utf-8")
    assert [line.partition(": ")[2] for line in mermaid.splitlines()[4:]][:2] == ["coin tossed", "TOSS"]


def test_a_family_without_messages_has_no_ladder_diagrams(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = replace(COINS)
    vars(silent)["presentation"] = replace(COINS.presentation, messages=None)
    monkeypatch.setitem(FAMILIES, COINS.kind, silent)
    done = CliRunner().invoke(main, ["ladder", "coins.toml"])
    assert done.exit_code == 2
    assert done.stderr == "error: there are no ladder diagrams of runs of kind 'coins': they send no messages\n"
    assert not (folder / "results").exists()
    command("sweep", "coins.toml", "--out", "out")
    command("report", "out")
    assert '"ladders":[]' in (folder / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["qkd", "entanglement", "coins"])
def test_a_presentation_is_imported_when_it_is_needed(kind: str) -> None:
    module = {**FAMILIES, "coins": COINS}[kind].presentation_module
    code = (
        "import sys, qkdrmp.cli, tests.toy_family;"
        f"family = {{**qkdrmp.FAMILIES, 'coins': tests.toy_family.COINS}}['{kind}'];"
        f"print('{module}' in sys.modules); family.presentation;"
        f"print('{module}' in sys.modules, [name for name in ('altair', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\nTrue []\n"


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
