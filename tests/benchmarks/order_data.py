"""Releases of MovieLens as histories, without Spark, for the benchmarks of lists."""

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.cleaning.order_splits import cuts
from jobs.runs.configuration import load_configuration
from model.data.histories import UNKNOWN, Histories, write_histories
from model.settings import SHARED, TrainingSpec, chosen
from tests.benchmarks.order_deals import leave_last_out, next_visit, time_cut

GAP = 3600
NAMES = ["user_id", "movie_id", "rating", "rated_at"]


@dataclass(frozen=True)
class Release:
    """U users and M movies, in the order of their ids; histories are not yet split."""

    name: str
    histories: Histories
    user_ids: np.ndarray
    movie_ids: np.ndarray
    genre_MG: np.ndarray
    genres: list[str]
    gender_U: np.ndarray
    title_M: list[str]


def lines(archive: zipfile.ZipFile, name: str, separator: str, header=None) -> pd.DataFrame:
    """A file of a release, whichever folder of the zip it lies in."""
    (path,) = (file for file in archive.namelist() if file.endswith(f"/{name}"))
    text = archive.read(path).decode("latin-1" if separator != "," else "utf-8")
    if separator == "::":
        # A separator of one character is parsed much faster; no line holds it.
        text, separator = text.replace("::", "\x1f"), "\x1f"
    return pd.read_csv(io.StringIO(text), sep=separator, header=header)


def read_titles(file: Path) -> pd.Series:
    """The title of each movie, by its id."""
    with zipfile.ZipFile(file) as archive:
        if file.name.startswith("ml-1m"):
            movies = lines(archive, "movies.dat", "::")
        elif file.name.startswith("ml-100k"):
            movies = lines(archive, "u.item", "|")
        else:
            movies = lines(archive, "movies.csv", ",", header=0)
    return pd.Series(movies.iloc[:, 1].to_numpy(), movies.iloc[:, 0])


def years(titles: pd.Series) -> pd.Series:
    """When each came out, as the titles say; null of those that do not."""
    return titles.str.extract(r"\((\d{4})[^)]*\)\s*$")[0].astype("Int32")


def read_release(file: Path) -> tuple[pd.DataFrame, dict[int, list[str]], dict[int, str]]:
    """Ratings (a time of 0 is unknown), genres by movie, gender by user."""
    with zipfile.ZipFile(file) as archive:
        if file.name.startswith("ml-1m"):
            ratings = lines(archive, "ratings.dat", "::")
            movies, users = lines(archive, "movies.dat", "::"), lines(archive, "users.dat", "::")
            genres = dict(zip(movies[0], movies[2].str.split("|"), strict=True))
            gender = dict(zip(users[0], users[1], strict=True))
        elif file.name.startswith("ml-100k"):
            ratings = lines(archive, "u.data", "\t")
            movies, users = lines(archive, "u.item", "|"), lines(archive, "u.user", "|")
            named = lines(archive, "u.genre", "|")[0].tolist()
            flags = movies[range(5, 24)].to_numpy(bool)
            genres = {
                movie: [genre for genre, has in zip(named, row, strict=True) if has]
                for movie, row in zip(movies[0], flags, strict=True)
            }
            gender = dict(zip(users[0], users[2], strict=True))
        else:
            ratings = lines(archive, "ratings.csv", ",", header=0)
            movies = lines(archive, "movies.csv", ",", header=0)
            genres = dict(zip(movies["movieId"], movies["genres"].str.split("|"), strict=True))
            gender = {}
    ratings = ratings.set_axis(NAMES, axis=1)
    ratings.loc[ratings["rated_at"] == 0, "rated_at"] = UNKNOWN
    return ratings, genres, gender


def release(file: Path, ratings: pd.DataFrame | None = None, most_user: int | None = None):
    """A `Release` of these ratings of the zip; equal times in the order of movie_id."""
    read, genres, gender = read_release(file)
    ratings = read if ratings is None else ratings
    if most_user:
        ratings = ratings[ratings["user_id"] <= most_user]
    ratings = ratings.sort_values(["user_id", "rated_at", "movie_id"], kind="stable")
    user_ids, user_N = np.unique(ratings["user_id"], return_inverse=True)
    movie_ids, movie_N = np.unique(ratings["movie_id"], return_inverse=True)
    histories = Histories(
        np.arange(len(user_ids), dtype=np.int32),
        np.concatenate([[0], np.cumsum(np.bincount(user_N))]),
        movie_N.astype(np.int32),
        ratings["rating"].to_numpy(np.float32),
        ratings["rated_at"].to_numpy(np.int64),
        np.zeros(len(ratings), np.int8),
    )
    # Such as '(no genres listed)' and 'unknown'.
    named = sorted(
        {g for all_of in genres.values() for g in all_of if g[0] != "(" and g != "unknown"}
    )
    genre_MG = np.array([[g in genres.get(movie, []) for g in named] for movie in movie_ids])
    gender_U = np.array([gender.get(user, "") for user in user_ids])
    title_M = read_titles(file).reindex(movie_ids).fillna("").tolist()
    return Release(file.stem, histories, user_ids, movie_ids, genre_MG, named, gender_U, title_M)


