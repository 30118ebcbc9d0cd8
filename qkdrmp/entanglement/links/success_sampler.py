"""Which trials of a link succeed: drawn success by success instead of trial by trial, without any clock running.

In each slot an end attempts the first trials given to a connection, as many as the connection has free memories there;
a trial that both ends attempt succeeds with probability P. Which memory serves a trial is a matter of the end alone.

For each pair of owners (`SuccessStream`) a geometric draw says how many of its trials fail before the next success. A
`SuccessCandidate` is that success, as long as nothing changes before its first herald. This stays exact because

- places are taken in order: with k free memories the eligible trials of a slot are its first k. When k grows only
  trials at places above the old k are new, and an earlier candidate among them is stacked on the one that waits
  already, which stays valid;
- when k shrinks, what was drawn for places above it is forgotten, whatever it was. A candidate forgotten so leaves only
  failures at the places below, thus the search goes on behind its slot;
- when the allocation changes from slot x on, what was drawn for slots before x stays and all the rest is forgotten.
  The draws forgotten depend on x alone, never on what they were, and none has been observed: new ones are as good;
- slots heralded are done and never drawn again; a slot that has started is judged by the allocation and the free
  memories as they were at its start, which the regions and the `FreeMemoryCount` of each end remember.

While the ends disagree about future trials, free memories are shared by several streams; then each change draws anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy
from qkdrmp.entanglement.links.schedule import Regions, TrialSchedule, TrialTableCache, clip
from qkdrmp.entanglement.links.success_stream import FreeMemoryCount, SuccessCandidate, SuccessStream
from qkdrmp.entanglement.links.trial_clock import TrialClock
from qkdrmp.entanglement.links.trial_table import FreeMemories, Owners
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER

_BATCH = 256

CountFree = Callable[[AttemptId], int]
"""Returns how many memories an owner of trials may still fill; 0 if it is unknown or has ended."""


class SuccessGaps:
    """How many independent trials it takes up to and including the next success (>= 1): a geometric law.

    One draw skips all the failures; the mean is 1/P, the variance (1 - P)/P^2.

    Parameters
    ----------
    random : numpy.random.Generator
    probability : float
        Probability P that a trial succeeds (above 0, at most 1).

    Raises
    ------
    ValueError
        If the probability is outside its range.
    """

    def __init__(self, random: np.random.Generator, probability: float) -> None:
        if not 0 < probability <= 1:
            raise ValueError(f"probability = {probability!r} must be above 0 and at most 1")
        self._random = random
        self._probability = probability
        self._drawn: list[int] = []

    def draw(self) -> int:
        """Return the next number of trials."""
        if not self._drawn:
            self._drawn = self._random.geometric(self._probability, _BATCH).tolist()
        return self._drawn.pop()


class SuccessSampler:
    """The successes of a link, as a function of a random generator, P, the trial clock and the regions of ownership.

    What the nodes do with their halves cannot be known in advance, so the free memories are not looked up: each step is
    given them as an argument, with the tick at which it happens. Each step returns the candidates it has drawn; the
    caller presents each of them (`realise`, then `resume`) at the tick of its first herald, in order of time and
    after everything else that happens at that tick.

    Parameters
    ----------
    clock : TrialClock
    policy : LinkPolicy
        Says who owns a trial.
    probability : float
        Probability P that a trial attempted by both ends succeeds (above 0, at most 1).
    random : numpy.random.Generator
        Decides which trials succeed.
    """

    def __init__(self, clock: TrialClock, policy: LinkPolicy, probability: float, random: np.random.Generator) -> None:
        self._clock = clock
        self._draw = SuccessGaps(random, probability).draw
        self._tables = TrialTableCache(policy, clock.lanes)
        self._regions: list[list[tuple[int, Agreement | None]]] = [[(0, None)], [(0, None)]]
        self._schedule = TrialSchedule(self._tables, *self._regions)
        self._joint_from = 0
        self._streams: dict[Owners, SuccessStream] = {}
        self._counts: tuple[dict[AttemptId, FreeMemoryCount], dict[AttemptId, FreeMemoryCount]] = {}, {}

    def reallocate(
        self, now: int, regions: tuple[Regions, Regions], free: tuple[CountFree, CountFree]
    ) -> list[SuccessCandidate]:
        """Apply changed regions, or free memories that changed by more than one release.

        Parameters
        ----------
        now : int
            The present tick.
        regions : tuple of sequence of (int, Agreement or None)
            What governs the trials not yet started at each end.
        free : tuple of callable
            The free memories of connections at each end.
        """
        slots = self._clock.next_slot(0, now), self._clock.next_slot(1, now)
        start, before = min(slots), self._schedule
        self._govern(regions, slots)
        changed = {count for end in (0, 1) for count in self._review(end, slots[end] - 1, free[end])}
        self._enlist(start)
        differs = self._schedule.difference(before, start)
        drawn: list[SuccessCandidate] = []
        for stream in list(self._streams.values()):
            begin = differs if changed.isdisjoint(stream.counts) else start
            if begin < NEVER:
                drawn += self._restart(stream, begin)
        return drawn

    def release(self, now: int, end: int, owner: AttemptId, free: int) -> Iterable[SuccessCandidate]:
        """Apply that a memory of `owner` was released at `end`, where it may now fill `free`."""
        count = self._counts[end].get(owner)
        if count is None:
            return ()
        slot = self._clock.next_slot(end, now)
        if self._joint_from > slot:
            count.update(slot - 1, free)
            return self._restart_users([count], now)
        other = self._counts[1 - end].get(owner)
        least = count.free
        if other is None or (least >= other.free and least >= other.at(slot)):
            count.update(slot - 1, free)  # the other end has no memory for more trials
            return ()
        stream = self._streams.get((owner, owner))
        before = min(stream.free(slot)) if stream else 0
        count.update(slot - 1, free)
        return self._grow(stream, max(slot, stream.done), before) if stream else ()

    def realise(self, candidate: SuccessCandidate) -> list[int] | None:
        """Return the lanes that succeed in the slot of `candidate` for its owners; None if it was forgotten.

        The memories of the successes are occupied at both ends before `resume`, which must follow.
        """
        stream, slot, place = candidate.stream, candidate.slot, candidate.place
        if stream.stack[-1] is not candidate:
            return None
        stream.stack.pop()
        stream.done = slot + 1
        trials = self._schedule.trials_of(stream.owners, slot)
        limit = trials.eligible(stream.free(slot)) if trials else 0
        lanes: list[int] = []
        while trials and place < limit:
            lanes.append(trials.lanes[place])
            place += self._draw()
        stream.gap = place - limit + 1 if lanes else self._draw()
        return lanes

    def resume(self, now: int, candidate: SuccessCandidate, free: FreeMemories) -> Iterable[SuccessCandidate]:
        """Go on behind the slot of a realised candidate, whose owners have `free` memories now."""
        stream, slot = candidate.stream, candidate.slot
        stream.counts[0].update(slot, free[0])
        stream.counts[1].update(slot, free[1])
        if slot + 1 >= self._joint_from and stream.owners[0] == stream.owners[1]:
            return self._aim(stream, slot + 1, stream.gap)
        return self._restart_users(stream.counts, now)

    # Who may succeed

    def _govern(self, regions: tuple[Regions, Regions], slots: tuple[int, int]) -> None:
        """Let `regions` govern from each end's next slot on."""
        lanes = self._clock.lanes
        since = max(0, min(slots) - 1) * lanes  # the slot before may still await its herald
        for end, slot in enumerate(slots):
            first = slot * lanes
            self._regions[end] = clip(self._regions[end], since, first) + clip(regions[end], first, NEVER)
        self._schedule = TrialSchedule(self._tables, *self._regions)
        self._joint_from = self._schedule.joint_from

    def _review(self, end: int, slot: int, free: CountFree) -> list[FreeMemoryCount]:
        """Count the free memories of those who own trials at `end`, and return the counts that have changed."""
        owners = {entry.id for _, agreement in self._regions[end] if agreement for entry in agreement.entries}
        counts = self._counts[end]
        for owner in counts.keys() - owners:
            del counts[owner]
        for owner in sorted(owners - counts.keys()):
            counts[owner] = FreeMemoryCount()
        return [count for owner, count in counts.items() if count.update(slot, free(owner))]

    def _enlist(self, start: int) -> None:
        """Keep a stream for each pair of owners to come, and those that still await a herald of the past."""
        owners = self._schedule.owners_from(start)
        old = {
            pair: stream
            for pair, stream in self._streams.items()
            if pair in owners or stream.done > start or stream.stack[-1].slot < start
        }
        new = {pair: self._new_stream(pair) for pair in sorted(owners - old.keys())}
        for pair in self._streams.keys() - old.keys():
            self._streams[pair].forget()
        self._streams = old | new

    def _new_stream(self, owners: Owners) -> SuccessStream:
        return SuccessStream(owners, (self._counts[0][owners[0]], self._counts[1][owners[1]]))

    # Which trial succeeds next

    def _push(self, stream: SuccessStream, slot: int, place: int, free: int) -> tuple[SuccessCandidate]:
        candidate = SuccessCandidate(stream, slot, place, free)
        stream.stack.append(candidate)
        return (candidate,)

    def _aim(self, stream: SuccessStream, slot: int, count: int) -> Iterable[SuccessCandidate]:
        """Let the top of the stack be the next success from `slot` on, with free memories that hold from there on.

        The next success is the `count`-th trial among those that have not been drawn yet.
        """
        left, right = stream.counts
        free = min(left.free, right.free)
        stack = stream.stack
        while True:
            top = stack[-1]
            if free > top.free:
                found = self._schedule.find(stream.owners, slot, count, (free, free), top.free, top.slot)
                if found is None:
                    top.free = free
                    return ()
                return self._push(stream, *found, free)
            top.free = free
            if top.place < free:
                return ()
            stack.pop()
            slot = top.slot + 1

    def _grow(self, stream: SuccessStream, slot: int, before: int) -> Iterable[SuccessCandidate]:
        """Draw the trials that a stream has gained from `slot` on, where it had `before` free memories."""
        if stream.stack[-1].slot <= slot:
            return ()  # the rest of that slot is drawn when it is heralded, and later slots after that
        begin, count, drawn = self._try_started(stream, slot, before)
        return self._aim(stream, begin, count) if count else drawn

    def _restart(self, stream: SuccessStream, slot: int) -> Iterable[SuccessCandidate]:
        """Forget what was drawn from `slot` on, and draw again unless an earlier candidate remains."""
        slot = max(slot, stream.done)
        stream.forget(slot)
        if len(stream.stack) > 1:
            return ()
        begin, count, drawn = self._try_started(stream, slot, 0)
        if not count:
            return drawn
        free = stream.free(NEVER)
        found = self._schedule.find(stream.owners, begin, count, free)
        if found:
            return self._push(stream, *found, min(free))
        stream.stack[-1].free = min(free)
        return ()

    def _restart_users(self, counts: Iterable[FreeMemoryCount], now: int) -> list[SuccessCandidate]:
        """Draw anew all streams that use the memories of `counts`."""
        start = min(self._clock.next_slot(0, now), self._clock.next_slot(1, now))
        drawn: list[SuccessCandidate] = []
        for stream in list(self._streams.values()):
            if any(count in stream.counts for count in counts):
                drawn += self._restart(stream, start)
        return drawn

    def _try_started(self, stream: SuccessStream, slot: int, low: int) -> tuple[int, int, Iterable[SuccessCandidate]]:
        """Return where to go on and with which trial, or 0 and the candidate found in `slot` at place `low` or above.

        Only a slot that has started at one end, and found other memories free there than those to come, is tried here.
        """
        count, free = self._draw(), stream.free(slot)
        if free == stream.free(NEVER):
            return slot, count, ()
        trials = self._schedule.trials_of(stream.owners, slot)
        fresh = max(0, trials.eligible(free) - low) if trials else 0
        if count > fresh:
            return slot + 1, count - fresh, ()
        return slot + 1, 0, self._push(stream, slot, low + count - 1, min(free))
