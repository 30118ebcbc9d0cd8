from pathlib import Path

import pytest

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from qkdrmp.report import write_report
from tests.report import experiments


@pytest.fixture(scope="session")
def keys_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(experiments.keys(), tmp_path_factory.mktemp("report") / "keys.html")


@pytest.fixture(scope="session")
def published_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(experiments.published(), tmp_path_factory.mktemp("report") / "published.html")


@pytest.fixture(scope="session")
def pairs_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(experiments.pairs(), tmp_path_factory.mktemp("report") / "pairs.html")


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(experiments.hostile(folder / "plan"), folder / "deeper" / "hostile.html")
