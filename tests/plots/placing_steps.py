"""How much work the placing of labels is: boxes that are compared with lines."""

from __future__ import annotations

import pytest

from qkdrmp.plots import label_placement


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each comparison adds the number of boxes times that of lines."""
    steps: list[int] = []
    measured = label_placement.length_within

    def counted(boxes: label_placement.Boxes, lines: label_placement.Lines) -> float:
        steps.append(len(boxes) * len(lines))
        return measured(boxes, lines)

    monkeypatch.setattr(label_placement, "length_within", counted)
    return steps
