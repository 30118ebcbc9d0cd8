"""The glossary covers every term of the tables and of the command line."""

import re
from pathlib import Path

import pytest

import qkdrmp
from qkdrmp.cli import main
from qkdrmp.entanglement.messages import VOCABULARY as CONNECTION_MESSAGES
from qkdrmp.qkd.messages import VOCABULARY as REQUEST_MESSAGES

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8").lower()
WORDS = {*re.findall(r"[a-z0-9]+", PAGE)}
UNITS = {"s", "hz", "bps", "bits"}
PLAIN = {"a", "by", "id", "name", "number", "of", "or", "file", "no", "max"}


def is_covered(word: str) -> bool:
    """Return whether a word is on the page, in the singular or the plural."""
    return bool({word, word.removesuffix("s"), word.removesuffix("es"), f"{word}s"} & WORDS)


@pytest.mark.parametrize("kind", qkdrmp.FAMILIES)
def test_every_word_in_the_name_of_a_table_or_column(kind: str) -> None:
    family = qkdrmp.FAMILIES[kind]
    columns = [*family.metrics, *(column for table in family.tables.values() for column in table.columns)]
    words = {word for name in (*family.tables, *(column.name for column in columns)) for word in name.split("_")}
    assert [word for word in sorted(words - UNITS - PLAIN) if not is_covered(word)] == []


def test_every_command_and_option() -> None:
    options = {
        option.lstrip("-") for command in main.commands.values() for one in command.params for option in one.opts
    }
    words = {word for name in (*main.commands, *options) for word in re.split("[-_]", name)}
    assert [word for word in sorted(words - PLAIN) if not is_covered(word)] == []


def test_every_message() -> None:
    names = {message.wire_name.lower() for message in (*REQUEST_MESSAGES, *CONNECTION_MESSAGES)}
    assert sorted(names - WORDS) == []
