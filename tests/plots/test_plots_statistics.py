import math
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from qkdrmp import QKDRMPError, plots
from qkdrmp.family import FAMILIES
from qkdrmp.stats.estimators import half_width
from qkdrmp.sweeps.designs import compare
from qkdrmp.sweeps.warmup import WarmUp


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def runs(policies: tuple[str, ...] = ("fcfs",)) -> pd.DataFrame:
    """Waits of 1 to 5 ms that grow by about 2 ms with the second capacity, and vary around nothing with the third."""
    noise = {4: [0, 0, 0, 0, 0], 8: [2.0, 2.2, 1.8, 2.1, 1.9], 16: [1.0, -1.2, 0.9, -0.8, 0.1]}
    rows = [
        {
            "queue.policy": policy,
            "pools.capacity": capacity,
            "duration_s": 1.0,
            "replication": number,
            "seed": number,
            "failed": False,
            "wait_mean_s": (1 + number + more) / 1000,
            "key_rate_bps": 1e4 + 100 * more,
            "mismatched_keys": more - min(noise[capacity]) if capacity > 4 else 0,
        }
        for policy in policies
        for capacity in noise
        for number, more in enumerate(noise[capacity])
    ]
    return pd.DataFrame(rows)


def marks(ax: Any) -> dict[tuple[str, float], Any]:
    """The marks, by the title of their row and their place."""
    titles = [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()]
    drawn = [line for line in ax.lines if len(line.get_xdata()) == 1]
    return {(titles[round(line.get_ydata()[0])], round(float(line.get_xdata()[0]), 6)): line for line in drawn}


def test_differences_of_one_metric_stand_in_its_unit_with_their_intervals() -> None:
    compared = compare(runs(("fcfs", "edf")), "pools.capacity")
    ax = plots.differences(compared, "wait_mean_s")
    assert ax.get_xlabel() == "difference in mean waiting time of delivered requests (ms)"
    assert ax.get_ylabel() == "queue policy"
    assert [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()] == ["fcfs", "edf"]
    rows = compared[compared["metric"] == "wait_mean_s"]
    assert set(marks(ax)) == {
        (row["queue.policy"], round(1e3 * row["difference"], 6)) for row in rows.to_dict("records")
    }
    drawn = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 1.5 and len(line.get_xdata()) == 2]
    assert np.array(drawn) == pytest.approx(1e3 * rows[["low", "high"]].to_numpy())


def test_marks_are_hollow_where_there_may_be_no_difference() -> None:
    ax = plots.differences(compare(runs(), "pools.capacity"), "wait_mean_s")
    found = {place: to_rgba(line.get_markerfacecolor()) == to_rgba("white") for (_, place), line in marks(ax).items()}
    assert found == {2.0: False, 0.0: True}
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["4 (baseline)", "8", "16"]


def test_all_metrics_stand_in_percent_of_a_baseline_that_is_not_zero() -> None:
    ax = plots.differences(
        compare(runs(), "pools.capacity", metrics=["key_rate_bps", "wait_mean_s", "mismatched_keys"])
    )
    assert ax.get_xlabel() == "difference (% of the baseline's mean)"
    assert [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()] == [
        "delivered key rate",
        "mean waiting time of delivered requests",
    ]
    assert ("delivered key rate", 2.0) in marks(ax)
    assert ("mean waiting time of delivered requests", round(200 / 3, 6)) in marks(ax)
    assert "5 pairs" in ax.get_title(loc="left")


def test_metrics_and_cells_share_the_rows() -> None:
    ax = plots.differences(compare(runs(("fcfs", "edf")), "pools.capacity", metrics=["wait_mean_s", "key_rate_bps"]))
    titles = [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()]
    assert titles == [
        f"{name}, {policy}"
        for name in ("mean waiting time of delivered requests", "delivered key rate")
        for policy in ("fcfs", "edf")
    ]


def title_of(ax: Any) -> str:
    return ax.get_title(loc="left").replace("\n", " ")


def test_marks_agree_with_the_corrected_verdicts_not_with_each_interval_by_itself() -> None:
    compared = compare(runs(), "pools.capacity", metrics=["wait_mean_s"])
    unclear = compared.assign(verdict="unclear")
    assert all(
        to_rgba(line.get_markerfacecolor()) == to_rgba("white") for line in marks(plots.differences(unclear)).values()
    )


