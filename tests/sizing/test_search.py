"""The search finds the smallest value that will do, with few questions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.sizing.search import lattice, smallest


@given(st.integers(1, 2500), st.integers(1, 3000))
def test_the_smallest_is_found_from_any_guess(limit: int, start: int) -> None:
    values = lattice(1, 2000)
    rounds: list[list[int]] = []

    def will_do(some: list[int]) -> list[bool]:
        rounds.append(list(some))
        return [value >= limit for value in some]

    place = smallest(values, will_do, start)
    assert place == next((number for number, value in enumerate(values) if value >= limit), None)
    asked = [value for some in rounds for value in some]
    assert len(asked) == len(set(asked))
    assert len(rounds) <= 9
    assert all(list(some) == sorted(some) and len(some) <= 3 for some in rounds)


def test_little_is_asked_far_above_a_small_answer() -> None:
    asked: list[int] = []

    def will_do(some: list[int]) -> list[bool]:
        asked.extend(some)
        return [value >= 6 for value in some]

    assert smallest(lattice(1, 2000), will_do, 16) == 5
    assert max(asked) <= 32
