"""What must always hold. Each family checks its own live network; a broken invariant is a defect of the simulator."""

from __future__ import annotations


class InvariantError(AssertionError):
    """Something that must always hold does not."""


def require(condition: bool, statement: str) -> None:
    """Raise `InvariantError` with `statement` unless `condition` holds."""
    if not condition:
        raise InvariantError(statement)
