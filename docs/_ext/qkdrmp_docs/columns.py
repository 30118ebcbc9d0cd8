"""The columns of all tables of a protocol family, as the family declares them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docutils import nodes

import qkdrmp
from qkdrmp.stats.columns import Column
from qkdrmp_docs.tables import ReferenceDirective, Row, literal, named, sentence

HEADS, WIDTHS = ("column", "unit", "meaning"), (30, 10, 60)


class Columns(ReferenceDirective):
    """``columns:: KIND``: a section for the metrics of a family, and one for each of its tables.

    ``columns:: KIND NAME``: one section for the columns that a dotted name stands for.
    """

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        kind = self.arguments[0]
        if len(self.arguments) > 1:
            path = self.arguments[1]
            return [self._section(kind, path.rpartition(".")[2].lower(), "One row is one comparison.", named(path))]
        family = qkdrmp.FAMILIES[kind]
        sections = [self._section(kind, "summary", "One row of a sweep is one run.", family.metrics)]
        for name, table in family.tables.items():
            recorded = f" Only with ``record=['{table.record}']``." if table.record else ""
            sections.append(self._section(kind, name, f"One row is {table.row}.{recorded}", table.columns))
        return sections

    def _section(self, kind: str, name: str, rows: str, columns: Iterable[Column[Any]]) -> nodes.section:
        where = f"{kind}-table-{name}"
        table = self.table(HEADS, [_row(where, column) for column in columns], WIDTHS)
        return self.section(f"{literal(name)} ({kind})", where, *self.paragraphs(rows), table)


def _row(where: str, column: Column[Any]) -> Row:
    return f"{where}-{column.name}", (literal(column.name), column.unit, sentence(column.meaning))
