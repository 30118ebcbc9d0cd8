"""What fields mean where their class does not say so, or says it for readers of the code only."""

from __future__ import annotations

from sphinx.util import logging

from qkdrmp_docs.tables import described

LOGGER = logging.getLogger(__name__)

MEANINGS = {
    "model": "name of the model",
    "signal_speed_m_per_s": "speed of light in the fibre, m/s",
    "extra": "whatever else there is to say; it is kept, and only what these pages name is read",
    "name": "unique name",
    "kind": "what the node does",
    "ends": "the two nodes",
    "length_km": "length of the quantum channel, km; above 0",
    "attenuation_db_per_km": "loss of the quantum channel, dB/km; 0 or more",
    "classical_length_km": "length of the classical channel, km; by default that of the quantum channel",
    "format": "says that this is our own format",
    "source": "where the facts come from",
    "nodes": "the nodes, as below",
    "links": "the links, as below",
    "pool_capacity": "keys that its key pools hold, where a scenario has no `pools.capacity`; 1 or more",
    "pool_key_length_bits": "length of their keys, where a scenario has no `pools.key_length_bits`; 1 or more",
    "latitude": "degrees; only together with the longitude",
    "longitude": "degrees",
    "x": "where a map without degrees shows the node, to the right, in any unit; only together with `y`",
    "y": "the same, up",
    "notes": "what a reader of another format left out or completed",
    "src": "user who asks",
    "dst": "user who is asked",
    "start_s": "when, in seconds from the start of the simulation",
    "keys": "number of keys",
    "key_bits": "length of each key, bits",
    "key_num": "number of keys of a request",
    "priority": "higher is more urgent; used by the policy `priority`",
    "deadline_s": "time of the simulation by which every repeater must have served it, s",
    "patience_s": "seconds after which the request is given up if it still waits",
    "skew_trials": "by how many trials the receiving end of a link switches late; needs `barrier = false`",
}
"""By the name of the field."""

