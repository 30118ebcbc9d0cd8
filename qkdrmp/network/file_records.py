"""Fields of topology files: what each format must hold, with one sentence for each thing that is wrong."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from qkdrmp.errors import TopologyError, unknown

OWN_FORMAT = "qkdrmp-topology/1"


Model = TypeVar("Model", bound=BaseModel)


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Open(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    @property
    def rest(self) -> dict[str, Any]:
        """The fields that the format does not know."""
        return dict(self.model_extra or {})


class NodeRecord(_Closed):
    """A node in our own format."""

    name: str
    kind: str
    latitude: float | None = None
    longitude: float | None = None
    x: float | None = None
    y: float | None = None
    pool_capacity: int | None = None
    pool_key_length_bits: int | None = None
    extra: dict[str, Any] = {}


class LinkRecord(_Closed):
    """A link in our own format."""

    ends: Annotated[list[str], Field(min_length=2, max_length=2)]
    length_km: float
    attenuation_db_per_km: float = 0.2
    classical_length_km: float | None = None
    extra: dict[str, Any] = {}


class TopologyRecord(_Closed):
    """A file in our own format; without a name it is called after the file."""

    format: Literal["qkdrmp-topology/1"]
    name: str | None = None
    source: str = ""
    notes: list[str] = []
    nodes: list[NodeRecord]
    links: list[LinkRecord] = []


class QnetNode(_Open):
    """A node as QNET writes it."""

    name: str
    type: str
    latitude: float | None = None
    longitude: float | None = None
    key_pool_volume: int | None = None
    key_length: int | None = None


class QnetChannel(_Open):
    """A quantum or classical channel as QNET writes it; `distance` is in metres."""

    distance: float
    attenuation: float = 0.2


class QnetLink(_Open):
    """A link as QNET writes it; without a classical channel, that is as long as the quantum channel."""

    node1: str
    node2: str
    qchannel: QnetChannel
    cchannel: QnetChannel | None = None


class QnetRecord(_Open):
    """A file as QNET writes it."""

    nodes: list[QnetNode]
    links: list[QnetLink] = []


_Id = Annotated[str, BeforeValidator(lambda id_: str(id_) if type(id_) is int else id_)]


class GraphNode(_Open):
    """A node of a node-link file."""

    id: _Id


class GraphEdge(_Open):
    """An edge of a node-link file."""

    source: _Id
    target: _Id


class GraphRecord(_Open):
    """A node-link file; its edges may be called links, and it may say something about the graph."""

    graph: Any = None
    nodes: list[GraphNode]
    links: list[GraphEdge] = Field(validation_alias=AliasChoices("links", "edges"))


_OWN_FIELDS = {"node": list(NodeRecord.model_fields), "link": list(LinkRecord.model_fields)}
_NAMES = {"nodes": (("name",), ("id",)), "links": (("node1", "node2"), ("source", "target"))}
_NAMES["edges"] = _NAMES["links"]
_COMPLAINTS = {
    "missing": "is missing",
    "float_type": "must be a number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be an object with named fields",
    "model_type": "must be an object with named fields",
    "too_short": "must hold two names",
    "too_long": "must hold two names",
}


def checked(model: type[Model], path: Path, content: Any) -> Model:
    """Return `content` as a `model`, or raise an error with one sentence for each wrong field."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {_sentence(content, dict(problem))}" for problem in error.errors()]
        raise TopologyError("\n".join(lines)) from None


def _sentence(content: Any, problem: dict[str, Any]) -> str:
    loc, kind = problem["loc"], problem["type"]
    if not loc:
        return "the file must hold a JSON object with named fields"
    place = ""
    if len(loc) > 1:
        place, loc = f"{_title(loc[0], content[loc[0]][loc[1]], loc[1])}: ", loc[2:]
    what = ".".join(map(str, loc))
    if kind == "extra_forbidden":
        known = _OWN_FIELDS.get(place[:4], list(TopologyRecord.model_fields))
        free = "; others go under 'extra'" if place else ""
        return f"{place}unknown field {unknown(what, known)}{free}"
    complaint = _COMPLAINTS.get(kind, problem["msg"].replace("Input should be", "must be"))
    value = "" if kind == "missing" else f"= {reprlib.repr(problem['input'])} "
    return f"{place}{what or 'the entry'} {value}{complaint}"


def _title(items: str, item: Any, index: int) -> str:
    """Return what to call one of the `items` (nodes or links), of any format, in a message."""
    if isinstance(item, dict):
        if isinstance(ends := item.get("ends"), list) and ends:
            return f"{items[:-1]} {'-'.join(map(str, ends))}"
        for keys in _NAMES[items]:
            if all(isinstance(item.get(key), str | int) for key in keys):
                return f"{items[:-1]} {'-'.join(str(item[key]) for key in keys)}"
    return f"{items[:-1]} number {index + 1}"