def test_many_metrics_fit_a_page_each_in_its_unit_with_the_words_that_are_given() -> None:
    noise = np.random.default_rng(1)
    many = runs(("fcfs", "edf"))
    many = many.assign(same=1.0, **{f"own{number}": noise.normal(1, 1, len(many)) for number in range(40)})
    many["own39"] = many["pools.capacity"] + 0.01 * many["own39"]
    compared = compare(many, "pools.capacity", metrics=["wait_mean_s", "same", *(f"own{n}" for n in range(40))])
    panels = plots.comparison(
        compared, ["capacity = 8 is slower by 100 %", *["no other sentence " * 20] * 30, "the rest"]
    )
    page = panels[0].figure
    page.canvas.draw()
    assert (page.get_figwidth(), page.get_figheight()) <= (7, 9.3)
    titles = [title_of(ax) for ax in panels]
    assert titles[0] == "mean waiting time of delivered requests (ms)"
    assert "own39" in titles  # it differs, though it comes last
    assert "same" not in titles
    assert ("edf", 2.0) in marks(panels[0])
    words = page.get_suptitle().split("\n")
    assert words[0] == "capacity = 8 is slower by 100\N{NO-BREAK SPACE}%"
    assert words[-2].endswith("more sentences")
    assert words[-1] == "the rest"
    notes = page.legends[0].get_title().get_text()
    assert f"{41 - len(panels)} more metrics: see the table" in notes
    assert "no difference at all: same" in notes
    boxes = [ax.get_tightbbox() for ax in panels]
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])
    assert page.get_window_extent().x1 >= max(text.get_window_extent().x1 for text in [page._suptitle, *page.legends])


def test_differences_are_drawn_into_axes_of_ones_own_and_for_single_pairs() -> None:
    _, mine = plt.subplots()
    one = runs().query("replication == 0")
    assert plots.differences(compare(one, "pools.capacity"), "wait_mean_s", mine) is mine
    assert all(to_rgba(line.get_markerfacecolor()) == to_rgba("white") for line in marks(mine).values())


def test_nothing_to_draw_is_an_error() -> None:
    compared = compare(runs(), "pools.capacity")
    with pytest.raises(QKDRMPError, match=r"the comparison has no metric 'wait_s' \(did you mean 'wait_mean_s'\?\)"):
        plots.differences(compared, "wait_s")
    with pytest.raises(QKDRMPError, match="there is nothing to draw"):
        plots.differences(compared[compared["metric"] == "mismatched_keys"])
    with pytest.raises(QKDRMPError, match="there is nothing to draw"):
        plots.comparison(compared.assign(verdict="same"))


def test_no_label_is_cut_off_or_runs_into_another_one() -> None:
    several = runs(("fcfs", "edf")).assign(**{f"own{number}": np.arange(30) for number in range(12)})
    several = several.rename(columns={"queue.policy": "allocation.policy"})
    panels = plots.comparison(compare(several, "pools.capacity"))
    for drawn in (plots.warmup(settling()), panels):
        page = drawn[0].figure
        page.canvas.draw()
        boxes = [ax.yaxis.label.get_window_extent() for ax in drawn if ax.get_ylabel()]
        whole = page.get_window_extent()
        assert all(whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes)
        assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])


def settling(too_short: bool = False, matters: bool = True) -> WarmUp:
    time_s = (np.arange(200) + 0.5) / 100
    series = pd.DataFrame(
        {"time_s": time_s, "pool_level_mean": 1 - np.exp(-5 * time_s), "wait_mean_s": np.full(200, 0.002)}
    )
    series.loc[:20, "wait_mean_s"] = math.nan
    verdicts = {
        "truncation_s": [0.5, 0.0],
        "too_short": [too_short, False],
        "verdict": ["", ""],
        "matters": [too_short and matters, False],
    }
    quantities = pd.DataFrame({"quantity": ["pool_level_mean", "wait_mean_s"], **verdicts})
    return WarmUp("quick", 2.0, 0.0, 3, True, 0.5, too_short, quantities, series)


