"""Key pools: one end's copy of a key stream, with its level, its thresholds and what it has given away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import simpy

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.monitor import Monitor


class Replenish(StrEnum):
    """When keys are made for a pool."""

    THRESHOLD = "threshold"
    """When a delivery leaves the level at V_i or lower, up to V_r."""
    DEMAND = "demand"
    """So too, and also when a waiting request needs more than the level can serve."""
    CONTINUOUS = "continuous"
    """Whenever there is free capacity; V_i and V_r only stop and resume service."""


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
    """

    capacity: int
    interrupt: int
    recover: int
    reserve: int = 0
    initial: int = 0

    def could_ever_serve(self, keys: int) -> bool:
        """Return whether a pool at V_r serves a request for `keys` keys."""
        return keys + self.reserve <= self.recover

    def stuck_levels(self, sizes: Collection[int]) -> list[int]:
        """Return the levels at which the rule "threshold" leaves a pool stuck, in rising order.

        A pool is stuck above V_i, so that nothing refills it, with too few keys for the next request. `sizes` are
        the numbers of keys that requests take; with a single size d a pool gets stuck permanently exactly when
        ``V_r - d * floor((V_r - reserve) / d) > V_i``. With several sizes a smaller request may set it free again.
        """
        sizes = [size for size in sizes if self.could_ever_serve(size)]
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
class KeyRange:
    """Keys of a stream that belong to one request: `count` keys from index `first` on."""

    first: int
    count: int

    def __str__(self) -> str:
        return f"keys {self.first}-{self.first + self.count - 1}"


