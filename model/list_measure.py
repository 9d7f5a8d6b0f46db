"""All figures of the lists of held-out users, with intervals and by segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.bootstrap import intervals
from model.held_out import HeldOut
from model.list_metrics import (
    calibration,
    coverage,
    first,
    gini,
    intra_list_distance,
    mean_popularity,
    novelty,
    personalisation,
)
from model.ranking.ranker import Ranked
from model.ranking_metrics import accuracy, debiased, ranks_of

Double = NDArray[np.float64]
Bool = NDArray[np.bool_]
KS = (10, 20, 100)
EVERYBODY = "all"
# Of segments: at 10, these.
SEGMENT_K, SEGMENT_FIGURES = 10, ("hr", "recall", "ndcg")
# By how much the user has rated: from so many on.
ACTIVITY = (1, 20, 50, 100, 250)
# Seconds up to which a target follows the movie before it.
GAPS = {"same second": 0, "a sitting": 3600, "a day": 86_400, "longer": np.inf}


class Figure(NamedTuple):
    """One row of the table `metrics`, but for run and version; no interval where it is nan."""

    segment: str
    name: str
    k: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Catalogue:
    """What is known of M movies, and of users by row number."""

    count_M: NDArray[np.integer]
    """Training ratings; a movie without any cannot be named."""
    users: int
    """Users of the training."""
    genre_MG: Bool
    genres: list[str]
    gender_U: NDArray[np.str_] | None = None
    """'' where it is not known."""


def measure(ranked: Ranked, held: HeldOut, catalogue: Catalogue) -> list[Figure]:
    """Figures of lists of 100 movies; `ranked.row_R` are places among the held-out users.

    Where there is nobody to measure, or nothing to name, a figure is left out.
    """
    rank_N = ranks_of(ranked, held.targets)
    names: list[tuple[str, str, int]] = []
    figures_FB: list[Double] = []
    kept_N = debiased(held.targets)
    for k in KS:
        found = accuracy(rank_N, held.targets, k)
        found["debiased_ndcg"] = accuracy(rank_N, held.targets, k, kept_N)["ndcg"]
        found |= of_lists(ranked, held, catalogue, k)
        names += [(EVERYBODY, name, k) for name in found]
        figures_FB += found.values()
    for segment, user_B, target_N in segments(held, catalogue):
        found = accuracy(rank_N, held.targets, SEGMENT_K, target_N)
        names += [(segment, name, SEGMENT_K) for name in SEGMENT_FIGURES]
        figures_FB += [np.where(user_B, found[name], np.nan) for name in SEGMENT_FIGURES]
    means = intervals(np.stack(figures_FB))
    figures = [
        Figure(*name, found.value, found.low, found.high)
        for name, found in zip(names, means, strict=True)
    ]
    for k in KS:
        figures += [
            Figure(EVERYBODY, name, k, value, np.nan, np.nan)
            for name, value in of_all_lists(ranked, held, catalogue, k).items()
        ]
    return [figure for figure in figures if not np.isnan(figure.value)]


def of_lists(ranked: Ranked, held: HeldOut, catalogue: Catalogue, k: int) -> dict[str, Double]:
    """What each user's list is like."""
    lists = first(ranked, len(held), k)
    return {
        "mean_popularity": mean_popularity(lists, catalogue.count_M),
        "novelty": novelty(lists, catalogue.count_M, catalogue.users),
        "intra_list_distance": intra_list_distance(lists, catalogue.genre_MG),
        "calibration": calibration(lists, held.excluded, catalogue.genre_MG),
    }


def of_all_lists(ranked: Ranked, held: HeldOut, catalogue: Catalogue, k: int) -> dict[str, float]:
    """Of movies that could be named."""
    lists, movies = first(ranked, len(held), k), len(catalogue.count_M)
    named = int((catalogue.count_M > 0).sum())
    if not named:
        return {}
    return {
        "coverage": coverage(lists, named),
        # Movies that cannot be named are never shown: they are the least of them.
        "gini": (gini(lists, movies) * movies - (movies - named)) / named,
        "personalisation": personalisation(lists, k),
    }


def segments(held: HeldOut, catalogue: Catalogue) -> Iterator[tuple[str, Bool, Bool]]:
    """Names, and which users and which targets belong to it."""
    everybody_B, every_N = np.ones(len(held), bool), np.ones(len(held.gap_N), bool)
    least = -1.0
    for name, most in GAPS.items():
        yield f"gap: {name}", everybody_B, (held.gap_N > least) & (held.gap_N <= most)
        least = most
    yield "gap: unknown", everybody_B, held.gap_N < 0
    for low, high in zip(ACTIVITY, (*ACTIVITY[1:], None), strict=True):
        count_B = held.known.count_U
        name = f"ratings: {low} to {high - 1}" if high else f"ratings: {low} and more"
        yield name, (count_B >= low) & (count_B < (high or np.inf)), every_N
    if catalogue.gender_U is not None:
        gender_B = catalogue.gender_U[held.known.user_U]
        for gender in sorted(set(gender_B) - {""}):
            yield f"gender: {gender}", gender_B == gender, every_N
    movie_N = held.targets.value_N
    for place, genre in enumerate(catalogue.genres):
        of_genre_N = np.append(catalogue.genre_MG[:, place], False)[movie_N]
        yield f"genre: {genre}", everybody_B, of_genre_N
