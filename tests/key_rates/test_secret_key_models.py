"""Models of secret-key rates: published values, independent calculations, and what holds for all of them."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from qkdrmp.key_rates import (
    BBM92,
    GG02,
    KEY_RATE_MODELS,
    MDI,
    PLOB,
    DecoyBB84,
    Fibre,
    FiniteDecoyBB84,
    HasMeanRate,
    KnowsLinkRate,
    LossLaw,
    TwinField,
)
from qkdrmp.key_rates.entropy import binary_entropy, thermal_entropy
from qkdrmp.key_rates.secret_keys import SecretKeyModel, repeaterless_bound

MODELS = [DecoyBB84(), DecoyBB84(decoys="infinite"), FiniteDecoyBB84(), BBM92(), MDI(), TwinField(), GG02(), PLOB()]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


def fibre(loss_db: float) -> Fibre:
    return Fibre(loss_db / 0.2, loss_db, 0)


def per_pulse(model: SecretKeyModel, loss_db: float) -> float:
    return model.link_rate(fibre(loss_db)).per_pulse


def end_km(model: SecretKeyModel, db_per_km: float, low: float, high: float) -> float:
    return optimize.brentq(
        lambda km: model.tuned(db_per_km * km).per_pulse(db_per_km * km).secret, low, high, xtol=1e-4
    )


# Entropies


def test_entropies() -> None:
    assert [binary_entropy(p) for p in (0, 0.5, 1)] == [0, 1, 1]
    assert binary_entropy(0.11) == pytest.approx(0.4999, abs=1e-4)
    assert binary_entropy(1e-20) == pytest.approx(1e-20 * (20 * math.log2(10) + 1 / math.log(2)))
    assert [thermal_entropy(n) for n in (-1e-17, 0, 1)] == [0, 0, 2]


# Decoy BB84


def test_decoy_bb84_ends_where_the_paper_says() -> None:
    # Ma et al. 2005 have 142.05 and 140.55 km; their parameters are rounded.
    assert end_km(DecoyBB84(decoys="infinite"), 0.21, 100, 160) == pytest.approx(142.05, abs=0.1)
    assert end_km(DecoyBB84(), 0.21, 100, 160) == pytest.approx(140.55, abs=0.1)


def test_decoy_bb84_gives_the_rates_of_its_formula() -> None:
    model = DecoyBB84(decoys="infinite")
    assert per_pulse(model, 0) == pytest.approx(2.5546e-3, abs=0.5e-7)
    assert per_pulse(model, 21) == pytest.approx(1.7184e-5, abs=0.5e-9)
    assert DecoyBB84(decoys="infinite", optimise=True).tuned(0).signal_photons == pytest.approx(0.48, abs=0.01)
    assert model.link_rate(fibre(0)).rate_bps == pytest.approx(2.5546e-3 * 1e8, rel=2e-5)


def test_weak_decoys_know_no_more_than_infinitely_many_and_nearly_as_much_if_they_are_weak() -> None:
    for loss in np.linspace(0, 29, 30):
        infinite = per_pulse(DecoyBB84(decoys="infinite"), loss)
        assert per_pulse(DecoyBB84(), loss) <= infinite
        if loss < 25:
            assert per_pulse(DecoyBB84(decoy_photons=1e-3), loss) == pytest.approx(infinite, rel=0.02)


def test_without_decoys_the_best_light_ends_at_40_km_and_light_as_weak_as_the_fibre_at_30() -> None:
    best = DecoyBB84(decoys="none", optimise=True)
    assert end_km(best, 0.21, 35, 45) == pytest.approx(40.2, abs=0.05)

    def as_weak(km: float) -> float:
        loss = 0.21 * km
        return DecoyBB84(decoys="none", signal_photons=0.045 * 10 ** (-loss / 10)).per_pulse(loss).secret

    assert 25 < optimize.brentq(as_weak, 10, 40) < 35
    assert per_pulse(DecoyBB84(decoys="none"), 0) == 0


TNO = {0: 0.04717, 4: 0.01846, 10: 4.552e-3, 20: 3.987e-4, 30: 2.759e-6}
"""Bits per pulse of TNO's package, version 2.0.4, BB84FullyAsymptoticKeyRateEstimate with its standard detector."""


