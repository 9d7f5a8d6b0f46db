"""Files of ids: what is read from them, what is refused, and what a run keeps."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import ingest
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.run import open_run
from jobs.runs.schemas import MOVIES, USERS
from jobs.runs.warehouse import Warehouse
from jobs.scoring.given_ids import (
    IdFile,
    given_lists,
    kept_lists,
    require_known,
    with_blocked,
    write_candidates,
)
from tests.jobs.examples import delivered, small_run, write


def test_files_of_ids(tmp_path):
    (tmp_path / "blocked.csv").write_text('title,movie_id\nA,14\n"B, again",10\nA,14\n')
    conf = load_configuration([f"score.block_list={tmp_path}/blocked.csv"])
    assert with_blocked(conf, numbers=True).score.block_list == [10, 14]

    duckdb.execute(
        "copy (select 7::bigint as movie_id, unnest([2, 1]) as user_id) "
        f"to '{tmp_path}/lists.parquet' (format parquet)"
    )
    lists = IdFile("score.candidates", f"{tmp_path}/lists.parquet", ("user_id", "movie_id"))
    assert lists.write(tmp_path / "kept") == 2
    lists.leave_out(["2", "u-9"])
    assert lists.rows() == [(1, 7)]
    kept = IdFile("score.candidates", f"{tmp_path}/kept/part-0.parquet", ("user_id", "movie_id"))
    assert kept.rows() == [(1, 7), (2, 7)]

    (tmp_path / "blocked.csv").write_text("movie_id\nB00X\n 7 \n007\n")
    assert with_blocked(conf, numbers=False).score.block_list == ["007", "7", "B00X"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"ids.csv does not exist"),
        ("user_id\n1\n", r"has no column movie_id. Expected CSV that begins with"),
        ("user_id,movie_id\n1,2\n2,1.5\n", r"row 2: movie_id is no whole number from 1 to"),
        ("user_id,movie_id\n1,\n", r"row 1: movie_id is no whole"),
        ("user_id,movie_id\n3000000000,1\n", r"row 1: user_id is no whole"),
        ("user_id,movie_id\n1,2,3\n1\n", r"cannot be read as CSV|has no column"),
    ],
)
def test_a_file_that_holds_no_ids_is_refused(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "ids.csv").write_text(content)
    with pytest.raises(JobError, match=sentence):
        IdFile("score.candidates", f"{tmp_path}/ids.csv", ("user_id", "movie_id"), numbers=True)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    "content",
    [
        "dbhost:5432:prod:nightreel:hidden\n",
        "{'admin': 'hidden'}",
        "hidden,movie_id\n1,2\n",
        "user_id,movie_id\n1,2\n3,hidden\n",
        'user_id,movie_id\n1,2\n"hidden\n',
        "user_id,movie_id\n1,2,hidden\n1\n",
    ],
)
def test_no_error_repeats_what_a_file_holds(tmp_path, content, suffix):
    file = tmp_path / f"ids.{suffix}"
    file.write_text(content)
    with pytest.raises(JobError) as refused:
        IdFile("score.candidates", str(file), ("user_id", "movie_id"), numbers=True)
    assert "hidden" not in str(refused.value)


def test_files_may_be_named_in_the_folders_of_the_variable_alone(tmp_path, monkeypatch):
    for folder in ("lists", "private"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ids.csv").write_text("user_id,movie_id\n1,2\n")
    (tmp_path / "lists" / "link.csv").symlink_to(tmp_path / "private" / "ids.csv")
    monkeypatch.setenv("NIGHTREEL_INPUTS", f"{tmp_path}/elsewhere:{tmp_path}/lists")
    assert given_lists(load_configuration([f"score.candidates={tmp_path}/lists/ids.csv"]), True)
    for name in ("private/ids.csv", "lists/link.csv", "lists/../private/ids.csv"):
        with pytest.raises(JobError, match=r"score\.candidates: .* in none of the folders"):
            given_lists(load_configuration([f"score.candidates={tmp_path}/{name}"]), True)
        with pytest.raises(JobError, match=r"score\.block_list: .* in none of the folders"):
            with_blocked(load_configuration([f"score.block_list={tmp_path}/{name}"]), True)
    source = ["--dataset=ml-1m", f"--source={tmp_path}/private"]
    with pytest.raises(JobError, match=r"ingest\.source: .* in none of the folders"):
        ingest.main([f"--warehouse={tmp_path}/w", "--run-id=a", *source])
    assert not (tmp_path / "w").exists()


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "ids.parquet").write_text("user_id,movie_id\n")
    with pytest.raises(JobError, match=r"cannot be read as CSV .*, or Parquet"):
        IdFile("score.candidates", f"{tmp_path}/ids.parquet", ("user_id", "movie_id"))


def test_files_of_ids_are_kept_with_the_run(tmp_path):
    (tmp_path / "blocked.csv").write_text("movie_id\n20\n")
    (tmp_path / "lists.csv").write_text("user_id,movie_id\n1,10\n")
    source = delivered(
        tmp_path / "ml-1m",
        ratings_dat=b"1::10::5::978300000\n",
        movies_dat=b"10::Paper Kite, The (1990)::Drama\n20::Harriet's Ledger (1974)::Crime\n",
    )

    def begin(warehouse):
        named = {
            "--warehouse": warehouse,
            "--run-id": "a",
            "--dataset": "ml-1m",
            "--source": source,
        }
        settings = [
            f"--set=score.block_list={tmp_path}/blocked.csv",
            f"--set=score.candidates={tmp_path}/lists.csv",
        ]
        ingest.main([*(f"{option}={value}" for option, value in named.items()), *settings])

    begin(tmp_path / "w")
    run = open_run(Warehouse(tmp_path / "w"), "a")
    assert run.conf.score.block_list == [20]
    # What becomes of the files afterwards is nothing to the run.
    (tmp_path / "lists.csv").unlink()
    lists = kept_lists(run)
    assert lists is not None
    assert lists.rows() == [(1, 10)]
    with pytest.raises(JobError, match=r"score.candidates: .*lists.csv does not exist"):
        begin(tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        ("1,10\n5,10\n", r"has no user 5\."),
        ("1,12\n1,11\n", r"has no movie 11, 12\."),
        # What is no number may be anything, and is not shown.
        ("1,10\nhidden,10\n", r"has none of 1 users that are named there\."),
        ("1,hidden\n1,11\n", r"has no movie 11 and 1 more\."),
        ("1,10\n", [(1, 10)]),
        ("u-2,10\n1,B00X\n u-2,B00X\n", [(-2, -1), (-2, 10), (1, -1)]),
    ],
)
def test_candidates_must_be_users_and_movies_of_the_data(tmp_path, pairs, kept):
    run = small_run(tmp_path, overrides=["score.candidates=lists.csv"])
    blank = (None, None, None, None)
    write(run.data("users"), USERS, {}, [(1, *blank, "1"), (-2, *blank, "u-2")])
    write(run.data("movies"), MOVIES, {}, [(10, "A", 1999, [], None), (-1, "B", 1999, [], "B00X")])
    (tmp_path / "lists.csv").write_text(f"user_id,movie_id\n{pairs}")
    given = IdFile("score.candidates", f"{tmp_path}/lists.csv", ("user_id", "movie_id"))
    given.write(run.output("given_candidates"))
    lists = kept_lists(run)
    assert lists
    if isinstance(kept, str):
        with pytest.raises(JobError, match=rf"score\.candidates: release ml-1m {kept}$"):
            require_known(lists, run)
        return
    require_known(lists, run)
    assert write_candidates(lists, run) == len(kept)
    found = pq.read_table(run.output("candidates"))
    assert [tuple(row.values()) for row in found.to_pylist()] == kept
    assert found.schema.types == [pa.int32(), pa.int32()]
