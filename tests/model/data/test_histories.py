"""Histories: parts of them, and what etl writes read again."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.histories import TEST, UNKNOWN, VALIDATION, Histories, read_histories

# User 2 has rated movies 4, 5, 6; user 5 nothing; user 7 movies 4 and 1.
HISTORIES = Histories(
    user_U=np.array([2, 5, 7], np.int32),
    offset_U1=np.array([0, 3, 3, 5]),
    movie_N=np.array([4, 5, 6, 4, 1], np.int32),
    rating_N=np.array([1, 2, 3, 4, 5], np.float32),
    time_N=np.array([UNKNOWN, 10, 20, 7, 8]),
    split_N=np.array([0, 1, 2, 0, 2], np.int8),
)


def histories_of(lists: list[list[int]], gap: int = 60) -> Histories:
    """Training histories of these movies, `gap` seconds apart."""
    movie_N = np.array([movie for movies in lists for movie in movies], np.int32)
    offset_U1 = np.cumsum([0, *map(len, lists)])
    zeros_N = np.zeros(len(movie_N))
    time_N = 1000 + gap * np.arange(len(movie_N))
    user_U = np.arange(len(lists), dtype=np.int32)
    rating_N, split_N = zeros_N.astype(np.float32), zeros_N.astype(np.int8)
    return Histories(user_U, offset_U1, movie_N, rating_N, time_N, split_N)


def movies(histories: Histories) -> dict[int, list[int]]:
    """Each user's movies, by row number."""
    parts = np.split(histories.movie_N, histories.offset_U1[1:-1])
    return {int(u): part.tolist() for u, part in zip(histories.user_U, parts, strict=True)}


def asked(histories: Histories) -> list[int]:
    assert histories.asked_U is not None
    return histories.asked_U.tolist()


def test_parts_keep_users_and_order():
    assert movies(HISTORIES) == {2: [4, 5, 6], 5: [], 7: [4, 1]}
    assert movies(HISTORIES.until(TEST)) == {2: [4, 5], 5: [], 7: [4]}
    assert movies(HISTORIES.until(VALIDATION)) == {2: [4], 5: [], 7: [4]}
    assert movies(HISTORIES.of(TEST)) == {2: [6], 5: [], 7: [1]}
    assert movies(HISTORIES.slice(1, 3)) == {5: [], 7: [4, 1]}
    assert movies(HISTORIES.take(np.array([2, 0]))) == {7: [4, 1], 2: [4, 5, 6]}
    assert HISTORIES.owner_N.tolist() == [0, 0, 0, 2, 2]
    # By a model that knows movies 4 and 6 alone, under other numbers.
    place_M = np.array([-1, -1, -1, -1, 0, -1, 1])
    mapped = HISTORIES.by_movie(place_M)
    assert movies(mapped) == {2: [0, 1], 5: [], 7: [0]}
    assert mapped.rating_N.tolist() == [1, 3, 4]


def test_they_know_when_the_next_movie_is_asked_for():
    assert HISTORIES.asked_U is None
    assert asked(HISTORIES.until(VALIDATION)) == [10, UNKNOWN, 8]
    known = HISTORIES.until(TEST)
    assert asked(known) == [20, UNKNOWN, 8]
    assert asked(known.take(np.array([2, 0]))) == [8, 20]
    assert asked(known.slice(1, 3)) == [UNKNOWN, 8]
    assert asked(HISTORIES.slice(1, 3).until(TEST)) == [UNKNOWN, 8]


def test_files_of_users_are_read_in_the_order_of_users(tmp_path):
    ints, longs = pa.list_(pa.int32()), pa.list_(pa.int64())
    for name, user, movie, time in (("b", 7, [4, 1], [7, 8]), ("a", 2, [4, 5, 6], [None, 10, 20])):
        table = pa.table(
            {
                "user_idx": pa.array([user], pa.int32()),
                "movie_idx": pa.array([movie], ints),
                "rating": pa.array([[2.5] * len(movie)], pa.list_(pa.float32())),
                "rated_at": pa.array([time], longs),
                "split": pa.array([[0] * len(movie)], pa.list_(pa.int8())),
            }
        )
        pq.write_table(table, tmp_path / f"{name}.parquet")
    read = read_histories(tmp_path)
    assert movies(read) == {2: [4, 5, 6], 7: [4, 1]}
    assert read.time_N.tolist() == [UNKNOWN, 10, 20, 7, 8]
    assert (read.rating_N.dtype, read.split_N.dtype) == (np.float32, np.int8)


def test_what_is_no_folder_of_histories_says_so(tmp_path):
    with pytest.raises(ValueError, match="nothing cannot be read as histories"):
        read_histories(tmp_path / "nothing")
