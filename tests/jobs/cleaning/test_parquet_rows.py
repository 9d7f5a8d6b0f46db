"""Rows of Parquet are parsed, and refused, as lines are."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.cleaning.delivery import quarantine, read_delivery
from jobs.release.detection import detect_layout
from tests.jobs.examples import small_run


def test_rows_of_two_parts_as_pandas_writes_them(spark, tmp_path):
    run = small_run(tmp_path, overrides=["ingest.dataset=mine", "ingest.source=x"])
    run.raw.mkdir(parents=True)
    at = datetime(2018, 1, 17, 10, tzinfo=UTC)
    columns = [
        ("Item Id", pa.float64(), [20_000_001.0, 6.5, 6.0, 6.0], [7.0, None]),
        ("user`", pa.int32(), [1, 2, 2, 2], [1, 2]),
        ("stars", pa.float32(), [-1.5, 2, None, 3], [4, 5]),
        ("time", pa.timestamp("ns", "UTC"), [at, at, at, None], [at, at]),
        ("more", pa.list_(pa.int64()), [[1]] * 4, [[2]] * 2),
    ]
    for part in (0, 1):
        table = {name: pa.array(parts[part], kind) for name, kind, *parts in columns}
        pq.write_table(pa.table(table), run.raw / f"part-{part}.parquet", row_group_size=3)
    titles = {"item": [20_000_001, 6, 7], "name": ["A (1999)", "B", "C"],
              "genres": pa.array([["x", "y"], [], None], pa.list_(pa.string()))}  # fmt: skip
    pq.write_table(pa.table(titles), run.raw / "movies.parquet")
    said = run.conf.ingest.model_copy(
        update={"columns": run.conf.ingest.columns.model_copy(update={"user": "user`"})}
    )
    delivery = read_delivery(spark, run, detect_layout(run.raw, said))
    good = delivery.ratings.usable.orderBy("block", "position").collect()
    seconds = int(at.timestamp())
    assert [(row.user_id, row.movie_id, row.rating, row.timestamp) for row in good] == [
        (1, 20_000_001, -1.5, seconds),
        (2, 6, 3, 0),
        (1, 7, 4, seconds),
    ]
    bad = quarantine(delivery.files, "run").collect()
    an_id = "movie_id: expected a whole number from 1 to 2147483647, found"
    assert sorted((row.file, row.line, row.reason) for row in bad) == [
        ("part-0.parquet", 2, f"{an_id} '6.5'"),
        ("part-0.parquet", 3, "rating: expected any number, found nothing"),
        ("part-1.parquet", 2, f"{an_id} nothing"),
    ]
    content = next(row.content for row in bad if row.line == 3)
    assert content.startswith('{"Item Id":6.0,"user`":2,"stars":null,"time":')
    movies = delivery.movies.usable.orderBy("movie_id").collect()
    assert [(row.movie_id, row.title, row.genres) for row in movies] == [
        (6, "B", []), (7, "C", []), (20_000_001, "A (1999)", ["x", "y"])
    ]  # fmt: skip
