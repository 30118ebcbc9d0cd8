import math
from fractions import Fraction

import numpy as np
import pytest

from qkdrmp.kernel.units import TICKS_PER_SECOND
from qkdrmp.key_rates import KEY_RATE_MODELS, Block, Constant, Fibre, GenerationSession, KeyRateModel

FIBRE = Fibre(length_km=10.0, loss_db=2.0, delay_ticks=50_000_000)


def session(rate_bps: float, key_bits: int) -> GenerationSession:
    model: KeyRateModel = Constant(rate_bps)
    return model.session(FIBRE, key_bits, np.random.default_rng(0))


def test_a_block_takes_its_bits_over_the_rate() -> None:
    # The first one also that of the light to the receiving end.
    opened = session(1000.0, 256)
    assert opened.block(1) == Block(FIBRE.delay_ticks + 256 * TICKS_PER_SECOND // 1000, 1)
    assert opened.block(10) == Block(2560 * TICKS_PER_SECOND // 1000, 10)


@pytest.mark.parametrize("rate_bps", [3.0, 7e5, 0.1, 123456.789, 9.99e11])
def test_no_drift_over_many_blocks(rate_bps: float) -> None:
    opened = session(rate_bps, 32)
    sizes = [1 + i % 3 for i in range(10_000)]
    total = sum(opened.block(keys).ticks for keys in sizes)
    assert total == FIBRE.delay_ticks + math.floor(sum(sizes) * 32 * TICKS_PER_SECOND / Fraction(rate_bps))


def test_every_block_takes_a_tick_at_the_highest_rate() -> None:
    opened = session(1e12, 1)
    assert [opened.block(1).ticks for _ in range(5)] == [FIBRE.delay_ticks + 1, 1, 1, 1, 1]


def test_the_mean_rate_is_the_rate() -> None:
    assert Constant(512.0).mean_rate_bps(FIBRE, 32) == 512.0


@pytest.mark.parametrize("rate_bps", [0.0, -1.0, 1.1e12, math.inf, math.nan])
def test_a_bad_rate_is_a_clear_error(rate_bps: float) -> None:
    with pytest.raises(ValueError, match=rf"^rate_bps = {rate_bps!r} must be above 0 and at most 1e12"):
        Constant(rate_bps)


def test_the_registry_names_the_model() -> None:
    assert KEY_RATE_MODELS["constant"] is Constant
