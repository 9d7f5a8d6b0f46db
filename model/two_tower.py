"""Two towers: dense layers over what is known of a user, and of a movie, meet in one product.

    rating = mean + user_bias + movie_bias + user_tower(user) . movie_tower(movie)

A tower reads an embedding of the id, what the release says (age, gender, occupation; genres, year)
and how many ratings there are (Covington et al., "Deep Neural Networks for YouTube", RecSys
2016). As they meet in nothing but the product, each is run once for every user and
movie, and its outputs are the exported rows. This is the model of ratings: the loss is the squared
error. That of order, whose user tower reads a history, is model/two_tower_order.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from model.data.dataset import Dataset
from model.data.ratings import Ratings
from model.family import MovieTable, Rows
from model.settings import LoopSettings
from model.space import Between, Space
from model.training.autograd import ModuleLearner

OF_USERS, OF_MOVIES = ["age", "gender", "occupation"], ["genres", "year"]


@dataclass(frozen=True)
class TowerSettings(LoopSettings):
    """The layers of a tower, and what keeps them from learning by heart."""

    embedding: Annotated[int, Ge(1)]
    """Length of the embedding of an id."""
    hidden: list[Annotated[int, Ge(1)]]
    """Units of each hidden layer; none: rows are one dense layer's."""
    factors: Annotated[int, Ge(1)]
    """Length of a row."""
    told: bool
    """Whether towers read what the release says."""
    normalised: bool
    """Whether hidden layers are normalised (LayerNorm)."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of what the layers read that is set to 0 in training."""
    init_scale: Annotated[float, Gt(0)]
    """Embeddings start normal with this standard deviation."""


@dataclass(frozen=True)
class TwoTowerSettings(TowerSettings):
    """Towers of ratings."""

    regularisation: Annotated[float, Ge(0)]
    """L2 penalty, per rating, on the embeddings of its ids and on its biases."""


class Tower(nn.Module):
    """From N row numbers to rows and biases."""

    def __init__(self, told_NF: Tensor, count_N: Tensor, settings: TowerSettings) -> None:
        super().__init__()
        log_N = count_N.double().log1p()
        log_N = (log_N - log_N.mean()) / log_N.std().clamp(min=1e-6)
        self.told_NF: Tensor
        self.register_buffer("told_NF", torch.cat([told_NF.cpu(), log_N.float()[:, None]], 1))
        self.id = nn.Embedding(len(count_N), settings.embedding)
        nn.init.normal_(self.id.weight, std=settings.init_scale)
        self.bias = nn.Embedding(len(count_N), 1)
        nn.init.zeros_(self.bias.weight)
        self.layers = dense(settings.embedding + self.told_NF.shape[1], settings)

    def forward(self, row_B: Tensor) -> Tensor:
        """B x K."""
        # The same user is often met again in a batch, and a popular movie more often still.
        one_C, place_B = row_B.unique(return_inverse=True)
        read_CW = torch.cat([self.id(one_C), self.told_NF[one_C]], 1)
        return self.layers(read_CW).index_select(0, place_B)

    def rows(self) -> Tensor:
        """Of all, N x K."""
        return self.layers(torch.cat([self.id.weight, self.told_NF], 1))


def dense(width: int, settings: TowerSettings) -> nn.Sequential:
    """The layers of a tower over so many numbers."""
    layers: list[nn.Module] = []
    for units in settings.hidden:
        layers += [nn.Dropout(settings.dropout), nn.Linear(width, units)]
        layers += [nn.LayerNorm(units)] if settings.normalised else []
        layers += [nn.ReLU()]
        width = units
    layers += [nn.Dropout(settings.dropout), nn.Linear(width, settings.factors)]
    return nn.Sequential(*layers)


class Towers(nn.Module):
    """Called with B users and B movies by row number, it gives their B scores."""

    def __init__(self, user: Tower, movie: Tower, mean: float) -> None:
        super().__init__()
        self.user, self.movie, self.mean = user, movie, mean

    def forward(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        product_B = (self.user(user_B) * self.movie(movie_B)).sum(1) + self.mean
        return product_B + self.user.bias(user_B)[:, 0] + self.movie.bias(movie_B)[:, 0]


class TwoTower(ModuleLearner):
    """The learner; training losses hold the penalty too."""

    Settings = TwoTowerSettings
    reads = "ratings"
    objective = "rating"
    space: ClassVar[Space] = {
        "embedding": Between(16, 128, log=True),
        "factors": Between(16, 128, log=True),
        "dropout": Between(0.0, 0.6),
        "regularisation": Between(0.001, 0.1, log=True),
        "learning_rate": Between(0.0005, 0.01, log=True),
    }

    def __init__(self, settings: TwoTowerSettings, data: Dataset, seed: int) -> None:
        torch.manual_seed(seed)
        counts = {"user": data.counts.user_U, "movie": data.counts.movie_M}
        columns = {"user": OF_USERS, "movie": OF_MOVIES}
        user, movie = (
            Tower(data.features(entity, columns[entity] if settings.told else []), count, settings)
            for entity, count in counts.items()
        )
        self.towers = Towers(user, movie, data.mean)
        super().__init__(self.towers, settings, data)
        self.regularisation = settings.regularisation

    def losses(self, batch: Ratings) -> Tensor:
        """The squared error of each of B ratings, and its penalty."""
        user_B, movie_B = batch.user_N.long(), batch.movie_N.long()
        loss_B = (self.towers(user_B, movie_B) - batch.rating_N).square()
        if not self.regularisation:
            return loss_B
        sides = (self.towers.user, user_B), (self.towers.movie, movie_B)
        squares_B = sum(
            weight(row_B).square().sum(1)
            for tower, row_B in sides
            for weight in (tower.id, tower.bias)
        )
        return loss_B + self.regularisation * squares_B

    def movie_tables(self) -> list[MovieTable]:
        """The embeddings of movies' ids."""
        movie = self.towers.movie
        return [MovieTable(movie.id.weight.data, "embedding", bias_M=movie.bias.weight.data[:, 0])]

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Of the towers, with nothing left out."""
        return super().score(user_B.long(), movie_B.long())

    def validate(self, data: Dataset) -> dict[str, float]:
        """Errors of the rows, for which each tower is run once."""
        return data.validation_errors(self.rows().rate)

    @torch.no_grad()
    def rows(self) -> Rows:
        """The towers' outputs for all users and movies."""
        self.towers.eval()
        user, movie = self.towers.user, self.towers.movie
        biases = [tower.bias.weight.detach()[:, 0] for tower in (user, movie)]
        return Rows(user.rows(), movie.rows(), biases[0], biases[1], self.towers.mean)
