"""What a ladder shows, and where: the same for pictures and for the page of a report."""

import math

import numpy as np
import pandas as pd
import pytest

from qkdrmp.ladder.diagram import ARROW_COLUMNS, NOTE_COLUMNS
from qkdrmp.ladder.labels import DrawnScale, Label, arrow_placer, place_labels
from qkdrmp.ladder.layout import LOOP_COLUMNS, LadderLayout
from tests.plots.placing_steps import counted_steps

NODES = ("A", "B", "C")
MOST_STEPS = 1_000_000
"""Boxes times lines that are compared: all places of all labels would be 9.5 million."""
NAN = math.nan
SCALE = DrawnScale(column=160, inch=72, letter=6.6, line=12.5)


def layout_of(*rows: tuple[object, ...], notes: tuple[tuple[float, str, str], ...] = ()) -> LadderLayout:
    messages = pd.DataFrame(list(rows), columns=ARROW_COLUMNS)
    return LadderLayout.of("title", NODES, messages, pd.DataFrame(list(notes), columns=NOTE_COLUMNS))


def labels_of(layout: LadderLayout, cut: bool = False) -> dict[str, Label]:
    return {label.arrow.label: label for label in place_labels(layout, SCALE, arrow_placer(layout, SCALE), cut=cut)}


def test_messages_sent_together_are_one_arrow_with_their_kinds_and_words() -> None:
    one = ("A", "B", "LAU", 0.0, 1.0, "short")
    layout = layout_of(("A", "B", "CONFIRM", 0.0, 1.0, "far too long to write"), one, one, ("B", "C", "LAU", 0, 1, ""))
    first, second = layout.arrows
    assert (first.source, first.target, first.kinds) == (0, 1, ("CONFIRM", "LAU"))
    assert first.label == "CONFIRM far too long to wri… + 2 LAU short"
    assert first.words == "CONFIRM far too long to write + 2 LAU short"
    assert (second.source, second.target, second.label) == (1, 2, "LAU")
    assert list(layout.colours) == ["CONFIRM", "LAU"]


def test_messages_of_one_kind_sent_together_are_named_once() -> None:
    rows = [("A", "B", "SWAPRESULT", 0.0, 1.0, detail) for detail in ("number 0", "number 1 failed", "number 2")]
    other = ("A", "B", "PURIFYRESULT", 0.0, 1.0, "bit 1"), ("A", "B", "PURIFYRESULT", 0.0, 1.0, "lost")
    (arrow,) = layout_of(*rows, *other, other[0]).arrows
    assert arrow.label == "SWAPRESULT number 0; 1 failed; 2 + PURIFYRESULT 2 bit 1; lost"


def test_a_lost_message_has_half_its_way_and_the_usual_time() -> None:
    layout = layout_of(("A", "B", "X", 0.0, 2.0, ""), ("A", "C", "X", 0.0, NAN, ""))
    arrow = layout.arrows[1]
    assert (arrow.lost, arrow.received_s) == (True, 2.0)
    assert layout.path(arrow).tolist() == [[0, 0], [1, layout.axis.place(2.0) / 2]]


def test_a_message_to_its_own_sender_goes_round() -> None:
    layout = layout_of(("A", "B", "X", 0.0, 1.0, ""), ("B", "B", "X", 1.0, 1.0, ""))
    start, corner, end = layout.path(layout.arrows[1]).tolist()
    assert start == [1, layout.height]
    assert corner == [1 + LOOP_COLUMNS, layout.height]
    assert end[0] == 1
    assert end[1] > layout.height


def test_notes_at_the_same_place_are_one() -> None:
    notes = ((0.5, "A", "one"), (0.5, "A", "two"), (0.5, "B,C", "both"))
    layout = layout_of(("A", "B", "X", 0.0, 1.0, ""), notes=notes)
    assert [(note.columns, note.lines) for note in layout.notes] == [((0,), ("one", "two")), ((1, 2), ("both",))]


def test_a_ladder_is_as_high_as_its_busiest_gap_needs() -> None:
    def height(count: int, target: str = "B") -> float:
        return layout_of(*(("A", target, "X", number, number + 1, "") for number in range(count))).height

    assert height(1) == height(2) == 1.8
    assert height(20) == pytest.approx(13)
    assert height(150) == pytest.approx(32)


