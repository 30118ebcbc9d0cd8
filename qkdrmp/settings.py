"""Sections of a scenario: checked, frozen settings with exceptions by node or link, and errors that read well."""

from __future__ import annotations

import dataclasses
import inspect
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from qkdrmp.errors import did_you_mean

PLACES = ("node", "link")


class Section(BaseModel):
    """A group of settings, such as ``[pools]``.

    Every section takes exceptions: ``[[pools.at]]`` with ``node = "TR15"`` or ``link = ["TR1", "TR2"]`` and the
    fields that differ there. Where several apply, the last one listed wins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    at: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _check_exceptions(self) -> Self:
        problems: list[str] = []
        for number, exception in enumerate(self.at, start=1):
            problems += [f"at, entry {number}: {problem}" for problem in self._problems_of(exception)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_of(self, exception: Mapping[str, Any]) -> list[str]:
        if sum(place in exception for place in PLACES) != 1:
            return ["give either node or link, once"]
        link = exception.get("link", ("a", "b"))
        if not isinstance(link, (list, tuple)) or len(link) != 2:
            return [f"link = {link!r} must be a list of two node names"]
        try:
            self._with(exception)
        except ValidationError as error:
            return sentences(error, type(self))
        return []

    def given(self) -> dict[str, Any]:
        """Return what was set explicitly, exceptions left out."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "at"}

    def _with(self, exception: Mapping[str, Any]) -> Self:
        changed = {name: value for name, value in exception.items() if name not in PLACES}
        return type(self).model_validate({**self.given(), **changed})

    def here(self, node: str | None = None, link: Iterable[str] = ()) -> Self:
        """Return the settings that hold at a node, on a link, or at one end of a link."""
        ends = set(link)
        section = self
        for exception in self.at:
            if exception.get("node") == node is not None or (ends and set(exception.get("link", ())) == ends):
                section = section._with(exception)
        return section

    def places(self) -> list[tuple[int, str]]:
        """Return every node named in the exceptions, with the number of the entry that names it."""
        return [
            (number, name)
            for number, exception in enumerate(self.at, start=1)
            for name in ([exception["node"]] if "node" in exception else exception["link"])
        ]


class ModelSection(Section):
    """A section that chooses one of several models by name, with the model's own parameters beside the name.

    Instead of a name, `model` may be an object of one's own.
    """

    registry: ClassVar[Mapping[str, type]]
    noun: ClassVar[str]

    model: Any
    parameters: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _collect_parameters(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        own = {name: value for name, value in data.items() if name in cls.model_fields}
        extra = {name: value for name, value in data.items() if name not in cls.model_fields}
        own["parameters"] = {**own.get("parameters", {}), **extra}
        if not extra and not data.get("parameters"):
            del own["parameters"]
        return own

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        self.build()
        return self

    def build(self) -> Any:
        """Return the model object.

        Raises
        ------
        ValueError
            If there is no model of that name, or if its parameters are wrong.
        """
        if not isinstance(self.model, str):
            if self.parameters:
                raise ValueError(f"unknown field '{next(iter(self.parameters))}' beside a {self.noun} object")
            return self.model
        if self.model not in self.registry:
            known = ", ".join(self.registry)
            hint = did_you_mean(self.model, self.registry)
            raise ValueError(f"model = '{self.model}' must be one of {known}{hint}, or an object")
        return self._instance(self.registry[self.model])

    def _instance(self, model: type) -> Any:
        known = [field.name for field in dataclasses.fields(model)]
        for name in self.parameters:
            if name not in known:
                fields = ", ".join([*known, *type(self).model_fields])
                raise ValueError(f"unknown field '{name}'{did_you_mean(name, known)}; known are {fields}")
        try:
            return TypeAdapter(model).validate_python(self.parameters)
        except ValidationError as error:
            raise ValueError("; ".join(sentences(error, model))) from None


def sentences(error: ValidationError, model: type) -> list[str]:
    """Return one sentence for each thing that is wrong with the input of `model`."""
    return [_sentence(dict(problem), model) for problem in error.errors()]


def _sentence(problem: dict[str, Any], model: type) -> str:
    loc = [str(part) for part in problem["loc"]]
    path, kind = ".".join(loc), problem["type"]
    if kind == "extra_forbidden":
        known = [name for name in _fields_at(model, loc[:-1]) if name not in ("registry", "noun")]
        return f"unknown field '{path}'{did_you_mean(loc[-1], known)}; known are {', '.join(known)}"
    if kind == "missing":
        return f"{path} is missing"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "value_error":
        return f"{path}: {message}" if path else message
    message = message.replace("Input should be", "must be").replace("a valid ", "a ")
    return f"{path} = {reprlib.repr(problem['input'])} {message}"


def _fields_at(model: type, loc: list[str]) -> list[str]:
    for part in loc:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None or not inspect.isclass(field.annotation):
            return []
        model = field.annotation
    return list(getattr(model, "model_fields", {}))
