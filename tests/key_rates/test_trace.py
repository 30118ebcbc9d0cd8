"""Key rates over time: the integral of the rate, outages, repetition, and what a file may say."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.key_rates import Block, Fibre, RateTrace
from qkdrmp.key_rates.trace import TraceRow

SECOND = 10**12
FIBRE = Fibre(10.0, 2.0, 0, ("A", "B"))
DAY = 86_400


def trace(*values, **more) -> RateTrace:
    return RateTrace(rows=tuple(TraceRow(*row) for row in values), **more)


def times(
    model: RateTrace, key_bits: int, until_s: float, keys: int = 1, start_s: float = 0.0
) -> list[tuple[float, int]]:
    """When (s) blocks are ready, one after the other, and how many keys they have."""
    session, now, found = model.session(FIBRE, key_bits, np.random.default_rng(0)), round(start_s * SECOND), []
    while (block := session.block_at(keys, now)) is not None and now + block.ticks <= until_s * SECOND:
        now += block.ticks
        found.append((now / SECOND, block.keys))
    return found


def test_keys_come_at_the_rate_of_the_time() -> None:
    model = trace((0, 100), (10, 50), (20, 0), (30, 200))
    assert [at for at, _ in times(model, 100, 12)] == [*range(1, 11), 12]
    # 1000 bits in 10 s, 500 in the next 10, none in 10, and 200 a second from then on.
    assert len(times(model, 100, 30)) == 15
    assert times(model, 100, 32)[15:] == [(30.5, 1), (31.0, 1), (31.5, 1), (32.0, 1)]


def test_several_keys_are_ready_together_if_they_are_asked_for() -> None:
    assert times(trace((0, 100), (10, 50)), 100, 30, keys=12) == [(14.0, 12)]
    assert trace((0, 100)).session(FIBRE, 100, np.random.default_rng(0)).block_at(3, SECOND) == Block(3 * SECOND, 3)


def test_a_day_replayed_makes_the_integral_of_its_rate_to_one_block() -> None:
    random = np.random.default_rng(3)
    starts = np.sort(random.choice(DAY, 500, replace=False))
    starts[0] = 0
    rates = random.uniform(0, 2e4, 500)
    model = trace(*zip(starts.tolist(), rates.tolist(), strict=True), block_bits=10**6)
    made = sum(keys for _, keys in times(model, 256, DAY))
    integral = float(np.sum(rates * np.diff([*starts, DAY])))
    assert 0 <= integral - made * 256 < 10**6 + 256
    assert made * 256 > 8e8


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 1e4)), min_size=1, max_size=8), st.integers(1, 500))
def test_keys_one_by_one_are_the_integral_too(steps, key_bits: int) -> None:
    starts = [0.0, *np.cumsum([length for length, _ in steps]).tolist()]
    model = trace(*[(start, rate) for start, (_, rate) in zip(starts, steps, strict=False)], (starts[-1], 0.0))
    made = sum(keys for _, keys in times(model, key_bits, starts[-1] + 1))
    integral = sum(length * rate for length, rate in steps)
    assert made == pytest.approx(integral / key_bits, abs=1 + 1e-6)


def test_an_outage_stops_keys_and_loses_the_block_that_is_not_finished() -> None:
    # A block of 1000 bits takes 10 s; the outage after 15 s loses the second one, which begins anew at 20 s.
    down = trace((0, 100), (15, 100, 0, "down"), (20, 100), block_bits=1000)
    assert [at for at, _ in times(down, 100, 45)] == [10, 30, 40]
    waiting = trace((0, 100), (15, 0), (20, 100), block_bits=1000)
    assert [at for at, _ in times(waiting, 100, 45)] == [10, 25, 35, 45]


def test_a_qber_above_the_limit_loses_the_block_that_is_not_finished() -> None:
    model = trace((0, 100, 0.03), (15, 100, 0.12), (20, 100, 0.11), block_bits=1000)
    assert [at for at, _ in times(model, 100, 45)] == [10, 30, 40]
    tolerant = trace((0, 100, 0.03), (15, 100, 0.12), (20, 100, 0.11), block_bits=1000, qber_limit=0.2)
    assert [at for at, _ in times(tolerant, 100, 45)] == [10, 20, 30, 40]


def test_secret_bits_that_are_less_than_a_key_count_for_the_next_block() -> None:
    assert times(trace((0, 100), block_bits=1000), 256, 50) == [(10, 3), (20, 4), (30, 4), (40, 4), (50, 4)]
    assert times(trace((0, 100), block_bits=100), 256, 8) == [(3, 1), (6, 1), (8, 1)]


def test_the_last_row_holds_or_the_trace_repeats() -> None:
    values = ((0, 100), (5, 0), (10, 300))
    held = [at for at, _ in times(trace(*values), 100, 11)]
    assert held == pytest.approx([1, 2, 3, 4, 5, 10 + 1 / 3, 10 + 2 / 3, 11], abs=2e-12)
    repeated = [at for at, _ in times(trace(*values, after="repeat"), 100, 26)]
    assert repeated == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25]
    late = [at for at, _ in times(trace(*values, after="repeat"), 100, 1003, start_s=1000)]
    assert late == [1001, 1002, 1003]


def test_a_block_may_take_several_repetitions() -> None:
    model = trace((0, 100), (5, 0), (10, 0), after="repeat", block_bits=1200)
    assert times(model, 1200, 50) == [(22, 1), (44, 1)]


@pytest.mark.parametrize(
    "model",
    [
        trace((0, 0)),
        trace((0, 100, 0.2)),
        trace((0, 100), (5, 100, 0, "down"), block_bits=10**6),
        trace((0, 0), (5, 0), after="repeat"),
        trace((0, 100), (5, 100, 0.5), (10, 0), after="repeat", block_bits=10**6),
    ],
)
def test_a_trace_that_makes_no_more_keys_has_no_block(model: RateTrace) -> None:
    assert model.session(FIBRE, 100, np.random.default_rng(0)).block_at(1, 10 * SECOND) is None


def test_before_the_first_row_a_link_is_down_and_a_pause_begins_a_block_anew() -> None:
    session = trace((10, 100)).session(FIBRE, 100, np.random.default_rng(0))
    assert session.block_at(1, 0) == Block(11 * SECOND, 1)
    assert session.block_at(1, 11 * SECOND + 7) == Block(SECOND, 1)


def test_no_time_is_lost_between_blocks_that_end_within_a_tick() -> None:
    model = trace((0, 3e11))
    session, now = model.session(FIBRE, 1, np.random.default_rng(0)), 0
    for _ in range(3000):
        now += session.block_at(1, now).ticks
    assert now == 10_000


# Files


def test_a_file_has_rows_for_links_or_for_all(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("time_s, rate_bps, qber, state, link\n0, 100, 0.02, up, A-B\n0, 300, , ,\n9, 1, , down, C-D\n")
    model = RateTrace(file=file)
    assert [row.rate_bps for row in model._of(FIBRE.ends)] == [100]
    assert [row.rate_bps for row in model._of(("D", "C"))] == [1]
    assert [row.rate_bps for row in model._of(("X", "Y"))] == [300]
    only = trace((0, 100, 0, "up", "A-B"))
    only.check_fibre(FIBRE)
    with pytest.raises(ValueError, match="no rows for this link"):
        only.check_fibre(Fibre(1, 1, 0, ("X", "Y")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time_s,rate\n0,1\n", r"unknown column 'rate'; known are time_s, rate_bps, qber, state, link"),
        ("time_s\n0\n", r"column rate_bps is missing"),
        ("time_s,rate_bps\n0,-1\n", r"line 2: rate_bps = '-1' must be at least 0"),
        ("time_s,rate_bps,state\n0,1,off\n", r"line 2: state = 'off' must be 'up' or 'down'"),
        ("time_s,rate_bps\n5,1\n5,2\n", r"time_s = 5\.0 must be above 5, that of the row before"),
        ("time_s,rate_bps\n", r"there must be at least one row"),
    ],
)
def test_a_bad_file_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        RateTrace(file=file)


def test_a_missing_file_and_bad_parameters_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        RateTrace(file=tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"block_bits = -1 must be from 0 to 1e15"):
        trace((0, 1), block_bits=-1)
    with pytest.raises(ValueError, match=r"time_s = 1 must be 0 in the first of two rows"):
        trace((1, 1), (2, 1), after="repeat")
    with pytest.raises(ValueError, match="give either a file or rows"):
        RateTrace()


def test_a_long_trace_of_many_links_is_opened_quickly(tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    lines = [f"{second},100,0.02,up,{a}-{a + 1}" for a in range(20) for second in range(2000)]
    file.write_text("\n".join(["time_s,rate_bps,qber,state,link", *lines]))
    model = RateTrace(file=file)
    began = time.perf_counter()
    for number in range(20_000):
        model.session(Fibre(1, 1, 0, (str(number % 20), str(number % 20 + 1))), 256, np.random.default_rng(0))
    for _ in range(200):
        RateTrace(file=file)
    assert time.perf_counter() - began < 5
