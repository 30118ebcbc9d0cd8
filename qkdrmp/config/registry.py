"""Registries: what comes with the package under a name, where a field also takes an object of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import get_protocol_members

from qkdrmp.config.own_objects import OwnFile, is_reference, load_object
from qkdrmp.errors import one_of

T = TypeVar("T")


class Surroundings(NamedTuple):
    """What the validation of a scenario knows besides its fields.

    Parameters
    ----------
    folder : Path or None
        Where files that it names are looked for first.
    files : set of OwnFile
        The files of the user's own from which objects were loaded.
    """

    folder: Path | None
    files: set[OwnFile]


def unfit(said: str) -> PydanticCustomError:
    """Return the error that a field cannot have a value, with what the value must be."""
    return PydanticCustomError("unfit", "{said}", {"said": said})


class Registry(Mapping[str, T], Generic[T]):
    """What a field takes by name, or as an object of the user's own that has the same shape.

    In Python such an object is given as it is; a scenario file names it, as in ``my_models.py:lifo``. A class stands
    for the object that it makes. In the annotation of a field, as in ``Annotated[Any, QUEUE_POLICIES]``, a registry
    checks its values.

    Parameters
    ----------
    noun : str
        What one of them is called.
    shape : type
        The Protocol that all of them fit.
    named : mapping of str to object
        Those that come with the package: objects, or classes of objects whose parameters stand beside the name.
    adapt : callable, optional
        Makes an object of that shape of something simpler that users may give, such as a function.
    """

    def __init__(
        self, noun: str, shape: type, named: Mapping[str, Any], adapt: Callable[[Any], Any] | None = None
    ) -> None:
        self.noun = noun
        self.shape = shape
        self._named = dict(named)
        self._adapt = adapt

    def __getitem__(self, name: str) -> Any:
        return self._named[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def __hash__(self) -> int:
        return id(self)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._checked)

    def _checked(self, value: Any, info: ValidationInfo) -> Any:
        found = self.found(value, info.context)
        self.made(found)
        return found

    def found(self, value: Any, context: Any = None) -> Any:
        """Return a name that is known, or an object: what a reference names, or the value itself.

        Parameters
        ----------
        context : Surroundings, optional
            Of the validation.

        Raises
        ------
        PydanticCustomError
            If it is another text, or a reference to nothing; the message says what it must be.
        """
        if not isinstance(value, str) or value in self:
            return value
        if not is_reference(value):
            raise unfit(self._alternatives(value))
        around = context if isinstance(context, Surroundings) else Surroundings(None, set())
        try:
            found, file = load_object(value, around.folder)
        except ValueError as error:
            raise unfit(str(error)) from error
        if file is not None:
            around.files.add(file)
        return found

    def made(self, value: Any) -> T:
        """Return the object that a value of the field stands for.

        Raises
        ------
        PydanticCustomError
            If it is no name and does not have the shape; the message says what it must be.
        """
        if isinstance(value, str) and value in self:
            named: T = self[value]
            return named
        try:
            own = value() if isinstance(value, type) else value
        except TypeError as error:
            raise unfit(f"must be {_article(self.noun)}, but the class cannot be called: {error}") from None
        return self.fitting(own)

    def fitting(self, value: Any) -> T:
        """Return an object in the shape that it must have.

        Raises
        ------
        PydanticCustomError
            If it does not have it; the message says what it must be.
        """
        adapted = value if self._adapt is None else self._adapt(value)
        lacking = lacks(adapted, self.shape)
        if not lacking:
            fits: T = adapted
            return fits
        if isinstance(value, str | int | float | list | dict | None):
            raise unfit(self._alternatives(value))
        raise unfit(f"must be {_article(self.noun)}, but {lacking}")

    def _alternatives(self, value: Any) -> str:
        known = f"{one_of(self, value)}, or " if self else ""
        return f"must be {known}{_article(self.noun)} of your own"


def _article(noun: str) -> str:
    return f"a{'n' if noun[0] in 'aeiou' else ''} {noun}"


def lacks(value: Any, shape: type) -> str:
    """Return what an object lacks of a Protocol, in words; an empty text if it fits."""
    for name in sorted(get_protocol_members(shape)):
        wanted, given = getattr(shape, name), getattr(value, name, None)
        if isinstance(wanted, property):
            if not hasattr(value, name):
                return f"it has no attribute {name}"
            continue
        parameters = [*inspect.signature(wanted).parameters][1:]
        call = f"({', '.join(parameters)})"
        is_function = name == "__call__"
        if name == "__hash__" and given is None:
            return "it cannot be hashed"
        if given is None or (is_function and not callable(value)):
            return f"it cannot be called with {call}" if is_function else f"it has no method {name}{call}"
        if not _takes(value if is_function else given, len(parameters)):
            return f"{'it' if is_function else f'its method {name}'} cannot be called with {call}"
    return ""


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some functions written in C do not say what they take
        return True
    return True
