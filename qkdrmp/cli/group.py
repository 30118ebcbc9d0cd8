"""What the commands have in common: options, folders, and errors as sentences."""

from __future__ import annotations

import importlib
import os
import shlex
import tomllib
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import click

import qkdrmp
from qkdrmp.config.points import varied
from qkdrmp.errors import QKDRMPError
from qkdrmp.stats.table_files import FORMATS

# Pictures go to files; no window is ever opened.
os.environ.setdefault("MPLBACKEND", "Agg")

EXIT_PREDICTED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
HOW_NOT_WHAT = ("jobs", "cluster", "restart", "quiet", "as_json", "table_format")
"""Options that change how a command is carried out, but not what comes out."""

out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for results.  [default: results/NAME]"
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Random seed.")
jobs_option = click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each core]")
format_option = click.option(
    "--format", "table_format", type=click.Choice(FORMATS), default="csv", show_default=True, help="Of the tables."
)
experiment_argument = click.argument("folder", type=click.Path(path_type=Path))


def scenario_argument(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take NAME or FILE of a scenario, and ``--set``; it gets the changed `Scenario` as `scenario`."""

    @click.argument("name_or_file")
    @click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Another value for a field, as in a file: --set pools.capacity=60; repeatable.",
    )
    @wraps(command)
    def with_scenario(*arguments: Any, name_or_file: str, changes: tuple[str, ...], **options: Any) -> None:
        scenario = qkdrmp.load_scenario(name_or_file).replace(dict(map(change, changes)))
        command(*arguments, scenario=scenario, **options)

    return with_scenario


def target_option(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take ``--target``; it gets the targets as `targets`, changes of a scenario."""
    option = click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="METRIC=VALUE",
        help="What a metric may be at most (or least, if more is better): --target wait_p95_s=0.05; repeatable.",
        callback=_targets,
    )
    return option(command)


def _targets(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    return {f"targets.{metric}": value for metric, value in (change(text, "--target", "METRIC") for text in given)}


def cell_option(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take ``--cell``; it gets the values of each field as `cells`."""
    option = click.option(
        "--cell",
        "cells",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Show runs of these cells in full: --cell pools.capacity=20; repeatable.  [default: of each, if few]",
        callback=_cells,
    )
    return option(command)


def _cells(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for field, value in (change(text, "--cell") for text in given):
        found.setdefault(field, []).append(value)
    return found


def change(text: str, option: str = "--set", name: str = "FIELD") -> tuple[str, Any]:
    """Return a field and its value, which is TOML or else plain text."""
    field, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not field:
        raise QKDRMPError(f"{option} = {text!r} must be {name}=VALUE")
    try:
        return field, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return field, value


def unswept(scenario: qkdrmp.Scenario) -> None:
    """Refuse a value that ``--set`` gives to a field which the scenario sweeps: it would have no effect."""
    swept = {*scenario.sweep.over, *varied(scenario.sweep.points)}
    for field, _ in map(change, click.get_current_context().params["changes"]):
        if field in swept:
            over = f"""--set 'sweep.over={{"{field}"=[...]}}'"""
            raise QKDRMPError(f"--set = {field!r} must be a field that {scenario.name} does not sweep; use {over}")


class FriendlyGroup(click.Group):
    """Commands whose errors are sentences: no traceback reaches the user."""

    def main(self, *arguments: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Carry out a command line, and end the program unless `standalone_mode` is false."""
        carry_out: Callable[..., Any] = super().main
        if not standalone_mode:
            return carry_out(*arguments, standalone_mode=False, **options)
        try:
            code = carry_out(*arguments, standalone_mode=False, **options)
        except click.ClickException as error:
            if isinstance(error, click.UsageError) and error.ctx and error.message == error.ctx.get_help():
                click.echo(error.message)  # there was no command
                raise SystemExit(EXIT_USAGE) from None
            fail(_sentence(error), error.exit_code)
        except click.Abort:
            fail("interrupted", EXIT_INTERRUPTED)
        raise SystemExit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except QKDRMPError as error:
            fail(str(error), EXIT_USAGE)
        except BrokenPipeError:
            raise
        except OSError as error:
            fail(f"{error.filename or 'file'}: {error.strerror or error}", EXIT_USAGE)
        except KeyboardInterrupt:
            fail("interrupted", EXIT_INTERRUPTED)


def _sentence(error: click.ClickException) -> str:
    """Return in a sentence what is wrong with a command line, and where to look it up."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    parts = error.format_message().removesuffix(".").split(". ")
    said = "; ".join([parts[0], *(f"{part[0].lower()}{part[1:]}" for part in parts[1:])])
    return said if context is None else f"{said} (see {context.command_path} --help)"


@click.group(
    "qkdrmp", cls=FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="qkdrmp")
def main() -> None:
    """Simulate the resource management of quantum networks.

    NAME is a bundled scenario or topology (see `qkdrmp list`); FILE is one of your own. FOLDER is where a sweep has
    left its results.
    """


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with an exit code."""
    for line in message.splitlines():
        click.echo(f"error: {line}", err=True)
    raise SystemExit(code)


def results_folder(out: Path | None, name: str) -> Path:
    """Return the folder for the results of a scenario of this name, which is there afterwards."""
    # A name may hold a slash, which must not lead elsewhere.
    folder = Path("results") / (name.replace("/", "_").strip(". ") or "scenario") if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def command_line() -> str:
    """Return the command that is being carried out, with all that its results depend on."""
    context = click.get_current_context()
    words = ["qkdrmp", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if isinstance(parameter, click.Argument):
            words.append(str(value))
        elif parameter.name not in HOW_NOT_WHAT:
            words += _words(parameter, value)
    return shlex.join(words)


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    """Return an option as it was given; nothing if it was not."""
    if value in (None, False, (), {}):
        return []
    option = parameter.opts[-1]
    if value is True:
        return [option]
    if isinstance(value, Mapping):  # the targets
        value = [f"{field.rpartition('.')[2]}={one}" for field, one in value.items()]
    return [word for one in (value if parameter.multiple else [value]) for word in (option, str(one))]


def extra(name: str, module: str) -> ModuleType:
    """Return a module of this package that needs the packages of the extra `name`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("qkdrmp"):
            raise
        fail(f"this needs the package {error.name}: pip install 'qkdrmp[{name}]'", EXIT_USAGE)
