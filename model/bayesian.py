"""Bayesian matrix factorisation: the mean of many embeddings that explain the ratings.

Block Gibbs sampling draws all users' rows, then all movies' (Salakhutdinov and Mnih, "Bayesian
Probabilistic Matrix Factorization using Markov Chain Monte Carlo", 2008), with biases, implicit
features of both sides (model/gibbs/links.py) and a noise precision per user and per movie
(Lakshminarayanan, Bouchard and Archambeau, "Robust Bayesian Matrix Factorisation", 2011). What is
averaged are conditional means, which vary less than draws (Rao and Blackwell).

Each rank draws the rows it owns, and tells the others. What is random comes from streams of seed,
sweep and side, in which every row has its place: two ranks draw what one draws, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from model.data.collectives import gather_ratings
from model.data.dataset import Dataset
from model.data.reading import seed_of
from model.family import Rows
from model.gibbs.average import Average
from model.gibbs.half import Half, Stream, normal
from model.gibbs.held import Held
from model.gibbs.priors import gamma
from model.gibbs.sides import Side, sides
from model.gibbs.spread import Spread
from model.gibbs.when import When
from model.settings import SamplingSettings
from model.space import Between, OneOf, Space

# What a stream of random numbers is for.
USERS, MOVIES, SHARED, PAIRS, TIMES = range(5)
# Settings that are columns of the release's tables.
OF_USERS, OF_MOVIES = ("age", "gender", "occupation"), ("genres", "year")
START_SCALE = 0.1
# Ratings at which a movie's mean surplus counts by half in the start.
START_DAMPING = 5.0
# In units of the ratings' variance. Noise of less than 3% of their deviation explains no more, and
# sums of float32 would be positive definite no longer.
START_PRECISION, MOST_PRECISION = 1.5, 1000.0


@dataclass(frozen=True)
class BayesianSettings(SamplingSettings):
    """What is drawn."""

    factors: Annotated[int, Ge(1)]
    """Length of a user's and a movie's embedding in a draw."""
    width: Annotated[int, Ge(1)]
    """Most columns of the two matrices of the mean, which has more factors than each draw."""
    implicit: bool
    """Whether which movies a user rated, and who rated a movie, tells of their embeddings."""
    genres: bool
    year: bool
    """Whether what the release says of a movie tells of its embedding."""
    age: bool
    gender: bool
    occupation: bool
    """Whether what the release says of a user, if anything, tells of the user's embedding."""
    movie_bins: Annotated[int, Ge(0)]
    """Bins of time over which a movie's bias may move; 0: it stands still."""
    user_bins: Annotated[int, Ge(0)]
    """Bins of a user's own time, from first rating to last, over which the user's bias may move."""
    days: bool
    """Whether a user has a mood of the day: an effect of each day with ratings."""
    row_noise: bool
    """Whether each user and movie has a noise precision of its own, or all ratings the same."""

    @property
    def bins(self) -> tuple[int, int, bool]:
        """Which bins of time ratings lie in."""
        return self.movie_bins, self.user_bins, self.days

    @property
    def reads_times(self) -> bool:
        """Whether it asks when ratings were given."""
        return any(self.bins)


