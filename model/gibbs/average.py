"""The mean of drawn matrices of low rank, streamed: memory does not grow with their number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Draws between two cuts of what has been added up.
DRAWS_BETWEEN_CUTS = 8
# What is kept between cuts, times what is kept in the end.
ROOM = 1.5
# Columns that are looked for beside those that are kept, and how often all are multiplied.
MORE, STEPS = 32, 3


class Average:
    """The mean of U x M matrices of low rank, each as two factors, with at most `width` columns.

    Rows are weighted by the root of their number of ratings when columns are cut: what is lost is
    lost where there is little to predict.
    """

    def __init__(self, user_count_U: Tensor, movie_count_M: Tensor, width: int) -> None:
        self.width, self.draws = width, 0
        self.weight_U1 = user_count_U.float().sqrt()[:, None]
        self.weight_M1 = movie_count_M.float().sqrt()[:, None]
        self.user_UC: list[Tensor] = []
        self.movie_MC: list[Tensor] = []
        self.waiting = 0

    def add(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """Add one draw: the mean of the products of these pairs of factors."""
        self.draws += 1
        self.waiting += 1
        for user_UK, movie_MK in pairs:
            self.user_UC.append(user_UK / len(pairs))
            self.movie_MC.append(movie_MK.clone())
        if self.waiting == DRAWS_BETWEEN_CUTS:
            user_UK, movie_MK = self.cut(round(self.width * ROOM))
            self.user_UC, self.movie_MC, self.waiting = [user_UK], [movie_MK], 0

    def cut(self, width: int) -> tuple[Tensor, Tensor]:
        """Factors of the sum of all draws, the nearest with `width` columns or fewer."""
        user_UC = torch.cat(self.user_UC, 1) * self.weight_U1
        movie_MC = torch.cat(self.movie_MC, 1) * self.weight_M1
        user_UK, movie_MK = nearest(user_UC, movie_MC, width)
        return user_UK / self.weight_U1, movie_MK / self.weight_M1

    def factors(self) -> tuple[Tensor, Tensor]:
        """The mean, cut to `width` columns."""
        user_UK, movie_MK = self.cut(self.width)
        return user_UK / self.draws, movie_MK

    def state_dict(self) -> dict[str, Any]:
        """References to all of it."""
        names = ("draws", "waiting", "user_UC", "movie_MC")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        device = self.weight_U1.device
        self.draws, self.waiting = state["draws"], state["waiting"]
        self.user_UC = [part.to(device) for part in state["user_UC"]]
        self.movie_MC = [part.to(device) for part in state["movie_MC"]]


def nearest(user_UC: Tensor, movie_MC: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Factors with `width` columns or fewer, whose product comes nearest to that of these factors.

    Where these have many more columns, by a randomised range finder with power iterations (Halko,
    Martinsson and Tropp, "Finding Structure with Randomness", 2011, algorithm 4.4).
    """
    columns, looked_for = user_UC.shape[1], width + MORE
    if columns > 2 * looked_for:
        generator = torch.Generator(user_UC.device).manual_seed(0)
        start = columns, looked_for
        movie_MQ = movie_MC @ torch.randn(start, generator=generator, device=user_UC.device)
        for _ in range(STEPS):
            user_UQ = torch.linalg.qr(user_UC @ (movie_MC.T @ movie_MQ))[0]
            movie_MQ = torch.linalg.qr(movie_MC @ (user_UC.T @ user_UQ))[0]
        user_UC, movie_MC = user_UC @ (movie_MC.T @ movie_MQ), movie_MQ
    user_UQ, user_QC = torch.linalg.qr(user_UC)
    movie_MQ, movie_QC = torch.linalg.qr(movie_MC)
    left, values, right = torch.linalg.svd(user_QC @ movie_QC.T, full_matrices=False)
    root_K = values[:width].sqrt()
    return user_UQ @ (left[:, :width] * root_K), movie_MQ @ (right[:width].T * root_K)