def with_detector_of_tno() -> DecoyBB84:
    # Efficiency 0.2, 100 dark counts per second and detector in windows of 100 ns, misalignment 1.5 %, f = 1, all
    # pulses sifted, and counts without light secret.
    return DecoyBB84(
        decoys="infinite",
        optimise=True,
        detector_efficiency=0.2,
        background_yield=2e-5,
        misalignment=0.015,
        error_correction_efficiency=1.0,
        sifting=1.0,
        count_vacuum=True,
    )


@pytest.mark.parametrize("loss", TNO)
def test_decoy_bb84_agrees_with_the_values_of_tno(loss: float) -> None:
    assert per_pulse(with_detector_of_tno(), loss) == pytest.approx(TNO[loss], rel=0.001)


def test_decoy_bb84_agrees_with_the_package_of_tno_if_it_is_installed() -> None:
    quantum = pytest.importorskip("tno.quantum.communication.qkd_key_rate.quantum")
    bb84 = pytest.importorskip("tno.quantum.communication.qkd_key_rate.quantum.bb84")
    theirs = bb84.BB84FullyAsymptoticKeyRateEstimate(detector=quantum.standard_detector)
    for loss in np.arange(0.0, 30.1, 2.5):
        _, rate = theirs.optimize_rate(attenuation=float(loss))
        assert per_pulse(with_detector_of_tno(), float(loss)) == pytest.approx(float(rate), rel=0.002)


# Finite keys


@pytest.mark.parametrize(
    ("block", "rates"),
    [
        (10**5, (1.31e-3, 1.24e-4, 1.04e-5)),
        (10**7, (5.36e-3, 5.14e-4, 4.77e-5)),
        (10**9, (9.20e-3, 8.90e-4, 8.54e-5)),
    ],
)
def test_optimised_finite_keys_have_the_known_rates(block: int, rates: tuple[float, ...]) -> None:
    model = FiniteDecoyBB84(block_size=block, optimise=True)
    for loss, rate in zip((0, 10, 20), rates, strict=True):
        assert per_pulse(model, loss) == pytest.approx(rate, rel=0.005)  # three digits


def finite_length(model: FiniteDecoyBB84, loss: float) -> float:
    """Secret bits of a block, from the formulas of Lim et al. 2014 once more, with matrices in place of sums."""
    mu = np.array([model.signal_photons, model.decoy_photons, model.vacuum_photons])
    p = np.array([model.signal_probability, model.decoy_probability, 0])
    p[2] = 1 - p.sum()
    eta = model.detector_efficiency * 10 ** (-loss / 10)
    d = 1 - (1 - 2 * model.dark_count_probability) * np.exp(-eta * mu)
    gain = d * (1 + model.afterpulse_probability)
    error = model.dark_count_probability + model.misalignment * (1 - np.exp(-eta * mu))
    error += model.afterpulse_probability * d / 2
    bases = {"x": model.basis_probability**2, "z": (1 - model.basis_probability) ** 2}
    pulses = model.block_size / (bases["x"] * p @ gain)
    tau = [(p * np.exp(-mu) * mu**n).sum() for n in (0, 1)]
    length = model.block_size / 10
    for _ in range(100):
        eps = model.secrecy_per_bit * length

        def ends(counts, eps=eps):
            delta = np.sqrt(counts.sum() / 2 * np.log(21 / eps))
            return np.exp(mu) / p * (counts - delta), np.exp(mu) / p * (counts + delta)

        single, vacuum = {}, {}
        for basis, share in bases.items():
            low, high = ends(pulses * share * p * gain)
            vacuum[basis] = tau[0] * (mu[1] * low[2] - mu[2] * high[1]) / (mu[1] - mu[2])
            vacuum[basis] = max(vacuum[basis], 0)
            bracket = low[1] - high[2] - (mu[1] ** 2 - mu[2] ** 2) / mu[0] ** 2 * (high[0] - vacuum[basis] / tau[0])
            single[basis] = tau[1] * mu[0] * bracket / (mu[0] * (mu[1] - mu[2]) - mu[1] ** 2 + mu[2] ** 2)
        low, high = ends(pulses * bases["z"] * p * error)
        b = tau[1] * (high[1] - low[2]) / (mu[1] - mu[2]) / single["z"]
        c, s = single["z"], single["x"]
        inside = (c + s) / (c * s * (1 - b) * b) * 21**2 / eps**2
        phase = b + np.sqrt((c + s) * (1 - b) * b / (c * s * np.log(2)) * np.log2(inside))
        qber = (p @ error) / (p @ gain)
        length = vacuum["x"] + s - s * binary_entropy(phase)
        length -= model.error_correction_efficiency * model.block_size * binary_entropy(qber)
        length -= 6 * np.log2(21 / eps) + np.log2(2 / model.correctness)
    return length


