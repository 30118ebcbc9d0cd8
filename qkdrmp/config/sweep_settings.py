"""The sweep section of a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qkdrmp.config.points import Point, latin_hypercube
from qkdrmp.config.sections import sentences


class Range(BaseModel):
    """A range of numbers, for a Latin hypercube.

    Attributes
    ----------
    low, high : int or float
        Its ends; whole numbers are drawn if both are whole.
    scale : str
        In what it is even: ``linear`` or ``log``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float
    high: int | float
    scale: Literal["linear", "log"] = "linear"


class SweepSettings(BaseModel):
    """What `sweep` does by default.

    Attributes
    ----------
    over : dict of str to list or Range
        Values for each swept field, by its path in the scenario; all combinations are run. With `latin_hypercube` a
        field may also have a `Range`.
    points : list of dict
        Points to run instead of a grid: each a table of fields, by their path, and their values.
    latin_hypercube : int, optional
        Number of points of a Latin hypercube over `over`, instead of all combinations.
    replications : int
        How often each point is run, with other random numbers each time; at least as often with `precision`.
    precision : float, optional
        Replications are added at each point until the 95 % interval of `metric` is at most this share of the
        mean to either side.
    metric : str, optional
        The metric for `precision`; by default the family's own, such as ``requests_delivered``.
    max_replications : int
        No point gets more replications than this, whatever the `precision`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    over: dict[str, Any] = {}
    points: list[dict[str, Any]] = []
    latin_hypercube: Annotated[int, Field(strict=True, ge=1)] | None = None
    replications: Annotated[int, Field(strict=True, ge=1)] = 1
    precision: Annotated[float, Field(gt=0)] | None = None
    metric: str | None = None
    max_replications: Annotated[int, Field(strict=True, ge=2)] = 100

    @field_validator("over")
    @classmethod
    def _check_values(cls, over: dict[str, Any]) -> dict[str, list[Any] | Range]:
        return {path: _values(path, values) for path, values in over.items()}

    @model_validator(mode="after")
    def _check_design(self) -> Self:
        if self.points and (self.over or self.latin_hypercube):
            raise ValueError("give either points, or over")
        ranges = [path for path, values in self.over.items() if isinstance(values, Range)]
        if ranges and self.latin_hypercube is None:
            raise ValueError(f"over: {ranges[0]} must be a list, or give latin_hypercube, the number of points")
        return self

    def design(self, seed: int) -> Mapping[str, Any] | list[Point]:
        """Return a grid, or the points to run; those of a Latin hypercube are drawn by `seed`."""
        if self.points:
            return self.points
        if self.latin_hypercube is None:
            return self.over
        return latin_hypercube(
            {path: _limits(values) for path, values in self.over.items()}, self.latin_hypercube, seed
        )


def _values(path: str, values: Any) -> list[Any] | Range:
    """Return the values of a swept field, or the range that a table describes."""
    if isinstance(values, Mapping) and "low" in values:
        try:
            return Range.model_validate(values)
        except ValidationError as error:
            raise ValueError("\n".join(f"{path}: {line}" for line in sentences(error, Range))) from None
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise ValueError(f"{path} = {values!r} must be a list, or a range such as {{ low = 4, high = 64 }}")
    if not values:
        raise ValueError(f"{path} = [] must have at least one value")
    return list(values)


def _limits(values: list[Any] | Range) -> Sequence[Any]:
    return (values.low, values.high, values.scale) if isinstance(values, Range) else values
