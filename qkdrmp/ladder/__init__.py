"""Ladder diagrams: the messages of one request or one connection, as a run really sent them."""

from qkdrmp.ladder.diagram import Ladder, first, of

__all__ = ["Ladder", "first", "of"]
