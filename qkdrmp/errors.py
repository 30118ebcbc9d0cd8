"""Errors that users can cause, and the form of their sentences: the place, the value, and what is allowed.

A wrong value: ``pools.capacity = 0 must be at least 1``. A wrong name: ``unknown field 'capcity' (did you mean
'capacity'?); known are capacity, reserve``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class QKDRMPError(Exception):
    """Base of every error the package raises on purpose."""


class TopologyError(QKDRMPError, ValueError):
    """A topology, or a file that describes one, cannot be used."""


class ScenarioError(QKDRMPError, ValueError):
    """A scenario, or a file that describes one, cannot be used."""


class SweepWarning(UserWarning):
    """A sweep is not all that was asked for: runs failed, it cannot be resumed, or intervals are wider than wanted."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word nearest to `word`, or an empty string."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return names joined by commas, at most so many of them."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular if it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """Return ``is`` or ``are``, as fits a number of things."""
    return "is" if number == 1 else "are"


def one_of(known: Collection[str], word: object) -> str:
    """Return what a value must be, as in ``one of qkd, entanglement (did you mean 'qkd'?)``."""
    return f"one of {', '.join(known)}{did_you_mean(word, known)}"


def unknown(word: str, known: Collection[str]) -> str:
    """Return what is said about a name that is not known: ``'x' (did you mean 'y'?); known are y, z``."""
    return f"'{word}'{did_you_mean(word, known)}; known are {', '.join(known) or 'none'}"
