"""Incremental scoring: the run whose rows are taken over, for whom that is right, and the rows.

A user's rows follow from the model, the movies that may be recommended, top_k and damping, the
same for everybody, and from the user's own rated movies and list. Where all of these are as they
were in an earlier run, so are the rows. That run, the base, is fixed when a run starts. Where there
is none, or what it wrote is gone or was made otherwise, everybody is scored, and the step says why.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.engines.duck import parquet_files
from jobs.published.delta import is_published
from jobs.published.parquet import read_footer, statistics
from jobs.published.runs_table import newest_other
from jobs.published.views import connect
from jobs.runs.errors import JobError
from jobs.runs.run import Run, open_run
from jobs.scoring.arrays import BLOCK, Rows, UserMovies
from jobs.training.registry import digest_of
from model.factors import Factors, index_of

# What decides everybody's rows, and how it is called where it has changed.
NAMES = {
    "model_version": "model version",
    "model": "model",
    "movies": "movies that may be recommended",
    "top_k": "top_k",
    "damping": "damping",
}


COLUMNS = ["user_id", "rank", "movie_id", "predicted_rating", "source", "ranking_score"]


def find_base(run: Run) -> tuple[str | None, str]:
    """The id of the run to take rows from; None for none. And, in words, why this one or none.

    It is the newest published run of the release that scored all users, as long as the table still
    holds what it published: what was taken back by a restore is not carried on.
    """
    if run.conf.score.mode == "full":
        return None, "score.mode is full"
    if run.users is not None:
        return None, "users were named"
    if not is_published(run.warehouse, "runs"):
        return None, "nothing has been published yet"
    newest = newest_other(run)
    if newest is None:
        return None, f"no other run of release {run.release} has been published"
    run_id, ds = newest
    with connect(run.warehouse, ("recommendations",)) as tables:
        query = "select 1 from recommendations where ds = ? and run_id = ? limit 1"
        if not tables.execute(query, [ds, run_id]).fetchone():
            return None, f"the table no longer holds what run {run_id} has published"
    return run_id, f"run {run_id} is the newest of release {run.release}"


def basis(run: Run, version: str, factors: Path, movie_ids: np.ndarray) -> dict[str, Any]:
    """What decides everybody's rows: to be recorded, and compared with the base's."""
    settings = run.conf.score
    return {
        "model_version": version,
        "model": digest_of(factors)[:16],
        "movies": hashlib.sha256(movie_ids.astype("<i4").tobytes()).hexdigest()[:16],
        "top_k": settings.top_k,
        "damping": settings.damping,
    }


def usable_base(run: Run, now: dict[str, Any], why_none: str) -> tuple[Run | None, str | None]:
    """The base if rows may be taken from it; else None, and why not.

    `now` is the run's basis; `why_none` says why the run started without a base, if it did.
    """
    if run.base_run is None:
        return None, why_none
    name = f"run {run.base_run}"
    try:
        base = open_run(run.warehouse, run.base_run)
    except JobError:
        return None, f"{name} is gone, or of another version of Nightreel"
    scored = base.finished("score")
    if scored is None or base.finished("publish") is None:
        return None, f"{name} is being made again"
    if "basis" not in scored:
        return None, f"{name} is of another version of Nightreel"
    then = scored["basis"]
    changed = [name for key, name in NAMES.items() if then.get(key) != now[key]]
    # Another version is another model: that need not be said twice.
    if "model" in changed and "model version" in changed:
        changed.remove("model")
    if changed:
        return None, f"since {name}, this has changed: {', '.join(changed)}"
    needed = [base.output("scored"), base.data("rated")]
    needed += [base.output("candidates")] if base.conf.score.candidates else []
    if missing := [folder for folder in needed if not folder.is_dir()]:
        return None, f"{missing[0].name} of {name} is gone"
    return base, None


@cache
def bounds(folder: Path) -> list[tuple[Path, int, int]]:
    """The files of recommendations that hold rows, each with its lowest and highest user id."""
    found = []
    for file in parquet_files(folder):
        footer = read_footer(file)
        if footer.num_rows:
            told = statistics(footer)
            low, high = (told[key]["user_id"] for key in ("minValues", "maxValues"))
            found.append((file, low, high))
    return found


def kept_rows(folder: Path, user_ids: NDArray[np.int32]) -> pa.Table:
    """COLUMNS of the rows of these users, who ascend, in the recommendations of an earlier run."""
    empty = pa.table({name: [] for name in COLUMNS})
    if not len(user_ids):
        return empty
    first, last = int(user_ids[0]), int(user_ids[-1])
    # Row groups that hold other users only are passed over by their own bounds.
    between = (pc.field("user_id") >= first) & (pc.field("user_id") <= last)
    tables = [
        pq.read_table(file, columns=COLUMNS, filters=between, partitioning=None)
        for file, low, high in bounds(folder)
        if low <= last and high >= first
    ]
    if not tables:
        return empty
    rows = pa.concat_tables(tables)
    return rows.filter(pc.is_in(rows["user_id"], pa.array(user_ids)))


def unchanged(now: UserMovies, before: UserMovies) -> NDArray[np.bool_]:
    """Which of the users of `now` had the same movies before."""
    place_U = index_of(before.user_ids_U, now.user_ids_U)
    count_U = np.diff(now.offset_U1)
    # The last is for users who were not there: no list is that long.
    count_before = np.append(np.diff(before.offset_U1), -1)
    same_U = count_before[place_U] == count_U
    for start in range(0, len(same_U), BLOCK):
        users = start + np.flatnonzero(same_U[start : start + BLOCK])
        owner_N = np.repeat(users, count_U[users])
        first_N = np.repeat(np.cumsum(count_U[users]) - count_U[users], count_U[users])
        place_N = np.arange(len(owner_N)) - first_N
        ours = now.movie_ids_N[now.offset_U1[owner_N] + place_N]
        theirs = before.movie_ids_N[before.offset_U1[place_U[owner_N]] + place_N]
        same_U[owner_N[ours != theirs]] = False
    return same_U


def unchanged_users(
    rated: UserMovies, rated_before: UserMovies, lists: UserMovies, lists_before: UserMovies
) -> NDArray[np.bool_]:
    """Which of the users of `rated` had the same rated movies, and the same list or none."""
    same_list = lists.user_ids_U[unchanged(lists, lists_before)]
    listed = np.isin(rated.user_ids_U, lists.user_ids_U)
    listed_before = np.isin(rated.user_ids_U, lists_before.user_ids_U)
    none = ~listed & ~listed_before
    return unchanged(rated, rated_before) & (none | np.isin(rated.user_ids_U, same_list))


def taken_over(base: Path, user_ids: NDArray[np.int32], model: Factors) -> Rows:
    """What the base run recommended to users, who ascend."""
    table = kept_rows(base, user_ids)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return Rows(
        columns["user_id"].astype(np.int32),
        columns["rank"].astype(np.int32),
        model.movie_idx(columns["movie_id"]),
        columns["predicted_rating"].astype(np.float32),
        columns["source"] == "popular",
        columns["ranking_score"].astype(np.float32),
    )
