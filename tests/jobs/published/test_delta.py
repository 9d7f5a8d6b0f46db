"""Publishing: one partition, all or nothing, again and again."""

import json
from datetime import UTC, datetime

import duckdb
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.published import delta
from jobs.published.parquet import read_footer, statistics
from jobs.published.views import view_of
from jobs.runs.errors import JobError
from jobs.runs.schemas import (
    MOVIES,
    PUBLISHED,
    QUARANTINE,
    RATINGS,
    RECOMMENDATIONS,
    columns_of,
    in_json,
)
from jobs.runs.warehouse import Warehouse
from tests.jobs.examples import write


def publish(table, source, partition, ddl=QUARANTINE, run_id="r"):
    metadata = {"run_id": run_id, "model_version": "1"}
    names = list(partition)
    return delta.publish_files(table, source, in_json(ddl), names, partition, metadata)


def rows_of(table: DeltaTable):
    return duckdb.execute(view_of(duckdb.connect(), table)).fetchall()


def bad_lines(*lines):
    return [("ratings.dat", line, "reason", "content") for line in lines]


run_ids = st.sampled_from(["2026", "manual__2026-11-23T02-00", "a.b"])
line_numbers = st.lists(st.integers(1, 100), max_size=3)


@settings(max_examples=15, deadline=None)
@given(publishes=st.lists(st.tuples(run_ids, line_numbers), min_size=1, max_size=5))
def test_a_partition_holds_what_was_published_last(tmp_path_factory, publishes):
    folder = tmp_path_factory.mktemp("Bob's wärehouse [1]")
    expected = {}
    for attempt, (run_id, lines) in enumerate(publishes):
        source = folder / str(attempt)
        source.mkdir()
        if lines:  # Spark's partitionBy writes no file for no rows
            write(source, QUARANTINE, {"run_id": run_id}, bad_lines(*lines))
        assert publish(folder / "table", source, {"run_id": run_id}) == attempt
        expected[run_id] = lines
    found = sorted((row[0], row[2]) for row in rows_of(DeltaTable(folder / "table")))
    assert found == sorted((run, line) for run, lines in expected.items() for line in lines)


def test_a_table_without_partitions_is_replaced_whole(tmp_path):
    for version, titles in enumerate((["A", "B"], ["C"])):
        movies = [(1, title, 1999, ["Drama"]) for title in titles]
        source = write(tmp_path / str(version), MOVIES, {}, movies)
        write(source, MOVIES, {}, [], "part-1.snappy.parquet")  # Spark's empty file
        write(source / "_temporary", MOVIES, {}, movies)  # an attempt that Spark gave up
        assert publish(tmp_path / "table", source, {}, MOVIES) == version
    assert rows_of(DeltaTable(tmp_path / "table")) == [(1, "C", 1999, ["Drama"], None)]
    assert len(DeltaTable(tmp_path / "table").file_uris()) == 1


def test_earlier_versions_stay_readable_and_commits_say_who_made_them(tmp_path):
    for run_id, line in (("r", 1), ("r", 2)):
        source = write(tmp_path / "source", QUARANTINE, {"run_id": run_id}, bad_lines(line))
        publish(tmp_path / "table", source, {"run_id": run_id})
    table = DeltaTable(tmp_path / "table", version=0)
    assert [row[2] for row in rows_of(table)] == [1]
    commits = DeltaTable(tmp_path / "table").history()
    assert [(c["version"], c["run_id"], c["model_version"]) for c in commits] == [
        (1, "r", "1"),
        (0, "r", "1"),
    ]


def test_a_failure_before_the_commit_leaves_the_table_as_it_was(tmp_path, monkeypatch):
    table = tmp_path / "table"
    publish(
        table, write(tmp_path / "a", QUARANTINE, {"run_id": "r"}, bad_lines(1)), {"run_id": "r"}
    )
    second = write(tmp_path / "b", QUARANTINE, {"run_id": "r"}, bad_lines(2))

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "create_write_transaction", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(table, second, {"run_id": "r"})
    assert len(list(table.rglob("*.parquet"))) == 1  # what was placed is gone again
    assert [row[2] for row in rows_of(DeltaTable(table))] == [1]
    assert publish(table, second, {"run_id": "r"}) == 1
    assert [row[2] for row in rows_of(DeltaTable(table))] == [2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"partition": {"run_id": "other"}}, "lies outside the partition"),
        ({"partition": {}}, "Expected Parquet files in run_id="),
        ({"ddl": QUARANTINE.replace("bigint", "int")}, "holds other columns"),
        (
            {"ddl": QUARANTINE + ", more int", "rows": [("f", 1, "r", "c", 1)]},
            "holds other columns",
        ),
    ],
)
def test_wrong_files_are_refused_and_change_nothing(tmp_path, wrong, message):
    values = {"ddl": QUARANTINE, "partition": {"run_id": "r"}, "rows": bad_lines(1)} | wrong
    if not values["partition"]:
        values["rows"] = [("r", *row) for row in values["rows"]]
    source = write(tmp_path / "source", **values)
    with pytest.raises(JobError, match=message):
        publish(tmp_path / "table", source, {"run_id": "r"})
    assert not DeltaTable.is_deltatable(tmp_path / "table")


