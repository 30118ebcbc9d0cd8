"""Errors a user can cause, and warnings: complete sentences that name the place, the value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QKDRMPError(Exception):
    """Base of every error the package raises on purpose."""


class TopologyError(QKDRMPError, ValueError):
    """A topology, or a file that describes one, cannot be used."""


class ScenarioError(QKDRMPError, ValueError):
    """A scenario, or a file that describes one, cannot be used."""


class SweepWarning(UserWarning):
    """A sweep is not all that was asked for: runs failed, it cannot be resumed, or intervals are wider than wanted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word nearest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return names joined by commas, at most so many of them."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
