"""What evaluate measured and decided of a run's model of order: its part of the step's record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Ranking = Literal["model", "champion", "popularity", "recent_popularity", "rating"]

NAMES: dict[Ranking, str] = {
    "model": "this model of order",
    "champion": "champion before",
    "popularity": "most popular",
    "recent_popularity": "most popular of the 30 days before",
    "rating": "order by predicted rating",
}


@dataclass(frozen=True)
class OrderEvaluation:
    """How well lists named what users went on to rate, of the run's own model and of others."""

    split: str
    """Which measure: next-visit, time or leave-last-out, as etl found or was told."""
    users: int
    """Users who take part: with a movie to be named."""
    ndcg_10: dict[Ranking, float]
    """NDCG at 10, of all that were measured."""
    hr_10: dict[Ranking, float]
    """Share of users of whom a movie was among the first 10."""
    promoted: bool
    """Whether the run's own model is to be the champion."""
    reason: str
    candidate_version: str
    """The run's own model."""
    model_version: str | None
    """What orders movies from now on; None: predicted ratings do."""

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> OrderEvaluation:
        """From the step's record."""
        return cls(**record)

    def record(self) -> dict[str, Any]:
        """The figures of the step."""
        return asdict(self)
