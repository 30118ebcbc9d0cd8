"""Sessions: a RuleSet that runs at one node, with the pairs of its connection there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np

from qkdrmp.entanglement.messages import PurifyResult, SwapResult
from qkdrmp.entanglement.quantum.bell_diagonal import Basis
from qkdrmp.entanglement.quantum.pairs import Device, Qubit, discard, estimated_after, purify
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.entanglement.runtime.pair_buffer import PairBuffer
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer
from qkdrmp.network.transport import Transport


class Owner(Protocol):
    """What a session needs of the connection it works for."""

    @property
    def attempt(self) -> AttemptId:
        """The attempt at the connection."""

    def deliver(self, qubit: Qubit, basis: Basis | None) -> None:
        """Give a pair to the application."""

    def hand_over(self, partner: str, qubit: Qubit) -> None:
        """Give a pair to the connection around this one."""

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
    """What all sessions of a node work with."""

    env: Environment
    name: str
    device: Device
    transport: Transport
    random: np.random.Generator


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
        Kinds of message that `recv` conditions wait for and that have not come yet.
    """

    __slots__ = (
        "_begun",
        "_buffers",
        "_rounds",
        "_timers",
        "_working",
        "awaited",
        "bench",
        "counters",
        "expired",
        "owner",
        "progress",
        "rules",
    )

    def __init__(self, owner: Owner, bench: Workbench) -> None:
        self.owner = owner
        self.bench = bench
        self.progress = 0
        self.counters: Counter[str] = Counter()
        self.expired: set[str] = set()
        self.awaited: set[str] = set()
        self._buffers: dict[tuple[str, int], PairBuffer] = {}
        self._rounds: dict[tuple[str, int, int], Round] = {}
        self._begun: Counter[tuple[str, int]] = Counter()
        self._timers: dict[str, Timer] = {}
        self._working = False
        self.rules: list[Runnable] = []

    # Pairs and messages that arrive

    def source(self, partner: str) -> Callable[[int, Qubit], None]:
        """Return where the pairs of the link to `partner` arrive, with their numbers."""
        return partial(self.arrive, self.buffer(partner, 0))

    def arrive(self, buffer: PairBuffer, number: int, qubit: Qubit) -> None:
        """Take in a pair."""
        self.put(buffer, number, qubit)
        if buffer.used:
            self.work()

    def take_swap(self, message: SwapResult) -> None:
        """Note that a pair now has another partner, as soon as it is here."""
        self._note(message.wire_name)
        buffer = self.buffer(message.source, message.stage)
        qubit = buffer.pairs.pop(message.number, None)
        if qubit is None:
            buffer.results[message.number] = message
            return
        qubit.werner = message.werner
        self.arrive(self.buffer(message.partner, message.to), message.new_number, qubit)

    def take_bit(self, message: PurifyResult) -> None:
        """Compare the partner's bit with this end's, as soon as both are there."""
        self._note(message.wire_name)
        place = (message.source, message.stage, message.number)
        self._rounds.setdefault(place, Round()).theirs = message.bit
        self._compare(place)
        self.work()

    def _note(self, kind: str) -> None:
        """Note that a message of a kind has come, for rules that wait for it."""
        if kind in self.awaited:
            self.awaited.remove(kind)
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
        kept = [qubit for buffer in self._buffers.values() for qubit in buffer.pairs.values()]
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
        buffer.pairs[number] = qubit
        if buffer.results and number in buffer.results:
            self.take_swap(buffer.results.pop(number))

    def estimated(self, qubit: Qubit) -> float:
        """Return the estimated fidelity of a pair now."""
        qubit.settle(self.bench.env.now)
        return (1 + 3 * qubit.werner) / 4

    def purify(
        self, buffer: PairBuffer, keep: Qubit, sacrifice: Qubit, protocol: Literal["bbpssw", "dejmps"], to: int
    ) -> None:
        """Do this end's part of a round: the pair to be kept waits until both bits are known."""
        bench = self.bench
        bit = purify(keep, sacrifice, bench.env.now, protocol, bench.random)
        keep.werner = estimated_after(keep, sacrifice, protocol, bench.device)
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
