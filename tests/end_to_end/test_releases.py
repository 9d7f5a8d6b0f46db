"""GroupLens's own releases go through etl with the counts of their READMEs; ml-1m is elsewhere."""

from collections import Counter
from pathlib import Path

import pytest

from jobs.etl import etl
from jobs.release.detection import detect_layout
from jobs.release.unpacking import unpack_zip
from jobs.runs.run import Run
from tests.end_to_end.conftest import ROOT
from tests.jobs.examples import small_run

RELEASES = ROOT.parent / "shared/data"


def delivered(folder: Path, release: str, *overrides: str) -> Run:
    """A run with the release in its raw folder; skips the test where there is no such release."""
    file = RELEASES / f"{release}.zip"
    if not file.is_file():
        pytest.skip(f"{file} does not exist")
    run = small_run(folder, release, list(overrides))
    run.raw.parent.mkdir(parents=True)
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    unpack_zip(file, unpacked, 1)
    (unpacked / release).rename(run.raw)
    return run


def test_ml_100k_by_its_own_split(spark, tmp_path):
    run = delivered(tmp_path, "ml-100k", "etl.split=given", "etl.given=u1")
    figures = etl(spark, run)
    assert (figures["lines"], figures["ratings"], figures["quarantined"]) == (100_000, 100_000, 0)
    assert (figures["users"], figures["movies"], figures["undated"]) == (943, 1682, 0)
    rows = spark.read.parquet(str(run.output("ratings"))).filter("split = 'test'").collect()
    lines = (run.raw / "u1.test").read_text().splitlines()
    assert {(row.user_id, row.movie_id) for row in rows} == {
        tuple(map(int, line.split("\t")[:2])) for line in lines
    }
    assert len(rows) == figures["test"] == len(lines) == 20_000
    assert abs(figures["validation"] - 80_000 / 9) < 400

    movies = spark.read.parquet(str(run.output("movies"))).collect()
    by_id = {row.movie_id: row for row in movies}
    assert by_id[543].title == "Misérables, Les (1995)"
    assert by_id[1128].title == "Heidi Fleiss: Hollywood Madam (1995)"
    assert by_id[1].genres == ["Animation", "Children's", "Comedy"]
    assert [row.movie_id for row in movies if row.year is None] == [267]
    genres = Counter(genre for row in movies for genre in row.genres)
    assert (len(genres), genres["Drama"], genres["unknown"]) == (18, 725, 0)


def test_ml_latest_small(spark, tmp_path):
    run = delivered(tmp_path, "ml-latest-small")
    figures = etl(spark, run)
    assert (figures["lines"], figures["ratings"], figures["quarantined"]) == (100_004, 100_004, 0)
    assert (figures["users"], figures["movies"]) == (671, 9125)
    ratings = spark.read.parquet(str(run.output("ratings")))
    assert ratings.select("movie_id").distinct().count() == 9066
    movies = spark.read.parquet(str(run.output("movies")))
    undated = [row.title for row in movies.filter("year is null").orderBy("movie_id").collect()]
    assert undated == ["Hyena Road", "The Lovers and the Despot", "Stranger Things",
                       "Women of '69, Unboxed"]  # fmt: skip
    years = {row.title: row.year for row in movies.filter("title like '%7-)%'").collect()}
    assert years == {"Big Bang Theory, The (2007-)": 2007}
    assert movies.filter("array_contains(genres, '(no genres listed)')").isEmpty()


def test_ml_1m_in_its_layout(tmp_path):
    """Its counts are checked by test_movielens.py."""
    layout = detect_layout(delivered(tmp_path, "ml-1m").raw)
    assert str(layout) == (
        "ratings.dat and movies.dat and users.dat in ISO-8859-1, ratings 1 to 5 in steps of 1"
    )
