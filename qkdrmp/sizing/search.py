"""The smallest value that will do, where larger ones do as well: several values at a time, few in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def smallest(values: Sequence[int], will_do: Callable[[Sequence[int]], Sequence[bool]]) -> int | None:
    """Return the position of the smallest value that will do; None if the largest one will not.

    Parameters
    ----------
    values : sequence of int
        In rising order; if one will do, all larger ones should.
    will_do : callable
        Answers for some values at once.
    """
    fails, does = -1, len(values)
    while does - fails > 1:
        gap = does - fails
        count = min(AT_A_TIME, gap - 1)
        positions = [fails + gap * (step + 1) // (count + 1) for step in range(count)]
        if does == len(values) and fails == -1:
            positions[-1] = len(values) - 1  # whether any will do
        answers = will_do([values[position] for position in positions])
        for position, answer in zip(positions, answers, strict=True):
            if answer:
                does = min(does, position)
                break
            fails = position
        if fails == len(values) - 1:
            return None
    return does
