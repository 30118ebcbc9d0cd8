"""Pools that are empty at first: when they have filled, and whether that distorts the statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator

from qkdrmp.errors import QKDRMPError
from qkdrmp.qkd.loads import has_own_devices, link_rate, rate_bps
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.stats.words import number
from qkdrmp.topology import Link

DISTORTING = 0.02
"""A time of filling that is a larger share of what is counted distorts it."""


def fill_times_s(settings: QKDSettings) -> dict[str, float]:
    """Return when each key stream with pools first serves, in seconds, if its link makes keys at its mean rate.

    It is 0 where pools have more keys at first than their interrupt threshold. Otherwise they are filled up to their
    recovery threshold; where both directions of a link share its devices, they do so in turns. It is ``inf`` for a link
    that makes no keys.
    """
    times: dict[str, float] = {}
    for link in settings.topology.links:
        if not settings.has_pools(link):
            continue
        missing = {}
        for ends in (link.ends, link.ends[::-1]):
            stream = settings.stream(*ends)
            sizes = stream.thresholds
            empty = sizes.initial <= sizes.interrupt
            missing[">".join(ends)] = (sizes.recover - sizes.initial) * stream.key_bits if empty else 0
        together = sum(missing.values())
        for name, bits in missing.items():
            wanted = bits if has_own_devices(settings, link) else together
            times[name] = _time_s(settings, link, wanted) if bits else 0.0
    return times


def _time_s(settings: QKDSettings, link: Link, bits: int) -> float:
    """Return how long a link makes keys for `bits` bits, whole blocks if it has them."""
    rate, blocks_s = rate_bps(settings, link), link_rate(settings, link).block_s
    if not rate:
        return math.inf
    return blocks_s * math.ceil(round(bits / (rate * blocks_s), 9)) if blocks_s else bits / rate


def filling(settings: QKDSettings) -> Iterator[str]:
    """Say when pools that are empty at first have filled, as far as it is known."""
    try:
        times = fill_times_s(settings)
    except QKDRMPError:  # a model of the user's own
        return
    if waiting := {name: time_s for name, time_s in times.items() if 0 < time_s < math.inf}:
        slowest = max(waiting, key=lambda name: waiting[name])
        others = ", the others no later" if len(waiting) > 1 else ""
        yield (
            f"key pools are empty at first and serve nobody before they hold V_r keys: {slowest} after "
            f"{number(waiting[slowest], 3)} s without demand{others}"
        )


def late_filling(settings: QKDSettings) -> Iterator[str]:
    """Say if pools fill for longer than the warm-up, for so long that it distorts the statistics."""
    try:
        times = fill_times_s(settings)
    except QKDRMPError:
        return
    counted_s = settings.duration_s - settings.warmup_s
    finite = {name: time_s for name, time_s in times.items() if time_s < math.inf}
    late = [name for name, time_s in finite.items() if time_s - settings.warmup_s > DISTORTING * counted_s]
    if late:
        slowest = max(late, key=lambda name: times[name])
        yield (
            f"{len(late)} of {len(times)} key streams serve nobody before their empty pools hold V_r keys, {slowest} "
            f"for {number(times[slowest], 3)} s, but the statistics begin at warmup_s = {settings.warmup_s:g}: waits "
            "would be those of filling (a longer warmup_s, or pools.initial_share = 1, avoids that)"
        )
