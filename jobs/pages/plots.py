"""Plots with a bar or a dot for each value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jobs.pages.drawing import ACCENT, HALF, INK, SECOND, SOFT, WIDE, draw, short, whole
from jobs.pages.page import number


def bars(labels: Sequence[str], values: Sequence[float], digits: int = 0) -> Markup:
    """Horizontal bars, the first on top, each with its value at its end."""

    def paint(axes: Axes) -> None:
        rows = np.arange(len(values))
        axes.barh(rows, values, color=ACCENT, height=0.72)
        axes.set_yticks(rows, [short(label) for label in labels])
        axes.invert_yaxis()
        room = max(values, default=1) or 1
        axes.set_xlim(0, room * 1.17)
        for row, value in zip(rows, values, strict=True):
            axes.text(value + room * 0.012, row, number(value, digits), va="center", color=INK)
        axes.xaxis.set_visible(False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(visible=False)

    return draw(paint, height=0.35 + 0.235 * len(values))


def columns(
    labels: Sequence[str], values: Sequence[float], texts: Sequence[str], x_name: str = ""
) -> Markup:
    """Upright bars from left to right, each with its text above it."""

    def paint(axes: Axes) -> None:
        places = np.arange(len(values))
        axes.bar(places, values, color=ACCENT, width=0.75)
        axes.set_xticks(places, labels)
        axes.set_xlabel(x_name)
        for place, value, text in zip(places, values, texts, strict=True):
            axes.text(place, value, text, ha="center", va="bottom", color=INK)
        axes.set_ylim(0, max(values) * 1.1)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(bottom=False)
        axes.grid(visible=False)

    return draw(paint)


def timeline(
    labels: Sequence[str], values: Sequence[float], name: str, x_name: str = "", wide: bool = True
) -> Markup:
    """Bars without a gap, as many as there are; only some of them are labelled."""

    def paint(axes: Axes) -> None:
        places = np.arange(len(values))
        axes.bar(places, values, width=0.94, color=ACCENT)
        every = max(1, -(-len(labels) // (10 if wide else 6)))
        axes.set_xticks(places[::every], labels[::every])
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set(xlabel=x_name, ylabel=name)
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(whole)

    return draw(paint, WIDE if wide else HALF)


def dots(labels: Sequence[str], values: Sequence[float], middle: float) -> Markup:
    """Means beside the mean of all, the first on top: how far each lies from it."""

    def paint(axes: Axes) -> None:
        rows = np.arange(len(values))
        colours = [ACCENT if value >= middle else SECOND for value in values]
        axes.hlines(rows, middle, values, color=colours, linewidth=2)
        axes.scatter(values, rows, color=colours, s=26, zorder=3)
        axes.axvline(middle, color=SOFT, linewidth=1)
        span = max(max(values), middle) - min(min(values), middle) or 1
        axes.set_xlim(min(*values, middle) - span * 0.16, max(*values, middle) + span * 0.16)
        for row, value in zip(rows, values, strict=True):
            above = value >= middle
            place = value + span * (0.03 if above else -0.03)
            align = "left" if above else "right"
            axes.text(place, row, number(value, 2), va="center", ha=align, color=INK)
        axes.set_yticks(rows, [short(label) for label in labels])
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.xaxis.set_visible(False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(visible=False)

    return draw(paint, height=0.35 + 0.235 * len(values))
