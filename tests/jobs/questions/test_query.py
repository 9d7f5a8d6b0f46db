"""Questions to a small published warehouse: a user's recommendations, and SQL."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.engines import terminal
from jobs.published.delta import file_paths, open_table
from jobs.questions import query
from jobs.runs.errors import JobError
from jobs.runs.warehouse import Warehouse
from tests.jobs.questions.conftest import cells


def test_the_newest_recommendations_with_titles_and_genres(ask):
    lines = ask(query.recommend, "--user", "2").splitlines()
    assert lines[0].strip() == "Recommendations for user 2 of 2026-11-23, model version 7"
    assert "Because you rated" in lines[2]
    named = ["1", "11", "[Rec] (2007)", "Horror", "4.22", "model", "Alien (1979) (62%)"]
    assert named in map(cells, lines)
    assert lines[5].rstrip().endswith("99 (25%)")
    assert "2 of 20: no more are published for this user" in lines[-1]


def test_a_question_loads_nothing_heavy(tables):
    # Seconds of import time would be most of the answer's.
    program = f"""
import sys
from jobs.nightreel import dispatch
dispatch(["recommend", "--user", "2", "--warehouse", {str(tables)!r}])
heavy = {{"pandas", "torch", "pyspark", "mlflow", "pyarrow", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_fewer_and_earlier_recommendations(ask):
    printed = ask(query.recommend, "--user", "2", "--top", "1", "--ds", "2026-11-22")
    assert "of 2026-11-22, model version 6" in printed
    assert "Nobody's Film" in printed
    assert "[Rec]" not in printed
    assert "no more" not in printed
    assert "Because" not in printed
    # Ranked by a damped score, which is shown then.
    assert ["1", "12", "Nobody's Film (2000)", "4.22", "3.50", "model"] in map(
        cells, printed.splitlines()
    )


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (query.recommend, "--user 99999", "no user 99999 in release ml-1m: .* run from 1 to 3"),
        (query.recommend, "--user 1", "User 1 has no recommendations of 2026-11-23"),
        (query.recommend, "--user 2 --ds 2026-01-01", "Published dates: 2026-11-23, 2026-11-22"),
        (query.sql, "selec", 'syntax error at or near "selec"'),
        (query.sql, "", "Expected one statement that returns rows.*found nothing"),
        (query.sql, "from\truns;from\truns", "found 2 statements"),
        (query.sql, "select\t1;\tset\tthreads=1", "found 2 statements"),
        (query.sql, "create\ttable\tx(a\tint)", "found CREATE"),
        (query.sql, "set\tthreads=1", "found SET"),
        (query.sql, "from\tfilms", "Tables: movies, quarantine, ratings, recommendations, runs"),
    ],
)
def test_errors_say_what_there_is(ask, command, argv, message):
    with pytest.raises(JobError, match=message):
        ask(command, *argv.split(" "))


def published_file(tables):
    """A file of the table ratings."""
    return file_paths(open_table(Warehouse(tables), "ratings"))[0]


@pytest.mark.parametrize(
    "statement",
    [
        "explain analyze copy (select 1) to '{free}'",
        "EXPLAIN /* copy */ (analyze) CoPy (select 1) to '{published}' (use_tmp_file false)",
        "explain analyze copy (pivot movies on year using count(*)) to '{published}' "
        "(use_tmp_file false)",
        "copy (select 1) to '{free}'",
        "from '{other}'",
        "from read_text('{other}')",
        "from read_blob('/proc/self/environ')",
        "from glob('/*')",
        "from 'https://127.0.0.1:1/x.parquet'",
        "explain analyze set threads = 1",
        "pragma enable_profiling",
        "call start_ui()",
    ],
)
def test_no_statement_writes_or_reads_another_file(ask, tables, tmp_path, statement):
    names = {"free": tmp_path / "free", "other": tmp_path / "other.csv"}
    names["other"].write_text("secret")
    file = Path(published_file(tables))
    before, listed = file.read_bytes(), sorted(tables.rglob("*"))
    with pytest.raises(JobError) as told:
        ask(query.sql, statement.format(published=file, **names))
    assert "secret" not in str(told.value)
    assert file.read_bytes() == before
    assert sorted(tables.rglob("*")) == listed
    assert not names["free"].exists()


def test_what_reads_is_still_answered(ask):
    for statement in (
        "explain analyze from ratings",
        'explain select \'copy\', "copy" from (select 1 as "copy") -- copy',
        "pivot ratings on split using count(*) group by user_id",
        "pragma table_info('ratings')",
        "summarize ratings",
    ):
        assert ask(query.sql, statement).strip()


@pytest.mark.parametrize(
    ("command", "argv"), [(query.recommend, ["--user", "1"]), (query.sql, ["select 1"])]
)
def test_an_empty_warehouse(command, argv, tmp_path):
    with pytest.raises(JobError, match=r"no table .* yet\. Publish one with: make nightly"):
        command([*argv, "--warehouse", str(tmp_path)])


def test_partition_columns_have_their_types(ask):
    # A run id of digits stays text, and a date a date.
    answer = ask(query.sql, "--csv", "select run_id, line, typeof(line) from quarantine")
    assert answer == "run_id,line,typeof(line)\n007,3,BIGINT\n"
    answer = ask(query.sql, "--csv", "select typeof(ds), max(finished_at) from runs group by 1")
    assert answer.endswith("\nDATE,2026-11-23 00:00:00\n")


def test_sql_shows_a_table_and_says_what_it_leaves_out(ask):
    printed = ask(query.sql, "--limit", "2", "from movies order by movie_id desc")
    assert ["12", "Nobody's Film (2000)", "2000"] in map(cells, printed.splitlines())
    assert "Alien" not in printed
    assert "Only the first 2 rows are shown" in printed
    assert "Only" not in ask(query.sql, "--limit", "3", "from movies")


def test_rows_too_wide_for_the_terminal_stand_one_below_the_other(ask, monkeypatch):
    monkeypatch.setattr(terminal, "WIDTH_WITHOUT_TERMINAL", 60)
    lines = ask(query.sql, "from quarantine").splitlines()
    assert "Row 1" not in lines
    lines = ask(query.sql, "from recommendations order by all desc limit 2").splitlines()
    assert list(map(cells, lines[:4])) == [
        ["Row 1"],
        ["ds", "2026-11-23"],
        ["user_id", "3"],
        ["rank", "2"],
    ]
    assert cells(lines[20]) == ["Row 2"]
    assert ask(query.sql, "from recommendations limit 0").startswith("No rows. Their columns: ds, ")
