"""Lists, targets and histories drawn by chance, small enough for any other library to measure."""

from typing import NamedTuple

import numpy as np

from model.ranking.lists import Lists
from model.ranking.ranker import Ranked

USERS, MOVIES, GENRES, LONGEST = 60, 150, 6, 100


class Example(NamedTuple):
    ranked: Ranked
    targets: Lists
    history: Lists
    count_M: np.ndarray
    genre_MG: np.ndarray


def example(seed: int = 5) -> Example:
    """Lists of 2 to 100 movies; some users have no target, some targets stand in no list.

    Movies' chances fall off, so that some are the target of unusually many users.
    """
    random = np.random.default_rng(seed)
    chance_M = 1 / np.arange(1, MOVIES + 1)
    lists, targets, histories = [], [], []
    for user in range(USERS):
        history = random.choice(MOVIES, 1 + user % 7, replace=False, p=chance_M / chance_M.sum())
        others = np.setdiff1d(np.arange(MOVIES), history)
        length = 2 if user == 3 else int(random.integers(10, LONGEST + 1))
        lists.append(random.permutation(others)[:length])
        chance = chance_M[others] / chance_M[others].sum()
        count = 0 if user % 10 == 9 else int(random.integers(1, 15))
        targets.append(random.choice(others, count, replace=False, p=chance))
        histories.append(history)
    return Example(
        ranked_lists(lists),
        Lists.of(targets),
        Lists.of(histories),
        np.bincount(np.concatenate(histories), minlength=MOVIES),
        # One genre at least, so that everything has a distance and a distribution.
        (random.random((MOVIES, GENRES)) < 0.3) | (np.arange(GENRES) == 0),
    )


def ranked_lists(movies_B) -> Ranked:
    """Lists of movies, best first, as a ranker gives them."""
    lists = Lists.of([np.asarray(movies) for movies in movies_B])
    row_R = np.repeat(np.arange(len(lists)), lists.count_B)
    rank_R = np.arange(len(row_R)) - lists.offset_B1[row_R] + 1
    return Ranked(row_R, rank_R, lists.value_N, -rank_R.astype(np.float32))
