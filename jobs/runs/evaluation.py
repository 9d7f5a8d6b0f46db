"""What evaluate measured and decided: its record, and the answers that others look for in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from jobs.runs.order_evaluation import OrderEvaluation

Whose = Literal["mean", "biases", "champion", "model"]


@dataclass(frozen=True)
class Evaluation:
    """The errors of a run's own model and of what it is compared with, on the same ratings."""

    errors: dict[str, float]
    """In rating points, by name: `test_rmse` and `test_mae` are the model's own, or
    `validation_rmse` and so on where that is `measured_on`; `bias_rmse`, `mean_rmse` and their
    `mae`; `champion_rmse` where there was a champion."""
    promoted: bool
    """Whether the run's own model, or the biases in its place, are to be the champion."""
    reason: str
    candidate_version: str
    """The run's own model."""
    model_version: str | None
    """What scores from now on; None in older records, where nothing did."""
    fallback_version: str | None = None
    """The biases, where nothing beat them and they are to be the champion; else None."""
    measured_on: str = "test"
    """The split whose ratings these errors are on."""
    measured_ratings: int | None = None
    """How many these are; older records do not say."""
    inside: dict[str, float] = field(default_factory=dict)
    """Shares of these ratings inside the intervals that the model gives them: `inside_50` and
    `inside_90`; empty where it gives none."""
    order: OrderEvaluation | None = None
    """The run's model of order; None where it trained none."""

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Evaluation:
        """From the step's record; those of older versions lack the fields that have a default."""
        told = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        if told.get("order"):
            told["order"] = OrderEvaluation.of_record(told["order"])
        errors = {name: e for name, e in record.items() if "_rmse" in name or "_mae" in name}
        return cls(errors=errors, **told)

    def record(self) -> dict[str, Any]:
        """The figures of the step: flat, as summaries and events read them."""
        values = asdict(self)
        values["promotes"] = self.promotes
        return {"measured_on": values.pop("measured_on"), **values.pop("errors"), **values}

    @property
    def promotes(self) -> bool:
        """Whether there is a champion to be made, of either kind."""
        return self.promoted or bool(self.order and self.order.promoted)

    @property
    def rmse(self) -> dict[Whose, float]:
        """Clipped RMSE, from the simplest guess to the model, of all that were measured."""
        return self.by_whose("rmse")

    @property
    def mae(self) -> dict[Whose, float]:
        """Clipped MAE, as `rmse`; nobody measures the champion's."""
        return self.by_whose("mae")

    def by_whose(self, error: Literal["rmse", "mae"]) -> dict[Whose, float]:
        names: dict[Whose, str] = {
            "mean": f"mean_{error}",
            "biases": f"bias_{error}",
            "champion": f"champion_{error}",
            "model": f"{self.measured_on}_{error}",
        }
        return {whose: self.errors[name] for whose, name in names.items() if name in self.errors}

    @property
    def scores(self) -> Whose:
        """Which of them scores from now on."""
        if self.fallback_version:
            return "biases"
        return "model" if self.promoted else "champion"

    def learned(self, refit_ratings: int | None) -> str:
        """What scores was measured on, and what it has learned from since, in a sentence.

        `refit_ratings` is how many ratings it has learned from; None if only those not held back.
        """
        if refit_ratings is None:
            return "It scores as it was measured, without the ratings that were held back."
        if not self.promoted or self.measured_ratings is None:
            return f"What scores has learned from all {refit_ratings:,} ratings of its own run."
        return (
            f"Measured on {self.measured_ratings:,} held-back {self.measured_on} ratings; what is "
            f"published has learned from all {refit_ratings:,}."
        )

    def rmse_of_scored(self, split: str) -> float | None:
        """RMSE, on a split, of what scores from now on; None if that was not measured here."""
        return self.rmse.get(self.scores) if split == self.measured_on else None
