"""The sizes of key pools, the rules by which they are filled, and the levels at which a rule leaves one stuck."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Replenish(StrEnum):
    """When keys are made for a pool."""

    THRESHOLD = "threshold"
    """When a delivery leaves the level at V_i or lower, up to V_r."""
    DEMAND = "demand"
    """As with "threshold", and also when a waiting request needs more than the level can serve."""
    CONTINUOUS = "continuous"
    """Whenever there is free capacity; V_i and V_r only stop and resume service. Waiting requests keep their order."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The sizes of a pool, all in keys.

    Parameters
    ----------
    capacity : int
        V_m, the most the pool can hold (>= 1).
    interrupt : int
        V_i: a delivery that leaves the level here or lower interrupts service (0 <= V_i < V_r).
    recover : int
        V_r: service resumes when the level is back here (V_r <= V_m).
    reserve : int
        Keys that must remain after a delivery (>= 0).
    initial : int
        Level at time 0 (0 <= initial <= V_m).

    Raises
    ------
    ValueError
        If the sizes are not in this order.
    """

    capacity: int
    interrupt: int
    recover: int
    reserve: int = 0
    initial: int = 0

    def __post_init__(self) -> None:
        for name in ("interrupt", "reserve", "initial"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 0")
        if not self.interrupt < self.recover:
            raise ValueError(
                f"interrupt = {self.interrupt} must be less than recover = {self.recover} "
                f"(both in keys, of a capacity of {self.capacity})"
            )
        if self.recover > self.capacity:
            raise ValueError(f"recover = {self.recover} must be at most the capacity = {self.capacity}")
        if self.initial > self.capacity:
            raise ValueError(f"initial = {self.initial} must be at most the capacity = {self.capacity}")

    def stuck_levels(self, sizes: Collection[int]) -> list[int]:
        """Return the levels at which the rule "threshold" leaves a pool stuck, in rising order.

        A pool is stuck above V_i, so that nothing refills it, with too few keys for the next request. `sizes` are
        the numbers of keys that requests take; with a single size d a pool gets stuck permanently exactly when
        ``V_r - d * floor((V_r - reserve) / d) > V_i``. With several sizes a smaller request may set it free again.
        """
        sizes = [size for size in sizes if size + self.reserve <= self.recover]
        reached = {self.recover} | ({self.initial} if self.initial > self.interrupt else set())
        todo, stuck = list(reached), set()
        while todo:
            level = todo.pop()
            after = {level - size for size in sizes if level - size >= self.reserve}
            if any(level - size < self.reserve for size in sizes):
                stuck.add(level)
            fresh = {low for low in after if low > self.interrupt} - reached
            reached |= fresh
            todo += fresh
        return sorted(stuck)


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What holds for one key stream, of which each end has a copy.

    Parameters
    ----------
    thresholds : Thresholds
    key_bits : int
        Length of one key, in bits (>= 1).
    replenish : Replenish
        When devices make keys.
    block_keys : int
        Keys that devices make at a time under continuous replenishment (>= 1).
    refill_lead_delays : float, optional
        None: the downstream end asks for a refill by REFILL. A number: no message, and a refill starts that many
        one-way delays after it is due (QNET: 5).
    """

    thresholds: Thresholds
    key_bits: int = 32
    replenish: Replenish = Replenish.DEMAND
    block_keys: int = 1
    refill_lead_delays: float | None = None

    def keys_for(self, bits: int) -> int:
        """Return how many keys a request for `bits` bits takes."""
        return -(-bits // self.key_bits)

    @property
    def most_keys(self) -> int:
        """How many keys of a pool a request may take at most: what it holds when keys are made no more."""
        sizes = self.thresholds
        return (sizes.capacity if self.keeps_order else sizes.recover) - sizes.reserve

    @property
    def keeps_order(self) -> bool:
        """Whether a request that waits for keys is not passed by those behind it.

        So that it gets them in the end: the level rises to the capacity, if nobody takes from it. By the other rules
        pools that a request waits for are refilled for it.
        """
        return self.replenish is Replenish.CONTINUOUS

    def stuck_levels(self, sizes: Collection[int]) -> list[int]:
        """Return the levels at which the pools can get stuck, with requests of these `sizes` in bits."""
        if self.replenish is not Replenish.THRESHOLD:
            return []
        return self.thresholds.stuck_levels({self.keys_for(bits) for bits in sizes})
