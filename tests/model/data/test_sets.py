"""Sets: every history of two movies or more is in one step of an epoch, whole."""

import numpy as np

from model.data.sets import SetShard, sets_of
from tests.model.data.test_histories import histories_of


def test_an_epoch_deals_whole_histories_to_even_steps():
    lists = [[1, 2], [], [3], [4, 5, 6], [7, 8], [0, 9, 2, 4], [1, 3]]
    shard = SetShard(histories_of(lists), seed=3, rank=0)
    assert shard.rows == 8
    parts = shard.epoch(1, 3)
    assert all(2 <= shard.rows_in(part) <= 4 for part in parts)
    seen = []
    for part, batch in zip(parts, shard.batches(parts), strict=True):
        assert len(batch) == shard.rows_in(part)
        ends = np.cumsum(batch.count_B)
        assert batch.first_B.tolist() == [0, *ends[:-1].tolist()]
        seen += [movies.tolist() for movies in np.split(batch.movie_P.numpy(), ends[:-1])]
    assert sorted(seen) == sorted(movies for movies in lists if len(movies) > 1)
    again, other = shard.epoch(1, 3), shard.epoch(2, 3)
    assert [part.tolist() for part in again] == [part.tolist() for part in parts]
    assert [part.tolist() for part in other] != [part.tolist() for part in parts]
    # Where there are few histories some steps are empty, and a batch of none is a batch.
    assert sum(len(batch) for batch in shard.batches(shard.epoch(1, 50))) == 8


def test_sets_are_of_users_in_order():
    sets = sets_of(histories_of([[4, 2], [7]]))
    assert (sets.movie_P.tolist(), sets.count_B.tolist()) == ([4, 2, 7], [2, 1])
