"""The page as text: it is one file, and what users wrote into their networks stays text."""

import base64
import gzip
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import qkdrmp
from qkdrmp import QKDRMPError
from qkdrmp.report import charts, write_report
from qkdrmp.report.replay import choose, story_of
from qkdrmp.report.runs import unbroken
from qkdrmp.report.tables import MOST_ROWS, packed
from tests.report import experiments

MOST_BYTES = 3_000_000


class Reader(HTMLParser):
    """Collects the tags of a page, and the text of its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data, self._inside = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data += data


def test_hostile_names_stay_text(hostile_page: Path) -> None:
    reader = Reader(hostile_page.read_text(encoding="utf-8"))
    assert not set("<>&") & set(reader.data)
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("script") == 5
    assert not {"b", "img"} & set(tags)
    nodes = next(table for table in json.loads(reader.data)["runTables"] if table["title"].startswith("Nodes"))
    assert nodes["columns"][0]["values"] == [experiments.HOSTILE, experiments.QUOTED, "Bob"]


def test_the_page_fetches_nothing(keys_page: Path) -> None:
    reader = Reader(keys_page.read_text(encoding="utf-8"))
    assert not [tag for tag, attrs in reader.tags if tag == "link" or attrs.get("src")]
    assert all(str(attrs["href"]).startswith("#") for tag, attrs in reader.tags if tag == "a")
    policy = next(attrs["content"] for _, attrs in reader.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")


def test_every_control_has_a_label(keys_page: Path) -> None:
    reader = Reader(keys_page.read_text(encoding="utf-8"))
    controls = {attrs["id"] for tag, attrs in reader.tags if tag in ("select", "input")}
    assert controls == {"metric", "run", "frame", "link", "ladder-choice"}
    assert {attrs["for"] for tag, attrs in reader.tags if tag == "label"} == controls


def test_the_page_holds_the_runs_that_can_be_chosen(keys_page: Path) -> None:
    done, data = experiments.keys(), json.loads(Reader(keys_page.read_text("utf-8")).data)
    for shown, other in zip(choose(done)[1:], data["others"], strict=True):
        held = json.loads(gzip.decompress(base64.b64decode(other)))
        story = story_of(shown.scenario, shown.seed)
        assert shown.words in data["runs"]
        assert held["finding"] == unbroken(story.summary)
        assert held["ladders"]
        levels = [values for name, values in held["level"]["datasets"].items() if any("mean" in row for row in values)]
        assert {row["link"]: row["mean"][:-1] for row in levels[0]}.items() >= {
            link.name: pytest.approx(link.series[0].mean.tolist(), abs=1e-3)
            for link in story.links
            if len(link.series) == 1
        }.items()
    assert "qkdrmp report FOLDER --cell FIELD=VALUE" in keys_page.read_text("utf-8")


def test_tables_are_whole_and_exact(keys_page: Path) -> None:
    runs = experiments.keys().runs
    table = next(
        table for table in json.loads(Reader(keys_page.read_text("utf-8")).data)["tables"] if table["title"] == "Runs"
    )
    again = pd.DataFrame({column["name"]: column["values"] for column in table["columns"]})
    pd.testing.assert_frame_equal(again, runs, check_exact=True, check_dtype=False)


def test_the_page_says_how_to_run_it_again(keys_page: Path) -> None:
    page = keys_page.read_text(encoding="utf-8")
    assert "qkdrmp sweep &lt;it&gt;" in page
    assert re.search(r"&#34;capacity&#34;: \d+", page)
    assert "Seed of the sweep: 1" in page


def test_long_tables_are_cut_and_say_so() -> None:
    table = packed("long", pd.DataFrame({"n": range(MOST_ROWS + 5)}))
    assert (table["rows"], table["of"], len(table["columns"][0]["values"])) == (MOST_ROWS, MOST_ROWS + 5, MOST_ROWS)


def test_values_that_javascript_would_spoil_are_texts() -> None:
    table = pd.DataFrame({"v": [2**60 + 1, np.float64(0.1), np.nan, np.inf, None, True, "x"]}, dtype=object)
    values = packed("t", table)["columns"][0]["values"]
    assert values == [str(2**60 + 1), 0.1, None, "inf", None, True, "x"]


def test_a_sweep_in_which_every_run_failed_has_no_report(tmp_path: Path) -> None:
    made = experiments.keys()
    made.runs["failed"] = True
    with pytest.raises(QKDRMPError, match="no run succeeded"):
        write_report(made, tmp_path / "report.html")


def test_failed_runs_are_left_out_and_listed(tmp_path: Path) -> None:
    made = experiments.keys()
    metrics = made.runs.columns[made.runs.columns.get_loc("failed") + 1 :]
    made.runs[metrics] = made.runs[metrics].astype(float)
    made.runs.loc[0, "failed"], made.runs.loc[0, metrics] = True, np.nan
    failure = made.runs.loc[[0], [*made.swept, "replication", "seed"]].assign(error="<i>boom", traceback="at line 1")
    listed = replace(made, failures=failure)
    page = write_report(listed, tmp_path / "report.html", {"pools.capacity": 40}).read_text(encoding="utf-8")
    assert "1 of 12 runs failed" in page
    assert '"title":"Failures"' in page
    assert "<i>boom" not in page


@pytest.mark.parametrize("over", [{}, {"duration_s": [0.01, 0.02]}, {"queue.policy": ["fcfs", "priority"]}])
def test_sweeps_without_a_scale_have_reports(over: dict[str, list[object]], tmp_path: Path) -> None:
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.02})
    page = write_report(experiments.experiment(scenario, over, 1), tmp_path / "report.html").read_text("utf-8")
    assert "aturat" not in page.split("<script", 1)[0]
    assert "nan" not in re.findall(r"<dl>.*</dl>", page, re.DOTALL)[0]


def test_a_design_that_is_no_grid_has_a_report(tmp_path: Path) -> None:
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.02})
    points = [{"pools.capacity": capacity, "queue.capacity": slots} for capacity, slots in ((20, 9), (30, 5), (40, 7))]
    made = experiments.experiment(scenario, points, 2)  # type: ignore[arg-type]
    page = write_report(made, tmp_path / "report.html", {"pools.capacity": 40}).read_text("utf-8")
    assert "Saturation cannot be judged: no two cells differ in" in page
    assert 'id="heatmap"' not in page


@pytest.mark.slow
def test_the_published_experiment_makes_a_page_that_can_be_mailed(tmp_path: Path) -> None:
    scenario = qkdrmp.load_scenario("beijing_figure3")
    made = experiments.experiment(scenario, scenario.sweep.over, 20, executor=None)
    assert len(made.runs) == 840
    assert write_report(made, tmp_path / "report.html").stat().st_size < MOST_BYTES


def test_a_page_is_small(keys_page: Path, pairs_page: Path) -> None:
    assert max(keys_page.stat().st_size, pairs_page.stat().st_size) < MOST_BYTES / 2


def test_only_a_linear_axis_says_whether_it_has_a_zero() -> None:
    def scale(*values: float) -> dict[str, object]:
        runs = experiments.table({value: [1, 2] for value in values}, field="demand.think_s")
        drawn = json.dumps(charts.curves(runs, ["requests_delivered"]))
        return dict(json.loads(re.findall(r'"scale": ({[^{}]*"padding"[^{}]*})', drawn)[0]))

    assert scale(0.01, 1.0, 10.0)["type"] == "log"
    assert "zero" not in scale(0.01, 1.0, 10.0)
    assert scale(1.0, 2.0, 3.0)["zero"] is False


def values_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for rows in spec["datasets"].values() for row in rows]


def test_a_bound_is_a_dashed_line_of_the_chart() -> None:
    scenario = qkdrmp.load_scenario("line").replace({"duration_s": 4, "demand.rate_per_s": 60})
    runs = qkdrmp.sweep(scenario, {"pools.capacity": [4, 8]}, replications=2, executor=ThreadPoolExecutor(1))
    laws = qkdrmp.law_table(runs, scenario)
    spec = charts.curves(runs, ["key_rate_bps", "requests_delivered"], laws)
    shown = {(row["metric"], row["x"]): row["law"] for row in values_of(spec) if "law" in row}
    for row in laws.to_dict("records"):
        assert shown[row["metric"], row["pools.capacity"]] == pytest.approx(row["value"], rel=1e-6)
    assert not [row for row in values_of(charts.curves(runs, ["key_rate_bps"])) if "law" in row]
