"""Movies that are new to a model that scores: which have places in lists, and their rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.engines.duck import open_tables
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.schemas import DESCRIBED
from jobs.scoring.filters import allowed
from jobs.scoring.models import Models
from model.data.movie_content import CatalogueContent
from model.factors import Factors
from model.new_movies import new_movies, with_new_movies


def ids_of_new(run: Run, models: Models) -> NDArray[np.int32]:
    """The movies, by ascending id, that may be recommended although a model has not learned them.

    None where `score.new_movies` is 0. They pass the filters, but for the ratings that they cannot
    have yet, and a genre or a year is known.
    """
    if not run.conf.score.new_movies:
        return np.empty(0, np.int32)
    filters = run.conf.score.model_copy(update={"min_ratings": 0})
    with open_tables({name: run.data(name) for name in ("movies", "ratings")}) as tables:
        left = allowed(tables, filters, run.release).movie_ids
        query = f"select movie_id from movies where {DESCRIBED}"
        told = tables.execute(query).fetchnumpy()["movie_id"]
    return np.setdiff1d(np.intersect1d(left, told), models.known(left)).astype(np.int32)


@dataclass(frozen=True)
class Newcomers:
    """The new movies of a run, by ids that ascend, and what is known of its catalogue."""

    ids: NDArray[np.int32]
    known: CatalogueContent

    @classmethod
    def of(cls, run: Run, models: Models) -> Newcomers | None:
        """Those of a run; None where there are none. Raises JobError if movies cannot be read."""
        ids = ids_of_new(run, models)
        if not len(ids):
            return None
        try:
            return cls(ids, CatalogueContent.of(str(run.data("movies"))))
        except ValueError as error:
            raise JobError(f"{error}. Run etl again.") from error

    @property
    def digest(self) -> str:
        """Of what their rows follow from, but for the models."""
        return hashlib.sha256(self.ids.tobytes() + self.known.digest.encode()).hexdigest()[:16]

    def added_to(self, factors: Factors, version: Factors) -> Factors:
        """A model with rows for those that it has not learned.

        `factors` may have other rows of users than the version of the registry; these decide
        nothing, so that nobody's list depends on who else has rated tonight.
        """
        wanted = self.ids[version.learned_movies(self.ids) < 0]
        if not len(wanted):
            return factors
        try:
            new = new_movies(version, self.known, wanted)
        except ValueError as error:
            raise JobError(
                f"score.new_movies asks for rows of new movies, but {error}. Train a new model, or "
                "set score.new_movies=0."
            ) from error
        return with_new_movies(factors, new)
