import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from pandas.testing import assert_frame_equal

from qkdrmp import compare, load_scenario, simulate, summarise, sweep
from qkdrmp.cli import main
from qkdrmp.entanglement.family import ENTANGLEMENT
from qkdrmp.qkd.family import QKD

QUICK = """
topology = "line"
duration_s = 0.3
description = "quick"
[pools]
capacity = 8
replenish = "threshold"
interrupt = 1
[access]
mode = "pool"
[key_rate]
model = "constant"
rate_bps = 20000
[demand]
model = "poisson"
rate_per_s = 30
key_length_bits = 32
[sweep]
replications = 2
[sweep.over]
"pools.capacity" = [4, 8]
duration_s = [0.2, 0.3]
"""
# A pool of 8 keys is interrupted at 1, but after two requests for 3 it has 2: too few, and too many to be refilled.
STUCK = QUICK.replace("rate_per_s = 30", "rate_per_s = 60\nkey_num = 3")
CHAIN = """
kind = "entanglement"
topology = "chain"
duration_s = 0.03
[demand]
model = "listed"
connections = [{ src = "Alice", dst = "Bob", pairs = 100, minimum_fidelity = 0.8, memories = 8 }]
[sweep]
replications = 2
[sweep.over]
"memories.t2_s" = [0.1, 1.0]
"""
KEPT = {"runs.sqlite", "runs.csv", "timings.csv", "summary.csv", "scenario.json", "topology.json", "provenance.json"}
FILES = KEPT | {"throughput.png", "wait.png", "load.png"}


@pytest.fixture(autouse=True, scope="module")
def here() -> Iterator[None]:
    """Sweep in this process; the workers of the command are tested by killing them (`tests.sweeps`), and by Ctrl-C."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("qkdrmp.cli.sweeps", "qkdrmp.sweeps.sweep"):
            patch.setattr(sys.modules[name], "processes", lambda jobs=None: ThreadPoolExecutor(1))
        yield


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(QUICK)
    (tmp_path / "stuck.toml").write_text(STUCK)
    return tmp_path


def qkdrmp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeeded(result: Result) -> str:
    assert result.exit_code == 0, result.output
    assert [line for line in result.stderr.splitlines() if " s left, " not in line] == []  # lines of progress, if slow
    return result.stdout


def refused(result: Result) -> str:
    """Return what a failed command says: sentences for people."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert result.stderr
    return result.stderr


# list and help


def test_the_list_names_and_describes_everything_bundled() -> None:
    lines = succeeded(qkdrmp("list")).splitlines()
    commands = "(qkdrmp run, sweep or ladder NAME):"
    assert lines[0] == f"Scenarios of key requests {commands}"
    entangled = lines.index(f"Scenarios of entanglement connections {commands}")
    assert any(line.startswith("  beijing ") for line in lines[:entangled])
    assert any(
        line.startswith("  chain  ") for line in lines[entangled : lines.index("Topologies (qkdrmp topology NAME):")]
    )
    assert "  line              Alice - R - Bob with key pools on both links, for learning" in lines
    assert "  line              3 nodes (2 end, 1 repeater)" in lines
    assert all(len(line) <= 110 for line in lines)


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
def test_every_command_has_help(command: list[str]) -> None:
    assert "Usage:" in succeeded(qkdrmp(*command, "--help"))


def test_the_version() -> None:
    assert re.search(r"version \d+\.\d+", succeeded(qkdrmp("--version")))


# topology


def test_a_topology_is_described() -> None:
    assert succeeded(qkdrmp("topology", "line")).startswith("line: 3 nodes (2 end, 1 repeater)\nlinks: 2, 20.000 km")


def test_what_a_topology_leaves_out_is_said(folder: Path) -> None:
    (folder / "links.csv").write_text("a,b,km\nA,B,10\nB,C,20\n")
    said = succeeded(qkdrmp("topology", "links.csv", "--kinds", "leaves"))
    assert "note: no node has a kind: those with one link are users (2), the others repeaters (1)" in said
    said = refused(qkdrmp("topology", "links.csv", "--kinds", "leafs"))
    assert said == "error: kinds = 'leafs' must be one of sites, leaves (did you mean 'leaves'?)\n"


