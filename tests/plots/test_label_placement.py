"""Labels are placed where they cover least, and the names of nodes beside their nodes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qkdrmp.plots.label_placement import LabelPlacer, box, boxes_along, length_within, overlap
from qkdrmp.plots.node_names import SIDES, MapScale, place_names, spread

NOTHING = np.empty((0, 4))
EVERYWHERE = (-np.inf, np.inf, -np.inf, np.inf)
SCALE = MapScale(letter=5, line=10, node=12, link=2, gap=2)
POINTS = st.tuples(st.floats(-100, 100), st.floats(-100, 100))


def test_the_overlap_is_the_area_that_rectangles_share() -> None:
    square = box((0, 0), 2, 2)
    assert overlap(square, box((1, 1), 2, 2)) == 1
    assert overlap(square, box((2, 0), 2, 2)) == 0  # they touch
    assert overlap(square, np.concatenate([square, box((1.5, 0), 2, 4)])) == 4 + 1
    assert overlap(square, NOTHING) == 0


@given(POINTS, POINTS, st.floats(0.5, 30))
def test_a_line_is_covered_from_end_to_end(start: tuple[float, float], end: tuple[float, float], size: float) -> None:
    boxes = boxes_along(start, end, size)
    first, last = np.array(start), np.array(end)
    for share in np.linspace(0, 1, 13):
        x, y = first + share * (last - first)
        inside = (boxes[:, 0] <= x + 1e-9) & (x <= boxes[:, 1] + 1e-9) & (boxes[:, 2] <= y + 1e-9)
        assert (inside & (y <= boxes[:, 3] + 1e-9)).any()


@pytest.mark.parametrize(
    ("line", "length"),
    [
        ((-5, 0, 5, 0), 2),
        ((0, 5, 0, -5), 2),
        ((0, 0, 5, 0), 1),
        ((-0.5, 0, 0.5, 0), 1),
        ((-2, -2, 2, 2), 2 * 2**0.5),
        ((-5, 2, 5, 2), 0),
        ((2, 0, 5, 0), 0),
        ((3, 3, 3, 3), 0),
        ((0, 0, 0, 0), 0),
        ((-3, 0, 0, 3), 0),
    ],
)
def test_the_part_of_a_line_that_is_in_a_box(line: tuple[float, ...], length: float) -> None:
    assert length_within(box((0, 0), 2, 2), np.array([line], dtype=float)) == pytest.approx(length)


@given(POINTS, POINTS, POINTS)
@example((0.0, 0.0), (0.0, 2e-309), (0.0, 0.0))
def test_a_line_in_a_box_is_as_long_as_many_points_say(start, end, centre) -> None:  # type: ignore[no-untyped-def]
    shares = (np.arange(20000) + 0.5) / 20000
    points = np.array(start) + shares[:, None] * np.subtract(end, start)
    inside = (np.abs(points - np.array(centre)) <= (20, 10)).all(axis=1).mean() * np.hypot(*np.subtract(end, start))
    assert length_within(box(centre, 40, 20), np.array([[*start, *end]])) == pytest.approx(inside, abs=0.05)


def test_a_label_that_must_fit_has_no_place_if_none_is_free() -> None:
    placer = LabelPlacer(box((0, 0), 3, 3), bounds=(-30, 30, -30, 30))
    assert placer.fit(places((0, 0), (20, 0))) == 1
    assert placer.fit(places((0, 0), (20, 0))) is None
    assert placer.fit(places((28, 0), (0, 20))) == 1  # not half outside


def test_a_label_keeps_off_lines_if_it_can_but_fits_on_them() -> None:
    def placer() -> LabelPlacer:
        return LabelPlacer(lines=np.array([[-50.0, 0, 50, 0]]), line_width=2)

    assert placer().fit(places((0, 0), (0, 20))) == placer().place(places((0, 0), (0, 20))) == 1
    assert placer().fit(places((0, 0))) == 0


def places(*centres: tuple[float, float]) -> list[np.ndarray]:
    return [box(centre, 10, 4) for centre in centres]


def test_of_free_places_the_first_is_taken() -> None:
    assert LabelPlacer(NOTHING).place(places((0, 0), (20, 0))) == 0


def test_a_label_keeps_off_what_is_drawn_and_off_the_labels_before_it() -> None:
    placer = LabelPlacer(box((0, 0), 3, 3))
    choice = places((0, 0), (20, 0), (40, 0))
    assert [placer.place(choice) for _ in range(2)] == [1, 2]


def test_where_no_place_is_free_the_one_that_covers_least_is_taken() -> None:
    placer = LabelPlacer(np.concatenate([box((0, 0), 10, 4), box((20, 0), 2, 4)]))
    assert placer.place(places((0, 0), (20, 0))) == 1


@pytest.mark.parametrize(("cost", "best"), [(1.0, 0), (0.1, 1)])
def test_lines_may_be_covered_more_readily_than_labels(cost: float, best: int) -> None:
    placer = LabelPlacer(box((20, 0), 8, 4), drawn_cost=cost)
    placer.place([box((0, 0), 4, 4)])
    assert placer.place(places((0, 0), (20, 0))) == best


@pytest.mark.parametrize(("step", "best"), [(0.0, 1), (8.9, 1), (9.1, 0)])
def test_a_later_place_has_to_be_better_by_a_step(step: float, best: int) -> None:
    placer = LabelPlacer(box((0, 0), 3, 3), step=step)
    assert placer.place(places((0, 0), (20, 0))) == best


def test_a_label_stays_within_the_bounds() -> None:
    placer = LabelPlacer(NOTHING, bounds=(0, 100, 0, 100))
    assert placer.place(places((2, 50), (50, 99), (50, 50))) == 2


def centres_of_names(centres: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    found = place_names(centres, [], SCALE, EVERYWHERE)
    return {name: (place.right, place.up) for name, place in found.items()}


def test_a_name_alone_stands_above_its_node() -> None:
    assert centres_of_names({"A": (0.0, 0.0)}) == {"A": (0, 12 / 2 + 2 + 10 / 2)}


def test_a_name_keeps_off_the_links_of_its_node() -> None:
    centres = {"A": (0.0, 0.0), "up": (0.0, 80.0), "down": (0.0, -80.0)}
    found = place_names(centres, [("A", "up"), ("A", "down")], SCALE, EVERYWHERE)
    assert found["A"] == (12 / 2 + 2, 0, "left", False)


def test_names_of_nodes_in_a_row_stand_above_or_below_the_line() -> None:
    places = {name: (100.0 * number, 0.0) for number, name in enumerate("ABCD")}
    found = place_names({**places, "top": (150.0, 200.0)}, [("A", "B"), ("B", "C"), ("C", "D")], SCALE, EVERYWHERE)
    assert all(found[name].align == "center" for name in "BC")


@settings(deadline=None)
@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=6), POINTS, min_size=1, max_size=12))
def test_every_name_that_fits_has_a_place_beside_its_node(centres: dict[str, tuple[float, float]]) -> None:
    found = place_names(centres, [], SCALE, EVERYWHERE)
    assert [name for name in centres if name in found] == list(found)
    sides = {(np.sign(place.right), np.sign(place.up)) for place in found.values()}
    assert sides <= set(SIDES)
    assert all(place.align == {1: "left", 0: "center", -1: "right"}[np.sign(place.right)] for place in found.values())


def test_names_that_do_not_fit_have_no_place() -> None:
    found = place_names({"A": (0.0, 0.0), "a long name": (0.0, 0.0)}, [], SCALE, (-20, 20, -20, 20))
    assert list(found) == ["A"]


def test_nodes_in_one_place_are_spread_around_the_first() -> None:
    moved = spread({"A": (1.0, 1.0), "B": (1.0, 1.0), "C": (1.0, 1.0), "D": (5.0, 1.0)}, 3)
    assert moved["A"] == (1.0, 1.0)
    assert moved["D"] == (5.0, 1.0)
    assert [np.hypot(*np.subtract(moved[name], moved["A"])) for name in "BC"] == pytest.approx([3, 3])
    assert np.hypot(*np.subtract(moved["B"], moved["C"])) == pytest.approx(6)


@pytest.mark.parametrize("node", [4.0, 12.0, 30.0])
def test_where_links_leave_to_all_sides_a_name_stands_at_a_corner(node: float) -> None:
    centres = {"A": (0.0, 0.0), "up": (0.0, 300.0), "right": (300.0, 0.0), "down": (0.0, -300.0), "left": (-300.0, 0.0)}
    scale = MapScale(letter=6, line=9, node=node, link=2, gap=2)
    place = place_names(centres, [("A", name) for name in centres if name != "A"], scale, EVERYWHERE)["A"]
    assert abs(place.right) > scale.gap
    assert abs(place.up) - scale.line / 2 >= node / 2
