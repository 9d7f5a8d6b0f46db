"""A linear shallow autoencoder: a user's scores of movies are x (A A' - I), with unit rows of A.

Vančura et al., "Scalable Linear Shallow Autoencoder for Collaborative Filtering", 2022. x holds 1
for each movie rated; scores are learned to point where x does, by the squared distance of the two
at length 1. Unit rows and the - I keep a movie from naming itself. As - x concerns rated movies
alone, which no list names, it is left out of the rows: a user's row is x A, a movie's its row of A.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.data.sets import Sets
from model.earlier_weights import Weights
from model.factors import Factors
from model.order_learner import OrderLearner
from model.settings import LoopSettings
from model.space import Between, Space

# Squared lengths below that count as that.
LEAST = 1e-6


@dataclass(frozen=True)
class ElsaSettings(LoopSettings):
    """How rows are learned."""

    factors: Annotated[int, Ge(1)]
    """Length of a row."""


class UnitRows(nn.Module):
    """A row of length 1 for each movie that was rated, and of 0 for the others."""

    def __init__(self, count_M: Tensor, factors: int) -> None:
        super().__init__()
        self.row_MK = nn.Parameter(torch.randn(len(count_M), factors) * factors**-0.5)
        # As bytes, because Horovod sends no booleans.
        self.rated_M: Tensor
        self.register_buffer("rated_M", (count_M > 0).to(torch.uint8))

    def forward(self) -> Tensor:
        """The rows, M x K."""
        return nn.functional.normalize(self.row_MK) * self.rated_M[:, None]


def distances(batch: Sets, unit_MK: Tensor) -> Tensor:
    """Of B users, between x and x (A A' - I), both at length 1, squared.

    No score is made for it: with z = x A and n movies rated, x and the scores have the product
    z'z - n, and the scores' squared length is z'A'Az - 2 z'z + n.
    """
    z_BK = nn.functional.embedding_bag(batch.movie_P, unit_MK, batch.first_B, mode="sum")
    square_B = z_BK.square().sum(1)
    length_B = (z_BK @ (unit_MK.T @ unit_MK) * z_BK).sum(1) - 2 * square_B + batch.count_B
    cosine_B = (square_B - batch.count_B) / (batch.count_B * length_B.clamp(min=LEAST)).sqrt()
    return 2 - 2 * cosine_B


class ElsaEncoder:
    """A user's row is the sum of those of the movies rated."""

    def __init__(self, movie_MK: Tensor) -> None:
        self.movie_MK = movie_MK

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K."""
        device = self.movie_MK.device
        movie_N = torch.from_numpy(histories.movie_N.astype(np.int64)).to(device)
        first_U = torch.from_numpy(histories.offset_U1[:-1]).to(device)
        return nn.functional.embedding_bag(movie_N, self.movie_MK, first_U, mode="sum")

    def parts(self, histories: Histories) -> Tensor:
        """The movie's row."""
        movie_N = torch.from_numpy(histories.movie_N.astype(np.int64))
        return self.movie_MK[movie_N.to(self.movie_MK.device)]


class Elsa(OrderLearner):
    """The learner; its score is that of the rows, of rated movies 1 above the model's."""

    Settings = ElsaSettings
    space: ClassVar[Space] = {
        "factors": Between(128, 1024, log=True),
        "learning_rate": Between(0.001, 0.05, log=True),
        "epochs": Between(5, 30, log=True),
    }
    movie_weights: ClassVar[dict[str, str]] = {"row_MK": "factors"}

    def __init__(self, settings: ElsaSettings, data: HistoryData, seed: int) -> None:
        torch.manual_seed(seed)
        self.settings, self.data = settings, data
        super().__init__(UnitRows(data.counts.movie_M, settings.factors), settings, data)

    def losses(self, batch: Sets) -> Tensor:  # type: ignore[override]
        """A distance per user."""
        # Of no user it is of none, and the gradient zero, of which other ranks have to be told.
        return distances(batch, self.module())

    @property
    def made(self) -> ElsaEncoder:
        """The sums of the rows of this moment."""
        return ElsaEncoder(self.movie_MK)

    @property
    def movie_MK(self) -> Tensor:
        """The unit rows."""
        return self.module().detach()

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """The unit rows: what length they were learned at decides no score."""
        return {"row_MK": torch.tensor(np.asarray(factors.movie_MK))}

    def save_encoder(self, folder: Path) -> None:
        """Nothing: the rows of movies lie in the folder."""

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> ElsaEncoder:
        """From the movies' rows."""
        return ElsaEncoder(torch.from_numpy(np.load(folder / "movie_MK.npy")).to(device))
