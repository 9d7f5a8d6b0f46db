"""One task of the step score: a range of users, on the device that it has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from pyspark import TaskContext

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive
from jobs.scoring.inputs import read_inputs
from jobs.scoring.lists import ListMaker
from jobs.scoring.rows import SOURCES, Rows, Scorer
from jobs.scoring.variants import CHAMPION
from model.factors import load_factors
from model.ranking.lists import Lists
from model.ranking.ranker import Ranker
from model.ranking.reranking import Wanted
from model.reasons import Explainer

# Users whose rows are made, and written as one row group, together: a lookup reads one group.
USERS_PER_GROUP = 2048
# With all pairs, a group's rows take some 100 bytes each while they are made.
MOST_ROWS_PER_GROUP = 1_000_000
BY_SCORE = Wanted()
# A rated movie costs a user about as much as this many scored pairs.
PAIRS_PER_RATED = 100


@dataclass(frozen=True)
class Scoring:
    """What is to be scored, where its inputs lie, and what is written to every row."""

    factors: Path
    """Folder of the model's `Factors`, which predict the ratings, with rows of tonight."""
    ranking: Path
    """Folder of the `Factors` that movies are ranked by: the same, unless they are damped, lower
    bounds, or those of a model of order."""
    inputs: Path
    """Folder of what `write_inputs` wrote."""
    target: Path
    """Folder of the Parquet files."""
    base: Path | None
    """Folder of an earlier run's recommendations, of which the rows of kept users are taken."""
    top_k: int | None
    """None: every pair."""
    device: str
    """auto, cpu or cuda."""
    model_version: str
    order_version: str | None
    run_id: str
    uncertainty: bool = False
    """Whether rows say how far off a rating may be."""
    explained: Path | None = None
    """Folder of the model that gives reasons; None: rows have none."""
    implicit: bool = False
    """Whether there are no ratings to predict."""
    wanted: Wanted = BY_SCORE
    """What lists are chosen for besides scores."""
    new_movies: int = 0
    """Places of each list for new movies."""
    variant: str = CHAMPION
    """Whose these rows are, the champion's or the challenger's."""


@cache
def scorer_of(scoring: Scoring, device: str) -> Scorer:
    """What makes the rows; one for all tasks of a process."""
    # Spark runs a process per core: more threads would fight one another.
    torch.set_num_threads(1)
    model = load_factors(scoring.factors)
    other = scoring.ranking != scoring.factors
    ranking = load_factors(scoring.ranking) if other else model
    inputs = read_inputs(scoring.inputs)
    ranker, *newcomers = (
        Ranker(ranking, catalogue=catalogue, device=device)
        for catalogue in (inputs.catalogue, inputs.newcomers)
        if catalogue
    )
    explainer = Explainer.of(scoring.explained, device) if scoring.explained else None
    lists = ListMaker.of(ranker, inputs, scoring.top_k, scoring.wanted)
    if newcomers:
        lists = replace(lists, newcomers=newcomers[0], places=scoring.new_movies)
    return Scorer(lists, model, scoring.base, scoring.uncertainty, explainer)


