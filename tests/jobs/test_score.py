"""Whole scoring steps in Spark: filters, lists, damping, and the rows that are taken over."""

from dataclasses import replace

import duckdb
import numpy as np
import pytest

from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.scoring.given_ids import IdFile
from jobs.scoring.score_users import plans_of, score_planned
from tests.jobs.examples import saved_models, small_run, write
from tests.jobs.scoring.test_incremental import publish, publish_run
from tests.model.examples import factors

# Users 1 to 4, whose only factor is their number, so that best movies are those of the largest
# factor; user 3 the other way round, and nothing is known of user 4. Movies 10 to 15; nothing is
# known of 15.
MODEL = factors(
    [[1], [2], [-1], [0]],
    [[1], [0.5], [2], [1.5], [0.25], [0]],
    mean=3.0,
    user_trained_U=np.array([True, True, True, False]),
    movie_trained_M=np.array([True] * 5 + [False]),
    popular_M=np.array([3.5, 4.5, 3.25, 3, 4, 3], np.float32),
    movie_count_M=np.array([8, 8, 1, 8, 8, 0], np.int32),
)
# Movie 16 is new to the model.
MOVIES = [
    (movie, f"Movie {movie}", 2000 + movie, ["War"] if movie == 13 else ["Drama"])
    for movie in range(10, 17)
]
RATED = {1: [10], 2: [], 3: [11], 4: [11], 5: []}


@pytest.fixture
def scored(spark, tmp_path):
    """Score a run of this data; returns its figures and (user, rank, movie, ...) of its rows."""
    MODEL.save(tmp_path / "factors")

    def call(run_id, *settings, rated=RATED, movies=MOVIES, base=None, **changes):
        overrides = ["score.top_k=2", "score.damping=0", *settings]
        run = small_run(tmp_path / "warehouse", overrides=overrides, run_id=run_id)
        run = replace(run, base_run=base, **changes)
        run.save()
        write(run.output("movies"), schemas.MOVIES, {}, movies)
        write(run.output("users"), schemas.USERS, {}, [(user,) for user in rated])
        write(run.output("rated"), schemas.RATED, {}, list(rated.items()))
        ratings = [(user, movie, 3.0, None, "train") for user in rated for movie in rated[user]]
        write(run.output("ratings"), schemas.RATINGS, {}, ratings)
        lists = run.conf.score.candidates
        if lists:
            IdFile("score.candidates", lists, ("user_id", "movie_id")).write(
                run.output("candidates")
            )
        (run.folder / "steps").mkdir()
        write_json(run.folder / "steps/ingest.json", {"why_base": "none was fixed"})
        folder = tmp_path / "factors"
        figures = score_planned(spark, run, plans_of(run, saved_models(folder)))
        for step, record in (("score", figures), ("publish", {})):
            write_json(run.folder / "steps" / f"{step}.json", record)
        files = f"read_parquet('{run.output('scored')}/*/*.parquet', hive_partitioning = false)"
        rows = duckdb.execute(
            f"select * exclude (run_id, variant) from {files} order by user_id, rank"
        )
        return figures, rows.fetchall()

    return call


def movies_of(rows) -> dict[int, list[int]]:
    return {user: [row[2] for row in rows if row[0] == user] for user in {row[0] for row in rows}}


def test_everybody_by_model_or_by_popularity(scored):
    figures, rows = scored("run")
    assert movies_of(rows) == {1: [12, 13], 2: [12, 13], 3: [14, 10], 4: [14, 10], 5: [11, 14]}
    # Unclipped scores order what lies beyond the scale; user 5 is unknown to the model.
    assert rows[2] == (2, 1, 12, "Movie 12", 5.0, "model", "1", 7.0, *[None] * 7)
    assert rows[8] == (5, 1, 11, "Movie 11", 4.5, "popular", "1", 4.5, *[None] * 7)
    assert {name: figures[name] for name in ("users", "users_scored", "users_popular")} == {
        **{"users": 5, "users_scored": 5, "users_popular": 2}
    }
    assert (figures["movies"], figures["movies_new"], figures["movies_scored"]) == (7, 2, 5)
    assert figures["why_all"] == "none was fixed"


def test_similar_movies_of_each_movie_are_those_that_may_be_recommended(scored, tmp_path):
    # Of 10 and 11 the same users want more; of 12 the others do; 13 nobody more than anybody else.
    replace(
        MODEL,
        movie_MK=np.array([[1], [0.5], [-2], [0], [0.25], [0]], np.float32),
    ).save(tmp_path / "factors")
    figures, _ = scored("run", "score.block_list=[11]", "score.similar=2")
    folder = tmp_path / "warehouse/runs/run/similar_movies"
    rows = duckdb.execute(
        f"select * exclude (ds, source_movie_id, source_similar_id) from '{folder}/*/*.parquet'"
    ).fetchall()
    assert {row[-1] for row in rows} == {"rating/1"}
    assert [row[:-1] for row in rows] == [
        (10, 1, 14, "Movie 14", 1.0),
        (10, 2, 12, "Movie 12", -1.0),
        (11, 1, 10, "Movie 10", 1.0),
        (11, 2, 14, "Movie 14", 1.0),
        (12, 1, 10, "Movie 10", -1.0),
        (12, 2, 14, "Movie 14", -1.0),
        (14, 1, 10, "Movie 10", 1.0),
        (14, 2, 12, "Movie 12", -1.0),
    ]
    assert figures["similar"] == 8
    # None are asked for, or chosen users are scored.
    assert scored("none", "score.similar=0")[0]["similar"] == 0
    assert scored("some", users=[1])[0]["similar"] is None


