"""Settings of what sets models, and ways to keep them fresh, side by side."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from jobs.runs.settings.section import PositiveInt, Section, Share
from model.family import FAMILY, ORDER_MODELS


class CompareSettings(Section):
    members: Annotated[list[str], Field(min_length=1)]
    """Models of the family that `nightreel compare` trains, of ratings and of order."""
    seeds: Annotated[list[PositiveInt], Field(min_length=1)]
    """Each member is trained once from each."""
    minutes: Annotated[float, Field(gt=0)] | None
    """The most that one training may take, else it is left out; null: whatever it takes."""
    # Runs that were started before there were these settings can still be read.
    search: Annotated[list[str], Field(default_factory=list)]
    """Models whose settings are searched for, by validation alone; what is found takes part."""
    trials: PositiveInt = 20
    """Most trainings of one search."""
    search_minutes: Annotated[float, Field(gt=0)] | None = None
    """When so many have passed, a search begins no other training; null: it makes all of them."""
    folds: Annotated[int, Field(ge=2, strict=True)] | None = None
    """Each model of ratings is trained once for each of so many folds, and measured on it; null:
    once, on the split of etl."""
    promote: bool = False
    """The best by validation become champions, if the gates of a nightly run let them."""

    @field_validator("members", "search")
    @classmethod
    def are_known(cls, members: list[str]) -> list[str]:
        if unknown := sorted(set(members) - set(FAMILY)):
            raise ValueError(f"there is no model {unknown[0]}, but: {', '.join(FAMILY)}")
        return list(dict.fromkeys(members))

    @field_validator("seeds")
    @classmethod
    def once_each(cls, seeds: list[int]) -> list[int]:
        return list(dict.fromkeys(seeds))

    @model_validator(mode="after")
    def nothing_held_back_has_chosen(self) -> CompareSettings:
        if self.folds and self.search:
            raise ValueError(
                "folds do not go with search: by the ratings that a fold holds back, settings "
                "would have been chosen. Search first, put what it finds into conf, then measure "
                "by folds"
            )
        if self.folds and self.promote:
            raise ValueError(
                "folds do not go with promote: they measure settings, and each of their models "
                "lacks ratings that the champion has learned from. Promote without folds"
            )
        return self


class ReplaySettings(Section):
    members: Annotated[list[Literal[*ORDER_MODELS]], Field(min_length=1)]  # type: ignore[valid-type]
    """Models of order that `nightreel replay` trains."""
    policies: Annotated[list[Literal["always", "weekly", "fold-in", "never"]], Field(min_length=1)]
    """When they are trained: at every cut; where seven days have passed since they were; at the
    first alone. never: users keep the rows of that training, too, where all others have theirs
    made at each cut of what is known of them by then."""
    periods: PositiveInt
    """Into so many, of equally many ratings, what comes after the first cut is parted."""
    from_share: Share
    """The first cut has this share of the dated ratings before it."""
    cuts: Annotated[list[str], Field(min_length=1)] | None
    """Dates to cut at, as in [2000-11-01, 2000-12-01], at midnight UTC, and not as periods and
    from_share say. null: as these say."""

    @field_validator("cuts", mode="before")
    @classmethod
    def are_dates(cls, cuts: Any) -> Any:
        """In their order, each once."""
        if not isinstance(cuts, list):
            return cuts
        # YAML knows dates.
        try:
            return sorted({date.fromisoformat(str(cut)).isoformat() for cut in cuts})
        except ValueError as error:
            raise ValueError(f"{error}: a date is written 2000-11-01") from None

    @field_validator("members", "policies")
    @classmethod
    def once_each(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(names))
