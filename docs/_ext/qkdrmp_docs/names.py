"""The Python interface, out of what a module makes public."""

from __future__ import annotations

import inspect
from types import ModuleType

from docutils import nodes

from qkdrmp_docs.tables import ReferenceDirective, named

NOT_TO_SHOW = "model_config, model_fields, model_computed_fields, model_post_init, presets"


class PublicNames(ReferenceDirective):
    """``public-names:: MODULE``: the names that a module makes public, in groups.

    Each line of the content is a group, ``Title: name name``. Names that the module does not have are passed over;
    names that are in no group come last, so that nothing public is left out.
    """

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        module = named(self.arguments[0])
        public = _public(module)
        groups = {title: names.split() for title, _, names in (line.partition(":") for line in self.content)}
        grouped = {name for names in groups.values() for name in names}
        groups["Further names"] = [name for name in public if name not in grouped]
        sections = []
        for title, names in groups.items():
            if texts := [_directive(module, name) for name in names if name in public]:
                text = "\n".join([".. currentmodule:: " + module.__name__, "", *texts])
                ident = f"{module.__name__}-{title}"
                sections.append(self.section(title, ident, *self.parse_text_to_nodes(text)))
        return sections


def _public(module: ModuleType) -> list[str]:
    listed = getattr(module, "__all__", None)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    names = listed or [name for name in own if not name.startswith("_")]
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def _directive(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    if inspect.isclass(value):
        is_protocol = getattr(value, "_is_protocol", False)
        special = "   :special-members: __call__\n" if is_protocol and "__call__" in vars(value) else ""
        options = f"   :members:\n{special}   :exclude-members: {NOT_TO_SHOW}"
        return f".. autoclass:: {name}{'()' if is_protocol else ''}\n{options}\n"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}\n"
    return f".. autodata:: {name}\n   :no-value:\n"
