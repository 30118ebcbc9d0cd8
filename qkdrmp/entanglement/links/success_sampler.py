"""Which trials of a link succeed: a stream of successes for each owner, without any clock running.

Which trials an end attempts depends on the memories of their owner, and thus is little else than a limit of its
stream (see `success_stream`); only memories that are reserved for nobody may be taken by the trials of others before.
So which trials an end really attempts is asked when the slot is heralded: what it did not attempt has not succeeded.
Where it is not known in advance to whom the ends give a trial (owners do not repeat, or the ends differ), all such
trials are one stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.own_trials import SlotOrder, first_lane, turns_of
from qkdrmp.entanglement.links.policies import LinkPolicy
from qkdrmp.entanglement.links.schedule import Owner, Regions, TrialSchedule, clip, governing
from qkdrmp.entanglement.links.success_stream import Limits, SuccessCandidate, SuccessGaps, SuccessStream
from qkdrmp.entanglement.links.trial_clock import TrialClock
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER


class SlotSuccess(NamedTuple):
    """A trial that succeeds if both ends attempt it.

    Parameters
    ----------
    trial : int
    rank : int or None
        Its rank among the trials of its owner in the slot, if both ends give these to the same one.
    owners : tuple of AttemptId
        To whom the sender and the receiver give it.
    """

    trial: int
    rank: int | None
    owners: tuple[AttemptId, AttemptId]


class SuccessSampler:
    """The successes of a link, as a function of a random generator, P, the trial clock, regions and limits.

    Each step that draws successes returns the slots in which there may be some and that have not been returned yet.
    The caller presents each of them (`realise`, then `resume`) at the tick of its first herald, in order of time and
    after everything else that happens at that tick.

    Parameters
    ----------
    clock : TrialClock
    policy : LinkPolicy
        Says which trials have owners.
    probability : float
        Probability P that a trial attempted by both ends succeeds (above 0, at most 1).
    random : numpy.random.Generator
        Decides which trials succeed.

    Attributes
    ----------
    most : int
        No owner has more trials in a slot.
    """

    def __init__(self, clock: TrialClock, policy: LinkPolicy, probability: float, random: np.random.Generator) -> None:
        self.most = 0
        self._clock = clock
        self._policy = policy
        self._draw = SuccessGaps(random, probability).draw
        self._regions: list[list[tuple[int, Agreement | None]]] = [[(0, None)], [(0, None)]]
        self._schedule = TrialSchedule(policy, clock.lanes, self._regions[0], self._regions[1])
        self._streams: dict[Owner, SuccessStream] = {}
        self._due: dict[int, list[tuple[SuccessStream, SuccessCandidate]]] = {}
        self._realised: list[SuccessStream] = []
        self._done = 0  # the first slot that has not been heralded

    def reallocate(
        self,
        now: int,
        regions: tuple[Regions, Regions],
        slots: tuple[int, int],
        limits: Callable[[Owner], Limits],
    ) -> Sequence[int]:
        """Apply, at tick `now`, what governs the trials of each end from the slots on that it had not started."""
        started = self._clock.next_slot(0, now), self._clock.next_slot(1, now)
        start, before = min(slots), self._schedule
        self._govern(regions, slots)
        schedule = self._schedule
        begin = schedule.difference(before, start)
        most = self.most if begin == NEVER else max((schedule.bounds(one)[1] for one in schedule.owners), default=0)
        has_grown, self.most = most > self.most, most
        for owner in self._streams.keys() - schedule.owners.keys():
            self._streams.pop(owner).reschedule(schedule, begin)  # forgets what it has drawn
        fresh: list[int] = []
        for owner in schedule.owners:
            stream = self._streams.get(owner)
            to_ask = has_grown or owner is None or stream is None
            if stream is None:
                stream = self._streams[owner] = SuccessStream(owner, self._draw)
            if drawn := stream.reschedule(schedule, max(begin, self._done)):
                fresh += self._present(stream, drawn)
            if to_ask and (drawn := stream.relimit(started, limits(owner), max(min(started), self._done))):
                fresh += self._present(stream, drawn)
        return fresh

    @property
    def has_unknown(self) -> bool:
        """Whether there are trials of which it is not known in advance whose they are."""
        return None in self._streams

    def limit(self, now: int, end: int, owner: Owner, value: int) -> Sequence[int]:
        """Apply that an end attempts at most `value` trials of an owner in each slot it has not started at `now`."""
        value = min(value, self.most)
        stream = self._streams.get(owner)
        if stream is None or stream.limit_of(end) == value:
            return ()
        slot = max(self._done, self._clock.next_slot(end, now))
        drawn = stream.limit(end, slot, value)
        return self._present(stream, drawn) if drawn else ()

    def realise(self, slot: int) -> list[SlotSuccess]:
        """Return the trials of a slot that succeed if both ends attempt them.

        Their memories are occupied at both ends before `resume`, which must follow.
        """
        found: list[SlotSuccess] = []
        for stream, candidate in self._due.pop(slot):
            trials = stream.realise(candidate)
            if trials is not None:
                self._done = slot + 1
                self._realised.append(stream)
                for trial, rank in trials:
                    found += self._success(stream.owner, trial, rank)
        return sorted(found) if len(found) > 1 else found

    def resume(self, limits: Callable[[Owner], Limits]) -> list[int]:
        """Go on behind the slot realised last, with the limits as they are now."""
        realised, self._realised = self._realised, []
        return [slot for stream in realised for slot in self._present(stream, stream.resume(limits(stream.owner)))]

    def order(self, slot: int, end: int) -> SlotOrder:
        """Return whose the trials of a slot are at an end (0, 1), in the order in which they are attempted."""
        lanes, regions = self._clock.lanes, self._regions[end]
        trials, first = range(slot * lanes, slot * lanes + lanes), first_lane(slot, lanes)
        agreement = governing(regions, trials[0])
        if agreement is not None and agreement is governing(regions, trials[-1]):
            known = self._schedule.order(slot, agreement)
            if known is not None:
                return known
        owners = [self._owner_by(governing(regions, one), one) for one in (*trials[first:], *trials[:first])]
        return SlotOrder([*dict.fromkeys(owners)], turns_of(owners))

    def _success(self, owner: Owner, trial: int, rank: int) -> list[SlotSuccess]:
        if owner is not None:
            return [SlotSuccess(trial, rank, (owner, owner))]
        left, right = (self._owner_by(governing(regions, trial), trial) for regions in self._regions)
        if left is None or right is None:  # a lane of a policy of your own that has an owner in some slots only
            return []
        return [SlotSuccess(trial, None, (left, right))]

    def _owner_by(self, agreement: Agreement | None, trial: int) -> AttemptId | None:
        return None if agreement is None else self._policy.owner(trial, agreement)

    def _govern(self, regions: tuple[Regions, Regions], slots: tuple[int, int]) -> None:
        """Let `regions` govern from each end's next slot on."""
        lanes = self._clock.lanes
        since = max(0, min(slots) - 1) * lanes  # the slot before may still await its herald
        for end, slot in enumerate(slots):
            first = slot * lanes
            self._regions[end] = clip(self._regions[end], since, first) + clip(regions[end], first, NEVER)
        left, right = self._regions
        self._schedule = TrialSchedule(self._policy, lanes, left, right, self._schedule)

    def _present(self, stream: SuccessStream, drawn: Iterable[SuccessCandidate]) -> list[int]:
        """Note candidates, and return the slots among theirs that the caller does not know yet."""
        fresh = []
        for candidate in drawn:
            if candidate.slot not in self._due:
                self._due[candidate.slot] = []
                fresh.append(candidate.slot)
            self._due[candidate.slot].append((stream, candidate))
        return fresh
