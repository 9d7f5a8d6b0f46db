"""Who is scored by which models: by the champions, or with score.challenger by another version.

Whether a user is the challenger's follows from the user's id, as the source writes it, and the
share alone: from the first 32 bits of its MD5. So anybody can tell, in any SQL, and a larger share
has the users of a smaller one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.scoring.models import Models, Version, opened
from jobs.scoring.names import names_of
from jobs.scoring.uncertainty import refuse_to_score
from jobs.training.registry import Registry

CHAMPION, CHALLENGER = "champion", "challenger"
HASHES = 2**32


@dataclass(frozen=True)
class Variant:
    """What scores some of a run's users, or all."""

    name: str
    """CHAMPION or CHALLENGER."""
    models: Models
    user_ids: NDArray[np.int32] | None = None
    """Whom it scores, ascending; None: everybody in the run's data."""


def output_of(run: Run, variant: str) -> str:
    """The output of a run that has the rows of a variant."""
    return "shadow" if variant == CHALLENGER and run.conf.score.shadow else "scored"


def variants_of(run: Run, models: Models) -> list[Variant]:
    """The variants of a run whose champions are these models, and the users of each.

    Raises JobError for users who were named and are unknown, and for a challenger that cannot be
    scored with.
    """
    score, user_ids = run.conf.score, None
    if score.shares_users or run.users is not None:
        read = pq.read_table(run.data("rated"), columns=["user_id"])["user_id"].to_numpy()
        known = np.sort(read)
        user_ids = known if run.users is None else np.unique(run.users).astype(np.int32)
        if len(unknown := np.setdiff1d(user_ids, known)):
            raise JobError(f"Release {run.release} has no user {', '.join(map(str, unknown))}.")
    champion = Variant(CHAMPION, models, user_ids)
    if score.challenger is None:
        return [champion]
    challenger = Variant(CHALLENGER, models_beside(run, models), user_ids)
    if user_ids is None or not score.shares_users:
        return [champion, challenger]
    theirs_U = is_challengers(run, user_ids)
    return [
        replace(champion, user_ids=user_ids[~theirs_U]),
        replace(challenger, user_ids=user_ids[theirs_U]),
    ]


def is_challengers(run: Run, user_ids_U: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of U users a run has the challenger score in the champion's stead."""
    score = run.conf.score
    if not score.shares_users:
        return np.zeros(len(user_ids_U), bool)
    names = names_of(run.data("users"), "user").of(user_ids_U).to_pylist()
    called = (name or str(own) for name, own in zip(names, user_ids_U.tolist(), strict=True))
    hash_U = np.fromiter(map(hash_of, called), np.int64, len(user_ids_U))
    return hash_U < score.challenger_share * HASHES


def hash_of(user: str) -> int:
    """A number from 0 to below HASHES for the id of a user."""
    return int.from_bytes(hashlib.md5(user.encode(), usedforsecurity=False).digest()[:4], "big")


def models_beside(run: Run, champions: Models) -> Models:
    """The challenger in the place of the champion of its kind. Raises JobError if it cannot be."""
    order = champions.order.version if champions.order else None
    challenger = open_challenger(run, champions.rating.version, order, run.implicit)
    return replace(champions, **{objective_of(run): challenger})


def objective_of(run: Run) -> Literal["rating", "order"]:
    """Which of the two models the challenger of a run stands in for."""
    assert run.conf.score.challenger is not None
    return "order" if run.conf.score.challenger.startswith("order/") else "rating"


def require_challenger(run: Run, implicit: bool) -> None:
    """Raises JobError if the run names a challenger that cannot stand beside its champions.

    Better when it starts than in score, after everything else. `implicit`: whether its data holds
    no ratings, of which the run itself has no record before etl.
    """
    if run.conf.score.challenger:
        open_challenger(run, run.champion, run.order_champion, implicit)


def open_challenger(run: Run, rating: str | None, order: str | None, implicit: bool) -> Version:
    """The version that score.challenger names, beside champions of these versions.

    Raises JobError if it is one of them, if it predicts ratings where the data holds none, if the
    release has no such version, or if it cannot do what the settings of score ask for.
    """
    named, score = run.conf.score.challenger, run.conf.score
    assert named is not None
    kind, version = objective_of(run), named.partition("/")[2]
    told = f"score.challenger is {named}"
    if version == {"rating": rating, "order": order}[kind]:
        raise JobError(
            f"{told}, which is the champion already: name another version, or leave "
            "score.challenger out."
        )
    if kind == "rating" and implicit:
        raise JobError(
            f"{told}, and run {run.run_id} has no ratings to predict: name a version of order, as "
            "order/2, or leave score.challenger out."
        )
    try:
        found = opened(Registry.of(run, kind), version)
    except JobError as error:
        raise JobError(
            f"{told}, and release {run.release} has no version that could be it. {error} Name one "
            "that runs of this release have registered, or leave score.challenger out."
        ) from error
    if kind == "rating":
        refuse_to_score(score, found.factors, version)
    return found
