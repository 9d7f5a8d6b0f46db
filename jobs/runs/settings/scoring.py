"""Settings of the lists: how many, in which order, of which movies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jobs.runs.settings.section import PositiveInt, Section


class ScoreSettings(Section):
    top_k: PositiveInt | Literal["all"]
    """Recommendations per user; `all` writes every scored pair."""
    device: Literal["auto", "cpu", "cuda"]
    """What scores: GPUs where there are some, processor cores, or GPUs and nothing else."""
    mode: Literal["full", "incremental"]
    """`incremental` takes over the rows of users for whom nothing has changed since the newest
    published run; the result is that of `full`."""
    order_by: Literal["preference", "rating"] = "preference"
    """By what movies are ordered: what the user will want next, as the model of order says, where
    there is one; or the predicted rating."""
    damping: Annotated[float, Field(ge=0)]
    """With the order by predicted rating: training ratings at which a movie's prediction counts by
    half in the order of movies; 0 orders by predicted rating alone."""
    # Runs that were started before there were these settings can still be read.
    lower_bound: Annotated[float, Field(ge=0)] | None = None
    """With the order by predicted rating: movies are ordered by the prediction less so many
    standard deviations of the rating, and damping does nothing; null: as damping says. Needs a
    model that knows deviations, as bayesian."""
    uncertainty: bool = False
    """Whether the table says of each predicted rating how far off it may be (`rating_sd`). Needs a
    model that knows it, as bayesian."""
    similar: Annotated[int, Field(ge=0, strict=True)] = 20
    """Similar movies of each movie, for the table similar_movies; 0 for none."""
    reasons: bool = True
    """Whether the table says which movie of the user's history speaks most for a recommendation
    (`because_movie_id`). Networks are asked again for each movie left out, which takes time."""
    genres_in: list[str]
    """Only movies of one of these genres; [] for all."""
    genres_out: list[str]
    """No movie of one of these genres."""
    year_from: int | None
    """Only movies released in this year or later; those without a year are left out."""
    year_to: int | None
    """Only movies released in this year or earlier; those without a year are left out."""
    min_ratings: Annotated[int, Field(ge=0, strict=True)]
    """Only movies with this many ratings, of all splits, in the run's data."""
    block_list: list[PositiveInt] | str
    """Ids of movies that nobody is recommended; or a CSV or Parquet file with a column movie_id."""
    candidates: str | None
    """A CSV or Parquet file with columns user_id and movie_id: the users in it are recommended
    movies of their own list only, all others whatever the other settings leave."""

    @model_validator(mode="after")
    def some_movie_can_pass(self) -> ScoreSettings:
        if both := sorted(set(self.genres_in) & set(self.genres_out)):
            raise ValueError(f"{', '.join(both)} stands in both genres_in and genres_out")
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise ValueError(f"no year lies from {self.year_from} to {self.year_to}")
        return self
