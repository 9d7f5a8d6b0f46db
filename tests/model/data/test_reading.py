"""Epochs from memory and from a stream: every row once, in an order of their own."""

from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from model.data.ratings import Ratings
from model.data.reading import MemoryShard, even_parts, read_shard
from model.data.streaming import ShufflingQueue, StreamShard
from model.training.loop import train


def pairs(ratings: Ratings) -> list[tuple[int, int]]:
    return list(zip(ratings.user_N.tolist(), ratings.movie_N.tolist(), strict=True))


def make(kind: str, folder: str, seed: int = 1, rank: int = 0, ranks: int = 1):
    if kind == "memory":
        return MemoryShard(read_shard(Path(folder), rank, ranks), [seed, rank])
    return StreamShard(Path(folder), rank, ranks, seed, queue_rows=400)


def epoch(shard, number: int, steps: int = 7, start: int = 0) -> list[list[tuple[int, int]]]:
    sizes = even_parts(shard.rows, steps)
    return [pairs(batch) for batch in shard.batches(number, sizes, start)]


@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_every_epoch_has_every_row_once_in_an_order_of_its_own(spec, ratings, kind):
    folder = spec(sizes=(500, 400, 300)).train
    shard = make(kind, folder)
    first, second = epoch(shard, 1), epoch(shard, 2)
    assert [len(batch) for batch in first] == even_parts(1200, 7)
    rows = Counter(
        zip(
            ratings["user_idx"][:1200].to_pylist(),
            ratings["movie_idx"][:1200].to_pylist(),
            strict=True,
        )
    )
    assert Counter(chain(*first)) == Counter(chain(*second)) == rows
    assert first != second
    assert epoch(make(kind, folder), 1) == first
    assert epoch(make(kind, folder, seed=2), 1) != first
    assert epoch(shard, 1, start=4) == first[4:]


@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_two_ranks_share_the_row_groups(spec, kind):
    folder = spec(sizes=(500, 400, 300)).train
    shards = [make(kind, folder, rank=rank, ranks=2) for rank in (0, 1)]
    assert [shard.rows for shard in shards] == [800, 400]
    parts = [set(chain(*epoch(shard, 1))) for shard in shards]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 1200


def test_rows_of_different_row_groups_meet_in_a_batch(spec):
    shard = make("stream", spec(sizes=[100] * 12).train)
    own = [set(pairs(block)) for block in shard.blocks()]
    met = [sum(any(p in group for p in batch) for group in own) for batch in epoch(shard, 1, 12)]
    # A queue of 400 rows holds 4 row groups of 100.
    assert np.mean(met) > 3


def test_the_shuffling_queue_draws_without_replacement():
    waiting = ShufflingQueue(np.random.default_rng(0))
    drawn: list[int] = []
    for start in (0, 10, 20):
        waiting.put([np.arange(start, start + 10)])
        drawn += waiting.take(7)[0].tolist()
    drawn += waiting.take(9)[0].tolist()
    assert sorted(drawn) == list(range(30))


@pytest.mark.parametrize("reading", ["memory", "stream"])
def test_a_damaged_file_is_named(spec, reading):
    chosen = spec(reading=reading, memory_rows=100)
    damaged = Path(chosen.train) / "1.parquet"
    content = bytearray(damaged.read_bytes())
    content[4:200] = bytes(196)
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"1\.parquet cannot be read as ratings .*Run etl again"):
        train(chosen)


def test_a_file_that_goes_in_the_middle_of_training_is_named(spec):
    folder = Path(spec(sizes=[100] * 12).train)
    shard = make("stream", str(folder))
    assert len(epoch(shard, 1)) == 7
    (folder / "5.parquet").unlink()
    with pytest.raises(ValueError, match=r"5\.parquet has gone while it was being read"):
        epoch(shard, 2)
