"""What a plan has found: the design, what confirms it, and what would make it better, in sentences and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.errors import QKDRMPError, listed
from qkdrmp.family.sizing import Alternative, Upgrade
from qkdrmp.plots.canvas import save
from qkdrmp.scenario import Scenario
from qkdrmp.sizing.picture import draw
from qkdrmp.sizing.study import SEARCHED
from qkdrmp.stats.table_files import write_tables
from qkdrmp.stats.words import capital, number, percent, shortened
from qkdrmp.sweeps.experiment import Experiment
from qkdrmp.verdicts.design import amount, cell_words, metric_name, placed
from qkdrmp.verdicts.targets import Step, Target

PLAN = "plan.json"
"""The file of a folder with the sentences of a plan."""
SHOWN = 5
"""How many links are named."""
NOTABLE = 0.02
"""A link whose upgrade changes a target's metric by less than this share is none to upgrade first."""


@dataclass(frozen=True)
class Confirmed:
    """A design that was tested with new seeds.

    Parameters
    ----------
    experiment : Experiment
        The sweep.
    field : str
        What was sized.
    steps : tuple of Step
        How the targets stand, the most generous value first.
    passed : int
        How many of these meet all targets before one does not; the last of them is the answer. 0 if none does.
    attempts : int
        How many candidates were tested.
    """

    experiment: Experiment
    field: str
    steps: tuple[Step, ...]
    passed: int
    attempts: int = 1

    @property
    def is_limit_of_search(self) -> bool:
        """Whether smaller sizes than those of the sweep were tested before, and failed."""
        return self.attempts > 1

    @property
    def value(self) -> float | None:
        """The smallest value that is confirmed."""
        return self.steps[self.passed - 1].value if self.passed else None

    def sentences(self) -> Iterator[str]:
        """Say what is confirmed, and what a smaller value lacks."""
        if not self.passed:
            wrong = "; ".join(one.words for one in self.steps[0].tests if not one.is_met)
            yield capital(f"{placed(self.field, self.steps[0].value)} were not confirmed: {wrong}.")
            return
        step = self.steps[self.passed - 1]
        how = "; ".join(
            f"{metric_name(one.target.metric)} {amount(one.target.metric, one.values)}" for one in step.tests
        )
        size = capital(cell_words({self.field: step.value}))
        yield f"{size} is the smallest that meets all targets with 95 % confidence: {how}."
        if self.passed < len(self.steps):
            less = self.steps[self.passed]
            wrong = "; ".join(one.words for one in less.tests if not one.is_met)
            yield f"With {placed(self.field, less.value)}: {wrong}."
        elif self.is_limit_of_search:
            yield "Smaller sizes were not confirmed."


