"""The tables of a report, as JSON can hold them: whole, and exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

MOST_ROWS = 5000
SAFE = 2**53
"""Whole numbers of JavaScript are exact up to here."""


def packed(title: str, table: pd.DataFrame, most: int = MOST_ROWS) -> dict[str, Any]:
    """Return a table by columns; of a very long one the first `most` rows.

    Numbers that JavaScript could not hold exactly are texts.
    """
    kept = table.head(most)
    return {
        "title": title,
        "rows": len(kept),
        "of": len(table),
        "columns": [{"name": str(name), "values": [_plain(value) for value in kept[name]]} for name in kept.columns],
    }


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or plain != plain:
        return None
    if isinstance(plain, bool | str):
        return plain
    if isinstance(plain, float):
        return plain if np.isfinite(plain) else str(plain)
    return plain if isinstance(plain, int) and abs(plain) <= SAFE else str(plain)
