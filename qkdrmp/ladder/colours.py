"""The colours of messages in ladder diagrams."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from qkdrmp.plots.canvas import COLOURS

BLACK = "#333333"
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, _, _, SKY = COLOURS
KINDS = {
    "REQUEST": BLUE,
    "ACCEPT": ORANGE,
    "CLAIM": BROWN,
    "CONFIRM": GREEN,
    "CIPHERTEXT": PURPLE,
    "ACKNOWLEDGE": SKY,
    "DONE": BLACK,
    "REFILL": PINK,
    "CSR": BLUE,
    "RESPONSE": ORANGE,
    "REJECT": RED,
    "LAU": GREEN,
    "BARRIER": PURPLE,
    "SWAPRESULT": SKY,
    "PURIFYRESULT": PINK,
    "TEARDOWN": BROWN,
    "TERMINATION": BLACK,
}
"""Colours of the kinds of messages, the same in every ladder; no two kinds of one protocol family share one."""
FREE = tuple(dict.fromkeys(KINDS.values()))


def colours(kinds: Iterable[str]) -> dict[str, str]:
    """Return the colour of each kind of message: its own, or for unknown kinds one that is free."""
    found = {kind: KINDS[kind] for kind in KINDS if kind in set(kinds)}
    unknown = [kind for kind in dict.fromkeys(kinds) if kind not in found]
    free = [colour for colour in FREE if colour not in found.values()] or FREE
    return found | dict(zip(unknown, itertools.cycle(free), strict=False))