@pytest.mark.parametrize("loss", [0, 10, 20])
def test_a_finite_block_has_the_secret_bits_of_the_formula(loss: float) -> None:
    model = FiniteDecoyBB84()
    assert model.link_rate(fibre(loss)).block_bits == math.floor(finite_length(model, loss))


@pytest.mark.parametrize("loss", [0, 10, 20])
def test_smaller_blocks_give_lower_rates(loss: float) -> None:
    rates = [per_pulse(FiniteDecoyBB84(block_size=10**n, optimise=n % 2 == 1), loss) for n in (5, 7, 9)]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]
    given = [per_pulse(FiniteDecoyBB84(block_size=round(10**n)), loss) for n in np.arange(4, 12, 0.5)]
    assert given == sorted(given)
    assert given[0] == 0 < given[-1]


def test_the_time_of_a_finite_block_is_that_of_its_sifted_bits() -> None:
    model = FiniteDecoyBB84()
    made = model.link_rate(fibre(20))
    assert made.block_s == pytest.approx(model.block_size / (model.per_pulse(20).sifted * 1e8))
    assert made.rate_bps * made.block_s == pytest.approx(made.block_bits, abs=1e-5)


# Other protocols


def test_bbm92_has_the_known_rates() -> None:
    assert per_pulse(BBM92(optimise=True), 20) == pytest.approx(3.6e-6, abs=0.05e-6)
    assert per_pulse(BBM92(optimise=True), 40) == pytest.approx(3.3e-8, abs=0.05e-8)


@pytest.mark.parametrize("loss", [0, 10, 40, 55])
def test_bbm92_is_its_formula(loss: float) -> None:
    model = BBM92()
    a, lam, dark = 0.145 * 10 ** (-loss / 20), 0.05, 6.02e-6
    q = 1 - 2 * (1 - dark) / (1 + a * lam) ** 2 + (1 - dark) ** 2 / (1 + 2 * a * lam - a * a * lam) ** 2
    eq = q / 2 - 2 * (0.5 - 0.015) * a * a * lam * (1 + lam) / ((1 + a * lam) ** 2 * (1 + 2 * a * lam - a * a * lam))
    gives = model.per_pulse(loss)
    assert (2 * gives.sifted, gives.qber) == pytest.approx((q, eq / q), rel=1e-5)


def test_bbm92_stays_exact_where_hardly_any_light_arrives() -> None:
    # Two photons of one pair, one at either end: eta^2 lam (1 + 3 lam) and more, to first order in the loss.
    gives = BBM92(background_yield=0).per_pulse(200)
    lam, eta = 0.05, 0.145e-10
    assert 2 * gives.sifted == pytest.approx(2 * eta**2 * (lam + 3 * lam**2), rel=1e-8)


