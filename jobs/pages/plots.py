"""Plots of the pages."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray
from wordcloud import WordCloud

from jobs.pages.drawing import (
    ACCENT,
    COLOURS,
    HALF,
    INK,
    SECOND,
    SOFT,
    WIDE,
    draw,
    percent,
    short,
    whole,
)
from jobs.pages.page import number

Counts = NDArray[np.int64]


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
        # Where all is right, errors are 0.
        axes.set_ylim(0, max(values) * 1.1 or 1)
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


def scatter(points: Mapping[str, tuple[float, float]], x_name: str, y_name: str) -> Markup:
    """Named points, x on a logarithmic scale."""

    def paint(axes: Axes) -> None:
        for name, (x, y) in points.items():
            axes.scatter([x], [y], color=ACCENT, s=30, zorder=3)
            axes.annotate(short(name), (x, y), (5, 4), textcoords="offset points", color=INK)
        axes.set(xscale="log", xlabel=x_name, ylabel=y_name)
        axes.margins(x=0.25, y=0.15)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())

    return draw(paint)


def lines(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    x_name: str,
    y_name: str,
    mark: float | None = None,
    wide: bool = False,
) -> Markup:
    """Curves over common x; `mark` is an x to point out."""

    def paint(axes: Axes) -> None:
        for (name, y), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(x, y, color=colour, linewidth=1.8, marker="o", markersize=3, label=name)
        if mark is not None:
            axes.axvline(mark, color=SOFT, linewidth=1.2, linestyle="--")
        axes.set(xlabel=x_name, ylabel=y_name)
        # Epochs and years.
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(curves) > 1:
            axes.legend(frameon=False)

    return draw(paint, WIDE if wide else HALF)


def long_tail(curves: Mapping[str, ArrayLike], x_name: str, y_name: str) -> Markup:
    """Counts from the largest to the smallest, over their place, both on logarithmic scales."""

    def paint(axes: Axes) -> None:
        for (name, counts), colour in zip(curves.items(), COLOURS, strict=False):
            ordered = np.sort(np.asarray(counts))[::-1]
            ordered = ordered[ordered > 0]
            # Two hundred places, evenly on the scale, draw the same curve as all of them.
            place = np.unique(np.geomspace(1, len(ordered), 200).astype(int))
            axes.plot(place, ordered[place - 1], color=colour, linewidth=1.8, label=name)
        axes.set(xscale="log", yscale="log", xlabel=x_name, ylabel=y_name)
        for axis in (axes.xaxis, axes.yaxis):
            first, last = axis.get_view_interval()
            subs = (1, 2, 5) if last < 100 * first else (1,)
            axis.set_major_locator(LogLocator(subs=subs, numticks=8))
            axis.set_major_formatter(whole)
            axis.set_minor_locator(NullLocator())
        if len(curves) > 1:
            axes.legend(frameon=False)

    return draw(paint)


def lorenz(curves: Mapping[str, ArrayLike], x_name: str, y_name: str) -> Markup:
    """Which share of the whole the smallest x of all hold; the diagonal is an even spread."""

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
        for (name, counts), colour in zip(curves.items(), COLOURS, strict=False):
            held = np.concatenate([[0], np.cumsum(np.sort(np.asarray(counts, float)))])
            place = np.unique(np.linspace(0, len(held) - 1, 200).astype(int))
            axes.plot(
                place / (len(held) - 1),
                held[place] / held[-1],
                color=colour,
                linewidth=1.8,
                label=name,
            )
        axes.set(xlabel=x_name, ylabel=y_name, xlim=(0, 1), ylim=(0, 1.01))
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        axes.legend(frameon=False)

    return draw(paint)


def cloud(sizes: Mapping[str, int]) -> Markup:
    """A picture of words, each as large as its number."""
    ordered = sorted(sizes, key=lambda word: (-sizes[word], word))
    places = {short(word): place for place, word in enumerate(ordered)}
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    words = WordCloud(
        font_path=str(font),
        width=1800,
        height=620,
        background_color="white",
        color_func=lambda word, **_: COLOURS[places[word] % len(COLOURS)],
        prefer_horizontal=1,
        relative_scaling=0.6,
        min_font_size=20,
        margin=10,
        random_state=7,
    ).generate_from_frequencies({short(word): sizes[word] for word in ordered})
    file = io.BytesIO()
    # Flat colours need no more than a palette.
    words.to_image().quantize(64).save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    # What it depicts stands in the figure's own description.
    return Markup('<img alt="" src="data:image/png;base64,{}">').format(data)


def held_by_top(counts: Counts, part: float = 0.1) -> int:
    """The sum of the largest tenth, rounded up, of counts in ascending order."""
    return int(counts[len(counts) - int(np.ceil(part * len(counts))) :].sum())


def gini(counts: Counts) -> float:
    """The Gini coefficient of counts in ascending order: 0 if all are equal, near 1 if one has all.

    Twice the area between the Lorenz curve and the diagonal.
    """
    n, total = len(counts), int(counts.sum())
    if total == 0:
        return 0.0
    return float(2 * (np.arange(1, n + 1) * counts).sum() / (n * total) - (n + 1) / n)
