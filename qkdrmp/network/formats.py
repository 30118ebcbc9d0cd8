"""File formats of topologies: reading any of them, writing our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from qkdrmp.config.bundled import bundled_names, resolve
from qkdrmp.config.registry import Registry
from qkdrmp.config.sections import shown
from qkdrmp.errors import TopologyError
from qkdrmp.network import file_records as fields
from qkdrmp.network.completion import Completion, complete
from qkdrmp.network.csv_files import is_links, read_csv
from qkdrmp.network.draft import Draft
from qkdrmp.network.graph_files import is_graphml, is_node_link, read_graphml, read_node_link
from qkdrmp.network.node_kinds import understand_kinds
from qkdrmp.network.qnet_files import is_qnet, read_qnet
from qkdrmp.topology import Link, Node, Topology

LINKS = "links.csv"
CSV_SUFFIXES = (".csv", ".tsv")
AS_GIVEN = Completion()


class TopologyReader(Protocol):
    """What makes a topology of a file in some format."""

    def __call__(self, path: Path, content: Any, /) -> Topology:
        """Return the topology that a file describes.

        Parameters
        ----------
        path : Path
            For error messages.
        content : object
            What the JSON of the file holds, or else its text.
        """


@dataclass(frozen=True)
class FileFormat:
    """A file format that is recognised by the content of a file.

    Parameters
    ----------
    recognises : callable
        Returns whether content is of this format.
    read : callable
        Makes a topology of a path, content, and the rules that complete what is missing.
    """

    recognises: Callable[[Any], bool]
    read: Callable[[Path, Any, Completion], Topology]

    def __call__(self, path: Path, content: Any, rules: Completion = AS_GIVEN) -> Topology:
        """Return the topology that a file describes."""
        return self.read(path, content, rules)


def load_topology(
    name_or_path: str | Path,
    format: str | TopologyReader | None = None,
    *,
    kinds: str | None = None,
    detour: float | None = None,
    nodes: str | Path | None = None,
) -> Topology:
    """Return a bundled topology, or the one a file describes.

    What was left out or completed is in its `notes`, and in its `summary`.

    Parameters
    ----------
    name_or_path
        A bundled name such as ``"beijing_qman"``, the path of a file, or of a folder that holds a ``links.csv``.
    format
        ``qkdrmp``, ``qnet``, ``node-link``, ``graphml`` or ``csv``, or a reader of your own, as an object or named
        like ``my_reader.py:read``; by default the first of these formats that recognises the file.
    kinds
        Where no node of the file has a kind: ``sites``, the default, makes each a repeater with a user of its own;
        ``leaves`` makes nodes with one link users, and all others repeaters.
    detour
        How many times as long as the great circle a fibre is whose length is computed from coordinates, at least 1,
        the default.
    nodes
        A CSV file of the nodes, for a CSV file of links; by default ``nodes.csv`` beside ``links.csv``.

    Raises
    ------
    TopologyError
        If there is no such file or format, or if anything in the file is wrong; one line for each problem.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.load_topology("beijing_qman")
    <Topology beijing_qman: 35 nodes, 37 links>
    """
    rules = Completion(kinds, detour, None if nodes is None else Path(nodes))
    reader = None if format is None else _reader(format)
    path = _path(name_or_path)
    content = _content(path)
    if reader is None:
        reader = _recognised(path, content)
    if isinstance(reader, FileFormat):
        return reader(path, content, rules)
    if rules != AS_GIVEN:
        raise TopologyError(f"{path}: kinds, detour and nodes are for formats of this package, not for {shown(format)}")
    made: Any = reader(path, content)
    if not isinstance(made, Topology):
        raise TopologyError(f"{path}: format = {shown(format)} must return a Topology, not {shown(made)}")
    return made


def _path(name_or_path: str | Path) -> Path:
    """Return the path of a file; of that with the links, for a folder."""
    folder = Path(name_or_path)
    if name_or_path in bundled_names("topologies") or not folder.is_dir():
        return resolve("topologies", name_or_path, TopologyError)
    if not (folder / LINKS).is_file():
        raise TopologyError(f"{folder}: a folder must hold a {LINKS}, and has none")
    return folder / LINKS


def _recognised(path: Path, content: Any) -> TopologyReader:
    for known in TOPOLOGY_READERS.values():
        if isinstance(known, FileFormat) and known.recognises(content):
            return known
    if path.suffix.lower() in CSV_SUFFIXES:
        reader: TopologyReader = TOPOLOGY_READERS["csv"]
        return reader
    raise TopologyError(
        f"{path}: must be in one of the formats {', '.join(TOPOLOGY_READERS)}, as far as can be seen; "
        f'our own says "format": "{fields.OWN_FORMAT}"'
    )


def _reader(format: str | TopologyReader) -> TopologyReader:
    try:
        return TOPOLOGY_READERS.made(TOPOLOGY_READERS.found(format))
    except ValueError as error:
        raise TopologyError(f"format = {shown(format)} {error}") from None


def save_topology(topology: Topology, path: str | Path) -> None:
    """Write `topology` to a file in our own format, one node or link a line.

    Parameters
    ----------
    topology
        What to write; `load_topology` gives an equal one back. What is in `extra` must be fit for JSON.
    path
        The file, which is replaced if it exists.

    Raises
    ------
    TopologyError
        If the file cannot be written.

    Examples
    --------
    >>> import qkdrmp
    >>> nodes = [qkdrmp.Node("North", "end"), qkdrmp.Node("Hub", "repeater"), qkdrmp.Node("South", "end")]
    >>> links = [qkdrmp.Link(("North", "Hub"), length_km=5), qkdrmp.Link(("Hub", "South"), length_km=8)]
    >>> city = qkdrmp.Topology("city", nodes, links)
    >>> qkdrmp.save_topology(city, "city.json")
    >>> qkdrmp.load_topology("city.json") == city
    True
    """
    as_json = partial(json.dumps, ensure_ascii=False)
    head = {"format": fields.OWN_FORMAT, "name": topology.name, "source": topology.source}
    members = [f'  "{key}": {as_json(value)}' for key, value in head.items() if value]
    if topology.notes:
        members.append(f'  "notes": {as_json(topology.notes)}')
    lists = {"nodes": map(_node_fields, topology.nodes.values()), "links": map(_link_fields, topology.links)}
    for key, items in lists.items():
        rows = ",".join(f"\n    {as_json(item)}" for item in items)
        members.append(f'  "{key}": [{rows}\n  ]')
    try:
        Path(path).write_text("{\n" + ",\n".join(members) + "\n}\n", encoding="utf-8")
    except OSError as error:
        raise TopologyError(f"{path}: cannot be written: {error.strerror}") from None


def _node_fields(node: Node) -> dict[str, Any]:
    sizes = {f"pool_{name}": size for name, size in node.pool_sizes.items()}
    return {"name": node.name, "kind": node.kind.value, **node.place, **sizes, **_extra(node)}


def _link_fields(link: Link) -> dict[str, Any]:
    same = link.classical_length_km == link.length_km
    names = ["length_km", "attenuation_db_per_km", *([] if same else ["classical_length_km"])]
    return {"ends": link.ends, **{name: getattr(link, name) for name in names}, **_extra(link)}


def _extra(item: Node | Link) -> dict[str, Any]:
    return {"extra": dict(item.extra)} if item.extra else {}


def _content(path: Path) -> Any:
    """Return what the JSON of a file holds, or the text of a file that is not meant as JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: cannot be read: {error}") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if path.suffix == ".json" or text.lstrip().startswith(("{", "[")):
            place = f"line {error.lineno}, column {error.colno}"
            raise TopologyError(f"{path}: broken JSON at {place}: {error.msg}") from None
        return text


def _is_own(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("qkdrmp")


def _read_own(path: Path, content: Any, rules: Completion) -> Topology:
    _refuse(path, "qkdrmp", rules)
    record = fields.checked(fields.TopologyRecord, path, content)
    name = path.stem if record.name is None else record.name
    nodes, links = ([one.model_dump() for one in ones] for ones in (record.nodes, record.links))
    draft = Draft(name, record.source, nodes, links, list(record.notes))
    understand_kinds(draft)
    return _topology(path, draft)


def _topology(path: Path, draft: Draft) -> Topology:
    nodes, links = (Node(**node) for node in draft.nodes), (Link(**link) for link in draft.links)
    return Topology(draft.name, nodes, links, draft.source, draft.notes, where=str(path))


def _completed(read: Callable[[Path, Any], Draft]) -> Callable[[Path, Any, Completion], Topology]:
    """Return what reads a file as a draft, completes it, and checks it as our own format is checked."""

    def read_and_complete(path: Path, content: Any, rules: Completion) -> Topology:
        if rules.nodes is not None:
            raise TopologyError(f"{path}: nodes = {rules.nodes} is for a CSV file of links only")
        return _complete(path, read(path, content), rules)

    return read_and_complete


def _read_qnet(path: Path, content: Any, rules: Completion) -> Topology:
    _refuse(path, "qnet", rules)
    return _topology(path, read_qnet(path, content))


def _read_csv(path: Path, content: Any, rules: Completion) -> Topology:
    return _complete(path, read_csv(path, content, rules.nodes), rules)


def _complete(path: Path, draft: Draft, rules: Completion) -> Topology:
    try:
        complete(draft, rules)
    except TopologyError as error:
        raise TopologyError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
    members = {"name": draft.name, "source": draft.source, "notes": draft.notes}
    content = {"format": fields.OWN_FORMAT, **members, "nodes": draft.nodes, "links": draft.links}
    return _read_own(path, content, AS_GIVEN)


def _refuse(path: Path, format: str, rules: Completion) -> None:
    if rules != AS_GIVEN:
        raise TopologyError(f"{path}: kinds, detour and nodes are not for the format {format}, which says everything")


TOPOLOGY_READERS: Registry[TopologyReader] = Registry(
    "topology reader",
    TopologyReader,
    {
        "qkdrmp": FileFormat(_is_own, _read_own),
        "qnet": FileFormat(is_qnet, _read_qnet),
        "node-link": FileFormat(is_node_link, _completed(read_node_link)),
        "graphml": FileFormat(is_graphml, _completed(read_graphml)),
        "csv": FileFormat(is_links, _read_csv),
    },
)
"""Every format by its name, in the order in which they are tried."""
