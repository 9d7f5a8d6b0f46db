"""The inputs of scoring, laid out for memory mapping.

The driver writes them once, into a folder that all hosts see; tasks map them, so the processes of a
host share one copy, whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import dataset

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.scoring.genres import Genres
from jobs.scoring.incremental import rests_on_histories, unchanged
from jobs.scoring.names import Names, names_of
from jobs.scoring.plan import ScoringPlan, candidates_folder
from jobs.scoring.reasons import load_histories, save_histories
from jobs.scoring.variants import is_challengers
from model.data.histories import Histories, read_histories
from model.data.indexes import read_ids
from model.factors import Factors, index_of
from model.ranking.catalogue import Catalogue, load_catalogue, prepare_catalogue
from model.ranking.lists import VALUES, Lists, load_lists

HISTORIES, GENRES, NEWCOMERS = "histories", "genres", "newcomers"


@dataclass(frozen=True)
class Inputs:
    """U users in id order, each one's movies by id, and the movies that may be recommended."""

    user_ids_U: NDArray[np.int32]
    rated: Lists
    """The movies that each user has rated."""
    own: Lists
    """The only movies that may be recommended to a user; empty: all of the catalogue."""
    shown: Lists
    """Movies that a user was shown of late, and is not shown now."""
    kept_U: NDArray[np.bool_]
    """Users whose rows are taken over from an earlier run."""
    catalogue: Catalogue
    newcomers: Catalogue | None
    """New movies that have places of their own; None where there are none."""
    titles: pa.Array
    """By row number in the factors; empty for a movie that may not be recommended."""
    users: Names
    movies: Names
    histories: Histories | None
    """A history for each user, of movies by row number in the model that gives reasons; None where
    none does."""
    genres: Genres | None
    """None where lists are by score alone."""


def write_inputs(plan: ScoringPlan, folder: Path) -> Inputs:
    """Lay out what a plan needs in a new folder, and map it.

    Raises JobError if the users of the run's rated movies do not ascend.
    """
    folder.mkdir(parents=True)
    movie_ids = plan.movie_ids
    prepare_catalogue(plan.ranking, movie_ids).save(folder / "catalogue")
    if plan.newcomers:
        prepare_catalogue(plan.ranking, plan.newcomers.ids).save(folder / NEWCOMERS)
        movie_ids = np.union1d(movie_ids, plan.newcomers.ids)
    titles = titles_of(plan.ranking, plan.run.data("movies"), movie_ids)
    pq.write_table(pa.table({"title": titles}), folder / "titles.parquet")
    for entity in ("user", "movie"):
        names_of(plan.run.data(f"{entity}s"), entity).save(folder / f"{entity}s.arrow")
    user_ids_U, rated, own = write_lists(plan.run, plan.user_ids, folder)
    kept_U = np.zeros(len(user_ids_U), bool)
    if plan.base:
        before = write_lists(plan.base, None, folder / "before")
        user_ids_before, rated_before, own_before = before
        place_U = index_of(user_ids_before, user_ids_U)
        kept_U = unchanged(rated, rated_before, place_U) & unchanged(own, own_before, place_U)
        # Whose rows were the other variant's is scored.
        kept_U &= is_challengers(plan.run, user_ids_U) == is_challengers(plan.base, user_ids_U)
        if rests_on_histories(plan.model, plan.figures["order_version"]):
            kept_U &= same_histories(plan.run, plan.base, user_ids_U)
    np.save(folder / "kept.npy", kept_U)
    plan.shown.to(user_ids_U).save(folder / "shown")
    if plan.genres:
        plan.genres.save(folder / GENRES)
    if plan.explained:
        save_histories(plan.explained.of_users(user_ids_U), folder / HISTORIES)
    return read_inputs(folder)


@cache
def read_inputs(folder: Path) -> Inputs:
    """Memory-map what `write_inputs` wrote; once in a process."""
    return Inputs(
        *read_lists(folder),
        shown=load_lists(folder / "shown"),
        kept_U=np.load(folder / "kept.npy", mmap_mode="r"),
        catalogue=load_catalogue(folder / "catalogue"),
        newcomers=load_catalogue(folder / NEWCOMERS) if (folder / NEWCOMERS).exists() else None,
        titles=pq.read_table(folder / "titles.parquet")["title"].combine_chunks(),
        users=Names.load(folder / "users.arrow"),
        movies=Names.load(folder / "movies.arrow"),
        histories=load_histories(folder / HISTORIES) if (folder / HISTORIES).exists() else None,
        genres=Genres.load(folder / GENRES) if (folder / GENRES).exists() else None,
    )


