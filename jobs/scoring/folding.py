"""The model of ratings with rows of tonight: of users who are new to it, or have rated since."""

from __future__ import annotations

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.scoring.models import Version
from model.data.dataset import read_ids
from model.data.histories import read_histories
from model.factors import Factors
from model.fold_in import can_fold_in, with_folded_in


def of_tonight(run: Run, rating: Version) -> Factors:
    """The version, with rows of the run's users who have other ratings than at its training.

    The version as it is if there are none. A version that an earlier Nightreel has saved does not
    say what it has learned from: it keeps its rows. Raises JobError if the run's histories cannot
    be read.
    """
    if not can_fold_in(rating.factors):
        print(
            f"score: version {rating.version} was saved by an earlier version of Nightreel, which "
            "did not keep what it had learned from: users who are new to it, or have rated since, "
            "get no rows of tonight",
            flush=True,
        )
        return rating.factors
    try:
        user_ids_U, movie_ids_M = (
            read_ids(str(run.data(f"{entity}_index")), entity) for entity in ("user", "movie")
        )
        histories = read_histories(run.data("histories"))
    except (OSError, ValueError) as error:
        raise JobError(f"The run's histories cannot be read: {error}. Run etl again.") from error
    return with_folded_in(rating.factors, histories, user_ids_U[histories.user_U], movie_ids_M)
