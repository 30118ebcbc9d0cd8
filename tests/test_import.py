import subprocess
import sys
from pathlib import Path

import pytest

import qkdrmp

SLOW_TO_IMPORT = ("matplotlib", "seaborn", "scipy.special", "scipy.stats", "altair", "jinja2", "distributed", "IPython")


@pytest.mark.parametrize("module", ["qkdrmp", "qkdrmp.cli"])
def test_what_is_slow_to_import_is_imported_when_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {SLOW_TO_IMPORT} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_a_run_that_draws_nothing_does_not_import_what_draws(tmp_path: Path) -> None:
    command = ["run", "line", "--out", str(tmp_path)]
    code = (
        "import sys; from qkdrmp.cli import main;"
        f"main({command}, standalone_mode=False); print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


def test_all_public_names_are_there() -> None:
    assert [name for name in qkdrmp.__all__ if not hasattr(qkdrmp, name)] == []
    assert [qkdrmp.__getattr__(name).__name__ for name in qkdrmp.LAZY] == ["qkdrmp.ladder", "qkdrmp.plots"]


def test_completion_offers_public_names_only() -> None:
    assert dir(qkdrmp) == sorted(["__version__", *qkdrmp.__all__])
