"""Implicit alternating least squares: who has rated what, whatever the rating and the order.

Rows minimise, over users u with movies I_u among M,

    sum over rated pairs (1 - score)^2 + unobserved sum over all pairs score^2
    + penalty (sum over users (|I_u| + unobserved M)^exponent |row|^2 + the same of movies)

each side solved for exactly while the other stands (Hu, Koren and Volinsky, "Collaborative
Filtering for Implicit Feedback Datasets", 2008; the penalty as in Rendle et al., "Revisiting the
Performance of iALS on Item Recommendation Benchmarks", 2022). A user's row is that solution for the
user's history; with a `decay`, of one whose rated pairs count the less the longer ago they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.family import Rows
from model.space import Between, Space
from model.validation_lists import validation_figures

Int = NDArray[np.integer]
Weights = NDArray[np.float32]
SETTINGS = "encoder/settings.json"
# Numbers that are held at a time.
NUMBERS_PER_BLOCK = 1 << 24


@dataclass(frozen=True)
class IalsSettings:
    """How rows are learned."""

    factors: Annotated[int, Ge(1)]
    """Length of a row."""
    sweeps: Annotated[int, Ge(1)]
    """Times that all users, and then all movies, are solved for."""
    unobserved: Annotated[float, Gt(0)]
    """Weight of a pair that is not rated, beside 1 of one that is."""
    penalty: Annotated[float, Gt(0)]
    """L2 penalty."""
    exponent: Annotated[float, Ge(0)]
    """How much more a row is penalised the more ratings it rests on."""
    decay: Annotated[float, Gt(0)] | None
    """After how many movies the weight of an older one has fallen to 1/e where a user's row is made
    for lists; None: the order tells nothing, all count alike. Movies' rows do not depend on it."""


