"""Every rating lands in one split; which one, depends on nothing that may change by itself."""

import zipfile
from collections import Counter
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.cleaning.lines import read_lines
from jobs.cleaning.splits import with_split
from jobs.release.detection import detect_layout
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.settings.cleaning import EtlSettings
from tests.jobs.examples import small_run

ML_1M = Path(__file__).resolve().parents[4] / "shared/data/ml-1m.zip"
# user_id, movie_id, rating, time in seconds or None
Rating = tuple[int, int, float, int | None]

BY_HASH = ("random", "stratified", "folds")
# Ratings by user and movie: few users, times that often fall together, some unknown.
RATINGS = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(1, 9)),
    st.tuples(
        st.sampled_from([1.0, 3.5, 5.0]),
        st.none() | st.sampled_from([1, 86_399, 86_400, 86_401, 900_000_000]),
    ),
    min_size=1,
).map(lambda found: [(*pair, *rest) for pair, rest in found.items()])


def settings_of(folder, **values) -> EtlSettings:
    overrides = [f"etl.{key}={value}" for key, value in values.items()]
    return small_run(folder, overrides=overrides).conf.etl


def table(spark, ratings: list[Rating]):
    rows = ", ".join(
        f"({user}, {movie}, float({rating}), {'null' if at is None else at})"
        for user, movie, rating, at in ratings
    )
    return spark.sql(
        "select user_id, movie_id, rating, timestamp_seconds(at) rated_at "
        f"from values {rows} as t(user_id, movie_id, rating, at)"
    )


def grid(spark, rows: int):
    """`rows` ratings without a time, of half as many users, in steps of half stars."""
    return spark.sql(
        f"select cast(id % {rows // 2} + 1 as int) user_id, cast(id div {rows // 2} + 1 as int) "
        "movie_id, cast(id % 7 % 5 / 2 + 0.5 as float) rating, cast(null as timestamp) rated_at, "
        f"id from range({rows})"
    )


def deal(ratings, conf: EtlSettings, given_test=None) -> dict[tuple[int, int], str]:
    """The split of each user and movie; no pair twice."""
    rows = with_split(ratings, conf, given_test).select("user_id", "movie_id", "split").collect()
    dealt = {(row.user_id, row.movie_id): row.split for row in rows}
    assert len(dealt) == len(rows)
    return dealt


def age(rating: Rating) -> tuple[int, int]:
    """By which a user's ratings are ordered: time, unknown ones first, then movie_id."""
    return (-1 if rating[3] is None else rating[3], rating[1])


def expected_last_out(ratings: list[Rating]) -> dict[tuple[int, int], str]:
    split = {rating[:2]: "train" for rating in ratings}
    for _, group in groupby(sorted(ratings), key=itemgetter(0)):
        mine = sorted(group, key=age)
        if len(mine) >= 3:
            split[mine[-1][:2]], split[mine[-2][:2]] = "test", "validation"
    return split


@settings(max_examples=8, deadline=None, derandomize=True)
@given(ratings=RATINGS)
def test_last_out_and_time_on_whatever_ratings(spark, tmp_path_factory, ratings):
    folder, rows = tmp_path_factory.getbasetemp(), table(spark, ratings)
    # Neither order nor partitions matter.
    other = table(spark, ratings[::-1]).repartition(3)
    conf = settings_of(folder, split="leave-last-out")
    assert deal(rows, conf) == deal(other, conf) == expected_last_out(ratings)
    conf = settings_of(folder, split="time", train_share=0.5, validation_share=0.2, test_share=0.3)
    dealt = deal(rows, conf)
    assert dealt == deal(other, conf)
    assert dealt.keys() == {rating[:2] for rating in ratings}
    counts = Counter(dealt.values())
    assert counts["test"] == round(len(ratings) * 0.3)
    assert counts["validation"] == round(len(ratings) * 0.2)
    ages = {
        split: [age(rating)[0] for rating in ratings if dealt[rating[:2]] == split]
        for split in ("train", "validation", "test")
    }
    assert max(ages["train"]) <= min(ages["validation"] + ages["test"], default=10**9)
    assert max(ages["train"] + ages["validation"]) <= min(ages["test"], default=10**9)


