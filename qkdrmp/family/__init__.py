"""Protocol families: what each declares, once, for everything that runs, reports and draws scenarios of any kind."""

from qkdrmp.family.columns import message_columns
from qkdrmp.family.family import FAMILIES, Counted, Family, Quantity, checked_scenario, declared_metrics, family_of
from qkdrmp.family.presentation import FigureFile, MessagePresentation, MessageSequence, Presentation, RuleListing
from qkdrmp.family.quality import Quality
from qkdrmp.family.results import Results, Run, RunWarning
from qkdrmp.family.service import Pair, Service
from qkdrmp.family.sizing import Alternative, SizingRules, Upgrade
from qkdrmp.family.story import LinkStory, Series, Story
from qkdrmp.family.theory import Law
from qkdrmp.stats.columns import NotRecorded

__all__ = [
    "FAMILIES",
    "Alternative",
    "Counted",
    "Family",
    "FigureFile",
    "Law",
    "LinkStory",
    "MessagePresentation",
    "MessageSequence",
    "NotRecorded",
    "Pair",
    "Presentation",
    "Quality",
    "Quantity",
    "Results",
    "RuleListing",
    "Run",
    "RunWarning",
    "Series",
    "Service",
    "SizingRules",
    "Story",
    "Upgrade",
    "checked_scenario",
    "declared_metrics",
    "family_of",
    "message_columns",
]
