"""A physical link: from the allocation and the free memories at both ends to the pairs that the link makes.

Trials are numbered by the clock: slot = floor((t - origin) / T), trial = slot * lanes + lane. In each slot an end
attempts the first trials given to a connection, as many as the connection has memories free there (its *room*); a trial
that both ends attempt succeeds with probability P. Which memory serves a trial is the end's own affair.

What happens at a tick happens before the trials that start at that tick. Only where a herald comes as a trial starts
(receiver of an MM link) does a change that a herald of the same tick causes come too late for that slot.

No trial is simulated one by one. For each pair of owners (`Stream`) a geometric draw says how many of its trials fail
before the next success, and one event waits for the first herald of that `Candidate`. This stays exact because

- places are taken in order: with room k the eligible turns of a slot are its first k. When k grows only turns above the
  old k are new, and an earlier candidate among them is stacked on the one that waits already, which stays valid;
- when k shrinks, what was drawn for turns above it is forgotten, whatever it was. A candidate forgotten so leaves only
  failures among the turns below, thus the search goes on behind its slot;
- when the allocation changes from slot x on, what was drawn for slots before x stays and all the rest is forgotten.
  The draws forgotten depend on x alone, never on what they were, and nobody has seen them: new ones are as good;
- slots heralded are done and never drawn again; a slot that has started is judged by the allocation and the rooms as
  they were at its start, which the regions and the `Account` of each end remember.

While the ends disagree about future trials, rooms are shared by several streams; then each change draws anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import numpy as np
from simpy.events import Event, Timeout

from qkdrmp.entanglement.links.models import LinkModel
from qkdrmp.entanglement.links.policies import Agreement, Policy
from qkdrmp.entanglement.links.schedule import NEVER, Tables, Timetable, clip
from qkdrmp.entanglement.links.success_stream import Account, Bottom, Candidate, Side, Stream
from qkdrmp.entanglement.links.trial_table import Key
from qkdrmp.kernel.environment import Environment

H = TypeVar("H")

_DRAWS = 256


class Link(Generic[H]):
    """A link between two ends, 0 the sender and 1 the receiver; nothing happens before the first `reallocated`.

    Parameters
    ----------
    env : Environment
        The clock.
    model : LinkModel
        The physics.
    lanes : int
        How many trials run side by side (>= 1).
    policy : Policy
        Says who owns a trial.
    random : numpy.random.Generator
        Decides which trials succeed.
    sides : tuple of Side
        The ends.
    make : callable
        Makes the two halves of a pair, given the ticks at which each came into its memory.
    origin : int
        The tick at which slot 0 starts.

    Attributes
    ----------
    successes : int
        Pairs made so far.
    slot_ticks : int
        Time T of a slot, in ticks.
    """

    def __init__(
        self,
        env: Environment,
        model: LinkModel,
        lanes: int,
        policy: Policy,
        random: np.random.Generator,
        sides: tuple[Side[H], Side[H]],
        make: Callable[[tuple[int, int]], tuple[H, H]],
        origin: int = 0,
    ) -> None:
        self.lanes = lanes
        self.slot_ticks = model.slot_ticks
        self.successes = 0
        self._env = env
        self._random = random
        self._probability = model.success_probability
        self._draws: list[int] = []
        self._sides = sides
        self._make = make
        self._origin = origin
        self._starts = model.start_ticks("sender"), model.start_ticks("receiver")
        heralds = model.herald_ticks("sender"), model.herald_ticks("receiver")
        self._herald = min(heralds)
        self._gap = max(heralds) - self._herald
        self._earlier = heralds.index(self._herald)
        self._tables = Tables(policy)
        self._regions: list[list[tuple[int, Agreement | None]]] = [[(0, None)], [(0, None)]]
        self._timetable = Timetable(self._tables, *self._regions)
        self._joint = 0
        self._streams: dict[Key, Stream] = {}
        self._accounts: tuple[dict[str, Account], dict[str, Account]] = {}, {}

    def next_trial(self, end: int) -> int:
        """Return the first trial that has not started at `end`; one that starts now has not."""
        return self._next_slot(end) * self.lanes

    def start_of(self, trial: int, end: int) -> int:
        """Return the tick at which `end` starts `trial`."""
        return self._origin + trial // self.lanes * self.slot_ticks + self._starts[end]

    def reallocated(self) -> None:
        """Take note that the regions of an end changed, or that a connection became known or unknown at one."""
        slots = self._next_slot(0), self._next_slot(1)
        start, before = min(slots), self._timetable
        since = max(0, start - 1) * self.lanes  # the slot before may still await its herald
        for end, (side, slot) in enumerate(zip(self._sides, slots, strict=True)):
            first = slot * self.lanes
            self._regions[end] = clip(self._regions[end], since, first) + clip(side.regions(), first, NEVER)
        self._timetable = Timetable(self._tables, *self._regions)
        self._joint = self._timetable.joint
        changed = {account for end in (0, 1) for account in self._review(end, slots[end] - 1)}
        self._enlist(start)
        differs = self._timetable.difference(before, start)
        for stream in list(self._streams.values()):
            begin = differs if changed.isdisjoint(stream.accounts) else start
            if begin < NEVER:
                self._restart(stream, begin)

    def freed(self, end: int, connection: str) -> None:
        """Take note that the room of `connection` at `end` has grown by one."""
        account = self._accounts[end].get(connection)
        if account is None:
            return
        slot = self._next_slot(end)
        if self._joint > slot:
            account.update(slot - 1)
            self._restart_users([account])
            return
        other = self._accounts[1 - end].get(connection)
        least = account.room
        if other is None or (least >= other.room and least >= other.at(slot)):
            account.update(slot - 1)  # what the other end has no room for brings no new turns
            return
        stream = self._streams.get((connection, connection))
        before = min(stream.rooms(slot)) if stream else 0
        account.update(slot - 1)
        if stream:
            self._grow(stream, max(slot, stream.done), before)

    def _next_slot(self, end: int) -> int:
        return max(0, -((self._origin + self._starts[end] - self._env.now) // self.slot_ticks))

    def _review(self, end: int, slot: int) -> list[Account]:
        """Keep accounts of those who own something at `end`, and return the accounts that have changed."""
        owners = {entry.id for _, agreement in self._regions[end] if agreement for entry in agreement.entries}
        accounts, side = self._accounts[end], self._sides[end]
        for connection in accounts.keys() - owners:
            del accounts[connection]
        for connection in sorted(owners - accounts.keys()):
            accounts[connection] = Account(side, connection)
        return [account for account in accounts.values() if account.update(slot)]

    def _enlist(self, start: int) -> None:
        """Keep a stream for each pair of owners to come, and those that are not done with the past."""
        keys = self._timetable.keys(start)
        old = {k: s for k, s in self._streams.items() if k in keys or s.done > start or s.stack[-1].slot < start}
        new = {k: Stream(k, (self._accounts[0][k[0]], self._accounts[1][k[1]])) for k in sorted(keys - old.keys())}
        for key in self._streams.keys() - old.keys():
            self._streams[key].stack = [Bottom()]
        self._streams = old | new

    # Which trial succeeds next

    def _draw(self) -> int:
        """Return how many trials it takes up to and including the next success."""
        if not self._draws:
            self._draws = self._random.geometric(self._probability, _DRAWS).tolist()
        return self._draws.pop()

    def _push(self, stream: Stream, slot: int, place: int, rooms: int) -> None:
        delay = self._origin + slot * self.slot_ticks + self._herald - self._env.now
        candidate = Candidate(self._env, delay, stream, slot, place, rooms)
        candidate.callbacks.append(self._fire)
        stream.stack.append(candidate)

    def _aim(self, stream: Stream, slot: int, count: int) -> None:
        """Let the top of the stack be the next success from `slot` on, given rooms that hold from there on.

        The next success is the `count`-th trial among those that have not been drawn yet.
        """
        left, right = stream.accounts
        room = min(left.room, right.room)
        stack = stream.stack
        while True:
            top = stack[-1]
            if room > top.rooms:
                found = self._timetable.find(stream.key, slot, count, (room, room), top.rooms, top.slot)
                if found is None:
                    top.rooms = room
                else:
                    self._push(stream, *found, room)
                return
            top.rooms = room
            if top.place < room:
                return
            stack.pop()
            slot = top.slot + 1

    def _grow(self, stream: Stream, slot: int, before: int) -> None:
        """Draw the turns that a stream has gained from `slot` on, where its room was `before`."""
        if stream.stack[-1].slot <= slot:
            return  # the rest of that slot is drawn when it is heralded, and later slots after that
        begin, count = self._try_started(stream, slot, before)
        if count:
            self._aim(stream, begin, count)

    def _restart(self, stream: Stream, slot: int) -> None:
        """Forget what was drawn from `slot` on, and draw again unless an earlier candidate remains."""
        slot = max(slot, stream.done)
        stream.stack = [Bottom(), *(candidate for candidate in stream.stack if candidate.slot < slot)]
        if len(stream.stack) > 1:
            return
        begin, count = self._try_started(stream, slot, 0)
        rooms = stream.rooms(NEVER)
        found = self._timetable.find(stream.key, begin, count, rooms) if count else None
        if found:
            self._push(stream, *found, min(rooms))
        elif count:
            stream.stack[-1].rooms = min(rooms)

    def _restart_users(self, accounts: Sequence[Account]) -> None:
        start = min(self._next_slot(0), self._next_slot(1))
        for stream in list(self._streams.values()):
            if any(account in stream.accounts for account in accounts):
                self._restart(stream, start)

    def _try_started(self, stream: Stream, slot: int, low: int) -> tuple[int, int]:
        """Return where to go on and with which trial; 0 if it was found in `slot`, above place `low`.

        Only a slot that has started at one end, and has seen other rooms there than those to come, is tried here.
        """
        count, rooms = self._draw(), stream.rooms(slot)
        if rooms == stream.rooms(NEVER):
            return slot, count
        turns = self._timetable.turns(stream.key, slot)
        fresh = max(0, turns.eligible(rooms) - low) if turns else 0
        if count > fresh:
            return slot + 1, count - fresh
        self._push(stream, slot, low + count - 1, min(rooms))
        return slot + 1, 0

    # What happens at a success

    def _fire(self, event: Event) -> None:
        """Make the pairs of a slot, unless the candidate was forgotten; then see which trial is next."""
        candidate = cast(Candidate, event)
        stream, slot = candidate.stream, candidate.slot
        if stream.stack[-1] is not candidate:
            return
        stream.stack.pop()
        stream.done = slot + 1
        lanes, count = self._successes(stream, slot, candidate.place)
        for side, connection, account in zip(self._sides, stream.key, stream.accounts, strict=True):
            for _ in lanes:
                side.occupy(connection)
            account.update(slot)
        if slot + 1 >= self._joint and stream.key[0] == stream.key[1]:
            self._aim(stream, slot + 1, count)
        else:
            self._restart_users(stream.accounts)
        # Last, for what the ends do with the halves may change rooms and regions again.
        self._hand_over(stream.key, slot, lanes)

    def _successes(self, stream: Stream, slot: int, place: int) -> tuple[list[int], int]:
        """Return the lanes that succeed in `slot`, the first at `place`, and how many trials later the next does."""
        turns = self._timetable.turns(stream.key, slot)
        limit = turns.eligible(stream.rooms(slot)) if turns else 0
        lanes: list[int] = []
        while turns and place < limit:
            lanes.append(turns.lanes[place])
            place += self._draw()
        return lanes, place - limit + 1 if lanes else self._draw()

    def _hand_over(self, key: Key, slot: int, lanes: list[int]) -> None:
        """Make the pairs, and give each end its halves at its herald."""
        begin = self._origin + slot * self.slot_ticks
        starts = begin + self._starts[0], begin + self._starts[1]
        self.successes += len(lanes)
        pairs = [(slot * self.lanes + lane, self._make(starts)) for lane in lanes]
        if not self._gap:
            for trial, halves in pairs:
                for side, connection, half in zip(self._sides, key, halves, strict=True):
                    side.take(connection, half, trial)
        elif pairs:
            later = Timeout(self._env, self._gap)
            later.callbacks.append(lambda _: self._give(1 - self._earlier, key, pairs))
            self._give(self._earlier, key, pairs)

    def _give(self, end: int, key: Key, pairs: list[tuple[int, tuple[H, H]]]) -> None:
        for trial, halves in pairs:
            self._sides[end].take(key[end], halves[end], trial)
