"""Key pools: one end's copy of a key stream, with its level, its state, and an account of its keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import simpy
from simpy.resources.base import Put
from simpy.resources.container import ContainerGet

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.monitor import Monitor
from qkdrmp.kernel.simpy_marks import PastPut, RuledContainer
from qkdrmp.qkd.keys.key_get import KeyGet, KeyRange, PoolOwner
from qkdrmp.qkd.keys.thresholds import Replenish, StreamSettings


class KeyPool(RuledContainer):
    """One end's copy of a key stream: a Container of keys that serves, is interrupted, and recovers.

    ``keys = yield pool.get(5)`` waits until the rules allow to serve 5 keys, first come, first served, and has them set
    aside at both ends; ``bits = pool.use(keys)`` then gives the same bits at either. ``pool.put(5)`` adds 5 new keys at
    both ends. A `KeyStream` makes its two pools; the downstream one chooses the keys, and decides for both whether they
    serve.

    The protocol waits for no events here. Its requests wait in a node's request queue, where a policy chooses, and it
    calls what put and get call: `store`, `claim` and `hold`, each at one copy.

    Parameters
    ----------
    env : simpy.Environment
    stream : KeyStream
        Whose keys it holds.
    settings : StreamSettings

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
        Keys that ever came in; and of those that left the level, the keys set aside, used, and discarded.
        ``stored == level + claimed + used + voided`` at all times.
    excess_bits : int
        Bits of the used keys that requests had to take and did not need.
    taken_by, voided_for : Counter
        Of the keys chosen here, how many the requests of each pair of users have taken; and how many were discarded
        again, with which request.
    history : list of (int, int) or None
        Every change of the level, as a tick and the level from then on, if it is to be recorded.
    """

    def __init__(self, env: simpy.Environment, stream: PoolOwner, settings: StreamSettings) -> None:
        super().__init__(env, capacity=settings.thresholds.capacity)
        self.env = cast(Environment, env)
        self.stream = stream
        self.settings = settings
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
        self.taken_by: Counter[tuple[str, str]] = Counter()
        self.voided_for: Counter[int] = Counter()
        self.history: list[tuple[int, int]] | None = None
        self._next = 0
        self._before = 0
        self._taken: dict[int, int] = {}
        self._wants: dict[int, int] = {}
        self._aside: set[int] = set()
        self._deferred: list[Callable[[], None]] = []

    # As a Container

    @property
    def level(self) -> int:
        """Keys in the pool, those set aside not counted."""
        return self.level_monitor.value

    def put(self, count: int) -> Put[Any]:  # type: ignore[override]  # no ContainerPut: there is nothing to wait for
        """Add new keys at both ends; those that find no free capacity are dropped and counted.

        Returns
        -------
        simpy.resources.base.Put
            An event that has happened already; its value is the number of keys that found free capacity.

        Raises
        ------
        ValueError
            If `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"count = {count} must be at least 1")
        return PastPut(self.env, self.stream.put(count))

    def get(self, count: int) -> KeyGet:  # type: ignore[override]  # a ContainerGet of keys
        """Return the event that `count` keys are set aside for the caller; its value is their `KeyRange`.

        Like any get of SimPy it can be cancelled, used in a ``with`` statement, and joined to other events by ``|`` and
        ``&``. At the copy upstream it happens one delay after the keys were claimed downstream.

        Raises
        ------
        ValueError
            If `count` is below 1 or more than the pool could ever serve.
        """
        most = self.settings.thresholds.capacity - self.settings.thresholds.reserve
        if not 1 <= count <= most:
            raise ValueError(f"count = {count} must be 1 to {most}, the capacity without the reserve")
        return KeyGet(self.stream, self, count)

    def may_get(self, get: ContainerGet) -> bool:
        """Return whether a waiting get can be served now."""
        return self.can_serve(int(get.amount))

    def grant(self, get: KeyGet) -> None:  # type: ignore[override]  # pools have no other gets
        """Serve a get."""
        self.stream.claim_for(get)

    def serve_gets(self) -> None:
        """Serve the gets that wait, as far as the rules allow, and look at the rules again."""
        super().serve_gets()
        self.review()

    # Level and state

    @property
    def free(self) -> int:
        """How many more keys fit in."""
        return self.settings.thresholds.capacity - self.level_monitor.value

    def can_serve(self, keys: int) -> bool:
        """Return whether the pool, as it stands, serves a request for `keys` keys."""
        sizes, level = self.settings.thresholds, self.level_monitor.value
        return self.serving and level > sizes.interrupt and level - keys >= sizes.reserve

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
        blocks, replenish = self._is_short(), self.settings.replenish
        below = self.level_monitor.value <= self.settings.thresholds.interrupt
        interrupts = self.serving and (below or (blocks and replenish is Replenish.DEMAND))
        if interrupts:
            self.serving = False
            self.interrupts += 1
            self.interrupted.set(1, self.env.now)
        stuck = self.serving and blocks and replenish is not Replenish.CONTINUOUS
        if stuck != self.stuck.value:
            self.stuck.set(int(stuck), self.env.now)
        if interrupts:
            self.on_interrupt()

    def _is_short(self) -> bool:
        """Return whether the level cannot serve one of the requests, or the first get, that wait for it."""
        left = self.level_monitor.value - self.settings.thresholds.reserve
        if self._wants and max(self._wants.values()) > left:
            return True
        return bool(self.get_queue) and int(self.get_queue[0].amount) > left

    def reset_statistics(self, now: int) -> None:
        """Forget what was observed before tick `now`; the counts of keys go on."""
        for monitor in (self.level_monitor, self.interrupted, self.stuck):
            monitor.reset(now)
        self.interrupts = 0

    def _set_level(self, level: int) -> None:
        capacity = self.settings.thresholds.capacity
        assert 0 <= level <= capacity, f"level {level} outside 0..{capacity}"
        self.level_monitor.set(level, self.env.now)
        if self.history is not None:
            self.history.append((self.env.now, level))

    # Keys in and out

    def store(self, count: int, filled: bool = False) -> None:
        """Take in the next keys of the stream; resume service if the level is back at V_r or the pool is `filled`."""
        self.stored += count
        self._set_level(self.level_monitor.value + count)
        if not self.serving and (filled or self.level_monitor.value >= self.settings.thresholds.recover):
            self.serving = True
            self.interrupted.set(0, self.env.now)
        deferred, self._deferred = self._deferred, []
        for action in deferred:
            action()
        if self.get_queue:
            self.serve_gets()
        if self.serving:
            self.on_ready()

    def has(self, keys: KeyRange) -> bool:
        """Return whether all of `keys` have come in."""
        return keys.first + keys.count <= self.stored

    def once_stored(self, keys: KeyRange, action: Callable[[], Any]) -> None:
        """Call `action` as soon as all of `keys` have come in: now, if they have."""
        if self.has(keys):
            action()
        else:
            self._deferred.append(partial(self.once_stored, keys, action))

    def claim(self, count: int) -> KeyRange:
        """Set the next `count` keys aside, as the end that chooses."""
        keys = KeyRange(self._next, count)
        self._next += count
        self.hold(keys)
        return keys

    def hold(self, keys: KeyRange) -> bool:
        """Set aside `keys`, which must have come in; return False if they had been set aside before."""
        if keys.first < self._before or keys.first in self._taken or not self.has(keys):
            return False
        # All keys before the index `_before` have been taken; beyond it, those in `_taken`.
        self._taken[keys.first] = keys.count
        while self._before in self._taken:
            self._before += self._taken.pop(self._before)
        self._aside.add(keys.first)
        self.claimed += keys.count
        self._set_level(self.level_monitor.value - keys.count)
        self.on_free()
        return True

    def use(self, keys: KeyRange) -> int:
        """Return the bits of `keys`, which were set aside, as one number that begins with the first key.

        Raises
        ------
        KeyError
            If they are not set aside at this copy: not yet, or no longer.
        """
        if keys.first not in self._aside:
            raise KeyError(f"{keys} are not set aside here")
        self._aside.remove(keys.first)
        self.claimed -= keys.count
        self.used += keys.count
        return self.stream.bits(keys)

    def void(self, keys: KeyRange) -> None:
        """Discard `keys`, which were set aside or have been used by a request that is now cancelled."""
        if keys.first in self._aside:
            self._aside.remove(keys.first)
            self.claimed -= keys.count
        else:
            self.used -= keys.count
        self.voided += keys.count
