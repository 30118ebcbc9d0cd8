"""Initiators: users who ask for connections, try again when they are rejected, and release them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from qkdrmp.entanglement.connections.setup import SetupProtocol
from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.connections.teardown import TeardownProtocol
from qkdrmp.entanglement.ledger import Attempt, ConnectionEntry, ConnectionLedger, ConnectionStatus, Promise
from qkdrmp.entanglement.messages import CSR, Response, SetupReject
from qkdrmp.entanglement.request import AttemptId, EndReason
from qkdrmp.entanglement.settings import SetupSettings
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer
from qkdrmp.kernel.units import NEVER, to_ticks
from qkdrmp.network.routing import Route

FINAL = (EndReason.NO_ROUTE, EndReason.UNAUTHORISED, EndReason.INFEASIBLE, EndReason.TORN_DOWN)
"""Reasons that do not go away with time."""


class Initiator:
    """What a user does to get and keep connections, by what has come to its node; the ledger is only written.

    Parameters
    ----------
    env : Environment
    setup : SetupProtocol
    teardowns : TeardownProtocol
    records : ConnectionTable
        Those of the user's node.
    ledger : ConnectionLedger
    settings : SetupSettings
    routes : callable
        Returns the routes to a user, the shortest first.
    round_trip : callable
        Returns how long messages take hop by hop along a path and back, in ticks.
    random : numpy.random.Generator
        For the jitter of retries.
    watch : callable
        Called when a connection has been rejected as busy, with the name of the node that did, the attempt and the
        connection, so that it can be noted when there is enough.
    """

    def __init__(
        self,
        env: Environment,
        setup: SetupProtocol,
        teardowns: TeardownProtocol,
        records: ConnectionTable,
        ledger: ConnectionLedger,
        settings: SetupSettings,
        routes: Callable[[str], Sequence[Route]],
        round_trip: Callable[[Route], int],
        random: np.random.Generator,
        watch: Callable[[str, Attempt, ConnectionEntry], None],
    ) -> None:
        self.env = env
        self.setup = setup
        self.teardowns = teardowns
        self.records = records
        self.ledger = ledger
        self.settings = settings
        self.routes = routes
        self.round_trip = round_trip
        self.random = random
        self.watch = watch
        self._timers: dict[str, Timer] = {}
        self._wanted: set[str] = set()
        setup.failed = self._failed
        setup.established = self._established
        teardowns.ended = self._ended

    def ask(self, entry: ConnectionEntry) -> None:
        """Make the first or the next attempt at a connection."""
        self._wanted.add(entry.id)
        attempt = AttemptId(entry.id, len(entry.attempts) + 1)
        entry.path, detour = self._next_route(entry)
        entry.attempts.append(Attempt(attempt, self.env.now, entry.path))
        entry.armed = entry.armed_at = 0
        request = entry.request
        self.ledger.note(attempt, request.src, "asked")
        now, round_trip = self.env.now, self.round_trip(entry.path)
        patience = min(self.settings.timeout_ticks(round_trip), max(1, entry.deadline - now))
        self._await(entry, patience, self._timed_out)
        ends = request.ends(now + round_trip)
        self.setup.request(CSR(attempt, request.src, request.dst, request.spec, now, ends=ends, route=detour), None)

    def _next_route(self, entry: ConnectionEntry) -> tuple[Route, Route]:
        """Return the route of the next attempt, the one after the last that was busy; again, if not the shortest."""
        routes = self.routes(entry.request.dst)
        number = sum(attempt.reason is EndReason.BUSY for attempt in entry.attempts) % len(routes)
        return routes[number], routes[number] if number else ()

    def release(self, entry: ConnectionEntry) -> None:
        """Tear a connection down, whether it is installed or not."""
        if entry.id not in self._wanted:
            return
        record = self._record(entry)
        self._finish(entry, ConnectionStatus.ABORTED, EndReason.TORN_DOWN)
        if record is None or record.is_over:
            return
        if record.phase is Phase.INSTALLED:
            self.teardowns.terminate(record, completed=False)
        else:
            self.teardowns.tear_down(record)

    # Of a connection only one thing is waited for at a time: the Response, the next attempt, or the end.

    def _await(self, entry: ConnectionEntry, delay: int, action: Callable[[ConnectionEntry], None]) -> None:
        self._await_nothing(entry)
        self._timers[entry.id] = Timer.started(self.env, delay, lambda: action(entry))

    def _await_nothing(self, entry: ConnectionEntry) -> None:
        timer = self._timers.pop(entry.id, None)
        if timer is not None:
            timer.cancel()

    def _record(self, entry: ConnectionEntry) -> ConnectionState | None:
        return self.records.get(entry.attempts[-1].id)

    # Outcomes of attempts

    def _timed_out(self, entry: ConnectionEntry) -> None:
        record = self._record(entry)
        assert record is not None
        self.teardowns.tear_down(record)
        self._failed(record, SetupReject(record.attempt, EndReason.TIMEOUT, entry.request.src))

    def _failed(self, record: ConnectionState, reject: SetupReject) -> None:
        """Try again later, unless the rejection is final, there is no retry left, or the deadline is too close."""
        entry = self.ledger.entries[record.attempt.connection]
        if entry.id not in self._wanted:
            return
        attempt = entry.attempts[-1]
        attempt.reason, attempt.by, attempt.detail = reject.reason, reject.by, reject.detail
        attempt.available, attempt.ended = reject.available, self.env.now
        if reject.reason is EndReason.BUSY:
            self.watch(reject.by, attempt, entry)
        wait = self._wait(entry, reject.reason)
        if reject.reason is EndReason.TORN_DOWN:
            self._finish(entry, ConnectionStatus.ABORTED, reject.reason)
        elif self.env.now + wait >= entry.deadline:
            self._finish(entry, ConnectionStatus.REJECTED, reject.reason)
        else:
            self._await(entry, wait, self.ask)

    def _wait(self, entry: ConnectionEntry, reason: EndReason) -> int:
        """Return how long to wait for the next attempt, in ticks; `NEVER` if there is to be none."""
        tries = len(entry.attempts)
        if tries > self.settings.retries or reason in FINAL:
            return NEVER
        route, _ = self._next_route(entry)
        available = next((one.available for one in reversed(entry.attempts) if one.path == route), None)
        backoff = min(self.settings.backoff_most_s, self.settings.backoff_s * 2 ** (tries - 1))
        jittered = to_ticks(backoff * (0.5 + self.random.random()))
        return max(jittered, (available or 0) - self.env.now, 1)

    def _established(self, record: ConnectionState, response: Response) -> None:
        entry = self.ledger.entries[record.attempt.connection]
        entry.attempts[-1].ended = entry.installed = self.env.now
        entry.attempts[-1].detail = "; ".join(
            f"{left.node}-{right.node}: {right.rate:.6g} pairs/s of fidelity {right.fidelity:.6g}"
            for left, right in pairwise(response.qcaps)
        )
        entry.promise = Promise(*response.promise)
        self._await_nothing(entry)
        if entry.request.spec.is_null:
            self._finish(entry, ConnectionStatus.DELIVERED)
        elif entry.request.lasts_s is not None:
            self._await(entry, max(1, to_ticks(entry.request.lasts_s)), self._expired)

    def _ended(self, record: ConnectionState, reason: EndReason | None) -> None:
        """Note that a connection of this user, as its Initiator or Responder, has ended here."""
        entry = self.ledger.entries[record.attempt.connection]
        attempt = entry.attempts[-1]
        if record.attempt != attempt.id:
            return  # of an earlier attempt
        if reason is not None:
            self.ledger.finish(entry, ConnectionStatus.ABORTED, reason)
        if record.before is None and entry.id in self._wanted:
            if reason is not None and attempt.ended is None:
                attempt.reason, attempt.ended = reason, self.env.now
            self._forget(entry)

    def _expired(self, entry: ConnectionEntry) -> None:
        """End a connection whose holding time is over."""
        record = self._record(entry)
        if entry.request.spec.pairs is not None:
            self.release(entry)
        elif record is not None and record.phase is Phase.INSTALLED:
            self._finish(entry, ConnectionStatus.DELIVERED)
            self.teardowns.terminate(record, completed=True)

    def _finish(self, entry: ConnectionEntry, state: ConnectionStatus, reason: EndReason | None = None) -> None:
        self.ledger.finish(entry, state, reason)
        self._forget(entry)

    def _forget(self, entry: ConnectionEntry) -> None:
        self._wanted.discard(entry.id)
        self._await_nothing(entry)
