"""The columns of all tables of a protocol family, out of its dictionaries of columns."""

from __future__ import annotations

from docutils import nodes

from qkdrmp_docs.tables import ReferenceDirective, Row, literal, named, sentence

SUFFIX = "_COLUMNS"
UNITS = {"_s": "s", "_bps": "bit/s", "_hz": "1/s", "_bits": "bits"}
WRITTEN_UNITS = ("s", "bit/s", "bits", "keys")


class Columns(ReferenceDirective):
    """``columns:: MODULE FAMILY``: a section with a table for each dictionary ``<TABLE>_COLUMNS`` of a module."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        module, family = named(self.arguments[0]), self.arguments[1]
        return [
            self._section(family, name.removesuffix(SUFFIX).lower(), columns)
            for name, columns in vars(module).items()
            if name.endswith(SUFFIX)
        ]

    def _section(self, family: str, name: str, columns: dict[str, str]) -> nodes.section:
        heads = ("column", "unit", "meaning")
        rows = [_row(f"{family}-{name}", column, meaning) for column, meaning in columns.items()]
        title = name if name == "summary" else f"{name}s"
        return self.section(f"{literal(title)} ({family})", f"{family}-{name}", self.table(heads, rows, (30, 10, 60)))


def _row(where: str, column: str, meaning: str) -> Row:
    text, _, unit = meaning.rpartition(", ")
    if unit not in WRITTEN_UNITS:
        text, unit = meaning, next((unit for suffix, unit in UNITS.items() if column.endswith(suffix)), "")
    return f"{where}-{column}", (literal(column), unit, sentence(text))
