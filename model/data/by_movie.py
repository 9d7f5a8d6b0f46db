"""Ratings for a model whose step takes whole movies: all ratings of some of them, on every rank."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from model.data.collectives import gather_ratings, rank_and_ranks
from model.data.dataset import Dataset, read_rating_shards
from model.data.ratings import Ratings
from model.data.reading import seed_of
from model.settings import TrainingSpec


class WholeMovies:
    """The ratings of all ranks, sorted by movie and then by user."""

    def __init__(self, ratings: Ratings, users: int, movies: int) -> None:
        order = torch.argsort(ratings.movie_N.long() * users + ratings.user_N.long())
        self.ratings = ratings.take(order)
        self.count_M = torch.bincount(ratings.movie_N, minlength=movies).cpu()
        self.first_M = self.count_M.cumsum(0) - self.count_M

    def steps(self, steps: int, *seed: int) -> list[Tensor]:
        """The movies of each step, shuffled by the seed; steps have about equally many ratings."""
        rated = self.count_M.nonzero()[:, 0]
        generator = torch.Generator().manual_seed(seed_of(*seed))
        order = rated[torch.randperm(len(rated), generator=generator)]
        middle = self.count_M[order].cumsum(0) - self.count_M[order] / 2
        step = (middle * steps / len(self.ratings)).long().clamp(max=steps - 1)
        return list(order.split(torch.bincount(step, minlength=steps).tolist()))

    def of(self, movie_B: Tensor) -> Ratings:
        """All ratings of these movies, one movie's after another's."""
        count_B = self.count_M[movie_B]
        shift_B = self.first_M[movie_B] - (count_B.cumsum(0) - count_B)
        row_N = torch.repeat_interleave(shift_B, count_B) + torch.arange(int(count_B.sum()))
        return self.ratings.take(row_N.to(self.ratings.rating_N.device))


@dataclass(frozen=True)
class RatingsByMovie(Dataset):
    """A rank's data, but that a step has whole movies: of `ranks`, each takes every so manyth."""

    whole: WholeMovies
    seed: int

    def epoch(self, epoch: int, batch_size: int, start: int) -> tuple[list[int], Iterator[Ratings]]:
        """As for any ratings; steps have about `batch_size` of them, and a movie's in one piece."""
        rank, ranks = rank_and_ranks()
        steps = self.whole.steps(math.ceil(len(self.whole.ratings) / batch_size), self.seed, epoch)
        step_rows = [int(self.whole.count_M[movie_B].sum()) for movie_B in steps]
        return step_rows, (self.whole.of(movie_B[rank::ranks]) for movie_B in steps[start:])


def read_by_movie(spec: TrainingSpec, device: torch.device) -> RatingsByMovie:
    """Read this rank's shards, and gather all ranks'. Raises ValueError, naming a file."""
    data = read_rating_shards(spec, device)
    whole = WholeMovies(gather_ratings(data.train, device), data.users, data.movies)
    own = {field.name: getattr(data, field.name) for field in fields(data)}
    return RatingsByMovie(**own, whole=whole, seed=spec.seed)
