"""The models that a run scores with: one predicts ratings, and another may order movies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.runs.run import Run
from jobs.scoring.filters import trained_movies
from jobs.training.registry import Registry
from model.factors import Factors


@dataclass(frozen=True)
class Version:
    """A version in the registry, opened."""

    version: str
    factors: Factors
    folder: Path


@dataclass(frozen=True)
class Models:
    """What predicts, and what orders; None: movies are ordered by predicted rating."""

    rating: Version
    order: Version | None

    @classmethod
    def of(cls, run: Run, version: str, order_version: str | None) -> Models:
        """These versions of a run's release. Raises JobError if one is not there or not whole."""
        order = opened(Registry.of(run, "order"), order_version) if order_version else None
        return cls(opened(Registry.of(run), version), order)

    @property
    def all(self) -> list[Factors]:
        """What predicts and, if there is one, what orders."""
        return [of.factors for of in (self.rating, self.order) if of]

    @property
    def named(self) -> str:
        """Their versions, as in `rating/3` or `rating/3 order/2`."""
        order = f" order/{self.order.version}" if self.order else ""
        return f"rating/{self.rating.version}{order}"

    def known(self, movie_ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The movies that all models have learned: no other can be both ordered and predicted."""
        return reduce(lambda ids, of: trained_movies(of, ids), self.all, movie_ids)


def opened(registry: Registry, version: str) -> Version:
    """A version, mapped into memory."""
    return Version(version, registry.factors(version), registry.folder(version))