def test_the_hash_that_deals_splits_never_changes(spark):
    """Pinned: a Spark version that hashed otherwise would mix test rows into training."""
    found = spark.sql(
        "select xxhash64(1, 10, 20), xxhash64(6040, 3952, 20), xxhash64(1, 1, 0), "
        "xxhash64(1, 10, float(3.5), 20)"
    )
    assert tuple(found.first()) == (
        -7965477536964909470,
        -5671420804179361075,
        -6811683978196823386,
        -6492933222861292611,
    )


@pytest.mark.parametrize("split", BY_HASH)
def test_added_ratings_move_no_other(spark, tmp_path, split):
    """The deal rests on a rating alone: not on how many others there are, nor on partitions."""
    every, conf = grid(spark, 1000), settings_of(tmp_path, split=split)
    alone, among_others = deal(every.filter("id >= 500"), conf), deal(every.repartition(7), conf)
    assert len(alone) == 500
    assert alone == {pair: among_others[pair] for pair in alone}
    assert set(alone.values()) == {"train", "validation", "test"}
    assert deal(every, conf.model_copy(update={"split_seed": 21})) != among_others


def test_stratified_gives_each_rating_value_its_shares(spark, tmp_path):
    """To within chance: four standard deviations of a draw."""
    rows = with_split(grid(spark, 40_000), settings_of(tmp_path, split="stratified"))
    for found in rows.groupBy("rating").pivot("split").count().collect():
        total = found.train + found.validation + found.test
        for count in (found.validation, found.test):
            assert abs(count - total * 0.1) < 4 * (total * 0.1 * 0.9) ** 0.5


def test_each_rating_is_test_in_one_fold(spark, tmp_path):
    rows = grid(spark, 3000).cache()
    dealt = [deal(rows, settings_of(tmp_path, split="folds", folds=3, fold=n)) for n in (1, 2, 3)]
    for pair in dealt[0]:
        assert sorted(fold[pair] for fold in dealt) == ["test", "train", "validation"]
    assert all(900 < Counter(fold.values())["test"] < 1100 for fold in dealt)
    # A fold's validation is the next one's test.
    assert all((a == "validation") == (dealt[1][pair] == "test") for pair, a in dealt[0].items())


def test_given_tests_are_taken_as_they_are(spark, tmp_path):
    """Test is exactly what is given; a ninth of the others, 0.1 to 0.8, is validation."""
    rows, test = grid(spark, 1000), grid(spark, 1000).filter("id % 5 = 0")
    conf = settings_of(tmp_path, split="given", given="u1")
    dealt = deal(rows, conf, test)
    given_pairs = {(row.user_id, row.movie_id) for row in test.collect()}
    assert {pair for pair, split in dealt.items() if split == "test"} == given_pairs
    assert 50 < Counter(dealt.values())["validation"] < 130
    # Another test moves none of the ratings that are in neither.
    other = deal(rows, conf, grid(spark, 1000).filter("id % 5 = 1"))
    assert all(
        split in ("test", other[pair]) or other[pair] == "test" for pair, split in dealt.items()
    )


def test_position_shuffles_the_file_as_pandas_and_cuts_as_keras(spark, tmp_path):
    """Ten lines in two blocks, three of which were set aside: lines 2, 5 and 8 do not count.

    pandas' sample(frac=1, random_state=7) of seven rows is 2, 5, 0, 6, 3, 1, 4; a share of 0.6 of
    seven is cut at 4, one of 0.8 at 5.
    """
    lines = [(block, position) for block in (0, 900) for position in range(5)]
    kept = [line for number, line in enumerate(lines) if number not in (2, 5, 8)]
    values = ", ".join(
        f"({number}, 1, {block}L, {position}L)" for number, (block, position) in enumerate(kept)
    )
    rows = spark.sql(f"select * from values {values} as t(user_id, movie_id, block, position)")
    shares = {"train_share": 0.6, "validation_share": 0.2, "test_share": 0.2}
    conf = settings_of(tmp_path, split="position", split_seed=7, **shares)
    shuffled = pd.Series(range(7)).sample(frac=1, random_state=7).tolist()
    assert shuffled == [2, 5, 0, 6, 3, 1, 4]
    expected = dict.fromkeys(range(7), "train") | {3: "validation", 1: "test", 4: "test"}
    for ratings in (rows, rows.orderBy(F.desc("user_id")).repartition(3)):
        assert {user: split for (user, _), split in deal(ratings, conf).items()} == expected
    without = {"train_share": 0.6, "validation_share": 0.4, "test_share": 0}
    conf = settings_of(tmp_path, split="position", split_seed=7, **without)
    assert Counter(deal(rows, conf).values()) == {"train": 4, "validation": 3}


