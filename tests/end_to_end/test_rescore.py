"""Runs that do not train: an earlier date by the champion, and chosen users once more."""

import json
import re
from dataclasses import replace

from deltalake import DeltaTable

from jobs.runs.run import open_run
from jobs.runs.warehouse import warehouse_named
from jobs.training.registering import register
from jobs.training.registry import Registry
from tests.end_to_end.conftest import SMALL

DS = "2025-12-31"


def test_an_earlier_date_and_then_two_users_again(published, delivery):
    """The date is older than what is published: the clean tables stay those of the newest one."""
    newest = "select max(ds)::varchar from runs"
    before = published.sql(newest)
    ratings = DeltaTable(published.folder / "tables/ratings").version()
    options = ["--dataset", "ml-1m", "--source", str(delivery), "--ds", DS, *SMALL]
    published.steps("earlier", *options, "--set=retrain.policy=never")
    [champion] = published.sql(
        "select model_version from runs where promoted order by finished_at desc limit 1"
    )
    row = "select promoted, test_rmse, candidate_version, model_version from runs where run_id = "
    assert published.sql(row + "'earlier'") == [(False, None, None, *champion)]
    assert not (published.folder / "runs/earlier/factors").exists()
    assert DeltaTable(published.folder / "tables/ratings").version() == ratings
    assert published.sql(newest) == before

    recommended = f"select * from recommendations where ds = '{DS}'"
    others = f"{recommended} and user_id not in (7, 8) order by all"
    rows = published.sql(others)
    for command in (
        [
            *("rescore", "--ds", DS, "--users", "8,7"),
            *("--set", "score.top_k=3", "--set", "score.new_movies=1"),
        ],
        ["score"],
        ["publish"],
        ["publish"],  # a retry changes nothing
    ):
        done = published.run(command[0], "--run-id", "again", *command[1:])
        assert done.returncode == 0, done.stderr
    assert published.sql(others) == rows
    assert published.sql(
        f"select user_id, rank, run_id from recommendations where ds = '{DS}' "
        "and user_id in (7, 8) order by all"
    ) == [(user, rank, "again") for user in (7, 8) for rank in (1, 2, 3)]
    assert published.sql("select rows_published from runs where run_id = 'again'") == [(6,)]
    # The one movie that nobody has rated is in both lists, and is predicted as the table says.
    new = published.sql(
        f"select user_id, movie_id, predicted_rating from recommendations where ds = '{DS}' "
        "and source = 'content' order by all"
    )
    assert [row[:2] for row in new] == [(7, 61), (8, 61)]
    told = published.run("predict", "--user", "7", "--movie", "61").stdout
    assert re.search(rf"predicted rating {new[0][2]:.2f}\n +source: content;", told), told
    told = published.run("summary", "--run-id", "again").stdout
    assert "1 new, by what is known of them" in " ".join(told.split())

    # The night after brings nothing again, and of the one genre that there is, ten movies.
    for command in (
        ["rescore", "--ds", "2026-01-01", "--set=score.repeat_after=1", "--set=score.genre_cap=10"],
        ["score"],
        ["publish"],
    ):
        done = published.run(command[0], "--run-id", "after", *command[1:])
        assert done.returncode == 0, done.stderr
    after = "from recommendations where run_id = 'after'"
    assert published.sql(f"select count(*), count(distinct user_id) {after}") == [(1200, 120)]
    again = f"select 1 {after} and (user_id, movie_id) in (select (user_id, movie_id) from (%s))"
    assert published.sql(again % recommended) == []


def test_users_for_whom_nothing_has_changed_keep_their_rows(published):
    """The data, the model and the settings are those of the newest run."""
    for command in (
        ["rescore", "--ds", "2026-01-01", "--set", "score.mode=incremental"],
        ["score"],
        ["publish"],
    ):
        done = published.run(command[0], "--run-id", "incremental", *command[1:])
        assert done.returncode == 0, done.stderr
    asked = ("summary", "--run-id", "incremental", "--json", "--step", "score")
    record = json.loads(published.run(*asked).stdout)
    assert (record["users_scored"], record["users_kept"]) == (0, 120)
    of_run = "select * exclude (ds, run_id) from recommendations where run_id = '{}' order by all"
    rows = published.sql(of_run.format("incremental"))
    assert len(rows) == 120 * 20
    assert rows == published.sql(of_run.format(record["base_run"]))


def test_a_challenger_scores_some_users_or_all_in_the_shadow(published):
    """A version that recommends the other way round, of the model that `first` has trained."""
    run = open_run(warehouse_named(str(published.folder)), "first")
    registry = Registry.of(run)
    champion = registry.factors(run.record("score")["model_version"])
    other = published.folder / "other"
    replace(champion, movie_MK=-champion.movie_MK, movie_bias_M=-champion.movie_bias_M).save(other)
    version = register(registry, "other", other, {}, {})
    challenger = [f"--set=score.challenger=rating/{version}", "--set=train.order.model=none"]
    for run_id, settings in (
        ("split", ["--set=score.challenger_share=0.3"]),
        ("shadow", ["--set=score.shadow=true"]),
    ):
        for command in (
            ["rescore", "--ds", "2026-01-01", *challenger, *settings],
            *(["score"], ["publish"], ["report"]),
        ):
            done = published.run(command[0], "--run-id", run_id, *command[1:])
            assert done.returncode == 0, done.stderr
        page = (published.folder / f"runs/{run_id}/report.html").read_text(encoding="utf-8")
        assert "<h2>Champion and challenger</h2>" in page
        variants = "select variant, model_version, count(*), count(distinct user_id) from "
        rows = published.sql(f"{variants} recommendations where run_id = '{run_id}' group by all")
        by_variant = {variant: figures for variant, *figures in rows}
        if run_id == "split":
            assert by_variant["challenger"][0] == version
            assert by_variant["champion"][0] != version
            assert sum(users for *_, users in by_variant.values()) == 120
            assert 20 < by_variant["challenger"][2] < 52
            [(user,)] = published.sql(
                "select min(user_id) from recommendations where variant = 'challenger'"
            )
            told = published.run("recommend", "--user", str(user), "--ds", "2026-01-01").stdout
            assert f"challenger: model version {version}" in " ".join(told.split())
    assert by_variant.keys() == {"champion"}
    assert published.sql(f"{variants} recommendations_shadow group by all") == [
        ("challenger", version, 2400, 120)
    ]
    assert "rank-biased overlap" in page


def test_rescoring_asks_for_what_there_is(published):
    for arguments, sentence in (
        (["--model-version", "99"], "There is no version 99 of nightreel-ml-1m"),
        (["--dataset", "ml-25m"], "The tables hold release ml-1m, of run"),
        (["--set", "score.genres_in=[Western]"], "has no genre Western. Its genres: Drama."),
        (["--set", "score.block_list=no.csv"], "score.block_list: no.csv does not exist"),
        (["--set", "score.challenger=rating/99"], "release ml-1m has no version that could be it"),
        (["--users", "seven"], "There is no user seven in release ml-1m: the ids of its 120 users"),
    ):
        refused = published.run("rescore", "--run-id", "refused", *arguments)
        assert refused.returncode != 0
        assert sentence in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (published.folder / "runs/refused").exists()
