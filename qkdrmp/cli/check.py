"""The command that says, without a run, what a scenario is and what will go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import qkdrmp
from qkdrmp.cli.group import EXIT_PREDICTED, main, scenario_argument, unswept
from qkdrmp.cli.output import Output, output_options
from qkdrmp.cli.summaries import predictions, say_known
from qkdrmp.config.differences import Difference, differences
from qkdrmp.errors import counted
from qkdrmp.family import family_of
from qkdrmp.simulation import predict
from qkdrmp.sweeps.plan import DURATION, Plan

SAID_FIRST = ("kind", "name", "description", "topology", DURATION, "warmup_s", "sweep")


@main.command()
@scenario_argument
@output_options
def check(scenario: qkdrmp.Scenario, output: Output) -> None:
    """Say what a scenario is, and what is predicted to go wrong, without a run.

    Exit code: 0 if nothing is predicted to go wrong, 1 if something is, 2 if the scenario has errors.
    """
    unswept(scenario)
    plan = Plan(scenario)
    fields = list(differences(scenario, leave_out=SAID_FIRST))
    output.lines(scenario_lines(scenario, fields))
    output.facts |= {"scenario": scenario.name, "kind": scenario.kind, "topology": scenario.topology.name}
    output.facts |= {name: scenario.value(name) for name in (DURATION, "warmup_s")}
    output.facts["differences"] = {one.path: one.value for one in fields}
    say_known(scenario, output)
    output.warn("predicted", predict(scenario))
    if plan.points != [{}]:
        output.line(sweep_plan_line(plan))
        output.facts["runs"] = plan.planned
        output.warn("predicted", predictions(plan))
    if output.facts["predicted"]:
        output.exit_code = EXIT_PREDICTED
    else:
        output.line("nothing is predicted to go wrong")


def scenario_lines(scenario: qkdrmp.Scenario, fields: list[Difference]) -> Iterator[str]:
    """Yield, line by line, what a scenario is, and in what it differs from the defaults."""
    yield f"{scenario.name}: {scenario.description or family_of(scenario).title}"
    warmup = f", of which the first {scenario.warmup_s:g} s are warm-up" if scenario.warmup_s else ""
    network = scenario.topology.summary().splitlines()[0]
    yield f"{family_of(scenario).title} (kind = {scenario.kind}) for {scenario.duration_s:g} s{warmup}"
    yield f"topology {network}"
    yield "fields that are not defaults:" if fields else "all fields are defaults"
    yield from (f"  {field}" for field in fields)


def sweep_plan_line(plan: Plan) -> str:
    """Return what a sweep of a scenario would run."""
    several = [path for path in plan.swept if len({str(point.get(path)) for point in plan.points}) > 1]
    cells = counted(plan.planned // plan.replications, "cell")
    runs = f"{cells} x {counted(plan.replications, 'replication')} = {counted(plan.planned, 'run')}"
    return f"sweep of {', '.join(several) or plan.swept[0]}: {runs}"
