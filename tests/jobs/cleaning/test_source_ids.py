"""Numbers for ids that are none of ours: for good, whatever comes in whichever order."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cleaning.source_ids import SourceIds, with_numbers
from jobs.runs.errors import JobError

TEXTS = st.sets(st.sampled_from(["b", "B", "007", "2147483648", "\u00e9", "e\u0301", "a b"]))


def numbered(spark, folder: Path, texts: set[str]) -> dict[str, int]:
    """What the index holds once it has these ids."""
    rows = spark.createDataFrame([(text,) for text in texts], "source_id string")
    index = SourceIds(folder / "ids").with_added(rows, folder / "scratch")
    return {row.source_id: row.id for row in index.collect()}


@settings(max_examples=3, deadline=None)
@given(nights=st.lists(TEXTS, min_size=2, max_size=3))
def test_an_id_keeps_its_number_and_shares_it_with_none(spark, nights):
    with tempfile.TemporaryDirectory() as folder:
        known: dict[str, int] = {}
        for texts in nights:
            now = numbered(spark, Path(folder), texts)
            assert known.items() <= now.items()
            assert now.keys() == known.keys() | texts
            assert sorted(now.values()) == list(range(-len(now), 0))
            known = now


def test_new_ids_are_numbered_in_their_order_and_all_or_none(spark, tmp_path, monkeypatch):
    assert numbered(spark, tmp_path, {"b", "a"}) == {"a": -1, "b": -2}

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            numbered(spark, tmp_path, {"0", "c"})
    assert numbered(spark, tmp_path, {"b"}) == {"a": -1, "b": -2}
    assert numbered(spark, tmp_path, {"c"}) == {"a": -1, "b": -2, "c": -3}
    assert len(list((tmp_path / "ids").glob("*.parquet"))) == 2


def test_an_index_that_has_lost_numbers_gives_no_more(spark, tmp_path):
    numbered(spark, tmp_path, {"a", "b"})
    texts = spark.createDataFrame([("c",)], "source_id string")
    with pytest.raises(JobError, match="no numbers below -2, and published tables speak of -3: "):
        SourceIds(tmp_path / "ids").with_added(texts, tmp_path / "scratch", given=-3)
    assert numbered(spark, tmp_path, {"c"})["c"] == -3


def test_rows_get_the_numbers_that_they_have_not(spark, tmp_path):
    numbered(spark, tmp_path, {"a"})
    index = SourceIds(tmp_path / "ids").read(spark)
    rows = spark.createDataFrame([(None, "a"), (7, "7")], "movie_id int, source_movie_id string")
    found = with_numbers(rows, "movie", index).collect()
    assert {(row.movie_id, row.source_movie_id) for row in found} == {(-1, "a"), (7, "7")}
