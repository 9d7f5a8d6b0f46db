"""The model of ratings with rows of tonight: of users who are new to it, or have rated since."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.scoring.models import Version
from model.data.histories import Histories, read_histories
from model.data.indexes import read_ids
from model.factors import Factors
from model.fold_in import can_fold_in, with_folded_in


@dataclass(frozen=True)
class Known:
    """What a run knows of its users: U histories, whose movies are row numbers in `movie_ids_M`."""

    histories: Histories
    user_ids_U: NDArray[np.integer]
    """Whose they are, ascending."""
    movie_ids_M: NDArray[np.integer]

    @classmethod
    def of(cls, run: Run) -> Known:
        """Read it. Raises JobError if the run's histories cannot be read."""
        try:
            user_ids, movie_ids_M = (
                read_ids(str(run.data(f"{entity}_index")), entity) for entity in ("user", "movie")
            )
            histories = read_histories(run.data("histories"))
        except (OSError, ValueError) as error:
            raise JobError(
                f"The run's histories cannot be read: {error}. Run etl again."
            ) from error
        return cls(histories, user_ids[histories.user_U], movie_ids_M)

    def among(self, user_ids_B: NDArray[np.integer]) -> Known:
        """The same of these users alone."""
        place_A = np.flatnonzero(np.isin(self.user_ids_U, user_ids_B))
        return Known(self.histories.take(place_A), self.user_ids_U[place_A], self.movie_ids_M)


def of_tonight(rating: Version, known: Known | None) -> Factors:
    """The version, with rows of the run's users who have other ratings than at its training.

    The version as it is if there are none. A version that an earlier Nightreel has saved does not
    say what it has learned from: it keeps its rows.
    """
    if known is None or not can_fold_in(rating.factors):
        print(
            f"score: version {rating.version} was saved by an earlier version of Nightreel, which "
            "did not keep what it had learned from: users who are new to it, or have rated since, "
            "get no rows of tonight",
            flush=True,
        )
        return rating.factors
    return with_folded_in(rating.factors, known.histories, known.user_ids_U, known.movie_ids_M)