class Bayesian:
    """The sampler. Inside, ratings are centred and in units of their standard deviation."""

    Settings = BayesianSettings
    reads = "ratings"
    objective = "rating"
    knows_sd = True
    space: ClassVar[Space] = {
        "factors": Between(8, 64, log=True),
        "implicit": OneOf((True, False)),
        "user_bins": OneOf((0, 8, 16, 32, 64)),
        "row_noise": OneOf((True, False)),
    }

    def __init__(self, settings: BayesianSettings, data: Dataset, seed: int) -> None:
        self.settings, self.seed, self.mean = settings, seed, data.mean
        ratings = gather_ratings(data.train, data.device)
        rest_N = ratings.rating_N.double() - data.mean
        self.scale = rest_N.square().mean().sqrt().item() or 1.0
        scaled = replace(ratings, rating_N=(rest_N / self.scale).float())
        users, movies = sides(scaled, data.users, data.movies)
        model = settings.factors, settings.implicit, settings.row_noise
        told_RF = {
            side: data.features(side, [c for c in columns if getattr(settings, c)])[rows.old_R]
            for side, rows, columns in (("user", users, OF_USERS), ("movie", movies, OF_MOVIES))
        }
        self.users = Half(users, movies, *model, told_RF["user"])
        self.movies = Half(movies, users, *model, told_RF["movie"])
        self.when = When(settings.bins, scaled, users, movies) if settings.reads_times else None
        self.begin(0)
        self.average = Average(users.count_R, movies.count_R, settings.width)
        self.user_bias_R = torch.zeros(len(users), dtype=torch.float64, device=data.device)
        self.movie_bias_R = torch.zeros(len(movies), dtype=torch.float64, device=data.device)
        """Sums over the draws that were kept, in units of the ratings' deviation."""
        self.held = Held(data, users, movies, self.when)
        self.spread = Spread(users, movies, self.stream(0, PAIRS)(0))

    @property
    def form(self) -> str:
        """How it learns, for the log."""
        names = ("implicit", *OF_MOVIES, *OF_USERS)
        used = [name for name in names if getattr(self.settings, name)]
        features = f"{', '.join(used)} features" if used else "no features"
        return f"Gibbs sampling of {self.settings.factors} factors with {features}"

    def begin(self, chain: int) -> None:
        """A chain starts with small random embeddings, and movies' damped means."""
        self.chain, self.precision = chain, START_PRECISION
        for side, half in ((USERS, self.users), (MOVIES, self.movies)):
            half.start()
            half.row_RK = START_SCALE * normal(half.row_RK.shape, self.stream(0, side)(0))
            half.row_RK[:, -1] = 0
        self.movies.row_RK[:, -1] = damped_means(self.movies.side)
        if self.when:
            self.when.start()

    def stream(self, sweep: int, side: int) -> Stream:
        """Generators of this sweep and side by what they are for, the same on every rank."""
        of_chain = seed_of(self.seed, self.chain) if self.chain else self.seed

        def generator(purpose: int) -> torch.Generator:
            seed = seed_of(of_chain, sweep, side, purpose)
            return torch.Generator(self.users.row_RK.device).manual_seed(seed)

        return generator

    def sweep(self, number: int, keep: bool) -> float:
        """Draw all users' rows and all movies'; add what they say to the mean if it is kept.

        Returns the mean squared error of the drawn rows on the training ratings.
        """
        users, movies = self.users, self.movies
        before_RK = movies.row_RK
        if self.when:
            self.when.aim(users, movies)
        users.draw(movies, self.precision, self.stream(number, USERS))
        squares, weighted = movies.draw(users, self.precision, self.stream(number, MOVIES))
        self.draw_precision(weighted, self.stream(number, SHARED)(0))
        if self.when:
            self.when.draw(users, movies, self.precision, self.stream(number, TIMES), keep)
        # Half of the mean each: one side as expected, given the other as drawn.
        pairs = [(users.mean_RK, before_RK), (users.row_RK, movies.mean_RK)]
        self.held.predict(pairs, self.when, self.mean, self.scale, keep)
        if keep:
            self.spread.add(users, movies, self.precision)
            self.average.add([(user_RK[:, :-1], movie_RK[:, :-1]) for user_RK, movie_RK in pairs])
            self.user_bias_R += sum(user_RK[:, -1] for user_RK, _ in pairs) / 2
            self.movie_bias_R += sum(movie_RK[:, -1] for _, movie_RK in pairs) / 2
        return squares / users.side.ratings * self.scale**2

    def draw_precision(self, weighted: float, generator: torch.Generator) -> None:
        """The precision of all ratings' noise, from the sum of weighted squared errors.

        The last errors were weighted by the precision itself: it is taken out again.
        """
        shape = torch.tensor((1 + self.users.side.ratings) / 2, dtype=torch.float64)
        rate = torch.tensor((1 + weighted / self.precision) / 2, dtype=torch.float64)
        device = generator.device
        drawn = gamma(shape.to(device), rate.to(device), generator).item()
        self.precision = min(drawn, MOST_PRECISION)

    def validate(self, data: Dataset) -> dict[str, float]:
        """Errors of the mean so far, before it is cut to its width."""
        return self.held.figures()

    def rows(self) -> Rows:
        """The mean of the draws that were kept."""
        draws, (users, movies) = self.average.draws, (self.users.side, self.movies.side)
        user_RK, movie_RK = self.average.factors()
        user_RS, movie_RS = self.spread.factors()
        user_bias_U = users.whole(self.scale * self.user_bias_R / draws)
        movie_bias_M = movies.whole(self.scale * self.movie_bias_R / draws)
        dates = self.when.dates(self.scale) if self.when else None
        if dates:
            user_bias_U += user_bias_U.new_tensor(dates.last_of_users(len(user_bias_U)))
            movie_bias_M += movie_bias_M.new_tensor(dates.last_of_movies(len(movie_bias_M)))
        return Rows(
            users.whole(self.scale * user_RK),
            movies.whole(movie_RK),
            user_bias_U.float(),
            movie_bias_M.float(),
            self.mean,
            users.whole(self.scale * user_RS),
            movies.whole(movie_RS),
            dates,
        )

    def state_dict(self) -> dict[str, Any]:
        """References to the last draw and to what has been added up."""
        return {
            "users": self.users.state_dict(),
            "movies": self.movies.state_dict(),
            "precision": self.precision,
            "chain": self.chain,
            "average": self.average.state_dict(),
            "user_bias_R": self.user_bias_R,
            "movie_bias_R": self.movie_bias_R,
            "held": self.held.state_dict(),
            "spread": self.spread.state_dict(),
            **({"when": self.when.state_dict()} if self.when else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        device = self.user_bias_R.device
        when = ("when",) if self.when else ()
        for name in ("users", "movies", "average", "held", "spread", *when):
            getattr(self, name).load_state_dict(state[name])
        self.precision, self.chain = state["precision"], state["chain"]
        self.user_bias_R = state["user_bias_R"].to(device)
        self.movie_bias_R = state["movie_bias_R"].to(device)


def damped_means(side: Side) -> Tensor:
    """Of each row its ratings' mean, moved towards 0 the fewer there are."""
    row_R = torch.arange(len(side), device=side.count_R.device)
    row_C = torch.repeat_interleave(row_R, side.count_R)
    sum_R = torch.bincount(row_C, side.rating_C.double(), len(side))
    return (sum_R / (side.count_R + START_DAMPING)).float()
