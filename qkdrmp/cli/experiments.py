"""Commands about the folder that a sweep has left: report, figures and compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import qkdrmp
from qkdrmp.cli.group import cell_option, experiment_argument, extra, main, target_option
from qkdrmp.cli.output import Output, output_options
from qkdrmp.sweeps.experiment import PROVENANCE, load_experiment
from qkdrmp.sweeps.single_run import is_single_run, load_run

BYTES_PER_MB = 1e6
WIDTHS = ("column", "page")


@main.command()
@experiment_argument
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.  [default: FOLDER/report.html]")
@cell_option
@click.option(
    "--replication",
    "replications",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="NUMBER",
    help="Show these replications of each cell; repeatable.  [default: the first]",
)
@target_option
@output_options
def report(
    folder: Path,
    out: Path | None,
    cells: dict[str, list[Any]],
    replications: tuple[int, ...],
    targets: dict[str, Any],
    output: Output,
) -> None:
    """Write a report of a sweep, or of a single run: one HTML file that needs no network.

    Some runs are simulated again and shown in full, with a map, levels and messages: one of each cell of the longest
    duration, or those that --cell and --replication choose.
    """
    single = not (folder / PROVENANCE).is_file() and is_single_run(folder)
    experiment = load_run(folder) if single else load_experiment(folder)
    if single:
        output.line(f"{folder} has a single run (seed {experiment.seed}): no intervals, nothing to compare it with")
    experiment = replace(experiment, scenario=experiment.scenario.replace(targets))
    path = folder / "report.html" if out is None else out
    extra("report", "qkdrmp.report").write_report(experiment, path, cells, replications, not output.quiet)
    output.facts |= {"folder": path.parent, "files": [path.name]}
    output.line(f"written: {path} ({path.stat().st_size / BYTES_PER_MB:.1f} MB); open it in a browser")


@main.command()
@experiment_argument
@click.option("--width", type=click.Choice(WIDTHS), default="column", show_default=True, help="Of the print.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="METRIC",
    help="What to draw; may be repeated.  [default: main ones]",
)
@click.option("--x", metavar="FIELD", help="Swept field along x.  [default: the first that is a scale]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder.  [default: FOLDER/figures]")
@output_options
def figures(
    folder: Path, width: str, metrics: tuple[str, ...], x: str | None, out: Path | None, output: Output
) -> None:
    """Draw the figures of a sweep for print.

    Each is a PDF and a PNG of the width of a column or a page, with a CSV file of the numbers and a caption.
    """
    out = folder / "figures" if out is None else out
    written = qkdrmp.plots.publish(load_experiment(folder), out, width, metrics or None, x)
    output.written(out, [path.name for path in written])


@main.command()
@experiment_argument
@click.argument("field")
@click.option("--baseline", help="Value to compare with.  [default: the first]")
@click.option(
    "--metric", "metrics", multiple=True, metavar="METRIC", help="What to compare; may be repeated.  [default: all]"
)
@output_options
def compare(folder: Path, field: str, baseline: str | None, metrics: tuple[str, ...], output: Output) -> None:
    """Compare the values of a swept FIELD by paired differences.

    Each replication has the same random numbers under every value, so most of the luck drops out of the differences.
    """
    experiment = load_experiment(folder)
    values = {str(value): value for value in experiment.runs.get(field, ())}
    against = None if baseline is None else values.get(baseline, baseline)
    table = qkdrmp.compare(experiment.runs, field, against, metrics or None)
    said = qkdrmp.conclusions(table)
    output.lines(said)
    output.facts |= {"field": field, "conclusions": said, "comparison": table}
    table.to_csv(folder / "compare.csv", index=False)
    if (table["verdict"] == "same").all():  # there is nothing to draw
        (folder / "compare.png").unlink(missing_ok=True)
        output.written(folder, ["compare.csv"])
        return
    output.line(f"verdicts are corrected for {len(table)} comparisons (Holm); name a metric with --metric for fewer")
    output.line(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    qkdrmp.plots.save(qkdrmp.plots.comparison(table, said)[0], folder / "compare.png")
    output.written(folder, ["compare.csv", "compare.png"])
