"""Designs of experiments: at which points, that is at which values of some fields, a scenario is run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from qkdrmp.errors import ScenarioError

Point = dict[str, Any]
"""The value of each swept field, by its path in the scenario."""

SCALES = ("linear", "log")
NOT_TO_SWEEP = ("kind", "name", "description", "metrics", "sweep")


def checked_grid(over: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of some fields, those of numpy as plain numbers.

    Raises
    ------
    ScenarioError
        If a field cannot be swept, or its values are no list, none, or two with the same name in a table.
    """
    return {path: _checked_values(path, values) for path, values in over.items()}


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Return all combinations of the values of some fields, the last field changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def latin_hypercube(over: Mapping[str, Sequence[Any]], points: int, seed: int = 1) -> list[Point]:
    """Return points that fill a space of several fields evenly: each field has one point in each stratum of its range.

    Parameters
    ----------
    over : mapping of str to sequence
        For each field, by its path, a range as a tuple ``(low, high)``, or ``(low, high, "log")`` for one that is even
        in the logarithm; whole numbers if both ends are. Or a list of values, of which each gets equally many points
        (give or take one).
    points : int
        How many, at least 1.
    seed : int
        Seed of the design; it has nothing to do with that of the runs.

    Returns
    -------
    list of dict
        To be given to `sweep`.

    Raises
    ------
    ScenarioError
        If a range or list is malformed, or a number is not allowed.

    Notes
    -----
    McKay, Beckman and Conover, Technometrics 21 (1979) 239; by `scipy.stats.qmc.LatinHypercube`.

    Examples
    --------
    >>> import qkdrmp
    >>> ranges = {"pools.capacity": (2, 16), "queue.policy": ["fcfs", "priority"]}
    >>> for point in qkdrmp.latin_hypercube(ranges, points=4):
    ...     print(point)
    {'pools.capacity': 6, 'queue.policy': 'fcfs'}
    {'pools.capacity': 10, 'queue.policy': 'fcfs'}
    {'pools.capacity': 16, 'queue.policy': 'priority'}
    {'pools.capacity': 5, 'queue.policy': 'priority'}
    """
    for name, number, least in (("points", points, 1), ("seed", seed, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ScenarioError(f"latin_hypercube: {name} = {number!r} must be a whole number of at least {least}")
    for path, values in over.items():
        _check_path(path)
        if isinstance(values, tuple):
            _check_range(path, values)
        else:
            _checked_values(path, values)
    sampler = scipy.stats.qmc.LatinHypercube(len(over), rng=np.random.default_rng(seed))
    shares = sampler.random(points) if over else np.empty((points, 0))
    return [
        {path: _at(values, float(share), points) for (path, values), share in zip(over.items(), row, strict=True)}
        for row in shares
    ]


def _at(values: Sequence[Any], share: float, strata: int) -> Any:
    """Return the value at a share, from 0 up to 1, of a range; or, of a list, the one that belongs to its stratum."""
    if not isinstance(values, tuple):
        return values[int(share * strata) % len(values)]
    low, high = values[:2]
    if isinstance(low, int) and isinstance(high, int):
        if values[2:] == ("log",):
            return min(high, int(low * ((high + 1) / low) ** share))
        return low + int(share * (high + 1 - low))
    return low * (high / low) ** share if values[2:] == ("log",) else low + share * (high - low)


def _check_range(path: str, values: tuple[Any, ...]) -> None:
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in values[:2])
    if not (2 <= len(values) <= 3 and numbers and (len(values) == 2 or values[2] in SCALES)):
        raise ScenarioError(f'{path} = {values!r} must be a range, (low, high) or (low, high, "log"), or a list')
    low, high = values[:2]
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ScenarioError(f"{path} = {values!r} must be a range whose low end is below its high end")
    if values[2:] == ("log",) and low <= 0:
        raise ScenarioError(f"{path} = {values!r} must be above 0, because its scale is logarithmic")


def checked_points(over: Any) -> list[Point]:
    """Return a list of points, numbers of numpy as plain numbers.

    Raises
    ------
    ScenarioError
        If there is none, a field cannot be swept, or two points or values have the same name in a table.
    """
    points = list(over) if isinstance(over, Iterable) and not isinstance(over, str) else [over]
    if not points:
        raise ScenarioError("sweep: points = [] must have at least one entry")
    for number, point in enumerate(points, start=1):
        if not isinstance(point, Mapping):
            raise ScenarioError(f"sweep: point {number} = {point!r} must be a table of fields and their values")
        for path in point:
            _check_path(path)
    plain = [{path: _plain(value) for path, value in point.items()} for point in points]
    for path in varied(plain):
        _check_labels(path, [point[path] for point in plain if path in point])
    names = [{path: label(value) for path, value in point.items()} for point in plain]
    for number, name in enumerate(names):
        if (first := names.index(name)) < number:
            raise ScenarioError(f"sweep: point {number + 1} = {name} must differ from point {first + 1}")
    return plain


def _checked_values(path: str, values: Any) -> list[Any]:
    """Return the values of one swept field, those of numpy as plain numbers."""
    _check_path(path)
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ScenarioError(f"sweep.over: {path} = {values!r} must be a list")
    plain = [_plain(value) for value in values]
    labels = [label(value) for value in plain]
    repeated = [name for number, name in enumerate(labels) if name in labels[:number]]
    if not plain:
        raise ScenarioError(f"sweep.over: {path} = [] must have at least one value")
    if repeated:
        raise ScenarioError(
            f"sweep.over: {path} has two values called {repeated[0]!r}; no table could distinguish them"
        )
    return plain


def _check_path(path: str) -> None:
    if path.partition(".")[0] in NOT_TO_SWEEP:
        raise ScenarioError(f"sweep.over: {path} cannot be swept, because it does not change a run")


def _check_labels(path: str, values: Iterable[Any]) -> None:
    """Refuse different values of the same name, which no table could distinguish."""
    named: dict[Any, Any] = {}
    for value in values:
        if named.setdefault(label(value), value) is not value and named[label(value)] != value:
            raise ScenarioError(
                f"sweep: {path} has two values called {label(value)!r}; no table could distinguish them"
            )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def label(value: Any) -> Any:
    """Return how a swept value is written in a table: functions and objects by their name."""
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if value is None or isinstance(value, str | int | float):
        return value
    # The default text of an object is its address, which differs from process to process.
    return type(value).__name__ if str(value) == object.__repr__(value) else str(value)


def varied(points: Iterable[Point]) -> Iterator[str]:
    """Yield the paths of all fields that points set, in the order in which they come up."""
    yield from dict.fromkeys(path for point in points for path in point)
