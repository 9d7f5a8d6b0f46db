"""A challenger beside the champion: whose users are whose, which versions may be one, and rows."""

import itertools
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.published.audit import challengers_in_sql
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.files import write_json
from jobs.scoring.models import Models
from jobs.scoring.score_users import plans_of, score_planned
from jobs.scoring.variant_check import check_variant
from jobs.scoring.variants import CHALLENGER, CHAMPION, HASHES, hash_of, require_challenger
from jobs.training.registering import register
from jobs.training.registry import Registry
from tests.jobs.examples import small_run, write
from tests.model.examples import factors

# The champion gives everybody movies from 10 on, the challenger from 15 on backwards.
CHAMPIONS = factors([[1]] * 30, [[1.5], [1.2], [0.9], [0.6], [0.3], [0]], mean=3.0)
CHALLENGERS = replace(CHAMPIONS, movie_MK=-CHAMPIONS.movie_MK)
RATED = {user: [10 + user % 6] for user in range(1, 31)}
BESIDE = ["score.challenger=rating/2", "score.challenger_share=0.3"]


def theirs(share: float) -> set[int]:
    """The users whom, as SQL says, a challenger with a share scores."""
    query = "select user_id from (select unnest(?) as user_id, null as source_user_id) where "
    found = duckdb.execute(query + challengers_in_sql(share), [list(RATED)]).fetchall()
    return {user for (user,) in found}


@settings(deadline=None)
@given(st.integers(1, 10**6), st.floats(0.05, 0.95))
def test_a_share_of_the_users_is_near_it_and_has_those_of_a_smaller_one(first, share):
    hash_U = np.array([hash_of(str(user)) for user in range(first, first + 2000)])
    found = (hash_U < share * HASHES).mean()
    # Beyond six standard deviations of a draw.
    assert abs(found - share) < 6 * np.sqrt(share * (1 - share) / 2000)
    assert ((hash_U < share / 2 * HASHES) <= (hash_U < share * HASHES)).all()


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1), min_size=1), st.floats(0, 1)
)
def test_sql_says_the_same_of_whatever_id(user, share):
    query = f"select {challengers_in_sql(share)} from (select 1 as user_id, ? as source_user_id)"
    assert duckdb.execute(query, [user]).fetchall() == [(hash_of(user) < share * HASHES,)]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """A warehouse whose registry has both as versions 1 and 2 of the models of ratings."""
    folder = tmp_path_factory.mktemp("warehouse")
    run = small_run(folder)
    for number, model in enumerate((CHAMPIONS, CHALLENGERS), 1):
        model.save(run.output(f"factors-{number}"))
        made = register(Registry.of(run), f"run-{number}", run.output(f"factors-{number}"), {}, {})
        assert made == str(number)
    return folder


@pytest.fixture
def scored(spark, warehouse):
    """Score a run by version 1; returns the run, its figures and its rows by table."""

    def call(run_id, *settings, base=None, **changes):
        overrides = ["score.top_k=2", "score.damping=0", "train.order.model=none", *settings]
        run = small_run(warehouse, overrides=overrides, run_id=run_id)
        run = replace(run, base_run=base, **changes)
        run.save()
        movies = [(movie, f"Movie {movie}", 2000, ["Drama"]) for movie in range(10, 16)]
        write(run.output("movies"), schemas.MOVIES, {}, movies)
        write(run.output("users"), schemas.USERS, {}, [(user,) for user in RATED])
        write(run.output("rated"), schemas.RATED, {}, list(RATED.items()))
        ratings = [(user, own[0], 3.0, None, "train") for user, own in RATED.items()]
        write(run.output("ratings"), schemas.RATINGS, {}, ratings)
        (run.folder / "steps").mkdir()
        write_json(run.folder / "steps/etl.json", {"rating_min": 1.0, "rating_max": 5.0})
        write_json(run.folder / "steps/ingest.json", {"why_base": "none was fixed"})
        figures = score_planned(spark, run, plans_of(run, models(run)))
        for step, record in (("score", figures), ("publish", {})):
            write_json(run.folder / "steps" / f"{step}.json", record)
        return run, figures, {name: rows(run, name) for name in ("scored", "shadow")}

    return call


def models(run, version="1"):
    return Models.of(run, version, None)


def rows(run, output):
    """(user, movie, version, variant) of what was scored, by user and rank."""
    if not run.output(output).exists():
        return []
    files = f"read_parquet('{run.output(output)}/*/*.parquet', hive_partitioning = false)"
    columns = "user_id, movie_id, model_version, variant"
    return duckdb.execute(f"select {columns} from {files} order by user_id, rank").fetchall()


def expected(users, challengers):
    """The rows of these users: the two best of whoever scores, but for what was rated."""
    found = []
    for user in users:
        way = range(15, 9, -1) if user in challengers else range(10, 16)
        best = [movie for movie in way if movie not in RATED[user]][:2]
        told = ("2", CHALLENGER) if user in challengers else ("1", CHAMPION)
        found += [(user, movie, *told) for movie in best]
    return found


