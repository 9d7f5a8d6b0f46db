"""When a model of order becomes the champion, and what lists are compared with."""

import numpy as np
import pytest
import torch

from jobs.training.order_gate import decide
from jobs.training.order_lists import (
    by_popularity,
    by_recent_popularity,
    question,
    share_learned,
)
from model.bootstrap import Difference
from model.data.histories import Histories
from model.data.ratings import Ratings

DAY = 86_400
ABOVE, BELOW = Difference(0.02, 0.01, 0.03, 100), Difference(-0.02, -0.03, -0.01, 100)
OPEN = Difference(0.001, -0.01, 0.012, 100)


@pytest.mark.parametrize(
    ("popularity", "champion", "coverage", "promoted", "reason"),
    [
        (ABOVE, None, 0.2, True, "above that of the most popular movies"),
        (OPEN, None, 0.2, False, "not surely better"),
        (BELOW, ABOVE, 0.2, False, "not surely better"),
        (ABOVE, OPEN, 0.2, True, "above the champion's"),
        (ABOVE, ABOVE, 0.2, True, "above the champion's"),
        (ABOVE, BELOW, 0.2, False, "which is worse"),
        (ABOVE, OPEN, 0.14, False, "14.0% of the movies, less than 0.5 times the champion's 30.0%"),
        (ABOVE, OPEN, 0.15, True, "above the champion's"),
    ],
)
def test_what_is_good_enough(popularity, champion, coverage, promoted, reason):
    of_champion = None if champion is None else 0.3
    decided, why = decide(popularity, champion, coverage, of_champion, 0.5)
    assert decided is promoted
    assert reason in why


def test_what_alone_can_order_need_not_be_better_but_not_worse():
    assert decide(OPEN, None, 0.2, None, 0.5, needed=True)[0]
    assert not decide(BELOW, None, 0.2, None, 0.5, needed=True)[0]
    assert not decide(OPEN, OPEN, 0.2, 0.3, 0.5, needed=True)[0]


def test_lists_of_popular_movies_know_no_later_rating_and_no_rated_movie():
    """Movie 0 was popular long ago, 1 of late, and 2 only in what is to be named."""
    rows = [
        (0, [(0, 1, 0), (1, 95, 0), (2, 100, 2)]),
        (1, [(0, 1, 0), (2, 100, 2)]),
        (2, [(0, 1, 0), (3, 94, 0)]),
        (3, [(3, 2, 0), (1, 96, 0)]),
        (4, [(2, 100, 2)]),
    ]
    flat = [entry for _, entries in rows for entry in entries]
    histories = Histories(
        np.arange(5, dtype=np.int32),
        np.cumsum([0, *(len(entries) for _, entries in rows)]),
        np.array([movie for movie, _, _ in flat], np.int32),
        np.ones(len(flat), np.float32),
        np.array([DAY * day for _, day, _ in flat]),
        np.array([split for *_, split in flat], np.int8),
    )
    asked = question(histories, np.arange(10, 15), np.arange(20, 24))
    # Of user 4, who has a target, nothing is known.
    assert asked.user_ids_B.tolist() == [10, 11]

    def first(ranked) -> list[list[int]]:
        return [ranked.movie_idx_R[ranked.row_R == user][:2].tolist() for user in (0, 1)]

    # Rated: 0 three times, 1 and 3 twice; of late 1 twice and 3 once.
    assert first(by_popularity(asked)) == [[3, 2], [1, 3]]
    assert first(by_recent_popularity(asked)) == [[3, 2], [1, 3]]
    assert by_recent_popularity(asked).score_R[:2].tolist() == [1, 0]
    # Of the two movies to be named, both 2, one user's is among these ratings.
    learned = Ratings(torch.tensor([0, 4, 0]), torch.tensor([2, 2, 0]), torch.ones(3))
    assert share_learned(asked, learned) == 0.5
