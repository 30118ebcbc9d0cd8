"""Directives that write the reference from the code itself, so that the two cannot differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from qkdrmp_docs.columns import Columns
from qkdrmp_docs.commands import Commands
from qkdrmp_docs.fields import CsvColumns, FileFields, ScenarioFields
from qkdrmp_docs.ladders import LadderFigure
from qkdrmp_docs.messages import Messages
from qkdrmp_docs.names import PublicNames


def _copy_notebooks(app: Sphinx) -> None:
    """Bring the notebooks of the project into the source folder; Sphinx reads nothing outside it."""
    source, target = Path(app.srcdir).parent / "notebooks", Path(app.srcdir) / "notebooks"
    target.mkdir(exist_ok=True)
    wanted = {path.name: path.read_bytes() for path in source.glob("*.ipynb")}
    for path in target.glob("*.ipynb"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        copy = target / name
        if not copy.exists() or copy.read_bytes() != content:
            copy.write_bytes(content)


def _run_notebooks_for_pages_only(app: Sphinx) -> None:
    if app.builder.name == "doctest":
        app.config.nb_execution_mode = "off"


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directives known to Sphinx."""
    app.add_directive("columns", Columns)
    app.add_directive("scenario-fields", ScenarioFields)
    app.add_directive("file-fields", FileFields)
    app.add_directive("csv-columns", CsvColumns)
    app.add_directive("messages", Messages)
    app.add_directive("commands", Commands)
    app.add_directive("ladder", LadderFigure)
    app.add_directive("public-names", PublicNames)
    app.connect("builder-inited", _copy_notebooks, priority=1)
    app.connect("builder-inited", _run_notebooks_for_pages_only, priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
