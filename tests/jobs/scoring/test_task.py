"""Scoring by a model that is older than the ratings, by hand; ranges and devices of tasks."""

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import is_held
from jobs.scoring.inputs import Inputs, write_inputs
from jobs.scoring.models import Models, Version
from jobs.scoring.plan import ScoringPlan
from jobs.scoring.task import Scoring, even_ranges, score_range, task_device
from model.ranking.lists import Lists
from tests.jobs.examples import small_run, write
from tests.model.examples import factors

# Users 1 and 2, movies 10 to 13.
OLDER = factors(
    [[1], [2]],
    [[1], [3], [2], [4]],
    popular_M=np.array([2.5, 4.5, 3.5, 1.5], np.float32),
)
MOVIES: list[tuple] = [
    (10, "A", 2000, []),
    (11, "B", 2000, []),
    (12, "C", 2000, [], "B00X"),
    (13, "D", 2000, []),
]
MOVIES += [(20, "New", 2000, [])]
RATED = {
    1: [11, 999],  # a movie that the model does not know: no other is taken for it
    2: [],
    99: [11],  # a user whom it does not know
}


def inputs_of(tmp_path, rated, users=None) -> Inputs:
    """What is scored of these data, which lie in two files, in the order of users over both."""
    run = small_run(tmp_path)
    write(run.data("movies"), schemas.MOVIES, {}, MOVIES)
    write(run.data("users"), schemas.USERS, {}, [(99, *[None] * 4, "u-99"), (1,), (2,)])
    rows = list(rated.items())
    write(run.data("rated"), schemas.RATED, {}, rows[:1], "part-0.parquet")
    write(run.data("rated"), schemas.RATED, {}, rows[1:], "part-1.parquet")
    movie_ids = np.array([row[0] for row in MOVIES], np.int32)
    models = Models(Version("3", OLDER, tmp_path), None)
    ids = None if users is None else np.array(users, np.int32)
    plan = ScoringPlan(
        *(run, models, OLDER, OLDER, movie_ids, None, False),
        explained=None,
        figures={},
        user_ids=ids,
    )
    return write_inputs(plan, tmp_path / "inputs")


def scored(tmp_path, top_k=2, users=None) -> list[tuple]:
    OLDER.save(tmp_path / "factors")
    inputs = inputs_of(tmp_path, RATED, users)
    target = tmp_path / "scored" / "ds=2026-01-02"
    target.mkdir(parents=True)
    scoring = Scoring(
        factors=tmp_path / "factors",
        ranking=tmp_path / "factors",
        base=None,
        inputs=tmp_path / "inputs",
        target=target,
        top_k=top_k,
        device="cpu",
        model_version="3",
        order_version=None,
        run_id="run",
    )
    figures = [score_range(scoring, (u, u + 1), "cpu") for u in range(len(inputs.user_ids_U))]
    table = pq.read_table(tmp_path / "scored")
    assert table.num_rows == sum(rows for _, rows, _ in figures)
    assert set(table.column_names) == set(schemas.columns_of(schemas.RECOMMENDATIONS))
    names = ["user_id", "rank", "movie_id", "title", "predicted_rating", "source"]
    assert set(table["run_id"].to_pylist()) == {"run"}
    # Who and what has no number of ours is called as the source calls it.
    for entity, by_id in (("user", {99: "u-99"}), ("movie", {12: "B00X"})):
        ids = table[f"{entity}_id"].to_pylist()
        assert table[f"source_{entity}_id"].to_pylist() == list(map(by_id.get, ids))
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
    with pytest.raises(JobError, match="not in the order of users"):
        inputs_of(tmp_path, {2: [], 1: []})


def ranges(counts, movies, tasks, kept=()):
    """Ranges of users who have rated so many movies, and some of whom are kept."""
    rated = Lists(np.cumsum([0, *counts]), np.empty(0, np.int32))
    return even_ranges(rated, movies, tasks, np.isin(np.arange(len(rated)), kept))


def test_ranges_follow_the_cost():
    # The first user has rated as much as all others together: that is half of the work.
    assert ranges([9_001, *[1_000] * 9], 0, 2) == [(0, 1), (1, 10)]
    assert ranges([0] * 10, 50, 2) == [(0, 5), (5, 10)]
    # Of the first eight the rows are taken over: the other two are all of the work.
    assert ranges([0] * 10, 50, 2, kept=range(8)) == [(0, 9), (9, 10)]


@given(st.lists(st.integers(0, 500), max_size=60), st.integers(0, 3000), st.integers(1, 20))
def test_ranges_cover_all_users_once_and_evenly(rated, movies, tasks):
    found = ranges(rated, movies, tasks)
    assert found[0][0] == 0
    assert found[-1][1] == len(rated)
    assert [a for a, _ in found[1:]] == [b for _, b in found[:-1]]
    cost = np.maximum(movies, 1) + 100 * np.array([*rated, 0])
    most = max(cost[a:b].sum() for a, b in found)
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
    lock = tmp_path / f"nightreel-cuda-0-{os.getuid()}.lock"
    with task_device("auto") as name:
        assert name == "cuda:0"
        assert is_held(lock)
    assert not is_held(lock)
