"""What settings say that is not a default."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from qkdrmp.config.sections import ModelSection, shown


class Difference(NamedTuple):
    """A field with another value than its default.

    Parameters
    ----------
    path : str
        Of the field, such as ``pools.capacity``.
    value : object
    default : object
        `NONE` if it has none, and has to be given.
    """

    path: str
    value: Any
    default: Any

    def __str__(self) -> str:
        default = "" if self.default is NONE else f" (default {brief(self.default)})"
        return f"{self.path} = {brief(self.value)}{default}"


NONE = object()
"""Stands for the default of a field that has none."""


def brief(value: Any) -> str:
    """Return a value for people, in a few words however long it is."""
    if value is None or value in ((), [], {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return str(value)
    many = isinstance(value, list | tuple) and any(isinstance(entry, dict) for entry in value)
    return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}" if many else shown(value)


def differences(settings: BaseModel, *, leave_out: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Yield the fields, those of sections as well, whose values are not their defaults.

    Parameters
    ----------
    settings : BaseModel
        A scenario or a section of one.
    leave_out : tuple of str
        Fields of `settings` itself that are not looked at.
    """
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name in leave_out or (name == "parameters" and isinstance(settings, ModelSection)):
            continue
        if isinstance(value, BaseModel):
            yield from (one._replace(path=f"{name}.{one.path}") for one in differences(value))
        else:
            default = NONE if field.is_required() else field.get_default(call_default_factory=True)
            if default is NONE or value != default:
                yield Difference(name, value, default)
    if isinstance(settings, ModelSection):
        yield from _parameters(settings)


def _parameters(section: ModelSection) -> Iterator[Difference]:
    """Yield the parameters of a model that are not its defaults."""
    model = section.build()
    own = dataclasses.fields(model) if dataclasses.is_dataclass(model) else ()
    defaults = {field.name: field.default for field in own if field.default is not dataclasses.MISSING}
    for name, value in section.parameters.items():
        if defaults.get(name, NONE) != value:
            yield Difference(name, value, defaults.get(name, NONE))
