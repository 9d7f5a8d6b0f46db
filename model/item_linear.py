"""EASE: each movie's score is a weighted sum of the movies rated, solved for at once.

With 1 in x for each movie of a history, whatever its order, the scores are x B, where of all B
whose diagonal is 0 it has the least

    |X - X B|^2 + penalty |B|^2

which is, with P = (X'X + penalty I)^-1, - P_ij / P_jj (Steck, "Embarrassingly Shallow Autoencoders
for Sparse Data", 2019). Up to `exact_movies` movies all of B is kept: a user's row is x, a movie's
its column of B. Of more, the leading eigenvectors Q of B'X'XB are: a user's row is x B Q, a movie's
its row of Q, which of all of that rank loses least of X B. What that costs is measured:
`validation_ndcg_uncut` is what all of B would have reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor

from model.data.co_rated import rated_together, taking_part
from model.data.collectives import sum_over_ranks
from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.eigenvectors import leading
from model.family import Rows
from model.space import Between, Space
from model.validation_lists import validation_figures

Int = NDArray[np.integer]
ENCODER = "encoder"


@dataclass(frozen=True)
class ItemLinearSettings:
    """How much weights are held back, and how much of them is kept."""

    penalty: Annotated[float, Gt(0)]
    """Ridge penalty, in users."""
    most_movies: Annotated[int, Ge(1)]
    """Movies that take part, those with most ratings: memory grows with the square of them."""
    exact_movies: Annotated[int, Ge(0)]
    """Up to so many movies that take part all weights are kept; rows are then as long."""
    factors: Annotated[int, Ge(1)]
    """Rank of what is kept of more."""


class ItemLinearEncoder:
    """Rows of users: the sum of those of the R movies that take part, or of their unit vectors."""

    def __init__(self, part_M: Int, row_RK: Tensor | None, device: Any) -> None:
        self.part_M, self.row_RK, self.device = part_M, row_RK, device

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K."""
        known = histories.where(self.part_M[histories.movie_N] >= 0)
        part_N = torch.from_numpy(self.part_M[known.movie_N].astype(np.int64)).to(self.device)
        if self.row_RK is None:
            movies = int(self.part_M.max()) + 1
            user_UK = torch.zeros(len(known), movies, device=self.device)
            user_UK[torch.from_numpy(known.owner_N).to(self.device), part_N] = 1
            return user_UK
        first_U = torch.from_numpy(known.offset_U1[:-1]).to(self.device)
        return torch.nn.functional.embedding_bag(part_N, self.row_RK, first_U, mode="sum")

    def parts(self, histories: Histories) -> Tensor:
        """The movie's row or unit vector; zero if it takes no part."""
        part_N = torch.from_numpy(self.part_M[histories.movie_N].astype(np.int64)).to(self.device)
        known_N = part_N >= 0
        if self.row_RK is None:
            row_NK = torch.zeros(len(part_N), int(self.part_M.max()) + 1, device=self.device)
            row_NK[known_N.nonzero()[:, 0], part_N[known_N]] = 1
            return row_NK
        return self.row_RK[part_N.clamp(min=0)] * known_N[:, None]


class ItemLinear:
    """The fitter: each rank counts its own users' pairs, and all solve for the same weights."""

    Settings = ItemLinearSettings
    reads = "histories"
    objective = "order"
    space: ClassVar[Space] = {
        "penalty": Between(100.0, 10000.0, log=True),
    }

    def __init__(self, settings: ItemLinearSettings, data: HistoryData, seed: int) -> None:
        self.settings, self.seed = settings, seed

    def fit(self, data: HistoryData) -> Rows:
        """Rows of all users' whole histories; of movies that take no part they are zero."""
        self.part_M = taking_part(data.counts.movie_M, self.settings.most_movies)
        train = data.train.where(self.part_M[data.train.movie_N] >= 0)
        movies = int(self.part_M.max()) + 1
        both_RR = sum_over_ranks(rated_together(train, self.part_M, movies)).to(data.device)
        self.weight_RR = ease(both_RR, self.settings.penalty)
        self.whole = movies <= self.settings.exact_movies
        if self.whole:
            row_RK, movie_RK = None, self.weight_RR.T
        else:
            spread_RR = self.weight_RR.T @ (both_RR @ self.weight_RR)
            movie_RK = leading(spread_RR, self.settings.factors, self.seed)
            row_RK = self.weight_RR @ movie_RK
        self.made = ItemLinearEncoder(self.part_M, row_RK, data.device)
        self.movie_MK = self.of_all(movie_RK)
        user_UK = data.whole_rows(self.made)
        zeros_U, zeros_M = user_UK.new_zeros(data.users), user_UK.new_zeros(data.movies)
        return Rows(user_UK, self.movie_MK, zeros_U, zeros_M, 0.0)

    def of_all(self, row_RK: Tensor) -> Tensor:
        """Rows of those that take part, among those of all movies."""
        row_MK = row_RK.new_zeros(len(self.part_M), row_RK.shape[1])
        row_MK[torch.from_numpy(np.flatnonzero(self.part_M >= 0)).to(row_RK.device)] = row_RK
        return row_MK

    def validate(self, data: HistoryData) -> dict[str, float]:
        """What was fitted, on all ranks' validation ratings; and with all weights, if cut."""
        none_M = self.movie_MK.new_zeros(data.movies)
        figures = validation_figures(data, self.made.encode, self.movie_MK, none_M)
        if self.whole:
            return figures
        all_of_it = ItemLinearEncoder(self.part_M, None, data.device)
        uncut = validation_figures(data, all_of_it.encode, self.of_all(self.weight_RR.T), none_M)
        return figures | {"validation_ndcg_uncut": uncut["validation_ndcg"]}

    def save_encoder(self, folder: Path) -> None:
        """Which movie takes which part, and its row if it has one."""
        (folder / ENCODER).mkdir()
        np.save(folder / ENCODER / "part.npy", self.part_M)
        if self.made.row_RK is not None:
            np.save(folder / ENCODER / "rows.npy", self.made.row_RK.cpu().numpy())

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> ItemLinearEncoder:
        """From those files."""
        rows = folder / ENCODER / "rows.npy"
        row_RK = torch.from_numpy(np.load(rows)).to(device) if rows.exists() else None
        return ItemLinearEncoder(np.load(folder / ENCODER / "part.npy"), row_RK, device)


def ease(both_RR: Tensor, penalty: float) -> Tensor:
    """The weights B, R x R, from X'X."""
    penalised_RR = both_RR.clone()
    penalised_RR.diagonal().add_(penalty)
    inverse_RR = torch.cholesky_inverse(torch.linalg.cholesky(penalised_RR))
    weight_RR = -inverse_RR / inverse_RR.diagonal()
    return weight_RR.fill_diagonal_(0)
