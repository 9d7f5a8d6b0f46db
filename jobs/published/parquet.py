"""What the footer of a Parquet file tells a Delta commit: columns, rows, bounds and nulls.

A commit does not look into the files that it adds, so this is where they are looked at; only the
footers are read.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.runs.errors import JobError
from jobs.runs.schemas import SIMPLE_TYPES

DELTA_NAMES = {names.arrow: names.delta for names in SIMPLE_TYPES.values()}
# Delta's writers cut longer text in statistics, which takes care to keep an upper bound.
LONGEST_TEXT_BOUND = 32
# 4,000 users, or movies, of 20: a question about one reads one group. Smaller groups make a file's
# footer, which every reader reads first, cost more than the rows that they save; larger ones add
# rows to decode.
ROWS_OF_GROUP = 40 * 2048


def read_footer(file: Path) -> pq.FileMetaData:
    """Raises JobError if the file is cut off or no Parquet at all."""
    try:
        return pq.read_metadata(file)
    except pa.ArrowInvalid as error:
        raise JobError(f"{file} cannot be published: {error}") from None


def check_columns(
    file: Path, footer: pq.FileMetaData, schema_json: str, partition_by: list[str]
) -> None:
    """Raises JobError unless the file holds the columns of the schema, less the partition's."""
    fields = json.loads(schema_json)["fields"]
    expected = {f["name"]: delta_name(f["type"]) for f in fields if f["name"] not in partition_by}
    found = {field.name: arrow_name(field.type) for field in footer.schema.to_arrow_schema()}
    if found != expected:
        raise JobError(f"{file} holds other columns: found {found}, expected {expected}.")


def delta_name(kind: str | dict[str, Any]) -> str:
    """A type of a schema in JSON, as in `array<string>`."""
    return kind if isinstance(kind, str) else f"{kind['type']}<{delta_name(kind['elementType'])}>"


def arrow_name(kind: pa.DataType) -> str:
    """An Arrow type by the name that Delta gives it."""
    if pa.types.is_list(kind):
        return f"array<{arrow_name(kind.value_type)}>"
    return DELTA_NAMES.get(str(kind), str(kind))


def statistics(footer: pq.FileMetaData) -> dict[str, Any]:
    """Delta's statistics of a file: rows, and of each simple column bounds and number of nulls.

    A bound that the footer does not hold for every row group is left out.
    """
    least, greatest, nulls = {}, {}, {}
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    for i in range(footer.num_columns):
        name = footer.schema.column(i).path
        chunks = [group.column(i).statistics for group in groups]
        if "." in name or not all(chunk and chunk.has_null_count for chunk in chunks):
            continue
        nulls[name] = sum(chunk.null_count for chunk in chunks)
        if all(chunk.has_min_max and has_bound(chunk.max) for chunk in chunks):
            least[name] = in_json(min(chunk.min for chunk in chunks))
            greatest[name] = in_json(max(chunk.max for chunk in chunks))
    return {
        "numRecords": footer.num_rows,
        "minValues": least,
        "maxValues": greatest,
        "nullCount": nulls,
    }


def has_bound(value: object) -> bool:
    """Numbers, dates and short text; not timestamps, which Delta rounds to milliseconds."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT_BOUND
    return isinstance(value, int | float | date) and not isinstance(value, bool | datetime)


def in_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
