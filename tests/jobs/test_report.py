"""The report on a small run: learning, errors, recommendations, users, change."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import duckdb
import numpy as np
import pytest

from jobs.pages.errors import held_back
from jobs.pages.learning import curves
from jobs.pages.plots import gini, held_by_top
from jobs.published.delta import publish_files
from jobs.report import report
from jobs.runs import schemas
from jobs.runs.files import write_json
from jobs.runs.run import STEPS
from tests.jobs.examples import DOUBTFUL, MODEL, small_run, write

MOVIES = [
    (10, "<b>Alien</b> (1979)", 1979, ["Horror"]),
    (11, "Brazil (1985)", 1985, ["Drama"]),
    (12, "Unknown (2000)", 2000, None),
]
USERS = [(user, None, None, None, None) for user in (1, 2, 3)]
# By row number, as in MODEL: user 0 is user 1, movie 0 is movie 10.
TRAIN = [(0, 0, 4.0), (0, 1, 2.0), (1, 0, 3.0)]
TEST = [(1, 1, 1.5), (2, 0, 3.0)]  # predicted: 3.0 by the model, 4.0 as popular
HISTORY = [
    {"epoch": 1, "train_loss": 1.0, "validation_rmse": 1.1},
    {"epoch": 2, "train_loss": 0.64, "validation_rmse": 0.9},
    {"epoch": 3, "train_loss": 0.49, "validation_rmse": 0.95},
]
EVALUATION = {
    **{"test_rmse": 0.8, "test_mae": 0.6, "bias_rmse": 1.0, "mean_rmse": 1.2},
    **{"champion_rmse": 0.81, "promoted": True, "candidate_version": "2", "model_version": "2"},
    "reason": "RMSE 0.8000 holds against the champion's 0.8100",
}
SCORED = [
    (2, 1, 12, "Unknown (2000)", 4.5, "model", "2", "run", 4.5),
    (3, 1, 10, "<b>Alien</b> (1979)", 4.0, "popular", "2", "run", 4.0),
    (3, 2, 11, "Brazil (1985)", 2.0, "popular", "2", "run", 2.0, None, None, 10, 0.75),
]


def finished_run(warehouse, run_id="run", ds=date(2026, 1, 2), scored=SCORED, **changes):
    """A run that all steps up to publish have finished; `changes` are fields of the run."""
    settings = ["score.genres_out=[Western, War]", "score.damping=5"]
    run = replace(small_run(warehouse, overrides=settings, run_id=run_id), ds=ds, **changes)
    run.save()
    write(run.output("scored"), schemas.RECOMMENDATIONS, {"ds": ds.isoformat()}, scored)
    if run.data_run is None:
        rows = [(u, m, r, "train") for u, m, r in TRAIN] + [(u, m, r, "test") for u, m, r in TEST]
        ratings = [(u + 1, m + 10, r, None, split) for u, m, r, split in rows]
        write(run.output("ratings"), schemas.RATINGS, {}, ratings)
        write(run.output("movies"), schemas.MOVIES, {}, MOVIES)
        write(run.output("users"), schemas.USERS, {}, USERS)
        run.output("quarantine").mkdir()
        for split, indexed in (("train", TRAIN), ("test", TEST)):
            partition = {"split": split}
            write(run.output("splits"), schemas.INDEXED_RATINGS, partition, indexed)
        manifest = MODEL.manifest | {"history": HISTORY}
        replace(MODEL, manifest=manifest).save(run.output("factors"))
    score = {
        **{"users": 3, "users_scored": 2, "users_kept": 1, "base_run": "before", "why_all": None},
        **{"users_popular": 1, "movies": 3, "movies_new": 0, "movies_scored": 2},
        "filtered": {"genres_out": 1},
    }
    publish = {"rows_published": 3, "model_version": "2", "test_rmse": 0.8}
    figures: dict[str, dict] = {
        "plan": {"train": True},
        "train": {"best_epoch": 2},
        "evaluate": EVALUATION,
        "score": score,
        "publish": publish,
    }
    (run.folder / "steps").mkdir()
    for step in STEPS:
        write_json(run.folder / "steps" / f"{step}.json", {"seconds": 1, **figures.get(step, {})})
    return run


def with_challenger(run, *settings, shadow=None, **beside):
    """The run, as if version 3 of order had scored beside; with rows of the table in its shadow."""
    overrides = ["score.challenger=order/3", *settings]
    run = replace(run, conf=small_run(run.warehouse.folder, overrides=overrides).conf)
    run.save()
    if shadow is not None:
        write(run.output("shadow"), schemas.RECOMMENDATIONS, {"ds": run.ds.isoformat()}, shadow)
    score = run.record("score") | {"model_version": "2", "order_version": "1"}
    score["challenger"] = {"model_version": "2", "order_version": "3", **beside}
    write_json(run.folder / "steps/score.json", score)
    return run


def by(variant, user, rank, movie, predicted, run_id="run", order="1"):
    """A row of the table in which a variant recommends a movie."""
    told = (predicted, "model", "2", run_id, predicted * 2, order, *[None] * 6, variant)
    return (user, rank, movie, f"Movie {movie}", *told)


def publish_rows(warehouse, *rows, scored_by="1"):
    """Rows (run_id, ds, ratings, test_rmse) of the table `runs`, in the order of publishing."""
    for minute, (run_id, ds, ratings, rmse) in enumerate(rows):
        partition = {"run_id": run_id}
        finished = datetime(2026, 1, 3, 0, minute, tzinfo=UTC)
        counts = (ds, "ml-1m", ratings, 3, 3, 0, scored_by, True, rmse, 0.6, 3, 9.0)
        row = (*counts, finished, "1", None, None, 0.0)
        source = write(warehouse / "source" / run_id, schemas.RUNS, partition, [row])
        schema = schemas.in_json(schemas.RUNS)
        publish_files(warehouse / "tables" / "runs", source, schema, ["run_id"], partition, {})


def publish_lists(warehouse, rows, ds="2026-01-01"):
    """Rows of the table `recommendations` of a date."""
    source = write(warehouse / "source/lists", schemas.RECOMMENDATIONS, {"ds": ds}, rows)
    table, schema = warehouse / "tables/recommendations", schemas.in_json(schemas.RECOMMENDATIONS)
    publish_files(table, source, schema, ["ds"], {"ds": ds}, {})


def page_of(run):
    report(run)
    return run.output("report.html").read_text(encoding="utf-8")


def rows_of(page):
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(finished_run(tmp_path_factory.mktemp("warehouse")))


@pytest.mark.parametrize(
    "sentence",
    [
        "Version 2 was promoted: RMSE 0.8000 holds against",
        "Of 3 epochs, epoch 2 was kept (dashed line): validation RMSE 0.9000, 0.1000 above that",
        "RMSE 0.8000, MAE 0.6000 on the test ratings: 20.0% below the biases alone.",
        "champion&#39;s is 0.0100 above that",
        # Known of user 3 nothing, of user 2 one rating: errors of 1.0 and 1.5.
        "how many training ratings their user has: RMSE 1.000 with 0, 1.500 with 1–9",
        "3 recommendations for 2 users, up to rank 20. They name 3 of 3 movies, 100%",
        "66.7% of the recommendations rest on popularity",
        "33.3% of the recommendations name movies among the 10% rated most, which have 60.0%",
        "No earlier run of this release has been published.",
        "2 users of 3 scored; for the others nothing has changed since run before. 1 user of whom",
        "moved towards the mean the fewer training ratings they have: by half with 5.",
    ],
)
def test_findings(page, sentence):
    assert sentence in page


def test_data_of_a_run_before_there_were_times_are_read(tmp_path):
    run = finished_run(tmp_path)
    for split, rows in (("train", TRAIN), ("test", TEST)):
        write(
            run.output("splits"),
            "user_idx int, movie_idx int, rating float",
            {"split": split},
            rows,
        )
    found = held_back(duckdb.connect(), run)
    assert list(zip(*found[1:4], strict=True)) == sorted(TEST)
    assert set(found.time_N) == {-1}


def test_errors_by_rating(page):
    rows = rows_of(page)
    assert ["1.5", "1", "3.00", "1.500"] in rows
    assert ["3", "1", "4.00", "1.000"] in rows


def test_a_model_that_knows_deviations_is_held_to_them(tmp_path, page):
    assert "Uncertainty" not in page
    run = finished_run(tmp_path)
    DOUBTFUL.save(run.output("factors"))
    rows = rows_of(page_of(run))
    # One rating rests on the model: off by 1.5, with a deviation of 2.
    assert ["50%", "0%"] in rows
    assert ["90%", "100%"] in rows
    assert ["1", "1", "2.000", "1.500"] in rows


def test_movies_that_could_be_recommended(page):
    rows = rows_of(page)
    assert ["of one of the genres Western, War", "-1", "33.3%"] in rows
    assert ["that could be recommended", "2", "66.7%"] in rows


def test_users_with_what_they_rated_and_what_they_are_recommended(page):
    assert "User 3: best rated of 1 movie" in page
    assert "User 3: recommended" in page
    assert "User 1" not in page  # has no recommendation
    alien = "&lt;b&gt;Alien&lt;/b&gt; (1979)"
    assert [alien, "Horror", "4.00", ""] in rows_of(page)
    assert ["Brazil (1985)", "Drama", "2.00", f"{alien} (75%)"] in rows_of(page)


def test_the_page_is_safe_and_stands_alone(page):
    assert "<b>" not in page
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "<script" not in page


def test_the_same_run_gives_the_same_page(tmp_path, page):
    assert page_of(finished_run(tmp_path)) == page


def test_a_run_that_trained_nothing(tmp_path):
    run = finished_run(tmp_path)
    write_json(
        run.folder / "steps" / "plan.json", {"train": False, "reason": "too few new ratings"}
    )
    page = page_of(run)
    assert "This run trained no model. Too few new ratings." in page
    assert "Errors" not in page
    assert "Recommended to most users" in page


def test_a_run_that_scores_the_data_of_another_again(tmp_path):
    finished_run(tmp_path, "first")
    page = page_of(finished_run(tmp_path, "again", data_run="first", users=[3], scored=SCORED[1:]))
    assert "It scores the data of run first again." in page
    assert "2 recommendations for 1 user, up" in page


def test_change_since_the_previous_run(tmp_path):
    other = [(2, 1, 12, *SCORED[0][3:]), (3, 1, 12, *SCORED[0][3:])]
    finished_run(tmp_path, "before", date(2026, 1, 1), other)
    run = finished_run(tmp_path)
    publish_rows(
        tmp_path,
        ("oldest", date(2025, 12, 31), 1, 0.9),
        ("before", date(2026, 1, 1), 1004, 0.85),
        ("run", run.ds, 5, 0.8),
        ("later", date(2026, 1, 2), 1, 0.7),  # of the same date, and published after this one
    )
    page = page_of(run)
    assert "Compared with run before of 2026-01-01." in page
    assert "for the 2 users of both, 33.3% were given before" in page
    rows = rows_of(page)
    assert ["ratings", "1,004", "5", "-999"] in rows
    assert ["users", "3", "3", "none"] in rows
    assert ["mean rating", "2.7000", "2.7000", "none"] in rows
    assert ["test RMSE of its own model", "0.8500", "0.8000", "-0.0500"] in rows


def test_the_previous_run_may_have_been_removed(tmp_path):
    run = finished_run(tmp_path)
    publish_rows(tmp_path, ("before", date(2026, 1, 1), 4, None))
    page = page_of(run)
    assert "no longer there to compare with" in page
    assert ["test RMSE of its own model", "–", "0.8000", "–"] in rows_of(page)


def test_nothing_recommended(tmp_path):
    page = page_of(finished_run(tmp_path, scored=[]))
    assert "No user has a movie left to recommend." in page


@pytest.mark.parametrize(
    ("counts", "expected", "top"),
    [([2, 2, 2, 2], 0.0, 2), ([0, 0, 0, 4], 0.75, 4), ([0, 0], 0.0, 0)],
)
def test_concentration(counts, expected, top):
    assert gini(np.array(counts)) == pytest.approx(expected)
    assert held_by_top(np.array(counts)) == top


def test_a_model_made_of_others_has_no_training_loss_to_show():
    members = [{"epoch": 1, "train_loss": 0.5, "validation_rmse": 0.9}]
    plot = curves([*members, {"epoch": 2, "validation_rmse": 0.8}], 2)
    assert plot.caption == "Of 2 epochs, epoch 2 was kept (dashed line): validation RMSE 0.8000."


def test_in_the_shadow_lists_of_the_same_users_are_compared(tmp_path):
    scored = [by("champion", 2, 1, 12, 4.0), by("champion", 3, 1, 10, 3.0)]
    scored += [by("champion", 3, 2, 11, 2.0)]
    shadow = [by("challenger", 2, 1, 12, 4.0), by("challenger", 3, 1, 11, 2.0)]
    shadow += [by("challenger", 3, 2, 10, 3.0)]
    run = with_challenger(
        finished_run(tmp_path, scored=scored), "score.shadow=true", shadow=shadow, users=2
    )
    page = page_of(run)
    assert "Version order/3 scored everybody too; nobody is shown what it recommends." in page
    rows = rows_of(page)
    assert ["Orders", "order/1", "order/3"] in rows
    assert ["Recommendations", "3", "3"] in rows
    assert ["Mean predicted rating", "3.000", "3.000"] in rows
    assert ["Mean ranking score", "6.000", "6.000"] in rows
    assert ["Movies named", "3 (100%)", "3 (100%)"] in rows
    # One list of one movie that is the same, and two movies the other way round: of ten places, one
    # and two are shared.
    assert "over the 2 users of both: lists share 0.150 of their first 10 movies" in page
    # From depth 1, or 2, on both have all that the other has, and that is all there is.
    weights = [(1 - 0.9) / 0.9 * 0.9**depth for depth in range(1, 11)]
    same = [sum(n / d * w for d, w in enumerate(weights, 1)) + n / 10 * 0.9**10 for n in (1, 2)]
    alike = (same[0] + same[1] - 2 * weights[0]) / 2
    assert f"their rank-biased overlap is {alike:.3f}, where 1 is the same order" in page


def test_of_a_share_later_ratings_tell_and_without_any_nothing_does(tmp_path):
    """User 2 was the champion's on the night before, user 3 the challenger's."""
    run = finished_run(tmp_path, scored=[by("champion", 2, 1, 12, 4.0)])
    run = with_challenger(run, users=0)
    publish_rows(tmp_path, ("before", date(2026, 1, 1), 5, 0.9))
    lists = [by("champion", 2, 1, 11, 4.0, "before"), by("champion", 2, 2, 12, 3.0, "before")]
    lists += [by("challenger", 3, 1, 12, 4.0, "before", order="3")]
    publish_lists(tmp_path, lists)
    page = page_of(run)
    assert "Version order/3 scored 0% of the users, for 10.0% by a hash of their ids." in page
    assert "Nobody has rated anything since a night before" in page
    assert "rank-biased" not in page
    at = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2)]
    # The first on the night's own day, which is not later.
    ratings = [(2, 12, 3.0, at[0], "train"), (2, 11, 4.0, at[1], "train")]
    ratings += [(3, 12, 5.0, at[1], "train"), (3, 10, 5.0, at[1], "train")]
    write(run.output("ratings"), schemas.RATINGS, {}, ratings)
    rows = rows_of(page_of(run))
    assert ["Champion", "1", "1", "1", "100%"] in rows
    assert ["Challenger", "1", "2", "1", "50.0%"] in rows


@pytest.mark.parametrize(("champion", "told"), [("1", True), ("2", False)])
def test_a_night_of_the_challenger_is_one_that_had_another_champion(tmp_path, champion, told):
    """Rows of a challenger of order name the champion of ratings too, which may be one tonight."""
    run = finished_run(tmp_path, scored=[by("champion", 2, 1, 12, 4.0)])
    run = with_challenger(run, "score.challenger=rating/2", users=0)
    publish_rows(tmp_path, ("before", date(2026, 1, 1), 5, 0.9), scored_by=champion)
    publish_lists(tmp_path, [by("challenger", 3, 1, 12, 4.0, "before")])
    later = (3, 12, 5.0, datetime(2026, 1, 2, 12, tzinfo=UTC), "train")
    write(run.output("ratings"), schemas.RATINGS, {}, [later])
    page = page_of(run)
    assert (["Challenger", "1", "1", "1", "100%"] in rows_of(page)) == told
    assert ("since a night before on which this challenger scored" in page) != told
