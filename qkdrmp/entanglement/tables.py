"""What comes out of a run of an entanglement network: the tables, and the one line of a sweep.

Column names carry their unit: ``_s`` seconds, ``_hz`` pairs per second; pairs, trials and connections are counts.
Fidelities are the true ones unless the name says believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.entanglement.ledger import Entry, State
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.negotiation import LAU, Barrier
from qkdrmp.entanglement.links.policies import Agreement, Policy
from qkdrmp.entanglement.messages import CSR, REJECTIONS, Termination, connection_of
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.kernel.units import to_seconds
from qkdrmp.network.transport import Segment
from qkdrmp.stats.estimators import jain, quantiles

SUMMARY_COLUMNS: dict[str, str] = {
    "connections_asked": "connections asked for after the warm-up; all about connections is about these",
    **{f"connections_{state}": f"of these, {state} at the end" for state in State},
    **{f"rejected_{reason}": f"connections rejected, at last, with the reason {reason}" for reason in REJECTIONS},
    "blocking": "share of the connections asked for and ended that were rejected",
    "attempts_mean": "mean number of setup attempts",
    "setup_mean_s": "mean time from asking to the installation at the Initiator, retries included, s",
    "setup_p50_s": "median of that time, s",
    "setup_p95_s": "95th percentile of that time, s",
    "setup_p99_s": "99th percentile of that time, s",
    "completion_mean_s": "mean time from asking to the last pair, of connections that have all they need, s",
    "pairs_delivered": "end-to-end pairs that both users have",
    "pair_rate_hz": "these, per second after the warm-up",
    "fairness": "Jain's index, over the connections that have been active, of their pairs per second from then to "
    "their end (or now): 1 if all have the same rate, 1/n if one of n has everything",
    "fidelity_mean": "mean true fidelity of these pairs at delivery",
    "fidelity_min": "lowest true fidelity of these pairs",
    "believed_fidelity": "mean fidelity that the users believe them to have",
    "wrong_partner": "delivered pairs whose halves are not each other's partners",
    "elementary_pairs": "pairs made by links, warm-up included",
    "stall_s": "time for which trials of a link were void for want of the peer's Barrier, summed over link ends, s",
    "events": "events processed, warm-up included",
    "messages": "messages sent, warm-up and repetitions included",
}

CONNECTION_COLUMNS: dict[str, str] = {
    "id": "name of the connection",
    "src": "Initiator",
    "dst": "Responder",
    "path": "nodes of the route, joined by >",
    "asked_s": "when it was asked for, s",
    "installed_s": "when its RuleSets were installed at the Initiator, s",
    "active_s": "when the last link of the path switched to it, s",
    "done_s": "when both users had all pairs, or it was given up or torn down, s",
    "state": "delivered, rejected, aborted or unfinished",
    "reason": "why it was rejected or aborted",
    "attempts": "setup attempts",
    "need": "pairs asked for; empty if endless",
    "pairs": "pairs that both users have",
    "rate_hz": "pairs per second from active_s to done_s (or the end)",
    "fidelity_mean": "mean true fidelity at delivery",
    "fidelity_min": "lowest true fidelity",
    "believed_fidelity": "mean fidelity that the users believe the pairs to have",
    "foreseen_fidelity": "fidelity that the Responder reckoned with when it made the RuleSets",
    "wrong_partner": "pairs whose halves are not each other's partners",
    "error_rate": "share of measured pairs whose bits were not those of Phi+ (the QBER); empty unless measured",
}

ATTEMPT_COLUMNS: dict[str, str] = {
    "connection": "name of the connection",
    "attempt": "from 1",
    "asked_s": "when it began, s",
    "ended_s": "when the Initiator knew how it went, s",
    "outcome": "installed, or the reason why not",
    "rejected_by": "node that rejected it",
    "detail": "more about the reason; what a null setup found out",
    "estimated_s": "when the rejecting node expected to have room, s",
    "available_s": "when it had room, s",
}

LINK_COLUMNS: dict[str, str] = {
    "link": "its two ends, sender first",
    "lanes": "trials side by side",
    "success_probability": "of a trial",
    "trials": "trials of the clock so far, void and unowned ones included",
    "successes": "pairs made",
    "allocated": "trials given to a connection",
    "connections": "connections that were given trials",
    "epochs": "agreements closed",
    "stall_s": "time for which trials were void for want of the peer's Barrier, mean of both ends, s",
    "memory_used": "memories with a half in them at the end of the run, both ends",
}

ALLOCATION_COLUMNS: dict[str, str] = {
    "link": "its two ends, sender first",
    "connection": "connection, or connection within a network",
    "attempt": "setup attempt",
    "trials": "trials of the clock given to it, seen from the sender",
    "pairs": "halves heralded for it at the sender",
}

PAIR_COLUMNS: dict[str, str] = {
    "connection": "name of the connection",
    "number": "name of the pair at both users",
    "time_s": "when the second user had it, s",
    "fidelity": "true fidelity then",
    "believed_fidelity": "what the users believe, their waits averaged",
    "right_partner": "whether the two halves are each other's partners",
}

MESSAGE_COLUMNS: dict[str, str] = {
    "connections": "connections the message is about, joined by ,",
    "message": "type",
    "source": "node that sent it",
    "target": "node it goes to",
    "sent_s": "when it was sent, s",
    "received_s": "when it arrives, s",
    "detail": "what else it says",
}

MILESTONE_COLUMNS: dict[str, str] = {
    "connection": "name of the connection",
    "time_s": "when it happened, s",
    "node": "where",
    "event": "what",
}


def summary(network: EntanglementNetwork, warmup: int) -> dict[str, float]:
    """Return the figures of one run up to now, as a row of a sweep (see `SUMMARY_COLUMNS`)."""
    entries = [entry for entry in network.ledger.entries.values() if entry.asked >= warmup]
    states = Counter(entry.state for entry in entries)
    reasons = Counter(entry.reason for entry in entries if entry.state is State.REJECTED)
    ended = len(entries) - states[State.UNFINISHED]
    setups = [to_seconds(entry.installed - entry.asked) for entry in entries if entry.installed is not None]
    finished = [entry for entry in entries if entry.state is State.DELIVERED and entry.wish.terms.need]
    completions = [to_seconds(entry.done - entry.asked) for entry in finished if entry.done is not None]
    pairs = sum(entry.pairs for entry in entries)
    observed = to_seconds(network.env.now - warmup)
    nothing = float("nan")
    return {
        "connections_asked": len(entries),
        **{f"connections_{state}": states[state] for state in State},
        **{f"rejected_{reason}": reasons[reason] for reason in REJECTIONS},
        "blocking": states[State.REJECTED] / ended if ended else nothing,
        "attempts_mean": float(np.mean([len(entry.attempts) for entry in entries])) if entries else nothing,
        **quantiles("setup", setups),
        "completion_mean_s": float(np.mean(completions)) if completions else nothing,
        "pairs_delivered": pairs,
        "pair_rate_hz": pairs / observed if observed > 0 else 0.0,
        "fairness": jain(entry.pairs / active for entry in entries if (active := _active_s(entry, network.env.now))),
        "fidelity_mean": sum(entry.fidelity_sum for entry in entries) / pairs if pairs else nothing,
        "fidelity_min": min(entry.fidelity_min for entry in entries if entry.pairs) if pairs else nothing,
        "believed_fidelity": sum(entry.believed_sum for entry in entries) / pairs if pairs else nothing,
        "wrong_partner": sum(entry.wrong_partner for entry in entries),
        "elementary_pairs": sum(link.successes for link in network.links.values()),
        "stall_s": to_seconds(
            sum(interface.stalled for ends in network.interfaces.values() for interface in ends.values())
        ),
        "events": network.env.events,
        "messages": network.messages,
    }


def _active_s(entry: Entry, now: int) -> float:
    """Return for how long a connection has been active, s."""
    until = now if entry.done is None else entry.done
    return 0.0 if entry.active is None else to_seconds(max(0, until - entry.active))


def tables(network: EntanglementNetwork) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by name."""
    ledger = network.ledger
    made = {
        "connections": _frame(CONNECTION_COLUMNS, (_connection(entry, network) for entry in ledger.entries.values())),
        "attempts": _frame(ATTEMPT_COLUMNS, _attempts(network)),
        "links": _frame(LINK_COLUMNS, (_link(network, ends) for ends in network.links)),
        "allocations": _frame(ALLOCATION_COLUMNS, _allocations(network)),
    }
    if ledger.deliveries is not None:
        made["pairs"] = _frame(
            PAIR_COLUMNS,
            ((d.connection, d.number, to_seconds(d.tick), d.fidelity, d.believed, d.right) for d in ledger.deliveries),
        )
    if network.hops is not None:
        made["messages"] = _frame(MESSAGE_COLUMNS, _messages(network))
        notes = ((m.connection, to_seconds(m.tick), m.node, m.event) for m in ledger.milestones or ())
        made["milestones"] = _frame(MILESTONE_COLUMNS, notes)
    return made


