"""Where figures are drawn: axes in the style of this package, which leaves the rest of the process alone."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from qkdrmp.errors import QKDRMPError, did_you_mean

DPI = 160
STYLE: Any = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper", font_scale=1.15),
    "lines.markersize": 4.5,
    "axes.formatter.useoffset": False,  # numbers as they are, not as 1e-5 + 9.157e-1
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}
SPARE_TICKS = 30
LETTER, LABEL_REACH, SHORTEST_LABEL = 0.58, 1.25, 12
"""Of the label of an upright axis: the width of a letter as a share of its size, the length as a share of the height of
axes that nothing stands above or below, before they are laid out, and the fewest letters of a line."""
COLOURS: list[str] = list(sns.color_palette("colorblind").as_hex())

# Figures in the style of this package: matplotlib makes ticks and texts late, and the style must hold when it does.
_own: WeakKeyDictionary[Figure, Any] = WeakKeyDictionary()


def figure(width: float = 6.4, height: float = 4.2, style: Any = STYLE) -> Axes:
    """Return the axes of a new figure, `width` by `height` inches, in the style of this package, or in another one.

    Examples
    --------
    >>> import qkdrmp
    >>> topology = qkdrmp.load_topology("line")
    >>> ax = qkdrmp.plots.network(topology, ax=qkdrmp.plots.figure(width=4, height=2))
    """
    return figures(1, width, height, style)[0]


def figures(count: int, width: float, height: float, style: Any = STYLE, across: int | None = None) -> list[Axes]:
    """Return axes in a new figure, `width` by `height` inches, in the style of this package.

    They stand side by side, at most `across` of them in a row.
    """
    across = across or count
    # Not inside the context: a notebook turns interactive mode on with the first figure, and it should stay on.
    made = plt.figure(figsize=(width, height), layout="constrained")
    with mpl.rc_context(style):
        axes = list(made.subplots(-(-count // across), across, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    _own[made] = style
    return axes[:count]


@contextmanager
def canvas(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Iterator[Axes]:
    """Give the axes to draw into: `ax`, in the style it has, or those of a new `figure`."""
    ax = ax or figure(width, height)
    drawn = whole(ax)
    with _style(drawn):
        yield ax
        if drawn in _own:
            _make_ticks(drawn)


def label_upright(ax: Axes, words: str, reach: float = LABEL_REACH) -> None:
    """Write what an upright axis shows beside it, on as many lines of the same length as its height needs."""
    label = ax.set_ylabel(words)
    letters = max(reach * ax.bbox.height / (LETTER * float(label.get_fontsize()) * whole(ax).dpi / 72), SHORTEST_LABEL)
    lines = math.ceil(len(words) / letters)
    broken = (textwrap.fill(words, width) for width in range(len(words) // max(lines, 1), len(words)) if width)
    label.set_text(next((text for text in broken if text.count("\n") < lines), words))


def plainly_numbered(axis: Axis) -> None:
    """Write the numbers along an axis whole, without an offset that is to be added to them."""
    formatter = axis.get_major_formatter()
    if isinstance(formatter, ScalarFormatter):
        formatter.set_useOffset(False)


def _make_ticks(drawn: Figure) -> None:
    """Make more ticks than will be shown, while the style holds: matplotlib makes them when it first needs them."""
    for axis in (axis for ax in drawn.axes for axis in (ax.xaxis, ax.yaxis)):
        axis.get_major_ticks(SPARE_TICKS)
        axis.get_minor_ticks(SPARE_TICKS * bool(len(axis.get_minorticklocs())))


def whole(ax: Axes) -> Figure:
    """Return the figure that `ax` belongs to."""
    return ax.figure if isinstance(ax.figure, Figure) else ax.figure.figure


def save(ax: Axes, *paths: str | Path, dpi: int = DPI) -> None:
    """Write the figure that `ax` belongs to into files, by suffix PNG (also without one), PDF or SVG; close it.

    The same figure gives the same PDF, byte for byte: it is not dated.

    Raises
    ------
    QKDRMPError
        If a suffix is not that of a picture.

    Examples
    --------
    >>> from pathlib import Path
    >>> import qkdrmp
    >>> ax = qkdrmp.plots.network(qkdrmp.load_topology("line"))
    >>> qkdrmp.plots.save(ax, Path("line.pdf"), Path("line.png"))
    """
    kinds = [_kind(Path(path)) for path in paths]
    drawn = whole(ax)
    with _style(drawn):
        for path, kind in zip(paths, kinds, strict=True):
            drawn.savefig(path, dpi=dpi, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
    plt.close(drawn)


def _kind(path: Path) -> str:
    kind = path.suffix.removeprefix(".").lower() or "png"
    known = FigureCanvasBase.get_supported_filetypes()
    if kind not in known:
        raise QKDRMPError(
            f"{path}: figures have no format '{kind}'{did_you_mean(kind, known)}; known are {', '.join(known)}"
        )
    return kind


def _style(drawn: Figure) -> AbstractContextManager[object]:
    return mpl.rc_context(_own[drawn]) if drawn in _own else nullcontext()