def test_filters_lists_and_damping(scored, tmp_path):
    (tmp_path / "lists.csv").write_text("user_id,movie_id\n2,10\n2,13\n2,14\n2,15\n4,14\n4,11\n")
    figures, rows = scored(
        "run",
        *("score.genres_out=[War]", "score.block_list=[10]", "score.damping=1"),
        f"score.candidates={tmp_path}/lists.csv",
    )
    assert figures["filtered"] == {"genres_out": 1, "block_list": 1}
    assert figures["movies_scored"] == 3
    # Left are 11, 12 and 14; of the lists, less what was rated, 14 for both.
    assert movies_of(rows) == {1: [12, 11], 2: [14], 3: [14, 12], 4: [14], 5: [11, 14]}
    # Movie 12 has one rating, and so half of 3 + 2 - 3; the prediction stays as it is.
    assert rows[0] == (1, 1, 12, "Movie 12", 5.0, "model", "1", 4.0, *[None] * 7)
    popular = next(row for row in rows if row[0] == 5)
    assert popular[4:] == (4.5, "popular", "1", pytest.approx(3 + 1.5 * 8 / 9), *[None] * 7)


def test_no_movie_comes_again_before_its_time(scored, tmp_path):
    """User 1 was shown 12 last night, and 13 the night before; of user 4's list nothing is left."""
    warehouse = tmp_path / "warehouse"
    publish_run(warehouse, "last", "2026-01-01")
    for ds, pairs in {"2026-01-01": [(1, 12), (4, 13)], "2025-12-31": [(1, 13)]}.items():
        rows = [(u, 1, movie, "A", 4.5, "model", "1", "last", 4.5) for u, movie in pairs]
        publish(warehouse, "recommendations", {"ds": ds}, rows)
    (tmp_path / "lists.csv").write_text("user_id,movie_id\n4,13\n")
    settings = [f"score.candidates={tmp_path}/lists.csv"]
    figures, rows = scored("one", "score.repeat_after=1", *settings)
    assert movies_of(rows) == {1: [13, 11], 2: [12, 13], 3: [14, 10], 5: [11, 14]}
    assert figures["nights_before"] == ["2026-01-01"]
    _, rows = scored("two", "score.repeat_after=2", *settings)
    assert movies_of(rows)[1] == [11, 14]


def test_lists_chosen_by_the_genres_of_movies(scored):
    named: tuple[list[str], ...] = (["Comedy"], ["Drama"], ["War"], ["War"], ["Drama"], [])
    movies = [(movie, "A", 2000, of) for movie, of in zip(range(10, 16), named, strict=True)]
    _, rows = scored("capped", "score.genre_cap=1", "score.top_k=4", movies=movies)
    # User 2's best are 12 and 13, of which the second is a War too; then 10, 11 and another Drama.
    # To user 1, who has rated 10, two genres are left.
    lists = {1: [12, 11], 2: [12, 10, 11], 3: [14, 10, 13], 4: [14, 10, 12], 5: [11, 10, 12]}
    assert movies_of(rows) == lists
    settings = ("score.diversity=0.3", "score.top_k=3")
    _, rows = scored("diverse", *settings, movies=movies)
    assert [(row[2], row[7]) for row in rows if row[0] == 2] == [(12, 7), (10, 5), (13, 6)]
    figures, again = scored("again", *settings, movies=movies, base="diverse")
    assert again == rows
    assert figures["users_kept"] == 5
    # Who has rated a Drama is given one first, of which the score is the least.
    settings = ("score.calibration=0.5", "score.top_k=2")
    _, rows = scored("like", *settings, movies=movies, rated={2: [14]})
    assert movies_of(rows) == {2: [11, 12]}


def test_deviations_and_the_order_by_lower_bounds(scored, tmp_path):
    replace(
        MODEL,
        user_sd_US=np.array([[1], [0.5], [1], [0]], np.float32),
        movie_sd_MS=np.array([[1], [1], [4], [1], [1], [0]], np.float32),
    ).save(tmp_path / "factors")
    _, rows = scored("run", "score.uncertainty=true")
    assert [row[9] for row in rows] == [4, 1, 2, 0.5, 1, 1, *[None] * 4]
    assert [row[2] for row in rows[:2]] == [12, 13]
    _, rows = scored("bound", "score.lower_bound=1", "score.damping=1")
    # 3 + 2 - 4 of movie 12 is less than 3 + 1.5 - 1 of 13, and than 3 + 0.5 - 1 of 11.
    assert [(row[2], row[7], row[9]) for row in rows[:2]] == [(13, 3.5, None), (11, 2.5, None)]
    # Taken over with their deviations, and only where these were asked for.
    settings = ["score.uncertainty=true"]
    _, full = scored("full", *settings)
    figures, again = scored("again", *settings, base="full")
    assert again == full
    assert figures["users_kept"] == 5
    assert scored("other", base="full")[0]["why_all"].endswith("changed: uncertainty")


