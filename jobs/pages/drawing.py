"""How all plots are drawn: as SVG of matplotlib, in one style.

Texts stay texts, so that they can be searched, and take the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jobs.pages.page import number

ACCENT, SECOND, SOFT, INK = "#1d6a96", "#d9773a", "#a9b4c0", "#1f2a37"
COLOURS = (ACCENT, SECOND, "#5f8f3e", "#8a5a9e")
# Inches: half of the page's width, and all of it, with letters of one size.
HALF, WIDE = 4.8, 9.8
STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e8ecf0",
    "xtick.color": "#5b6776",
    "ytick.color": INK,
    "svg.fonttype": "none",
    # Otherwise a random part of the clip paths' names.
    "svg.hashsalt": "nightreel",
    # A genre may hold dollar signs, which mean no formula.
    "text.parse_math": False,
}


def short(text: str) -> str:
    """A label that leaves room for the plot."""
    return text if len(text) <= 28 else text[:27] + "…"


def draw(paint: Callable[[Axes], None], width: float = HALF, height: float = 2.9) -> Markup:
    """The SVG of what `paint` draws on a pair of axes."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot())
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # The size is the page's business, and names of groups would stand there once per plot.
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return Markup(re.sub(r'<g id="[^"]*">', "<g>", svg))


whole = FuncFormatter(lambda value, _: number(value))
percent = FuncFormatter(lambda value, _: f"{100 * value:.0f}%")