def even_ranges(
    rated: Lists, movies: int, tasks: int, kept_U: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Contiguous ranges of users of about the same cost, whatever the skew in rated movies.

    Users in `kept_U` are not scored, and cost next to nothing.
    """
    users = len(rated)
    cost_U = max(movies, 1) + rated.count_B * PAIRS_PER_RATED
    cost_U = np.where(kept_U, 1, cost_U)
    cost_U1 = np.concatenate([[0], np.cumsum(cost_U)])
    wanted = np.linspace(0, cost_U1[-1], min(tasks, max(users, 1)) + 1)[1:-1]
    cuts = [0, *np.searchsorted(cost_U1, wanted).tolist(), users]
    return [(a, b) for a, b in pairwise(cuts) if a < b] or [(0, 0)]


def score_range(scoring: Scoring, users: tuple[int, int], device: str) -> tuple[int, int, int]:
    """Write the rows of a range of users; how many users, rows, and rows with a reason they are."""
    start, stop = users
    scorer = scorer_of(scoring, device)
    target = scoring.target / f"part-{scoring.variant}-{start:09d}-{stop:09d}.parquet"
    temporary = scoring.inputs / f"{target.name}.{uuid4().hex}"
    rows = reasons = 0
    # Parquet holds plain strings, as Spark would write them.
    with pq.ParquetWriter(temporary, SCHEMA, compression="zstd", store_schema=False) as writer:
        for first, last in groups(scorer, start, stop):
            table = table_of(scorer.rows(first, last), scorer, scoring)
            writer.write_table(table, row_group_size=max(1, len(table)))
            rows += len(table)
            reasons += len(table) - table["because_movie_id"].null_count
    os.replace(temporary, target)
    return stop - start, rows, reasons


def groups(scorer: Scorer, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The users of a range, cut into those whose rows are one row group."""
    lists = scorer.lists
    per_user = len(lists.ranker.movie_idx_C) if lists.top_k is None else lists.top_k
    step = max(1, min(USERS_PER_GROUP, MOST_ROWS_PER_GROUP // max(1, per_user)))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


SCHEMA = pa.schema(
    {
        "user_id": pa.int32(),
        "rank": pa.int32(),
        "movie_id": pa.int32(),
        "title": pa.string(),
        "predicted_rating": pa.float32(),
        "source": pa.dictionary(pa.int8(), pa.string()),
        "model_version": pa.dictionary(pa.int8(), pa.string()),
        "run_id": pa.dictionary(pa.int8(), pa.string()),
        "ranking_score": pa.float32(),
        "order_version": pa.dictionary(pa.int8(), pa.string()),
        "rating_sd": pa.float32(),
        "because_movie_id": pa.int32(),
        "because_share": pa.float32(),
        "source_user_id": pa.string(),
        "source_movie_id": pa.string(),
        "source_because_id": pa.string(),
        "variant": pa.dictionary(pa.int8(), pa.string()),
    }
)


def table_of(rows: Rows, scorer: Scorer, scoring: Scoring) -> pa.Table:
    """Rows of schemas.RECOMMENDATIONS but for ds, which is a partition's name."""
    same_R, inputs = np.zeros(len(rows.rank_R), np.int8), scorer.inputs
    movie_id_R = scorer.ranking.movie_ids_M[rows.movie_idx_R].astype(np.int32)
    columns = [
        rows.user_id_R,
        rows.rank_R,
        movie_id_R,
        # No dictionary of all titles, which Parquet would repeat in every row group.
        inputs.titles.take(pa.array(rows.movie_idx_R)),
        pa.nulls(len(same_R), pa.float32()) if scoring.implicit else rows.predicted_R,
        pa.DictionaryArray.from_arrays(rows.source_R, SOURCES),
        pa.DictionaryArray.from_arrays(same_R, [scoring.model_version]),
        pa.DictionaryArray.from_arrays(same_R, [scoring.run_id]),
        rows.score_R,
        versions(scoring.order_version, len(same_R)),
        # NaN becomes null.
        pa.array(rows.sd_R, from_pandas=True),
        pa.array(rows.because_R, mask=rows.because_R == 0),
        pa.array(rows.share_R, from_pandas=True),
        inputs.users.of(rows.user_id_R),
        inputs.movies.of(movie_id_R),
        inputs.movies.of(rows.because_R),
        pa.DictionaryArray.from_arrays(same_R, [scoring.variant]),
    ]
    return pa.table(columns, schema=SCHEMA)


def versions(version: str | None, rows: int) -> pa.DictionaryArray:
    """So many times a version, or nothing."""
    kind = SCHEMA.field("order_version").type
    return pa.nulls(rows, kind) if version is None else pa.array([version] * rows, kind)


@contextmanager
def task_device(wanted: str) -> Iterator[str]:
    """Yield cpu, or a GPU that no other task of the host uses meanwhile.

    Spark says which GPU where it hands them out (spark.task.resource.gpu.amount); else tasks take
    turns. `auto` is a GPU where there is one. Raises JobError if cuda is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise JobError("score.device is cuda, but torch finds no GPU here. Set it to auto or cpu.")
    if wanted == "cpu" or not torch.cuda.is_available():
        yield "cpu"
        return
    context = TaskContext.get()
    handed_out = context.resources().get("gpu") if context else None
    if handed_out:
        yield f"cuda:{handed_out.addresses[0]}"
        return
    number = (context.partitionId() if context else 0) % torch.cuda.device_count()
    # A name of each user's own: one may not open what is another's.
    lock = Path(tempfile.gettempdir()) / f"nightreel-cuda-{number}-{os.getuid()}.lock"
    with exclusive(lock, "another task to leave the GPU"):
        yield f"cuda:{number}"
