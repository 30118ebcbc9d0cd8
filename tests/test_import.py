import subprocess
import sys

import pytest

import qkdrmp

SLOW_TO_IMPORT = ("matplotlib", "seaborn", "scipy.special", "scipy.stats", "altair", "jinja2", "distributed", "IPython")


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["qkdrmp", "qkdrmp.cli"])
def test_what_is_slow_to_import_is_imported_when_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {SLOW_TO_IMPORT} if name in sys.modules])"
    assert printed(code) == "[]\n"


def test_all_public_names_are_there() -> None:
    code = "import qkdrmp; print([name for name in qkdrmp.__all__ if not hasattr(qkdrmp, name)])"
    assert printed(code) == "[]\n"


def test_completion_offers_public_names_only() -> None:
    assert dir(qkdrmp) == sorted(["__version__", *qkdrmp.__all__])
