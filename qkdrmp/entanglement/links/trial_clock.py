"""The trial clock: trials of a link are numbered by time, so that both ends give a trial the same number."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.links.models import TrialLaw


@dataclass(frozen=True, slots=True)
class TrialClock:
    """The numbering of trials: slot = floor((t - origin) / T), trial = slot * lanes + lane.

    It counts time, not attempts: a trial that cannot be attempted uses up its number all the same.

    Parameters
    ----------
    lanes : int
        Trials that run side by side (>= 1).
    slot_ticks : int
        Time T of a slot, in ticks (>= 1).
    starts : tuple of int
        When the sender and the receiver start a trial, in ticks after the start of its slot (>= 0).
    origin : int
        The tick at which slot 0 starts.
    """

    lanes: int
    slot_ticks: int
    starts: tuple[int, int] = (0, 0)
    origin: int = 0

    @classmethod
    def of(cls, law: TrialLaw, lanes: int, origin: int = 0) -> TrialClock:
        """Return the clock of a link with trials of this law."""
        return cls(lanes, law.slot_ticks, law.starts, origin)

    def slot_start(self, slot: int) -> int:
        """Return the tick at which `slot` starts."""
        return self.origin + slot * self.slot_ticks

    def next_slot(self, end: int, now: int) -> int:
        """Return the first slot whose trials have not started at `end` (0 sender, 1 receiver) before tick `now`."""
        return max(0, -((self.origin + self.starts[end] - now) // self.slot_ticks))

    def next_trial(self, end: int, now: int) -> int:
        """Return the first trial that has not started at `end` before tick `now`; one that starts at `now` has not."""
        return self.next_slot(end, now) * self.lanes

    def trial_start(self, trial: int, end: int) -> int:
        """Return the tick at which `end` starts `trial`."""
        return self.slot_start(trial // self.lanes) + self.starts[end]