def test_a_warm_up_has_one_panel_a_quantity_with_its_truncation() -> None:
    level, wait = plots.warmup(settling())
    assert level.get_ylabel() == "mean level of key pools (share)"
    assert wait.get_ylabel() == "mean waiting time of\ndelivered requests (ms)"
    raw, batched, cut = level.lines
    assert (len(raw.get_xdata()), len(batched.get_xdata())) == (200, 40)
    assert batched.get_ydata()[0] == pytest.approx(np.mean(raw.get_ydata()[:5]))
    assert list(cut.get_xdata()) == [0.5, 0.5]
    assert level.get_title(loc="left") == "settled after 0.5 s"
    assert wait.get_title(loc="left") == "settled from the beginning"
    assert set(np.round(wait.lines[0].get_ydata(), 9)) == {2.0}


def test_a_run_that_is_too_short_is_marked() -> None:
    level, wait = plots.warmup(settling(too_short=True))
    assert level.get_title(loc="left") == "not settled: too short a run"
    assert to_rgba(level.lines[-1].get_color()) != to_rgba(wait.lines[-1].get_color())


def test_no_more_is_marked_than_is_said_of_the_warm_up() -> None:
    level, wait = plots.warmup(settling(too_short=True, matters=False))
    assert level.get_title(loc="left") == "not settled, which is not significant"
    assert to_rgba(level.lines[-1].get_color()) == to_rgba(wait.lines[-1].get_color())
    listed = plots.warmup(replace(settling(too_short=True), has_steady_state=False))
    assert {ax.get_title(loc="left") for ax in listed} == {"a list of demand: no steady state"}
    assert [len(ax.lines) for ax in listed] == [2, 2]
    assert not any(ax.patches for ax in listed)


def test_a_warm_up_is_drawn_into_axes_of_ones_own() -> None:
    _, mine = plt.subplots(1, 3)
    assert plots.warmup(settling(), list(mine)) == list(mine[:2])
    with pytest.raises(QKDRMPError, match="2 quantities need as many axes, not 1: pool_level_mean, wait_mean_s"):
        plots.warmup(settling(), list(mine[:1]))


def test_what_shows_whether_a_run_has_settled_has_a_label() -> None:
    names = {one.name for family in FAMILIES.values() for one in family.settling}
    assert [name for name in sorted(names) if plots.label(name) == name] == []


def test_a_metric_is_called_as_its_column_says() -> None:
    for family in FAMILIES.values():
        for metric in family.metrics:
            assert plots.label(metric.name) == metric.label
            assert "_" not in metric.label
    assert plots.label("no such metric") == "no such metric"


def test_a_field_or_a_metric_of_two_families_is_called_the_same_in_both() -> None:
    labels = [item for family in FAMILIES.values() for item in family.labels.items()]
    assert len(set(labels)) == len(dict(labels))


def test_long_titles_of_rows_leave_space_for_the_marks(recwarn: pytest.WarningsRecorder) -> None:
    made = runs(("fcfs", "smallest-first")).rename(columns={"wait_mean_s": "wait_p95_s"})
    ax = plots.differences(compare(made, "pools.capacity", metrics=["wait_p95_s", "key_rate_bps"]))
    ax.figure.canvas.draw()
    assert not recwarn.list, "constrained layout gives up where there is no space"
    assert ax.get_position().width > 0.3
    boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])


@pytest.mark.parametrize(
    ("metric", "values", "most"),
    [("fairness", [0.9, 1.0, 1.0], 1), ("blocking", [0.0, 0.0, 0.1], 1), ("queue_mean", [0.0, 1.0, 5.0], math.inf)],
)
def test_no_interval_is_drawn_beyond_what_a_metric_can_be(metric: str, values: list[float], most: float) -> None:
    known = [{"replication": number, "seed": number, metric: value} for number, value in enumerate(values)]
    rows = [{"duration_s": 1.0, "pools.capacity": size, **one} for size in (2, 4, 8) for one in known]
    (band,) = plots.curve(pd.DataFrame(rows), metric, x="pools.capacity").collections
    drawn = band.get_paths()[0].vertices[:, 1]
    low, high = np.mean(values) - half_width(values), np.mean(values) + half_width(values)
    assert low < 0 or high > most
    assert (drawn.min(), drawn.max()) == pytest.approx((max(low, 0), min(high, most)))
