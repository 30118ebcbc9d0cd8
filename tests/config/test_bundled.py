from pathlib import Path

import pytest

from qkdrmp.config import bundled
from qkdrmp.errors import QKDRMPError, ScenarioError, TopologyError


def test_topologies_come_with_the_package() -> None:
    names = bundled.bundled_names("topologies")
    assert names == sorted(names)
    assert {"beijing_qman", "line"} <= set(names)
    assert bundled.resolve("topologies", "line") == bundled.bundled_path("topologies") / "line.json"


def test_files_inside_an_installed_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "qkdrmp"
    for folder in (tmp_path / "scenarios", package / "_bundled" / "scenarios"):
        folder.mkdir(parents=True)
    (package / "_bundled" / "scenarios" / "b.toml").touch()
    (package / "_bundled" / "scenarios" / "a.toml").touch()
    (package / "_bundled" / "scenarios" / "notes.txt").touch()
    monkeypatch.setattr(bundled, "_PACKAGE", package)
    assert bundled.bundled_path("scenarios") == package / "_bundled" / "scenarios"
    assert bundled.bundled_names("scenarios") == ["a", "b"]
    assert bundled.bundled_path("topologies") == tmp_path / "topologies"
    assert bundled.bundled_names("topologies") == []


def test_a_path_is_taken_as_it_is_and_a_bundled_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("line", "mine.json"):
        (tmp_path / name).touch()
    assert bundled.resolve("topologies", "mine.json") == Path("mine.json")
    assert bundled.resolve("topologies", tmp_path / "mine.json") == tmp_path / "mine.json"
    assert bundled.resolve("topologies", "line") == bundled.bundled_path("topologies") / "line.json"
    assert bundled.resolve("topologies", "./line") == Path("line")
    assert bundled.resolve("topologies", Path("line")) == Path("line")


@pytest.mark.parametrize("error", [QKDRMPError, TopologyError, ScenarioError])
@pytest.mark.parametrize("wrong", ["beijing_qmann", "beijing_qmann.json", "no/such/beijing_qmann.json"])
def test_an_unknown_name_lists_the_known_ones(wrong: str, error: type[QKDRMPError]) -> None:
    with pytest.raises(error) as caught:
        bundled.resolve("topologies", wrong, error)
    message = str(caught.value)
    assert f"topology = '{wrong}' must be a file or one of the bundled topologies, " in message
    assert "did you mean 'beijing_qman'?" in message
    assert ", ".join(bundled.bundled_names("topologies")) in message


@pytest.mark.parametrize("wrong", ["", "."])
def test_a_directory_is_no_file(wrong: str) -> None:
    with pytest.raises(QKDRMPError, match="must be a file or one of the bundled"):
        bundled.resolve("topologies", wrong)
