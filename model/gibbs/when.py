"""Effects of when ratings are given, in a Gibbs sampler: a normal of its own for each bin of time.

Three kinds of bins (model/dates.py): of a movie, of a user, and a user's day. Effects of a kind are
normal around 0 with one precision, and are drawn given all else, one kind after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.data.collectives import rank_and_ranks, sum_over_ranks
from model.data.ratings import Ratings
from model.dates import UNKNOWN, Clock, Dates, Effects, clock_of
from model.gibbs.half import Half, Stream, scores
from model.gibbs.priors import gamma
from model.gibbs.sides import Side

# Where a chain starts: effects of a third of the ratings' deviation.
START_PRECISION = 10.0
STATE = ("value_G1", "mean_G1", "sum_G1", "precision")


class Kind:
    """The G bins of one kind that have ratings; ratings without one are in another, of effect 0."""

    def __init__(self, key_C: np.ndarray, device: torch.device) -> None:
        keys = np.unique(key_C)
        self.key_G = keys[keys != UNKNOWN]
        self.device = device
        self.group_C = self.groups(key_C)
        self.sum_G1 = self.nothing()
        self.start()

    def __len__(self) -> int:
        return len(self.key_G)

    def nothing(self) -> Tensor:
        return torch.zeros(len(self.key_G) + 1, dtype=torch.float64, device=self.device)

    def start(self) -> None:
        """As before the first draw."""
        self.precision = START_PRECISION
        self.value_G1, self.mean_G1 = self.nothing(), self.nothing()

    def groups(self, key_P: np.ndarray) -> Tensor:
        """The bins by their numbers; G for what has no ratings here."""
        place_P = np.searchsorted(self.key_G, key_P)
        padded = np.append(self.key_G, UNKNOWN)
        group_P = np.where(padded[place_P] == key_P, place_P, len(self.key_G))
        return torch.from_numpy(group_P).to(self.device)

    def draw(
        self, weight_B: Tensor, rest_B: Tensor, group_B: Tensor, generator: torch.Generator
    ) -> None:
        """Draw all effects, given what is left of this rank's ratings, and their precision."""
        groups = len(self) + 1
        sums = torch.stack(
            [
                torch.bincount(group_B, weight_B, groups),
                torch.bincount(group_B, weight_B * rest_B, groups),
            ]
        )
        weight_G1, product_G1 = sum_over_ranks(sums)
        normal_G = torch.randn(
            len(self), dtype=torch.float64, device=self.device, generator=generator
        )
        precision_G = weight_G1[:-1] + self.precision
        self.mean_G1, self.value_G1 = self.nothing(), self.nothing()
        self.mean_G1[:-1] = product_G1[:-1] / precision_G
        self.value_G1[:-1] = self.mean_G1[:-1] + normal_G * precision_G.rsqrt()
        shape = torch.tensor((1 + len(self)) / 2, dtype=torch.float64, device=self.device)
        rate = (1 + self.value_G1.square().sum()) / 2
        self.precision = gamma(shape, rate, generator).item()


class When:
    """All kinds of bins that are asked for, over the C ratings in the order of the users' side."""

    def __init__(
        self, bins: tuple[int, int, bool], ratings: Ratings, users: Side, movies: Side
    ) -> None:
        device = ratings.rating_N.device
        assert ratings.time_N is not None
        user_N, movie_N = users.row_N[ratings.user_N.long()], movies.row_N[ratings.movie_N.long()]
        order = torch.argsort(user_N * len(movies) + movie_N)
        self.user_C, self.movie_C = user_N[order], movie_N[order]
        self.rating_C = users.rating_C.double()
        self.by_movie_C = torch.argsort(self.movie_C * len(users) + self.user_C)
        """The same ratings in the order of the movies' side."""
        told = [
            column[order].cpu().numpy()
            for column in (ratings.user_N, ratings.movie_N, ratings.time_N)
        ]
        self.clock: Clock = clock_of(told[0], told[2], len(users.row_N), bins)
        self.kinds = [Kind(key_C, device) for key_C in self.clock.keys(*told)]
        rank, ranks = rank_and_ranks()
        self.own = slice(len(order) * rank // ranks, len(order) * (rank + 1) // ranks)
        self.draws = 0

    def __len__(self) -> int:
        return sum(map(len, self.kinds))

    def start(self) -> None:
        """All effects are 0, as a chain starts."""
        for kind in self.kinds:
            kind.start()

    def aim(self, users: Half, movies: Half) -> None:
        """What rows are drawn from: ratings without what their times add."""
        rest_C = (self.rating_C - self.added()).float()
        users.aim(rest_C)
        movies.aim(rest_C[self.by_movie_C])

    def added(self) -> Tensor:
        """What times add to each rating."""
        return torch.stack([kind.value_G1[kind.group_C] for kind in self.kinds]).sum(0)

    def draw(self, users: Half, movies: Half, precision: float, stream: Stream, keep: bool) -> None:
        """Draw each kind in its turn, given rows and all other kinds."""
        user_B, movie_B = self.user_C[self.own], self.movie_C[self.own]
        rest_B = (self.rating_C - self.added())[self.own]
        rest_B -= scores(users.row_RK, movies.row_RK, user_B, movie_B).double()
        weight_B = precision * (users.noise_R[user_B] * movies.noise_R[movie_B]).double()
        for number, kind in enumerate(self.kinds):
            if len(kind):
                group_B = kind.group_C[self.own]
                rest_B += kind.value_G1[group_B]
                kind.draw(weight_B, rest_B, group_B, stream(number))
                rest_B -= kind.value_G1[group_B]
        if keep:
            self.draws += 1
            for kind in self.kinds:
                kind.sum_G1 = kind.sum_G1 + kind.mean_G1

    def groups(self, ratings: Ratings) -> list[Tensor]:
        """Of each kind the bins of other ratings."""
        assert ratings.time_N is not None
        told = [c.cpu().numpy() for c in (ratings.user_N, ratings.movie_N, ratings.time_N)]
        keys = self.clock.keys(*told)
        return [kind.groups(key_P) for kind, key_P in zip(self.kinds, keys, strict=True)]

    def expected(self, groups: list[Tensor]) -> Tensor:
        """What the last draw's means add to ratings in these bins."""
        pairs = zip(self.kinds, groups, strict=True)
        return torch.stack([kind.mean_G1[group] for kind, group in pairs]).sum(0)

    def dates(self, scale: float) -> Dates:
        """The mean over the draws that were kept, in rating points."""
        share = scale / max(self.draws, 1)
        means = [(kind.sum_G1[:-1] * share).float().cpu().numpy() for kind in self.kinds]
        effects = [Effects(k.key_G, mean_G) for k, mean_G in zip(self.kinds, means, strict=True)]
        return Dates(self.clock, *effects)

    def state_dict(self) -> dict[str, Any]:
        """References to all that a draw changes."""
        kinds = [{name: getattr(kind, name) for name in STATE} for kind in self.kinds]
        return {"draws": self.draws, "kinds": kinds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.draws = state["draws"]
        for kind, values in zip(self.kinds, state["kinds"], strict=True):
            for name, value in values.items():
                setattr(kind, name, value.to(kind.device) if hasattr(value, "to") else value)
