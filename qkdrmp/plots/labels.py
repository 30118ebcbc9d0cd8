"""What swept fields and metrics are called along axes, with their units."""

from __future__ import annotations

from qkdrmp.metric import LABELS as OWN_LABELS
from qkdrmp.plots.times import time_unit

LABELS = {
    "duration_s": "simulated time (s)",
    # QKD
    "pools.capacity": "key pool capacity $V_m$ (keys)",
    "requests_delivered": "requests processed",
    "wait_mean_s": "mean waiting time (s)",
    "wait_p50_s": "waiting time, median (s)",
    "wait_p95_s": "waiting time, 95th percentile (s)",
    "wait_p99_s": "waiting time, 99th percentile (s)",
    "pool_level_mean": "mean level of key pools (share)",
    "queue_mean": "mean number of queued requests",
    "requests_in_progress": "requests in progress",
    "request_rate_hz": "requests processed (1/s)",
    "requests_unfinished": "requests not ended",
    "keys_delivered": "keys delivered",
    "key_rate_bps": "delivered key rate (bit/s)",
    "queue.capacity": "queue capacity (requests)",
    "queue.policy": "queue policy",
    "pools.initial": "initial level (keys)",
    "pools.interrupt": "interrupt threshold $V_i$ (keys)",
    "pools.interrupt_share": "interrupt threshold (share of the capacity)",
    "pools.recover": "recovery threshold $V_r$ (keys)",
    "pools.recover_share": "recovery threshold (share of the capacity)",
    "pools.reserve": "reserve (keys)",
    "pools.key_length_bits": "length of a pool key (bit)",
    "pools.replenish": "replenishment",
    "access.mode": "access links",
    "key_rate.model": "key-rate model",
    "key_rate.rate_bps": "key rate of a link (bit/s)",
    "demand.key_num": "keys of a request",
    "demand.key_length_bits": "length of a key (bit)",
    "demand.patience_s": "patience of users (s)",
    "demand.think_s": "mean time between requests (s)",
    # Entanglement
    "links.model": "kind of link",
    "links.fidelity": "fidelity of a new pair of a link",
    "links.source_efficiency": "efficiency of sources",
    "links.detector_efficiency": "efficiency of detectors",
    "memories.per_interface": "memories of an interface",
    "memories.t1_s": "memory time $T_1$ (s)",
    "memories.t2_s": "memory time $T_2$ (s)",
    "gates.error": "error of a two-qubit gate",
    "gates.readout_error": "error of a readout",
    "setup.processing_s": "processing of a setup message (s)",
    "setup.retries": "retries of a setup",
    "setup.backoff_s": "backoff before the first retry (s)",
    "setup.swap_order": "swap order",
    "allocation.policy": "allocation of links",
    "allocation.lead": "lead of a Barrier (trials)",
    "allocation.barrier": "Barrier",
    "allocation.skew_trials": "skew of the ends of a link (trials)",
    "faults.loss": "lost messages (share)",
    "faults.duplication": "duplicated messages (share)",
    "layers.nested": "nested networks",
    "demand.pairs": "pairs of a connection",
    "demand.memories": "memories of a connection",
    "demand.minimum_fidelity": "fidelity asked for",
    "demand.mean_lasts_s": "mean time a connection lasts (s)",
    "connections_asked": "connections asked for",
    "connections_delivered": "connections delivered",
    "pairs_delivered": "pairs delivered",
    "pair_rate_hz": "delivered pairs (1/s)",
    "fidelity_mean": "mean fidelity of pairs",
    "fidelity_min": "lowest fidelity of a pair",
    "estimated_fidelity": "estimated fidelity of pairs",
    "attempts_mean": "mean setup attempts",
    "setup_mean_s": "mean setup time (s)",
    "completion_mean_s": "mean time to the last pair (s)",
    "setup_p50_s": "setup time, median (s)",
    "setup_p95_s": "setup time, 95th percentile (s)",
    "setup_p99_s": "setup time, 99th percentile (s)",
    "connections_active": "active connections",
    "stall_s": "void time of links (s)",
    "wrong_partner": "pairs with wrong partners",
    # Both
    "blocking": "blocking (rejected share)",
    "fairness": "fairness (Jain's index)",
    "time_s": "time (s)",
    "demand.rate_per_s": "requests of a pair of users (1/s)",
}


def value_text(value: object) -> str:
    """Return a value of a swept field as people read it.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.plots.value_text(0.1 * 3), qkdrmp.plots.value_text(None)
    ('0.3', 'none')
    """
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def label(name: str) -> str:
    """Return what a column is called along an axis."""
    return LABELS.get(name) or OWN_LABELS.get(name, name)


def in_unit(name: str, largest: float) -> tuple[float, str]:
    """Return the factor on a column, and what it is called then: times in a unit that suits the largest."""
    if not name.endswith("_s"):
        return 1.0, label(name)
    size, unit = time_unit(largest)
    return 1 / size, label(name).removesuffix("(s)") + f"({unit})"
