"""Which column of Parquet is which, and what it holds: told from the files' schema and first rows.

Values are text everywhere, as in CSV: then ids, ratings and times are told, checked and refused in
one way, however they were delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from jobs.release.columns import ENOUGH, FIELDS, LARGEST_ID, MOST_COLUMNS, Peeked
from jobs.release.layouts import Table
from jobs.release.parts import Named
from jobs.runs.errors import JobError
from jobs.runs.settings.delivery import ColumnSettings

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LIST, BOOL = "list<string>", "bool"
TEXTS = ("string", "large_string", "binary", "large_binary")


class PeekedParquet(Peeked):
    """The columns of a table's files, and the first rows of each."""

    def __init__(self, named: Named) -> None:
        self.named, self.label = named, named.label(named.files[0])
        self.separator, self.header = "", True
        self.rows: list[list[str]] = []
        self.largest: dict[str, int] = {}
        few = -(-ENOUGH // len(named.files))
        for number, name in enumerate(named.files):
            with opened(named, name) as file:
                kinds = kinds_of(file)
                if number == 0:
                    self.kinds, self.first = kinds, list(kinds)[:MOST_COLUMNS]
                    self.refuse_likeness()
                elif kinds != self.kinds:
                    raise JobError(
                        f"{named.label(name)} has other columns than {named.files[0]}. The parts "
                        "of a table have the same, of the same types, in the same order."
                    )
                self.rows += islice(rows_of(file, self.first, few), few)
                for column, value in largest_of(file).items():
                    self.largest[column] = max(value, self.largest.get(column, value))

    def refuse_likeness(self) -> None:
        """Raise JobError where Spark could not tell two columns apart."""
        if len({name.lower() for name in self.first}) < len(self.first):
            raise JobError(
                f"{self.label} has two columns whose names differ in case alone, or not at all. "
                "Write it with other names."
            )

    def table(
        self, needed: tuple[str, ...], more: tuple[str, ...], said: ColumnSettings
    ) -> tuple[Table, list[str]]:
        """As of text. Raises JobError for a column of another type than text, number or time."""
        table, aside = super().table(needed, more, said)
        for name, field in zip(self.first, table.fields, strict=True):
            kind = self.kinds[name]
            misplaced = kind == LIST and field != FIELDS["genres"]
            misplaced |= kind == BOOL and field != FIELDS["deleted"]
            if field in FIELDS.values() and (not kind or misplaced):
                raise JobError(
                    f"{self.label}: the column of {field} is of a type that is not read here. "
                    "Expected numbers, text, dates or times."
                )
        return replace(table, header=False, names=tuple(self.first)), aside

    def ids(self, table: Table, name: str) -> str:
        """What ids a column holds: its type says it, or the largest number; else as of CSV."""
        column = self.first[table.fields.index(name)]
        if self.kinds[column] in TEXTS:
            return "string"
        large = self.largest.get(column, 0) > LARGEST_ID
        return "bigint" if large else super().ids(table, name)

    def time(self, table: Table) -> str:
        """How times are written: a type says it, else most of them."""
        kind = self.kinds[self.first[table.fields.index(FIELDS["time"])]]
        return kind if kind in ("dates", "nanoseconds") else super().time(table)


@contextmanager
def opened(named: Named, name: str) -> Iterator[pq.ParquetFile]:
    """One file. Raises JobError where it is no Parquet, or damaged."""
    # Loading it takes as long as most commands do.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(named.raw / name) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise JobError(
            f"{named.label(name)} is no Parquet, as {named.files[0]} is said to be, or is damaged "
            f"({str(error)[:200]}). Get a whole copy of it and run again."
        ) from None


def kinds_of(file: pq.ParquetFile) -> dict[str, str]:
    """What each column holds: `dates`, `nanoseconds`, else its type; empty where it is not read.

    Spark reads times of nanoseconds as whole numbers.
    """
    # Of a nested column several stand in it, and their paths begin with its name.
    physical = {
        column.path: column.physical_type
        for column in map(file.schema.column, range(len(file.schema)))
    }
    return {
        field.name: kind_of(field.type, physical.get(field.name, "")) for field in file.schema_arrow
    }


def largest_of(file: pq.ParquetFile) -> dict[str, int]:
    """The largest value of each column of whole numbers, where the file's footer tells of it."""
    found: dict[str, int] = {}
    for group in map(file.metadata.row_group, range(file.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            told = column.statistics
            if told is not None and told.has_min_max and isinstance(told.max, int):
                name = column.path_in_schema
                found[name] = max(told.max, found.get(name, told.max))
    return found


def kind_of(kind: pa.DataType, physical: str) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind):
        return "nanoseconds" if kind.unit == "ns" and physical != "INT96" else "dates"
    if pa.types.is_date(kind):
        return "dates"
    # Polars writes the large kinds, which Parquet itself does not tell apart.
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return LIST if is_text(kind.value_type) else ""
    plain = (
        pa.types.is_integer, pa.types.is_float32, pa.types.is_float64, pa.types.is_decimal,
        is_text, pa.types.is_binary, pa.types.is_boolean,
    )  # fmt: skip
    return str(kind) if any(is_of(kind) for is_of in plain) else ""


def is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def rows_of(file: pq.ParquetFile, columns: list[str], most: int) -> Iterator[list[str]]:
    """Its first rows as text; values of types that only tell themselves are left empty."""
    for batch in file.iter_batches(batch_size=most, columns=columns):
        yield from map(list, zip(*(texts(batch[name]) for name in columns), strict=True))
        return


def texts(values: pa.Array) -> list[str]:
    import pyarrow as pa

    if not (kind := kind_of(values.type, "")) or kind in ("dates", "nanoseconds", LIST):
        return [""] * len(values)
    whole = pa.types.is_floating(values.type)
    return [text(value, whole) for value in values.to_pylist()]


def text(value: object, real: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("UTF-8", "replace")
    return f"{value:.0f}" if real and float(str(value)).is_integer() else str(value)