@dataclass(frozen=True)
class Sizing:
    """The smallest design that meets targets, and how that is known.

    Parameters
    ----------
    scenario : Scenario
        With all changes that meet the targets; as given, if nothing does.
    targets : tuple of Target
    given : Scenario
        What was asked about.
    predicted : tuple of str
        What is predicted to go wrong as it is sized, an overload above all.
    prepared : str
        In what it was changed before it was sized; empty if it was not.
    chosen : Alternative or None
        The alternative, such as other thresholds, that needs less.
    otherwise : str
        What is needed without it; empty if there is none.
    upgrades : tuple of Upgrade
        The links that have to be faster.
    searched : pandas.DataFrame
        One row for each value that was looked at: ``field``, ``value``, ``about`` (the alternative), the mean of each
        target's metric, and whether it ``meets`` all targets.
    confirmed : Confirmed or None
        None if the search found nothing.
    by_link : Confirmed or None
        Likewise with a size for each link, if that was asked for.
    sizes : pandas.DataFrame
        The size of each link then: ``link``, ``capacity``.
    effects : pandas.DataFrame
        What twice the rate of each of the busiest links brings with half the size: ``link``, ``load``, ``size``,
        ``metric``, ``before``, ``after``, ``difference`` with its ``half_width`` (95 %, paired), and whether it
        ``is_better``.
    """

    scenario: Scenario
    targets: tuple[Target, ...]
    given: Scenario
    predicted: tuple[str, ...]
    prepared: str
    chosen: Alternative | None
    otherwise: str
    upgrades: tuple[Upgrade, ...]
    searched: pd.DataFrame
    confirmed: Confirmed | None
    by_link: Confirmed | None = None
    sizes: pd.DataFrame = field(default_factory=pd.DataFrame)
    effects: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def is_met(self) -> bool:
        """Whether a design meets all targets with 95 % confidence."""
        return self.confirmed is not None and self.confirmed.passed > 0

    @property
    def sentences(self) -> list[str]:
        """What was found, the answer first."""
        return list(self._sentences())

    def _sentences(self) -> Iterator[str]:
        yield f"Asked for: {'; '.join(one.words for one in self.targets)}."
        yield from (capital(f"{shortened(sentence)}.") for sentence in self.predicted)
        if self.confirmed is None:
            yield self._none()
        else:
            yield from self.confirmed.sentences()
        if self.upgrades:
            yield self._upgraded()
        if self.chosen is not None:
            yield capital(f"that holds with {self.chosen.words}{self.otherwise}.")
        if self.prepared:
            yield capital(f"{self.prepared}.")
        yield from self._by_link()
        yield from self._effects()
        if self.confirmed is not None:
            runs, looked = len(self.confirmed.experiment.runs), SEARCHED * len(self.searched)
            yield f"Searched for with {looked} runs, confirmed by {runs} others with seeds new to the search."

    def _none(self) -> str:
        last = self.searched.iloc[-1]
        largest = self.searched[self.searched["about"] == last["about"]].sort_values("value").iloc[-1]
        binding = [one for one in self.targets if not one.allows(largest[one.metric])]
        found = "; ".join(f"{one.words}: {amount(one.metric, [largest[one.metric]])}" for one in binding)
        return (
            "Nothing that was looked at meets all targets; with the most of it, "
            f"{placed(largest['field'], largest['value'])}, these are missed: {found}."
        )

    def _upgraded(self) -> str:
        links = [f"{one.place} from {number(one.now)} to {number(one.then)} bit/s" for one in self.upgrades]
        count = "one link" if len(links) == 1 else f"{len(links)} links"
        return f"That needs a higher rate of {count}: {listed(links, SHOWN)}."

    def _by_link(self) -> Iterator[str]:
        if self.by_link is None or self.confirmed is None or not self.confirmed.passed:
            return
        if not self.by_link.passed:
            yield "Sizes by link were not confirmed."
            return
        keys, same = int(self.sizes["capacity"].sum()), int(self.confirmed.value or 0) * len(self.sizes)
        saved = f"{percent(1 - keys / same)} fewer" if keys < same else "no fewer"
        least, most = int(self.sizes["capacity"].min()), int(self.sizes["capacity"].max())
        each = f"{least} to {most} keys" if least < most else f"{least} keys"
        yield (
            f"With a size for each link, {each}, pools hold {number(keys)} keys in each direction "
            f"instead of {number(same)}, {saved}; this was confirmed likewise."
        )

    def _effects(self) -> Iterator[str]:
        if self.effects.empty or self.confirmed is None:
            return
        less = placed(self.confirmed.field, self.effects["size"].iloc[0])
        notable = self.effects["difference"].abs() > NOTABLE * self.effects["before"].abs()
        clear = self.effects[self.effects["is_better"] & notable]
        if clear.empty:
            links = listed(dict.fromkeys(self.effects["link"]), SHOWN)
            yield f"With {less}, twice the rate of one link ({links}) would bring no target clearly nearer."
        for metric in dict.fromkeys(clear["metric"]):
            links = clear[clear["metric"] == metric]
            first = links.iloc[0]
            before, after = (amount(metric, [first[name]]) for name in ("before", "after"))
            then = f"; then comes {links['link'].iloc[1]}" if len(links) > 1 else ""
            target = next(one for one in self.targets if one.metric == metric)
            enough = "which is enough" if target.allows(first["after"]) else "which is not enough"
            yield (
                f"The link to upgrade first is {first['link']} (load {percent(first['load'])}): with {less}, twice its "
                f"rate takes the {metric_name(metric)} from {before} to {after}, {enough}{then}."
            )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What was looked at, and what was found; tables about which there is nothing to say are left out."""
        upgrades = pd.DataFrame(
            [(one.place, one.load, one.now, one.then) for one in self.upgrades],
            columns=["link", "load", "rate_bps", "needed_bps"],
        )
        found: dict[str, pd.DataFrame] = {
            "plan_search": self.searched,
            "plan_upgrades": upgrades,
            "plan_sizes": self.sizes,
            "plan_effects": self.effects,
        }
        return {name: table for name, table in found.items() if len(table)}

    def draw(self) -> list[Axes]:
        """Draw how the targets stand at each size that was confirmed.

        Raises
        ------
        QKDRMPError
            If there was nothing to confirm, or what it was about is not known in any run.
        """
        confirmed, known = self.confirmed, self._known()
        if confirmed is None or not known:
            raise QKDRMPError(f"{self.given.name}: nothing was confirmed, so there is nothing to draw")
        return draw(confirmed.experiment.runs, confirmed.field, confirmed.value, known)

    def _known(self) -> list[Target]:
        """Return the targets whose metrics have a value in a run that was to confirm them."""
        runs = None if self.confirmed is None else self.confirmed.experiment.runs
        return [] if runs is None else [one for one in self.targets if runs[one.metric].notna().any()]

    def save(self, folder: Path, table_format: str = "csv") -> list[str]:
        """Write the tables, the sentences, the picture, and the scenario that meets the targets; return the files.

        Raises
        ------
        ScenarioError
            If the scenario has objects that were given in Python, which no file can hold.
        """
        written = write_tables(self.tables, folder, table_format)
        (folder / PLAN).write_text(json.dumps({"sentences": self.sentences}, indent=2) + "\n", encoding="utf-8")
        written.append(PLAN)
        if self._known():
            save(self.draw()[0], folder / "plan.png")
            written.append("plan.png")
        if self.is_met:
            self.scenario.save(folder / "planned.toml")
            written.append("planned.toml")
        return written

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(one)}</li>" for one in self.sentences)
        return f"<p><b>{escape(self.given.name)}</b></p><ul>{items}</ul>{self.searched.to_html(index=False)}"


TITLES = {
    "plan_search": "Sizes that were looked at",
    "plan_upgrades": "Links that have to be faster",
    "plan_sizes": "Sizes by link",
    "plan_effects": "Twice the rate of a link",
}


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of the plan in a folder, by title; none if it has no plan."""
    paths = {title: folder / f"{name}.csv" for name, title in TITLES.items()} if (folder / PLAN).is_file() else {}
    return {title: pd.read_csv(path) for title, path in paths.items() if path.is_file()}
