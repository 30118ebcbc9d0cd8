"""What values the parameters of key-rate models may have: a name means the same in all of them."""

from __future__ import annotations

import dataclasses
from typing import Any

_RANGES: dict[str, tuple[float, float, str]] = {
    "background_yield": (0, 0.1, ""),
    "basis_probability": (0.001, 0.999, ""),
    "block_size": (0, 1e15, ""),
    "correctness": (1e-30, 0.1, ""),
    "dark_count_probability": (0, 0.1, ""),
    "decoy_photons": (1e-6, 10, ""),
    "decoy_probability": (1e-6, 0.999, ""),
    "detector_efficiency": (1e-6, 1, ""),
    "electronic_noise": (0, 10, " shot-noise units"),
    "error_correction_efficiency": (1, 10, ""),
    "excess_noise": (0, 10, " shot-noise units"),
    "mean_pairs": (1e-6, 10, ""),
    "misalignment": (0, 0.5, ""),
    "modulation_variance": (1e-3, 1e4, " shot-noise units"),
    "phase_slices": (2, 1024, ""),
    "pulse_rate_hz": (1, 1e11, " Hz"),
    "qber_limit": (1e-6, 0.5, ""),
    "rate_0db_bps": (1e-12, 1e12, " bit/s"),
    "reconciliation_efficiency": (0.01, 1, ""),
    "secrecy_per_bit": (1e-30, 0.1, ""),
    "sifting": (1e-6, 1, ""),
    "signal_photons": (1e-6, 10, ""),
    "signal_probability": (1e-6, 0.999, ""),
    "vacuum_photons": (0, 1, ""),
}


def range_of(field: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a parameter may have."""
    low, high, _ = _RANGES[field]
    return low, high


def check(field: str, value: object, good: bool, allowed: str) -> None:
    """Raise a ValueError, ``pulse_rate_hz = -1 must be ...``, if a value is not good."""
    if not good:
        raise ValueError(f"{field} = {value!r} must be {allowed}")


def check_parameters(model: Any) -> None:
    """Check the parameters of a model that have a range.

    Raises
    ------
    ValueError
        If one is outside its range.
    """
    for field in dataclasses.fields(model):
        if field.name in _RANGES:
            (low, high, unit), value = _RANGES[field.name], getattr(model, field.name)
            check(field.name, value, low <= value <= high, f"from {low:g} to {high:g}{unit}")
