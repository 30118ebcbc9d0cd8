"""Ladder diagrams of runs that are made while the pages are built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

import qkdrmp
from qkdrmp.ladder.diagram import Ladder
from qkdrmp.simulation import run_once

FOLDER = "_generated"


class LadderFigure(SphinxDirective):
    """``ladder:: SCENARIO``: a figure of the messages of one request or connection; the content is its caption.

    ``:id:`` chooses what it is of (by default the first one delivered), ``:changes:`` is a JSON object of fields to
    change, ``:until:`` and ``:since:`` cut it to a stretch of time in seconds.
    """

    required_arguments = 1
    has_content = True
    option_spec = {  # noqa: RUF012
        "id": directives.unchanged_required,
        "seed": directives.nonnegative_int,
        "changes": directives.unchanged_required,
        "since": float,
        "until": float,
    }

    def run(self) -> list[nodes.Node]:
        """Return the figure."""
        drawn = self._cut(self._ladder())
        name = self._picture(drawn)
        image = nodes.image(uri=f"/{FOLDER}/{name}", alt=_described(drawn))
        alone = f"{'../' * self.env.docname.count('/')}_images/{name}"  # where the pages in HTML keep it
        figure = nodes.figure("", nodes.reference("", "", image, refuri=alone), classes=["ladder", _width(drawn)])
        if self.content:
            text = " ".join(self.content)
            figure += nodes.caption(text, "", *self.parse_inline(text)[0])
        return [figure]

    def _ladder(self) -> Ladder:
        scenario = qkdrmp.load_scenario(self.arguments[0])
        scenario = scenario.replace(json.loads(self.options.get("changes", "{}")))
        results = run_once(scenario, self.options.get("seed", 1), ["messages"])
        return qkdrmp.ladder.of(results, self.options.get("id"))

    def _cut(self, drawn: Ladder) -> Ladder:
        since, until = self.options.get("since", 0.0), self.options.get("until", float("inf"))
        arrows = drawn.arrows[drawn.arrows["sent_s"].between(since, until)].reset_index(drop=True)
        notes = drawn.notes[drawn.notes["time_s"].between(since, until)].reset_index(drop=True)
        return replace(drawn, arrows=arrows, notes=notes)

    def _picture(self, drawn: Ladder) -> str:
        """Draw the ladder into a file that is called after what it shows, and return its name."""
        folder = Path(self.env.srcdir) / FOLDER
        folder.mkdir(exist_ok=True)
        digest = hashlib.blake2b(drawn.mermaid(times=True).encode(), digest_size=6).hexdigest()
        name = f"ladder_{self.arguments[0]}_{digest}.svg"
        if not (folder / name).exists():
            qkdrmp.plots.save(drawn.draw(), folder / name)
        return name


def _width(drawn: Ladder) -> str:
    """Return the style class of a ladder: the more nodes, the wider it is."""
    return f"of-{len(drawn.nodes)}" if len(drawn.nodes) <= 5 else "of-many"


def _described(drawn: Ladder) -> str:
    """Return the ladder in words, for those who cannot see it."""
    steps = drawn.arrows.groupby(["message", "source", "target"], sort=False).size()
    sent = [
        f"{message} from {source} to {target}{f', {count} times' if count > 1 else ''}"
        for (message, source, target), count in steps.items()
    ]
    return f"Ladder diagram. {drawn.title}. Messages in the order of sending: {'; '.join(sent)}."