def titles_of(factors: Factors, movies: Path, movie_ids: NDArray[np.int32]) -> pa.Array:
    """Titles, by row number in the factors, of the movies with these ids; others are empty."""
    table = pq.read_table(movies, columns=["movie_id", "title"])
    table = table.filter(pc.is_in(table["movie_id"], pa.array(movie_ids)))
    idx = factors.movie_idx(table["movie_id"].to_numpy())
    place_M = np.full(len(factors.movie_ids_M), -1)
    place_M[idx[idx >= 0]] = np.flatnonzero(idx >= 0)
    titles = table["title"].combine_chunks().take(pa.array(place_M, mask=place_M < 0))
    return titles.fill_null("")


def write_lists(
    run: Run, user_ids: NDArray[np.int32] | None, folder: Path
) -> tuple[NDArray[np.int32], Lists, Lists]:
    """Users, and what they have rated and what their own lists hold; written and mapped.

    Those of a run with these ids, or all.
    """
    write_rated(run.data("rated"), user_ids, folder)
    user_ids_U = np.load(folder / "user_ids.npy", mmap_mode="r")
    own_lists(run, user_ids_U).save(folder / "own")
    return read_lists(folder)


def read_lists(folder: Path) -> tuple[NDArray[np.int32], Lists, Lists]:
    """Memory-map what `write_lists` wrote."""
    user_ids_U = np.load(folder / "user_ids.npy", mmap_mode="r")
    return user_ids_U, load_lists(folder / "rated"), load_lists(folder / "own")


def write_rated(source: Path, user_ids: NDArray[np.int32] | None, folder: Path) -> None:
    """Users and their rated movies from a folder of schemas.RATED; of certain users if given."""
    chosen = None if user_ids is None else pc.field("user_id").isin(user_ids)
    users, counts = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    lists = dataset.dataset(source, format="parquet")
    scanner = lists.scanner(["user_id", "movie_ids"], filter=chosen)
    (folder / "rated").mkdir(parents=True)
    with (folder / "rated" / VALUES).open("wb") as file:
        for batch in scanner.to_batches():
            users.append(batch["user_id"].to_numpy())
            counts.append(pc.list_value_length(batch["movie_ids"]).to_numpy())
            batch["movie_ids"].flatten().to_numpy().astype(np.int32).tofile(file)
    user_ids_U = np.concatenate(users)
    if (np.diff(user_ids_U) <= 0).any():
        raise JobError(f"{source} is not in the order of users. Run etl again.")
    np.save(folder / "user_ids.npy", user_ids_U)
    np.save(folder / "rated" / "offset.npy", np.cumsum(np.concatenate(counts)))


def same_histories(run: Run, base: Run, user_ids_U: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of U users have rated the same movies alike, and at the same times, in both runs."""
    now, before = (histories_of(each, user_ids_U) for each in (run, base))
    place_U = np.arange(len(user_ids_U))
    same_U = np.ones(len(user_ids_U), bool)
    for ours, theirs in zip(now, before, strict=True):
        same_U &= unchanged(ours, theirs, place_U)
    return same_U


def histories_of(run: Run, user_ids_U: NDArray[np.int32]) -> list[Lists]:
    """Movies, ratings and times of U users, oldest first; empty of whom the run knows none."""
    user_index, movie_index = (str(run.data(f"{entity}_index")) for entity in ("user", "movie"))
    histories = read_histories(run.data("histories"))
    place_U = index_of(read_ids(user_index, "user")[histories.user_U], user_ids_U)
    count_U = np.where(place_U >= 0, histories.count_U[place_U], 0)
    known = histories.take(place_U[place_U >= 0])
    offset_U1 = np.concatenate([[0], np.cumsum(count_U)])
    # Lists hold whole numbers; of ratings, their bits.
    values = read_ids(movie_index, "movie")[known.movie_N], known.rating_N.view(np.int32)
    return [Lists(offset_U1, each_N) for each_N in (*values, known.time_N)]


def own_lists(run: Run, user_ids_U: NDArray[np.int32]) -> Lists:
    """The lists of candidates that a run has kept, which are sorted by user and movie."""
    if (folder := candidates_folder(run)) is None:
        return Lists(np.zeros(len(user_ids_U) + 1, np.int64), np.empty(0, np.int32))
    rows = pq.read_table(folder)
    user_N = index_of(user_ids_U, rows["user_id"].to_numpy())
    count_U = np.bincount(user_N[user_N >= 0], minlength=len(user_ids_U))
    offset_U1 = np.concatenate([[0], np.cumsum(count_U)])
    return Lists(offset_U1, rows["movie_id"].to_numpy()[user_N >= 0])
