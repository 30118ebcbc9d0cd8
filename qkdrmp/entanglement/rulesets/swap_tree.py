"""Swap trees: in which order the pairs of a path are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Protocol

from qkdrmp.config.registry import Registry


@dataclass(frozen=True, slots=True)
class Span:
    """A pair between two nodes: of a link, or swapped together from two halves, or in any order from more than two."""

    left: str
    right: str
    halves: tuple[Span, ...] = ()

    @property
    def height(self) -> int:
        """How many swaps it takes one after the other."""
        return 1 + max(half.height for half in self.halves) if self.halves else 0

    @property
    def spans(self) -> tuple[Span, ...]:
        """This span and all that it is swapped from."""
        return (self, *(span for half in self.halves for span in half.spans))

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """The links it is made of, from left to right."""
        return tuple(link for half in self.halves for link in half.links) or ((self.left, self.right),)


class SwapOrder(Protocol):
    """In which order the pairs of a path are joined."""

    def __call__(self, path: Sequence[str], /) -> Span:
        """Return the swap tree of a path, given as the nodes from the Initiator to the Responder."""


def joined(first: Span, second: Span) -> Span:
    """Return two spans that meet at a node, swapped there."""
    return Span(first.left, second.right, (first, second))


def midpoint(path: Sequence[str]) -> Span:
    """Return the tree that swaps last at the middle of the path, and likewise in each half."""
    if len(path) <= 2:
        return Span(path[0], path[-1])
    middle = len(path) // 2
    return joined(midpoint(path[: middle + 1]), midpoint(path[middle:]))


def sequential(path: Sequence[str]) -> Span:
    """Return the tree that swaps node after node, from the Initiator on."""
    return reduce(joined, (Span(left, right) for left, right in pairwise(path)))


def asap(path: Sequence[str]) -> Span:
    """Return the span that each node swaps as soon as it has a pair on either side, whoever shares it by then."""
    links = tuple(Span(left, right) for left, right in pairwise(path))
    return Span(path[0], path[-1], links) if len(links) > 1 else links[0]


SWAP_ORDERS: Registry[SwapOrder] = Registry(
    "swap order", SwapOrder, {"midpoint": midpoint, "sequential": sequential, "asap": asap}
)