def test_kfold_deals_by_the_same_order(spark, tmp_path):
    """Seven rows in two blocks; KFold(3, shuffle=True, random_state=7) has 0, 2, 5 in fold 0."""
    lines = [(block, position) for block in (0, 900) for position in range(5)]
    kept = [line for number, line in enumerate(lines) if number not in (2, 5, 8)]
    values = ", ".join(
        f"({number}, 1, {block}L, {position}L)" for number, (block, position) in enumerate(kept)
    )
    rows = spark.sql(f"select * from values {values} as t(user_id, movie_id, block, position)")
    conf = settings_of(tmp_path, split="kfold", folds=3, fold=1, split_seed=7)
    conf = conf.model_copy(update={"train_share": 0.3, "validation_share": 0.3})
    # The shuffle goes on with 6, 3, 1, 4, of which the first half validates.
    expected = dict.fromkeys(range(7), "train") | dict.fromkeys([0, 2, 5], "test")
    expected |= dict.fromkeys([6, 3], "validation")
    dealt = deal(rows.orderBy(F.desc("user_id")).repartition(3), conf)
    assert {user: split for (user, _), split in dealt.items()} == expected


@pytest.mark.skipif(not ML_1M.is_file(), reason=f"{ML_1M} does not exist")
def test_the_reference_run_validates_on_the_published_rows(spark, tmp_path):
    """Those of the notebook: 900,188 and 100,021 rows, the same ones."""
    with zipfile.ZipFile(ML_1M) as release:
        release.extractall(tmp_path)
    folder = tmp_path / "ml-1m"
    layout = detect_layout(folder)
    lines = read_lines(spark, folder, layout.ratings, layout.encoding)
    ids = [F.split_part("content", F.lit("::"), F.lit(n)).cast("int") for n in (1, 2)]
    ratings = lines.select(ids[0].alias("user_id"), ids[1].alias("movie_id"), "block", "position")
    conf = load_configuration(profile="james-le").etl
    dealt = with_split(ratings, conf).filter("split = 'validation'").collect()

    rows = pd.read_csv(folder / "ratings.dat", sep=":", header=None, usecols=[0, 2])
    expected = rows.sample(frac=1, random_state=1446557).iloc[int(len(rows) * (1 - 0.1)) :]
    assert (len(rows) - len(dealt), len(dealt)) == (900_188, 100_021)
    found = {(row.user_id, row.movie_id) for row in dealt}
    assert found == set(expected.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"split": "given"}, "split given needs etl.given, as in etl.given=u1"),
        ({"split": "given", "given": "u6"}, r"etl\.given: found 'u6'"),
        ({"split": "folds", "fold": 6}, "fold 6 does not exist: there are 5 folds"),
        (
            {"validation_share": 0.2, "test_share": 0},
            "split random needs test ratings: test_share may be 0 with position alone",
        ),
        ({"split": "position", "split_seed": -1}, "needs a split_seed from 0 to 4294967295"),
        ({"split": "kfold", "split_seed": -1}, "split kfold needs a split_seed from 0"),
        ({"split": "last"}, r"etl\.split: found 'last'.*'leave-last-out'"),
    ],
)
def test_a_split_that_does_not_exist_is_refused(tmp_path, values, sentence):
    with pytest.raises(JobError, match=sentence):
        settings_of(tmp_path, **values)
