"""Similar movies: what score writes for the table `similar_movies`, in its driver."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.published.parquet import ROWS_OF_GROUP
from jobs.runs.run import Run
from jobs.scoring.models import Models
from jobs.scoring.names import names_of
from model.factors import Factors
from model.ranking.likeness import movies_as_users
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, Ranker

Int = NDArray[np.integer]


def write_similar(run: Run, models: Models, movie_ids: NDArray[np.int32]) -> int:
    """Write `similar_movies`, replacing what is there; returns the number of rows.

    Every movie of the run's data that the models which score have learned gets its `score.similar`
    most similar ones among `movie_ids`, those that may be recommended. None are written where that
    is 0.
    """
    folder = run.output("similar_movies")
    shutil.rmtree(folder, ignore_errors=True)
    partition = folder / f"ds={run.ds.isoformat()}"
    partition.mkdir(parents=True)
    if run.conf.score.similar == 0:
        return 0
    movies = pq.read_table(run.data("movies"), columns=["movie_id", "title"]).sort_by("movie_id")
    ids_D, titles_D = movies["movie_id"].to_numpy(), movies["title"].combine_chunks()
    of_R, similar_R, found = most_similar(models.all, ids_D, movie_ids, run.conf.score.similar)
    names = names_of(run.data("movies"), "movie")
    columns = {
        "movie_id": of_R,
        "rank": found.rank_R,
        "similar_id": similar_R,
        "title": titles_D.take(pa.array(np.searchsorted(ids_D, similar_R))),
        # Rows have length 1 but for rounding.
        "similarity": found.score_R.clip(-1, 1),
        "model_version": pa.repeat(models.named, len(similar_R)),
        "source_movie_id": names.of(of_R),
        "source_similar_id": names.of(similar_R),
    }
    file = partition / "part-0.parquet"
    pq.write_table(pa.table(columns), file, ROWS_OF_GROUP, compression="zstd", store_schema=False)
    return len(similar_R)


def most_similar(
    models: Sequence[Factors], of_ids: Int, movie_ids: Int, k: int
) -> tuple[Int, Int, Ranked]:
    """Of each movie in `of_ids`, the k most similar among `movie_ids`, without itself.

    Returns R rows, ids of a movie and of one that is similar, by movie and rank; with ranks, and as
    scores the similarities.
    """
    movies = movies_as_users(models)
    of_B = movies.movie_idx(of_ids)
    of_B = of_B[of_B >= 0]
    itself = Lists(np.arange(len(of_B) + 1), of_B)
    found = Ranker(movies, movie_ids).top_k(of_B, itself, k)
    ids_M = movies.movie_ids_M.astype(np.int32)
    return ids_M[of_B[found.row_R]], ids_M[found.movie_idx_R], found