@dataclass(frozen=True)
class IalsEncoder:
    """Rows of users by least squares on the movies' rows."""

    settings: IalsSettings
    movie_MK: Tensor

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K; a movie counts once, however often it is in a history."""
        user_UK = self.movie_MK.new_zeros(len(histories), self.movie_MK.shape[1])
        for place_B, root_BKK, sum_BK in self.equations(histories, self.weights(histories)):
            user_UK[place_B] = torch.cholesky_solve(sum_BK[:, :, None], root_BKK)[:, :, 0]
        return user_UK

    def parts(self, histories: Histories) -> Tensor:
        """What the movie adds to the right-hand side of its user's equations, solved for alone."""
        movie_N = torch.from_numpy(histories.movie_N.astype(np.int64)).to(self.movie_MK.device)
        row_NK, weight_N = self.movie_MK[movie_N], self.weights(histories)
        if weight_N is not None:
            row_NK = row_NK * torch.from_numpy(weight_N).to(row_NK.device)[:, None]
        part_NK = torch.zeros_like(row_NK)
        for place_B, root_BKK, _ in self.equations(histories, weight_N):
            for place, root_KK in zip(place_B.tolist(), root_BKK, strict=True):
                own = slice(*histories.offset_U1[place : place + 2])
                part_NK[own] = torch.cholesky_solve(row_NK[own].T, root_KK).T
        return part_NK

    def weights(self, histories: Histories) -> Weights | None:
        """What each of N ratings counts; None: all alike."""
        if self.settings.decay is None:
            return None
        last_N = np.repeat(histories.offset_U1[1:], histories.count_U)
        lag_N = last_N - 1 - np.arange(len(last_N))
        return np.exp(-lag_N / self.settings.decay, dtype=np.float32)

    def equations(
        self, histories: Histories, weight_N: Weights | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Those of users' rows, in blocks: places, Cholesky factors, right-hand sides."""
        gram_KK = self.movie_MK.T @ self.movie_MK
        for place_B, sum_BKK, sum_BK, count_B in sums(
            histories.offset_U1, histories.movie_N, self.movie_MK, weight_N
        ):
            penalty_B = penalties(count_B, len(self.movie_MK), self.settings)
            yield place_B, roots(sum_BKK, penalty_B, gram_KK, self.settings), sum_BK


class Ials:
    """The fitter: each rank holds its users' rows, and adds to what movies' rows are solved by."""

    Settings = IalsSettings
    reads = "histories"
    objective = "order"
    space: ClassVar[Space] = {
        "factors": Between(16, 256, log=True),
        "unobserved": Between(0.1, 10.0, log=True),
        "penalty": Between(0.0003, 0.1, log=True),
    }

    def __init__(self, settings: IalsSettings, data: HistoryData, seed: int) -> None:
        self.settings, self.seed = settings, seed

    def fit(self, data: HistoryData) -> Rows:
        """Rows of all users' whole histories, as the encoder makes them."""
        settings, train = self.settings, data.train
        random = torch.Generator().manual_seed(self.seed)
        movie_MK = torch.randn(data.movies, settings.factors, generator=random)
        movie_MK *= (data.counts.movie_M > 0)[:, None] * 0.1 * settings.factors**-0.5
        movie_MK = movie_MK.to(data.device)
        by_movie = np.argsort(train.movie_N, kind="stable")
        offset_M1 = np.searchsorted(train.movie_N[by_movie], np.arange(data.movies + 1))
        user_N = train.owner_N[by_movie]
        users = int(sum_over_ranks(torch.tensor([len(train)])).item())
        alike = replace(settings, decay=None)
        for _ in range(settings.sweeps):
            user_UK = IalsEncoder(alike, movie_MK).encode(train)
            gram_KK = sum_over_ranks(user_UK.T @ user_UK)
            for place_B, sum_BKK, sum_BK in ranks_sums(offset_M1, user_N, user_UK, data):
                count_B = data.counts.movie_M[place_B.cpu()].to(data.device)
                penalty_B = penalties(count_B, users, settings)
                root_BKK = roots(sum_BKK, penalty_B, gram_KK, settings)
                movie_MK[place_B] = torch.cholesky_solve(sum_BK[:, :, None], root_BKK)[:, :, 0]
        self.made = IalsEncoder(settings, movie_MK)
        user_UK = data.whole_rows(self.made)
        none_U, none_M = user_UK.new_zeros(data.users), user_UK.new_zeros(data.movies)
        return Rows(user_UK, movie_MK, none_U, none_M, 0.0)

    def validate(self, data: HistoryData) -> dict[str, float]:
        """What was fitted, on all ranks' validation ratings."""
        movie_MK = self.made.movie_MK
        return validation_figures(data, self.made.encode, movie_MK, movie_MK.new_zeros(data.movies))

    def save_encoder(self, folder: Path) -> None:
        """The settings: the rows of movies lie beside."""
        file = folder / SETTINGS
        file.parent.mkdir()
        file.write_text(json.dumps(asdict(self.settings), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> IalsEncoder:
        """From the settings and the movies' rows."""
        # Models of earlier versions name no decay.
        values = {"decay": None} | json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        movie_MK = torch.from_numpy(np.load(folder / "movie_MK.npy")).to(device)
        return IalsEncoder(IalsSettings(**values), movie_MK)


def sums(
    offset_U1: Int, other_N: Int, row_OK: Tensor, weight_N: Weights | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """For each of U lists of other rows: the sums of their outer products, of them, of weights.

    Weights are 1 unless given.
    In blocks of lists of about one length, each with the places of its lists; none of empty ones.
    """
    count_U = np.diff(offset_U1)
    order_U = np.argsort(count_U, kind="stable")
    order_U = order_U[count_U[order_U] > 0]
    # A row of nothing stands behind the end of a list.
    row_OK = torch.cat([row_OK, row_OK.new_zeros(1, row_OK.shape[1])])
    factors, device, start = row_OK.shape[1], row_OK.device, 0
    while start < len(order_U):
        # Lists grow: as many as fit if all were as long as the last of twice too many.
        most = max(1, NUMBERS_PER_BLOCK // (factors * max(factors, int(count_U[order_U[start]]))))
        longest = int(count_U[order_U[min(start + most, len(order_U)) - 1]])
        most = max(1, NUMBERS_PER_BLOCK // (factors * max(factors, longest)))
        place_B = order_U[start : start + most]
        count_B = count_U[place_B]
        place_L = np.arange(count_B.max())
        index_BL = offset_U1[:-1][place_B][:, None] + place_L
        index_BL = np.where(place_L < count_B[:, None], index_BL, len(other_N))
        other_BL = np.append(other_N, len(row_OK) - 1)[index_BL]
        row_BLK = row_OK[torch.from_numpy(other_BL.astype(np.int64)).to(device)]
        weighted_BLK, sum_B = row_BLK, torch.from_numpy(count_B).to(device)
        if weight_N is not None:
            weight_BL = torch.from_numpy(np.append(weight_N, np.float32(0))[index_BL]).to(device)
            weighted_BLK, sum_B = row_BLK * weight_BL[:, :, None], weight_BL.sum(1)
        places = torch.from_numpy(place_B).to(device)
        yield places, weighted_BLK.transpose(1, 2) @ row_BLK, weighted_BLK.sum(1), sum_B
        start += len(place_B)


def ranks_sums(
    offset_M1: Int, user_N: Int, user_UK: Tensor, data: HistoryData
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The sums of all ranks for each movie that is rated, in blocks that are the same on all."""
    factors = user_UK.shape[1]
    rated_R = (data.counts.movie_M > 0).nonzero()[:, 0]
    for movie_B in rated_R.split(max(1, NUMBERS_PER_BLOCK // factors**2)):
        sum_BKK = user_UK.new_zeros(len(movie_B), factors, factors)
        sum_BK = user_UK.new_zeros(len(movie_B), factors)
        first_B = offset_M1[movie_B]
        count_B = offset_M1[movie_B + 1] - first_B
        offset_B1 = np.concatenate([[0], np.cumsum(count_B)])
        row_N = np.arange(offset_B1[-1]) + np.repeat(first_B - offset_B1[:-1], count_B)
        for place_C, sum_CKK, sum_CK, _ in sums(offset_B1, user_N[row_N], user_UK):
            sum_BKK[place_C], sum_BK[place_C] = sum_CKK, sum_CK
        yield movie_B.to(user_UK.device), sum_over_ranks(sum_BKK), sum_over_ranks(sum_BK)


def penalties(count_B: Tensor, others: int, settings: IalsSettings) -> Tensor:
    """The L2 penalty of rows that rest on so many ratings."""
    return settings.penalty * (count_B + settings.unobserved * others) ** settings.exponent


def roots(sum_BKK: Tensor, penalty_B: Tensor, gram_KK: Tensor, settings: IalsSettings) -> Tensor:
    """The Cholesky factors of the equations of least squares."""
    left_BKK = sum_BKK + settings.unobserved * gram_KK
    left_BKK.diagonal(dim1=1, dim2=2).add_(penalty_B[:, None])
    return torch.linalg.cholesky(left_BKK)
