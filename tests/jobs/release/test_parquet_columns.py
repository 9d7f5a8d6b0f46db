"""What is told of Parquet: columns by name and type; and what is refused."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.release.detection import detect_layout
from jobs.release.layouts import Layout
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError

OWN = load_configuration(["ingest.dataset=mine", "ingest.source=x"]).ingest
RATINGS = {"user": [1.0, None], "item": [5, 6], "stars": [1.5, 2]}


def told(folder: Path, **files: dict[str, Any] | str) -> Layout:
    """The layout of a delivery of files called as they are named, text as CSV."""
    for name, content in files.items():
        if isinstance(content, str):
            (folder / f"{name}.parquet").write_text(content)
        else:
            pq.write_table(pa.table(content), folder / f"{name}.parquet")
    return detect_layout(folder, OWN, "SRC")


def test_booleans_delete_and_are_nothing_else(tmp_path):
    pq.write_table(pa.table(RATINGS | {"gone": [True, None]}), tmp_path / "ratings.parquet")
    columns = OWN.columns.model_copy(update={"deleted": "gone"})
    layout = detect_layout(tmp_path, OWN.model_copy(update={"columns": columns}), "SRC")
    assert layout.ratings.fields == ("user_id", "movie_id", "rating", "deleted")
    assert layout.deletes
    with pytest.raises(JobError, match="the column of rating is of a type that is not read"):
        told(tmp_path, ratings=RATINGS | {"stars": [True, False]})


def test_columns_and_times_are_told_by_name_and_type(tmp_path):
    ns, us = (pa.array([datetime(2018, 1, 17)] * 2, pa.timestamp(unit)) for unit in ("ns", "us"))
    numbers, days = pa.array([1515974400, 0]), pa.array([date(2018, 1, 17)] * 2)
    kinds = ((ns, "nanoseconds"), (us, "dates"), (days, "dates"), (numbers, "seconds"))
    for values, time in kinds:
        layout = told(tmp_path, ratings={"shop": [[1], [2]], **RATINGS, "time": values})
        assert layout.time == time
    table = layout.ratings
    assert table.fields == ("aside_1", "user_id", "movie_id", "rating", "timestamp")
    assert (table.names, table.header) == (("shop", "user", "item", "stars", "time"), False)


def test_titles_and_parts_may_be_parquet(tmp_path):
    # As Polars writes texts and lists of them.
    large = pa.array([["x", "y"], []], pa.large_list(pa.large_string()))
    rows = {"name": large.flatten(), "item": [5, 6], "genre": large}
    layout = told(tmp_path, ratings_1=RATINGS, ratings_2=RATINGS, movies=rows)
    assert layout.ratings.files == ("ratings_1.parquet", "ratings_2.parquet")
    assert layout.movies
    assert layout.movies.fields == ("title", "movie_id", "genres")
    assert layout.encoding == "UTF-8"


def test_ids_are_told_by_type_and_by_the_largest_number(tmp_path, monkeypatch):
    # Of a long file, few rows are looked at.
    monkeypatch.setattr("jobs.release.parquet_columns.ENOUGH", 1)
    for ids, kind in (([5, 2**31 - 1], "int"), ([5, 2**31], "bigint"), (["5", "6"], "string")):
        assert told(tmp_path, ratings=RATINGS | {"item": ids}).movie_ids == kind


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"r1": RATINGS, "r2": RATINGS | {"item": ["5", "6"]}}, "r2.parquet has other columns"),
        ({"r1": RATINGS, "r2": "user,item,stars"}, "r2.parquet is no Parquet, as r1.parquet is"),
        ({"r1": "user,item,stars", "r2": RATINGS}, "r2.parquet is Parquet, and r1.parquet is not"),
        ({"r": "PAR1 and no more"}, "r.parquet is no Parquet"),
        ({"r": RATINGS | {"User": [1, 2]}}, "two columns whose names differ in case alone"),
        ({"r": RATINGS | {"item": [[5], [6]]}}, "the column of movie_id is of a type that is not"),
        ({"r": RATINGS | {"time": [["5"], []]}}, "the column of timestamp is of a type that is"),
        ({"r": {"user": [1], "stars": [2]}}, "no column of the movie"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(tmp_path, files, sentence):
    with pytest.raises(JobError, match=r"^SRC") as refused:
        told(tmp_path, **files)
    assert sentence in str(refused.value)
