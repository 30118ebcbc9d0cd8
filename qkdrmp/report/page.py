"""The page: one HTML file with everything in it, which opens without a network."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from qkdrmp.config.points import label
from qkdrmp.errors import QKDRMPError, listed
from qkdrmp.family import Family, RunWarning, Story, family_of
from qkdrmp.plots.axes import cells, varied
from qkdrmp.report import charts, network_map
from qkdrmp.report.replay import choose, story_of
from qkdrmp.report.runs import of_first, of_other, unbroken
from qkdrmp.report.tables import packed
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import predict
from qkdrmp.sizing.result import PLAN, read_tables
from qkdrmp.stats import estimators
from qkdrmp.stats.estimators import has_succeeded, summarise
from qkdrmp.stats.words import capital, shortened
from qkdrmp.sweeps.experiment import Experiment
from qkdrmp.sweeps.progress import watched
from qkdrmp.sweeps.warmup import suggest_warmup
from qkdrmp.verdicts import law_table, verdict
from qkdrmp.verdicts.design import DURATION, cell_words, made, metric_name, single
from qkdrmp.verdicts.outcomes import cautions, question

CELLS_SHOWN = 4
WARMUP_RUNS = 3


def render(
    experiment: Experiment,
    cells: Mapping[str, Any] | None = None,
    replications: Sequence[int] = (),
    progress: bool = False,
) -> str:
    """Return the page about an experiment.

    The runs that it shows in full are simulated again; see `choose` for which they are.

    Raises
    ------
    QKDRMPError
        If no run of it succeeded, or what is chosen was not swept.
    """
    if experiment.runs.empty or experiment.runs["failed"].all():
        raise QKDRMPError(f"{experiment.scenario.name}: there is nothing to report, because no run succeeded")
    family, (shown, *others) = family_of(experiment.scenario), choose(experiment, cells, replications)
    story = story_of(shown.scenario, shown.seed)
    runs = _succeeded(experiment.runs)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qkdrmp.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["unbroken"] = unbroken
    laws = law_table(experiment.runs, experiment.scenario)
    data = {**_drawn(runs, family, laws), **of_first(story), "tables": _tables(experiment)}
    data["runs"] = [one.words for one in (shown, *others)]
    again = watched(others, f"{experiment.scenario.name}, again", "run", progress)
    data["others"] = [of_other(story_of(one.scenario, one.seed)) for one in again]
    return environment.get_template("page.html.j2").render(
        experiment=experiment,
        question=question(experiment.runs),
        sentences={**_plan(experiment), **verdict(experiment.runs, experiment.scenario, laws)},
        cautions=list(_warnings(experiment, family, story)),
        story=story,
        shown=shown,
        data=data,
        noun=family.counted.nouns,
        load_range=network_map.load_range(story),
        served_range=network_map.SERVED_RANGE,
        metrics=_metrics(runs) if len(runs) == 1 else (),
        has_messages=family.presentation.messages is not None,
        reasons=family.counted.reasons,
        left_out=len(experiment.runs) - len(data["runs"]),
        others=data["heatmap_others"],
        scenario=_scenario_text(experiment),
        vega=_script(_vega()),
        json=_json(data),
        files={name: Markup(_file(environment, name)) for name in ("style.css", "charts.js", "ladder.js", "tables.js")},
    )


def _plan(experiment: Experiment) -> dict[str, list[str]]:
    """Return what `plan` has found, if the sweep is the one that confirms it."""
    path = (experiment.folder or Path()) / PLAN
    if experiment.folder is None or not path.is_file():
        return {}
    return {"Plan": json.loads(path.read_text(encoding="utf-8"))["sentences"]}


def _succeeded(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[has_succeeded(runs)].drop(columns="failed")


@cache
def _vega() -> str:
    """Return the JavaScript that draws: Vega with the version of Vega-Lite that altair writes."""
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)


def _file(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _script(code: str) -> Markup:
    """Return code for a script element, which must not be able to end it."""
    return Markup(code.replace("</script", "<\\/script"))


def _json(data: Mapping[str, Any]) -> Markup:
    """Return data for a script element: names that users chose cannot end it."""
    written = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return Markup(written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _drawn(runs: pd.DataFrame, family: Family, laws: pd.DataFrame) -> dict[str, Any]:
    if len(runs) == 1:
        return {"curves": None, "heatmap": None, "heatmap_others": "", "metrics": {}}
    metrics = charts.metrics_of(runs, _most_telling(runs, family))
    heatmap = charts.heatmap(runs, metrics)
    return {
        "curves": charts.curves(runs, metrics, laws),
        "heatmap": heatmap[0] if heatmap else None,
        "heatmap_others": heatmap[1] if heatmap else "",
        "metrics": charts.labels_of(runs, metrics),
    }


def _most_telling(runs: pd.DataFrame, family: Family) -> str:
    """Return the metric to show first: the main one, or, if that is the same in all cells, a quality that is not."""
    qualities = [family.main_metric, *(one.metric for one in family.qualities)]
    groups = [group for _, group in cells(runs, varied(runs))]
    means = {name: pd.Series([group[name].mean() for group in groups]) for name in qualities if name in runs}
    apart = (name for name, values in means.items() if estimators.differ(values.dropna()))
    return next(apart, family.main_metric)


def _metrics(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what each metric of a single run is called, and its value with its unit."""
    (row,) = runs[estimators.metrics_of(runs, estimators.swept_columns(runs))].to_dict("records")
    known = {str(name): float(value) for name, value in row.items() if value == value}
    return [(capital(metric_name(name)), single(name, value)) for name, value in known.items()]


