import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import qkdrmp as package
from qkdrmp.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def qkdrmp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_models_are_compared_over_the_length_of_a_fibre(folder: Path) -> None:
    result = qkdrmp("keyrate", "--model", "decoy-bb84", "--model", "twin-field")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "secret bits per pulse over a fibre of 0.2 dB/km"
    assert lines[1].split() == ["length_km", "decoy-bb84", "twin-field", "PLOB"]
    assert lines[4].split() == ["100", "2.091e-05", "0.0001115", "0.0145"]
    assert lines[-3:] == [
        "decoy-bb84 makes keys up to 145 km (29 dB)",
        "twin-field makes keys up to 415 km (83 dB)",
        "written to results/keyrate: key_rates.csv, key_rates.png",
    ]
    written = pd.read_csv(folder / "results" / "keyrate" / "key_rates.csv")
    expected = package.key_rate_table(["decoy-bb84", "twin-field"])
    pd.testing.assert_frame_equal(written, expected.astype({"length_km": float}))


def test_parameters_do_not_widen_the_printed_table_unless_names_would_be_the_same() -> None:
    output = qkdrmp("keyrate", "--model", "mdi", "--set", "mdi.misalignment=0.02").output.splitlines()
    assert output[1].split() == ["length_km", "mdi", "PLOB"]
    assert output[-2] == "mdi (misalignment = 0.02) makes keys up to 205 km (41 dB)"


def test_parameters_range_and_unit_can_be_chosen(folder: Path) -> None:
    options = ["--over", "loss", "--start", 10, "--stop", 30, "--points", 3, "--attenuation", 0.25, "--per", "second"]
    changes = ["--set", "key_rate.optimise=true", "--set", "decoy-bb84.pulse_rate_hz=1e9", "--out", "here"]
    result = qkdrmp("keyrate", "--model", "decoy-bb84", "--model", "cv-gg02", *options, *changes, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)
    rows = facts["key_rates"]
    assert [row["loss_db"] for row in rows] == [10, 20, 30] * 2
    assert [row["length_km"] for row in rows] == [40, 80, 120] * 2
    assert rows[0]["model"] == "decoy-bb84 (pulse_rate_hz = 1e+09, optimise = true)"
    assert rows[0]["rate_bps"] == pytest.approx(1e9 * rows[0]["bits_per_pulse"])
    assert rows[-1]["model"] == "cv-gg02 (optimise = true)"
    assert sorted(path.name for path in (folder / "here").iterdir()) == ["key_rates.csv", "key_rates.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "decoy"), "error: decoy: model = 'decoy' must be one of "),
        (("--start", 10, "--stop", 5), "error: --start = 10 must be at least 0 and less than --stop = 5\n"),
        (("--set", "key_rate.misalignment=2"), "error: decoy-bb84: misalignment = 2.0 must be from 0 to 0.5\n"),
        (("--set", "misalign"), "error: --set = 'misalign' must be FIELD=VALUE\n"),
        (("--attenuation", 0), "error: attenuation_db_per_km = 0.0 must be above 0\n"),
    ],
)
def test_what_is_not_possible_is_one_sentence(arguments: tuple[object, ...], said: str) -> None:
    result = qkdrmp("keyrate", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(said)
