"""Ridge regression from a decayed history to the next movie, in closed form.

Of a history, x holds every movie with e^(-lag / decay), the newest with lag 0; with several decays,
their x stand side by side. B = (X'WX + penalty I)^-1 X'WY is the regression of the movies that came
next. It is kept as the factors of a rank: with the leading eigenvectors Q of B'X'WY, a user's row
is x B Q, a movie's its row of Q. EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse
Data", 2019) is of this kind, without order. X'WX is counted lag by lag, without X.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, MinLen
from torch import Tensor

from model.data.co_rated import taking_part
from model.data.collectives import sum_over_ranks
from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.data.windows import gaps
from model.eigenvectors import leading
from model.family import Rows
from model.space import Between, Space
from model.validation_lists import validation_figures

ENCODER = "encoder"
# A movie whose part in x is less than this counts for nothing.
LEAST_PART = 1e-3
# Rows of x that are held at a time, as numbers.
NUMBERS_PER_BLOCK = 1 << 24


@dataclass(frozen=True)
class RidgeSettings:
    """How the past is weighed, and how much of the regression is kept."""

    decays: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)]
    """After how many movies the part of an older one has fallen to 1/e; several stand side by
    side, each with a row of its own per movie in the regression."""
    penalty: Annotated[float, Gt(0)]
    """Ridge penalty, in targets: a movie that often followed another counts by half at so many."""
    factors: Annotated[int, Ge(1)]
    """Rank of what is kept; never more than there are movies."""
    same_second: Annotated[float, Ge(0)]
    """Weight of a target rated in the same second as the movie before it; others have 1."""
    most_movies: Annotated[int, Ge(1)]
    """Movies that take part, those with most ratings: memory grows with the square of them."""


class RidgeEncoder:
    """Rows of users from their histories: D decays, R movies that take part, K factors."""

    def __init__(self, decays: tuple[float, ...], part_M: Tensor, row_DRK: Tensor) -> None:
        self.decays, self.part_M, self.row_DRK = decays, part_M, row_DRK

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K; a movie that takes no part counts as a lag, no more."""
        _, movies, factors = self.row_DRK.shape
        device = self.row_DRK.device
        blocks = [torch.zeros(0, factors, device=device)]
        step = max(1, NUMBERS_PER_BLOCK // movies)
        for start in range(0, len(histories), step):
            block = histories.slice(start, start + step)
            last_N = np.repeat(block.offset_U1[1:], block.count_U)
            lag_N = torch.from_numpy(last_N - 1 - np.arange(len(last_N))).to(device)
            owner_N = torch.from_numpy(block.owner_N).to(device)
            movie_N = torch.from_numpy(block.movie_N.astype(np.int64)).to(device)
            part_N = self.part_M[movie_N]
            known_N = part_N >= 0
            place_N = (owner_N * movies + part_N)[known_N]
            user_BK = torch.zeros(len(block), factors, device=device)
            for decay, row_RK in zip(self.decays, self.row_DRK, strict=True):
                x_BR = torch.zeros(len(block), movies, device=device)
                x_BR.view(-1).index_add_(0, place_N, (-lag_N[known_N] / decay).exp().float())
                user_BK += x_BR @ row_RK
            blocks.append(user_BK)
        return torch.cat(blocks)

    def parts(self, histories: Histories) -> Tensor:
        """The movie's rows, by lag; zero if it takes no part."""
        device = self.row_DRK.device
        last_N = np.repeat(histories.offset_U1[1:], histories.count_U)
        lag_N = torch.from_numpy(last_N - 1 - np.arange(len(last_N))).to(device)
        part_N = self.part_M[torch.from_numpy(histories.movie_N.astype(np.int64)).to(device)]
        row_NK = torch.zeros(len(part_N), self.row_DRK.shape[2], device=device)
        for decay, row_RK in zip(self.decays, self.row_DRK, strict=True):
            weight_N = (-lag_N / decay).exp().float() * (part_N >= 0)
            row_NK += weight_N[:, None] * row_RK[part_N.clamp(min=0)]
        return row_NK

    def save(self, folder: Path) -> None:
        """Write it into a new folder."""
        folder.mkdir()
        np.save(folder / "decays.npy", np.array(self.decays))
        np.save(folder / "part.npy", self.part_M.cpu().numpy())
        np.save(folder / "rows.npy", self.row_DRK.cpu().numpy())

    @classmethod
    def load(cls, folder: Path, device: Any) -> RidgeEncoder:
        """What `save` wrote."""
        decays, *rows = (np.load(folder / f"{name}.npy") for name in ("decays", "part", "rows"))
        return cls(tuple(decays.tolist()), *(torch.from_numpy(row).to(device) for row in rows))


class Ridge:
    """The fitter: each rank counts its own users' pairs, and all solve for the same rows."""

    Settings = RidgeSettings
    reads = "histories"
    objective = "order"
    space: ClassVar[Space] = {
        "penalty": Between(30.0, 3000.0, log=True),
    }

    def __init__(self, settings: RidgeSettings, data: HistoryData, seed: int) -> None:
        self.settings = settings

    def fit(self, data: HistoryData) -> Rows:
        """Rows of all users' whole histories; of movies that take no part they are zero."""
        self.made, movie_RK = regression(data, self.settings)
        chosen_R = (self.made.part_M >= 0).nonzero()[:, 0]
        self.movie_MK = movie_RK.new_zeros(data.movies, movie_RK.shape[1])
        self.movie_MK[chosen_R] = movie_RK
        user_UK = data.whole_rows(self.made)
        zeros_U, zeros_M = user_UK.new_zeros(data.users), user_UK.new_zeros(data.movies)
        return Rows(user_UK, self.movie_MK, zeros_U, zeros_M, 0.0)

    def validate(self, data: HistoryData) -> dict[str, float]:
        """What was fitted, on all ranks' validation ratings."""
        none_M = self.movie_MK.new_zeros(data.movies)
        return validation_figures(data, self.made.encode, self.movie_MK, none_M)

    def save_encoder(self, folder: Path) -> None:
        """The regression's rows, and which movie has which."""
        self.made.save(folder / ENCODER)

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> RidgeEncoder:
        """From those files."""
        return RidgeEncoder.load(folder / ENCODER, device)


def regression(data: HistoryData, settings: RidgeSettings) -> tuple[RidgeEncoder, Tensor]:
    """What makes users' rows, and the R rows of the movies that take part, ascending."""
    part_M = taking_part(data.counts.movie_M, settings.most_movies)
    movies, decays = int(part_M.max()) + 1, tuple(settings.decays)
    weight_N = np.where(gaps(data.train) == 0, settings.same_second, 1.0)
    both_DRDR, next_DRR = count_pairs(data.train, part_M, movies, decays, weight_N)
    sum_over_ranks_(both_DRDR)
    sum_over_ranks_(next_DRR)
    size = len(decays) * movies
    both_SS, next_SR = both_DRDR.view(size, size), next_DRR.view(size, movies)
    both_SS, next_SR = both_SS.to(data.device), next_SR.to(data.device)
    both_SS.diagonal().add_(settings.penalty)
    row_SR = torch.cholesky_solve(next_SR, torch.linalg.cholesky(both_SS))
    movie_RK = leading(row_SR.T @ next_SR, settings.factors, seed=0)
    row_DRK = (row_SR @ movie_RK).view(len(decays), movies, -1)
    return RidgeEncoder(decays, torch.from_numpy(part_M).long().to(data.device), row_DRK), movie_RK


def count_pairs(
    train: Histories,
    part_M: np.ndarray,
    movies: int,
    decays: tuple[float, ...],
    weight_N: np.ndarray,
) -> tuple[Tensor, Tensor]:
    """X'WX, D x R x D x R, and X'WY, D x R x R, of this rank's histories.

    A row of X is the past of each rating but a history's first, which is that row's target and has
    its weight.
    """
    kinds = len(decays)
    both_DRDR = torch.zeros(kinds, movies, kinds, movies)
    next_DRR = torch.zeros(kinds, movies, movies)
    part_N = torch.from_numpy(part_M[train.movie_N])
    owner_N, offset_U1 = train.owner_N, train.offset_U1
    nth_N = torch.from_numpy(np.arange(len(owner_N)) - offset_U1[owner_N])
    target_weight_N = torch.from_numpy(weight_N * (nth_N.numpy() > 0))
    # A movie is in x of its own and all later rows: those weights, decayed twice, add up.
    tail_DDN = {
        (one, other): tails(train, target_weight_N.numpy(), decays[one], decays[other])
        for one in range(kinds)
        for other in range(kinds)
    }
    flat_both, flat_next = both_DRDR.view(-1), next_DRR.view(-1)
    longest = int(train.count_U.max(initial=0))
    for lag in range(min(longest, int(max(decays) * -np.log(LEAST_PART)) + 2)):
        late_P = (nth_N >= lag).nonzero()[:, 0]
        late_P = late_P[(part_N[late_P] >= 0) & (part_N[late_P - lag] >= 0)]
        late, early = part_N[late_P], part_N[late_P - lag]
        for one in range(kinds):
            for other in range(kinds):
                # Where the later movie is by decay `one`, and the earlier by `other`.
                value_P = tail_DDN[one, other][late_P] * np.exp(-lag / decays[other])
                place = ((one * movies + late) * kinds + other) * movies + early
                flat_both.index_add_(0, place, value_P.float())
                if lag:
                    place = ((other * movies + early) * kinds + one) * movies + late
                    flat_both.index_add_(0, place, value_P.float())
            if lag:
                value_P = target_weight_N[late_P] * np.exp(-(lag - 1) / decays[one])
                place = (one * movies + early) * movies + late
                flat_next.index_add_(0, place, value_P.float())
    return both_DRDR, next_DRR


def tails(train: Histories, weight_N: np.ndarray, one: float, other: float) -> Tensor:
    """For each rating, the sum over its own and later rows of their weights, decayed by both."""
    factor = np.exp(-1 / one - 1 / other)
    tail_N = np.zeros(len(weight_N))
    last_U = train.offset_U1[1:] - 1
    # Of all histories at a time, from their last ratings back; a row's target comes after it.
    back_U, alive_U = last_U, np.flatnonzero(train.count_U > 1)
    for _ in range(int(train.count_U.max(initial=0)) - 1):
        back_U = back_U - 1
        alive_U = alive_U[back_U[alive_U] >= train.offset_U1[:-1][alive_U]]
        at = back_U[alive_U]
        tail_N[at] = weight_N[at + 1] + factor * tail_N[at + 1]
    return torch.from_numpy(tail_N)


def sum_over_ranks_(numbers: Tensor) -> None:
    """In place, as these are large."""
    numbers.copy_(sum_over_ranks(numbers))
