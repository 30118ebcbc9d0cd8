"""The smallest value that will do, where larger ones do as well: several values at a time, few in all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

AT_A_TIME = 3
LARGEST_STEP = 0.05


def lattice(least: int, most: int) -> list[int]:
    """Return whole numbers from `least` to `most`, in steps of one or of 5 %, whichever is more.

    Examples
    --------
    >>> lattice(1, 6), lattice(98, 112)
    ([1, 2, 3, 4, 5, 6], [98, 102, 107, 112])
    """
    values = [least]
    while values[-1] < most:
        values.append(min(values[-1] + max(1, int(LARGEST_STEP * values[-1])), most))
    return values


def smallest(
    values: Sequence[Any], will_do: Callable[[Sequence[Any]], Sequence[bool]], start: float | None = None
) -> int | None:
    """Return the position of the smallest value that will do; None if the largest one will not.

    Parameters
    ----------
    values : sequence of float
        In rising order; if one will do, all larger ones should.
    will_do : callable
        Answers for some values at once.
    start : float, optional
        A guess; by default the smallest value.
    """
    fails, does = -1, len(values)
    guess = values[0] if start is None else start
    while does - fails > 1:
        if does == len(values):  # none is known to do: twice as much, and again
            wanted = [guess * factor for factor in (0.5, 1, 2)]
            guess *= 2**AT_A_TIME
        else:
            count = min(AT_A_TIME, does - fails - 1)
            wanted = [values[fails + (does - fails) * (step + 1) // (count + 1)] for step in range(count)]
        places = sorted({max(min(bisect_right(values, value) - 1, does - 1), fails + 1) for value in wanted})
        for place, answer in zip(places, will_do([values[place] for place in places]), strict=True):
            if answer:
                does = place
                break
            fails = place
    return does if does < len(values) else None
