"""What a command prints: lines for people, one JSON object for programs, or nothing but warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from qkdrmp.config.points import label


class Output:
    """What a command has to say.

    Parameters
    ----------
    quiet : bool
        Whether to print warnings only, to the error output.
    as_json : bool
        Whether to print `facts` at the end instead of lines.

    Attributes
    ----------
    facts : dict of str to object
        What a program may want to know.
    exit_code : int
        With which the command ends.
    """

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet, self.as_json = quiet, as_json
        self.facts: dict[str, Any] = {}
        self.exit_code = 0

    @property
    def for_people(self) -> bool:
        """Whether lines are printed."""
        return not (self.quiet or self.as_json)

    def line(self, text: str) -> None:
        """Print a line for people."""
        if self.for_people:
            click.echo(text)

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines for people."""
        for text in texts:
            self.line(text)

    def warn(self, kind: str, sentences: Iterable[str]) -> None:
        """Print sentences that deserve attention, such as a ``warning``; programs find them in a list of that name."""
        said = list(sentences)
        self.facts[kind] = [*self.facts.get(kind, ()), *said]
        for text in said if not self.as_json else ():
            click.echo(f"{kind}{' ' if text.startswith('with ') else ': '}{text}", err=self.quiet)

    def written(self, folder: Path, files: Iterable[str]) -> None:
        """Say which files were written into a folder."""
        self.facts |= {"folder": folder, "files": list(files)}
        self.line(f"written to {folder}: {', '.join(self.facts['files'])}")

    def end(self) -> None:
        """Print the facts, if a program is to read them, and end with the exit code."""
        if self.as_json:
            click.echo(json.dumps(plain(self.facts), indent=2, ensure_ascii=False, allow_nan=False))
        if self.exit_code:
            click.get_current_context().exit(self.exit_code)


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take ``--quiet`` and ``--json``; it gets an `Output` as `output`."""

    @click.option("--quiet", is_flag=True, help="Print only warnings and errors, to the error output.")
    @click.option("--json", "as_json", is_flag=True, help="Print the results as a JSON object, instead of lines.")
    @wraps(command)
    def with_output(*arguments: Any, quiet: bool, as_json: bool, **options: Any) -> None:
        output = Output(quiet, as_json)
        command(*arguments, output=output, **options)
        output.end()

    return with_output


def plain(value: Any) -> Any:
    """Return a value fit for JSON: tables as lists of rows, no number as null, and objects by their names."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, pd.Series | Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, str | int | float) else str(label(value))
