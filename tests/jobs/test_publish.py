"""A user's rows lie together, and readers open the one file that may hold them."""

import duckdb
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyspark.sql import functions as F

from jobs.publish import write_by_user
from jobs.published.delta import file_paths, publish_files
from jobs.published.views import view_of
from jobs.runs.schemas import RECOMMENDATIONS, in_json

USERS, TOP_K = 30_000, 20


def test_a_question_about_one_user_reads_one_row_group(spark, tmp_path):
    n = F.col("id")
    rows = spark.range(0, USERS * TOP_K, 1, 2).select(
        F.lit("2026-11-23").cast("date").alias("ds"),
        (n / TOP_K + 1).cast("int").alias("user_id"),
        (n % TOP_K + 1).cast("int").alias("rank"),
        F.hash("id").alias("movie_id"),
        F.hash("id").cast("string").alias("title"),
        *(F.lit(4.0).cast(kind).alias(name) for name, kind in
          (("predicted_rating", "float"), ("source", "string"), ("model_version", "string"),
           ("run_id", "string"), ("ranking_score", "float"),
           ("order_version", "string"), ("rating_sd", "float"))),
    )  # fmt: skip
    ddl = in_json(RECOMMENDATIONS)
    write_by_user(rows, tmp_path / "scored")
    replaced = {"ds": "2026-11-23"}
    publish_files(tmp_path / "table", tmp_path / "scored", ddl, ["ds"], replaced, {})
    table = DeltaTable(tmp_path / "table")
    assert len(file_paths(table)) == 2
    where = "ds = '2026-11-23' and user_id = 7777"
    [file] = file_paths(table, where)
    footer = pq.read_metadata(file)
    bounds = [footer.row_group(i).column(0).statistics for i in range(footer.num_row_groups)]
    assert len(bounds) > 1
    assert sum(group.min <= 7777 <= group.max for group in bounds) == 1
    view = view_of(duckdb.connect(), table, where=where)
    query = f"select rank from ({view}) where {where} order by 1"
    found = duckdb.execute(query)
    assert found.fetchall() == [(rank,) for rank in range(1, TOP_K + 1)]
    assert file_paths(table, "ds = '2026-11-24'") == []
