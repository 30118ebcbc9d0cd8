"""Arrivals: the processes by which users of both protocol families ask for something.

Each process calls ``ask(source, destination)``, which starts a request or a connection now and returns an event that
fires when it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import simpy
from simpy.events import ProcessGenerator

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.units import TICKS_PER_SECOND

Ask: TypeAlias = Callable[[str, str], simpy.Event]
Wait: TypeAlias = Callable[[np.random.Generator], int]


class ClosedLoopUsers:
    """Users who ask for one thing at a time, of peers who are idle.

    Parameters
    ----------
    env : Environment
    peers : mapping of str to sequence of str
        The peers that each user may choose.
    ask : callable
    """

    def __init__(self, env: Environment, peers: Mapping[str, Sequence[str]], ask: Ask) -> None:
        self.env = env
        self.peers = peers
        self.ask = ask
        self.busy: set[str] = set()
        self.experienced: set[str] = set()

    def loop(self, user: str, first: Wait, later: Wait, random: np.random.Generator) -> ProcessGenerator:
        """Ask indefinitely: wait, ask an idle peer, wait until it has ended.

        The peer is drawn uniformly among those idle when the attempt is scheduled. If either is busy when it is due
        (or if no peer was idle), a new attempt is drawn. `first` draws the waits, in ticks, until something that the
        user took part in has ended; `later` those from then on.
        """
        while True:
            idle = [peer for peer in self.peers[user] if peer not in self.busy]
            peer = idle[int(random.random() * len(idle))] if idle else None
            wait = later if user in self.experienced else first
            yield self.env.timeout(wait(random))
            if peer is None or user in self.busy or peer in self.busy:
                continue
            pair = {user, peer}
            self.busy |= pair
            ended = self.ask(user, peer)
            if not ended.triggered:
                yield ended
            self.busy -= pair
            self.experienced.add(user)


def poisson(
    env: Environment, pair: tuple[str, str], rate_per_s: float, random: np.random.Generator, ask: Ask
) -> ProcessGenerator:
    """Ask indefinitely for one pair, as a Poisson process of `rate_per_s`."""
    mean = TICKS_PER_SECOND / rate_per_s
    while True:
        yield env.timeout(round(random.exponential(mean)))
        ask(*pair)


def periodic(env: Environment, pair: tuple[str, str], interval: int, offset: int, ask: Ask) -> ProcessGenerator:
    """Ask indefinitely for one pair, every `interval` ticks from tick `offset` on."""
    yield env.timeout(offset)
    while True:
        ask(*pair)
        yield env.timeout(interval)


def at_times(env: Environment, planned: Iterable[tuple[int, Callable[[], object]]]) -> ProcessGenerator:
    """Perform planned actions, each at its tick; the plan must be in the order of time."""
    for tick, action in planned:
        if tick > env.now:
            yield env.timeout(tick - env.now)
        action()
