"""Whether ratings lie as far from their predictions as the model says."""

from __future__ import annotations

import numpy as np

from jobs.pages.errors import HeldBack
from jobs.pages.page import Part, Plot, Section, Table, Text, count, number, share
from jobs.pages.plots import lines
from model.calibration import Decile, deciles, shares_inside
from model.factors import Factors


def uncertainty(factors: Factors, held: HeldBack) -> Section:
    """On what was held back, as far as user and movie were learned."""
    split, user, movie, rating, _ = held
    predicted, sd = held.predicted(factors), factors.sd(user, movie)
    shares = shares_inside(predicted, sd, rating)
    if not shares:
        return Section("Uncertainty", [Text(f"No {split} rating rests on the model.")])
    tenths = deciles(predicted, sd, rating)
    known = int(np.count_nonzero(~np.isnan(sd)))
    inside = Table(
        f"How many of {count(known, f'{split} rating')} lie inside the interval around the "
        "prediction that should hold so many",
        ["Interval", "Inside"],
        [(f"{percent}%", share(part, 1)) for percent, part in shares.items()],
        frozenset({"Interval", "Inside"}),
        wide=False,
    )
    return Section("Uncertainty", [inside, *by_decile(tenths, split)])


def by_decile(tenths: list[Decile], split: str) -> list[Part]:
    """What was stated and what was, for tenths of the ratings by stated deviation."""
    stated, found = ([getattr(tenth, name) for tenth in tenths] for name in ("sd", "rmse"))
    picture = lines(
        range(1, len(tenths) + 1),
        {"stated deviation": stated, "RMSE": found},
        "tenth of the ratings, by stated deviation",
        "rating points",
    )
    first, last = tenths[0], tenths[-1]
    told = (
        f"Where the model states the least deviation, {number(first.sd, 2)}, RMSE is "
        f"{number(first.rmse, 2)}; where it states the most, {number(last.sd, 2)}, "
        f"it is {number(last.rmse, 2)}."
    )
    cells = [
        (str(place), number(tenth.ratings), number(tenth.sd, 3), number(tenth.rmse, 3))
        for place, tenth in enumerate(tenths, 1)
    ]
    headers = ["Tenth", f"{split.capitalize()} ratings", "Stated deviation", "RMSE"]
    return [
        Plot(picture, told, f"Curves: stated deviation and {split} RMSE by tenth of the ratings."),
        Table("Error by stated deviation", headers, cells, frozenset(headers), wide=False),
    ]