def test_mdi_has_the_known_rates_and_reach() -> None:
    assert per_pulse(MDI(optimise=True), 20) == pytest.approx(4.9e-6, abs=0.05e-6)
    assert 40 < 0.2 * end_km(MDI(), 0.2, 150, 300) < 50
    assert 195 < end_km(MDI(), 0.2, 150, 300) < 230


@pytest.mark.parametrize("loss", [0, 20, 40])
def test_mdi_is_its_formula(loss: float) -> None:
    a, mu, p = 0.145 * 10 ** (-loss / 20), 0.54, 3.01e-6
    x, total = a * mu / 2, 2 * a * mu
    right = 2 * (1 - p) ** 2 * np.exp(-total / 2) * (1 - (1 - p) * np.exp(-x)) ** 2
    wrong = 2 * p * (1 - p) ** 2 * np.exp(-total / 2) * (special.i0(2 * x) - (1 - p) * np.exp(-total / 2))
    qber = (0.015 * right + 0.985 * wrong) / (right + wrong)
    y11 = (1 - p) ** 2 * (a * a / 2 + (4 * a - 3 * a * a) * p + 4 * (1 - a) ** 2 * p * p)
    e11 = 0.5 - (0.5 - 0.015) * (1 - p) ** 2 * a * a / 2 / y11
    secret = mu**2 * np.exp(-2 * mu) * y11 * (1 - binary_entropy(e11)) - (right + wrong) * 1.16 * binary_entropy(qber)
    gives = MDI().per_pulse(loss)
    assert (gives.sifted, gives.qber, gives.secret) == pytest.approx((right + wrong, qber, secret), rel=1e-9)


def test_twin_field_has_the_known_rate_and_reach() -> None:
    assert per_pulse(TwinField(optimise=True), 40) == pytest.approx(1.1e-5, abs=0.05e-5)
    assert end_km(TwinField(optimise=True), 0.2, 350, 450) == pytest.approx(418, abs=0.5)


def test_twin_field_falls_with_the_square_root_of_the_transmission_and_beats_the_repeaterless_bound() -> None:
    assert per_pulse(TwinField(), 60) / per_pulse(TwinField(), 40) == pytest.approx(0.1, rel=0.1)
    assert per_pulse(TwinField(), 70) > repeaterless_bound(70)
    assert per_pulse(TwinField(), 20) < repeaterless_bound(20)


@pytest.mark.parametrize("loss", [0, 40, 80])
def test_twin_field_is_its_formula(loss: float) -> None:
    eta, mu, p, slices = 0.145 * 10 ** (-loss / 20), 0.2, 8e-8, 16
    d = math.pi / slices - (slices / math.pi) ** 2 * math.sin(math.pi / slices) ** 3
    q = 1 - (1 - 2 * p) * math.exp(-eta * mu)
    e = (p + eta * mu * d) * math.exp(-eta * mu) / q
    yields = {k: 1 - (1 - 2 * p) * (1 - eta) ** k for k in (0, 1, 3, 5)}
    shares = {k: y * math.exp(-mu) * mu**k / math.factorial(k) / q for k, y in yields.items()}
    errors = {k: (p + d * (1 - (1 - eta) ** k)) / y for k, y in yields.items()}
    phase = 1 - sum(shares.values()) + sum(errors[k] * share for k, share in shares.items())
    secret = 2 / slices * q * (1 - 1.15 * binary_entropy(e) - binary_entropy(phase))
    assert TwinField().per_pulse(loss).secret == pytest.approx(secret, rel=1e-6)


def test_gg02_has_the_rate_of_its_experiment() -> None:
    model, loss = GG02(), -10 * math.log10(0.302)
    assert model.mutual_information(loss) == pytest.approx(1.0436, abs=0.5001e-4)
    assert model.holevo_bound(loss) == pytest.approx(0.9020, abs=0.5001e-4)
    assert per_pulse(model, loss) == pytest.approx(0.0352, abs=0.5001e-4)