def test_new_movies_have_the_places_that_are_theirs(scored, tmp_path):
    """15 and 16 are new, of both the same is known, of 17 nothing; users 2 and 4 have lists."""
    (tmp_path / "lists.csv").write_text("user_id,movie_id\n2,11\n2,16\n4,12\n4,14\n")
    movies = [*MOVIES, (17, "17", None, [])]
    lists = f"score.candidates={tmp_path}/lists.csv"
    # Only 10 and 11 have a rating, which new movies need not have.
    settings = ["score.new_movies=1", "score.min_ratings=1", lists]
    figures, rows = scored("run", *settings, movies=movies)
    found = movies_of(rows)
    assert {user: sorted(own) for user, own in found.items()} == {
        **{1: [11, 15], 2: [11, 16], 3: [10, 15], 5: [11, 15]}
    }
    assert {row[5] for row in rows if row[2] > 14} == {"content"}
    assert {row[5] for row in rows if row[2] < 15} == {"model", "popular"}
    assert (figures["new_movies"], figures["movies_scored"]) == (2, 2)
    # All filters hold but that of ratings; of all pairs, so many new ones at most.
    _, rows = scored("all", "score.new_movies=1", "score.block_list=[15]", "score.top_k=all")
    assert {row[2] for row in rows} == {10, 11, 12, 13, 14, 16}
    assert [row[0] for row in rows if row[2] == 16] == [1, 2, 3, 4, 5]
    # Taken over where the same is known of the same movies, and not else.
    scored("base", *settings, movies=movies)
    _, full = scored("full", *settings, movies=movies)
    figures, again = scored("again", *settings, movies=movies, base="base")
    assert (again, figures["users_kept"]) == (full, 5)
    movies[5] = (15, "Movie 15", 2015, ["War"])
    figures, _ = scored("other", *settings, movies=movies, base="base")
    assert figures["why_all"] == "since run base, this has changed: new movies"


def test_what_is_taken_over_is_what_would_be_scored(scored, tmp_path):
    """Users 1 and 3 stay as they were, 2 rates a movie, 5 is gone, 6 is new; a title changes."""
    lists = tmp_path / "lists.csv"
    lists.write_text("user_id,movie_id\n1,13\n1,14\n4,13\n4,14\n")
    settings = [f"score.candidates={lists}", "score.damping=1"]
    scored("base", *settings)
    lists.write_text("user_id,movie_id\n1,13\n1,14\n4,13\n4,12\n")
    now = {1: [10], 2: [12], 3: [11], 4: [11], 6: [10]}
    movies = [(10, "Other title", 2010, ["Drama"]), *MOVIES[1:]]
    _, full = scored("full", *settings, rated=now, movies=movies)
    figures, incremental = scored("some", *settings, rated=now, movies=movies, base="base")
    assert incremental == full
    assert (figures["users_scored"], figures["users_kept"]) == (3, 2)
    assert (figures["base_run"], figures["why_all"]) == ("base", None)
    assert any(row[0] == 3 and row[3] == "Other title" for row in full)
    # Another top_k changes everybody's rows.
    figures, rows = scored("other", *settings, "score.top_k=1", rated=now, base="base")
    assert (figures["users_scored"], figures["base_run"]) == (5, None)
    assert figures["why_all"] == "since run base, this has changed: top_k"
    assert len(rows) == 5


def test_a_model_that_knows_no_deviations_scores_all_the_same(scored, capsys):
    _, rows = scored("plain", "score.damping=0")
    settings = ("score.uncertainty=true", "score.lower_bound=1", "score.damping=0")
    figures, without = scored("sure", *settings)
    assert without == rows
    assert figures["lower_bound"] is None
    assert "rating_sd stays empty, and damping orders" in capsys.readouterr().out


def test_what_cannot_be_scored_is_refused_before_anything_is_written(scored, tmp_path):
    replace(MODEL, movie_count_M=None).save(tmp_path / "factors")
    with pytest.raises(JobError, match=r"score.damping is 5, but model version 1 cannot be damped"):
        scored("old", "score.damping=5")
    with pytest.raises(JobError, match="knows none of the 1 movies that the filters leave"):
        scored("none", "score.year_from=2016")
    with pytest.raises(JobError, match=r"Release ml-1m has no user 7, 9\."):
        scored("nobody", users=[1, 7, 9])
    assert not list(tmp_path.glob("warehouse/runs/*/scored"))
