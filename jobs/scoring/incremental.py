"""Incremental scoring: the run whose rows are taken over, for whom that is right, and the rows.

A user's rows follow from the models, the movies that may be recommended, their genres where lists
are chosen by them, what is known of new movies, and the settings of score, the same for everybody,
and from the user's own rated movies and list; where users can be folded in or a model orders
movies, also from when and how the user has rated them.
Where all of these are as they were in an earlier run, so are the rows. With a challenger, that
holds of each variant's users for themselves, and nobody keeps rows of the other variant. That run,
the base, is fixed when a run starts. Where there is none, or what it wrote is gone or was made
otherwise, everybody is scored, and the step says why.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
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
from jobs.scoring.genres import Genres
from jobs.scoring.models import Models
from jobs.scoring.new_movies import Newcomers
from jobs.scoring.uncertainty import known_to
from jobs.scoring.variants import CHALLENGER, CHAMPION, output_of
from jobs.training.registered import digest_of
from model.factors import Factors
from model.fold_in import can_fold_in
from model.ranking.lists import Lists

# How what decides everybody's rows is called where it has changed.
NAMES = {
    "model_version": "model version",
    "model": "model",
    "order_version": "version of order",
    "order": "model of order",
    "movies": "movies that may be recommended",
    "top_k": "top_k",
    "damping": "damping",
    "lower_bound": "lower_bound",
    "uncertainty": "uncertainty",
    "reasons": "reasons",
    "repeat_after": "repeat_after",
    "diversity": "diversity",
    "calibration": "calibration",
    "genre_cap": "genre_cap",
    "genres": "genres of movies",
    "new_movies": "new movies",
}
# What is read of the rows that are taken over.
COLUMNS = ["user_id", "rank", "movie_id", "predicted_rating", "source", "ranking_score"]
COLUMNS += ["rating_sd", "because_movie_id", "because_share"]
# Users whose lists are compared together.
USERS_PER_BLOCK = 20_000


@dataclass(frozen=True)
class Basis:
    """What decides everybody's rows: recorded by `score`, and compared with the base's."""

    model_version: str
    model: str
    """Digest of the model's files."""
    movies: str
    """Digest of the ids of the movies that may be recommended."""
    top_k: int | str
    damping: float | None
    lower_bound: float | None
    """Both None where a model orders movies, and one of them where not."""
    uncertainty: bool
    reasons: bool
    order_version: str | None = None
    order: str | None = None
    """Digest of the model that orders movies, and of its encoder; None where none does."""
    repeat_after: int | None = None
    diversity: float | None = None
    calibration: float | None = None
    genre_cap: int | None = None
    genres: str | None = None
    """Digest of all movies' genres; None where lists are by score alone. None is what is off, as in
    runs of before there was any of these."""
    new_movies: str | None = None
    """How many places new movies have, and a digest of what is known of them; None: none."""

    @classmethod
    def of(
        cls,
        run: Run,
        models: Models,
        movie_ids: NDArray[np.int32],
        genres: Genres | None = None,
        newcomers: Newcomers | None = None,
    ) -> Basis:
        """That of a run, by its models, the movies that may be recommended, and what is known."""
        order, score = models.order, known_to(models.rating.factors, run.conf.score)
        return cls(
            model_version=models.rating.version,
            model=digest_of(models.rating.folder)[:16],
            movies=hashlib.sha256(movie_ids.astype("<i4").tobytes()).hexdigest()[:16],
            top_k=run.conf.score.top_k,
            damping=None if order or score.lower_bound is not None else score.damping,
            lower_bound=None if order else score.lower_bound,
            uncertainty=score.uncertainty,
            reasons=score.reasons,
            order_version=order.version if order else None,
            order=digest_of(order.folder)[:16] if order else None,
            repeat_after=score.repeat_after or None,
            diversity=score.diversity or None,
            calibration=score.calibration or None,
            genre_cap=score.genre_cap,
            genres=genres.digest if genres else None,
            new_movies=f"{score.new_movies} {newcomers.digest}" if newcomers else None,
        )

    def changed_since(self, then: dict[str, Any]) -> list[str]:
        """What has changed since another basis was recorded, in words."""
        changed = [name for name, value in asdict(self).items() if then.get(name) != value]
        # Another version is another model: that need not be said twice.
        said = {"model_version": "model", "order_version": "order"}
        # And lists that were by score followed from no genres.
        said |= dict.fromkeys(("diversity", "calibration", "genre_cap"), "genres")
        for name, follows in said.items():
            if name in changed and follows in changed:
                changed.remove(follows)
        return [NAMES[name] for name in changed]


def find_base(run: Run) -> tuple[str | None, str]:
    """The id of the run to take rows from; None for none. And, in words, why this one or none.

    It is the newest published run of the release that scored all users, as long as the table still
    holds what it published: what was taken back by a restore is not carried on.
    """
    if run.conf.score.mode == "full":
        return None, "score.mode is full"
    if run.users is not None:
        return None, "users were named"
    if run.conf.score.repeat_after:
        return None, "score.repeat_after leaves nobody the list of the night before"
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


def rests_on_histories(rating: Factors, order_version: str | None) -> bool:
    """Whether users' rows follow from more than which movies they have rated."""
    return order_version is not None or can_fold_in(rating)


def usable_base(
    run: Run, basis: Basis, histories: bool, variant: str = CHAMPION
) -> tuple[Run | None, str | None]:
    """The run's base if rows of a variant may be taken from it; else None, and why not.

    `histories`: whether rows rest on them.
    """
    if run.base_run is None:
        return None, run.why_base
    name = f"run {run.base_run}"
    try:
        base = open_run(run.warehouse, run.base_run)
    except JobError:
        return None, f"{name} is gone, or of another version of Nightreel"
    scored = base.finished("score")
    if scored is None or base.finished("publish") is None:
        return None, f"{name} is being made again"
    if variant == CHALLENGER:
        if "challenger" not in scored or base.conf.score.shadow != run.conf.score.shadow:
            return None, f"{name} had no such challenger"
        scored = scored["challenger"]
    if "basis" not in scored:
        return None, f"{name} is of another version of Nightreel"
    if changed := basis.changed_since(scored["basis"]):
        return None, f"since {name}, this has changed: {', '.join(changed)}"
    needed = [base.output(output_of(base, variant)), base.data("rated")]
    needed += [base.output("candidates")] if base.conf.score.candidates else []
    needed += [base.data("histories")] if histories else []
    # By their ids it is told who was whose.
    needed += [base.data("users")] if base.conf.score.shares_users else []
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


def unchanged(now: Lists, before: Lists, place_U: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of the lists of U users are those that stood at `place_U` before; -1 is nowhere."""
    same_U = place_U >= 0
    same_U[same_U] = now.count_B[same_U] == before.count_B[place_U[same_U]]
    for start in range(0, len(same_U), USERS_PER_BLOCK):
        users = start + np.flatnonzero(same_U[start : start + USERS_PER_BLOCK])
        ours, theirs = now.take(users), before.take(place_U[users])
        owner_N = np.repeat(users, ours.count_B)
        same_U[owner_N[ours.value_N != theirs.value_N]] = False
    return same_U
