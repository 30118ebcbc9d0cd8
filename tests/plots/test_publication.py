import math
import re
import zlib
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from qkdrmp import Experiment, QKDRMPError, load_experiment, load_scenario, plots, summarise, sweep
from qkdrmp.plots import publication
from qkdrmp.plots.axes import along, is_scattered
from qkdrmp.plots.canvas import whole
from tests.report.experiments import HERE

mpl.use("Agg")

CAPACITIES, DURATIONS = [10, 20, 40, 80], [0.1, 0.2, 0.3]
POLICIES = ["circuit", "buffer-space", "round-robin", "lottery"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def experiment(name: str = "line", replications: int = 4, **over: list[Any]) -> Experiment:
    """An experiment with made-up metrics over all combinations of `over`; a dot in a name is written __."""
    fields = [field.replace("__", ".") for field in over]
    points = [dict(zip(fields, point, strict=True)) for point in product(*over.values())]
    return made_up([{"duration_s": 1.0} | point for point in points], name, replications)


def made_up(points: list[dict[str, Any]], name: str = "line", replications: int = 4) -> Experiment:
    luck = np.random.default_rng(5)
    rows = [
        {
            **point,
            "replication": number,
            "seed": 100 + number,
            "failed": False,
            "requests_delivered": int(luck.integers(100, 200)),
            "wait_mean_s": luck.random() / 1000,
            "wait_p95_s": 0.25,
            "blocking": math.nan,
            "pair_rate_hz": 1000 * luck.random(),
        }
        for point in points
        for number in range(replications)
    ]
    nothing, command = pd.DataFrame(), "qkdrmp sweep mine.toml --seed 7"
    swept = list(points[0])
    return Experiment(load_scenario(name), swept, 7, pd.DataFrame(rows), nothing, nothing, command, {"qkdrmp": "9.9"})


def grid() -> Experiment:
    return experiment(pools__capacity=CAPACITIES, duration_s=DURATIONS)


def named(written: list[Path]) -> set[str]:
    return {path.name for path in written}


def streams(pdf: bytes) -> list[bytes]:
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return [zlib.decompress(stream) for stream in found if stream.startswith(b"x")]


def drawn(
    found: Experiment, width: str, folder: Path, monkeypatch: pytest.MonkeyPatch, metric: str = "wait_mean_s"
) -> list[Figure]:
    """The figures that would be written, laid out as they are in print."""
    caught: list[Figure] = []

    def save(ax: Any, *paths: Path, dpi: int) -> None:
        whole(ax).canvas.draw()
        caught.append(whole(ax))

    monkeypatch.setattr(publication, "save", save)
    publication.publish(found, folder, width, [metric])
    return caught


def letters(of: Figure) -> list[Text]:
    return [text for text in of.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize(("width", "inches"), [("column", 3.5), ("page", 7.2)])
def test_figures_have_the_width_of_the_journal_to_the_point(width: str, inches: float, tmp_path: Path) -> None:
    with mpl.rc_context({"savefig.bbox": "tight"}):
        written = plots.publish(grid(), tmp_path, width, ["requests_delivered"])
    pdfs = [path.read_bytes() for path in written if path.suffix == ".pdf"]
    assert len(pdfs) == 2
    for pdf in pdfs:
        box = re.search(rb"/MediaBox \[ *0 0 ([\d.]+) ([\d.]+) *\]", pdf)
        assert box is not None
        assert float(box[1]) == pytest.approx(72 * inches, abs=0.01)
        assert 2 * 72 < float(box[2]) < 4 * 72
    for path in (path for path in written if path.suffix == ".png"):
        assert plt.imread(path).shape[1] == 600 * inches


def test_letters_are_embedded_as_truetype(tmp_path: Path) -> None:
    for path in plots.publish(grid(), tmp_path, metrics=["wait_mean_s"]):
        if path.suffix == ".pdf":
            pdf = path.read_bytes()
            whole_text = pdf + b"".join(streams(pdf))
            assert b"/FontFile2" in whole_text
            assert b"/Type3" not in whole_text


def test_the_same_experiment_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {path: path.read_bytes() for path in plots.publish(grid(), tmp_path, metrics=["requests_delivered"])}
    assert len(first) == 8
    # A date in the file would be this one.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    again = plots.publish(grid(), tmp_path, metrics=["requests_delivered"])
    assert {path: path.read_bytes() for path in again} == first


def test_numbers_beside_a_figure_are_those_of_the_summary(tmp_path: Path) -> None:
    found = grid()
    found.runs.loc[0, "wait_mean_s"] = math.nan
    plots.publish(found, tmp_path, metrics=["wait_mean_s"])
    numbers = pd.read_csv(tmp_path / "wait_mean_s.csv")
    summary = summarise(found.runs, found.swept)
    assert list(numbers) == [*found.swept, "mean", "low", "high", "replications"]
    for name in ("mean", "low", "high"):
        assert list(numbers[name]) == pytest.approx(list(summary[f"wait_mean_s_{name}"]), rel=1e-14, abs=0)
    assert list(numbers["replications"]) == [3] + [4] * 11
    assert (tmp_path / "wait_mean_s_map.csv").read_bytes() == (tmp_path / "wait_mean_s.csv").read_bytes()


def test_the_text_beside_a_figure_says_what_it_shows_and_how_it_was_made(tmp_path: Path) -> None:
    found = grid()
    found.runs.loc[0, ["failed", "requests_delivered"]] = [True, math.nan]
    plots.publish(found, tmp_path, "page", ["requests_delivered"], "duration_s")
    caption = " ".join((tmp_path / "requests_delivered.txt").read_text(encoding="utf-8").split())
    assert caption.startswith("Requests processed over simulated time. Key pool capacity V_m: 10, 20, 40, 80 keys. ")
    assert "Means over 3 to 4 replications. Bands: 95 % confidence intervals" in caption
    assert "All points share their random numbers, so that chance may move them together." in caption
    assert "Scenario line, seed 7. 1 failed runs are left out." in caption
    assert "Runs: qkdrmp sweep mine.toml --seed 7" in caption
    assert "Runs made by: qkdrmp 9.9" in caption
    assert "'page', ['requests_delivered'], 'duration_s')" in caption
    assert f"matplotlib {mpl.__version__}" in caption


def test_the_command_in_the_text_makes_the_figure_again(tmp_path: Path) -> None:
    line = load_scenario("line").replace({"duration_s": 0.3, "warmup_s": 0})
    sweep(line, replications=2, folder=tmp_path, executor=HERE)
    found = load_experiment(tmp_path)
    written = plots.publish(found, tmp_path / "my figures", metrics=["requests_delivered"])
    caption = next(path for path in written if path.suffix == ".txt").read_text(encoding="utf-8")
    options = f"--width column --metric requests_delivered --x pools.capacity --out '{tmp_path / 'my figures'}'"
    assert f"Figure: qkdrmp figures {tmp_path} {options}\n" in caption
    assert f"Runs: {found.command}\n" in caption


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize(
    "found",
    [
        grid(),
        experiment(pools__capacity=CAPACITIES),
        experiment("blocking", demand__memories=[1, 2], allocation__policy=POLICIES),
        experiment(queue__capacity=list(range(1, 21)), pools__capacity=CAPACITIES, demand__patience_s=[1.0, 2.0]),
        experiment(pools__interrupt_share=[0.1, 0.5], pools__recover_share=[0.5, 1.0], pools__capacity=CAPACITIES),
    ],
    ids=["grid", "one field", "names", "a long legend", "long names"],
)
def test_letters_are_large_enough_and_nothing_covers_anything(
    found: Experiment, width: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in drawn(found, width, tmp_path, monkeypatch):
        sizes = [text.get_fontsize() for text in letters(made)]
        subscripts = [0.7 * text.get_fontsize() for text in letters(made) if "_" in text.get_text()]
        assert 7 <= min(sizes) <= max(sizes) <= 9
        assert all(size >= 6 for size in subscripts)
        data = made.axes[0].get_window_extent()
        assert data.height > 1.3 * made.dpi
        assert data.width > 0.55 * made.bbox.width
        legends = [*made.legends, *filter(None, [made.axes[0].get_legend()])]
        for legend in legends:
            assert not legend.get_window_extent().overlaps(data)
        ticks = {
            text for ax in made.axes for axis in (ax.xaxis, ax.yaxis) for text in axis.get_ticklabels(which="both")
        }
        for text in set(letters(made)) - ticks:  # matplotlib keeps ticks that it does not show
            box = text.get_window_extent()
            assert made.bbox.x0 - 1 <= box.x0 <= box.x1 <= made.bbox.x1 + 1
            assert made.bbox.y0 - 1 <= box.y0 <= box.y1 <= made.bbox.y1 + 1
        names = [text.get_window_extent() for text in made.axes[0].get_xticklabels() if text.get_rotation() == 0]
        assert not any(a.overlaps(b) for a, b in pairwise(names))


def test_numbers_along_x_are_never_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = experiment(pools__capacity=[2, 4, 6, 8, 12, 16])
    (made,) = drawn(found, "column", tmp_path, monkeypatch, "wait_p95_s")  # whose label has three lines
    assert {text.get_rotation() for text in made.axes[0].get_xticklabels() if text.get_text()} == {0}


def test_no_two_lines_look_the_same_in_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = experiment(allocation__policy=POLICIES, memories__t2_s=[0.01, 0.1, 1.0])
    (made,) = drawn(found, "column", tmp_path, monkeypatch)
    lines = made.axes[0].lines
    assert len({line.get_marker() for line in lines}) == len({line.get_linestyle() for line in lines}) == 4
    assert [text.get_text() for text in made.axes[0].get_xticklabels() if text.get_text() in ("0.01", "1")]


def test_a_legend_above_reads_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = experiment(queue__capacity=list(range(100, 117)), pools__capacity=list(range(10, 60)))
    made, _ = drawn(found, "column", tmp_path, monkeypatch)
    (legend,) = made.legends
    places = {text.get_text(): text.get_window_extent() for text in legend.get_texts()}
    rows = sorted(places, key=lambda name: (-round(places[name].y0), places[name].x0))
    assert len({round(box.y0) for box in places.values()}) > 1
    assert rows == sorted(rows, key=int)


def test_by_default_figures_that_are_unknown_or_the_same_everywhere_are_left_out(tmp_path: Path) -> None:
    written = plots.publish(experiment(pools__capacity=CAPACITIES), tmp_path)
    assert {name.split(".")[0] for name in named(written)} == {"requests_delivered", "wait_mean_s"}
    assert named(written) == {path.name for path in tmp_path.iterdir()}
    found = experiment("chain", memories__t2_s=[0.01, 0.1, 1.0])
    found.runs["pair_rate_hz"] = 5.0
    assert "pair_rate_hz.pdf" in named(plots.publish(found, tmp_path))


def test_a_heatmap_is_for_two_scales_alone(tmp_path: Path) -> None:
    for over in ({"queue__policy": ["fcfs", "mine", "x"]}, {"duration_s": [1.0, 2.0]}, {"queue__capacity": [1, 2, 3]}):
        found = experiment(pools__capacity=CAPACITIES, **over)
        written = named(plots.publish(found, tmp_path, metrics=["wait_mean_s"]))
        assert ("wait_mean_s_map.pdf" in written) == ("queue__capacity" in over)
    with pytest.raises(QKDRMPError, match="a heatmap needs runs over two swept fields"):
        plots.heatmap(experiment(pools__capacity=CAPACITIES).runs, "wait_mean_s")


def test_each_cell_of_a_heatmap_is_the_mean_of_its_runs() -> None:
    runs = grid().runs
    ax = plots.heatmap(runs, "wait_mean_s", x="pools.capacity")
    cells = np.asarray(ax.collections[0].get_array()).reshape(3, 4)
    for (row, duration_s), (column, capacity) in product(enumerate(DURATIONS), enumerate(CAPACITIES)):
        group = runs[(runs["duration_s"] == duration_s) & (runs["pools.capacity"] == capacity)]
        assert cells[row, column] == pytest.approx(1e6 * group["wait_mean_s"].mean())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.1", "0.2", "0.3"]
    assert ax.yaxis.get_ticklabels()[0].get_window_extent().y0 < ax.yaxis.get_ticklabels()[2].get_window_extent().y0
    assert ax.figure.axes[1].get_ylabel() == "mean waiting time of delivered requests (µs)"


def test_points_of_no_grid_are_points_and_not_lines(tmp_path: Path) -> None:
    points = [{"pools.capacity": c, "queue.capacity": q, "duration_s": 1.0} for c, q in [(8, 3), (4, 9), (6, 5)]]
    found = made_up(points)
    assert is_scattered(found.runs, "pools.capacity")
    assert not is_scattered(grid().runs, "pools.capacity")
    ax = plots.curve(found.runs, "wait_mean_s")
    assert ax.get_legend() is None
    assert {line.get_linestyle() for line in ax.lines} == {"None"}
    assert list(ax.containers[0].lines[0].get_xdata()) == [4, 6, 8]
    plots.publish(found, tmp_path, metrics=["wait_mean_s"])
    caption = " ".join((tmp_path / "wait_mean_s.txt").read_text(encoding="utf-8").split())
    assert "Each point has its own queue capacity." in caption


def test_lines_go_from_small_to_large_in_whatever_order_values_were_swept() -> None:
    ax = plots.curve(experiment(pools__capacity=[40, 10, 20]).runs, "wait_mean_s")
    assert list(ax.lines[0].get_xdata()) == [10, 20, 40]


def test_numbers_that_are_counts_have_whole_ticks() -> None:
    ax = plots.curve(experiment(queue__capacity=list(range(1, 21))).runs, "wait_mean_s")
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_what_goes_along_x_by_itself() -> None:
    assert along(experiment(demand__memories=[1, 2], allocation__policy=POLICIES).runs) == "allocation.policy"
    assert along(experiment(queue__policy=["a", "b"], pools__capacity=CAPACITIES).runs) == "pools.capacity"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"width": "colunm"}, r"width = 'colunm' must be one of column, page \(did you mean 'column'\?\)"),
        ({"metrics": ["wait_meen_s"]}, r"no metric 'wait_meen_s' \(did you mean 'wait_mean_s'\?\)"),
        ({"metrics": ["failed"]}, "no metric 'failed'"),
        ({"metrics": ["blocking"]}, "the metric 'blocking' has no value in any run"),
        (
            {"x": "pools.capasity"},
            r"x = 'pools.capasity' must be a field that varies .*\(did you mean 'pools.capacity'\?\)",
        ),
        ({"metrics": []}, "there is nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(
    asked: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(QKDRMPError, match=message):
        plots.publish(grid(), tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()


def test_an_experiment_without_runs_is_refused(tmp_path: Path) -> None:
    found = grid()
    nobody = Experiment(found.scenario, found.swept, 7, found.runs.iloc[:0], found.failures, found.timings)
    with pytest.raises(QKDRMPError, match="the experiment has no runs"):
        plots.publish(nobody, tmp_path)
