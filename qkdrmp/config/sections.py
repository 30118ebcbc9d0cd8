"""Sections of a scenario: checked, frozen settings with exceptions by node or link, whose errors are sentences."""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self, get_args, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from qkdrmp.config.own_objects import is_reference
from qkdrmp.config.points import label
from qkdrmp.config.registry import Registry
from qkdrmp.errors import unknown

PLACES = ("node", "link")

# What pydantic's words are in our sentences.
WORDS = {
    "Input should be": "must be",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "a valid dictionary": "a table",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    ", unable to parse string as a number": "",
    ", unable to parse string as an integer": "",
}


class Section(BaseModel):
    """A group of settings, such as ``[pools]``.

    Every section takes exceptions: ``[[pools.at]]`` with ``node = "TR15"`` or ``link = ["TR1", "TR2"]`` and the
    fields that differ there. Where several apply, the last one listed wins. What belongs to a link as a whole takes
    the exceptions of both of its nodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    exceptions_by: ClassVar[tuple[str, ...]] = PLACES
    same_everywhere: ClassVar[tuple[str, ...]] = ()

    at: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()

    @classmethod
    def registries(cls) -> dict[str, Registry[Any]]:
        """Return the registries of the fields that take something by name, or an object of the user's own."""
        fields = cls.model_fields.items()
        return {name: item for name, field in fields for item in field.metadata if isinstance(item, Registry)}

    @model_validator(mode="after")
    def _check_exceptions(self, info: ValidationInfo) -> Self:
        checked, problems = [], []
        for number, exception in enumerate(self.at, start=1):
            found, wrong = self._checked(exception, info.context)
            checked.append(found)
            problems += [f"at, entry {number}: {problem}" for problem in wrong]
        if problems:
            raise ValueError("\n".join(problems))
        object.__setattr__(self, "at", tuple(checked))  # with objects where they were only named
        return self

    def _checked(self, exception: dict[str, Any], context: Any) -> tuple[dict[str, Any], list[str]]:
        """Return an exception, with the objects that it names, and what is wrong with it."""
        problems = self._problems_of_place(exception)
        fixed = [name for name in exception if name in ("at", *self.same_everywhere)]
        problems += [f"{name} cannot be set for a single {' or '.join(self.exceptions_by)}" for name in fixed]
        if not exception.keys() - PLACES:
            problems.append("give a field that is different there")
        try:
            there = self._with({name: value for name, value in exception.items() if name not in fixed}, context)
        except ValidationError as error:
            return exception, problems + sentences(error, type(self))
        objects = {name: getattr(there, name) for name in self.registries() if name in exception}
        return {**exception, **objects}, problems

    def _problems_of_place(self, exception: Mapping[str, Any]) -> list[str]:
        given = [place for place in PLACES if place in exception]
        if len(given) != 1 or given[0] not in self.exceptions_by:
            if not self.exceptions_by:
                return ["there can be no exceptions, because these settings hold everywhere"]
            alone = f"give {self.exceptions_by[0]} alone"
            return ["give either node or link" if self.exceptions_by == PLACES else alone]
        node, link = exception.get("node", ""), exception.get("link", ("a", "b"))
        if not isinstance(node, str):
            return [f"node = {node!r} must be the name of a node"]
        names = [name for name in link if isinstance(name, str)] if isinstance(link, (list, tuple)) else []
        if len(link if names else ()) != 2 or len(set(names)) != 2:
            return [f"link = {link!r} must be a list of two node names"]
        return []

    def given(self) -> dict[str, Any]:
        """Return what was set explicitly, exceptions left out."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "at"}

    def _with(self, exception: Mapping[str, Any], context: Any = None) -> Self:
        changed = {name: value for name, value in exception.items() if name not in PLACES}
        return type(self).model_validate({**self.given(), **changed}, context=context)

    def here(self, node: str | None = None, link: Iterable[str] = ()) -> Self:
        """Return the settings that hold at a node, on a link, or at one end of a link."""
        ends = set(link)
        section = self
        for exception in self.at:
            by_link = bool(ends) and set(exception.get("link", ())) == ends
            if by_link or exception.get("node") in ([node] if node is not None else ends):
                section = section._with(exception)
        return section


class ModelSection(Section):
    """A section that chooses one of several models by name, with the model's own parameters beside the name.

    Instead of a name, `model` may be an object of the user's own, or a class whose parameters stand beside it.
    """

    registry: ClassVar[Registry[Any]]

    model: Any
    parameters: dict[str, Any] = {}

    @classmethod
    def registries(cls) -> dict[str, Registry[Any]]:
        """Return the registries of the fields that take something by name, or an object of the user's own."""
        return {"model": cls.registry, **super().registries()}

    @model_validator(mode="before")
    @classmethod
    def _collect_parameters(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        own = {name: value for name, value in data.items() if name in cls.model_fields}
        extra = {name: value for name, value in data.items() if name not in cls.model_fields}
        given = own.get("parameters", {})
        if extra and isinstance(given, Mapping):
            own["parameters"] = {**given, **extra}
        return own

    @field_validator("model", mode="before")
    @classmethod
    def _find_model(cls, value: Any, info: ValidationInfo) -> Any:
        return cls.registry.found(value, info.context)

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        self.build()
        return self

    def _with(self, exception: Mapping[str, Any], context: Any = None) -> Self:
        if exception.get("model", self.model) == self.model:
            return super()._with(exception, context)
        given = {name: value for name, value in self.given().items() if name != "parameters"}
        changed = {name: value for name, value in exception.items() if name not in PLACES}
        return type(self).model_validate({**given, **changed}, context=context)

    def build(self) -> Any:
        """Return the model object.

        Raises
        ------
        ValueError
            If the parameters are wrong, or an object is no such model.
        """
        known = isinstance(self.model, str)
        model = self.registry[self.model] if known else self.model
        if not isinstance(model, type) and self.parameters:
            raise ValueError(f"unknown field '{next(iter(self.parameters))}' beside a {self.registry.noun} object")
        made = self._instance(model) if isinstance(model, type) else model
        try:
            return made if known else self.registry.fitting(made)
        except PydanticCustomError as error:
            raise ValueError(f"model = {shown(self.model)} {error}") from None

    def _instance(self, model: type) -> Any:
        types = _fields(model)
        problems = [problem for name in self.parameters if (problem := self._problem_of(name, types))]
        if problems:
            raise ValueError("\n".join(problems))
        try:
            return _adapter(model).validate_python(self.parameters)
        except ValidationError as error:
            raise ValueError("\n".join(sentences(error, model))) from None

    def _problem_of(self, name: str, types: Mapping[str, Any]) -> str:
        value = self.parameters[name]
        if name not in types:
            fields = [*types, *(own for own in type(self).model_fields if own != "parameters")]
            return f"unknown field {unknown(name, fields)}"
        if types[name] in (int, float) and isinstance(value, bool | str):
            return f"{name} = {value!r} must be a {'whole ' if types[name] is int else ''}number"
        return ""


@lru_cache
def _adapter(model: type) -> TypeAdapter[Any]:
    # A class that is no dataclass has no parameters to check.
    return TypeAdapter(model if dataclasses.is_dataclass(model) else Annotated[Any, BeforeValidator(lambda _: model())])


def sentences(error: ValidationError, model: type) -> list[str]:
    """Return one sentence for each thing that is wrong with the input of `model`."""
    return [sentence for problem in error.errors() for sentence in _sentences(dict(problem), model)]


def _sentences(problem: dict[str, Any], model: type) -> list[str]:
    loc, kind = problem["loc"], problem["type"]
    path = _path(loc)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        said = unknown(str(loc[-1]), list(_fields_at(model, loc[:-1])))
        place = _path(loc[:-1])
        return [f"{place}: unknown field {said}" if place else f"unknown field {said}"]
    if kind == "missing":
        return [f"{path} is missing"]
    if kind == "value_error":
        lines = problem["msg"].removeprefix("Value error, ").splitlines()
        return [_below(path, line) for line in lines]
    return [f"{path} = {shown(problem['input'])} {_requirement(problem)}"]


def shown(value: Any) -> str:
    """Return how a value is quoted in a sentence: in full if it names something, short if it is long."""
    if isinstance(value, str):
        return repr(value) if is_reference(value) else reprlib.repr(value)
    return str(label(value)) if callable(value) or repr(value) == object.__repr__(value) else reprlib.repr(value)


def _below(path: str, line: str) -> str:
    """Return a sentence about something at a place: one that begins with a field there has the whole path of it."""
    if not path or line.startswith(f"{path} = "):
        return line
    return f"{path}.{line}" if re.match(r"[a-z]\w*(, entry \d+\b| (=|is missing))", line) else f"{path}: {line}"


def _requirement(problem: Mapping[str, Any]) -> str:
    """Return what the value of a field must be."""
    if problem["type"] in ("model_type", "dataclass_type"):
        return "must be a table"
    if problem["type"] == "is_instance_of":
        return f"must be a name, a path or a {problem['ctx']['class']}"
    message: str = problem["msg"]
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _path(loc: Sequence[str | int]) -> str:
    """Return how a place in a file is called: ``pools.capacity``, or ``demand.matrix, entry 2: src``."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path = f"{path.removesuffix(': ')}, entry {part + 1}: "
        else:
            path += part if not path or path.endswith(": ") else f".{part}"
    return path.removesuffix(": ")


def _fields_at(model: type, loc: Sequence[str | int]) -> dict[str, Any]:
    """Return the fields of what lies at a place inside `model`, with their types."""
    annotation: Any = model
    for part in loc:
        if isinstance(part, str):
            annotation = _fields(annotation).get(part)
        while get_args(annotation):
            annotation = get_args(annotation)[0]
    return _fields(annotation)


def _fields(model: Any) -> dict[str, Any]:
    if hasattr(model, "model_fields"):
        return {name: field.annotation for name, field in model.model_fields.items()}
    has_fields = dataclasses.is_dataclass(model)
    return _hints(model) if has_fields else {}


@lru_cache
def _hints(model: Any) -> dict[str, Any]:
    """Return the types of the fields of a dataclass, which takes long to find out."""
    hints = get_type_hints(model)
    return {field.name: hints[field.name] for field in dataclasses.fields(model)}
