"""Entropies, in bits."""

from __future__ import annotations

import math


def binary_entropy(probability: float) -> float:
    """Return h(p) = -p log2 p - (1 - p) log2(1 - p): 0 at 0, 1 at 1/2; 1 beyond, where an error rate says nothing."""
    if probability <= 0:
        return 0.0
    if probability >= 0.5:
        return 1.0
    return -(probability * math.log2(probability) + (1 - probability) * math.log1p(-probability) / math.log(2))


def thermal_entropy(photons: float) -> float:
    """Return g(n) = (n + 1) log2(n + 1) - n log2 n, the entropy of a thermal state of n mean photons."""
    if photons <= 0:
        return 0.0
    return (photons + 1) * math.log1p(photons) / math.log(2) - photons * math.log2(photons)
