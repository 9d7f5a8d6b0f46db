"""Users for whom nothing has changed: by hand, and against sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.scoring.arrays import UserMovies
from jobs.scoring.incremental import unchanged, unchanged_users

NOBODY: dict[int, list[int]] = {}


def user_movies(lists: dict[int, list[int]]) -> UserMovies:
    users = sorted(lists)
    movies = [movie for user in users for movie in lists[user]]
    offset = np.cumsum([0, *(len(lists[user]) for user in users)])
    return UserMovies(np.array(users, np.int32), offset, np.array(movies, np.int32))


def kept(rated, rated_before, lists=NOBODY, lists_before=NOBODY) -> list[int]:
    four = map(user_movies, (rated, rated_before, lists, lists_before))
    return [user for user, same in zip(sorted(rated), unchanged_users(*four), strict=True) if same]


def test_the_same_ratings_and_the_same_list():
    rated = {1: [10, 11], 2: [], 3: [12], 5: [13]}
    assert kept(rated, rated) == [1, 2, 3, 5]
    # User 1 rated another movie instead, 2 rated one, 3 withdrew one, 5 is new.
    assert kept({1: [10, 12], 2: [11], 3: [], 4: [1], 5: [13]}, {**rated, 6: []}) == [5]
    assert kept(rated, {1: [10, 11]}) == [1]
    assert kept(rated, NOBODY) == []
    # User 1 has the same list, 2 another one, 3 a new one, and that of 5 is gone.
    assert kept(rated, rated, {1: [7], 2: [7], 3: [8]}, {1: [7], 2: [8], 5: [9]}) == [1]


lists = st.dictionaries(st.integers(1, 8), st.sets(st.integers(1, 4)).map(sorted))


@settings(deadline=None)
@given(lists, lists)
def test_unchanged_lists_are_the_equal_ones(now, before):
    found = unchanged(user_movies(now), user_movies(before))
    assert found.tolist() == [now[user] == before.get(user) for user in sorted(now)]
