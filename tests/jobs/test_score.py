"""Scoring by a model that is older than the ratings, worked out by hand."""

import numpy as np
import pandas as pd

from jobs.score import score_block
from model.ranking import Ranker
from tests.model.examples import factors

# Users 1 and 2, movies 10 to 13.
OLDER = factors(
    [[1], [2]],
    [[1], [3], [2], [4]],
    popular_M=np.array([2.5, 4.5, 3.5, 1.5], np.float32),
)


def test_a_model_older_than_the_ratings():
    rated = {
        99: [11],  # a user whom the model does not know
        1: [11, 999],  # and a movie that it does not know: no other is taken for it
        2: [],
    }
    users = pd.DataFrame(
        {
            "user_id": np.array(list(rated), np.int32),
            "movie_ids": [np.array(movies, np.int32) for movies in rated.values()],
        }
    )
    rows = score_block(Ranker(OLDER), OLDER, users, 2)
    rows = rows.drop(columns="ranking_score")
    assert list(rows.itertuples(index=False, name=None)) == [
        (99, 1, 12, 3.5, "popular"),
        (99, 2, 10, 2.5, "popular"),
        (1, 1, 13, 4.0, "model"),
        (1, 2, 12, 2.0, "model"),
        # Scores 8 and 6: shown as the top of the scale, and still in their order.
        (2, 1, 13, 5.0, "model"),
        (2, 2, 11, 5.0, "model"),
    ]
