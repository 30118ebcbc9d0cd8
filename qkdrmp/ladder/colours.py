"""The colours of messages in ladder diagrams."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from qkdrmp.plots.canvas import COLOURS

BLACK = "#333333"
_BLUE, _ORANGE, _GREEN, _RED, _PURPLE, _BROWN, _PINK, _, _, _SKY = COLOURS
PALETTE = {
    "blue": _BLUE,
    "orange": _ORANGE,
    "brown": _BROWN,
    "green": _GREEN,
    "purple": _PURPLE,
    "sky": _SKY,
    "black": BLACK,
    "pink": _PINK,
    "red": _RED,
}
"""Colours by the names under which a protocol family gives them to its messages."""


def colours(kinds: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return the colour of each kind of message: its own, or for kinds without one a colour that is free.

    Parameters
    ----------
    kinds : iterable of str
    named : mapping of str to str
        The names of the colours that kinds of messages have in their family; they come first.
    """
    shown = list(dict.fromkeys(kinds))
    found = {kind: PALETTE[name] for kind, name in named.items() if kind in shown}
    others = [kind for kind in shown if kind not in found]
    free = [colour for colour in PALETTE.values() if colour not in found.values()] or list(PALETTE.values())
    return found | dict(zip(others, itertools.cycle(free), strict=False))
