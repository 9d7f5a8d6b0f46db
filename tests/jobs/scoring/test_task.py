"""Scoring by a model that is older than the ratings, by hand; ranges and devices of tasks."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import is_held
from jobs.scoring.inputs import write_inputs
from jobs.scoring.task import Scoring, even_ranges, score_range, task_device
from tests.model.examples import factors

# Users 1 and 2, movies 10 to 13.
OLDER = factors(
    [[1], [2]],
    [[1], [3], [2], [4]],
    popular_M=np.array([2.5, 4.5, 3.5, 1.5], np.float32),
)
MOVIES = pa.table(
    {"movie_id": pa.array([10, 11, 12, 13, 20], pa.int32()), "title": ["A", "B", "C", "D", "New"]}
)
RATED = {
    1: [11, 999],  # a movie that the model does not know: no other is taken for it
    2: [],
    99: [11],  # a user whom it does not know
}


def write_rated(folder, rated=RATED):
    """Two files, in the order of users over both."""
    folder.mkdir()
    users = list(rated)
    for i, part in enumerate((users[:1], users[1:])):
        lists = pa.array([rated[user] for user in part], pa.list_(pa.int32()))
        table = pa.table({"user_id": pa.array(part, pa.int32()), "movie_ids": lists})
        pq.write_table(table, folder / f"part-{i}.parquet")
    return folder


def scored(tmp_path, top_k=2, user_ids=None) -> list[tuple]:
    OLDER.save(tmp_path / "factors")
    rated = write_rated(tmp_path / "rated")
    inputs = write_inputs(tmp_path / "inputs", OLDER, MOVIES, rated, user_ids)
    target = tmp_path / "scored" / "ds=2026-01-02"
    target.mkdir(parents=True)
    scoring = Scoring(
        factors=str(tmp_path / "factors"),
        ranking=str(tmp_path / "factors"),
        base=None,
        inputs=str(tmp_path / "inputs"),
        target=str(target),
        top_k=top_k,
        device="cpu",
        model_version="3",
        run_id="run",
    )
    figures = [score_range(scoring, (u, u + 1), "cpu") for u in range(len(inputs.user_ids_U))]
    table = pq.read_table(tmp_path / "scored")
    assert table.num_rows == sum(rows for _, rows in figures)
    assert set(table.column_names) == set(schemas.columns_of(schemas.RECOMMENDATIONS))
    names = ["user_id", "rank", "movie_id", "title", "predicted_rating", "source"]
    assert set(table["run_id"].to_pylist()) == {"run"}
    return [tuple(row.values()) for row in table.select(names).to_pylist()]


def test_a_model_older_than_the_ratings(tmp_path):
    assert scored(tmp_path) == [
        (1, 1, 13, "D", 4.0, "model"),
        (1, 2, 12, "C", 2.0, "model"),
        # Scores 8 and 6: shown as the top of the scale, and still in their order.
        (2, 1, 13, "D", 5.0, "model"),
        (2, 2, 11, "B", 5.0, "model"),
        (99, 1, 12, "C", 3.5, "popular"),
        (99, 2, 10, "A", 2.5, "popular"),
    ]


def test_every_pair_of_chosen_users(tmp_path):
    rows = scored(tmp_path, None, [1, 99])
    assert [row[:3] for row in rows] == [
        (1, 1, 13), (1, 2, 12), (1, 3, 10), (99, 1, 12), (99, 2, 10), (99, 3, 13),
    ]  # fmt: skip


def test_rated_movies_out_of_order_are_refused(tmp_path):
    rated = write_rated(tmp_path / "rated", {2: [], 1: []})
    with pytest.raises(JobError, match="not in the order of users"):
        write_inputs(tmp_path / "inputs", OLDER, MOVIES, rated, None)


def test_ranges_follow_the_cost():
    # The first user has rated as much as all others together: that is half of the work.
    offset = np.cumsum([0, 9_001, *[1_000] * 9])
    assert even_ranges(offset, 0, 2) == [(0, 1), (1, 10)]
    assert even_ranges(np.zeros(11, int), 50, 2) == [(0, 5), (5, 10)]
    # Of the first eight the rows are taken over: the other two are all of the work.
    kept = np.arange(10) < 8
    assert even_ranges(np.zeros(11, int), 50, 2, kept) == [(0, 9), (9, 10)]


@given(st.lists(st.integers(0, 500), max_size=60), st.integers(0, 3000), st.integers(1, 20))
def test_ranges_cover_all_users_once_and_evenly(rated, movies, tasks):
    offset = np.cumsum([0, *rated])
    ranges = even_ranges(offset, movies, tasks)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(rated)
    assert [a for a, _ in ranges[1:]] == [b for _, b in ranges[:-1]]
    cost = np.maximum(movies, 1) + 100 * np.array([*rated, 0])
    most = max(cost[a:b].sum() for a, b in ranges)
    assert most <= cost[:-1].sum() / min(tasks, max(len(rated), 1)) + cost.max()


def device(wanted: str) -> str:
    with task_device(wanted) as name:
        return name


def test_a_machine_without_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device("cpu") == device("auto") == "cpu"
    with pytest.raises(JobError, match="torch finds no GPU"):
        device("cuda")


def test_a_gpu_serves_one_task_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert device("cpu") == "cpu"
    lock = tmp_path / "nightreel-cuda-0.lock"
    with task_device("auto") as name:
        assert name == "cuda:0"
        assert is_held(lock)
    assert not is_held(lock)
