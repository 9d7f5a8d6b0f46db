"""An autoencoder of movies: a movie's ratings through a hidden layer, and from it ratings again.

    hidden = sigmoid(sum over its users of encoder_row (rating - mean) + hidden_bias)
    rating = mean + user_bias + decoder_row . hidden

Item-based AutoRec (Sedhain, Menon, Sanner and Xie, "AutoRec: Autoencoders Meet Collaborative
Filtering", 2015). The decoder is linear, so that the export is the model itself: a movie's row is
its hidden layer, a user's the decoder's. A step takes whole movies (model/data/by_movie.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from model.data.by_movie import RatingsByMovie
from model.data.dataset import Dataset
from model.data.ratings import Ratings
from model.family import Rows
from model.settings import LoopSettings
from model.space import Between, Space
from model.training.autograd import ModuleLearner


@dataclass(frozen=True)
class AutoencoderSettings(LoopSettings):
    """How the two layers are learned."""

    hidden: Annotated[int, Ge(1)]
    """Length of the hidden layer, and of exported rows."""
    init_scale: Annotated[float, Gt(0)]
    """Both layers start normal with this standard deviation, biases at zero."""
    input_dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of a movie's ratings that are left out of what goes in, anew in each step."""
    penalty: Annotated[float, Ge(0)]
    """L2 penalty on both layers, beside the sum of all ratings' squared errors."""


class Layers(nn.Module):
    """The weights of U users and H hidden units."""

    def __init__(self, users: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.encoder = nn.Parameter(scale * torch.randn(users, hidden))
        self.decoder = nn.Parameter(scale * torch.randn(users, hidden))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.user_bias = nn.Parameter(torch.zeros(users))

    def encode(self, user_N: Tensor, rest_N: Tensor, first_B1: Tensor) -> Tensor:
        """The hidden layers of B movies, whose ratings less the mean stand one after another."""
        sum_BH = embedding_bag(
            user_N,
            self.encoder,
            first_B1,
            mode="sum",
            per_sample_weights=rest_N,
            include_last_offset=True,
        )
        return torch.sigmoid(sum_BH + self.hidden_bias)


class Autoencoder(ModuleLearner):
    """The learner; training losses hold the penalty too."""

    Settings = AutoencoderSettings
    reads = "ratings_by_movie"
    objective = "rating"
    space: ClassVar[Space] = {
        "hidden": Between(100, 600, log=True),
        "input_dropout": Between(0.0, 0.6),
        "penalty": Between(10.0, 300.0, log=True),
        "learning_rate": Between(0.0003, 0.005, log=True),
    }

    def __init__(self, settings: AutoencoderSettings, data: RatingsByMovie, seed: int) -> None:
        torch.manual_seed(seed)
        layers = Layers(data.users, settings.hidden, settings.init_scale)
        super().__init__(layers, settings, data)
        self.layers, self.mean, self.whole = layers, data.mean, data.whole
        self.penalty = settings.penalty / len(data.whole.ratings)
        self.dropout = settings.input_dropout
        self.draws = self.dropout > 0

    def losses(self, batch: Ratings) -> Tensor:
        """The squared error of each of N ratings of whole movies, and its share of the penalty."""
        layers, user_N = self.layers, batch.user_N.long()
        rest_N = (batch.rating_N - self.mean).float()
        _, place_N, count_B = torch.unique_consecutive(batch.movie_N, True, True)
        input_N = rest_N
        if self.dropout:
            input_N = rest_N * torch.empty_like(rest_N).bernoulli_(1 - self.dropout)
            input_N = input_N / (1 - self.dropout)
        hidden_BH = layers.encode(user_N, input_N, starts(count_B))
        decoder_NH = layers.decoder.index_select(0, user_N)
        score_N = (decoder_NH * hidden_BH.index_select(0, place_N)).sum(1)
        error_N = score_N + layers.user_bias.index_select(0, user_N) - rest_N
        squares = layers.encoder.square().sum() + layers.decoder.square().sum()
        return error_N.square() + self.penalty * squares

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Those of the rows."""
        return self.rows().score(user_B.long(), movie_B.long())

    def validate(self, data: Dataset) -> dict[str, float]:
        """Errors of the scores."""
        return data.validation_errors(self.rows().rate)

    @torch.no_grad()
    def rows(self) -> Rows:
        """A movie's row is its hidden layer; of one without ratings it is that of nothing."""
        layers, ratings = self.layers, self.whole.ratings
        count_M = self.whole.count_M.to(ratings.rating_N.device)
        rest_N = (ratings.rating_N - self.mean).float()
        movie_MH = layers.encode(ratings.user_N.long(), rest_N, starts(count_M))
        none_M = movie_MH.new_zeros(len(movie_MH))
        return Rows(layers.decoder.detach(), movie_MH, layers.user_bias.detach(), none_M, self.mean)


def starts(count_B: Tensor) -> Tensor:
    """Where each of B lists begins that stand one after another, and where the last one ends."""
    return torch.cat([count_B.new_zeros(1), count_B.cumsum(0)])
