"""Bounds beside curves: where they belong, or not at all."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import qkdrmp


def runs_and_laws(bound: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = pd.DataFrame(
        {
            "pools.capacity": [2, 2, 4, 4],
            "duration_s": 1.0,
            "replication": [0, 1, 0, 1],
            "seed": 1,
            "requests_delivered": [80, 84, 90, 94],
        }
    )
    laws = pd.DataFrame(
        {
            "pools.capacity": [2, 4],
            "duration_s": 1.0,
            "metric": "requests_delivered",
            "law": "a law",
            "value": [bound, bound + 1],
            "is_bound": True,
        }
    )
    return runs, laws


def test_a_bound_is_drawn_at_its_values_within_the_axis() -> None:
    runs, laws = runs_and_laws(100.0)
    ax = qkdrmp.plots.add_laws(qkdrmp.plots.throughput(runs), runs, laws, "requests_delivered")
    (dashed,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed.get_xydata().tolist() == [[2, 100], [4, 101]]
    assert ax.get_ylim()[1] > 101
    assert [text.get_text() for text in ax.texts if "a law" in text.get_text()]
    plt.close("all")


@pytest.mark.parametrize("bound", [1e4, 1e9])
def test_a_bound_far_above_leaves_the_picture_alone(bound: float) -> None:
    runs, laws = runs_and_laws(bound)
    plain, ax = qkdrmp.plots.throughput(runs), qkdrmp.plots.throughput(runs)
    qkdrmp.plots.add_laws(ax, runs, laws, "requests_delivered")
    assert ax.get_ylim() == plain.get_ylim()
    assert len(ax.lines) == len(plain.lines)
    assert len(ax.texts) == len(plain.texts)
    plt.close("all")
