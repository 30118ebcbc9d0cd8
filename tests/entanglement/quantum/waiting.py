"""What waiting in memories does to a pair, in closed form."""

from math import exp

from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal, Memory, swap
from qkdrmp.kernel.units import to_seconds


def decohered(state: BellDiagonal, ticks_left: int, ticks_right: int, left: Memory, right: Memory) -> BellDiagonal:
    """Return `state` after its halves have waited for so many ticks in their memories.

    Between depolarising memories (T1 = T2 = tau) a Werner parameter w = (4F - 1)/3 becomes w exp(-(t1 + t2)/tau).
    """
    left_s, right_s = to_seconds(ticks_left), to_seconds(ticks_right)
    amplitude = exp(-left_s / left.t1_s - right_s / right.t1_s)
    phase = exp(-left_s / left.t2_s - right_s / right.t2_s)
    flip = (1 - amplitude) / 4
    # Rounding may leave a Z error of a tiny negative probability where T2 = 2 T1.
    dephase = max(0.0, (1 - 2 * phase + amplitude) / 4)
    return swap(state, BellDiagonal((1 + 2 * phase + amplitude) / 4, flip, flip, dephase))  # the errors multiply