def _tables(experiment: Experiment) -> list[dict[str, Any]]:
    known = {"Cells": summarise(_succeeded(experiment.runs), experiment.swept), "Runs": experiment.runs}
    if len(experiment.failures):
        known["Failures"] = experiment.failures
    known |= read_tables(experiment.folder) if experiment.folder else {}
    return [packed(title, table) for title, table in known.items()]


def _warnings(experiment: Experiment, family: Family, story: Story) -> Iterator[str]:
    yield from cautions(experiment.runs, family, int(experiment.runs["failed"].sum()))
    runs = _succeeded(experiment.runs)
    yield from family.presentation.cautions({cell_words(cell): group for cell, group in cells(runs, varied(runs))})
    yield from _predicted(experiment)
    yield from (f"In the run shown: {shortened(finding)}." for finding in story.results.findings)
    yield from _warmup(story.results.scenario, experiment.seed)


def _warmup(scenario: Scenario, seed: int) -> Iterator[str]:
    """Say if the scenario of the run shown has too short a warm-up, or is too short to find one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # it is in the sentence too
        found = suggest_warmup(scenario, seed, WARMUP_RUNS)
    if found.too_short or not found.is_enough:
        said = capital(found.sentences()[0].removeprefix(f"{scenario.name}: "))
        yield f"{said} (with the settings of the run shown)."


def _predicted(experiment: Experiment) -> Iterator[str]:
    """Yield what was predicted to go wrong, once, with the cells for which it was."""
    fields = [field for field in varied(experiment.runs) if field != DURATION]
    found: dict[str, list[str]] = {}
    for cell, _ in cells(experiment.runs, fields):
        for sentence in _checked(experiment, cell):
            found.setdefault(shortened(sentence), []).append(cell_words(cell))
    for sentence, where in found.items():
        cells_of_it = f" with {listed(where, CELLS_SHOWN)}" if where[0] else ""
        yield f"Predicted{cells_of_it}: {sentence}."


def _checked(experiment: Experiment, cell: Mapping[str, Any]) -> list[str]:
    try:
        return predict(made(experiment.scenario, cell))
    except QKDRMPError:  # a policy of the user's own is known by its name only
        return []


def _scenario_text(experiment: Experiment) -> str:
    scenario = experiment.scenario
    facts = {**scenario.model_dump(exclude={"topology"}), "topology": scenario.topology.summary().splitlines()}
    return json.dumps(facts, indent=2, default=lambda value: str(label(value)), ensure_ascii=False)
