"""The sifted-key law against its table of exact values and its closed form; the blocks of its sessions."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from qkdrmp.kernel.units import delay_ticks
from qkdrmp.key_rates import KEY_RATE_MODELS, BB84Sifted, Block, Fibre, KeyRateModel

DRAWS = 20_000
SLOT = 12_500
PERIOD = 65 * SLOT
MODEL = BB84Sifted()


@dataclass(frozen=True)
class Row:
    """A row of the table: 20 keys of 32 bits, efficiency 0.4, 3e8 m/s; rounds R and receiver done in us."""

    km: float
    m: float
    sd_y: float
    mean_r: float
    sd_r: float
    done_us: float
    sd_done_us: float


TABLE = [
    Row(1, 3.4485, 1.5354, 186.02, 6.03, 164.46, 4.90),
    Row(5, 3.1002, 1.4804, 206.87, 6.82, 234.74, 5.54),
    Row(10, 2.6812, 1.4064, 239.13, 8.06, 327.62, 6.55),
    Row(25, 1.6170, 1.1575, 396.22, 14.19, 655.25, 11.53),
    Row(50, 0.5931, 0.7437, 1079.55, 41.13, 1543.79, 33.42),
]
each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.km} km")


def fibre(km: float) -> Fibre:
    return Fibre(km, 0.2 * km, delay_ticks(km, 3e8))


def fills(km: float, keys: int, draws: int = DRAWS, seed: int = 1) -> np.ndarray:
    """Ticks from start to receiver done, of the first block of `draws` sessions."""
    random = np.random.default_rng(seed)
    line = fibre(km)
    return np.array([MODEL.session(line, 32, random).block(keys).ticks for _ in range(draws)])


def assert_near(sample: np.ndarray, mean: float, sd: float) -> None:
    """Compare mean and SD within four standard errors; the table's last digit is far below one of them."""
    error = sd / math.sqrt(len(sample))
    assert sample.mean() == pytest.approx(mean, abs=4 * error)
    assert sample.std() == pytest.approx(sd, abs=4 * error / math.sqrt(2))


@each_row
def test_moments_match_the_table_to_its_printed_digits(row: Row) -> None:
    moments = MODEL.moments(fibre(row.km), 32)
    assert moments.mean == pytest.approx(row.m, abs=0.5001e-4)
    assert math.sqrt(moments.mean_square - moments.mean**2) == pytest.approx(row.sd_y, abs=0.5001e-4)


@each_row
def test_the_law_of_a_fill_matches_the_table(row: Row) -> None:
    # The table has the exact first passage: the law's mean is within 0.01 round of it, its SD within 0.2 %.
    moments = MODEL.moments(fibre(row.km), 32)
    m, overshoot = moments.mean, (moments.mean_square - moments.mean) / (2 * moments.mean)
    mean = (640 + overshoot - moments.head_start) / m
    assert mean == pytest.approx(row.mean_r, abs=0.01)
    assert math.sqrt(640 * moments.variance / m**3) == pytest.approx(row.sd_r, rel=0.002)
    done = 4 * delay_ticks(row.km, 3e8) + mean * PERIOD - SLOT
    assert done / 1e6 == pytest.approx(row.done_us, abs=0.01)


@each_row
def test_sampled_fills_match_the_table(row: Row) -> None:
    ticks = fills(row.km, keys=20)
    assert_near(ticks / 1e6, row.done_us, row.sd_done_us)
    rounds = (ticks - 4 * delay_ticks(row.km, 3e8) + SLOT) / PERIOD
    assert np.array_equal(rounds, rounds.round())
    assert_near(rounds, row.mean_r, row.sd_r)


@pytest.mark.parametrize("km", [0.1, 1, 5, 10, 25, 50, 100])
def test_the_mean_agrees_with_the_closed_form(km: float) -> None:
    lam = 0.2 * 10 ** (-0.02 * km)
    s = (1 - math.exp(-lam)) / 4
    q = s + (1 - math.exp(-lam / 2)) / 2
    closed_form = 2 * s * 64 / (1 + 7 * q * 63 / 64)
    assert MODEL.moments(fibre(km), 32).mean == pytest.approx(closed_form, rel=4e-5)


def test_without_dead_time_the_bits_are_binomial() -> None:
    moments = BB84Sifted(dead_time_ns=0).moments(fibre(10), 32)
    p = (1 - math.exp(-0.2 * 10**-0.2)) / 2
    assert moments.mean == pytest.approx(64 * p)
    assert moments.variance == pytest.approx(64 * p * (1 - p))
    assert moments.head_start == pytest.approx(0, abs=1e-9)


