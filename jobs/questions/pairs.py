"""Predicted ratings of (user, movie) pairs: in arrays, or from one CSV file into another."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from jobs.runs.errors import JobError
from jobs.runs.files import replacing
from model.factors import Factors

IDS = ("user_id", "movie_id")
TIME = "rated_at"
PREDICTIONS = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_id", pa.int64()),
        ("predicted_rating", pa.float32()),
        ("source", pa.string()),
    ]
)
DEVIATION = pa.field("rating_sd", pa.float32())


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


def predict_file(factors: Factors, pairs: Path, out: Path, block_bytes: int = 1 << 22) -> int:
    """Predict every pair of a CSV file, block by block; returns how many.

    `out` appears, or is replaced, only when all pairs are predicted. Raises JobError, naming file,
    line and reason, for a line that is no pair.
    """
    dated = TIME in check_header(pairs)
    if out.exists() and out.samefile(pairs):
        raise JobError(f"--out {out}: this is the file of pairs itself. Choose another name.")
    if not out.parent.is_dir():
        raise JobError(f"--out {out}: the folder {out.parent} does not exist.")
    # No cell needs quotes; Arrow would put them around the header.
    plain = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
    schema = PREDICTIONS.append(DEVIATION) if factors.knows_sd else PREDICTIONS
    count = 0
    with (
        replacing(out) as temporary,
        temporary.open("wb") as file,
        arrow_csv.CSVWriter(file, schema, write_options=plain) as writer,
    ):
        file.write((",".join(schema.names) + "\n").encode())
        for block in read_blocks(pairs, block_bytes, [*IDS, TIME] if dated else IDS):
            user, movie = (block.column(name).to_numpy() for name in IDS)
            rating, source = predict_pairs(factors, user, movie)
            if dated:
                then = block.column(TIME).is_valid().to_numpy(zero_copy_only=False)
                time = block.column(TIME).fill_null(0).to_numpy()[then]
                rating = rating.copy()
                rating[then], _ = predict_pairs(factors, user[then], movie[then], time)
            columns = [user, movie, rating, source]
            if factors.knows_sd:
                # NaN becomes null: an empty cell.
                columns.append(pa.array(deviations(factors, user, movie), from_pandas=True))
            writer.write_batch(pa.record_batch(columns, schema=schema))
            count += len(user)
    return count


def movies_of(pairs: Path) -> NDArray[np.int64]:
    """Ids of the movies of a file, ascending. Raises JobError as `predict_file` does."""
    check_header(pairs)
    blocks = read_blocks(pairs, 1 << 22)
    found = [np.unique(block.column("movie_id").to_numpy()) for block in blocks]
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
    pairs: Path, block_bytes: int, names: Sequence[str] = IDS
) -> Iterator[pa.RecordBatch]:
    """Record batches of these columns, in which ids are never missing.

    Raises JobError at the first line that is no pair.
    """
    options = {
        "read_options": arrow_csv.ReadOptions(block_size=block_bytes),
        "convert_options": arrow_csv.ConvertOptions(
            include_columns=names, column_types={name: pa.int64() for name in names}
        ),
    }
    try:
        for block in arrow_csv.open_csv(pairs, **options):
            if block.column(0).null_count or block.column(1).null_count:
                raise pa.ArrowInvalid("an id is missing")
            yield block
    except pa.ArrowInvalid as error:
        raise first_bad_line(pairs) or JobError(f"{pairs}: {error}") from None


def first_bad_line(pairs: Path) -> JobError | None:
    """What is wrong, and where: read again, slowly, because Arrow does not count lines."""
    with pairs.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        reader = csv.reader(lines)
        header = next(reader)
        for row in reader:
            if row and len(row) != len(header):
                found = f"expected {len(header)} fields, found {len(row)}"
                return JobError(f"{pairs}, line {reader.line_num}: {found}.")
            for name, value in zip(header, row, strict=False):
                wanted = name in IDS or (name == TIME and value.strip())
                if wanted and not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
                    found = f"{name}: expected a whole number, found {value!r}"
                    return JobError(f"{pairs}, line {reader.line_num}: {found}.")
    return None
