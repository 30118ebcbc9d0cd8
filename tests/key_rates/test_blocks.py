"""Blocks of post-processing: whole, without drift, and with what is less than a key carried over."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.key_rates import Block, DecoyBB84, Fibre, FiniteDecoyBB84, LinkRate, LossLaw
from qkdrmp.key_rates.secret_keys import BlockwiseSession, session_of

SECOND = 10**12


def test_a_block_of_sifted_bits_arrives_whole_after_the_time_they_take() -> None:
    # 1e6 sifted bits at 10 kbit/s arrive together after 100 s; half of them are secret.
    session = session_of(LinkRate(rate_bps=5e3, block_s=100.0), key_bits=256)
    made = [session.block(1) for _ in range(3)]
    assert [block.ticks for block in made] == [100 * SECOND] * 3
    assert [block.keys for block in made] == [1953, 1953, 1953]  # 500,000 / 256 = 1953.125
    later = [session.block(1).keys for _ in range(5)]
    assert later == [1953, 1953, 1953, 1953, 1954]  # the eighth block completes the key of the remainders


def test_a_key_that_is_longer_than_a_block_waits_for_the_block_that_completes_it() -> None:
    session = BlockwiseSession(block_bits=100.0, block_s=1.0, key_bits=256)
    assert [session.block(5) for _ in range(4)] == [
        Block(3 * SECOND, 1),
        Block(3 * SECOND, 1),
        Block(2 * SECOND, 1),
        Block(3 * SECOND, 1),
    ]


@given(st.floats(0.5, 1e6), st.floats(1e-9, 1e3), st.integers(1, 5000))
def test_blocks_neither_drift_nor_lose_bits(bits: float, seconds: float, key_bits: int) -> None:
    session = BlockwiseSession(bits, seconds, key_bits)
    made = [session.block(1) for _ in range(20)]
    assert all(block.ticks >= 1 and block.keys >= 1 for block in made)
    blocks = math.ceil(sum(block.keys for block in made) * key_bits / Fraction(bits))
    assert sum(block.keys for block in made) == blocks * Fraction(bits) // key_bits
    assert sum(block.ticks for block in made) == pytest.approx(blocks * Fraction(seconds) * SECOND, abs=20)


def test_the_rate_of_many_blocks_is_the_mean_rate() -> None:
    fibre, model = Fibre(50.0, 10.0, 0), FiniteDecoyBB84()
    session = model.session(fibre, 256, np.random.default_rng(1))
    made = [session.block(1) for _ in range(1000)]
    rate = sum(block.keys for block in made) * 256 / (sum(block.ticks for block in made) / SECOND)
    assert rate == pytest.approx(model.mean_rate_bps(fibre, 256), rel=1e-5)


def test_without_blocks_keys_come_as_soon_as_their_bits_are_there() -> None:
    fibre, model = Fibre(50.0, 10.5, 0), DecoyBB84()
    session = model.session(fibre, 256, np.random.default_rng(1))
    assert session.block(10).ticks == pytest.approx(2560 / model.mean_rate_bps(fibre, 256) * SECOND, abs=1)


def test_blocks_do_not_change_the_mean_rate() -> None:
    fibre = Fibre(50.0, 10.5, 0)
    blockwise = DecoyBB84(block_size=10**6).link_rate(fibre)
    assert blockwise.rate_bps == DecoyBB84().link_rate(fibre).rate_bps
    sifted = DecoyBB84().per_pulse(10.5)
    assert blockwise.block_s == pytest.approx(1e6 / (sifted.sifted * 1e8))
    assert blockwise.block_bits == pytest.approx(1e6 * sifted.secret / sifted.sifted, abs=1e-5)


@pytest.mark.parametrize("model", [LossLaw(1e6, max_loss_db=20), DecoyBB84()])
def test_a_session_without_keys_has_no_block(model) -> None:
    session = model.session(Fibre(300.0, 60.0, 0), 256, np.random.default_rng(1))
    assert session.block(1) is None
