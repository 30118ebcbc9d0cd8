"""The table of key rates over a fibre, and its picture."""

import math

import numpy as np
import pytest

import qkdrmp
from qkdrmp.key_rates import KEY_RATE_MODELS, BB84Sifted, DecoyBB84, Fibre, TwinField
from qkdrmp.qkd.key_rate_table import COLUMNS, secret_key_models


def test_all_models_of_secret_keys_are_in_the_table_by_default() -> None:
    table = qkdrmp.key_rate_table()
    assert list(table.columns) == list(COLUMNS)
    assert secret_key_models() == ["decoy-bb84", "decoy-bb84-finite", "bbm92", "mdi", "twin-field", "cv-gg02"]
    assert list(table["model"].unique()) == secret_key_models()
    assert sorted(table["length_km"].unique()) == list(range(0, 501, 5))
    assert np.allclose(table["loss_db"], 0.2 * table["length_km"])


def test_rows_are_what_the_models_answer() -> None:
    table = qkdrmp.key_rate_table(["decoy-bb84-finite"], loss_db=[0, 10, 60])
    model = KEY_RATE_MODELS["decoy-bb84-finite"]()
    for row in table.itertuples():
        made = model.link_rate(Fibre(row.length_km, row.loss_db, 0))
        assert (row.rate_bps, row.bits_per_pulse, row.qber) == (made.rate_bps, made.per_pulse, made.qber)
        assert (row.block_s, row.block_bits) == (made.block_s, made.block_bits)
    assert table["length_km"].to_list() == [0, 50, 300]
    assert table["plob_bits_per_pulse"].to_list() == pytest.approx([math.inf, -math.log2(0.9), -math.log2(1 - 1e-6)])
    assert table["rate_bps"].to_list()[-1] == 0


def test_models_are_named_with_the_parameters_that_are_not_their_defaults() -> None:
    given = [
        "mdi",
        {"model": "decoy-bb84", "misalignment": 0.01, "optimise": True},
        TwinField(phase_slices=8),
        {"model": DecoyBB84},
    ]
    assert list(qkdrmp.key_rate_table(given, length_km=[50])["model"]) == [
        "mdi",
        "decoy-bb84 (optimise = true, misalignment = 0.01)",
        "twin-field (phase_slices = 8)",
        "decoy-bb84",
    ]


def test_parameters_are_those_of_one_model_or_of_all_that_have_them() -> None:
    table = qkdrmp.key_rate_table(
        ["mdi", "cv-gg02"], length_km=[50], parameters={"misalignment": 0.02, "cv-gg02.excess_noise": 0.01}
    )
    assert list(table["model"]) == ["mdi (misalignment = 0.02)", "cv-gg02 (excess_noise = 0.01)"]


def test_what_a_model_does_not_say_or_where_it_does_not_hold_is_missing() -> None:
    table = qkdrmp.key_rate_table([BB84Sifted(), "plob"], length_km=[0, 100, 2000]).set_index(["model", "length_km"])
    assert table.loc[("bb84-sifted", 100), "rate_bps"] > 0
    assert math.isnan(table.loc[("bb84-sifted", 100), "bits_per_pulse"])
    assert math.isnan(table.loc[("bb84-sifted", 2000), "rate_bps"])
    assert math.isnan(table.loc[("plob", 0), "rate_bps"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": ["decoy-bb48"]}, r"model = 'decoy-bb48' must be one of .* \(did you mean 'decoy-bb84'\?\)"),
        ({"models": ["constant"]}, r"^constant: rate_bps is missing$"),
        ({"models": [{"misalignment": 1}]}, r"must have a name, 'model'$"),
        ({"models": [{"model": "mdi", "misalignment": 1}]}, r"^mdi: misalignment = 1\.0 must be from 0 to 0\.5$"),
        ({"length_km": [-1]}, r"^length_km = -1 must be at least 0$"),
        ({"loss_db": [math.nan]}, r"^loss_db = nan must be at least 0$"),
        ({"loss_db": [1], "length_km": [1]}, r"^loss_db must not be given beside length_km$"),
        ({"attenuation_db_per_km": 0}, r"^attenuation_db_per_km = 0 must be above 0$"),
        (
            {"parameters": {"misalign": 1}},
            r"^misalign: no chosen model has the parameter 'misalign' \(did you mean 'mis",
        ),
        (
            {"parameters": {"mid.misalignment": 1}},
            r"^mid\.misalignment: no chosen model is called 'mid' \(did you mean",
        ),
    ],
)
def test_what_is_not_possible_is_one_sentence(given, said: str) -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match=said):
        qkdrmp.key_rate_table(**given)


# The picture


def lines(ax):
    return {line.get_label().replace("\n", " "): line for line in ax.get_lines()}


def test_the_picture_has_a_line_for_each_model_that_makes_keys_and_the_bounds() -> None:
    table = qkdrmp.key_rate_table(["decoy-bb84", "twin-field", {"model": "decoy-bb84", "misalignment": 0.4}])
    ax = qkdrmp.plots.key_rates(table)
    drawn = lines(ax)
    assert list(drawn) == ["twin-field", "decoy-bb84", "bound without repeaters (PLOB)", "bound with one station"]
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Length of the fibre (km)", "Secret bits per pulse")
    km, bits = drawn["decoy-bb84"].get_data()
    assert km[-1] == 145  # it ends at 29.5 dB
    assert bits[km == 50] == pytest.approx(DecoyBB84().per_pulse(10).secret)
    km, bound = drawn["bound with one station"].get_data()
    assert bound[km == 100] == pytest.approx(-np.log2(1 - np.sqrt(0.01)))
    assert drawn["twin-field"].get_linestyle() != drawn["decoy-bb84"].get_linestyle()


def test_the_bound_of_a_station_is_drawn_only_where_it_is_needed() -> None:
    table = qkdrmp.key_rate_table(["decoy-bb84"], loss_db=[0, 10, 20])
    assert list(lines(qkdrmp.plots.key_rates(table, over="loss_db"))) == [
        "decoy-bb84",
        "bound without repeaters (PLOB)",
    ]
    ax = qkdrmp.plots.key_rates(table, over="loss_db", y="rate_bps")
    assert list(lines(ax)) == ["decoy-bb84"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Loss of the fibre (dB)", "Secret bits per second (bit/s)")
