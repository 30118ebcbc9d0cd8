import gc
import math
import tracemalloc
from typing import Any, NamedTuple

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from qkdrmp import load_scenario, simulate
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.channel import Transmission
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.tables import message_rows
from qkdrmp.stats.columns import Column
from qkdrmp.stats.compact_rows import CompactRows

RECORDED_BYTES_A_ROW, TABLE_BYTES_A_ROW = 35, 35
"""Together 140 MB for two million messages."""


class Row(NamedTuple):
    number: int
    time_s: float
    text: str


COLUMNS: tuple[Column[Row], ...] = (
    Column("number", "", lambda row: row.number),
    Column("time_s", "", lambda row: row.time_s),
    Column("text", "", lambda row: row.text),
)


def plain(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table.astype({"text": object}).itertuples(index=False, name=None))


@pytest.mark.parametrize("different", [1, 255, 256, 257, 65_536, 65_537])
def test_a_table_has_the_rows_that_were_added(different: int) -> None:
    rows = [Row(number - 3, number / 7, f"t{number * 7919 % different}") for number in range(max(different, 300))]
    table = CompactRows(COLUMNS, rows).frame()
    assert list(table.columns) == ["number", "time_s", "text"]
    assert plain(table) == [tuple(row) for row in rows]


def test_rows_may_be_added_after_a_table_was_made() -> None:
    rows = CompactRows(COLUMNS, [Row(1, math.nan, "b")])
    first = rows.frame()
    rows.append(Row(2, 0.5, "a"))
    assert len(first) == 1
    assert plain(rows.frame())[1] == (2, 0.5, "a")
    assert math.isnan(rows.frame()["time_s"][0])


def test_texts_sort_in_alphabetical_order() -> None:
    table = CompactRows(COLUMNS, [Row(0, 0.0, text) for text in ("b", "", "c", "a")]).frame()
    assert table["text"].dtype == "category"
    assert list(table.sort_values("text")["text"]) == ["", "a", "b", "c"]
    assert list(table.loc[table["text"] == "c", "number"]) == [0]


def test_a_table_without_rows_has_its_columns() -> None:
    table = CompactRows(COLUMNS).frame()
    assert list(table.columns) == ["number", "time_s", "text"]
    assert table.empty


def test_messages_take_few_bytes_a_row_while_they_are_recorded_and_as_a_table() -> None:
    network = QKDNetwork(load_scenario("line"), 1, trace=True)  # type: ignore[arg-type]
    network.env.advance(to_ticks(1.0))
    hops = network.hops or []
    message_rows(hops).frame()  # whatever is loaded once
    many = 50_000
    gc.collect()
    tracemalloc.start()
    rows = message_rows()
    for number in range(many):
        hop = hops[number % len(hops)]
        rows.append(Transmission(hop.message, hop.source, hop.target, number, number + 5))
    recorded, _ = tracemalloc.get_traced_memory()
    table = rows.frame()
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == many
    assert recorded / many < RECORDED_BYTES_A_ROW
    assert (both - recorded) / many < TABLE_BYTES_A_ROW


def test_a_run_records_the_table_that_a_list_of_its_transmissions_makes() -> None:
    scenario: Any = load_scenario("line").replace({"duration_s": 2.0, "warmup_s": 0.0})
    network = QKDNetwork(scenario, 3, trace=True)
    network.env.advance(to_ticks(2.0))
    recorded = simulate(scenario, 3, record="messages").messages
    assert_frame_equal(recorded, message_rows(network.hops or ()).frame())
    by_hand = [(hop.message.wire_name, hop.source, hop.sent / 1e12) for hop in network.hops or ()]
    assert list(recorded[["message", "source", "sent_s"]].itertuples(index=False, name=None)) == by_hand
