"""The fields of scenario files and of topology files, out of the models that check them."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from qkdrmp.config.sections import ModelSection, Section
from qkdrmp.scenario import Scenario
from qkdrmp_docs.tables import ReferenceDirective, Row, introduction, literal, named, sentence
from qkdrmp_docs.words import meaning

HEADS = ("field", "type", "default", "allowed", "meaning")
WIDTHS = (18, 14, 14, 18, 36)
BOUNDS = (
    (annotated_types.Ge, "ge", "≥\N{NO-BREAK SPACE}"),
    (annotated_types.Gt, "gt", ">\N{NO-BREAK SPACE}"),
    (annotated_types.Le, "le", "≤\N{NO-BREAK SPACE}"),
    (annotated_types.Lt, "lt", "<\N{NO-BREAK SPACE}"),
)


class ScenarioFields(ReferenceDirective):
    """``scenario-fields:: CLASS FAMILY``: all fields of a kind of scenario, section by section."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        scenario: type[Scenario] = named(self.arguments[0])
        self.family = self.arguments[1]
        top = [name for name in scenario.model_fields if name not in scenario.sections() and name != "sweep"]
        own = scenario.model_fields["sweep"].annotation
        assert isinstance(own, type)
        return [
            self.section("The top of the file", f"{self.family}-top", self._fields(scenario, "top", top)),
            *(self._section(name, scenario.model_fields[name].annotation) for name in scenario.sections()),
            self.section(literal("[sweep]"), f"{self.family}-sweep", self._fields(own, "sweep")),
            *self._presets(scenario),
        ]

    def _section(self, name: str, section: Any) -> nodes.section:
        text = introduction(section)
        if section.exceptions_by:
            places = " or ".join(section.exceptions_by)
            fixed = ", ".join(map(literal, section.same_everywhere))
            text += f"\n\nExceptions by {places}{f'; {fixed} must be the same everywhere' if fixed else ''}."
        else:
            text += "\n\nHolds everywhere; there are no exceptions."
        shown = [field for field in section.model_fields if field not in ("at", "parameters")]
        content = [*self.paragraphs(text), self._fields(section, name, shown)]
        if issubclass(section, ModelSection):
            content += [self._model(name, key, model) for key, model in section.registry.items()]
        return self.section(literal(f"[{name}]"), f"{self.family}-{name}", *content)

    def _model(self, section: str, key: str, model: type) -> nodes.section:
        where = f"{section}-{key}"
        parts = [
            self.section(
                f"{literal(name)} of {literal(key)}",
                f"{self.family}-{where}-{name}",
                self._fields(inner, f"{where}-{name}"),
            )
            for name, inner in _inner_tables(model)
        ]
        content = [*self.paragraphs(introduction(model)), self._fields(model, where), *parts]
        return self.section(literal(f'model = "{key}"'), f"{self.family}-{where}", *content)

    def _fields(self, model: type, where: str, names: list[str] | None = None) -> nodes.table:
        return self.table(HEADS, _rows(model, f"{self.family}-{where}", names), WIDTHS)

    def _presets(self, scenario: type[Scenario]) -> Iterator[nodes.section]:
        for name, sections in scenario.presets.items():
            text = "\n\n".join(_toml(section, fields) for section, fields in sections.items())
            block = nodes.literal_block(text, text, language="toml")
            yield self.section(literal(f'preset = "{name}"'), f"{self.family}-preset-{name}", block)


class FileFields(ReferenceDirective):
    """``file-fields:: CLASS``: the fields of one part of a file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        model = named(self.arguments[0])
        return [self.table(HEADS, _rows(model, f"file-{model.__name__.lower()}"), WIDTHS)]


class CsvColumns(ReferenceDirective):
    """``csv-columns:: COLUMNS``: the columns that a CSV file may have, and what else they may be called."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        named_columns = named(self.arguments[0]).items()
        rows = (("", (literal(column), ", ".join(map(literal, names[1:])))) for column, names in named_columns)
        return [self.table(("column", "also called"), rows, (30, 70))]


