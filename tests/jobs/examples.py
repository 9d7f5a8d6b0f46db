"""Small runs, tables and models that several tests start from."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.engines.duck import columns_in_sql
from jobs.runs.configuration import load_configuration
from jobs.runs.run import Run
from jobs.runs.schemas import columns_of, names_of
from jobs.runs.warehouse import Warehouse
from jobs.scoring.models import Models, Version
from model.factors import load_factors
from tests.model.examples import factors

# Users 1 to 3 and movies 10 to 12; nothing was learned of user 3 and movie 12.
MODEL = factors(
    [[1, 0], [0.5, 1], [0, 0]],
    [[1, 1], [0, 2], [0, 0]],
    user_bias_U=np.array([0.25, -0.5, 0], np.float32),
    movie_bias_M=[0.5, -0.5, 0],
    mean=2.0,
    user_trained_U=np.array([True, True, False]),
    movie_trained_M=np.array([True, True, False]),
    popular_M=np.array([4.0, 2.0, 3.0], np.float32),
)

# The same, with deviations of 0.5 and 1 of user 1's ratings, and 1 and 2 of user 2's.
DOUBTFUL = replace(
    MODEL,
    user_sd_US=np.array([[0.5], [1], [0]], np.float32),
    movie_sd_MS=np.array([[1], [2], [0]], np.float32),
)

SIMPLE = [pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.string()]
SIMPLE += [pa.date32(), pa.timestamp("us", "UTC")]
LISTS = [pa.list_(pa.field("element", kind)) for kind in SIMPLE]
ARROW = {str(kind): kind for kind in SIMPLE + LISTS}


# The files of a delivery that breaks most of the rules for lines.
MOVIES = """1::Toy Story (1995)::Animation|Children's|Comedy
2::Misérables, Les (1995)::Drama
x::No Number (1990)::Drama
5::Five (1990)
2::Again (1999)::Drama
7::Seven, and a comma::
"""
USERS = """1::F::1::10::48067
2::M::56::16::70072
9::M::25::20::55117
"""
RATINGS = """1::1::5::978300760
1::2::3::978302109
2::1::4::0
1::1::4::978300999
2::2::6::978301968
2::x::3::978301968
2::2::3
3::7::1::978301968
3::1::2::1767484799
3::2::2::1767484800
2::99::3::978301968
2::2::3.5::978301968
2::2::3::soon

0::1::3::978301968
"""


def saved_models(folder: Path, version: str = "1") -> Models:
    """The model that is saved in a folder, which predicts ratings and orders movies by them."""
    return Models(Version(version, load_factors(folder), folder), None)


def small_run(
    warehouse: Path,
    release: str = "ml-1m",
    overrides: list[str] | None = None,
    run_id: str = "run",
    champion: str | None = None,
) -> Run:
    """A run of 2026-01-02 that nothing has been written for yet."""
    conf = load_configuration(overrides, warehouse=str(warehouse))
    return Run(Warehouse(warehouse), run_id, date(2026, 1, 2), release, "digest", champion, conf)


def delivered(folder: Path, **files: bytes) -> Path:
    """A delivery whose files are written `u_data` for u.data."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def write(
    folder: Path,
    ddl: str,
    partition: dict[str, str],
    rows: list[tuple],
    name: str = "part-0.snappy.parquet",
) -> Path:
    """Rows, without the partition's columns, where Spark's partitionBy would write them.

    A file takes the place of one that is there, as Spark's do: a table may have that under another
    name. Of the columns that a row leaves out at its end it has nulls.
    """
    target = folder.joinpath(*(f"{key}={value}" for key, value in partition.items()))
    target.mkdir(parents=True, exist_ok=True)
    (target / name).unlink(missing_ok=True)
    fields = [
        (column, ARROW[names_of(kind).arrow])
        for column, kind in columns_of(ddl).items()
        if column not in partition
    ]
    schema = pa.schema(fields)
    named = [dict(zip(schema.names, row, strict=False)) for row in rows]
    pq.write_table(pa.Table.from_pylist(named, schema), target / name, row_group_size=2)
    return folder


def add_table(
    tables: duckdb.DuckDBPyConnection, name: str, ddl: str, rows: Sequence[Sequence[object]]
) -> None:
    """A table of DuckDB. Of the columns that rows leave out at their end they have nulls."""
    tables.execute(f"create table {name} ({columns_in_sql(ddl)})")
    for row in rows:
        marks, named = ", ".join("?" * len(row)), ", ".join(list(columns_of(ddl))[: len(row)])
        tables.execute(f"insert into {name} ({named}) values ({marks})", row)


def set_time(table: Path, version: int, time: str) -> None:
    """Make a commit look as if it had been made at another time."""
    milliseconds = int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000)
    file = table / "_delta_log" / f"{version:020d}.json"
    text = re.sub(r'"timestamp":\d+', f'"timestamp":{milliseconds}', file.read_text())
    file.write_text(text)