def in_order(file: Path, order: Path) -> pd.DataFrame:
    """ML-1M's ratings without the rarest movies, with times that follow the given order.

    Known times stay, but for as many seconds as it takes to have one rating in each. Users whose
    times are unknown rate one movie a second; the first of them begins where the others leave off,
    as users are numbered from the latest to the earliest.
    """
    ratings, _, _ = read_release(file)
    places = pd.read_csv(order)
    ratings = places.merge(ratings, on=["user_id", "movie_id"], validate="one_to_one")
    ratings = ratings.sort_values(["user_id", "position"], kind="stable")
    time_N, user_N = ratings["rated_at"].to_numpy().copy(), ratings["user_id"].to_numpy()
    first_N = np.flatnonzero(np.diff(user_N, prepend=-1))
    earliest = time_N[time_N > UNKNOWN].min()
    for first in first_N[time_N[first_N] == UNKNOWN]:
        time_N[first] = earliest - 3600 * int(user_N[first])
    place_N = ratings["position"].to_numpy()
    # The least times that rise by a second: less their place they never fall.
    height_N = time_N - place_N
    for first, last in zip(first_N, np.append(first_N[1:], len(time_N)), strict=True):
        time_N[first:last] = np.maximum.accumulate(height_N[first:last]) + place_N[first:last]
    return ratings.assign(rated_at=time_N)[NAMES]


def split(histories: Histories, how: str) -> Histories:
    """Histories split as `next-visit`, `leave-last-out`, or by time at a share such as `0.9`."""
    offset_U1, time_N = histories.offset_U1, histories.time_N
    if how == "next-visit":
        split_N = next_visit(offset_U1, time_N, GAP)
    elif how == "leave-last-out":
        split_N = leave_last_out(offset_U1, time_N)
    else:
        share = float(how)
        second_S, count_S = np.unique(time_N[time_N > UNKNOWN], return_counts=True)
        split_N = time_cut(time_N, *cuts(second_S, count_S, 2 * share - 1, 1 - share))
    return replace(histories, split_N=split_N)


def write_inputs(shown: Release, histories: Histories, folder: Path) -> None:
    """What etl writes for a model of order."""
    write_histories(histories, folder / "histories", files=12)
    tables = {}
    for entity, ids in (("user", shown.user_ids), ("movie", shown.movie_ids)):
        index = {f"{entity}_id": ids, f"{entity}_idx": np.arange(len(ids), dtype=np.int32)}
        tables[f"{entity}_index"] = pa.table(index)
    named = [[g for g, has in zip(shown.genres, row, strict=True) if has] for row in shown.genre_MG]
    genres = pa.array(named, pa.list_(pa.string()))
    tables["movies"] = pa.table(
        {
            "movie_id": shown.movie_ids,
            "title": shown.title_M,
            "year": pa.array(years(pd.Series(shown.title_M, dtype=str)), pa.int32()),
            "genres": genres,
        }
    )
    for name, table in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(table, folder / name / "0.parquet", row_group_size=500)


def spec_of(member: str, folder: Path, seed: int, **changes) -> TrainingSpec:
    """A training of a member with the settings of conf/, but for these changes."""
    conf = load_configuration().train
    shared = conf.model_dump(include=set(SHARED)) | {"seed": seed}
    own = conf.of(member) | shared | changes
    own["sections"] = {name: conf.of(name) for name in own.get("members", [])}
    return TrainingSpec(
        **chosen(member, own),
        train=str(folder / "none"),
        validation=str(folder / "none"),
        histories=str(folder / "histories"),
        user_index=str(folder / "user_index"),
        movie_index=str(folder / "movie_index"),
        movies=str(folder / "movies"),
        output=str(folder / "factors"),
        checkpoints=str(folder / "checkpoints"),
        events=None,
        rating_min=1,
        rating_max=5,
        provenance={"benchmark": str(folder)},
    )
