"""Which run's rows an incremental run may take over, and the reason where it may not."""

import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.published.delta import publish_files
from jobs.runs import schemas
from jobs.runs.files import write_json
from jobs.scoring.genres import Genres
from jobs.scoring.incremental import Basis, find_base, unchanged, usable_base
from model.factors import index_of
from model.ranking.lists import Lists
from tests.jobs.examples import MODEL, saved_models, small_run, write

MOVIE_IDS = np.array([10, 11], np.int32)
DRAMA = Genres(MOVIE_IDS, np.ones((2, 1), bool))
INCREMENTAL = ["score.mode=incremental", "score.top_k=2"]


def publish(warehouse, table, partition, rows):
    ddl, partition_by = schemas.PUBLISHED[table]
    source = write(warehouse / "source" / "-".join(partition.values()), ddl, partition, rows)
    folder = warehouse / "tables" / table
    publish_files(folder, source, schemas.in_json(ddl), partition_by, partition, {})


def publish_run(warehouse, run_id, ds, users_scored=None, release="ml-1m"):
    day = datetime.fromisoformat(ds).replace(tzinfo=UTC)
    counts = (day.date(), release, 4, 3, 3, 0, "1", True, 0.9, 0.7, 2, 9.0)
    row = (*counts, day, "1", users_scored, None, 0.0)
    publish(warehouse, "runs", {"run_id": run_id}, [row])
    rows = [(1, 1, 10, "A", 4.5, "model", "1", run_id, 4.5)]
    publish(warehouse, "recommendations", {"ds": ds}, rows)


@pytest.fixture
def factors(tmp_path) -> Path:
    MODEL.save(tmp_path / "factors")
    return tmp_path / "factors"


@pytest.fixture
def base(tmp_path, factors):
    """A whole run that has been published, but for the data that nobody looks into here."""
    publish_run(tmp_path, "base", "2026-01-01")
    run = small_run(tmp_path, overrides=INCREMENTAL, run_id="base")
    run.save()
    for name in ("rated", "scored"):
        run.output(name).mkdir()
    (run.folder / "steps").mkdir()
    write_json(
        run.folder / "steps/score.json",
        {"basis": asdict(Basis.of(run, saved_models(factors), MOVIE_IDS))},
    )
    write_json(run.folder / "steps/publish.json", {})
    return run


def test_the_newest_published_run_of_the_release_is_the_base(tmp_path, base):
    publish_run(tmp_path, "some-users", "2026-01-03", users_scored=2)
    publish_run(tmp_path, "other", "2026-01-04", release="ml-10m")
    run = small_run(tmp_path, overrides=INCREMENTAL)
    assert find_base(run) == ("base", "run base is the newest of release ml-1m")
    assert find_base(replace(run, users=[1])) == (None, "users were named")
    assert find_base(small_run(tmp_path)) == (None, "score.mode is full")
    again = small_run(tmp_path, overrides=[*INCREMENTAL, "score.repeat_after=1"])
    assert find_base(again)[1] == "score.repeat_after leaves nobody the list of the night before"
    # A run that is made again does not take over what it is about to replace.
    found = find_base(replace(run, run_id="base"))
    assert found == (None, "no other run of release ml-1m has been published")
    # What was taken back, by a restore or by another release's run, is not carried on.
    publish(tmp_path, "recommendations", {"ds": "2026-01-01"}, [])
    assert find_base(run) == (None, "the table no longer holds what run base has published")


def test_before_the_first_run_there_is_no_base(tmp_path):
    run = small_run(tmp_path, overrides=INCREMENTAL)
    assert find_base(run) == (None, "nothing has been published yet")


def usable(base, factors, *overrides, version="1", movie_ids=MOVIE_IDS, genres=None):
    run = small_run(base.warehouse.folder, overrides=[*INCREMENTAL, *overrides])
    run = replace(run, base_run="base")
    basis = Basis.of(run, saved_models(factors, version), movie_ids, genres)
    found, why = usable_base(run, basis, False)
    assert (found is None) is (why is not None)
    return why


