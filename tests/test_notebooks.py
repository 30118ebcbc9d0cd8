import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
DRAWS = re.compile(r"plots\.(?!positions)\w+\(|\.draw\(")
BESIDE = re.compile(r"\]\((\w+\.ipynb)\)")


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def has_picture(cell: nbformat.NotebookNode) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def test_there_are_notebooks() -> None:
    assert "quickstart.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_errors_and_warnings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # one worker for sweeps starts in half the time of two
    notebook, files = read(path), sorted(path.parent.iterdir())
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(path.parent))
    cells = code_cells(notebook)
    printed = "".join(output.text for cell in cells for output in cell.outputs if output.output_type == "stream")
    assert "Warning" not in printed
    assert any(map(has_picture, cells))
    assert [cell.source for cell in cells if DRAWS.search(cell.source) and not has_picture(cell)] == []
    assert sorted(path.parent.iterdir()) == files


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(read(path)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebooks_that_a_notebook_points_to_exist(path: Path) -> None:
    named = {name for cell in read(path).cells for name in BESIDE.findall(cell.source)}
    assert named <= {other.name for other in NOTEBOOKS}


def test_the_quickstart_points_to_all_other_notebooks() -> None:
    text = "".join(cell.source for cell in read(NOTEBOOKS[0].parent / "quickstart.ipynb").cells)
    assert {*BESIDE.findall(text), "quickstart.ipynb"} == {path.name for path in NOTEBOOKS}


def test_the_quickstart_needs_five_lines_from_import_to_picture() -> None:
    first = code_cells(read(NOTEBOOKS[0].parent / "quickstart.ipynb"))[0]
    assert first.source.startswith("import qkdrmp")
    assert "plots" in first.source
    assert len([line for line in first.source.splitlines() if line]) <= 5