def test_of_very_many_messages_the_first_and_the_last_are_shown() -> None:
    rows = [("A", "B", "X", float(number), number + 1.0, "") for number in range(1000)]
    layout = layout_of(*rows, notes=((50.0, "A", "seen"), (500.0, "A", "not seen")))
    assert len(layout.arrows) == 200
    assert layout.omission == "the first 100 and the last 100 of 1,000 messages"
    assert [note.lines for note in layout.notes] == [("seen",)]


def test_labels_stand_along_their_arrows_and_read_from_left_to_right() -> None:
    layout = layout_of(("A", "C", "RIGHT", 0.0, 1.0, ""), ("C", "A", "LEFT", 2.0, 3.0, ""))
    for name, label in labels_of(layout).items():
        start, end = SCALE.pixels(layout.path(label.arrow))
        falls = 1 if name == "RIGHT" else -1
        slope = (end[1] - start[1]) / abs(end[0] - start[0])
        assert math.tan(math.radians(label.angle)) == pytest.approx(falls * slope)
        along = (end - start) / np.hypot(*(end - start))
        aside = abs(np.array([-along[1], along[0]]) @ (np.array([label.x, label.y]) - start))
        assert aside == pytest.approx(0.62 * SCALE.line)


def test_labels_of_arrows_that_cross_do_not_cover_each_other() -> None:
    layout = layout_of(("A", "C", "FALLING", 0.0, 1.0, ""), ("C", "A", "RISING", 0.0, 1.0, ""))
    one, other = labels_of(layout).values()
    assert abs(one.x - other.x) > 3 * SCALE.letter or abs(one.y - other.y) > SCALE.line


def test_a_swap_that_failed_says_so() -> None:
    layout = layout_of(("A", "B", "SWAPRESULT", 0.0, 1.0, "number 123 failed"))
    for cut in (False, True):
        assert labels_of(layout, cut)["SWAPRESULT number 123 failed"].text == "SWAPRESULT number 123 failed"


def test_no_label_is_longer_than_a_line_of_text() -> None:
    layout = layout_of(*(("A", "B", f"KIND{number}", 0.0, 1.0, "") for number in range(100)))
    (label,) = labels_of(layout).values()
    assert 80 < len(label.text) <= 90
    assert label.text.endswith("…")


def test_labels_of_long_flights_are_placed_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = counted_steps(monkeypatch)
    layout = layout_of(
        *(("A", "C", f"KIND {number}", 1e-6 * number, 1 + 1e-6 * number, "pair") for number in range(200))
    )
    assert len(labels_of(layout)) == 200
    assert sum(steps) < MOST_STEPS


def test_a_ladder_of_many_messages_takes_few_steps_and_says_how_many_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = counted_steps(monkeypatch)
    random = np.random.default_rng(1)
    sent = np.sort(random.uniform(0, 1, 5000))
    rows = [(NODES[n % 2], NODES[n % 2 + 1], "X", float(at), float(at) + 0.5, f"pair {n}") for n, at in enumerate(sent)]
    layout = layout_of(*rows)
    labels_of(layout)
    assert layout.omission == "the first 100 and the last 100 of 5,000 messages"
    assert 0 < sum(steps) < MOST_STEPS


def test_a_label_longer_than_its_arrow_ends_with_dots_where_it_must() -> None:
    long = " + ".join(["MESSAGE"] + [f"KIND{number}" for number in range(9)])
    rows = [("A", "B", kind, 0.0, 1.0, "") for kind in long.split(" + ")]
    layout = layout_of(*rows)
    whole, cut = labels_of(layout)[long], labels_of(layout, cut=True)[long]
    assert whole.text == long
    assert cut.text.endswith("…")
    letters = np.hypot(*np.ptp(SCALE.pixels(layout.path(cut.arrow)), axis=0)) / SCALE.letter
    assert len(cut.text) == max(int(letters), 28)


def test_a_scale_measures_columns_and_inches() -> None:
    scale = DrawnScale(column=10, inch=3, letter=1, line=2)
    assert scale.pixels(np.array([[1.0, 1.0], [2.0, 0.5]])).tolist() == [[10, 3], [20, 1.5]]
