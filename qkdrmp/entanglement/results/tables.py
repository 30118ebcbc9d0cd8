"""The tables of a run of an entanglement network.

Column names carry their unit: ``_s`` seconds, ``_hz`` pairs per second, ``_bps`` bits per second; pairs, trials and
connections are counts. Fidelities are the true ones unless the name says estimated.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan

import pandas as pd

from qkdrmp.entanglement.ledger import Attempt, Delivery, Milestone
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.results.rows import (
    AllocationRow,
    ConnectionRow,
    LinkRow,
    MessageRow,
    MessageRows,
    RuleRow,
    StackRow,
    allocation_rows,
    link_rows,
    node_rows,
    rule_rows,
)
from qkdrmp.family import Results, message_columns
from qkdrmp.kernel.units import seconds_or_nan, to_seconds
from qkdrmp.network.channel import Transmission
from qkdrmp.stats.columns import Column, Table
from qkdrmp.stats.compact_rows import CompactRows


class EntanglementResults(Results):
    """What came out of one run of an entanglement network.

    `pairs` is there only if pairs were recorded, `rulesets` only if RuleSets were; `messages` and `milestones` only if
    messages were.
    """

    connections = Table[ConnectionRow](
        "a connection",
        [
            Column("id", "name of the connection", lambda row: row.entry.id),
            Column("src", "Initiator", lambda row: row.entry.request.src),
            Column("dst", "Responder", lambda row: row.entry.request.dst),
            Column("path", "nodes of the last attempt's route, joined by >", lambda row: ">".join(row.entry.path)),
            Column("asked_s", "when it was asked for", lambda row: to_seconds(row.entry.asked)),
            Column(
                "installed_s",
                "when its RuleSets were installed at the Initiator",
                lambda row: seconds_or_nan(row.entry.installed),
            ),
            Column(
                "active_s",
                "when the last link of the path switched to it",
                lambda row: seconds_or_nan(row.entry.active),
            ),
            Column(
                "done_s",
                "when both users had all pairs, or it was rejected at last or torn down",
                lambda row: seconds_or_nan(row.entry.done),
            ),
            Column("state", "delivered, rejected, aborted or unfinished", lambda row: str(row.entry.state)),
            Column("reason", "why it was rejected or aborted", lambda row: row.entry.reason and str(row.entry.reason)),
            Column("attempts", "setup attempts", lambda row: len(row.entry.attempts)),
            Column(
                "need",
                "pairs asked for; empty if endless",
                lambda row: nan if row.entry.request.spec.pairs is None else row.entry.request.spec.pairs,
            ),
            Column("pairs", "pairs that both users have", lambda row: row.entry.pairs),
            Column("rate_hz", "pairs per second from active_s to done_s (or the end)", lambda row: row.rate),
            Column(
                "fidelity_mean",
                "mean true fidelity at delivery",
                lambda row: row.per_pair(row.entry.fidelity_sum),
            ),
            Column(
                "fidelity_min",
                "lowest true fidelity",
                lambda row: row.entry.fidelity_min if row.entry.pairs else nan,
            ),
            Column(
                "estimated_fidelity",
                "mean fidelity that the users estimate the pairs to have",
                lambda row: row.per_pair(row.entry.estimated_sum),
            ),
            Column(
                "predicted_fidelity",
                "mean fidelity that the Responder expected when it made the RuleSets",
                lambda row: row.entry.promise.fidelity,
            ),
            Column(
                "promised_fidelity",
                "mean fidelity that it promised, if one was asked for: chance falls short in 1 of 740 connections",
                lambda row: row.entry.promise.promised_fidelity,
            ),
            Column(
                "predicted_rate_hz",
                "pairs per second that the Responder expected if others use all that is not the connection's own",
                lambda row: row.entry.promise.rate,
            ),
            Column(
                "promised_rate_hz",
                "pairs per second that it promised, if they were asked for; later connections do not get them",
                lambda row: row.entry.promise.promised_rate,
            ),
            Column(
                "wrong_partner",
                "pairs whose halves are not each other's partners",
                lambda row: row.entry.wrong_partner,
            ),
            Column(
                "error_rate",
                "share of measured pairs whose bits were not those of Phi+ (the QBER); empty unless measured",
                lambda row: (
                    row.per_pair(row.entry.measured_errors) if row.entry.request.spec.basis in ("X", "Y", "Z") else nan
                ),
            ),
            Column(
                "sifted_pairs",
                "pairs that both users measured in the same basis, for a key; empty unless the basis is bbm92",
                lambda row: row.of_key(row.entry.key.sifted),
            ),
            Column(
                "error_rate_x",
                "share of those measured in X whose bits differed",
                lambda row: row.of_key(row.entry.key.error_rate("X")),
            ),
            Column(
                "error_rate_z",
                "share of those measured in Z whose bits differed",
                lambda row: row.of_key(row.entry.key.error_rate("Z")),
            ),
            Column(
                "secret_bits",
                "secret bits of the key, if it were long: sifted_pairs max(0, 1 - h(error_rate_x) - f h(error_rate_z))",
                lambda row: row.of_key(row.entry.secret_bits),
            ),
            Column("secret_bps", "these, per second from active_s to done_s (or the end)", lambda row: row.secret_bps),
        ],
    )
    attempts = Table[Attempt](
        "a setup attempt",
        [
            Column("connection", "name of the connection", lambda attempt: attempt.id.connection),
            Column("attempt", "from 1", lambda attempt: attempt.id.number),
            Column("path", "nodes of its route, joined by >", lambda attempt: ">".join(attempt.path)),
            Column("asked_s", "when it began", lambda attempt: to_seconds(attempt.asked)),
            Column(
                "ended_s", "when the Initiator learned how it had ended", lambda attempt: seconds_or_nan(attempt.ended)
            ),
            Column("outcome", "installed, or the reason why not", lambda attempt: attempt.outcome),
            Column("rejected_by", "node that rejected it", lambda attempt: attempt.by),
            Column("detail", "more about the reason; what a null setup has reported", lambda attempt: attempt.detail),
            Column(
                "estimated_s",
                "when the rejecting node expected to have enough memories, or the links of the path enough rate",
                lambda attempt: seconds_or_nan(attempt.available),
            ),
            Column(
                "available_s",
                "when there was enough; empty for the rate of a path across nested networks",
                lambda attempt: seconds_or_nan(attempt.freed),
            ),
        ],
    )
    links = Table[LinkRow](
        "a link",
        [
            Column("link", "its two ends, sender first", lambda row: "-".join(row.ends)),
            Column("lanes", "trials side by side", lambda row: row.link.lanes),
            Column(
                "success_probability",
                "of a trial",
                lambda row: row.sides[0].pairs_per_s * to_seconds(row.link.slot_ticks),
            ),
            Column(
                "trials",
                "trials of the clock so far, void and unowned ones included",
                lambda row: row.link.next_trial(0),
            ),
            Column("successes", "pairs made", lambda row: row.link.successes),
            Column("allocated", "trials given to a connection", lambda row: sum(row.given.values())),
            Column(
                "connections",
                "connections that were given trials",
                lambda row: len({attempt.connection for attempt in row.given}),
            ),
            Column("epochs", "agreements closed", lambda row: row.sides[0].allocation.epoch),
            Column(
                "stall_s",
                "time for which trials were void because the peer's Barrier had not come, mean of both ends",
                lambda row: to_seconds(sum(side.stalled for side in row.sides)) / 2,
            ),
            Column(
                "memory_used",
                "memories with a half in them at the end of the run, both ends",
                lambda row: sum(side.occupied for side in row.sides),
            ),
        ],
    )
    nodes = Table[StackRow](
        "a node",
        [
            Column("node", "name", lambda row: row.name),
            Column("kind", "end, repeater or router", lambda row: str(row.network.topology.nodes[row.name].kind)),
            Column("rejected", "setup attempts that it rejected", lambda row: row.rejected[row.name]),
            Column(
                "expired_holds",
                "connections whose memories it released because no RESPONSE had come in time",
                lambda row: row.stack.records.expired_holds,
            ),
            Column(
                "late_responses",
                "RESPONSEs that came after that, or after the connection had ended",
                lambda row: row.stack.records.late_responses,
            ),
            Column(
                "late_messages",
                "other messages for connections that had ended, dropped",
                lambda row: row.stack.records.late_messages,
            ),
            Column(
                "retransmissions",
                "SEGMENTs, LAUs and BARRIERs that it sent again because no answer had come",
                lambda row: row.stack.transport.resent + row.stack.sharing.resent,
            ),
        ],
    )
    allocations = Table[AllocationRow](
        "what an attempt at a connection was given of a link",
        [
            Column("link", "its two ends, sender first", lambda row: row.link),
            Column("connection", "connection, or connection within a network", lambda row: row.attempt.connection),
            Column("attempt", "setup attempt", lambda row: row.attempt.number),
            Column(
                "trials",
                "trials of the clock given to it, seen from the sender; by lot or late binding, those it may expect",
                lambda row: row.trials,
            ),
            Column("pairs", "halves heralded for it at the sender", lambda row: row.pairs),
        ],
    )
    pairs = Table[Delivery](
        "an end-to-end pair that both users have",
        [
            Column("connection", "name of the connection", lambda pair: pair.connection),
            Column("number", "name of the pair at both users", lambda pair: pair.number),
            Column("time_s", "when the second user had it", lambda pair: to_seconds(pair.tick)),
            Column("fidelity", "true fidelity then", lambda pair: pair.fidelity),
            Column(
                "estimated_fidelity",
                "what the users estimate it to be, averaged over the two, whose waits differ",
                lambda pair: pair.estimated,
            ),
            Column("right_partner", "whether the two halves are each other's partners", lambda pair: pair.right),
        ],
        record="pairs",
    )
    rulesets = Table[RuleRow](
        "a rule that a node was given for an attempt at a connection",
        [
            Column("connection", "connection, or connection within a network", lambda row: row.attempt.connection),
            Column("attempt", "setup attempt", lambda row: row.attempt.number),
            Column("node", "node, in the order of the path", lambda row: row.node),
            Column("stage", "stage of the pairs that it is about", lambda row: row.stage),
            Column("rule", "which rule of the stage it is, from 1", lambda row: row.number),
            Column("conditions", "what must hold, joined by ,", lambda row: row.conditions),
            Column("actions", "what is then done, joined by ,", lambda row: row.actions),
        ],
        record="rulesets",
    )
    messages = Table[MessageRow](
        "a message",
        [
            Column(
                "connections", "connections the message is about, joined by ,", lambda row: ",".join(row.connections)
            ),
            *message_columns(lambda row: row.hop),
        ],
        record="messages",
    )
    milestones = Table[Milestone](
        "a step in the life of a connection at a node",
        [
            Column("connection", "name of the connection", lambda milestone: milestone.connection),
            Column("time_s", "when it happened", lambda milestone: to_seconds(milestone.tick)),
            Column("node", "where", lambda milestone: milestone.node),
            Column("event", "what", lambda milestone: milestone.event),
        ],
        record="messages",
    )


class MessageLog:
    """Notes transmissions as rows of the table of messages.

    Parameters
    ----------
    hops : iterable of Transmission, optional
        The first ones.

    Attributes
    ----------
    rows : CompactRows
    """

    def __init__(self, hops: Iterable[Transmission] = ()) -> None:
        self.rows = CompactRows(EntanglementResults.messages.columns)
        self._row = MessageRows().row
        for hop in hops:
            self.append(hop)

    def append(self, hop: Transmission) -> None:
        """Note a transmission."""
        self.rows.append(self._row(hop))


def tables(network: EntanglementNetwork) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by name."""
    ledger, now, kinds = network.ledger, network.env.now, EntanglementResults
    links = list(link_rows(network))
    made = {
        "connections": kinds.connections.frame(ConnectionRow(entry, now) for entry in ledger.entries.values()),
        "attempts": kinds.attempts.frame(attempt for entry in ledger.entries.values() for attempt in entry.attempts),
        "links": kinds.links.frame(links),
        "nodes": kinds.nodes.frame(node_rows(network)),
        "allocations": kinds.allocations.frame(row for link in links for row in allocation_rows(link)),
    }
    if ledger.deliveries is not None:
        made["pairs"] = kinds.pairs.frame(ledger.deliveries)
    if ledger.rulesets is not None:
        made["rulesets"] = kinds.rulesets.frame(rule_rows(ledger.rulesets))
    if network.trace is not None:
        log = network.trace if isinstance(network.trace, MessageLog) else MessageLog(network.hops or ())
        made["messages"] = log.rows.frame()
        made["milestones"] = kinds.milestones.frame(ledger.milestones or ())
    return made
