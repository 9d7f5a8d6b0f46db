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

    def known(self, movie_ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The movies that all models have learned: no other can be both ordered and predicted."""
        versions = [self.rating, self.order] if self.order else [self.rating]
        return reduce(lambda ids, of: trained_movies(of.factors, ids), versions, movie_ids)


def opened(registry: Registry, version: str) -> Version:
    """A version, mapped into memory."""
    return Version(version, registry.factors(version), registry.folder(version))
