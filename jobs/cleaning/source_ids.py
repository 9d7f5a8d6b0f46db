"""Numbers for ids that are none of ours: texts, and whole numbers beyond 2147483647.

Everything that is learned, scored and published goes by numbers in 32 bits. An id that is such a
number, from 1, stands for itself. Any other gets the next free one below 0, for good: an index in
the warehouse, of each release, is only ever added to, so that later nights, models and tables speak
of the same users and movies, whatever comes in whichever order. That both kinds never meet lets ids
of one kind follow those of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.cleaning.lines import literal_path
from jobs.engines.duck import open_memory, parquet_files, quoted
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, replacing
from jobs.runs.schemas import SOURCE_IDS
from model.files import make_folder


@dataclass(frozen=True)
class SourceIds:
    """The index of a release's users or movies: files that appear whole, and never change."""

    folder: Path

    @property
    def lowest(self) -> int:
        """The number that was given last; 0 before the first."""
        files = ", ".join(quoted(str(file)) for file in parquet_files(self.folder))
        if not files:
            return 0
        with open_memory() as connection:
            [(lowest,)] = connection.execute(
                f"select min(id) from read_parquet([{files}])"
            ).fetchall()
        return lowest

    def read(self, spark: SparkSession) -> DataFrame:
        """schemas.SOURCE_IDS of all ids that have a number yet."""
        files = [literal_path(file) for file in parquet_files(self.folder)]
        if not files:
            return spark.createDataFrame([], SOURCE_IDS)
        return spark.read.schema(SOURCE_IDS).parquet(*files)

    def with_added(self, texts: DataFrame, scratch: Path, given: int = 0) -> DataFrame:
        """The index once it has each of these ids, distinct ones in a column `source_id`.

        New ones are numbered in their order, so that the same delivery to an empty index gives the
        same numbers. One run at a time adds; who is killed has added all or nothing. `given` is the
        lowest number that is known elsewhere to have been given: JobError is raised for an index
        that does not know it any more.
        """
        make_folder(self.folder)
        with exclusive(self.folder / ".lock", "another run to have numbered its ids"):
            lowest = self.lowest
            if given < lowest:
                raise JobError(
                    f"{self.folder} holds no numbers below {lowest}, and published tables "
                    f"speak of {given}: part of it is lost, and known ids would get the numbers of "
                    "others. Put it back from a copy of the warehouse, or start a new one."
                )
            known = self.read(texts.sparkSession)
            place = F.row_number().over(Window.orderBy("source_id"))
            new = texts.join(known, "source_id", "left_anti").select(
                (F.lit(lowest) - place).alias("id"), "source_id"
            )
            new.coalesce(1).write.mode("overwrite").parquet(str(scratch))
            self.add(parquet_files(scratch), lowest)
            return self.read(texts.sparkSession)

    def add(self, files: list[Path], lowest: int) -> None:
        """Take in files of ids with numbers below the lowest: one at most; empty ones are left."""
        from pyarrow.parquet import read_metadata

        for file in files:
            if rows := read_metadata(file).num_rows:
                # By the numbers that it holds, but for their sign.
                name = f"{1 - lowest}-{rows - lowest}.parquet"
                with replacing(self.folder / name) as new:
                    file.rename(new)


def with_numbers(rows: DataFrame, entity: str, index: DataFrame) -> DataFrame:
    """Rows of source_<entity>_id, whose numbers in the index are put where <entity>_id is null."""
    name = f"{entity}_id"
    known = index.select(F.col("source_id").alias(f"source_{name}"), "id")
    joined = rows.join(known, f"source_{name}", "left")
    return joined.withColumn(name, F.coalesce(name, "id")).drop("id")