def test_a_dead_time_within_the_slot_of_the_click_changes_nothing() -> None:
    line = fibre(10)
    assert BB84Sifted(dead_time_ns=12.5).moments(line, 32) == BB84Sifted(dead_time_ns=0).moments(line, 32)
    assert BB84Sifted(dead_time_ns=12.6).moments(line, 32) != BB84Sifted(dead_time_ns=0).moments(line, 32)


def test_the_rate_of_many_blocks_is_the_mean_rate() -> None:
    line, keys = fibre(10), 20_000
    session = MODEL.session(line, 32, np.random.default_rng(2))
    ticks = sum(session.block(1).ticks for _ in range(keys)) - 4 * line.delay_ticks
    moments = MODEL.moments(line, 32)
    relative_error = math.sqrt(moments.variance / (moments.mean * keys * 32))
    assert keys * 32 / (ticks / 1e12) == pytest.approx(MODEL.mean_rate_bps(line, 32), rel=4 * relative_error)


@each_row
def test_one_key_blocks_add_up_to_one_large_fill(row: Row) -> None:
    random, line = np.random.default_rng(3), fibre(row.km)
    sessions = [MODEL.session(line, 32, random) for _ in range(2000)]
    total = np.array([sum(session.block(1).ticks for _ in range(20)) for session in sessions])
    assert_near(total / 1e6, row.done_us, row.sd_done_us)


def test_later_blocks_start_without_a_handshake() -> None:
    session = MODEL.session(fibre(50), 32, np.random.default_rng(4))
    blocks = [session.block(20) for _ in range(50)]
    assert all(block.ticks % PERIOD == 0 for block in blocks[1:])
    assert np.mean([block.ticks for block in blocks[1:]]) / PERIOD == pytest.approx(640 / 0.5931, rel=0.02)


@pytest.mark.parametrize("mean_photons", [0.01, 0.5, 10])
def test_every_block_takes_a_tick_even_if_a_round_makes_many_keys(mean_photons: float) -> None:
    model = BB84Sifted(mean_photons=mean_photons, dead_time_ns=0)
    session = model.session(Fibre(0.1, 0.0, 0), 1, np.random.default_rng(5))
    blocks = [session.block(1) for _ in range(2000)]
    assert min(block.ticks for block in blocks) >= 1
    assert all(block.keys == 1 for block in blocks)


def test_no_round_gives_more_bits_than_it_has_pulses() -> None:
    model = BB84Sifted(mean_photons=10, dead_time_ns=0, detector_efficiency=1)
    random = np.random.default_rng(6)
    ticks = [model.session(Fibre(0.1, 0.0, 0), 10, random).block(1).ticks for _ in range(2000)]
    assert min(ticks) == 10 * 2 * SLOT - SLOT


def test_the_same_stream_gives_the_same_blocks() -> None:
    def blocks(seed: int) -> list[Block]:
        session = MODEL.session(fibre(10), 32, np.random.default_rng(seed))
        return [session.block(1 + i % 4) for i in range(100)]

    assert blocks(7) == blocks(7)
    assert blocks(7) != blocks(8)


def test_longer_keys_waste_fewer_idle_slots() -> None:
    line = fibre(10)
    assert MODEL.mean_rate_bps(line, 32) == pytest.approx(2.6812 / 812.5e-9, rel=2e-5)
    assert MODEL.mean_rate_bps(line, 256) > MODEL.mean_rate_bps(line, 32)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("mean_photons", 0, "from 0.01 to 10"),
        ("mean_photons", math.nan, "from 0.01 to 10"),
        ("pulse_rate_hz", -1.0, "from 1 to 1e12 Hz"),
        ("detector_efficiency", 1.5, "above 0 and at most 1"),
        ("dead_time_ns", -1, "from 0 to 400 ns (32 slots at 8e+07 Hz)"),
        ("dead_time_ns", 401, "from 0 to 400 ns (32 slots at 8e+07 Hz)"),
    ],
)
def test_a_bad_parameter_is_a_clear_error(field: str, value: float, allowed: str) -> None:
    with pytest.raises(ValueError, match="must be") as raised:
        BB84Sifted(**{field: value})
    assert str(raised.value) == f"{field} = {value!r} must be {allowed}"


def test_an_impossible_loss_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match=r"^loss_db = 1000\.0 must be from 0 to 200 dB"):
        MODEL.mean_rate_bps(Fibre(5000.0, 1000.0, 0), 32)
    assert 0 < MODEL.mean_rate_bps(Fibre(1000.0, 200.0, 0), 32) < 1e-10


def test_the_registry_names_the_model() -> None:
    model: KeyRateModel = KEY_RATE_MODELS["bb84-sifted"]()
    assert model == MODEL


# Long keys


