"""Keys from pairs (BBM92): sifting, error rates and secret bits, against their closed forms."""

from __future__ import annotations

import math
from math import exp, log2, sqrt
from typing import Any

import pytest

from qkdrmp.entanglement.ledger import ConnectionEntry
from qkdrmp.entanglement.quantum.bbm92 import SiftedKey, binary_entropy, secret_share
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal, measure_correlation
from qkdrmp.entanglement.results.metrics import summary
from qkdrmp.entanglement.results.tables import tables
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    chain,
    entry_of,
    fidelity_of,
    network_of,
    run,
    werner,
)

# The formula


@pytest.mark.parametrize(
    ("error", "share"),
    # 1 - 2 h(e): h(0.11) = 0.4999..., which is Shor and Preskill's 11 %; h(0.01) = 0.080793, h(0.05) = 0.286397.
    [(0.0, 1.0), (0.01, 1 - 2 * 0.0807931), (0.05, 1 - 2 * 0.2863970), (0.1100279, 0.0), (0.2, 0.0), (0.5, 0.0)],
)
def test_with_perfect_error_correction_the_share_is_that_of_shor_and_preskill(error: float, share: float) -> None:
    assert secret_share(error, error, 1.0) == pytest.approx(share, abs=1e-6)


def test_error_correction_costs_more_than_the_least_and_only_in_z() -> None:
    assert secret_share(0.03, 0.0) == pytest.approx(1 - 0.1943919, abs=1e-6)
    assert secret_share(0.0, 0.03) == pytest.approx(1 - 1.16 * 0.1943919, abs=1e-6)
    assert binary_entropy(0.03) == pytest.approx(-0.03 * log2(0.03) - 0.97 * log2(0.97))
    assert (binary_entropy(0.0), binary_entropy(0.5), binary_entropy(1.0)) == (0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"share = 1\.2 must be from 0 to 1"):
        binary_entropy(1.2)


def test_there_is_no_key_before_both_error_rates_are_known() -> None:
    key = SiftedKey()
    assert (key.sifted, key.secret_bits(1.16)) == (0, 0.0)
    key.add("Z", False)
    assert math.isnan(key.error_rate("X"))
    assert key.secret_bits(1.16) == 0.0
    key.add("X", False)
    assert key.secret_bits(1.16) == 2.0


# Runs


def measured(names: str, fidelity: float, seconds: float, seed: int = 1, **changes: Any) -> ConnectionEntry:
    sections: dict[str, Any] = {
        "links": {**CERTAIN, "fidelity": fidelity},
        "memories": {**FOR_EVER, "per_interface": 8},
        "gates": PERFECT,
    }
    asked = {"basis": "bbm92", "memories": 8, "minimum_fidelity": 0.3, **changes.pop("asked", {})}
    network = network_of(chain(names, 2.0), [asked], seed, **{**sections, **changes})
    return entry_of(run(network, seconds))


def check_share(entry: ConnectionEntry, basis: Any, expected: float) -> None:
    pairs = entry.key.pairs[basis]
    assert entry.key.error_rate(basis) == pytest.approx(expected, abs=4 * sqrt(expected * (1 - expected) / pairs))


@pytest.mark.parametrize(("links", "fidelity"), [(1, 0.98), (1, 0.9), (2, 0.97), (3, 0.95), (1, 0.7)])
def test_werner_states_have_the_error_rates_and_the_key_of_the_formula(links: int, fidelity: float) -> None:
    entry = measured("ARSTB"[:links] + "B", fidelity, 0.1)
    last = fidelity_of(werner(fidelity) ** links)
    error = 2 * (1 - last) / 3
    assert entry.pairs > 10_000
    for basis in ("X", "Z"):
        share = entry.key.pairs[basis] / entry.pairs
        assert share == pytest.approx(0.25, abs=4 * sqrt(0.25 * 0.75 / entry.pairs))
        check_share(entry, basis, error)
    found = {basis: entry.key.error_rate(basis) for basis in ("X", "Z")}
    assert entry.secret_bits == entry.key.sifted * secret_share(found["X"], found["Z"])
    if secret_share(error, error):
        slope = (1 + 1.16) * abs(log2((1 - error) / error))  # of the share by the error rate
        spread = slope * sqrt(error * (1 - error) / min(entry.key.pairs.values()))
        assert entry.secret_bits / entry.key.sifted == pytest.approx(secret_share(error, error), abs=4 * spread)
    else:
        assert entry.secret_bits == 0.0