def check_all(run):
    return [
        *check_variant(run, models(run), CHAMPION),
        *check_variant(run, models(run, "2"), CHALLENGER),
    ]


def test_the_challenger_scores_its_share_and_the_audit_sees_who_did(scored):
    run, figures, found = scored("split", *BESIDE)
    challengers = theirs(0.3)
    assert 3 < len(challengers) < 16
    assert found == {"scored": expected(RATED, challengers), "shadow": []}
    assert (figures["users"], figures["rows"]) == (30, 60)
    assert figures["challenger"]["users"] == len(challengers)
    assert figures["challenger"]["model_version"] == "2"
    assert figures["model_version"] == "1"
    assert check_all(run)
    # Of chosen users, too.
    some = [*sorted(challengers)[:2], *sorted(RATED.keys() - challengers)[:2]]
    for number, users in enumerate((some, some[:1], some[2:3])):
        run, _, found = scored(f"some-{number}", *BESIDE, users=sorted(users))
        assert found["scored"] == expected(sorted(users), challengers)
        assert check_all(run)


def test_the_audit_finds_a_user_of_the_other_variant(scored):
    run, _, _ = scored("swapped", *BESIDE)
    challengers = theirs(0.3)
    users = min(RATED.keys() - challengers), max(challengers)
    swaps = {
        "variant": ({CHAMPION: CHALLENGER, CHALLENGER: CHAMPION}, "says which variant it is"),
        "model_version": ({"1": "2", "2": "1"}, "says what predicted it"),
    }
    files = run.output("scored").glob("*/*.parquet")
    written = {file: pq.ParquetFile(file).read() for file in files}
    for user, column in itertools.product(users, swaps):
        other, failed = swaps[column]
        for file, rows in written.items():
            told = [
                other[r[column]] if r["user_id"] == user else r[column] for r in rows.to_pylist()
            ]
            at = rows.column_names.index(column)
            pq.write_table(rows.set_column(at, column, pa.array(told, pa.string())), file)
        with pytest.raises(JobError, match=f"{failed}. Example: .*user_id={user},"):
            check_all(run)


def test_shadow_lists_are_everybodys_and_nobody_is_shown_them(scored):
    run, figures, found = scored("shadow", *BESIDE, "score.shadow=true")
    assert found == {"scored": expected(RATED, ()), "shadow": expected(RATED, RATED)}
    assert (figures["users"], figures["rows"], figures["challenger"]["rows"]) == (30, 60, 60)
    assert check_all(run)
    # Both are taken over, and by a run without one nothing is left of an earlier attempt.
    figures, again = scored("again", *BESIDE, "score.shadow=true", base="shadow")[1:]
    assert again == found
    assert (figures["users_kept"], figures["challenger"]["users_kept"]) == (30, 30)


def test_nobody_keeps_rows_of_the_other_variant(scored):
    scored("base", *BESIDE)
    more = [BESIDE[0], "score.challenger_share=0.6"]
    run, figures, found = scored("more", *more, base="base")
    assert found["scored"] == expected(RATED, theirs(0.6))
    assert figures["challenger"]["users_kept"] == len(theirs(0.3))
    assert figures["users_scored"] == len(theirs(0.6) - theirs(0.3))
    assert check_all(run)
    # Without a challenger all are the champion's again, and with one of another version.
    figures, found = scored("none", base="base")[1:]
    assert found["scored"] == expected(RATED, ())
    assert (figures["users_scored"], figures["base_run"]) == (len(theirs(0.3)), "base")
    run, figures, found = scored("first", *BESIDE, base="none")
    assert found["scored"] == expected(RATED, theirs(0.3))
    assert figures["challenger"]["why_all"] == "run none had no such challenger"


@pytest.mark.parametrize(
    ("challenger", "sentence"),
    [
        ("rating/1", "score.challenger is rating/1, which is the champion already: name another"),
        ("rating/9", "rating/9, and release ml-1m has no version that could be it. There is no"),
        ("order/1", "order/1, and release ml-1m has no version that could be it. There is no"),
    ],
)
def test_what_cannot_be_a_challenger_stops_the_run_before_it_writes(scored, challenger, sentence):
    name = challenger.replace("/", "-")
    with pytest.raises(JobError, match=sentence):
        scored(name, f"score.challenger={challenger}")


def test_versions_of_another_release_are_none_of_this_one(warehouse):
    run = replace(small_run(warehouse, "ml-10m", ["score.challenger=rating/2"]), champion="1")
    with pytest.raises(JobError, match="release ml-10m has no version that could be it"):
        require_challenger(run, implicit=False)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["score.challenger=3"], "string"),
        (["score.challenger=model/3"], "challenger is 'model/3', and a version of the models of"),
        (["score.shadow=true"], "shadow=true needs a challenger"),
        (["score.challenger=rating/3", "score.challenger_share=1"], "less than 1"),
        (["score.challenger=order/3", "score.order_by=rating"], "and order_by=rating takes none"),
    ],
)
def test_settings_that_name_no_challenger_are_refused(tmp_path, settings, sentence):
    with pytest.raises(JobError, match=sentence):
        small_run(tmp_path, overrides=settings)