def test_a_topology_may_be_in_a_format_of_ones_own(folder: Path) -> None:
    made = "qkdrmp.Topology(content.strip(), [qkdrmp.Node('A', 'end')], [])"
    (folder / "mine.py").write_text(f"import qkdrmp\n\ndef read(path, content):\n    return {made}\n")
    (folder / "net.txt").write_text("one\n")
    assert succeeded(qkdrmp("topology", "net.txt", "--format", "mine.py:read")).startswith("one: 1 nodes (1 end)")
    said = refused(qkdrmp("topology", "net.txt", "--format", "mine.py:raed"))
    assert "format = 'mine.py:raed' must name something in mine.py, which has no 'raed' (did you mean 'read'?)" in said


@pytest.mark.parametrize(("name", "start"), [("net.png", b"\x89PNG"), ("net.pdf", b"%PDF"), ("net", b"\x89PNG")])
def test_a_topology_is_drawn(folder: Path, name: str, start: bytes) -> None:
    assert succeeded(qkdrmp("topology", "line", "--draw", name)).endswith(f"drawn: {name}\n")
    assert (folder / name).read_bytes().startswith(start)


# run


def test_a_run_prints_its_summary_and_writes_its_tables(folder: Path) -> None:
    output = succeeded(qkdrmp("run", "quick.toml", "--seed", 3))
    results = simulate(load_scenario("quick.toml"), seed=3)
    assert output.startswith("known: offered load of links, as a share of the keys they can make: Alice-R ")
    assert "\nquick, seed 3: 0.3 s simulated in " in output
    for name, value in results.summary.items():
        assert (f"\n  {name} " in output) == (value != 0 or not name.startswith("rejected_"))
    assert f"requests_delivered    {results.summary['requests_delivered']}\n" in output
    written = folder / "results" / "quick"
    assert {path.name for path in written.iterdir()} == {
        *("run_summary.csv", "requests.csv", "nodes.csv", "pools.csv", "pairs.csv"),
        *("run.json", "run"),
    }
    assert len(pd.read_csv(written / "requests.csv")) == len(results.requests)
    assert list(pd.read_csv(written / "run_summary.csv")["metric"]) == [metric.name for metric in QKD.metrics]
    assert output.endswith(
        "written to results/quick: run_summary.csv, requests.csv, nodes.csv, pools.csv, pairs.csv, run.json\n"
    )


def test_a_trace_adds_messages_and_levels(folder: Path) -> None:
    succeeded(qkdrmp("run", "quick.toml", "--out", "deep/er", "--trace"))
    known = json.loads((folder / "deep/er/run.json").read_text(encoding="utf-8"))
    assert known["command"] == "qkdrmp run quick.toml --seed 1 --out deep/er --trace"
    results = simulate(load_scenario("quick.toml"), record=["messages", "levels"])
    assert len(pd.read_csv(folder / "deep" / "er" / "messages.csv")) == len(results.messages)
    assert list(pd.read_csv(folder / "deep" / "er" / "levels.csv").columns) == QKD.tables["levels"].names


def test_the_metrics_of_a_run_stand_in_columns() -> None:
    Path("chain.toml").write_text(CHAIN)
    for name in ("quick.toml", "stuck.toml", "chain.toml"):
        lines = [line for line in succeeded(qkdrmp("run", name)).splitlines() if line.startswith("  ")]
        assert len({re.match(r"  \S+ +", line).end() for line in lines}) == 1  # type: ignore[union-attr]
        assert not any(re.match(r"  rejected_\S+ +0$", line) for line in lines)


def test_what_is_not_known_is_a_dash() -> None:
    Path("idle.toml").write_text(QUICK.replace("rate_per_s = 30", "rate_per_s = 1e-6"))
    output = succeeded(qkdrmp("run", "idle.toml"))
    assert re.search(r"  wait_mean_s +-\n", output)
    assert "nan" not in output


