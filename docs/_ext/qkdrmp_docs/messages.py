"""The messages of a protocol family, out of its vocabulary."""

from __future__ import annotations

import dataclasses
import inspect

from docutils import nodes
from sphinx.pycode import ModuleAnalyzer

from qkdrmp_docs.tables import ReferenceDirective, Row, literal, named, sentence
from qkdrmp_docs.words import meaning


class Messages(ReferenceDirective):
    """``messages:: MODULE FAMILY``: a section for each message in the ``VOCABULARY`` of a module."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        module, family = named(self.arguments[0]), self.arguments[1]
        return [self._section(family, message) for message in module.VOCABULARY]

    def _section(self, family: str, message: type) -> nodes.section:
        ident = f"{family}-message-{message.wire_name.lower()}"
        text = inspect.cleandoc(message.__doc__ or "").partition("\n\nParameters")[0]
        rows = [_row(ident, message, field) for field in dataclasses.fields(message)]
        table = self.table(("field", "type", "meaning"), rows, (20, 25, 55))
        return self.section(message.wire_name, ident, *self.paragraphs(text), table)


def _row(where: str, message: type, field: dataclasses.Field[object]) -> Row:
    return f"{where}-{field.name}", (literal(field.name), literal(str(field.type)), _meaning(message, field.name))


def _meaning(message: type, name: str) -> str:
    """Return what a field means: as it is written at the field, or as `words` has it."""
    written = ModuleAnalyzer.for_module(message.__module__).find_attr_docs().get((message.__name__, name), [])
    return sentence(meaning(message, name, " ".join(written))).removesuffix(".")
