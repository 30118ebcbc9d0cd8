"""Sessions: a RuleSet that runs at one node, with the pairs of its connection there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol, cast

import numpy as np

from qkdrmp.entanglement.messages import Discarded, Half, NewPartner, PairMessage, PurifyResult, Restart, SwapResult
from qkdrmp.entanglement.quantum.bell_diagonal import Basis
from qkdrmp.entanglement.quantum.cut_off import CutOff
from qkdrmp.entanglement.quantum.pairs import Device, Qubit, discard, estimated, estimated_after, purify
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.entanglement.runtime.pair_buffer import PairBuffer
from qkdrmp.entanglement.runtime.pair_pool import LOST, Onward, PairPool
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer
from qkdrmp.network.transport import Transport


class Owner(Protocol):
    """What a session needs of the connection it works for."""

    @property
    def attempt(self) -> AttemptId:
        """The attempt at the connection."""

    @property
    def path(self) -> tuple[str, ...]:
        """The nodes of the network that the connection is in."""

    def deliver(self, qubit: Qubit, basis: Basis | None) -> None:
        """Give a pair to the application."""

    def hand_over(self, partner: str, qubit: Qubit) -> None:
        """Give a pair to the connection around this one."""

    def leave_out(self, partner: str, number: int) -> None:
        """Note that a pair will never be given to the connection around this one."""

    def retract(self, number: int) -> None:
        """Take back a pair that has been given to the application, as its other half was discarded before."""

    def complete(self) -> None:
        """End the connection, which has all it needs."""


class Runnable(Protocol):
    """A compiled rule (see `compiled_rule`)."""

    def holds(self) -> bool:
        """Return whether all its conditions hold."""

    def run(self) -> None:
        """Take the pairs it needs and do what it says."""


@dataclass(frozen=True)
class Workbench:
    """What all sessions of a node work with.

    Parameters
    ----------
    env : Environment
    name : str
        The node.
    device : Device
    transport : Transport
    random : numpy.random.Generator
        For the results of purification.
    swap_success : float
        Probability that a swap succeeds.
    swap_random : callable
        Returns a number from 0 to 1 that decides whether one does.
    """

    env: Environment
    name: str
    device: Device
    transport: Transport
    random: np.random.Generator
    swap_success: float = 1.0
    swap_random: Callable[[], float] = lambda: 0.0


@dataclass(slots=True)
class Round:
    """One end's view of a round of purification: the pair that is kept, and the two bits as they come."""

    qubit: Qubit | None = None
    to: int = 0
    mine: int | None = None
    theirs: int | None = None


