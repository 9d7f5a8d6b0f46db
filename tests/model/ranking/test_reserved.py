"""Lists of which some places are kept for movies of another list."""

from itertools import count

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ranking.ranker import Ranked
from model.ranking.reserved import with_places_for


def ranked(*users: dict[int, float]) -> Ranked:
    """Of each user movies and their scores, the best first."""
    rows = [
        (user, rank, movie, score)
        for user, scores in enumerate(users)
        for rank, (movie, score) in zip(count(1), scores.items(), strict=False)
    ]
    columns = np.array(rows or np.empty((0, 4))).T
    row_R, rank_R, movie_idx_R = (column.astype(np.int32) for column in columns[:3])
    return Ranked(row_R, rank_R, movie_idx_R, columns[3].astype(np.float32))


def rows_of(found: Ranked) -> list[tuple]:
    columns = found.row_R, found.rank_R, found.movie_idx_R, found.score_R
    return [*zip(*(column.tolist() for column in columns), strict=True)]


def test_the_few_stand_where_their_scores_put_them_and_the_last_of_the_others_make_way():
    best = ranked({1: 5, 2: 4, 3: 3}, {1: 2}, {1: 9, 2: 8, 3: 7})
    few = ranked({8: 4, 9: 1}, {7: 3, 8: 1}, {})
    assert rows_of(with_places_for(few, best, 3)) == [
        *[(0, 1, 1, 5), (0, 2, 8, 4), (0, 3, 9, 1)],
        *[(1, 1, 7, 3), (1, 2, 1, 2), (1, 3, 8, 1)],
        *[(2, 1, 1, 9), (2, 2, 2, 8), (2, 3, 3, 7)],
    ]
    everything = rows_of(with_places_for(few, best, None))
    assert [row[2] for row in everything if row[0] == 0] == [1, 2, 8, 3, 9]
    assert rows_of(with_places_for(ranked(), ranked(), 3)) == []


scores = st.dictionaries(st.integers(0, 5), st.integers(0, 3), max_size=5)


@settings(deadline=None)
@given(st.lists(st.tuples(scores, scores), max_size=4), st.integers(0, 2), st.integers(2, 4))
def test_lists_are_the_best_of_both(users, n, k):
    def best(of, length):
        return dict(sorted(of.items(), key=lambda item: (-item[1], item[0]))[:length])

    few = [best({movie + 10: score for movie, score in of.items()}, n) for _, of in users]
    known = [best(of, k) for of, _ in users]
    found = with_places_for(ranked(*few), ranked(*known), k)
    expected = [best(own | best(of, k - len(own)), k) for own, of in zip(few, known, strict=True)]
    assert rows_of(found) == rows_of(ranked(*expected))
