"""The quantum side of a link: devices that make keys, block by block, for whoever waits for them.

What happens here is physics: both ends of a link see the same keys, the receiving end first and the sending end one
classical delay later. What the ends have to exchange is in the messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import simpy
from simpy.events import ProcessGenerator, Timeout

from qkdrmp.kernel.environment import Environment
from qkdrmp.key_rates.model import Block, Fibre, GenerationSession, KeyRateModel, TimedSession
from qkdrmp.qkd.keys.key_bits import KeyBits
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.thresholds import Replenish


class Order(Protocol):
    """Something that keys are made for."""

    def begin(self) -> Block | None:
        """Return the block to make now, or None if no keys are wanted at present."""

    def finish(self, block: Block) -> None:
        """Take the finished block."""


class KeyGenerator:
    """One pair of devices: makes one block at a time, for the orders in turn."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.busy = False
        self._orders: deque[Order] = deque()
        self._current: Order | None = None
        self._idle: simpy.Event | None = None
        self._process = env.process(self._run())

    def submit(self, order: Order, next_in_turn: bool = False) -> None:
        """Queue an order after those that wait, or before them; an order that waits already is not queued twice."""
        if order in self._orders:
            return
        if next_in_turn:
            self._orders.appendleft(order)
        else:
            self._orders.append(order)
        if self._idle is not None:
            self._idle.succeed()
            self._idle = None

    def abandon(self, order: Order) -> None:
        """Withdraw an order; a block that is being made for it is lost."""
        if order is self._current:
            self._process.interrupt()
        elif order in self._orders:
            self._orders.remove(order)

    def _run(self) -> ProcessGenerator:
        while True:
            while not self._orders:
                self._idle = self.env.event()
                yield self._idle
            order = self._orders.popleft()
            block = order.begin()
            if block is None:
                continue
            self._current = order
            try:
                yield Timeout(self.env, block.ticks)
            except simpy.Interrupt:
                continue
            finally:
                self._current = None
            order.finish(block)


class Supply:
    """What fills one key stream: a standing order, as long as the stream wants keys.

    Parameters
    ----------
    stream : KeyStream
    link : QuantumLink
    generator : KeyGenerator
    """

    def __init__(self, stream: KeyStream, link: QuantumLink, generator: KeyGenerator) -> None:
        self.stream = stream
        self.link = link
        self.generator = generator
        self.continuous = stream.settings.replenish is Replenish.CONTINUOUS
        self.open = False
        for pool in (stream.upstream, stream.downstream):
            pool.on_free = self._on_free

    def start(self) -> None:
        """Begin a refill, or continuous generation, with a fresh session; do nothing if one is under way."""
        if not self.open:
            self.open = True
            self._session = self.link.session(self.stream.settings.key_bits)
            self.generator.submit(self)

    def _on_free(self) -> None:
        if self.open:
            self.generator.submit(self)

    def begin(self) -> Block | None:
        """Return the next block if keys are wanted and there is free capacity for them."""
        if self.stream.downstream.serving and not self.continuous:
            self.open = False  # the REFILL was duplicated or late
            return None
        # A refill asks for all it needs at once.
        wanted = min(self.stream.free, self.stream.settings.block_keys if self.continuous else self._missing())
        return self._session.block(wanted) if wanted > 0 else None

    def _missing(self) -> int:
        """Return how many keys the downstream copy needs to recover."""
        return self.stream.settings.thresholds.recover - self.stream.downstream.level

    def finish(self, block: Block) -> None:
        """Store the block at both ends: a refill ends at V_r, and what the block has beyond that is dropped."""
        stream = self.stream
        count = stream.admit(block.keys, None if self.continuous else max(self._missing(), 0))
        # Where the upstream copy waits as well (mirrors = "head"), nothing else can free capacity.
        filled = not self.continuous and (count >= self._missing() or not stream.upstream.serving)
        self.open = not filled
        stream.add(count, filled)
        self._on_free()


