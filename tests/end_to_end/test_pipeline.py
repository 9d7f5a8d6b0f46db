"""One run from delivery to answers, on a small delivery."""

import re

import numpy as np
import pytest

from jobs.runs.run import open_run
from jobs.runs.schemas import NULLABLE, PUBLISHED, columns_of
from jobs.runs.warehouse import warehouse_named
from jobs.training.registry import Registry
from tests.model.examples import learned_from


def test_every_user_gets_unrated_movies_of_their_taste(published):
    """Even users like even movies: what is recommended first must agree."""
    assert published.sql(
        "select count(*), count(distinct user_id) from recommendations where ds = '2026-01-02'"
    ) == [(120 * 20, 120)]
    assert published.sql(
        "select count(*) from recommendations join ratings using (user_id, movie_id)"
    ) == [(0,)]
    [(agree,)] = published.sql(
        "select avg((user_id % 2 = movie_id % 2)::int) from recommendations where rank <= 10 "
        "and ds = '2026-01-02'"
    )
    assert agree > 0.8


def test_the_run_says_what_was_done(published):
    [row] = published.sql(
        "select release, users, movies, quarantined, promoted, rows_published from runs "
        "where run_id = 'first'"
    )
    assert row == ("ml-1m", 120, 61, 2, True, 2400)
    reasons = published.sql(
        "select file, reason from quarantine where run_id = 'first' order by line"
    )
    assert [reason for _, reason in reasons] == [
        "expected 4 fields, found 3",
        "movie_id 69 is not in movies.dat",
    ]


def test_what_is_never_null_is_not(published):
    # Of the tables, these alone are none of every nightly run's.
    for name in PUBLISHED.keys() - {"comparisons", "replays", "recommendations_shadow"}:
        ddl, _ = PUBLISHED[name]
        told = [column for column in columns_of(ddl) if column not in NULLABLE[name]]
        [found] = published.sql(
            f"select {', '.join(f'count({each})' for each in told)} from {name}"
        )
        [(rows,)] = published.sql(f"select count(*) from {name}")
        assert rows > 0, name
        assert dict(zip(told, found, strict=True)) == dict.fromkeys(told, rows), name


def test_what_scores_has_learned_from_all_ratings_after_it_was_measured(published):
    """Both are one version: its figures are of the one, and the table is of the other."""
    row = "select ratings, refit_ratings, model_version, order_version from runs where run_id = "
    [(ratings, refit_ratings, version, order_version)] = published.sql(row + "'first'")
    assert refit_ratings == ratings
    run = open_run(warehouse_named(str(published.folder)), "first")
    etl, evaluation = run.record("etl"), run.record("evaluate")
    assert run.record("refit")["epochs"] == run.record("train")["best_epoch"]
    registries = [(Registry.of(run), version), (Registry.of(run, "order"), order_version)]
    for registry, number in registries:
        if number:
            measured, scores = registry.measured(number)[1], registry.factors(number)
            assert scores.manifest["refit_ratings"] == ratings == learned_from(scores)
            assert learned_from(measured) < ratings
            assert "refit_ratings" not in measured.manifest
    registry = Registry.of(run)
    assert learned_from(registry.measured(version)[1]) == etl["train"]
    facts = {"split": "test", "ratings": etl["test"], "rmse": evaluation["test_rmse"]}
    assert registry.factors(version).manifest["measured"] == facts
    rows = published.sql("select user_id, movie_id, predicted_rating from recommendations "
                         "where run_id = 'first'")  # fmt: skip
    users, movies, predicted = map(np.array, zip(*rows, strict=True))
    scores = registry.factors(version)
    own = scores.predict(scores.user_idx(users), scores.movie_idx(movies))
    np.testing.assert_allclose(predicted, own, atol=1e-5)
    told = published.run("summary", "--run-id", "first").stdout
    assert (
        f"Measured on {etl['test']:,} held-back test ratings; what is published has learned from "
        f"all {ratings:,}." in " ".join(told.split())
    )


def test_questions_are_answered(published):
    shown = published.run("recommend", "--user", "7")
    assert shown.returncode == 0, shown.stderr
    # Each of the 20 lines has a title and its genres.
    assert len(re.findall(r"Movie \d+ \((?:19|20)\d\d\) +Drama ", shown.stdout)) == 20
    counted = published.run("sql", "select count(*) as n from movies")
    assert re.search(r"\b61\b", counted.stdout)
    one = published.run("predict", "--user", "7", "--movie", "3")
    assert one.returncode == 0, one.stderr
    assert re.search(r"User 7, Movie 3 \(1953\): predicted rating [1-5]\.\d\d\n", one.stdout)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["recommend", "--user", "999"],
            "There is no user 999 in release ml-1m: the ids of its 120 users run from 1 to 120.",
        ),
        (
            ["predict", "--user", "7", "--movie", "999"],
            "There is no movie 999 in release ml-1m: the ids of its 61 movies run from 1 to 61. "
            "Search by title: nightreel sql",
        ),
        (
            ["sql", "select nothing from nowhere"],
            "Tables: metrics, movies, quality, quarantine, ratings, recommendations, runs, "
            "similar_movies, users",
        ),
    ],
)
def test_questions_without_an_answer_say_so(published, arguments, sentence):
    refused = published.run(*arguments)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_models_are_compared_on_the_data_of_a_run(published):
    """One of them is the run's own, trained again: it is found to be as good."""
    members = ["--members", "biases", "matrix_factorisation", "--seeds", "7"]
    done = published.run("compare", "--run-id", "first", *members)
    assert done.returncode == 0, done.stderr
    found = dict(published.sql("select member, value from comparisons where name = 'rmse'"))
    [(own,)] = published.sql("select test_rmse from runs where run_id = 'first'")
    assert found["matrix_factorisation"] == pytest.approx(own, abs=1e-5)
    assert found["matrix_factorisation"] < found["biases"]
    page = (published.folder / "runs/first/comparison.html").read_text(encoding="utf-8")
    assert f"lowest RMSE, {own:.4f}" in page
    refused = published.run("compare", "--run-id", "first", "--members", "oracle")
    assert refused.returncode == 1
    assert "--members: there is no model oracle, but: matrix_factorisation," in refused.stderr