def test_gg02_with_perfect_devices_and_strong_light_reaches_half_the_bound_of_homodyne_detection() -> None:
    # For T -> 0: the information of the channel less what is lost of it, -log2(1 - T) / 2.
    perfect = GG02(
        modulation_variance=1e4,
        excess_noise=0,
        detector_efficiency=1,
        electronic_noise=0,
        reconciliation_efficiency=1,
    )
    assert per_pulse(perfect, 10) == pytest.approx(-math.log2(1 - 0.1) / 2, rel=0.01)


def test_plob_at_100_and_200_km() -> None:
    assert per_pulse(PLOB(), 20) == pytest.approx(0.0145, abs=0.5e-4)
    assert per_pulse(PLOB(), 40) == pytest.approx(1.443e-4, abs=0.5e-7)
    with pytest.raises(ValueError, match=r"^loss_db = 0\.0 must be at least 0\.01 dB for plob$"):
        PLOB().check_fibre(fibre(0.0))


@pytest.mark.parametrize(("km", "db_per_km", "bps"), [(85, 0.2417, 150_797), (100, 0.2303, 85_083)])
def test_a_loss_law_gives_the_rates_of_the_czech_model(km: float, db_per_km: float, bps: int) -> None:
    assert round(LossLaw(17_094_000).mean_rate_bps(Fibre(km, km * db_per_km, 0), 256)) == bps


def test_a_loss_law_can_end() -> None:
    law = LossLaw(1e6, max_loss_db=30)
    assert law.mean_rate_bps(fibre(30), 256) == pytest.approx(1000)
    assert law.mean_rate_bps(fibre(30.001), 256) == 0


# What holds for all


@pytest.mark.parametrize("loss", [0.5, 3, 10, 20, 40, 70, 200, 1e4])
@each_model
def test_no_model_gives_more_than_its_bound(model: SecretKeyModel, loss: float) -> None:
    best = dataclasses.replace(model, optimise=True) if hasattr(model, "optimise") and loss < 100 else model
    for chosen in (model, best):
        assert 0 <= per_pulse(chosen, loss) <= chosen.bound(loss)
    stationless = repeaterless_bound(loss / 2 if isinstance(model, TwinField) else loss)
    assert model.bound(loss) == stationless


