"""The lists that a measure of order compares: a model's, and those of what any model must beat.

Movies are the row numbers of the run, whatever the models call them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.training.fresh_rows import with_fresh_rows
from model.data.histories import TEST, UNKNOWN, Histories
from model.data.ratings import Ratings
from model.factors import Factors, index_of
from model.held_out import HeldOut, held_out
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, Ranker, joined
from model.ranking_metrics import ranked_by_score

Ints = NDArray[np.integer]
LONGEST = 100
"""Movies of a list."""
MOST_USERS, SEED = 20_000, 20
"""Of more users who take part, chance takes so many: their figures are sure enough."""
RECENT_SECONDS = 30 * 86_400
USERS_PER_BLOCK = 256


@dataclass(frozen=True)
class Question:
    """What B users are to be told, and what is known."""

    held: HeldOut
    learned: Histories
    """What is known of everybody."""
    user_ids_B: Ints
    movie_ids_M: Ints
    """By the run's row numbers."""


def question(histories: Histories, user_ids_U: Ints, movie_ids_M: Ints) -> Question:
    """The users with movies to be named; ids by the histories' row numbers."""
    learned = histories.until(TEST)
    asked = np.flatnonzero((learned.count_U > 0) & (learned.count_U < histories.count_U))
    if len(asked) > MOST_USERS:
        drawn = np.random.default_rng(SEED).choice(asked, MOST_USERS, replace=False)
        asked = np.sort(drawn)
    held = held_out(histories.take(asked), TEST)
    return Question(held, learned, user_ids_U[held.known.user_U], movie_ids_M)


def share_learned(asked: Question, ratings: Ratings) -> float:
    """The share of the movies to be named that ratings hold, from which some model has learned.

    Models of order learn from what was known, models of ratings from whatever etl's split has.
    """
    targets, movies = asked.held.targets, len(asked.movie_ids_M)
    user_N = np.repeat(asked.held.known.user_U, targets.count_B).astype(np.int64)
    learned_R = ratings.user_N.numpy().astype(np.int64) * movies + ratings.movie_N.numpy()
    return float(np.isin(user_N * movies + targets.value_N, learned_R).mean())


def by_order(asked: Question, factors: Factors, folder: Path) -> Ranked:
    """The lists of a model of order, saved in a folder, from what is known."""
    ids = asked.user_ids_B, asked.movie_ids_M
    return by_factors(asked, with_fresh_rows(factors, folder, asked.held.known, *ids))


def by_factors(asked: Question, factors: Factors) -> Ranked:
    """The lists of any model."""
    rated = asked.held.excluded
    theirs = Lists(rated.offset_B1, factors.movie_idx(asked.movie_ids_M)[rated.value_N])
    ranker = Ranker(factors, asked.movie_ids_M)
    ranked = ranker.top_k(factors.user_idx(asked.user_ids_B), theirs, LONGEST)
    ours = index_of(asked.movie_ids_M, factors.movie_ids_M[ranked.movie_idx_R])
    return Ranked(ranked.row_R, ranked.rank_R, ours, ranked.score_R)


def by_popularity(asked: Question) -> Ranked:
    """For everybody the movies that most are known to have rated."""
    count_M = np.bincount(asked.learned.movie_N, minlength=len(asked.movie_ids_M))
    counts = (np.broadcast_to(count_M, (b.stop - b.start, len(count_M))) for b in blocks(asked))
    return in_blocks(asked, counts)


def by_recent_popularity(asked: Question) -> Ranked:
    """The movies that most are known to have rated in the 30 days before a user is asked for.

    Of a user of whom it is not known when, those that most rated in the last 30 days of all.
    """
    learned = asked.learned
    dated = np.flatnonzero(learned.time_N != UNKNOWN)
    order = dated[np.argsort(learned.time_N[dated], kind="stable")]
    time_N, movie_N = learned.time_N[order], learned.movie_N[order]
    now = time_N[-1] + 1 if len(time_N) else 0
    asked_B = asked.held.known.asked_U
    until_B = np.full(len(asked.held), now) if asked_B is None else asked_B
    until_B = np.where(until_B == UNKNOWN, now, until_B)
    last_B = np.searchsorted(time_N, until_B)
    first_B = np.searchsorted(time_N, until_B - RECENT_SECONDS)
    movies = len(asked.movie_ids_M)

    def counted(block: slice) -> Ints:
        windows = zip(first_B[block], last_B[block], strict=True)
        return np.stack([np.bincount(movie_N[a:b], minlength=movies) for a, b in windows])

    return in_blocks(asked, (counted(block) for block in blocks(asked)))


def blocks(asked: Question) -> list[slice]:
    """The users, few at a time."""
    users = len(asked.held)
    starts = range(0, users, USERS_PER_BLOCK)
    return [slice(start, min(start + USERS_PER_BLOCK, users)) for start in starts]


def in_blocks(asked: Question, scores: Iterable[Ints]) -> Ranked:
    """The lists by scores of all movies, of one block of users after another."""
    rated, parts = asked.held.excluded, []
    for block, score_BM in zip(blocks(asked), scores, strict=True):
        own = rated.slice(block.start, block.stop)
        parts.append(ranked_by_score(score_BM.astype(np.float32), own, LONGEST))
    return joined(parts, [block.start for block in blocks(asked)])
