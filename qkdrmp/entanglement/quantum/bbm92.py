"""Keys from pairs, by the protocol of Bennett, Brassard and Mermin (PRL 68, 557 (1992)), BBM92.

Both users measure each of their halves in X or Z, drawn at random, and keep the bits of the pairs that both have
measured in the same basis: the sifted key. What of it is secret follows from the error rates in the two bases, in
the limit of long keys (Shor and Preskill, PRL 85, 441 (2000)): an error rate in X says what an eavesdropper may know
of bits in Z.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import log2, nan
from typing import Literal

KeyBasis = Literal["X", "Z"]

KEY_BASES: tuple[KeyBasis, KeyBasis] = ("X", "Z")


def binary_entropy(share: float) -> float:
    """Return the entropy, in bits, of a bit that is 1 with a probability (0 to 1)."""
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share} must be from 0 to 1")
    return -sum(p * log2(p) for p in (share, 1 - share) if p > 0)


def secret_share(error_x: float, error_z: float, efficiency: float = 1.16) -> float:
    """Return the secret bits in a sifted bit: max(0, 1 - h(e_x) - f h(e_z)).

    Parameters
    ----------
    error_x, error_z : float
        Error rates in the two bases (0 to 1).
    efficiency : float
        f: how many times the least possible the error correction discloses (>= 1).
    """
    return max(0.0, 1 - binary_entropy(error_x) - efficiency * binary_entropy(error_z))


@dataclass(slots=True)
class SiftedKey:
    """What two users have measured in the same bases: how many pairs in each, and how many of them differed."""

    pairs: Counter[KeyBasis] = field(default_factory=Counter)
    errors: Counter[KeyBasis] = field(default_factory=Counter)

    def add(self, basis: KeyBasis, differs: bool) -> None:
        """Count a pair."""
        self.pairs[basis] += 1
        self.errors[basis] += differs

    @property
    def sifted(self) -> int:
        """Bits of the sifted key."""
        return self.pairs.total()

    def error_rate(self, basis: KeyBasis) -> float:
        """Return the share of pairs measured in a basis that differed; nan if there is none."""
        return self.errors[basis] / self.pairs[basis] if self.pairs[basis] else nan

    def secret_bits(self, efficiency: float) -> float:
        """Return how many bits of the key are secret (see `secret_share`); 0 before both bases have been used."""
        if not all(self.pairs[basis] for basis in KEY_BASES):
            return 0.0
        return self.sifted * secret_share(self.error_rate("X"), self.error_rate("Z"), efficiency)
