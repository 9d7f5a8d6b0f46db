"""Where a model errs: by the rating given, and by how much it knew of the user and of the movie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from jobs.engines.duck import add_view
from jobs.pages.page import Plot, Section, Table, count, number
from jobs.pages.plots import columns
from jobs.runs import schemas
from jobs.runs.run import Run
from model.data.columns import COLUMNS, DATED
from model.dates import UNKNOWN
from model.factors import Factors
from model.metrics import rmse

# Numbers of training ratings at which a new group begins.
GROUPS = [0, 1, 10, 50, 100, 500]
Ints = NDArray[np.integer]


class HeldBack(NamedTuple):
    """The N ratings that `evaluate` measured on, by row number."""

    split: str
    user_N: Ints
    movie_N: Ints
    rating_N: NDArray[np.float32]
    time_N: Ints
    """Seconds since 1970, -1 where unknown."""

    def predicted(self, factors: Factors) -> NDArray[np.float32]:
        """What the model says of them, each at its own time, as evaluate asks it."""
        return factors.predict(self.user_N, self.movie_N, time_P=self.time_N)


def held_back(connection: DuckDBPyConnection, run: Run) -> HeldBack:
    """Read them, and make the view `train`."""
    held = run.conf.etl.splits[-1]
    for split in ("train", held):
        add_view(connection, split, run.split(split), schemas.INDEXED_RATINGS, ["split"])
    # Runs of earlier versions of Nightreel kept no times here.
    dated = "rated_at" in connection.table(held).columns
    time = "rated_at" if dated else f"{UNKNOWN} as rated_at"
    # Sorted, so that sums come out the same each time.
    found = connection.execute(f"""
        select {", ".join(COLUMNS)}, {time} from {held} order by user_idx, movie_idx
        """).fetchnumpy()
    return HeldBack(held, *(np.asarray(found[name]) for name in DATED))


def errors(connection: DuckDBPyConnection, factors: Factors, found: HeldBack) -> Section:
    """Errors on what was held back, clipped to the rating scale as `evaluate` does."""
    held, user, movie, rating, _ = found
    predicted = found.predicted(factors)
    by_user = known_of(connection, "user", len(factors.user_ids_U))[user]
    by_movie = known_of(connection, "movie", len(factors.movie_ids_M))[movie]
    return Section(
        "Errors",
        [
            by_knowledge(by_user, predicted, rating, "user", held),
            by_knowledge(by_movie, predicted, rating, "movie", held),
            *by_value(predicted, rating, held),
        ],
    )


def known_of(connection: DuckDBPyConnection, entity: str, rows: int) -> Ints:
    """Training ratings of each user or movie, by row number."""
    query = f"select {entity}_idx idx, count(*) n from train group by 1"
    found = connection.execute(query).fetchnumpy()
    known = np.zeros(rows, dtype=np.int64)
    known[np.asarray(found["idx"])] = np.asarray(found["n"])
    return known


def by_knowledge(known: Ints, predicted: NDArray, rating: NDArray, entity: str, split: str) -> Plot:
    """RMSE of groups of held-back ratings, by the training ratings of their user or movie."""
    group = np.searchsorted(GROUPS, known, side="right") - 1
    filled = np.unique(group)
    labels = [group_name(index) for index in filled]
    found = [rmse(predicted[group == g], rating[group == g]) for g in filled]
    texts = [number(value, 3) for value in found]
    told = f"{split.capitalize()} ratings by how many training ratings their {entity} has: "
    if len(filled) > 1:
        told += f"RMSE {texts[0]} with {labels[0]}, {texts[-1]} with {labels[-1]}."
    else:
        told += f"all have {labels[0]}."
    return Plot(
        columns(labels, found, texts, f"training ratings of the {entity}"),
        told,
        f"Bar chart: {split} RMSE by training ratings of the {entity}. "
        + ", ".join(map(": ".join, zip(labels, texts, strict=True))),
    )


def group_name(index: int) -> str:
    """The group in words, as in 500+ of the last."""
    if index == len(GROUPS) - 1:
        return f"{GROUPS[index]}+"
    first, last = GROUPS[index], GROUPS[index + 1] - 1
    return str(first) if first == last else f"{first}–{last}"


def by_value(predicted: NDArray, rating: NDArray, split: str) -> list[Plot | Table]:
    """Mean prediction and RMSE for each rating value."""
    groups = {f"{value:g}": rating == value for value in np.unique(rating)}
    found = [rmse(predicted[group], rating[group]) for group in groups.values()]
    means = [number(float(predicted[group].mean(dtype=float)), 2) for group in groups.values()]
    texts = [number(value, 3) for value in found]
    sizes = [number(int(group.sum())) for group in groups.values()]
    values = list(groups)
    return [
        Plot(
            columns(values, found, texts, "rating given"),
            f"On average a {values[0]} is predicted as {means[0]}, a {values[-1]} as {means[-1]}; "
            f"the error is smallest for a {values[int(np.argmin(found))]}.",
            f"Bar chart: {split} RMSE by rating given. "
            + ", ".join(map(": ".join, zip(values, texts, strict=True))),
        ),
        Table(
            f"Errors by rating, over {count(len(rating), f'{split} rating')}",
            ["Rating", "Ratings", "Mean predicted", "RMSE"],
            list(zip(values, sizes, means, texts, strict=True)),
            frozenset({"Ratings", "Mean predicted", "RMSE"}),
            wide=False,
        ),
    ]