def _frame(columns: dict[str, str], rows: Iterator[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))


def _seconds(ticks: int | None) -> float:
    return float("nan") if ticks is None else to_seconds(ticks)


def _connection(entry: Entry, network: EntanglementNetwork) -> tuple[Any, ...]:
    pairs, wish = entry.pairs, entry.wish
    active_s = _active_s(entry, network.env.now)
    return (
        entry.id,
        wish.src,
        wish.dst,
        ">".join(entry.path),
        to_seconds(entry.asked),
        _seconds(entry.installed),
        _seconds(entry.active),
        _seconds(entry.done),
        str(entry.state),
        None if entry.reason is None else str(entry.reason),
        len(entry.attempts),
        float("nan") if wish.terms.need is None else wish.terms.need,
        pairs,
        pairs / active_s if active_s else 0.0,
        entry.fidelity_sum / pairs if pairs else float("nan"),
        entry.fidelity_min if pairs else float("nan"),
        entry.believed_sum / pairs if pairs else float("nan"),
        float("nan") if entry.foreseen is None else entry.foreseen,
        entry.wrong_partner,
        entry.measured_errors / pairs if pairs and wish.terms.basis else float("nan"),
    )


def _attempts(network: EntanglementNetwork) -> Iterator[tuple[Any, ...]]:
    for entry in network.ledger.entries.values():
        for attempt in entry.attempts:
            installed = "installed" if attempt.ended is not None else None
            yield (
                entry.id,
                attempt.number,
                to_seconds(attempt.asked),
                _seconds(attempt.ended),
                installed if attempt.reason is None else str(attempt.reason),
                attempt.by,
                attempt.detail,
                _seconds(attempt.available),
                _seconds(attempt.freed),
            )


