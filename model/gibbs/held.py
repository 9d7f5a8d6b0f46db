"""Validation ratings, and the mean of what draws predict of them, before anything is cut."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from model.data.collectives import gather_ratings, rank_and_ranks
from model.data.dataset import Dataset
from model.gibbs.half import scores
from model.gibbs.sides import Side, gather_rows
from model.gibbs.when import When


class Held:
    """The N validation ratings of all ranks; each rank predicts its part of them."""

    def __init__(self, data: Dataset, users: Side, movies: Side, when: When | None) -> None:
        ratings = gather_ratings(data.validation, data.device)
        order = torch.argsort(ratings.user_N.long() * data.movies + ratings.movie_N)
        ratings = ratings.take(order)
        rank, ranks = rank_and_ranks()
        self.rating_N = ratings.rating_N.double()
        self.user_P = users.row_N[ratings.user_N.long()][rank::ranks]
        self.movie_P = movies.row_N[ratings.movie_N.long()][rank::ranks]
        own = ratings.take(torch.arange(rank, len(ratings), ranks, device=data.device))
        self.groups = when.groups(own) if when else []
        self.range = data.rating_min, data.rating_max
        self.sum_N = torch.zeros_like(self.rating_N)
        self.draws, self.last_N = 0, self.sum_N

    def predict(
        self,
        pairs: list[tuple[Tensor, Tensor]],
        when: When | None,
        mean: float,
        scale: float,
        keep: bool,
    ) -> None:
        """Predict by the mean of these pairs of users' and movies' rows, whose last is the bias.

        Each at its own time, where times are learned from.
        """
        if not len(self.rating_N):
            return
        score_P = torch.zeros(len(self.user_P), device=self.user_P.device)
        for user_RK, movie_RK in pairs:
            score_P += scores(padded(user_RK), padded(movie_RK), self.user_P, self.movie_P)
        score_P /= len(pairs)
        if when:
            score_P += when.expected(self.groups).float()
        score_N = gather_rows(score_P, len(self.rating_N))
        self.last_N = mean + scale * score_N.double()
        if keep:
            self.sum_N = self.sum_N + self.last_N
            self.draws += 1

    def figures(self) -> dict[str, float]:
        """Errors of the mean of the draws that were kept, or of the last where none was."""
        predicted_N = self.sum_N / self.draws if self.draws else self.last_N
        loss = (predicted_N - self.rating_N).square().mean().item()
        clipped = (predicted_N.clamp(*self.range) - self.rating_N).square().mean().item()
        return {
            "validation_loss": loss,
            "validation_rmse": math.sqrt(loss),
            "validation_rmse_clipped": math.sqrt(clipped),
        }

    def state_dict(self) -> dict[str, Any]:
        """References to what has been added up."""
        return {"sum_N": self.sum_N, "draws": self.draws}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.sum_N, self.draws = state["sum_N"].to(self.sum_N.device), state["draws"]


def padded(row_RK: Tensor) -> Tensor:
    """With a row of zeros for whom there are no ratings."""
    return torch.cat([row_RK, row_RK.new_zeros(1, row_RK.shape[1])])
