"""The sifted-key law against a slot-by-slot simulation written from its text, sharing no code with it."""

import math

import numpy as np
import pytest

from qkdrmp.kernel.units import delay_ticks
from qkdrmp.key_rates import BB84Sifted, Fibre

MODEL = BB84Sifted()
CASES = pytest.mark.parametrize(("km", "keys"), [(1, 4), (10, 3), (25, 1)])


def fibre(km: float) -> Fibre:
    return Fibre(km, 0.2 * km, delay_ticks(km, 3e8))


def default_lam(km: float) -> float:
    return 0.5 * 10 ** (-0.02 * km) * 0.4


def bits_per_round(
    lam: float, rounds: int, sessions: int, random: np.random.Generator, pulses: int = 64, dead: int = 7
) -> np.ndarray:
    """Sifted bits of every round (rows) of every fresh session (columns): the pulses and an idle slot."""
    blind_until = np.zeros((2, sessions), dtype=int)  # the first slot in which the detector is live again
    bits = np.zeros((rounds, sessions), dtype=int)
    for number in range(rounds):
        for slot in range(number * (pulses + 1), number * (pulses + 1) + pulses):
            match = random.random(sessions) < 0.5
            alice = random.random(sessions) < 0.5
            lit = np.stack([~match | ~alice, ~match | alice])
            chance = np.where(match, 1 - math.exp(-lam), 1 - math.exp(-lam / 2))
            click = lit & (random.random((2, sessions)) < chance) & (blind_until <= slot)
            blind_until[click] = slot + 1 + dead
            bits[number] += match & click.any(axis=0)
    return bits


def assert_mean(sample: np.ndarray, mean: float) -> None:
    assert sample.mean() == pytest.approx(mean, abs=4 * sample.std() / math.sqrt(len(sample)))


def assert_sd(sample: np.ndarray, sd: float) -> None:
    assert sample.std() == pytest.approx(sd, rel=4 / math.sqrt(2 * len(sample)))


def check_moments(km: float, bits: np.ndarray) -> None:
    moments = MODEL.moments(fibre(km), 32)
    assert_mean(bits[0], moments.mean + moments.head_start)
    later = bits[1:].sum(axis=0)
    count = len(bits) - 1
    assert_mean(later, count * moments.mean)
    # Only neighbouring rounds are correlated, so the sum lacks one pair of covariances at its ends.
    alone = moments.mean_square - moments.mean**2
    assert_sd(later, math.sqrt(count * moments.variance + alone - moments.variance))


def check_fill(
    model: BB84Sifted, line: Fibre, keys: int, bits: np.ndarray, random: np.random.Generator, pulses: int = 64
) -> None:
    full = bits.cumsum(axis=0) >= keys * 32
    assert full[-1].all()
    done = 4 * line.delay_ticks + (full.argmax(axis=0) + 1) * (pulses + 1) * 12_500 - 12_500
    drawn = np.array([model.session(line, 32, random).block(keys).ticks for _ in range(10 * bits.shape[1])])
    assert drawn.mean() == pytest.approx(done.mean(), abs=4.2 * done.std() / math.sqrt(len(done)))
    assert_sd(done, drawn.std())


@CASES
def test_chain_and_fill_agree_with_the_simulation(km: float, keys: int) -> None:
    random = np.random.default_rng(11)
    bits = bits_per_round(default_lam(km), 80, 2000, random)
    check_moments(km, bits)
    check_fill(MODEL, fibre(km), keys, bits, random)


def test_bright_light_short_rounds_and_a_dead_time_of_two_rounds_agree_with_the_simulation() -> None:
    random = np.random.default_rng(13)
    model = BB84Sifted(mean_photons=2.0, detector_efficiency=1.0, dead_time_ns=400.0)
    bits = bits_per_round(2.0, rounds=150, sessions=4000, random=random, pulses=16, dead=31)
    assert_mean(bits[100:].mean(axis=0), model.moments(Fibre(1.0, 0.0, 0), 32).mean)
    check_fill(model, Fibre(1.0, 0.0, 3_333_333), 1, bits, random, pulses=16)


def test_a_round_of_a_long_key_agrees_with_the_simulation() -> None:
    bits = bits_per_round(default_lam(10), rounds=1, sessions=600, random=np.random.default_rng(14), pulses=16_384)[0]
    moments = MODEL.moments(fibre(10), 8192)
    assert_mean(bits, moments.mean + moments.head_start)
    assert_sd(bits, math.sqrt(moments.variance))


@pytest.mark.slow
@pytest.mark.parametrize(("km", "keys", "rounds"), [(1, 1, 24), (1, 10, 130), (10, 10, 165), (50, 1, 130)])
def test_chain_and_fill_agree_with_a_large_simulation(km: float, keys: int, rounds: int) -> None:
    random = np.random.default_rng(12)
    bits = bits_per_round(default_lam(km), rounds, 10_000, random)
    check_moments(km, bits)
    check_fill(MODEL, fibre(km), keys, bits, random)