@each_model
def test_rates_never_rise_with_the_loss(model: SecretKeyModel) -> None:
    rates = [per_pulse(model, loss) for loss in np.linspace(0.01, 120, 1500)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0


small = st.floats(0, 1e-3)
share = st.floats(0.01, 1)
light = st.floats(0.01, 2)
wrong = st.floats(0, 0.12)


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.parametrize("kind", [DecoyBB84, BBM92, MDI, TwinField, GG02])
def test_rates_of_any_devices_fall_with_the_loss_and_stay_below_the_bound(kind: type, data: st.DataObject) -> None:
    fields = {
        "signal_photons": light,
        "mean_pairs": light,
        "detector_efficiency": share,
        "background_yield": small,
        "dark_count_probability": small,
        "misalignment": wrong,
        "error_correction_efficiency": st.floats(1, 1.5),
        "modulation_variance": st.floats(0.1, 100),
        "excess_noise": st.floats(0, 0.1),
        "electronic_noise": st.floats(0, 0.5),
        "reconciliation_efficiency": st.floats(0.8, 1),
        "decoys": st.sampled_from(["infinite", "vacuum+weak", "none"]),
        "decoy_photons": st.just(0.005),
    }
    names = {field.name for field in dataclasses.fields(kind)}
    model = kind(**{name: data.draw(values, label=name) for name, values in fields.items() if name in names})
    low, more = data.draw(st.floats(0, 60)), data.draw(st.floats(0, 10))
    nearer, farther = per_pulse(model, low), per_pulse(model, low + more)
    assert 0 <= farther <= nearer * (1 + 1e-9)
    assert nearer <= model.bound(low) * (1 + 1e-9)


def test_nearly_pure_states_keep_their_digits() -> None:
    # Half a bit without loss and noise; half of the digits were lost here.
    model = GG02(1e8, 1.0, excess_noise=1e-14, detector_efficiency=1, electronic_noise=0, reconciliation_efficiency=1)
    nearer, farther = per_pulse(model, 0.0), per_pulse(model, 1e-14)
    assert nearer == pytest.approx(0.5, abs=1e-11)
    assert farther <= nearer * (1 + 1e-9)


@each_model
def test_a_link_without_keys_says_why(model: SecretKeyModel) -> None:
    made = model.link_rate(fibre(5000.0))
    if isinstance(model, PLOB):
        assert made.rate_bps == 0
    elif isinstance(model, GG02):
        assert (made.rate_bps, made.reason) == (0, "")
    else:
        assert made.rate_bps == 0
        assert made.reason.startswith("QBER ")


def test_a_qber_above_the_limit_stops_a_link_that_would_still_make_keys() -> None:
    strict = DecoyBB84(qber_limit=0.05)
    assert DecoyBB84().link_rate(fibre(28)).rate_bps > 0
    assert strict.link_rate(fibre(28)).rate_bps == 0
    assert strict.link_rate(fibre(28)).reason == "QBER 5.51 %, limit 5 %"
    assert DecoyBB84(misalignment=0.2).link_rate(fibre(0)).reason == "QBER 20 %, limit 11 %"
    assert DecoyBB84().link_rate(fibre(30)).reason == "QBER 6.71 %, no secret bits are left"


@each_model
def test_the_registry_has_the_model_and_it_answers(model: SecretKeyModel) -> None:
    assert type(model) in [KEY_RATE_MODELS[name] for name in KEY_RATE_MODELS]
    assert isinstance(model, HasMeanRate)
    assert isinstance(model, KnowsLinkRate)
    assert model.mean_rate_bps(fibre(5), 256) == model.link_rate(fibre(5)).rate_bps


def test_optimised_parameters_are_short_numbers_that_all_machines_agree_on() -> None:
    tuned = FiniteDecoyBB84(optimise=True).tuned(10.0)
    values = [tuned.signal_photons, tuned.decoy_photons, tuned.signal_probability, tuned.basis_probability]
    assert [float(f"{value:.4g}") for value in values] == values
    for model in (DecoyBB84(), BBM92(), MDI(), TwinField(), GG02(), FiniteDecoyBB84()):
        best = dataclasses.replace(model, optimise=True)
        assert per_pulse(best, 15.0) >= 0.9999 * per_pulse(model, 15.0)


@pytest.mark.parametrize(
    ("kind", "field", "value", "said"),
    [
        (DecoyBB84, "pulse_rate_hz", 0.0, "from 1 to 1e+11 Hz"),
        (DecoyBB84, "decoy_photons", 0.5, "less than signal_photons = 0.48"),
        (DecoyBB84, "decoys", "some", "one of infinite, vacuum+weak, none"),
        (DecoyBB84, "misalignment", math.nan, "from 0 to 0.5"),
        (FiniteDecoyBB84, "block_size", 0, "at least 1: keys come in blocks"),
        (FiniteDecoyBB84, "decoy_probability", 0.7, "less than 0.62, what is left"),
        (BBM92, "mean_pairs", 0, "from 1e-06 to 10"),
        (MDI, "dark_count_probability", 0.2, "from 0 to 0.1"),
        (TwinField, "phase_slices", 1, "from 2 to 1024"),
        (GG02, "reconciliation_efficiency", 1.1, "from 0.01 to 1"),
        (LossLaw, "max_loss_db", -1, "at least 0 dB"),
    ],
)
def test_a_bad_parameter_of_a_model_is_a_clear_error(kind: type, field: str, value: object, said: str) -> None:
    others = {"rate_0db_bps": 1e6} if kind is LossLaw else {}
    with pytest.raises(ValueError, match="must be") as raised:
        kind(**{field: value}, **others)
    assert str(raised.value) == f"{field} = {value!r} must be {said}"
