"""Releases of MovieLens as ratings dealt to splits, without Spark, to measure errors on."""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.cleaning.file_order import TEST, TRAIN, VALIDATION, kfold
from jobs.cleaning.splits import BUCKETS
from jobs.runs.configuration import load_configuration
from jobs.runs.settings.cleaning import EtlSettings
from model.data.columns import DATED
from model.data.rating_hash import rating_hash
from tests.benchmarks.order_data import lines, read_release, read_titles, years

KFOLD = ["split=kfold", "folds=10", "split_seed=0"]
FIVE_PERCENT = ["train_share=0.85", "validation_share=0.05"]
# Ratings of a user lie in one file, and ranks share out the files.
FILES = 4
NO_GENRE = ("(no genres listed)", "unknown")


@dataclass(frozen=True)
class Dealt:
    """N ratings by row number, and the split of each."""

    ratings: pd.DataFrame
    split_N: np.ndarray
    ids: dict[str, np.ndarray]
    tables: dict[str, pa.Table] = field(default_factory=dict)
    """What the release says of users and of movies, if it is of interest."""

    def of(self, *splits: int) -> pd.DataFrame:
        return self.ratings[np.isin(self.split_N, splits)]


def deal(file: Path, split: str) -> Dealt:
    """The release's ratings in the order of the file, dealt as `etl.split` does.

    `kfold` is the first fold, `kfold-2` the second.
    """
    ratings, _, _ = read_release(file)
    split, _, fold = split.partition("-")
    own = {"kfold": [*KFOLD, *FIVE_PERCENT, f"fold={fold or 1}"], "random": ["split=random"]}
    conf = load_configuration([f"etl.{word}" for word in own.get(split, [])]).etl
    if split == "kfold":
        split_N = kfold(len(ratings), conf)
    else:
        split_N = by_hash(ratings, conf)
    if split not in own:
        with zipfile.ZipFile(file) as archive:
            test = lines(archive, f"{split}.test", "\t")
        given = pd.MultiIndex.from_frame(test[[0, 1]])
        is_test_N = pd.MultiIndex.from_frame(ratings[["user_id", "movie_id"]]).isin(given)
        share = conf.validation_share / (conf.train_share + conf.validation_share)
        held_N = bucket(ratings, conf) < round(share * BUCKETS)
        split_N = np.where(is_test_N, TEST, np.where(held_N, VALIDATION, TRAIN))
    ids = {}
    for entity in ("user", "movie"):
        ids[entity], row_N = np.unique(ratings[f"{entity}_id"], return_inverse=True)
        ratings[f"{entity}_idx"] = row_N.astype(np.int32)
    ratings["rating"] = ratings["rating"].astype(np.float32)
    ratings["rated_at"] = ratings["rated_at"].astype(np.int64)
    return Dealt(ratings, split_N, ids, read_tables(file))


def read_tables(file: Path) -> dict[str, pa.Table]:
    """Columns of schemas.USERS and schemas.MOVIES, of ml-100k, ml-1m and releases in CSV."""
    with zipfile.ZipFile(file) as archive:
        if file.name.startswith("ml-1m"):
            movies, users = lines(archive, "movies.dat", "::"), lines(archive, "users.dat", "::")
            users = users[[0, 1, 2, 3]].set_axis(["user_id", "gender", "age", "occupation"], axis=1)
        elif file.name.startswith("ml-100k"):
            movies, users = lines(archive, "u.item", "|"), lines(archive, "u.user", "|")
            users = users[[0, 2, 1, 3]].set_axis(["user_id", "gender", "age", "occupation"], axis=1)
        else:
            movies = lines(archive, "movies.csv", ",", header=0)
            users = pd.DataFrame(columns=["user_id", "gender", "age", "occupation"], dtype="Int32")
    _, genres, _ = read_release(file)
    titles = read_titles(file)
    movie_ids = movies.iloc[:, 0]
    told = [[g for g in genres[movie] if g not in NO_GENRE] for movie in movie_ids]
    users["occupation"] = users["occupation"].astype(str)
    return {
        "users": pa.Table.from_pandas(users, preserve_index=False),
        "movies": pa.table(
            {
                "movie_id": movie_ids,
                "title": titles.to_numpy(),
                "year": pa.array(years(titles)),
                "genres": told,
            }
        ),
    }


def by_hash(ratings: pd.DataFrame, conf: EtlSettings) -> np.ndarray:
    """The split `random`."""
    bucket_N = bucket(ratings, conf)
    train = round(conf.train_share * BUCKETS)
    validation = train + round(conf.validation_share * BUCKETS)
    return np.where(bucket_N < train, TRAIN, np.where(bucket_N < validation, VALIDATION, TEST))


def bucket(ratings: pd.DataFrame, conf: EtlSettings) -> np.ndarray:
    """Of each rating, as Spark has it: pmod(xxhash64(user_id, movie_id, split_seed), BUCKETS)."""
    user_N, movie_N = ratings["user_id"].to_numpy(), ratings["movie_id"].to_numpy()
    return rating_hash(user_N, movie_N, conf.split_seed) % BUCKETS


def write_inputs(dealt: Dealt, folder: Path) -> None:
    """What etl writes for a model of ratings, and `all`: training and validation ratings."""
    for name, splits in (
        ("train", [TRAIN]),
        ("validation", [VALIDATION]),
        ("all", [TRAIN, VALIDATION]),
    ):
        (folder / name).mkdir()
        rows = dealt.of(*splits)[DATED]
        for number, part in rows.groupby(rows["user_idx"] % FILES):
            table = pa.Table.from_pandas(part, preserve_index=False)
            pq.write_table(table, folder / name / f"{number}.parquet")
    for name, told in dealt.tables.items():
        pq.write_table(told, folder / f"{name}.parquet")
    for entity, ids in dealt.ids.items():
        index = {f"{entity}_id": ids.astype(np.int32), f"{entity}_idx": np.arange(len(ids))}
        pq.write_table(pa.table(index), folder / f"{entity}_index.parquet")
