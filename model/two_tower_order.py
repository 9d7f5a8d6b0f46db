"""Two towers of order: a history, read by dense layers, meets movies in one product.

    score = movie_bias + history_tower(what was rated) . movie_tower(movie)

The one tower reads the mean of embeddings of the movies rated, their genres and years, and how many
they are; the other is that of model/two_tower.py (Covington et al., "Deep Neural Networks for
YouTube", RecSys 2016). Trained by the cross-entropy of the softmax over all movies: each movie of a
user is named from the user's others, some of which are left out. Which came first is not asked, for
what the next visit brings is known better by all pairs of movies than by those that follow one
another (model/visits.py). A user's row is made of the history at any time, of whomever it is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.data.sets import Sets, sets_of
from model.data.side_information import features
from model.earlier_weights import Weights
from model.factors import Factors
from model.order_learner import OrderLearner
from model.softmax_loss import sampled_softmax_loss, softmax_loss
from model.space import Between, Space
from model.two_tower import OF_MOVIES, Tower, TowerSettings, dense

ENCODER = "encoder"
USERS_PER_BLOCK = 4096


@dataclass(frozen=True)
class TwoTowerOrderSettings(TowerSettings):
    """Towers of order."""

    input_dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of a user's movies that are left out of what the tower reads in training."""
    sampled_above: Annotated[int, Ge(1)]
    """With more movies than that, the softmax is estimated from some of them."""
    negatives: Annotated[int, Ge(1)]
    """How many are then drawn for a step."""


class HistoryTower(nn.Module):
    """From the movies that users rated to users' rows."""

    def __init__(self, told_MF: Tensor, settings: TowerSettings) -> None:
        super().__init__()
        self.told_MF: Tensor
        self.register_buffer("told_MF", told_MF.cpu())
        self.id = nn.Embedding(len(told_MF), settings.embedding)
        nn.init.normal_(self.id.weight, std=settings.init_scale)
        self.layers = dense(settings.embedding + told_MF.shape[1] + 1, settings)
        # As bytes, because Horovod sends no booleans.
        self.known_M: Tensor
        self.register_buffer("known_M", torch.ones(len(told_MF), dtype=torch.uint8))

    def read(self, movie_P: Tensor) -> Tensor:
        """What is known of P movies, P x W."""
        return torch.cat([self.id(movie_P), self.told_MF[movie_P]], 1)

    def forward(self, sum_BW: Tensor, count_B: Tensor) -> Tensor:
        """B x K, from sums of what was read, and of how many movies."""
        mean_BW = sum_BW / count_B.clamp(min=1)[:, None]
        return self.layers(torch.cat([mean_BW, count_B.log1p()[:, None]], 1))


class OrderTowers(nn.Module):
    """Of users, and of movies."""

    def __init__(self, user: HistoryTower, movie: Tower) -> None:
        super().__init__()
        self.user, self.movie = user, movie


