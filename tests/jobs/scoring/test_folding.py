"""Nights that only score: rows of users who are new or have rated since, and their audit."""

import dataclasses
import shutil

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.scoring.folded_check import CHECKS, check_folded_in
from jobs.scoring.score_users import plans_of, score_planned
from model.data.histories import COLUMNS, Histories
from model.factors import load_factors
from model.known_ratings import digests
from tests.jobs.examples import saved_models, small_run, write
from tests.model.examples import factors

MOVIES = np.arange(10, 16, dtype=np.int32)
THEN: dict[int, dict[int, float]] = {1: {10: 4, 11: 2}, 2: {12: 5}, 3: {10: 3}, 4: {11: 5}}
# User 1 as then, 2 has rated one more, 3 rates it otherwise, 4 is gone, 5 and 6 are new, 6 with a
# movie that is new to the model, 7 has rated nothing.
NOW: dict[int, dict[int, float]] = {
    1: {10: 4, 11: 2},
    2: {12: 5, 10: 1},
    3: {10: 5},
    5: {11: 5, 14: 2},
    6: {15: 4},
    7: {},
}


def histories(rated: dict[int, dict[int, float]]) -> Histories:
    """Users by their place, movies by theirs in MOVIES."""
    counts = [len(own) for own in rated.values()]
    pairs = [pair for own in rated.values() for pair in own.items()]
    return Histories(
        np.arange(len(rated), dtype=np.int32),
        np.cumsum([0, *counts]),
        np.array([movie - 10 for movie, _ in pairs], np.int32),
        np.array([rating for _, rating in pairs], np.float32),
        np.full(len(pairs), -1),
        np.zeros(len(pairs), np.int8),
    )


def write_histories(folder, rated):
    folder.mkdir()
    known = histories(rated)
    lists = (
        pa.ListArray.from_arrays(known.offset_U1.astype(np.int32), column)
        for column in (known.movie_N, known.rating_N, known.time_N, known.split_N)
    )
    table = pa.table([known.user_U, *lists], names=COLUMNS)
    pq.write_table(table.filter(pa.array(known.count_U > 0)), folder / "part-0.parquet")


@pytest.fixture
def model(tmp_path):
    """Two factors and biases, of movies 10 to 14."""
    random = np.random.default_rng(1)
    learned = factors(
        random.normal(size=(4, 2)),
        random.normal(size=(6, 2)),
        random.normal(size=6),
        mean=3.0,
        user_bias_U=random.normal(size=4).astype(np.float32),
        movie_trained_M=np.array([True] * 5 + [False]),
        popular_M=np.linspace(3, 4, 6).astype(np.float32),
        movie_count_M=np.array([2, 2, 1, 1, 1, 0], np.int32),
        noise=0.5,
        known_U=digests(histories(THEN), MOVIES),
        user_sd_US=np.ones((4, 1), np.float32),
        movie_sd_MS=np.ones((6, 1), np.float32),
    )
    learned.save(tmp_path / "factors")
    return tmp_path / "factors"


@pytest.fixture
def night(spark, tmp_path, model):
    """Score a night of these ratings; returns the run, its figures and its rows."""

    def call(run_id, rated, *settings, base=None):
        overrides = ["score.top_k=3", "score.damping=0", *settings]
        run = small_run(tmp_path / "warehouse", overrides=overrides, run_id=run_id)
        run = dataclasses.replace(run, base_run=base)
        run.save()
        write(run.output("movies"), schemas.MOVIES, {}, [(m, f"M {m}", 2000, []) for m in MOVIES])
        write(run.output("users"), schemas.USERS, {}, [(user,) for user in rated])
        write(run.output("rated"), schemas.RATED, {}, [(u, sorted(r)) for u, r in rated.items()])
        given = [(u, m, r, None, "train") for u, own in rated.items() for m, r in own.items()]
        write(run.output("ratings"), schemas.RATINGS, {}, given)
        index = {"user": schemas.USER_INDEX, "movie": schemas.MOVIE_INDEX}
        for entity, ids in (("user", sorted(rated)), ("movie", MOVIES.tolist())):
            write(
                run.output(f"{entity}_index"),
                index[entity],
                {},
                [*zip(ids, range(99), strict=False)],
            )
        write_histories(run.output("histories"), rated)
        (run.folder / "steps").mkdir()
        write_json(run.folder / "steps/ingest.json", {"why_base": "none was fixed"})
        figures = score_planned(spark, run, plans_of(run, saved_models(model)))
        for step, record in (("score", figures), ("publish", {})):
            write_json(run.folder / "steps" / f"{step}.json", record)
        files = f"read_parquet('{run.output('scored')}/*/*.parquet', hive_partitioning = false)"
        rows = duckdb.execute(f"select * exclude run_id from {files} order by user_id, rank")
        return run, figures, rows.fetchall()

    return call


