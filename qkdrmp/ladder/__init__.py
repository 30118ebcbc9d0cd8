"""Ladder diagrams: the messages of one request or one connection, as a run really sent them."""

from qkdrmp.ladder.diagram import NOUNS, Ladder, check_noun, first, of_connection, of_request, tell

__all__ = ["NOUNS", "Ladder", "check_noun", "first", "of_connection", "of_request", "tell"]