class TwoTowerOrderEncoder:
    """A user's row is the tower's output of the whole history."""

    def __init__(self, tower: HistoryTower) -> None:
        self.tower = tower

    @torch.no_grad()
    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K; movies that the model has not learned of are passed over."""
        tower = self.tower.eval()
        known_M, device = tower.known_M, tower.known_M.device
        known = histories.where(known_M.cpu().numpy()[histories.movie_N] > 0)
        last = tower.layers[-1]
        assert isinstance(last, nn.Linear)
        user_UK = torch.zeros(len(known), last.out_features, device=device)
        some_S = np.flatnonzero(known.count_U)
        for start in range(0, len(some_S), USERS_PER_BLOCK):
            some_B = some_S[start : start + USERS_PER_BLOCK]
            sets = sets_of(known.take(some_B)).to(device)
            rows_BK = tower(summed(tower.read(sets.movie_P), sets), sets.count_B.float())
            user_UK[torch.from_numpy(some_B).to(device)] = rows_BK
        return user_UK


class TwoTowerOrder(OrderLearner):
    """The learner."""

    Settings = TwoTowerOrderSettings
    space: ClassVar[Space] = {
        "embedding": Between(16, 128, log=True),
        "factors": Between(16, 128, log=True),
        "dropout": Between(0.0, 0.6),
        "input_dropout": Between(0.0, 0.9),
        "learning_rate": Between(0.001, 0.03, log=True),
    }
    movie_weights: ClassVar[dict[str, str]] = {
        "user.id.weight": "embedding",
        "movie.id.weight": "embedding",
        "movie.bias.weight": "",
    }
    settings: TwoTowerOrderSettings
    module: OrderTowers

    def __init__(self, settings: TwoTowerOrderSettings, data: HistoryData, seed: int) -> None:
        torch.manual_seed(seed)
        self.settings, self.data = settings, data
        told_MF = torch.zeros(data.movies, 0)
        if settings.told and data.movie_table is not None:
            told = features(data.movie_table, "movie", data.movie_ids, OF_MOVIES)
            told_MF = torch.from_numpy(told)
        user = HistoryTower(told_MF, settings)
        user.known_M.copy_(data.counts.movie_M > 0)
        towers = OrderTowers(user, Tower(told_MF, data.counts.movie_M, settings))
        super().__init__(towers, settings, data)
        # Movies are left out.
        self.draws = True
        share_M = data.counts.movie_M / data.counts.movie_M.sum()
        self.share_M = share_M.float().to(data.device)

    def losses(self, batch: Sets) -> Tensor:  # type: ignore[override]
        """The sum of the cross-entropies of all movies of all users."""
        module, settings = self.module, self.settings
        if not len(batch):
            # Of gradients that are zero the other ranks still have to be told.
            return sum((weight.sum() * 0 for weight in module.parameters()), torch.tensor(0.0))
        read_PW = module.user.read(batch.movie_P)
        kept_P = torch.rand(len(read_PW), device=read_PW.device) >= settings.input_dropout
        read_PW = torch.cat([read_PW, read_PW.new_ones(len(read_PW), 1)], 1) * kept_P[:, None]
        # Of the others: all that is read of a user, but for the movie to be named.
        owner_P = torch.arange(len(batch.count_B), device=read_PW.device)
        owner_P = owner_P.repeat_interleave(batch.count_B)
        other_PW = summed(read_PW, batch)[owner_P] - read_PW
        row_PK = module.user(other_PW[:, :-1], other_PW[:, -1])
        weight_P = torch.ones_like(other_PW[:, -1])
        parts = (
            row_PK,
            batch.movie_P,
            weight_P,
            module.movie.rows(),
            module.movie.bias.weight[:, 0],
        )
        if self.data.movies > settings.sampled_above:
            return sampled_softmax_loss(*parts, self.share_M, settings.negatives)
        return softmax_loss(*parts)

    @property
    def made(self) -> TwoTowerOrderEncoder:
        """What makes users' rows, with the weights of this moment."""
        return TwoTowerOrderEncoder(self.module.user)

    @property
    @torch.no_grad()
    def movie_MK(self) -> Tensor:
        """The other tower's outputs."""
        return self.module.movie.eval().rows()

    @property
    def movie_bias_M(self) -> Tensor:
        """Beside them."""
        return self.module.movie.bias.weight.detach()[:, 0]

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """Those of both towers."""
        return torch.load(folder / ENCODER / "towers.pt", map_location="cpu", weights_only=True)

    def save_encoder(self, folder: Path) -> None:
        """Both towers, as a later training may start from them, and the settings."""
        own = folder / ENCODER
        own.mkdir()
        torch.save(self.module.state_dict(), own / "towers.pt")
        text = json.dumps(asdict(self.settings), indent=2)
        (own / "settings.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> TwoTowerOrderEncoder:
        """From those files."""
        own = folder / ENCODER
        values = json.loads((own / "settings.json").read_text(encoding="utf-8"))
        saved = torch.load(own / "towers.pt", map_location="cpu", weights_only=True)
        weights = {
            name.removeprefix("user."): weight
            for name, weight in saved.items()
            if name.startswith("user.")
        }
        tower = HistoryTower(weights["told_MF"], TwoTowerOrderSettings(**values))
        tower.load_state_dict(weights)
        return TwoTowerOrderEncoder(tower.to(device))


def summed(value_PW: Tensor, sets: Sets) -> Tensor:
    """The sum over each user's movies, B x W."""
    owner_P = torch.arange(len(sets.count_B), device=value_PW.device)
    owner_P = owner_P.repeat_interleave(sets.count_B)
    return value_PW.new_zeros(len(sets.count_B), value_PW.shape[1]).index_add(0, owner_P, value_PW)