def test_a_run_of_connections_draws_their_pairs(folder: Path) -> None:
    Path("chain.toml").write_text(CHAIN)
    output = succeeded(qkdrmp("run", "chain.toml"))
    assert re.search(r"  connections_unfinished +0\n", output)
    written = {"run_summary", "connections", "attempts", "links", "nodes", "allocations", "pairs"}
    files = {*(f"{name}.csv" for name in written), "pairs.png", "fidelity.png", "run.json", "run"}
    assert {path.name for path in (folder / "results" / "chain").iterdir()} == files
    assert output.endswith("allocations.csv, pairs.csv, run.json, pairs.png, fidelity.png\n")
    assert len(pd.read_csv(folder / "results" / "chain" / "run_summary.csv")) == len(ENTANGLEMENT.metrics)
    succeeded(qkdrmp("run", "chain.toml", "--trace"))
    added = {"messages.csv", "milestones.csv", "rulesets.csv"}
    assert {path.name for path in (folder / "results" / "chain").iterdir()} == files | added


def test_a_run_without_pairs_says_why_and_has_no_fidelity_to_draw(folder: Path) -> None:
    never = CHAIN.replace("minimum_fidelity = 0.8", "minimum_fidelity = 0.99").replace(
        "[demand]", "[setup]\nretries = 0\n[demand]"
    )
    Path("none.toml").write_text(never)
    assert "rejected_infeasible     1\n" in succeeded(qkdrmp("run", "none.toml"))
    assert (folder / "results" / "none" / "pairs.png").exists()
    assert not (folder / "results" / "none" / "fidelity.png").exists()


def test_stuck_pools_are_predicted_and_named() -> None:
    output = succeeded(qkdrmp("run", "stuck.toml"))
    assert "predicted: " in output
    assert "too few for a request and too many to be refilled: " in output
    warning = next(line for line in output.splitlines() if line.startswith("warning: "))
    assert re.search(r"key pools are stuck at the end.*: .*R", warning)


# sweep


def test_a_sweep_of_one_run_counts_it_in_the_singular(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(QUICK.partition("[sweep")[0])
    said = succeeded(
        qkdrmp("sweep", tmp_path / "one.toml", "--out", tmp_path / "out", "--jobs", 1, "--replications", 1)
    )
    lines = said.splitlines()
    assert lines[0] == "one: 1 cell x 1 replication = 1 run, seed 1"
    assert [line.startswith("1 run in ") and "(1 simulation, " in line for line in lines].count(True) == 1


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The output and the folder of a sweep of the quick scenario."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "quick.toml").write_text(QUICK)
    return succeeded(qkdrmp("sweep", folder / "quick.toml", "--out", folder / "out", "--jobs", 2)), folder / "out"


def test_a_sweep_says_what_it_found_in_a_few_lines(swept: tuple[str, Path]) -> None:
    lines = swept[0].splitlines()
    assert lines.index("verdict:") < 12
    assert len(lines) < 24
    assert lines[0] == "quick: 4 cells x 2 replications = 8 runs, seed 1"
    assert "after 0.3 s (mean and 95 % interval over replications):" in lines
    assert any(re.match(r"  pools.capacity = 8 +\d+\.\d ± \d+\.\d requests processed of \d+", line) for line in lines)
    assert lines[-2].startswith(f"written to {swept[1]}: runs.csv, timings.csv, summary.csv")
    assert lines[-1] == f"next: qkdrmp report {swept[1]} (a page with all of it), qkdrmp figures {swept[1]} (for print)"


def test_a_sweep_writes_what_the_functions_return(swept: tuple[str, Path]) -> None:
    folder = swept[1]
    assert {path.name for path in folder.iterdir()} == FILES
    runs = sweep(load_scenario(folder.parent / "quick.toml"), progress=False)
    by = ["pools.capacity", "duration_s"]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "runs.csv"), runs, check_exact=True)
    expected = summarise(runs, by).reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "summary.csv"), expected)
    assert list(pd.read_csv(folder / "timings.csv").columns) == [*by, "replication", "seed", "wall_s"]


@pytest.mark.parametrize("name", ["throughput.png", "wait.png", "load.png"])
def test_a_sweeps_pictures_are_pictures(swept: tuple[str, Path], name: str) -> None:
    content = (swept[1] / name).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_events_are_counted_once(swept: tuple[str, Path]) -> None:
    runs = pd.read_csv(swept[1] / "runs.csv")
    events = runs.loc[runs["duration_s"] == 0.3, "events"].sum()
    assert "8 runs in " in swept[0]
    assert f"(4 simulations, {events:,} events)" in swept[0]


