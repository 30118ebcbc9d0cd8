"""The command that says, without a run, what a scenario is and what will go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import click

import qkdrmp
from qkdrmp.cli.group import EXIT_PREDICTED, main, scenario_argument, unswept
from qkdrmp.cli.summaries import counted, predicted_lines
from qkdrmp.config.differences import differences
from qkdrmp.family import family_of
from qkdrmp.simulation import predict
from qkdrmp.sweeps.plan import DURATION, Plan

SAID_FIRST = ("kind", "name", "description", "topology", DURATION, "warmup_s", "sweep")


@main.command()
@scenario_argument
@click.pass_context
def check(context: click.Context, scenario: qkdrmp.Scenario) -> None:
    """Say what a scenario is, and what is predicted to go wrong, without a run.

    Exit code: 0 if nothing is predicted to go wrong, 1 if something is, 2 if the scenario has errors.
    """
    unswept(scenario)
    plan = Plan(scenario)
    for line in (*scenario_lines(scenario), *sweep_plan_lines(plan)):
        click.echo(line)
    found = [f"predicted: {sentence}" for sentence in predict(scenario)]
    if plan.points != [{}]:
        found += predicted_lines(plan)
    for line in found or ["nothing is predicted to go wrong"]:
        click.echo(line)
    if found:
        context.exit(EXIT_PREDICTED)


def scenario_lines(scenario: qkdrmp.Scenario) -> Iterator[str]:
    """Yield, line by line, what a scenario is, and in what it differs from the defaults."""
    yield f"{scenario.name}: {scenario.description or family_of(scenario).title}"
    warmup = f", of which the first {scenario.warmup_s:g} s are warm-up" if scenario.warmup_s else ""
    network = scenario.topology.summary().splitlines()[0]
    yield f"{family_of(scenario).title} (kind = {scenario.kind}) for {scenario.duration_s:g} s{warmup}"
    yield f"topology {network}"
    fields = [str(one) for one in differences(scenario, leave_out=SAID_FIRST)]
    yield "fields that are not defaults:" if fields else "all fields are defaults"
    yield from (f"  {field}" for field in fields)


def sweep_plan_lines(plan: Plan) -> Iterator[str]:
    """Yield what a sweep of a scenario would run; nothing if it sweeps no field."""
    if plan.points != [{}]:
        cells, runs = plan.planned // plan.replications, counted(plan.planned, "run")
        fields = ", ".join(path for path in plan.swept if len({str(point.get(path)) for point in plan.points}) > 1)
        runs = (
            f"{counted(cells, 'cell')} x {counted(plan.replications, 'replication')} = {counted(plan.planned, 'run')}"
        )
        yield f"sweep of {fields or plan.swept[0]}: {runs}"