def test_a_truncated_file_is_refused(tmp_path):
    source = write(tmp_path / "source", QUARANTINE, {"run_id": "r"}, bad_lines(1))
    file = next(source.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(JobError, match="cannot be published"):
        publish(tmp_path / "table", source, {"run_id": "r"})


def test_statistics_bound_all_row_groups(tmp_path):
    at = datetime(2001, 1, 1, tzinfo=UTC)
    rows = [
        (3, 10, 2.5, at, "train"),
        (1, 20, float("nan"), None, "test"),
        (7, 30, None, None, None),
        (5, 40, 4.0, at, "x" * 33),  # too long for a bound
    ]
    write(tmp_path, RATINGS, {}, rows, "part.parquet")
    found = statistics(read_footer(tmp_path / "part.parquet"))
    assert found["numRecords"] == 4
    assert found["nullCount"] == {
        "user_id": 0,
        "movie_id": 0,
        "rating": 1,
        "rated_at": 2,
        "split": 1,
    }
    assert found["minValues"] == {"user_id": 1, "movie_id": 10, "rating": 2.5}
    assert found["maxValues"] == {"user_id": 7, "movie_id": 40, "rating": 4.0}


def test_readers_can_skip_files_by_statistics(tmp_path):
    for name, users in (("a.parquet", (1, 2)), ("b.parquet", (3, 4))):
        write(tmp_path / "source", RATINGS, {}, [(u, 1, 3.0, None, "train") for u in users], name)
    publish(tmp_path / "table", tmp_path / "source", {}, RATINGS)
    table = DeltaTable(tmp_path / "table")
    assert len(table.file_uris(file_pruning_predicate="user_id = 3")) == 1
    assert table.count() == 4


def test_a_column_added_later_is_null_in_older_files(tmp_path):
    publish(
        tmp_path / "table",
        write(tmp_path / "a", QUARANTINE, {"run_id": "a"}, bad_lines(1)),
        {"run_id": "a"},
    )
    wider = QUARANTINE + ", more int"
    source = write(tmp_path / "b", wider, {"run_id": "b"}, [(*bad_lines(2)[0], 5)])
    publish(tmp_path / "table", source, {"run_id": "b"}, wider)
    assert sorted((row[2], row[-1]) for row in rows_of(DeltaTable(tmp_path / "table"))) == [
        (1, None),
        (2, 5),
    ]


def test_columns_that_were_added_later(tmp_path):
    """They are null in rows of before, whether some of the files have them or none has."""
    connection, known = duckdb.connect(), columns_of(RECOMMENDATIONS)
    older, _, _ = RECOMMENDATIONS.partition(", ranking_score")
    row = (1, 1, 10, "A", 4.5, "model", "1", "r")
    for ds, ddl, rows in (
        ("2026-01-01", older, [row]),
        ("2026-01-02", RECOMMENDATIONS, [(*row, 5.25, "2", 0.5, 10, 0.25)]),
    ):
        source = write(tmp_path / ds, ddl, {"ds": ds}, rows)
        publish(tmp_path / "table", source, {"ds": ds}, ddl)
    table, before = DeltaTable(tmp_path / "table"), DeltaTable(tmp_path / "table", version=0)

    def found_in(table, where=None):
        found = connection.sql(view_of(connection, table, known, where))
        assert found.columns == list(known)
        assert [str(kind) for kind in found.types[-7:-4]] == ["FLOAT", "INTEGER", "FLOAT"]
        return sorted((str(ds), *others) for ds, *others in found.fetchall())

    first = ("2026-01-01", *row, *[None] * 9)
    second = ("2026-01-02", *row, 5.25, "2", 0.5, 10, 0.25, *[None] * 4)
    assert found_in(table) == [first, second]
    assert found_in(before) == [first]
    # The schema has them still.
    assert found_in(table, "ds = '2026-01-01'") == [first]
    table.delete("ds = '2026-01-02'")
    assert found_in(table) == [first]


def test_schemas_are_those_that_spark_would_name(spark):
    from pyspark.sql.types import StructType

    for ddl, _ in PUBLISHED.values():
        assert json.loads(StructType.fromDDL(ddl).json()) == json.loads(in_json(ddl))


def test_a_missing_table_says_how_to_get_one(tmp_path):
    with pytest.raises(
        JobError, match=r"no table movies in .* yet\. Publish one with: make nightly"
    ):
        delta.open_table(Warehouse(tmp_path), "movies")
