"""The rules about clean data, on a handful of rows."""

import duckdb
import pytest

from jobs.cleaning.quality import Delivered, findings
from jobs.engines.duck import columns_in_sql
from jobs.release.layouts import LAYOUTS
from jobs.runs.schemas import CLEAN, QUARANTINE, columns_of
from jobs.runs.settings.cleaning import QualitySettings

[LAYOUT] = [layout for layout in LAYOUTS if layout.ratings.file == "ratings.dat"]
SETTINGS = QualitySettings(
    max_quarantined_share=0.1,
    max_duplicate_share=0.1,
    max_unknown_movie_share=0.1,
    max_unknown_user_share=0.1,
    max_undated_share=0.5,
    min_share_of_previous=0.9,
)
GOOD = {
    "ratings": "(1, 10, 5, '2001-01-01', 'train'), (1, 11, 1, null, 'validation'), "
    "(2, 10, 3, '2001-01-01', 'test')",
    "movies": "(10, 'A', 1999, ['Drama']), (11, 'B', null, [])",
    "users": "(1, 'F', 1, 'artist', '0'), (2, 'M', 1, 'artist', '0')",
}
# Columns that rows have; those after them are null.
WIDTHS = {"movies": 4, "users": 5}
UNKNOWN_MOVIE = "('r', 'ratings.dat', 7, 'movie_id 9 is not in movies.dat', '1::9::3::0')"
BROKEN = "('r', 'ratings.dat', 8, 'expected 4 fields, found 3', '1::2::3')"


def delivered(
    previous: int | None = None, lines: int = 3, duplicates: int = 0, **changed: str
) -> Delivered:
    """The good rows, with those of some tables changed."""
    tables = duckdb.connect()
    for name, ddl in {**CLEAN, "quarantine": QUARANTINE}.items():
        tables.execute(f"create table {name} ({columns_in_sql(ddl)})")
        if rows := (GOOD | changed).get(name):
            given = ", ".join(list(columns_of(ddl))[: WIDTHS.get(name)])
            tables.execute(f"insert into {name} ({given}) values {rows}")
    etl = {"lines": lines, "duplicates": duplicates, "ratings": 3}
    return Delivered(tables, LAYOUT, (1.0, 5.0), etl, ("train", "validation", "test"), previous)


def failed(data: Delivered) -> dict[str, str]:
    return {f.rule: str(f) for f in findings(data, SETTINGS) if not f.passed}


def test_good_data_passes_every_rule():
    found = list(findings(delivered(previous=3), SETTINGS))
    assert len(found) == 10
    assert all(finding.passed and finding.example is None for finding in found)


@pytest.mark.parametrize(
    ("changed", "rule", "sentence"),
    [
        (
            dict(ratings=GOOD["ratings"].replace("11, 1,", "11, 1.5,")),
            "ratings off the scale",
            "1, and the threshold is 0. Examples: user_id 1, movie_id 11, rating 1.5",
        ),
        (
            dict(ratings=GOOD["ratings"].replace("(1, 11,", "(1, 10,")),
            "users and movies with several ratings",
            "Examples: user_id 1, movie_id 10, ratings 2",
        ),
        (
            dict(duplicates=1),
            "share of replaced ratings",
            "0.333333, and the threshold is 0.1",
        ),
        (
            dict(quarantine=BROKEN),
            "share of ratings in quarantine",
            "Examples: file ratings.dat, line 8, reason expected 4 fields, found 3, content 1::2::",
        ),
        (
            dict(users="(1, 'F', 1, 'artist', '0'), (2, null, null, null, null)"),
            "share of ratings by unknown users",
            "0.333333, and the threshold is 0.1. Examples: user_id 2",
        ),
        (
            dict(ratings=GOOD["ratings"].replace("'2001-01-01'", "null")),
            "share of ratings without a time",
            "1, and the threshold is 0.5",
        ),
        (
            dict(ratings=GOOD["ratings"].replace("'test'", "'train'")),
            "splits without ratings",
            "Examples: split test",
        ),
        (
            dict(previous=4),
            "ratings as a share of the last run's",
            "0.75, and the threshold is 0.9. Examples: 3 ratings now, 4 before",
        ),
    ],
)
def test_a_broken_rule_is_named_with_figure_threshold_and_examples(changed, rule, sentence):
    found = failed(delivered(**changed))
    assert list(found) == [rule]
    assert sentence in found[rule]


def test_a_few_bad_lines_among_many_pass():
    assert not failed(delivered(lines=100, duplicates=9, quarantine=f"{BROKEN}, {UNKNOWN_MOVIE}"))


def test_ratings_of_unknown_movies_have_a_rule_of_their_own():
    assert set(failed(delivered(quarantine=UNKNOWN_MOVIE))) == {
        "share of ratings in quarantine",
        "share of ratings of unknown movies",
    }


def test_other_columns_stop_the_other_rules():
    data = delivered()
    data.tables.execute("alter table movies rename year to released")
    found = list(findings(data, SETTINGS))
    assert [(f.passed, f.example) for f in found] == [(False, "movies.released, movies.year")]
