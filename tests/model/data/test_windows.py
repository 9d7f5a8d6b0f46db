"""Windows: every movie but a history's first is a target once an epoch, with what came before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.data.histories import UNKNOWN
from model.data.windows import WindowShard, cut, gaps
from tests.model.data.test_histories import HISTORIES, histories_of


def test_gaps_need_both_times():
    assert gaps(HISTORIES).tolist() == [UNKNOWN, UNKNOWN, 10, UNKNOWN, 1]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 9))
def test_windows_hold_every_target_once(targets, window, seed):
    found = cut(np.array(targets), window, np.random.default_rng(seed))
    places = [(u, s + p) for u, s, n in zip(*found, strict=True) for p in range(n)]
    assert sorted(places) == [(u, p) for u, n in enumerate(targets) for p in range(n)]
    assert all(1 <= length <= window for length in found[2])


def test_an_epoch_is_of_even_steps_and_its_seeds_own():
    lists = [list(range(n)) for n in (1, 2, 9, 40, 3, 17)]
    shard = WindowShard(histories_of(lists, gap=7), 5, seed=3, rank=0)
    assert shard.rows == 66
    parts = shard.epoch(1, 6)
    batches = list(shard.batches(parts))
    pairs = []
    for batch in batches:
        assert (batch.gap_BL[batch.real_BL] == 7).all()
        # Movies were numbered in order.
        assert (batch.target_BL == batch.movie_BL + 1)[batch.real_BL].all()
        assert 7 <= len(batch) <= 15
        pairs += batch.movie_BL[batch.real_BL].tolist()
    assert sorted(pairs) == sorted(p for movies in lists for p in movies[:-1])
    again, other = shard.epoch(1, 6), shard.epoch(2, 6)
    assert [p[0].tolist() for p in again] == [p[0].tolist() for p in parts]
    assert [p[0].tolist() for p in other] != [p[0].tolist() for p in parts]
    # Where there are few windows some steps are empty, and a batch of none is a batch.
    assert sum(len(batch) for batch in shard.batches(shard.epoch(1, 50))) == 66
