from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.kernel.numbers import NumberSet


@given(st.sets(st.integers(0, 300)), st.integers(0, 400))
def test_it_has_what_was_added_and_nothing_else(numbers: set[int], largest: int) -> None:
    made = NumberSet()
    for number in numbers:
        made.add(number)
    assert {number for number in range(largest) if number in made} == {n for n in numbers if n < largest}


def test_a_number_takes_a_bit() -> None:
    made = NumberSet()
    made.add(10**6)
    assert made._bits.__sizeof__() < 10**6 / 8 + 100