class KeySession:
    """Key generation on an access link for one request, between two ends that both have joined."""

    def __init__(self, link: QuantumLink, generator: KeyGenerator, keys: int, key_bits: int) -> None:
        self.link = link
        self.generator = generator
        self.keys = keys
        self.key_bits = key_bits
        self.left = keys
        self._takers: list[Callable[[int], None]] = []

    def join(self, take: Callable[[int], None], receives: bool) -> None:
        """Let one end take part; `take` is called with the key bits. Generation starts when both ends have joined."""
        self._takers.insert(0 if receives else len(self._takers), take)
        if len(self._takers) == 2:
            self._session = self.link.session(self.key_bits)
            self.generator.submit(self)

    def begin(self) -> Block | None:
        """Return the next block of the keys that are left to make; what it has beyond them is dropped."""
        return self._session.block(self.left)

    def finish(self, block: Block) -> None:
        """Hand the keys to both ends when all are made, the sending end one delay later."""
        self.left -= block.keys
        if self.left > 0:
            self.generator.submit(self, next_in_turn=True)
            return
        receiver, sender = self._takers
        key = self.link.draw(self.keys * self.key_bits)
        self.link.after_delay(lambda: sender(key))
        receiver(key)


class _ClockedSession:
    """A session whose rate depends on the time, with the clock of the simulation."""

    def __init__(self, env: Environment, session: TimedSession) -> None:
        self._env, self._session = env, session

    def block(self, keys: int) -> Block | None:
        """Return the block that is begun now."""
        return self._session.block_at(keys, self._env.now)


class QuantumLink:
    """Two neighbours, the fibre between them and its devices.

    Parameters
    ----------
    env : Environment
    fibre : Fibre
    model : KeyRateModel
    rate_random : numpy.random.Generator
        Where durations come from.
    bits : KeyBits
        Where the key bits of sessions come from.
    per_direction : bool
        Whether each direction has devices of its own; otherwise both share one pair and take turns.
    """

    def __init__(
        self,
        env: Environment,
        fibre: Fibre,
        model: KeyRateModel,
        rate_random: np.random.Generator,
        bits: KeyBits,
        per_direction: bool,
    ) -> None:
        self.env = env
        self.fibre = fibre
        self.model = model
        self._rate_random = rate_random
        self._bits = bits
        self._shared = None if per_direction else KeyGenerator(env)
        self._generators: dict[str, KeyGenerator] = {}
        self._sessions: dict[int, KeySession] = {}

    def generator(self, upstream: str) -> KeyGenerator:
        """Return the devices that make keys for the direction away from node `upstream`."""
        if self._shared is not None:
            return self._shared
        if upstream not in self._generators:
            self._generators[upstream] = KeyGenerator(self.env)
        return self._generators[upstream]

    def session(self, key_bits: int) -> GenerationSession:
        """Open a session of the key-rate model on this fibre."""
        opened = self.model.session(self.fibre, key_bits, self._rate_random)
        return _ClockedSession(self.env, opened) if isinstance(opened, TimedSession) else opened

    def draw(self, bits: int) -> int:
        """Return fresh key bits as one number."""
        return self._bits.take(bits)

    def after_delay(self, action: Callable[[], None]) -> None:
        """Call `action` one classical delay from now."""
        Timeout(self.env, self.fibre.delay_ticks).callbacks.append(lambda event: action())

    def session_for(self, request_id: int, upstream: str, keys: int, key_bits: int) -> KeySession:
        """Return the one session that makes the keys of a request, which travels away from node `upstream`."""
        session = self._sessions.get(request_id)
        if session is None:
            session = KeySession(self, self.generator(upstream), keys, key_bits)
            self._sessions[request_id] = session
        return session

    def leave(self, request_id: int) -> None:
        """End a request's session, done or not."""
        session = self._sessions.pop(request_id, None)
        if session is not None:
            session.generator.abandon(session)
