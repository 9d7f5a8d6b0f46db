"""Rows of Parquet as the parsers of lines take them: every field as text."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cleaning.lines import in_blocks, literal_path
from jobs.release.layouts import Table


def read_parquet(spark: SparkSession, raw: Path, table: Table) -> DataFrame:
    """A table's rows: content (what is read of it, as JSON), block, position, reason and fields.

    `position` is the row's number in its file, from 0; `reason` is null.
    """
    # As pandas writes times. Only here does anybody read such.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    files = [raw / file for file in table.files]
    read = spark.read.parquet(*(literal_path(file) for file in files))
    kinds = dict(read.dtypes)
    named = [
        (F.col("`" + name.replace("`", "``") + "`"), kinds[name], field)
        for name, field in zip(table.names, table.fields, strict=True)
        if not field.startswith("aside_")
    ]
    rows = read.select(
        F.to_json(F.struct(*(column for column, *_ in named)), {"ignoreNullFields": "false"}).alias(
            "content"
        ),
        F.lit(0).cast("bigint").alias("block"),
        F.col("_metadata.row_index").alias("position"),
        F.col("_metadata.file_path").alias("path"),
        F.lit(None).cast("string").alias("reason"),
        *(as_text(column, kind).alias(field) for column, kind, field in named),
    )
    return in_blocks(rows, files, read.inputFiles())


def as_text(column: Column, kind: str) -> Column:
    """A value as CSV would hold it: a whole number without a point, a list with | in between."""
    if kind in ("float", "double"):
        whole = (column == F.floor(column)) & (F.abs(column) < 2.0**53)
        return F.when(whole, column.cast("bigint").cast("string")).otherwise(column.cast("string"))
    return F.concat_ws("|", column) if kind.startswith("array") else column.cast("string")
