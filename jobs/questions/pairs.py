"""Predicted ratings of (user, movie) pairs: in arrays, or from one CSV file into another."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from jobs.runs.errors import JobError
from jobs.runs.files import replacing
from model.factors import Factors

IDS = ("user_id", "movie_id")
TIME = "rated_at"
PREDICTION = [pa.field("predicted_rating", pa.float32()), pa.field("source", pa.string())]
DEVIATION = pa.field("rating_sd", pa.float32())


class Numbers(NamedTuple):
    """The numbers of users or movies by the ids that the source gives them, which are none."""

    names: pa.Array
    ids: NDArray[np.integer]

    def of(self, names: pa.Array) -> NDArray[np.integer]:
        """The number of each; 0, which nobody has, where there is no such user or movie."""
        place = pc.index_in(names, self.names).fill_null(len(self.ids)).to_numpy()
        return np.append(self.ids, 0)[place]


def numbers_of(connection: duckdb.DuckDBPyConnection, entity: str) -> Numbers | None:
    """Those of the published users or movies; None where the source's ids are our numbers."""
    found = connection.execute(
        f"select source_{entity}_id, {entity}_id from {entity}s "
        f"where source_{entity}_id is not null"
    ).fetchnumpy()
    names, ids = found.values()
    return Numbers(pa.array(np.asarray(names, object), pa.string()), ids) if len(ids) else None


def predict_pairs(
    factors: Factors,
    user_ids_P: NDArray[np.integer],
    movie_ids_P: NDArray[np.integer],
    time_P: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Predicted ratings of P pairs of ids, and the source of each. Any id may be unknown.

    They are those of today, or at times given in seconds since 1970, -1 where unknown.
    """
    user, movie = factors.user_idx(user_ids_P), factors.movie_idx(movie_ids_P)
    return factors.predict(user, movie, time_P=time_P), factors.source(user, movie)


def deviations(
    factors: Factors, user_ids_P: NDArray[np.integer], movie_ids_P: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Standard deviations of the ratings of P pairs of ids; NaN where the model knows none."""
    return factors.sd(factors.user_idx(user_ids_P), factors.movie_idx(movie_ids_P))


def predict_file(
    factors: Factors,
    pairs: Path,
    out: Path,
    users: Numbers | None = None,
    movies: Numbers | None = None,
    block_bytes: int = 1 << 22,
) -> int:
    """Predict every pair of a CSV file, block by block; returns how many.

    `users` and `movies`: what their ids stand for; None: for themselves. `out` appears, or is
    replaced, only when all pairs are predicted. Raises JobError, naming file, line and reason, for
    a line that is no pair.
    """
    dated = TIME in check_header(pairs)
    if out.exists() and out.samefile(pairs):
        raise JobError(f"--out {out}: this is the file of pairs itself. Choose another name.")
    if not out.parent.is_dir():
        raise JobError(f"--out {out}: the folder {out.parent} does not exist.")
    known = dict(zip(IDS, (users, movies), strict=True))
    ids = types_of(users, movies)
    # No number needs quotes; Arrow would put them around the header.
    style = "none" if users is None and movies is None else "needed"
    plain = arrow_csv.WriteOptions(include_header=False, quoting_style=style)
    schema = pa.schema([*ids.items(), *PREDICTION])
    schema = schema.append(DEVIATION) if factors.knows_sd else schema
    types = ids | ({TIME: pa.int64()} if dated else {})
    count = 0
    with (
        replacing(out) as temporary,
        temporary.open("wb") as file,
        arrow_csv.CSVWriter(file, schema, write_options=plain) as writer,
    ):
        file.write((",".join(schema.names) + "\n").encode())
        for block in read_blocks(pairs, block_bytes, types):
            user, movie = (
                block.column(name).to_numpy() if by is None else by.of(block.column(name))
                for name, by in known.items()
            )
            rating, source = predict_pairs(factors, user, movie)
            if dated:
                then = block.column(TIME).is_valid().to_numpy(zero_copy_only=False)
                time = block.column(TIME).fill_null(0).to_numpy()[then]
                rating = rating.copy()
                rating[then], _ = predict_pairs(factors, user[then], movie[then], time)
            columns = [*(block.column(name) for name in IDS), rating, source]
            if factors.knows_sd:
                # NaN becomes null: an empty cell.
                columns.append(pa.array(deviations(factors, user, movie), from_pandas=True))
            writer.write_batch(pa.record_batch(columns, schema=schema))
            count += len(user)
    return count


def types_of(users: Numbers | None, movies: Numbers | None) -> dict[str, pa.DataType]:
    """What the columns of ids of a file hold."""
    known = zip(IDS, (users, movies), strict=True)
    return {name: pa.int64() if by is None else pa.string() for name, by in known}


def movies_of(
    pairs: Path, users: Numbers | None = None, movies: Numbers | None = None
) -> NDArray[np.integer]:
    """Numbers of the movies of a file, ascending. Arguments and errors as of `predict_file`."""
    check_header(pairs)
    blocks = read_blocks(pairs, 1 << 22, types_of(users, movies))
    columns = (block.column("movie_id") for block in blocks)
    found = [np.unique(movies.of(ids) if movies else ids.to_numpy()) for ids in columns]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def check_header(pairs: Path) -> list[str]:
    """The names of the columns."""
    try:
        with pairs.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            header = next(csv.reader(lines), [])
    except OSError as error:
        raise JobError(f"--pairs {pairs}: {error.strerror}.") from None
    for name in IDS:
        if header.count(name) != 1:
            found = ",".join(header)
            raise JobError(
                f"{pairs}, line 1: expected the header user_id,movie_id, found {found!r}."
            )
    return header


def read_blocks(
    pairs: Path, block_bytes: int, types: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """Record batches of these columns, in which ids are never missing.

    Raises JobError at the first line that is no pair.
    """
    texts = pa.string() in types.values()
    options = {
        "read_options": arrow_csv.ReadOptions(block_size=block_bytes),
        "convert_options": arrow_csv.ConvertOptions(
            include_columns=list(types),
            column_types=types,
            # Somebody may be called null.
            null_values=[""] if texts else None,
            strings_can_be_null=texts,
        ),
    }
    try:
        for block in arrow_csv.open_csv(pairs, **options):
            if block.column(0).null_count or block.column(1).null_count:
                raise pa.ArrowInvalid("an id is missing")
            yield block
    except pa.ArrowInvalid as error:
        numbers = [name for name, kind in types.items() if kind == pa.int64()]
        raise first_bad_line(pairs, numbers) or JobError(f"{pairs}: {error}") from None


def first_bad_line(pairs: Path, numbers: Sequence[str] = IDS) -> JobError | None:
    """What is wrong, and where: read again, slowly, because Arrow does not count lines."""
    with pairs.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        reader = csv.reader(lines)
        header = next(reader)
        for row in reader:
            if row and len(row) != len(header):
                found = f"expected {len(header)} fields, found {len(row)}"
                return JobError(f"{pairs}, line {reader.line_num}: {found}.")
            for name, value in zip(header, row, strict=False):
                whole = name in numbers and not (name == TIME and not value.strip())
                bad = whole and not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value)
                if bad or (name in IDS and not value):
                    expected = "a whole number" if whole else "an id"
                    found = f"{name}: expected {expected}, found {value!r}"
                    return JobError(f"{pairs}, line {reader.line_num}: {found}.")
    return None
