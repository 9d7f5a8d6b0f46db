"""Plots of curves: over time, from the largest to the smallest, and of shares held."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from jobs.pages.drawing import COLOURS, HALF, SOFT, WIDE, draw, percent, whole


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