def renewal_moments(lam: float, pulses: int, dead: int) -> tuple[float, float]:
    """Mean and variance that a round adds, from the linear equations of the chain in place of its steps."""
    full, half = 1 - math.exp(-lam), 1 - math.exp(-lam / 2)
    offers = (
        {(1, 0): full / 4, (0, 1): full / 4},
        {
            (1, 1): half**2 / 2,
            (1, 0): half * (1 - half) / 2,
            (0, 1): half * (1 - half) / 2,
        },
    )
    states = [(i, j) for i in range(dead + 1) for j in range(dead + 1)]
    step, gain, square = np.zeros((len(states),) * 2), np.zeros((len(states),) * 2), np.zeros(len(states))
    for a, state in enumerate(states):
        missed = 1.0
        for counts, offered in zip((1, 0), offers, strict=True):
            for lit, chance in offered.items():
                clicks = [bool(hit and not blind) for hit, blind in zip(lit, state, strict=True)]
                after = tuple(dead if c else max(b - 1, 0) for c, b in zip(clicks, state, strict=True))
                bits = counts * sum(clicks)
                step[a, states.index(after)] += chance
                gain[a, states.index(after)] += chance * bits
                square[a] += chance * bits
                missed -= chance
        step[a, states.index(tuple(max(b - 1, 0) for b in state))] += missed
    size = len(states)
    ones = np.ones((size, 1))
    stationary = np.linalg.solve((np.eye(size) - step + ones).T, np.ones(size))
    per_pulse = stationary @ gain.sum(axis=1)
    bias = np.linalg.solve(np.eye(size) - step + ones @ stationary[None, :], gain.sum(axis=1) - per_pulse)
    per_variance = stationary @ square - per_pulse**2 + 2 * stationary @ (gain - per_pulse * step) @ bias
    return pulses * per_pulse, pulses * per_variance


@pytest.mark.parametrize("bits", [8192, 100_000, 1_000_000])
@pytest.mark.parametrize("km", [1, 10, 50])
def test_rounds_of_long_keys_have_the_variance_of_the_chain(km: float, bits: int) -> None:
    mean, variance = renewal_moments(0.2 * 10 ** (-0.02 * km), 2 * bits, 7)
    moments = MODEL.moments(fibre(km), bits)
    # An idle slot in 2 * bits + 1 changes both by less than a bit.
    assert moments.mean == pytest.approx(mean, abs=0.1)
    assert moments.variance == pytest.approx(variance, rel=4 / bits)
    assert moments.mean_square - moments.mean**2 == pytest.approx(variance, rel=1e-3)
    assert 0 <= moments.head_start < 0.1


@pytest.mark.parametrize(("km", "bits"), [(10, 100_000), (10, 1_000_000), (50, 8192), (50, 1_000_000)])
def test_a_long_key_takes_the_rounds_that_its_bits_need(km: float, bits: int) -> None:
    # Sums of many bits are Normal: E[R] = sum over r of the probability that r rounds are not enough.
    mean, variance = renewal_moments(0.2 * 10 ** (-0.02 * km), 2 * bits, 7)
    short = [math.erfc((r * mean - bits) / math.sqrt(2 * r * variance)) / 2 if r else 1.0 for r in range(200)]
    second = sum((2 * r + 1) * chance for r, chance in enumerate(short)) - sum(short) ** 2
    random, line = np.random.default_rng(8), fibre(km)
    ticks = np.array([MODEL.session(line, bits, random).block(1).ticks for _ in range(4000)])
    rounds = (ticks - 4 * line.delay_ticks + SLOT) / ((2 * bits + 1) * SLOT)
    assert rounds.mean() == pytest.approx(sum(short), abs=4 * math.sqrt(second / 4000) + 0.01)
    assert rounds.std() == pytest.approx(math.sqrt(second), abs=0.02)


def test_bright_light_on_slow_detectors_settles_within_a_round() -> None:
    model = BB84Sifted(mean_photons=2.0, detector_efficiency=1.0, dead_time_ns=150.0)
    mean, variance = renewal_moments(2.0, 50_000, 11)
    moments = model.moments(Fibre(1.0, 0.0, 0), 100_000)
    assert moments.mean == pytest.approx(mean, abs=0.5)
    assert moments.variance == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize("km", [250, 500, 1000])
def test_the_weakest_light_gives_a_poisson_process(km: float) -> None:
    lam = 0.2 * 10 ** (-0.02 * km)
    moments = MODEL.moments(fibre(km), 1_000_000)
    assert moments.mean == pytest.approx(2_000_000 * lam / 2, rel=1e-4)
    assert moments.variance == pytest.approx(moments.mean, rel=1e-4)
