"""Restart: both spans of a swap begin again from nothing."""

from __future__ import annotations

from collections.abc import Sequence

from simpy.events import Event

from qkdrmp.entanglement.messages import Restart
from qkdrmp.entanglement.quantum.cut_off import AFTER_HERALDS
from qkdrmp.entanglement.runtime.pair_buffer import PairBuffer
from qkdrmp.entanglement.runtime.session import RuleSetSession
from qkdrmp.kernel.simpy_marks import ScheduledEvent


class SpanRestart:
    """Lets both spans of a swap begin again, which discards what waits for swaps within them.

    That happens after all heralds of the same tick, whose pairs were begun before. Pairs that are heralded later, or
    being purified, are for the next swap.

    Parameters
    ----------
    session : RuleSetSession
        Of the node that swaps.
    buffers : sequence of PairBuffer
        Where its pairs wait.
    """

    __slots__ = ("_is_due", "_session", "_spans")

    def __init__(self, session: RuleSetSession, buffers: Sequence[PairBuffer]) -> None:
        path, here = session.owner.path, session.bench.name
        self._session = session
        self._spans = [_between(path, here, buffer.partner) for buffer in buffers]
        self._is_due = False

    def __call__(self) -> None:
        """Let them begin again at this tick."""
        if not self._is_due:
            self._is_due = True
            ScheduledEvent(self._session.bench.env, 0, AFTER_HERALDS).callbacks.append(self._begin)

    def _begin(self, event: Event) -> None:
        self._is_due = False
        session, send = self._session, self._session.bench.transport.send
        if not session.rules:  # it has been stopped meanwhile
            return
        for span in self._spans:
            for node in span[1:-1]:
                send(node, Restart(session.owner.attempt, span))
            session.restart(span)


def _between(path: Sequence[str], here: str, there: str) -> tuple[str, ...]:
    """Return the nodes of a path from one to another one."""
    first, last = path.index(here), path.index(there)
    return tuple(path[first : last + 1] if first < last else path[last : first + 1][::-1])