class KeyPool(simpy.Container):
    """One end's copy of a key stream: a Container of keys that serves, is interrupted, and recovers.

    It changes its level without the put and get events of a plain Container, for which no process would wait: requests
    wait for keys in a node's request queue, where a policy chooses, and the pool is asked when it suffices.

    Parameters
    ----------
    env : Environment
    thresholds : Thresholds
    key_bits : int
        Length of one key.
    replenish : Replenish

    Attributes
    ----------
    serving : bool
        SERVING (True) or INTERRUPTED.
    on_interrupt, on_free, on_ready : callable
        Called when service stops (key generation starts a refill), when keys have left (capacity is free),
        and when keys have come in while serving (resource management scans its queue).
    level_monitor : Monitor
        The level over time.
    interrupted, stuck : Monitor
        1 while the pool is INTERRUPTED; 1 while it is SERVING, gets no keys, and has too few for a waiting request.
    interrupts : int
        How often service was interrupted.
    stored, claimed, used, voided : int
        Keys that ever came in; and of those that left the level, the keys set aside for requests, delivered to
        requests, and discarded. ``stored == level + claimed + used + voided`` at all times.
    excess_bits : int
        Bits of the used keys that requests had to take and did not need.
    """

    def __init__(self, env: Environment, thresholds: Thresholds, key_bits: int, replenish: Replenish) -> None:
        super().__init__(env, capacity=thresholds.capacity)
        self.env = env
        self.thresholds = thresholds
        self.key_bits = key_bits
        self.replenish = replenish
        self.serving = True
        self.on_interrupt: Callable[[], None] = lambda: None
        self.on_free: Callable[[], None] = lambda: None
        self.on_ready: Callable[[], None] = lambda: None
        self.level_monitor = Monitor()
        self.interrupted = Monitor()
        self.stuck = Monitor()
        self.interrupts = 0
        self.stored = self.claimed = self.used = self.voided = 0
        self.excess_bits = 0
        self.history: list[tuple[int, int]] | None = None
        self._keys: dict[int, int] = {}
        self._next = 0
        self._wants: dict[int, int] = {}
        self._aside: set[int] = set()
        self._deferred: list[Callable[[], None]] = []

    # Level and state

    @property
    def free(self) -> int:
        """How many more keys fit in."""
        return self.thresholds.capacity - int(self._level)

    def can_serve(self, keys: int) -> bool:
        """Return whether the pool, as it stands, serves a request for `keys` keys."""
        sizes = self.thresholds
        return self.serving and self._level > sizes.interrupt and self._level - keys >= sizes.reserve

    def want(self, request_id: int, keys: int) -> None:
        """Note that a request waits for `keys` keys of this pool."""
        self._wants[request_id] = keys

    def unwant(self, request_id: int) -> None:
        """Note that a request no longer waits for this pool."""
        self._wants.pop(request_id, None)

    def review(self) -> None:
        """Interrupt service if that is due, and note whether the pool is stuck.

        To be called when a delivery, a recovery or a new waiting request has changed what the rules depend on, and
        after the other end has been notified of the delivery: a refill must not start before.
        """
        left = self._level - self.thresholds.reserve
        blocks = any(keys > left for keys in self._wants.values())
        due = self._level <= self.thresholds.interrupt or (blocks and self.replenish is Replenish.DEMAND)
        if self.serving and due:
            self.serving = False
            self.interrupts += 1
            self.interrupted.set(1, self.env.now)
            self.on_interrupt()
        stuck = self.serving and blocks and self.replenish is not Replenish.CONTINUOUS
        if stuck != self.stuck.value:
            self.stuck.set(int(stuck), self.env.now)

    def reset_statistics(self, now: int) -> None:
        """Forget what was observed before tick `now`; the counts of keys go on."""
        for monitor in (self.level_monitor, self.interrupted, self.stuck):
            monitor.reset(now)
        self.interrupts = 0

    def _set_level(self, level: int) -> None:
        assert 0 <= level <= self.thresholds.capacity, f"level {level} outside 0..{self.thresholds.capacity}"
        self._level = level
        self.level_monitor.set(level, self.env.now)
        if self.history is not None:
            self.history.append((self.env.now, level))

    # Keys in and out

    def store(self, keys: Sequence[int], filled: bool = False) -> None:
        """Take in the next keys of the stream; resume service if the level is back at V_r or the pool is `filled`."""
        before, self.stored = self.stored, self.stored + len(keys)
        self._keys.update(zip(range(before, self.stored), keys, strict=True))
        self._set_level(int(self._level) + len(keys))
        if not self.serving and (filled or self._level >= self.thresholds.recover):
            self.serving = True
            self.interrupted.set(0, self.env.now)
        deferred, self._deferred = self._deferred, []
        for action in deferred:
            action()
        if self.serving:
            self.on_ready()

    def has(self, keys: KeyRange) -> bool:
        """Return whether all of `keys` have come in."""
        return keys.first + keys.count <= self.stored

    def defer(self, action: Callable[[], None]) -> None:
        """Call `action` when keys come in next."""
        self._deferred.append(action)

    def claim(self, count: int) -> KeyRange:
        """Set the next `count` keys aside for a request, as the end that chooses."""
        keys = KeyRange(self._next, count)
        self._next += count
        self.hold(keys)
        return keys

    def hold(self, keys: KeyRange) -> bool:
        """Set aside `keys`, which must have come in; return False if they had been set aside before."""
        if keys.first in self._aside or keys.first not in self._keys:
            return False
        self._aside.add(keys.first)
        self.claimed += keys.count
        self._set_level(int(self._level) - keys.count)
        self.on_free()
        return True

    def use(self, keys: KeyRange) -> int:
        """Give away `keys`, which were set aside, joined to one number, the first key leading."""
        self._aside.remove(keys.first)
        self.claimed -= keys.count
        self.used += keys.count
        joined, bits = 0, self.key_bits
        for key in map(self._keys.pop, range(keys.first, keys.first + keys.count)):
            joined = joined << bits | key
        return joined

    def void(self, keys: KeyRange) -> None:
        """Discard `keys`, which were set aside or have been used by a request that is now cancelled."""
        if keys.first in self._aside:
            self.use(keys)
        self.used -= keys.count
        self.voided += keys.count
