"""Monitors: numbers that change over time, with their time-weighted mean and their extremes."""

from __future__ import annotations


class Monitor:
    """A quantity observed from one reset to the next.

    Parameters
    ----------
    value : int
        Its initial value.

    Attributes
    ----------
    value, low, high : int
        The current value, the smallest and the largest since the last reset.
    """

    __slots__ = ("_area", "_since", "_start", "high", "low", "value")

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.reset(0)

    def reset(self, now: int) -> None:
        """Forget what was observed before tick `now`."""
        self._area = 0
        self._since = self._start = now
        self.low = self.high = self.value

    def set(self, value: int, now: int) -> None:
        """Change the value at tick `now`."""
        self._area += self.value * (now - self._since)
        self._since = now
        self.value = value
        if value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value

    def integral(self, now: int) -> int:
        """Return the integral over time up to `now`; for a monitor of 0 and 1, the ticks spent at 1."""
        return self._area + self.value * (now - self._since)

    def mean(self, now: int) -> float:
        """Return the time-weighted mean up to `now` (the current value if no time has passed)."""
        return self.integral(now) / (now - self._start) if now > self._start else float(self.value)


class PresenceMonitor(Monitor):
    """1 while at least one of several things is there, 0 while there is none."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def enter(self, now: int) -> None:
        """Count one more from tick `now` on."""
        self._count += 1
        if self._count == 1:
            self.set(1, now)

    def leave(self, now: int) -> None:
        """Count one less from tick `now` on."""
        self._count -= 1
        if self._count == 0:
            self.set(0, now)