def test_one_replication_has_no_interval(folder: Path) -> None:
    output = succeeded(qkdrmp("sweep", "quick.toml", "--replications", 1, "--jobs", 1, "--seed", 9))
    assert "±" not in output
    assert "nan" not in output
    assert {path.name for path in (folder / "results" / "quick").iterdir()} == FILES


def test_nothing_delivered_is_no_wait() -> None:
    Path("idle.toml").write_text(QUICK.replace("rate_per_s = 30", "rate_per_s = 1e-6"))
    output = succeeded(qkdrmp("sweep", "idle.toml", "--jobs", 1))
    assert "0.0 ± 0.0 requests processed of 0.0\n" in output


def test_a_sweep_predicts_stuck_pools_by_cell() -> None:
    output = succeeded(qkdrmp("sweep", "stuck.toml", "--jobs", 1, "--replications", 1))
    assert "predicted with pools.capacity = 8: " in output
    assert "pools stuck" in output


def test_a_sweep_of_connections_says_and_draws_what_matters(folder: Path) -> None:
    Path("chain.toml").write_text(CHAIN)
    output = succeeded(qkdrmp("sweep", "chain.toml", "--jobs", 1))
    found = (
        r"  memories\.t2_s = 0\.1 +\d+ ± \d+ pairs per s of a connection, fidelity 0\.\d+ ± 0\.\d+, setup 0\.\d+ ms\n"
    )
    assert re.search(found, output), output
    written = {path.name for path in (folder / "results" / "chain").iterdir()}
    assert written == KEPT | {"rate.png", "mean_fidelity.png", "completion.png"}
    succeeded(qkdrmp("run", "chain.toml"))
    assert written < {path.name for path in (folder / "results" / "chain").iterdir()}


