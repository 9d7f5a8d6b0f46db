"""The parsed lines of a delivery's files: kept for several uses, bad ones set aside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Parsed:
    """The lines of a file as they were parsed, each with block, position and reason.

    Of lines that can be used the content is gone.
    """

    file: str
    rows: DataFrame
    before: dict[int, int]
    """What must be added to a line's position to get its number, by block."""
    lines: int
    bad: int
    """Lines with a reason."""

    @property
    def usable(self) -> DataFrame:
        return self.rows.filter("reason is null")


def keep(file: str, parsed: DataFrame, header: bool) -> Parsed:
    """Cache the parsed lines of a file, and count them."""
    content = F.when(F.col("reason").isNotNull(), F.col("content"))
    rows = parsed.withColumn("content", content).cache()
    blocks = rows.groupBy("block").agg(
        F.count("*").alias("lines"),
        F.min("position").alias("first"),
        F.count("reason").alias("bad"),
    )
    # Numbers count from 1, header included.
    number, before, bad = 2 if header else 1, {}, 0
    for block in sorted(blocks.collect()):
        before[block.block] = number - block.first
        number, bad = number + block.lines, bad + block.bad
    return Parsed(file, rows, before, number - (2 if header else 1), bad)


def quarantine(files: list[Parsed], run_id: str) -> DataFrame:
    """The lines with a reason of some files, in schemas.QUARANTINE; one partition."""
    with_bad = [file for file in files if file.bad] or files[:1]
    return reduce(DataFrame.unionByName, (bad_lines(file, run_id) for file in with_bad)).coalesce(1)


def bad_lines(file: Parsed, run_id: str) -> DataFrame:
    """The lines with a reason of one file, in schemas.QUARANTINE."""
    pairs = [F.lit(value).cast("bigint") for pair in file.before.items() for value in pair]
    before = F.element_at(F.create_map(*pairs), F.col("block")) if pairs else F.lit(0)
    return file.rows.filter("reason is not null").select(
        F.lit(run_id).alias("run_id"),
        F.lit(file.file).alias("file"),
        (F.col("position") + before).alias("line"),
        "reason",
        "content",
    )