def _toml(section: str, fields: Mapping[str, Any]) -> str:
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
    lines = [f'{name} = "{v}"' if isinstance(fields[name], str) else f"{name} = {v}" for name, v in values.items()]
    return "\n".join([f"[{section}]", *lines])


def _inner_tables(model: type) -> Iterator[tuple[str, type]]:
    """Yield the fields of a model that hold a list of tables, with the class of those."""
    hints = typing.get_type_hints(model) if dataclasses.is_dataclass(model) else {}
    for name, hint in hints.items():
        inner = next((part for part in get_args(hint) if dataclasses.is_dataclass(part)), None)
        if isinstance(inner, type):
            yield name, inner


def _rows(model: type, where: str, names: Collection[str] | None = None) -> Iterator[Row]:
    for name, hint, metadata, default in _declared(model):
        if names is not None and name not in names:
            continue
        allowed = _allowed(model, name, hint, metadata)
        cells = (literal(name), _type(hint), _default(default), allowed, sentence(meaning(model, name)))
        yield f"{where}-{name}", cells


def _declared(model: type) -> Iterator[tuple[str, Any, list[Any], Any]]:
    """Yield each field of a pydantic model or dataclass: its name, type, constraints and default."""
    if issubclass(model, BaseModel):
        for name, info in model.model_fields.items():
            hint, metadata = _unwrapped(info.annotation)
            yield name, hint, [*info.metadata, *metadata], _default_of(info)
    else:
        hints = typing.get_type_hints(model, include_extras=True)
        for field in dataclasses.fields(model):
            hint, metadata = _unwrapped(hints[field.name])
            missing = field.default is dataclasses.MISSING
            yield field.name, hint, metadata, PydanticUndefined if missing else field.default


def _default_of(info: FieldInfo) -> Any:
    return info.default_factory() if info.default_factory else info.default  # type: ignore[call-arg]


def _unwrapped(hint: Any) -> tuple[Any, list[Any]]:
    """Return a type without the constraints that are written into it, and those."""
    metadata: list[Any] = []
    for part in (hint, *get_args(hint)):
        for item in getattr(part, "__metadata__", ()):
            metadata += item.metadata if isinstance(item, FieldInfo) else [item]
    return hint, metadata


def _type(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _type(parts[0])
    if origin in (typing.Union, types.UnionType):
        shown = [_type(part) for part in parts if part is not type(None)]
        return " or ".join(dict.fromkeys(shown))
    if origin is Literal:
        return "text"
    if origin in (list, tuple):
        return "list"
    if hint is Any:
        return "text or object"
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "table", Path: "text"}
    if origin is dict or hint in plain:
        return plain[origin or hint]
    return "text" if isinstance(hint, type) and issubclass(hint, Enum) else "text or object"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ((), {}, []):
        return "none"
    if isinstance(value, bool):
        return literal(str(value).lower())
    return literal(
        f'"{value}"' if isinstance(value, str) else _number(value) if isinstance(value, float) else str(value)
    )


def _number(value: float) -> str:
    """Return a number as one writes it: 2e8, not 2e+08."""
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}")


def _allowed(model: type, name: str, hint: Any, metadata: list[Any]) -> str:
    if issubclass(model, Section) and name in model.registries():
        return ", ".join(map(literal, model.registries()[name])) + ", or an object of your own"
    values = list(_values(hint))
    bounds = [
        sign + _number(getattr(item, key)) for item in metadata for cls, key, sign in BOUNDS if isinstance(item, cls)
    ]
    return ", ".join([*map(literal, values), *bounds])


def _values(hint: Any) -> Iterator[str]:
    """Yield the values that a type lists."""
    if get_origin(hint) is Literal:
        yield from map(str, get_args(hint))
    elif isinstance(hint, type) and issubclass(hint, Enum):
        yield from (str(value) for value in hint)
    else:
        for part in get_args(hint):
            yield from _values(part)
