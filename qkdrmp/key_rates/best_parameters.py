"""The parameters of a key-rate model that are best for a loss."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Self, TypeVar

import numpy as np
import scipy

from qkdrmp.key_rates.ranges import range_of
from qkdrmp.key_rates.secret_keys import SecretKeyModel

DIGITS = 4
"""Significant digits of a parameter that was searched for: so many that all machines agree on them."""

GRID = 121

M = TypeVar("M", bound=SecretKeyModel)


class TunableModel(SecretKeyModel):
    """A model of which one parameter may be chosen for the loss of each link.

    Attributes
    ----------
    optimise : bool
        Whether it is.
    searched : str
        Its name.
    """

    optimise: bool
    searched: ClassVar[str] = "signal_photons"

    def tuned(self, loss_db: float) -> Self:
        """Return the model with the best value of that parameter for a loss, if it is to be optimised."""
        return with_best(self, self.searched, *range_of(self.searched), loss_db) if self.optimise else self


def with_best(model: M, field: str, low: float, high: float, loss_db: float) -> M:
    """Return a copy of a model with the value of a field that gives most secret bits per pulse at a loss.

    Parameters
    ----------
    model : SecretKeyModel
    field : str
        Of which the secret bits have one maximum.
    low, high : float
        Where it is searched for, on a logarithmic scale (> 0).
    loss_db : float
    """

    def secret(exponent: float) -> float:
        return copy_with(model, {field: 10**exponent}).per_pulse(loss_db).secret

    grid = np.linspace(math.log10(low), math.log10(high), GRID)
    top = int(np.argmax([secret(point) for point in grid]))
    around = (grid[max(top - 1, 0)], grid[min(top + 1, GRID - 1)])
    found = scipy.optimize.minimize_scalar(lambda point: -secret(point), bounds=around, method="bounded")
    return copy_with(model, {field: rounded(float(10**found.x))})


def copy_with(model: M, changes: dict[str, float]) -> M:
    """Return a copy of a model with other values of some fields."""
    return dataclasses.replace(model, **changes)  # type: ignore[type-var]


def rounded(value: float) -> float:
    """Return a value with `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")