def test_memories_that_lose_phase_faster_make_more_errors_in_x() -> None:
    entry = measured("AB", 1.0, 0.05, memories={"t1_s": 1e-4, "t2_s": 2e-5, "per_interface": 8})
    # MSM of 2 km: captured after half a slot of 10 us, known after one and a half, so each half has waited 10 us.
    for basis, constant in (("X", 2e-5), ("Z", 1e-4)):
        check_share(entry, basis, (1 - exp(-2 * 1e-5 / constant)) / 2)


def test_wrong_readouts_are_errors_of_the_key() -> None:
    entry = measured("AB", 1.0, 0.05, gates={"error": 0.0, "readout_error": 0.02})
    expected = 1 - measure_correlation(BellDiagonal.werner(1.0), "X", 0.02, 0.02)
    assert expected == pytest.approx(2 * 0.02 * 0.98)
    check_share(entry, "X", expected)
    check_share(entry, "Z", expected)


def test_the_table_has_the_key_and_its_rate_and_the_summary_has_the_sum() -> None:
    asked = [{"basis": "bbm92", "memories": 2, "key_efficiency": 1.5}, {"basis": "X", "memories": 2}, {"memories": 2}]
    network = network_of(chain("AB", 2.0), asked, links={**CERTAIN, "fidelity": 0.95}, gates=PERFECT)
    run(network, 0.05)
    rows = tables(network)["connections"].set_index("id")
    key = rows.loc["c1"]
    assert key["sifted_pairs"] == entry_of(network).key.sifted
    share = secret_share(key["error_rate_x"], key["error_rate_z"], 1.5)
    assert key["secret_bits"] == pytest.approx(key["sifted_pairs"] * share)
    assert key["secret_bps"] == pytest.approx(key["secret_bits"] / (0.05 - key["active_s"]))
    assert math.isnan(key["error_rate"])
    others = rows.loc[["c2", "c3"], ["sifted_pairs", "error_rate_x", "error_rate_z", "secret_bits", "secret_bps"]]
    assert others.isna().all(axis=None)
    assert rows.loc["c2", "error_rate"] >= 0
    assert summary(network, 0)["secret_bps"] == pytest.approx(key["secret_bits"] / 0.05)


def test_bases_are_drawn_apart_from_everything_else() -> None:
    plain, keyed = (measured("ARB", 0.95, 0.01, asked={"basis": basis}) for basis in (None, "bbm92"))
    assert plain.key.sifted == 0
    assert keyed.key.sifted > 100
    assert (plain.pairs, plain.fidelity_sum, plain.last) == (keyed.pairs, keyed.fidelity_sum, keyed.last)


def test_halves_of_different_pairs_make_no_key() -> None:
    entry = measured("AB", 1.0, 0.05)
    assert entry.secret_bits == entry.key.sifted, "of perfect pairs every bit is secret"
    network = network_of(
        chain("AB", 2.0),
        [{"basis": "bbm92", "memories": 2, "at_s": 0.01 * i} for i in range(2)],
        links={**CERTAIN, "fidelity": 1.0},
        gates=PERFECT,
        memories=FOR_EVER,
        allocation={"barrier": False, "skew_trials": 1, "skew_from_s": 0.005},
    )
    run(network, 0.1)
    assert entry_of(network, "c2").wrong_partner > 1000
    assert entry_of(network, "c2").secret_bits == 0.0