FIELDS = {
    ("AccessSettings", "mode"): "`per-request`: keys are made for each request; `pool`: users' links have pools too",
    ("QueueSettings", "capacity"): "slots for requests that wait; a request that finds none is rejected (`queue_full`)",
    ("QueueSettings", "policy"): "in which order waiting requests are served",
    ("PoolSettings", "capacity"): "V_m, the most keys a pool can hold",
    ("PoolSettings", "interrupt"): "V_i, in keys: a delivery that leaves so many or fewer interrupts service",
    (
        "PoolSettings",
        "interrupt_share",
    ): "V_i as a share of the capacity, rounded down, if `interrupt` is not given; by default 0.25, or "
    '0 with `replenish = "continuous"`',
    ("PoolSettings", "recover"): "V_r, in keys: service resumes when the pool holds so many again",
    (
        "PoolSettings",
        "recover_share",
    ): "V_r as a share of the capacity, if `recover` is not given; by default 1, or a key above V_i with "
    '`replenish = "continuous"`',
    ("PoolSettings", "initial"): "keys in the pool at time 0",
    ("PoolSettings", "replenish"): "when keys are made: below V_i, also when a request needs more, or all the time",
    ("LinkSettings", "source_efficiency"): "probability that a source emits when asked",
    ("LinkSettings", "detector_efficiency"): "probability that a photon is detected, or captured in a memory",
    ("MemorySettings", "t1_s"): "time constant of amplitude damping, s; the state relaxes to the maximally mixed one",
    ("MemorySettings", "t2_s"): "time constant of the loss of phase, s; at most twice `t1_s`",
    ("SetupSettings", "processing_s"): "time that a node takes for each message, s",
    (
        "SetupSettings",
        "timeout_round_trips",
    ): "how long an Initiator waits for the Response, in round trips of the path",
    ("SetupSettings", "timeout_margin_s"): "and so much longer, s",
    ("SetupSettings", "hold_round_trips"): "how long a node keeps memories for a connection not yet set up",
    ("SetupSettings", "hold_margin_s"): "and so much longer, s; both at least those of the timeout",
    (
        "SetupSettings",
        "backoff_s",
    ): "wait before the first retry, s, twice as long at each further one, times a random factor from 0.5 to 1.5",
    ("SetupSettings", "backoff_most_s"): "the longest such wait, s",
    ("SetupSettings", "refuse"): "Initiators that the node does not serve (`unauthorised`)",
    ("ClosedLoop", "key_num"): "number of keys of a request",
    ("PoissonRequests", "key_num"): "number of keys of a request",
    ("Rekey", "key_num"): "number of keys of a request",
    ("ClosedLoop", "first_mean_s"): "mean wait before an attempt until the first request has ended, s",
    ("ClosedLoop", "first_sd_s"): "its standard deviation, s",
    ("ClosedLoop", "think_s"): "mean wait between the end of a request and the next one, s",
    ("ClosedLoop", "key_length_bits"): "length of each key, bits",
    ("PoissonRequests", "key_length_bits"): "length of each key, bits",
    ("Rekey", "key_length_bits"): "length of each key, bits",
    ("PairRate", "rate_per_s"): "requests per second of this ordered pair",
    ("ListedConnection", "memories"): "memories it may use at every interface (its quota)",
    ("PoissonConnections", "memories"): "memories it may use at every interface (its quota)",
    ("ListedConnection", "weight"): "its share on shared links, relative to the others",
    ("PoissonConnections", "weight"): "its share on shared links, relative to the others",
    ("ListedConnection", "priority"): "its class on links with the policy `priority`; the highest comes first",
    ("ListedConnection", "teardown_by"): "who tears it down",
    ("LAU", "random"): "the higher one decides the order of new entries, and feeds policies that draw lots",
    ("SwapResult", "to"): "stage the pair goes to",
    ("Segment", "source"): "node that sends it",
    ("Segment", "content"): "the message that must arrive",
    ("Ack", "source"): "node that has the segment",
    # Fields of messages, which are called alike and mean the same in all of them.
    ("Message", "request_id"): "number of the request it belongs to",
    ("Message", "key_request"): "what is asked for: the users, the route, keys, priority and deadline",
    ("Message", "sender"): "node that sends it",
    ("Message", "to"): "node it is for",
    ("Message", "keys"): "the keys of the link's stream that are claimed, by index",
    ("Message", "bits"): "the exclusive or of the two keys",
    ("Message", "reason"): "why; see the reasons above",
    ("Message", "by"): "node that rejects",
    ("Message", "attempt"): "connection and attempt, as `id#attempt`",
    ("Message", "initiator"): "end node that asks",
    ("Message", "responder"): "end node that is asked",
    ("Message", "spec"): "what the connection is to be: pairs, fidelity, rate, memories, claim on links",
    ("Message", "path"): "nodes passed so far; in a RESPONSE, the whole path",
    ("Message", "qcaps"): "what each node of the path can do, in its order",
    ("Message", "outer"): "the message of the surrounding network that is sent on at the border",
    ("Message", "stack"): "the RuleSets of the nodes that have not taken theirs yet",
    ("Message", "promise"): "fidelity and rate that the Responder expects and promises",
    ("Message", "detail"): "more about the reason, such as what would have been feasible",
    ("Message", "source"): "node that sends it",
    ("Message", "stage"): "stage of the RuleSet in which the pair was used",
    ("Message", "number"): "number of the pair at the sender, in that stage",
    ("Message", "partner"): "who has the other half now",
    ("Message", "new_number"): "number of the pair in the stage it goes to",
    ("Message", "link"): "name of the link",
    ("Message", "epoch"): "which change of the allocation it is about; the two ends are at most one apart",
    ("Message", "bit"): "what was read",
}
"""By the class, or a base of it, and the name of the field."""


def meaning(cls: type, name: str, written: str = "") -> str:
    """Return what a field means: by this module, by what is written at the field or in a docstring, or by its name."""
    here = FIELDS.get((cls.__name__, name)) or written or described(cls).get(name)
    above = (FIELDS.get((base.__name__, name)) for base in cls.__mro__[1:])
    found = here or next(filter(None, above), None) or MEANINGS.get(name)
    if not found:
        LOGGER.warning("the field %s of %s has no meaning: write it in the docstring of the class", name, cls.__name__)
    return found or ""