def test_a_sweep_of_policies_compares_them(folder: Path) -> None:
    text = CHAIN.replace("replications = 2", "replications = 1")
    Path("policies.toml").write_text(
        text.replace('"memories.t2_s" = [0.1, 1.0]', '"setup.swap_order" = ["midpoint", "sequential"]')
    )
    output = succeeded(qkdrmp("sweep", "policies.toml", "--jobs", 1))
    assert "±" not in output
    assert "multiplexing.png\n" in output
    assert (folder / "results" / "policies" / "multiplexing.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_and_a_sweep_do_not_overwrite_each_other(folder: Path) -> None:
    succeeded(qkdrmp("sweep", "quick.toml", "--jobs", 1))
    succeeded(qkdrmp("run", "quick.toml"))
    written = {path.name for path in (folder / "results" / "quick").iterdir()}
    assert written == FILES | {
        "run_summary.csv",
        "requests.csv",
        "nodes.csv",
        "pools.csv",
        "pairs.csv",
        "run.json",
        "run",
    }
    assert "replications" in pd.read_csv(folder / "results" / "quick" / "summary.csv").columns


@pytest.mark.parametrize("name", ["../../up", "/tmp/absolute", "a/b", "..", ""])
def test_a_name_does_not_lead_elsewhere(folder: Path, name: str) -> None:
    Path("named.toml").write_text(f'name = "{name}"\n{QUICK}')
    succeeded(qkdrmp("run", "named.toml"))
    made = [path for path in (folder / "results").iterdir() if path.is_dir()]
    assert len(made) == 1
    assert (made[0] / "run_summary.csv").exists()


# Errors

LEFT_OUT = QUICK.replace("[sweep]", "[swep]")
WRONG: dict[str, tuple[list[str], str]] = {
    "unknown scenario": (
        ["run", "lin"],
        "scenario = 'lin' must be a file or one of the bundled scenarios, beijing, beijing_figure3, blocking",
    ),
    "unknown scenario to sweep": (["sweep", "beijin"], "(did you mean 'beijing'?)"),
    "unknown topology": (["topology", "lin"], "bundled topologies, beijing_qman"),
    "no file": (["run", "no/such.toml"], "scenario = 'no/such.toml' must be a file or"),
    "broken TOML": (["run", "broken.toml"], "broken.toml: is not valid TOML"),
    "broken JSON": (["topology", "broken.json"], "broken.json: broken JSON at line 1"),
    "bundled topology for a scenario": (
        ["sweep", "beijing_qman"],
        "beijing_qman: is a topology, not a scenario; name it",
    ),
    "GraphML for a scenario": (["run", "net.graphml"], "net.graphml: is a topology, not a scenario; name it"),
    "topology for a scenario": (["run", "net.json"], "net.json: is a topology, not a scenario; name it in a scenario"),
    "scenario for a topology": (["topology", "quick.toml"], "quick.toml: must be in one of the formats"),
    "unknown field": (["sweep", "field.toml"], "unknown field 'swep' (did you mean 'sweep'?)"),
    "policy": (["run", "policy.toml"], "queue.policy = 'fcsf' must be one of fcfs"),
    "threshold order": (["run", "order.toml"], "interrupt = 8 must be less than recover = 8"),
    "unknown node": (["run", "node.toml"], "has no node 'Alise' (did you mean 'Alice'?)"),
    "negative length": (["run", "length.toml"], "link A-B: length_km = -1.0 must be greater than 0"),
    "swept field": (["sweep", "swept.toml"], "pools: unknown field 'capacty' (did you mean 'capacity'?)"),
    "swept value": (["sweep", "value.toml"], "pools.capacity = -4 must be at least 1"),
    "no command": (["swep"], "No such command 'swep'"),
    "no argument": (["run"], "Missing argument 'NAME_OR_FILE'"),
    "unknown option": (["run", "line", "--sed", "1"], "No such option"),
    "replications": (["sweep", "line", "--replications", "0"], "0 is not in the range x>=1"),
    "jobs": (["sweep", "line", "--jobs", "0"], "0 is not in the range x>=1"),
    "seed": (["run", "line", "--seed", "-1"], "-1 is not in the range x>=0"),
    "seed is a word": (["run", "line", "--seed", "x"], "'x' is not a valid integer"),
    "out is a file": (["run", "line", "--out", "quick.toml"], "quick.toml' is a file"),
    "out is in a file": (["sweep", "line", "--out", "quick.toml/out"], "quick.toml/out: Not a directory"),
    "out cannot be made": (["run", "line", "--out", "/proc/none"], "/proc/none: No such file or directory"),
    "picture of no kind": (["topology", "line", "--draw", "a.pgn"], "no format 'pgn' (did you mean 'png'?)"),
    "picture nowhere": (["topology", "line", "--draw", "no/such/a.png"], "no/such/a.png: No such file or directory"),
    "picture is a folder": (["topology", "line", "--draw", "."], "'.' is a directory"),
}
GRAPH: "nx.Graph[str]" = nx.Graph()
GRAPH.add_nodes_from(["A", "B"], kind="end")
GRAPH.add_edge("A", "B", length_km=1.0)
INPUTS = {
    "net.graphml": "\n".join(nx.generate_graphml(GRAPH)),
    "broken.toml": 'topology = "line',
    "broken.json": "{",
    "field.toml": LEFT_OUT.replace("[sweep.over]", "[swep.over]"),
    "policy.toml": QUICK + '[queue]\npolicy = "fcsf"',
    "order.toml": QUICK.replace("interrupt = 1", "interrupt = 8"),
    "node.toml": QUICK + '[[queue.at]]\nnode = "Alise"\ncapacity = 1',
    "length.toml": 'topology = "net.json"\nduration_s = 1',
    "swept.toml": QUICK.replace('"pools.capacity"', '"pools.capacty"'),
    "value.toml": QUICK.replace("[4, 8]", "[4, -4]"),
    "net.json": '{"format": "qkdrmp-topology/1", "nodes": [{"name": "A", "kind": "end"}, {"name": "B", "kind": "end"}],'
    ' "links": [{"ends": ["A", "B"], "length_km": -1}]}',
}


@pytest.mark.parametrize("case", WRONG)
def test_what_goes_wrong_is_said_in_a_sentence(case: str, folder: Path) -> None:
    arguments, words = WRONG[case]
    for name, text in INPUTS.items():
        (folder / name).write_text(text)
    assert words in re.sub(r"\s+", " ", refused(qkdrmp(*arguments)))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run"], "Missing argument 'NAME_OR_FILE' (see qkdrmp run --help)"),
        (["swep"], "No such command 'swep'; did you mean 'sweep'? (see qkdrmp --help)"),
        (["sweep", "line", "--jobs", "2", "--cluster", "x"], "Give --jobs or --cluster, not both"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(command: list[str], said: str) -> None:
    assert refused(qkdrmp(*command)).startswith(f"error: {said}")
    assert refused(qkdrmp(*command)).count("\n") == 1


def test_without_a_command_there_is_help() -> None:
    result = qkdrmp()
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_every_error_has_a_line_of_its_own(folder: Path) -> None:
    (folder / "many.toml").write_text('topology = "lin"\nduration_s = -1\n[pools]\ncapacity = 0\n')
    lines = refused(qkdrmp("run", "many.toml")).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: many.toml: ") for line in lines)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_folder_that_must_not_be_written(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    assert "closed/out: Permission denied" in refused(qkdrmp("run", "line", "--out", "closed/out"))


# In a process of its own

COMMAND = [sys.executable, "-m", "qkdrmp"]


def test_the_module_is_the_command() -> None:
    done = subprocess.run([*COMMAND, "topology", "line"], capture_output=True, text=True, check=True)
    assert done.stdout == succeeded(qkdrmp("topology", "line"))
    assert done.stderr == ""


def test_a_reader_may_go_away() -> None:
    with subprocess.Popen([*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def stored(folder: Path) -> int:
    """Return when the store of a sweep was last written to, ns."""
    return (folder / "out" / "runs.sqlite").stat().st_mtime_ns


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise")
def test_ctrl_c_leaves_the_finished_runs(folder: Path) -> None:
    long = QUICK.replace("duration_s = 0.3\n", "duration_s = 4\n").replace("[0.2, 0.3]", "[2, 4]")
    (folder / "long.toml").write_text(long.replace("replications = 2", "replications = 2000"))
    command = [*COMMAND, "sweep", "long.toml", "--out", "out", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("long: 4 cells x 2,000 replications")
        time.sleep(2)  # the sweep has written its facts into the store
        begun, deadline = stored(folder), time.monotonic() + 60
        while stored(folder) == begun and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    found = re.search(
        r"error: the sweep was interrupted after (\d+) of 8000 runs; .*; they are in out/runs.csv", errors
    )
    assert found, errors
    runs = pd.read_csv(folder / "out" / "runs.csv")
    assert len(runs) == int(found[1]) > 0
    assert list(runs["events"].isna()) == [False] * len(runs)
    assert list(runs.groupby(["pools.capacity", "seed"]).size().unique()) == [2]
    one = runs.iloc[-1]
    scenario = load_scenario("long.toml").replace({"pools.capacity": int(one["pools.capacity"])})
    assert simulate(scenario, int(one["seed"])).summary["events"] == one["events"]
    assert {path.name for path in (folder / "out").iterdir()} == KEPT


# What a sweep has left


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left")
    (folder / "quick.toml").write_text(QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeeded(qkdrmp("sweep", "quick.toml", "--out", "out", "--seed", 3, "--jobs", 1))
    return folder / "out"


@pytest.fixture
def left(folder: Path, original: Path) -> str:
    """What a sweep has left in the folder ``out``."""
    shutil.copytree(original, folder / "out")
    return "out"


def test_a_sweep_started_again_runs_nothing_and_with_more_replications_only_these(folder: Path, left: str) -> None:
    first = (folder / "out" / "runs.csv").read_bytes()
    timings = (folder / "out" / "timings.csv").read_bytes()
    succeeded(qkdrmp("sweep", "quick.toml", "--out", "out", "--seed", 3))
    assert (folder / "out" / "runs.csv").read_bytes() == first
    assert (folder / "out" / "timings.csv").read_bytes() == timings
    succeeded(qkdrmp("sweep", "quick.toml", "--out", "out", "--seed", 3, "--replications", 3))
    runs = pd.read_csv(folder / "out" / "runs.csv")
    assert len(runs) == 12
    runs[runs["replication"] < 2].to_csv(folder / "old.csv", index=False)
    assert (folder / "old.csv").read_bytes() == first


def test_the_command_is_kept_with_all_that_its_results_depend_on(folder: Path, left: str) -> None:
    known = json.loads((folder / "out" / "provenance.json").read_text())
    assert known["command"] == "qkdrmp sweep quick.toml --out out --seed 3"
    assert known["seed"] == 3


def test_a_changed_scenario_is_refused_until_it_is_restarted(folder: Path, left: str) -> None:
    (folder / "quick.toml").write_text(QUICK.replace("rate_bps = 20000", "rate_bps = 30000"))
    words = "another scenario (key_rate.rate_bps was 20000.0, is 30000.0)"
    assert words in refused(qkdrmp("sweep", "quick.toml", "--out", "out"))
    succeeded(qkdrmp("sweep", "quick.toml", "--out", "out", "--restart"))


def test_precision_adds_replications_and_says_if_it_was_not_enough(folder: Path) -> None:
    output = succeeded(
        qkdrmp("sweep", "quick.toml", "--precision", 0.001, "--metric", "requests_started", "--max-replications", 7)
    )
    assert "quick: 4 cells x 5 replications = 20 runs" in output
    assert "warning: quick: the interval of requests_started is wider than 0.001 of the mean in 4 of 4 cells" in output
    assert len(pd.read_csv(folder / "results" / "quick" / "runs.csv")) == 28


def test_failed_runs_are_said_and_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(*_: object) -> None:
        raise ZeroDivisionError("gone wrong")

    monkeypatch.setattr(sys.modules["qkdrmp.sweeps.plan"], "start", unlucky)
    assert "quick: 8 of 8 runs failed; the one with pools.capacity = 4" in refused(qkdrmp("sweep", "quick.toml"))


def test_designs_are_compared(folder: Path, left: str) -> None:
    output = succeeded(qkdrmp("compare", left, "pools.capacity", "--metric", "wait_mean_s", "--baseline", "8"))
    assert output.endswith("written to out: compare.csv, compare.png\n")
    table = pd.read_csv(folder / "out" / "compare.csv")
    runs = pd.read_csv(folder / "out" / "runs.csv")
    assert_frame_equal(table, compare(runs, "pools.capacity", 8, ["wait_mean_s"]))
    assert (folder / "out" / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_designs_that_do_not_differ_are_an_answer_and_no_error(folder: Path) -> None:
    calm = QUICK.replace("rate_per_s = 30", "rate_per_s = 1e-9")
    Path("calm.toml").write_text(calm.partition("[sweep")[0])
    changes = ["--set", 'sweep.over={"queue.policy"=["fcfs","priority"]}']
    succeeded(qkdrmp("sweep", "calm.toml", *changes, "--replications", 2, "--jobs", 1, "--out", "calm"))
    output = succeeded(qkdrmp("compare", "calm", "queue.policy"))
    assert output.startswith("no metric differs between the values of queue.policy, in any pair of runs\n")
    assert output.endswith("written to calm: compare.csv\n")
    assert not (folder / "calm" / "compare.png").exists()


def test_a_warm_up_is_suggested(folder: Path) -> None:
    output = succeeded(qkdrmp("warmup", "quick.toml", "--replications", 2))
    assert output.startswith("quick: ")
    assert output.endswith("written to results/quick: warmup.csv, warmup.png\n")
    assert len(pd.read_csv(folder / "results" / "quick" / "warmup.csv")) == 200


def test_a_report_is_written(folder: Path, left: str) -> None:
    pytest.importorskip("altair")
    output = succeeded(qkdrmp("report", left))
    assert re.fullmatch(r"written: out/report\.html \(\d\.\d MB\); open it in a browser\n", output)
    assert "qkdrmp sweep quick.toml --out out --seed 3" in (folder / "out" / "report.html").read_text()
    chosen = ["--cell", "pools.capacity=8", "--cell", "duration_s=0.2", "--replication", 1]
    succeeded(qkdrmp("report", left, "--out", "elsewhere.html", *chosen))
    text = (folder / "elsewhere.html").read_text()
    assert "key pool capacity = 8 keys, simulated time = 0.2 s; replication 1, seed" in text
    assert "cells: pools.capacity = 7 must be one of" in refused(qkdrmp("report", left, "--cell", "pools.capacity=7"))


def test_a_single_run_has_a_report(folder: Path) -> None:
    pytest.importorskip("altair")
    succeeded(qkdrmp("run", "quick.toml", "--seed", 5, "--set", "pools.capacity=6", "--out", "one"))
    summary = pd.read_csv("one/run_summary.csv").set_index("metric")["value"]
    said = succeeded(qkdrmp("report", "one"))
    assert said.startswith(
        "one has a single run (seed 5): no intervals, nothing to compare it with\nwritten: one/report"
    )
    page = Path("one/report.html").read_text().split("<script", 1)[0]
    assert "A single run of 0.3 s, seed 5" in page
    assert "qkdrmp run quick.toml --set pools.capacity=6 --seed 5" in page
    delivered = f'<td>Requests processed</td><td class="number">{summary["requests_delivered"]:.0f}</td>'
    assert delivered in page
    assert 'id="map"' in page
    assert 'id="metric"' not in page
    Path("one/run.json").unlink()
    assert "has the tables of a single run, but not what made it (run.json)" in refused(qkdrmp("report", "one"))


def test_figures_for_print_are_drawn(folder: Path, left: str) -> None:
    output = succeeded(qkdrmp("figures", left, "--metric", "wait_mean_s", "--width", "page"))
    kinds = ("pdf", "png", "csv", "txt")
    assert output == f"written to out/figures: {', '.join(f'wait_mean_s.{kind}' for kind in kinds)}\n"
    assert (folder / "out" / "figures" / "wait_mean_s.pdf").read_bytes().startswith(b"%PDF")
    caption = (folder / "out" / "figures" / "wait_mean_s.txt").read_text()
    assert "Runs: qkdrmp sweep quick.toml --out out --seed 3" in caption
    assert "Figure: qkdrmp figures out --width page --metric wait_mean_s" in caption


def test_a_package_that_is_missing_is_named(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("qkdrmp.report", "qkdrmp.sweeps.dask_cluster"))]:
        monkeypatch.delitem(sys.modules, name)
    for package, command in (("altair", ["report", left]), ("distributed", ["sweep", "quick.toml", "--cluster", "x"])):
        monkeypatch.setitem(sys.modules, package, None)
        assert f"this needs the package {package}: pip install 'qkdrmp[" in refused(qkdrmp(*command))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["report", "."], ".: is not the folder of a finished sweep"),
        (["report", "quick.toml"], "quick.toml: is a file, not the folder of a sweep"),
        (["figures", "single"], "single: has the tables of a single run, not of a sweep"),
        (["compare", "nowhere", "pools.capacity"], "nowhere: there is no such folder"),
        (["report", "moved"], "moved: is not the folder of a sweep; did you mean results/moved?"),
        (
            ["compare", "out", "pools.capcity"],
            "no swept field 'pools.capcity' (did you mean 'pools.capacity'?)",
        ),
        (["compare", "out", "pools.capacity", "--baseline", "5"], "pools.capacity = '5' must be one of"),
        (["compare", "out", "pools.capacity", "--metric", "wait_means"], "'wait_means'"),
        (["figures", "out", "--metric", "wait_means"], "(did you mean 'wait_mean_s'?)"),
        (["figures", "out", "--x", "queue.policy"], "queue.policy"),
        (["figures", "out", "--width", "wide"], "'wide' is not one of 'column', 'page'"),
        (["sweep", "quick.toml", "--jobs", "2", "--cluster", "x"], "Give --jobs or --cluster, not both"),
        (["sweep", "quick.toml", "--precision", "-1"], "precision = -1.0 must be a number above 0"),
    ],
)
def test_what_goes_wrong_with_an_experiment_is_a_sentence(command: list[str], words: str, left: str) -> None:
    Path("single").mkdir()
    Path("single/run_summary.csv").touch()
    shutil.copytree(left, "results/moved")
    result = qkdrmp(*command)
    assert result.exit_code == 2
    assert words in result.output
