"""The command line, out of click."""

from __future__ import annotations

import re

import click
from docutils import nodes

from qkdrmp_docs.tables import ReferenceDirective, Row, literal, named

WIDTH = 100


class Commands(ReferenceDirective):
    """``commands:: GROUP``: a section for each command of a click group."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        group: click.Group = named(self.arguments[0])
        context = click.Context(group, info_name="qkdrmp", max_content_width=WIDTH, terminal_width=WIDTH)
        return [self._section(context, name, command) for name, command in group.commands.items()]

    def _section(self, parent: click.Context, name: str, command: click.Command) -> nodes.section:
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
        usage = command.get_usage(context).removeprefix("Usage: ")
        help_text = (command.help or "").replace("\b\n", "").replace("`", "``")
        rows = [_row(f"command-{name}", record) for record in _records(context, command)]
        table = [self.table(("option", "meaning"), rows, (35, 65))] if rows else []
        content = [nodes.literal_block(usage, usage, language="text"), *self.paragraphs(help_text), *table]
        return self.section(literal(f"qkdrmp {name}"), f"command-{name}", *content)


def _marked(text: str) -> str:
    """Return a text of click with options, addresses and code marked as such."""
    text = text.replace("`", "``").replace("  [", " [")
    return re.sub(r"--[a-z]+|tcp://[\w.:]+\w", lambda found: literal(found.group()), text)


def _records(context: click.Context, command: click.Command) -> list[tuple[str, str]]:
    options = [option for option in command.params if isinstance(option, click.Option)]
    records = [option.get_help_record(context) for option in options]
    return [record for record in records if record is not None]


def _row(where: str, record: tuple[str, str]) -> Row:
    written, meaning = record
    name = written.replace(",", "").split()[-1 if " " not in written else 0].lstrip("-")
    return f"{where}-{name}", (literal(written), _marked(meaning))