def _sides(network: EntanglementNetwork, ends: tuple[str, str]) -> tuple[Interface, Interface]:
    return network.interfaces[ends[0]][ends[1]], network.interfaces[ends[1]][ends[0]]


def _link(network: EntanglementNetwork, ends: tuple[str, str]) -> tuple[Any, ...]:
    link, sides = network.links[ends], _sides(network, ends)
    given = _given(network, ends)
    return (
        "-".join(ends),
        link.lanes,
        sides[0].pairs_per_s * to_seconds(link.slot_ticks),
        link.next_trial(0),
        link.successes,
        sum(given.values()),
        len({connection_of(key) for key in given}),
        sides[0].allocation.epoch,
        to_seconds(sides[0].stalled + sides[1].stalled) / 2,
        sides[0].occupied + sides[1].occupied,
    )


def _allocations(network: EntanglementNetwork) -> Iterator[tuple[Any, ...]]:
    for ends in network.links:
        sender = _sides(network, ends)[0]
        halves = sender.pairs_by_key()
        for key, trials in _given(network, ends).items():
            connection, _, attempt = key.rpartition("#")
            yield ("-".join(ends), connection, int(attempt), trials, halves.get(key, 0))


def _given(network: EntanglementNetwork, ends: tuple[str, str]) -> Counter[str]:
    """Return how many trials of the clock were given to each connection, seen from the sender."""
    link, sender = network.links[ends], _sides(network, ends)[0]
    given: Counter[str] = Counter()
    agreements = sender.allocation.agreements
    bounds = [*(agreement.since for agreement in agreements), link.next_trial(0)]
    for agreement, (first, end) in zip(agreements, pairwise(bounds), strict=True):
        given += _owned(sender.allocation.policy, agreement, first, max(first, end))
    return given


def _owned(policy: Policy, agreement: Agreement, first: int, end: int) -> Counter[str]:
    """Return how many of the trials from `first` up to `end` each connection owns."""
    if not agreement.entries or end <= first:
        return Counter()
    period = policy.period(agreement) or end - first
    rounds, rest = divmod(end - first, period)
    owners = [policy.owner(trial, agreement) for trial in range(first, first + min(period, end - first))]
    counted = Counter(owner for owner in owners if owner is not None)
    owned = Counter({owner: count * rounds for owner, count in counted.items()}) if rounds else Counter[str]()
    return owned + Counter(owner for owner in owners[:rest] if owner is not None)


def _messages(network: EntanglementNetwork) -> Iterator[tuple[Any, ...]]:
    epochs: dict[tuple[str, int], dict[str, None]] = {}
    for hop in network.hops or ():
        message: Any = hop.message.content if isinstance(hop.message, Segment) else hop.message
        about = _about(message)
        if isinstance(message, LAU | Barrier):  # a Barrier is about what the two LAUs before it are about
            known = epochs.setdefault((message.link, message.epoch), {})
            known.update(dict.fromkeys(about))
            about = about or list(known)
        yield (
            ",".join(about),
            message.wire_name,
            hop.source,
            hop.target,
            to_seconds(hop.sent),
            to_seconds(hop.received),
            _detail(message),
        )


def _about(message: Any) -> list[str]:
    if isinstance(message, LAU):
        return [connection_of(key) for key in dict.fromkeys(entry.id for entry in (*message.active, *message.next))]
    if isinstance(message, CSR):
        return [message.connection]
    return [connection_of(message.key)] if hasattr(message, "key") else []


_DETAILS = ("reason", "number")


def _detail(message: Any) -> str:
    if isinstance(message, LAU):
        return " ".join(entry.id for entry in message.next) or "nobody"
    if isinstance(message, Termination):
        return "complete" if message.completed else str(message.reason)
    if isinstance(message, Barrier):
        return f"trial {message.pptsn}"
    return next((f"{name} {getattr(message, name)}" for name in _DETAILS if hasattr(message, name)), "")