def test_who_is_new_or_has_rated_since_is_folded_in(night, model):
    run, figures, rows = night("now", NOW, "score.uncertainty=true")
    sources = {row[0]: row[5] for row in rows}
    assert sources == {
        **{1: "model", 2: "folded_in", 3: "folded_in", 5: "folded_in"},
        **{6: "popular", 7: "popular"},
    }
    assert (figures["users_folded_in"], figures["users_popular"]) == (3, 2)
    # Deviations are known of rows of the training alone.
    assert {row[0] for row in rows if row[9] is not None} == {1}
    # Every reason is a movie of the user's own; of popular movies there is none.
    reasons = {(row[0], movie) for row in rows if (movie := row[10]) is not None}
    assert {user for user, _ in reasons} == {1, 2, 3, 5}
    assert all(movie in NOW[user] for user, movie in reasons)
    assert figures["reasons"] == sum(row[10] is not None for row in rows)
    assert check_folded_in(run, saved_models(model)) == CHECKS
    # New movies, as 15, which user 6 has rated, are by what is known of them, whosever the list.
    run, _, rows = night("new", NOW, "score.new_movies=1", "score.damping=1")
    assert {row[0] for row in rows if row[5] == "content"} == {1, 2, 3, 5, 7}
    assert {row[0]: row[5] for row in rows if row[5] != "content"} == sources
    assert check_folded_in(run, saved_models(model)) == CHECKS
    # With ratings as then, nobody is, and rows are as ever.
    _, then, rows = night("then", THEN)
    assert then["users_folded_in"] == 0
    assert {row[5] for row in rows} == {"model"}


@pytest.mark.parametrize("order", ["score.damping=1", "score.lower_bound=1"])
def test_scored_again_are_those_who_have_rated_and_all_is_as_if_everybody_were(night, order):
    _, _, rows = night("base", NOW, order)
    assert any(row[10] for row in rows)
    later = {**NOW, 2: {12: 5, 10: 2}, 7: {13: 4}, 8: {10: 1}}
    _, _, full = night("full", later, order)
    figures, some = night("some", later, order, base="base")[1:]
    assert some == full
    assert (figures["users_scored"], figures["users_kept"], figures["base_run"]) == (3, 4, "base")


def test_a_model_of_an_earlier_version_folds_nobody_in(night, model, capsys):
    shutil.copytree(model, model.with_name("kept"))
    earlier = dataclasses.replace(load_factors(model.with_name("kept")), noise=None, known_U=None)
    earlier.save(model)
    run, figures, rows = night("run", NOW)
    assert figures["users_folded_in"] == 0
    assert {row[0]: row[5] for row in rows}[5] == "popular"
    assert "get no rows of tonight" in capsys.readouterr().out
    check_folded_in(run, saved_models(model))


@pytest.mark.parametrize(
    ("column", "user", "value", "failed"),
    [
        ("source", 2, "model", 0),
        ("source", 1, "folded_in", 0),
        ("source", 7, "folded_in", 0),
        ("source", 6, "model", 0),
        ("rating_sd", 3, 0.5, 1),
        ("predicted_rating", 5, 2.5, 2),
    ],
)
def test_the_audit_finds_rows_that_are_not_what_they_say(night, model, column, user, value, failed):
    run, _, _ = night("now", NOW)
    for file in run.output("scored").glob("*/*.parquet"):
        table = pq.ParquetFile(file).read()
        at = table.column_names.index(column)
        values = [value if row["user_id"] == user else row[column] for row in table.to_pylist()]
        kind = pa.string() if column == "source" else pa.float32()
        pq.write_table(table.set_column(at, column, pa.array(values, kind)), file)
    with pytest.raises(JobError, match=f"{CHECKS[failed]}. Example: user {user}, "):
        check_folded_in(run, saved_models(model))
