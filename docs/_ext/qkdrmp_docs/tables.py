"""What the directives have in common: sections and tables made of docutils nodes, and texts out of docstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes
from numpydoc.docscrape import NumpyDocString
from sphinx.util.docutils import SphinxDirective

Row = tuple[str, Sequence[str]]
"""The id of a row, and the text of each cell."""


def named(path: str) -> Any:
    """Return the module, or the object in a module, that a dotted path names."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


class ReferenceDirective(SphinxDirective):
    """A directive that writes sections with tables."""

    def section(self, title: str, ident: str, *content: nodes.Node) -> nodes.section:
        """Return a section."""
        node = nodes.section(ids=[nodes.make_id(ident)], names=[nodes.fully_normalize_name(ident)])
        node += nodes.title(title, "", *self.parse_inline(title)[0])
        node += list(content)
        return node

    def paragraphs(self, text: str) -> list[nodes.Node]:
        """Return a docstring's text, as reStructuredText."""
        return self.parse_text_to_nodes(inspect.cleandoc(text)) if text.strip() else []

    def table(self, heads: Sequence[str], rows: Iterable[Row], widths: Sequence[int]) -> nodes.table:
        """Return a table whose rows can be linked to."""
        table = nodes.table(classes=["reference"])
        group = nodes.tgroup(cols=len(heads))
        group += [nodes.colspec(colwidth=width) for width in widths]
        group += nodes.thead("", self._row("", heads))
        group += nodes.tbody("", *(self._row(ident, cells) for ident, cells in rows))
        table += group
        return table

    def _row(self, ident: str, cells: Sequence[str]) -> nodes.row:
        row = nodes.row(ids=[ident] if ident else [])
        for cell in cells:
            row += nodes.entry("", nodes.paragraph("", "", *self.parse_inline(cell)[0]))
        return row


def literal(text: str) -> str:
    """Return a text as code, in reStructuredText."""
    return f"``{text}``" if text else ""


def sentence(text: str) -> str:
    """Return a text with a capital letter in front, unless it begins with a symbol such as V_m."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def described(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say about each of its fields."""
    found: dict[str, str] = {}
    for base in cls.__mro__:
        document = NumpyDocString(inspect.cleandoc(base.__doc__ or "")) if base.__module__.startswith("qkdrmp") else {}
        for part in ("Attributes", "Parameters"):
            for entry in document.get(part, []) if document else []:
                for name in entry.name.split(","):
                    found.setdefault(name.strip(), " ".join(entry.desc))
    return found


def introduction(cls: type) -> str:
    """Return the summary and the extended summary of a class."""
    document = NumpyDocString(inspect.cleandoc(cls.__doc__ or ""))
    return "\n\n".join("\n".join(document[part]).strip() for part in ("Summary", "Extended Summary"))