class RuleSetSession:
    """A running RuleSet (see `compiled_rule.compiled`).

    After every change the rules are scanned from the first one on, so an earlier rule comes before a later one.

    Parameters
    ----------
    owner : Owner
    bench : Workbench

    Attributes
    ----------
    rules : list of Runnable
        In the order of the RuleSet.
    progress : int
        Pairs swapped, delivered or handed over here.
    counters : Counter
        What `count` conditions look at, such as ``delivered``.
    expired : set of str
        Timers that have run out.
    awaited : set of str
        Kinds of message that rules wait for.
    heard : Counter
        How many of each have come.
    unused : int
        Up to so many pairs may wait until there is one more of the same partner, to purify with.
    """

    __slots__ = (
        "_begun",
        "_buffers",
        "_cut_offs",
        "_rounds",
        "_timers",
        "_working",
        "awaited",
        "bench",
        "counters",
        "expired",
        "heard",
        "owner",
        "progress",
        "rules",
        "unused",
    )

    def __init__(self, owner: Owner, bench: Workbench) -> None:
        self.owner = owner
        self.bench = bench
        self.progress = 0
        self.counters: Counter[str] = Counter()
        self.expired: set[str] = set()
        self.awaited: set[str] = set()
        self.heard: Counter[str] = Counter()
        self._buffers: dict[tuple[str, int], PairBuffer] = {}
        self._rounds: dict[tuple[str, int, int], Round] = {}
        self._begun: Counter[tuple[str, int]] = Counter()
        self._cut_offs: dict[PairBuffer, CutOff] = {}
        self._timers: dict[str, Timer] = {}
        self._working = False
        self.rules: list[Runnable] = []
        self.unused = 0

    # Pairs and messages that arrive

    def source(self, partner: str) -> Callable[[int, Qubit], None]:
        """Return where the pairs of the link to `partner` arrive, with their numbers."""
        return partial(self.arrive, self.buffer(partner, 0))

    def arrive(self, buffer: PairBuffer, number: int, qubit: Qubit) -> None:
        """Take in a pair."""
        self.put(buffer, number, qubit)
        if buffer.used:
            self.work()

    def leave_out(self, partner: str, number: int) -> None:
        """Note that a pair of a virtual link will never come."""
        self.buffer(partner, 0).leave_out(number)
        self.work()

    def take(self, message: PairMessage) -> None:
        """Take in what another node says about a pair."""
        if isinstance(message, SwapResult):
            self.take_swap(message)
        elif isinstance(message, PurifyResult):
            self.take_bit(message)
        elif isinstance(message, NewPartner):
            self.take_new_partner(message)
        elif isinstance(message, Restart):
            self.restart(message.span)
        else:
            self.take_discarded(message)
        if self.awaited:
            self._note(message.wire_name)

    def take_swap(self, message: SwapResult) -> None:
        """Note that a pair now has another partner, as soon as it is here."""
        if not message.success:
            self.buffer(message.partner, message.to).leave_out(message.new_number)
            self.take_discarded(message)
            self.work()
            return
        buffer = self.buffer(message.source, message.stage)
        qubit = buffer.remove(message.number)
        if message.number in buffer.discarded:  # what the partner has made of it is lost as well
            buffer.discarded.remove(message.number)
            self.buffer(message.partner, message.to).leave_out(message.new_number)
            self._send_discarded(message.partner, message.to, message.new_number)
            return
        if qubit is None:
            buffer.results[message.number] = message
            return
        qubit.estimate = message.estimate
        self.arrive(self.buffer(message.partner, message.to), message.new_number, qubit)

    def take_discarded(self, message: Discarded | SwapResult) -> None:
        """Discard a pair whose other half is gone; one that has not come yet, as soon as it comes."""
        buffer = self.buffer(message.source, message.stage)
        qubit = buffer.remove(message.number)
        if message.number in buffer.discarded:
            buffer.discarded.remove(message.number)
        elif qubit is not None:
            discard(qubit)
            buffer.leave_out(message.number)
            self.work()
        elif not buffer.used or message.number >= buffer.next:
            buffer.lost.add(message.number)
        elif buffer.after is not None:
            self.take_discarded(replace(message, stage=buffer.after.stage))
        elif buffer.delivers:
            self.counters["delivered"] -= 1
            self.owner.retract(message.number)
            self.work()

    def discard_pair(self, buffer: PairBuffer, qubit: Qubit) -> None:
        """Discard a pair that a rule has taken, and let the other end know."""
        if isinstance(buffer, PairPool):
            self.lose(buffer, qubit)
            return
        self._send_discarded(buffer.partner, buffer.stage, qubit.number)
        if buffer.onwards is not None:
            buffer.onwards(qubit.number)
        place: PairBuffer | None = buffer
        while place is not None:  # the other end may have promoted its half before it knows
            place.discarded.add(qubit.number)
            place = place.after
        discard(qubit)

    def _send_discarded(self, partner: str, stage: int, number: int) -> None:
        message = Discarded(self.owner.attempt, self.bench.name, stage, number)
        self.bench.transport.send(partner, message)

    # Pairs that are swapped in any order

    def pool(self, neighbour: str, stage: int) -> PairPool:
        """Return the pool of the pairs made with a neighbour, in `stage`."""
        found = self._buffers.get((neighbour, stage))
        if not isinstance(found, PairPool):
            found = self._buffers[neighbour, stage] = PairPool(self.bench.name, neighbour, stage)
        return found

    def pass_on(self, pool: PairPool, number: int, onward: Onward | None) -> Half:
        """Note what a half that has been taken out leaves to its partner; return that."""
        pool.gone[number] = onward
        partner = pool.partners.pop(number)
        if onward is not None:
            self._send_onward(pool, number, partner, onward)
        for message in pool.held.pop(number, ()):
            self.take_new_partner(message)
        return partner

    def _send_onward(self, pool: PairPool, number: int, to: Half, onward: Onward) -> None:
        message = NewPartner(self.owner.attempt, pool.stage, to, pool.name(number), onward.partner, onward.factor)
        self.bench.transport.send(to.node, message)

    def lose(self, pool: PairPool, qubit: Qubit) -> None:
        """Discard a half that has been taken out of a pool, and let its partner know."""
        self.pass_on(pool, qubit.number, LOST)
        discard(qubit)

    def take_new_partner(self, message: NewPartner) -> None:
        """Follow the partner of a half; of one that is gone, send the new partner on to what it has left."""
        number = message.half.number
        pool = self.buffer(message.half.towards, message.stage)
        if not isinstance(pool, PairPool):
            self._take_number(message)
        elif number in pool.gone:
            onward = pool.gone[number]
            if onward is not None and message.after is not None:
                self._send_onward(pool, number, message.after, onward)
        elif number in pool.pairs and message.after is None:
            qubit = cast(Qubit, pool.remove(number))
            self.pass_on(pool, number, LOST)
            discard(qubit)
        elif number in pool.pairs and pool.follow(message):
            self._catch_up(pool, number)
            self.work()
        else:
            pool.held.setdefault(number, []).append(message)

    def _catch_up(self, pool: PairPool, number: int) -> None:
        """Take in what has come too early about a half."""
        for message in pool.held.pop(number, ()):
            self.take_new_partner(message)

    def _take_number(self, message: NewPartner) -> None:
        """At the last node, take in that a pair is lost, or its number; which partners it has had does not matter."""
        attempt, source, number = message.attempt, message.half.towards, message.half.number
        if message.after is None:
            self.take_discarded(Discarded(attempt, source, message.stage, number))
        elif message.to is not None and message.number is not None:
            new = message.before.node, message.to, message.number
            self.take_swap(SwapResult(attempt, source, message.stage, number, *new, message.factor))

    def take_bit(self, message: PurifyResult) -> None:
        """Compare the partner's bit with this end's, as soon as both are there."""
        place = (message.source, message.stage, message.number)
        self._rounds.setdefault(place, Round()).theirs = message.bit
        self._compare(place)
        self.work()

    def _note(self, kind: str) -> None:
        """Count a message of a kind, for rules that wait for one."""
        if kind in self.awaited:
            self.heard[kind] += 1
            self.work()

    def start_timer(self, name: str, ticks: int) -> None:
        """Let a timer run out in `ticks`."""

        def expire() -> None:
            self.expired.add(name)
            self.work()

        self.expired.discard(name)
        self._timers.setdefault(name, Timer(self.bench.env, expire)).start(ticks)

    def stop(self) -> None:
        """Stop at once and free every pair."""
        self.rules = []
        kept = [qubit for buffer in self._buffers.values() for qubit in buffer.clear()]
        kept += [round_.qubit for round_ in self._rounds.values() if round_.qubit is not None]
        self._buffers.clear()
        self._rounds.clear()
        for timer in self._timers.values():
            timer.cancel()
        for qubit in kept:
            discard(qubit)

    def work(self) -> None:
        """Run rules until none of them is ready."""
        if self._working:  # a rule that is running has caused this; the loop below goes on after it
            return
        self._working = True
        index = 0
        while index < len(self.rules):
            rule = self.rules[index]
            index += 1
            if rule.holds():
                rule.run()
                index = 0
        self._working = False

    # Pairs

    def buffer(self, partner: str, stage: int) -> PairBuffer:
        """Return the buffer of the pairs with `partner` in `stage`."""
        found = self._buffers.get((partner, stage))
        if found is None:
            found = self._buffers[partner, stage] = PairBuffer(partner, stage)
        return found

    def put(self, buffer: PairBuffer, number: int, qubit: Qubit) -> None:
        """Put a pair into a buffer under its number there, and apply a result of the partner that has come before."""
        qubit.number = number
        if number in buffer.lost:
            buffer.lost.remove(number)
            buffer.leave_out(number)
            discard(qubit)
            return
        buffer.add(number, qubit)
        if buffer.level and qubit.device.cutoffs:
            self._limit_wait(buffer, qubit)
        if buffer.results and number in buffer.results:
            self.take_swap(buffer.results.pop(number))
        if buffer.is_pool:
            self._catch_up(cast(PairPool, buffer), number)

    def _limit_wait(self, buffer: PairBuffer, qubit: Qubit) -> None:
        found = self._cut_offs.get(buffer)
        if found is None:
            ticks = cast(int, qubit.device.cutoff(buffer.level))
            expire = partial(self._expire, buffer)
            found = self._cut_offs[buffer] = CutOff(self.bench.env, ticks, buffer.keeps, expire)
        found.add(qubit)

    def _expire(self, buffer: PairBuffer, qubit: Qubit) -> None:
        """Discard a pair that has waited too long to be swapped."""
        self._give_up(buffer, qubit)
        if buffer.restart is not None:
            buffer.restart()
        self.work()

    def restart(self, span: Sequence[str]) -> None:
        """Discard what waits here to be swapped of the pairs within a span of these nodes."""
        for buffer in [one for one in self._buffers.values() if one.level and one.partner in span]:
            for qubit in [*buffer.pairs.values()]:
                self._give_up(buffer, qubit)
        self.work()

    def _give_up(self, buffer: PairBuffer, qubit: Qubit) -> None:
        """Discard a pair that waits to be swapped: nobody else does anything with it meanwhile."""
        buffer.remove(qubit.number)
        if isinstance(buffer, PairPool):
            self.lose(buffer, qubit)
        else:
            buffer.leave_out(qubit.number)
            self._send_discarded(buffer.partner, buffer.stage, qubit.number)
            discard(qubit)

    def estimated(self, qubit: Qubit) -> float:
        """Return the estimated fidelity of a pair now."""
        return (1 + sum(estimated(qubit, self.bench.env.now))) / 4

    def purify(
        self, buffer: PairBuffer, keep: Qubit, sacrifice: Qubit, protocol: Literal["bbpssw", "dejmps"], to: int
    ) -> None:
        """Do this end's part of a round: the pair to be kept waits until both bits are known."""
        bench = self.bench
        keep.estimate = estimated_after(keep, sacrifice, bench.env.now, protocol, bench.device)
        bit = purify(keep, sacrifice, bench.env.now, protocol, bench.random)
        number = self._begun[buffer.partner, buffer.stage]
        self._begun[buffer.partner, buffer.stage] += 1
        place = (buffer.partner, buffer.stage, number)
        round_ = self._rounds.setdefault(place, Round())
        round_.qubit, round_.to, round_.mine = keep, to, bit
        bench.transport.send(buffer.partner, PurifyResult(self.owner.attempt, bench.name, buffer.stage, number, bit))
        sacrifice.share.release()
        self._compare(place)

    def _compare(self, place: tuple[str, int, int]) -> None:
        round_ = self._rounds[place]
        if round_.qubit is None or round_.theirs is None:
            return
        del self._rounds[place]
        partner, _, number = place
        after = self.buffer(partner, round_.to)
        if round_.mine == round_.theirs:
            self.put(after, number, round_.qubit)
        else:
            after.leave_out(number)
            discard(round_.qubit)
