import math
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.sweeps.store import Failure, Store, StoreError, StoreInUse, discard

METRICS = {
    "requests": 3,
    "wait_mean_s": 0.1 + 0.2,
    "never": float("nan"),
    "counted": np.int64(7),
    "share": np.float64(0.3),
}


def test_what_is_kept_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        store.add("a", {0.1: METRICS, 0.2: {"requests": 5}}, 1.5)
        kept = store.runs
    with Store(tmp_path / "runs.sqlite") as store:
        assert repr(store.runs) == repr(kept)
        row = store.runs["a", 0.1]
        assert row["wait_mean_s"] == METRICS["wait_mean_s"]
        assert math.isnan(row["never"])
        assert (row["counted"], type(row["counted"])) == (7, int)
        assert list(row) == list(METRICS)
        assert store.timings == {"a": 1.5}


@given(st.dictionaries(st.text(), st.floats() | st.integers(-(2**63), 2**63)))
def test_any_numbers_come_back(metrics: dict[str, float]) -> None:
    with Store() as store:
        store.add("a", {1.0: metrics}, 0.0)
        assert repr(store.runs["a", 1.0]) == repr(metrics)


def test_longer_runs_of_a_simulation_add_to_its_time(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        store.add("a", {1.0: {}}, 0.5)
        store.add("a", {2.0: {}}, 0.75)
    with Store(tmp_path / "runs.sqlite") as store:
        assert store.timings == {"a": 1.25}
        assert list(store.runs) == [("a", 1.0), ("a", 2.0)]


def test_failures_are_kept_until_they_are_cleared(tmp_path: Path) -> None:
    failure = Failure("ValueError: no", "Traceback\n ...")
    with Store(tmp_path / "runs.sqlite") as store:
        store.fail("a", [0.1, 0.2], failure)
    with Store(tmp_path / "runs.sqlite") as store:
        assert store.failures == {("a", 0.1): failure, ("a", 0.2): failure}
        store.clear_failures()
        assert store.failures == {}
    with Store(tmp_path / "runs.sqlite") as store:
        assert store.failures == {}


def test_facts_are_kept_by_name(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        assert store.facts("scenario") is None
        store.record("scenario", {"pools": {"capacity": 4}})
        store.record("scenario", {"pools": {"capacity": 5}})
    with Store(tmp_path / "runs.sqlite") as store:
        assert store.facts("scenario") == {"pools": {"capacity": 5}}


def test_a_store_has_one_writer(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite"), pytest.raises(StoreError, match="another sweep is running in this folder"):
        Store(tmp_path / "runs.sqlite")
    Store(tmp_path / "runs.sqlite").close()


def test_a_file_of_another_kind_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").write_text("capacity,requests\n" * 100)
    with pytest.raises(StoreError, match="is not the file of a sweep"):
        Store(tmp_path / "runs.sqlite")


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "no such folder" / "runs.sqlite")


def test_a_store_is_discarded_with_all_that_belongs_to_it_even_if_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    for content in (None, b"", b"capacity,requests\n" * 100):
        if content is not None:
            path.write_bytes(content)
            (tmp_path / "runs.sqlite-journal").write_bytes(b"left by a process that was killed")
        discard(path)
        assert list(tmp_path.iterdir()) == []
    with Store(path), pytest.raises(StoreInUse):
        discard(path)
    assert path.exists()


def write_and_die(path: Path) -> None:
    store = Store(path)
    store.add("a", {1.0: {"n": 1}, 2.0: {"n": 2}}, 0.1)
    store._database.execute("begin")
    store._database.execute("insert into runs values ('b', 1.0, '{}')")
    os._exit(1)


def test_a_process_that_dies_leaves_whole_runs_and_no_lock(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(tmp_path / "runs.sqlite",))
    process.start()
    process.join()
    assert process.exitcode == 1
    with Store(tmp_path / "runs.sqlite") as store:
        assert list(store.runs) == [("a", 1.0), ("a", 2.0)]