def test_a_base_that_was_scored_alike_can_be_used(base, factors):
    assert usable(base, factors) is None
    # Other names for the same movies, users and order change nothing.
    assert usable(base, factors, "score.genres_out=[Western]", "score.min_ratings=1") is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "2"}, "changed: model version"),
        ({"movie_ids": MOVIE_IDS[:1]}, "changed: movies that may be recommended"),
        ({"overrides": ["score.top_k=3"]}, "changed: top_k"),
        ({"overrides": ["score.damping=7", "score.top_k=all"]}, "changed: top_k, damping"),
        ({"overrides": ["score.repeat_after=1"]}, "changed: repeat_after"),
        ({"overrides": ["score.genre_cap=1"], "genres": DRAMA}, "changed: genre_cap"),
    ],
)
def test_what_changed_for_everybody_is_named(base, factors, change, why):
    found = usable(base, factors, *change.pop("overrides", []), **change)
    assert found == f"since run base, this has {why}"


def test_another_model_under_the_same_version_is_seen(base, factors):
    replace(MODEL, popular_M=MODEL.popular_M + 1).save(factors)
    assert usable(base, factors) == "since run base, this has changed: model"


def test_other_genres_are_other_lists(base, factors):
    # Where lists go by them.
    run = small_run(base.warehouse.folder, overrides=["score.diversity=0.1"])
    then = asdict(Basis.of(run, saved_models(factors), MOVIE_IDS, DRAMA))
    comedy = replace(DRAMA, genre_MG=np.array([[True], [False]]))
    now = Basis.of(run, saved_models(factors), MOVIE_IDS, comedy)
    assert now.changed_since(then) == ["genres of movies"]


def test_a_base_whose_challenger_had_a_share_must_say_who_its_users_were(base, factors):
    for overrides, missing in (
        (["score.challenger=rating/2"], "users of run base is gone"),
        (["score.challenger=rating/2", "score.shadow=true"], None),
    ):
        conf = small_run(base.warehouse.folder, overrides=[*INCREMENTAL, *overrides]).conf
        replace(base, conf=conf).save()
        assert usable(base, factors) == missing
        assert usable(base, factors, *overrides) == missing


def test_a_base_that_is_no_longer_whole_is_not_used(base, factors):
    shutil.rmtree(base.output("rated"))
    assert usable(base, factors) == "rated of run base is gone"
    shutil.rmtree(base.output("scored"))
    assert usable(base, factors) == "scored of run base is gone"
    write_json(base.folder / "steps/score.json", {"rows": 1})
    assert usable(base, factors) == "run base is of another version of Nightreel"
    (base.folder / "steps/publish.json").unlink()
    assert usable(base, factors) == "run base is being made again"
    shutil.rmtree(base.folder)
    assert usable(base, factors) == "run base is gone, or of another version of Nightreel"


def test_without_a_base_the_reason_of_the_start_is_given(base, factors):
    run = small_run(base.warehouse.folder, overrides=INCREMENTAL)
    (run.folder / "steps").mkdir(parents=True)
    write_json(run.folder / "steps/ingest.json", {"why_base": "none was fixed"})
    assert usable_base(run, Basis.of(run, saved_models(factors), MOVIE_IDS), False) == (
        None,
        "none was fixed",
    )


def kept(now: dict[int, list[int]], before: dict[int, list[int]]) -> list[int]:
    """The users whose lists are those of before."""
    users, users_before = (np.array(sorted(lists), np.int32) for lists in (now, before))
    ours, theirs = (
        Lists.of([np.array(lists[u]) for u in sorted(lists)]) for lists in (now, before)
    )
    return users[unchanged(ours, theirs, index_of(users_before, users))].tolist()


def test_users_who_have_the_same_movies_as_before():
    rated = {1: [10, 11], 2: [], 3: [12], 5: [13]}
    assert kept(rated, rated) == [1, 2, 3, 5]
    # User 1 rated another movie instead, 2 rated one, 3 withdrew one, 4 is new, and 6 is gone.
    assert kept({1: [10, 12], 2: [11], 3: [], 4: [1], 5: [13]}, {**rated, 6: []}) == [5]
    assert kept(rated, {}) == []


some_lists = st.dictionaries(st.integers(1, 8), st.sets(st.integers(1, 4)).map(sorted))


@settings(deadline=None)
@given(some_lists, some_lists)
def test_unchanged_lists_are_the_equal_ones(now, before):
    assert kept(now, before) == [user for user in sorted(now) if now[user] == before.get(user)]
