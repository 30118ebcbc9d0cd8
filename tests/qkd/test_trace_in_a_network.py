"""A trace of key rates in a network: by link, from a file, with an outage."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import qkdrmp
from qkdrmp.cli import main
from qkdrmp.sweeps.fingerprint import facts_of

CSV = """time_s,rate_bps,qber,state,link
0,2560,0.02,up,Alice-R
2,2560,0.02,down,Alice-R
4,2560,0.02,up,Alice-R
6,2560,0.15,up,Alice-R
0,1e6,0.02,up,
"""
TOML = """
topology = "line"
duration_s = 8
access.mode = "pool"
pools = {capacity = 1000, replenish = "continuous", interrupt = 0, recover = 1, key_length_bits = 256}
key_rate = {model = "trace", file = "day.csv", per_direction = true}
demand = {model = "list", requests = [{start_s = 0, src = "Alice", dst = "Bob", key_bits = 256}]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day.csv").write_text(CSV)
    (tmp_path / "day.toml").write_text(TOML)
    return tmp_path / "day.toml"


def test_each_link_makes_the_keys_of_its_own_rows(file: Path) -> None:
    pools = qkdrmp.simulate(qkdrmp.load_scenario(file), seed=1, record=["levels"]).pools.set_index("stream")
    # Ten keys a second for twice 2 s; the key that was nearly made at 2 s, or at 6 s, is finished at that moment.
    assert pools.loc["Alice>R", "generated"] == pools.loc["R>Alice", "generated"] == 40
    assert pools.loc["R>Bob", "generated"] > 1000 - 2


def test_no_key_comes_in_an_outage_or_above_the_limit_of_the_qber(file: Path) -> None:
    results = qkdrmp.simulate(qkdrmp.load_scenario(file), seed=1, record=["levels"])
    levels = results.tables["levels"].query("stream == 'R>Alice' and end == 'downstream'")
    times = levels["time_s"][levels["level"].diff() > 0]
    assert len(times) == 40
    assert not times.between(2.0001, 4.0999).any()
    assert times.max() == pytest.approx(6)


def test_a_saved_scenario_takes_its_trace_with_it(file: Path, tmp_path: Path) -> None:
    scenario = qkdrmp.load_scenario(file)
    (tmp_path / "copy").mkdir()
    scenario.save(tmp_path / "copy" / "day.toml")
    (tmp_path / "day.csv").unlink()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["day.toml", "day_key_rate.csv"]
    again = qkdrmp.simulate(qkdrmp.load_scenario(tmp_path / "copy" / "day.toml"), seed=1)
    assert again.pools.set_index("stream").loc["R>Alice", "generated"] == 40


def test_other_rows_are_another_scenario_and_the_name_of_the_file_is_not(file: Path, tmp_path: Path) -> None:
    first = facts_of(qkdrmp.load_scenario(file).key_rate)
    (tmp_path / "other.csv").write_text(CSV)
    assert facts_of(qkdrmp.load_scenario(file).replace({"key_rate.file": "other.csv"}).key_rate) == first
    (tmp_path / "day.csv").write_text(CSV.replace("1e6", "2e6"))
    assert facts_of(qkdrmp.load_scenario(file).key_rate) != first


def test_a_run_on_the_command_line_and_what_is_wrong(file: Path, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        return CliRunner().invoke(main, [*arguments, "day.toml"]).output

    assert said("check").endswith("nothing is predicted to go wrong\n")
    assert "written to" in said("run")
    (tmp_path / "day.csv").write_text("time_s,rate_bps,link\n0,1,Alice-R\n")
    assert said("check") == (
        "error: day.toml: key_rate: link R-Bob: trace has no rows for this link, and none for all links\n"
    )
    (tmp_path / "day.csv").write_text("time_s,rate_bps\n0,x\n")
    assert "day.csv: line 2: rate_bps = 'x' must be a number" in said("check")
    (tmp_path / "day.csv").unlink()
    assert said("check").startswith("error: day.toml: key_rate")


def test_a_file_for_a_single_link_is_refused(file: Path) -> None:
    entry = {"link": ["Alice", "R"], "model": "trace", "file": "day.csv"}
    with pytest.raises(qkdrmp.ScenarioError, match=r"key_rate\.at, entry 1: file must be given for all links"):
        qkdrmp.load_scenario("line").replace({"key_rate.at": [entry]})
    inline = {"link": ["Alice", "R"], "model": "trace", "rows": [{"time_s": 0, "rate_bps": 2560}]}
    results = qkdrmp.simulate(qkdrmp.load_scenario("line").replace({"key_rate.at": [inline]}), seed=1)
    assert results.pools.set_index("stream").loc["Alice>R", "generated"] > 0
