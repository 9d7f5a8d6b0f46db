"""Generated releases in the layouts that no real release stands in ../shared/data for."""

import pytest

from jobs.etl import etl
from tests.jobs.cleaning.generated import generate
from tests.jobs.examples import small_run


@pytest.mark.parametrize(
    ("release", "separator", "suffix"),
    # ml-20m, ml-25m, ml-32m and ml-latest are written alike.
    [("ml-10m", "::", "dat"), ("ml-32m", ",", "csv")],
)
def test_every_row_comes_out_as_it_was_meant(spark, tmp_path, release, separator, suffix):
    files, expected = generate(3, separator, suffix, step=0.5)
    run = small_run(tmp_path, release, ["etl.min_row_groups=2"])
    run.raw.mkdir(parents=True)
    for name, content in files.items():
        (run.raw / name).write_bytes(content)
    figures = etl(spark, run)
    noted = ("lines", "quarantined", "duplicates", "rating_min")
    assert {key: figures[key] for key in noted} == {
        "lines": expected.lines,
        "quarantined": expected.quarantined,
        "duplicates": expected.duplicates,
        "rating_min": 0.5,
    }
    ratings = spark.read.parquet(str(run.output("ratings"))).collect()
    found = {
        (row.user_id, row.movie_id): (row.rating, int(row.rated_at.timestamp())) for row in ratings
    }
    assert len(found) == len(ratings) == figures["ratings"]
    assert found == expected.ratings
    movies = spark.read.parquet(str(run.output("movies"))).collect()
    assert {row.movie_id: (row.title, row.year, row.genres) for row in movies} == expected.movies
