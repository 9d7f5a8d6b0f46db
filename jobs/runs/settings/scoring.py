"""Settings of the lists: how many, in which order, of which movies."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from jobs.runs.settings.section import PositiveInt, Section

VERSION = r"(rating|order)/[1-9][0-9]*"


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
    repeat_after: Annotated[int, Field(ge=0, strict=True)] = 0
    """Movies on a user's published lists of so many nights before are not shown to the user again;
    0: they may be."""
    diversity: Annotated[float, Field(ge=0, lt=1)] = 0
    """How much it counts, beside the score, that a movie's genres are others than those of the
    movies above it in the list; 0: nothing."""
    calibration: Annotated[float, Field(ge=0, lt=1)] = 0
    """How much it counts, beside the score, that a list's genres are in the proportions of those of
    all that the user has rated; 0: nothing."""
    genre_cap: PositiveInt | None = None
    """Movies of one genre in a list, at most; null: any number."""
    new_movies: Annotated[int, Field(ge=0, strict=True)] = 0
    """So many places of each list are for the best of the movies that a model has not learned, by
    their genres, years and titles; 0: such movies are in no list."""
    challenger: str | None = None
    """Another version that scores beside the champion, as rating/3 or order/2: it stands in for the
    champion of its kind; null: none does."""
    challenger_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of users who are recommended what the challenger says, by a hash of their ids, so
    that they are the same every night."""
    shadow: bool = False
    """The challenger scores everybody, into the table recommendations_shadow, and what users are
    recommended stays the champion's: challenger_share does nothing."""
    genres_in: list[str]
    """Only movies of one of these genres; [] for all."""
    genres_out: list[str]
    """No movie of one of these genres."""
    year_from: int | None
    """Only movies released in this year or later; those without a year are left out."""
    year_to: int | None
    """Only movies released in this year or earlier; those without a year are left out."""
    min_ratings: Annotated[int, Field(ge=0, strict=True)]
    """Only movies with this many ratings, of all splits, in the run's data; but for those that
    new_movies has places for."""
    block_list: list[PositiveInt | Annotated[str, Field(min_length=1)]] | str
    """Ids of movies that nobody is recommended; or a CSV or Parquet file with a column movie_id."""
    candidates: str | None
    """A CSV or Parquet file with columns user_id and movie_id: the users in it are recommended
    movies of their own list only, all others whatever the other settings leave."""

    @model_validator(mode="after")
    def challenger_can_be_told(self) -> ScoreSettings:
        if self.challenger is None:
            if self.shadow:
                raise ValueError("shadow=true needs a challenger, as rating/3 or order/2")
            return self
        if not re.fullmatch(VERSION, self.challenger):
            raise ValueError(
                f"challenger is {self.challenger!r}, and a version of the models of ratings or of "
                "order is needed, as rating/3 or order/2"
            )
        if self.order_by == "rating" and self.challenger.startswith("order/"):
            raise ValueError(
                f"challenger={self.challenger} is a model of order, and order_by=rating takes none"
            )
        return self

    @model_validator(mode="after")
    def some_movie_can_pass(self) -> ScoreSettings:
        if both := sorted(set(self.genres_in) & set(self.genres_out)):
            raise ValueError(f"{', '.join(both)} stands in both genres_in and genres_out")
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise ValueError(f"no year lies from {self.year_from} to {self.year_to}")
        if self.top_k != "all" and self.new_movies >= self.top_k:
            raise ValueError(
                f"new_movies is {self.new_movies}, and top_k {self.top_k}: no place would be left "
                "for movies that have been rated"
            )
        return self

    @model_validator(mode="after")
    def lists_can_be_chosen(self) -> ScoreSettings:
        """Refuse what would leave no choice."""
        chosen = ({"repeat_after": self.repeat_after} if self.repeat_after else {}) | self.by_genres
        named = " and ".join(f"{name}={value:g}" for name, value in chosen.items())
        if self.by_genres and self.new_movies:
            raise ValueError(
                f"new_movies={self.new_movies} keeps places that lists chosen by "
                f"{' and '.join(self.by_genres)} know nothing of: take one of the two"
            )
        if named and self.top_k == "all":
            raise ValueError(f"top_k=all leaves nothing to choose from by {named}")
        if self.diversity + self.calibration >= 1:
            raise ValueError(
                f"diversity={self.diversity:g} and calibration={self.calibration:g} leave nothing "
                "to the score: their sum must be below 1"
            )
        return self

    @property
    def shares_users(self) -> bool:
        """Whether a challenger scores some of the users in the champion's stead."""
        return self.challenger is not None and not self.shadow

    @property
    def by_genres(self) -> dict[str, Any]:
        """What lists are chosen by besides scores, each by the genres of movies; empty: nothing."""
        chosen = {name: getattr(self, name) for name in ("diversity", "calibration", "genre_cap")}
        return {name: value for name, value in chosen.items() if value}
