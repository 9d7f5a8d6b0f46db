"""A variational autoencoder of what a user has rated, with a multinomial likelihood.

Liang et al., "Variational Autoencoders for Collaborative Filtering", 2018; the composite prior and
the weight by user as in Shenbin et al., "RecVAE", 2020. A network makes a normal distribution over
K numbers of a user's movies, of which some are left out; one dense layer makes scores of a draw
from it, and their softmax is to give the movies rated. So the export is exact: a user's row is the
distribution's mean, a movie's row and bias are the dense layer's.
"""

from __future__ import annotations

import json
import math
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from model.data.histories import Histories
from model.data.history_data import HistoryData
from model.data.sets import Sets, sets_of
from model.earlier_weights import Weights, with_reader
from model.factors import Factors
from model.family import Step
from model.order_learner import OrderLearner
from model.settings import LoopSettings
from model.softmax_loss import softmax_loss
from model.space import Between, Space

ENCODER = "encoder"
USERS_PER_BLOCK = 4096
# Of the composite prior: the standard normal, the encoder of an epoch ago, and a wide normal, whose
# logarithm of variance is WIDE.
SHARES = (3 / 20, 3 / 4, 1 / 10)
WIDE = 10.0


@dataclass(frozen=True)
class VaeSettings(LoopSettings):
    """The network, and how far its codes may be from the prior."""

    hidden: Annotated[int, Ge(1)]
    """Length of the network's hidden layer."""
    latent: Annotated[int, Ge(1)]
    """Length of a code, and of a row."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of a user's movies that are left out of what the network reads in training."""
    prior: Literal["normal", "composite"]
    """What codes are drawn towards: the standard normal, or RecVAE's mixture of it, of what the
    encoder of an epoch ago says of the user, and of a wide normal."""
    divergence: Annotated[float, Ge(0)]
    """Weight of the Kullback-Leibler divergence of a user's code from the prior."""
    divergence_by_user: bool
    """Whether that is a weight per movie rated, as in RecVAE, rather than per user."""
    divergence_epochs: Annotated[float, Ge(0)]
    """Epochs over which the weight rises from 0, in a line."""


class Reader(nn.Module):
    """From sets of movies to the mean and the logarithm of the variance of their codes."""

    def __init__(self, movies: int, settings: VaeSettings) -> None:
        super().__init__()
        self.movie = nn.Embedding(movies, settings.hidden)
        nn.init.xavier_normal_(self.movie.weight)
        self.bias = nn.Parameter(torch.zeros(settings.hidden))
        self.code = nn.Linear(settings.hidden, 2 * settings.latent)
        # As bytes, because Horovod sends no booleans.
        self.known_M: Tensor
        self.register_buffer("known_M", torch.ones(movies, dtype=torch.uint8))

    def forward(self, sets: Sets, kept_P: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both B x K; `kept_P` are the parts of movies, 1 each if it is None."""
        part_P = sets.count_B.float().rsqrt().repeat_interleave(sets.count_B)
        part_P = part_P if kept_P is None else part_P * kept_P
        read_BH = nn.functional.embedding_bag(
            sets.movie_P, self.movie.weight, sets.first_B, mode="sum", per_sample_weights=part_P
        )
        mean_BK, log_variance_BK = self.code(torch.tanh(read_BH + self.bias)).chunk(2, 1)
        return mean_BK, log_variance_BK


class Autoencoder(nn.Module):
    """A reader, the dense layer, and the reader of an epoch ago where the prior needs it."""

    def __init__(self, reader: Reader, settings: VaeSettings) -> None:
        super().__init__()
        self.reader = reader
        movies = len(reader.known_M)
        self.output_MK = nn.Parameter(torch.empty(movies, settings.latent))
        nn.init.xavier_normal_(self.output_MK)
        self.bias_M = nn.Parameter(torch.zeros(movies))
        composite = settings.prior == "composite"
        self.earlier = deepcopy(reader).requires_grad_(False) if composite else None


class VaeEncoder:
    """A user's row is the mean of the user's code."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    @torch.no_grad()
    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K; movies that the model has not learned of are passed over."""
        known_M, device = self.reader.known_M, self.reader.bias.device
        known = histories.where(known_M.cpu().numpy()[histories.movie_N] > 0)
        user_UK = torch.zeros(len(known), self.reader.code.out_features // 2, device=device)
        some_S = np.flatnonzero(known.count_U)
        for start in range(0, len(some_S), USERS_PER_BLOCK):
            some_B = some_S[start : start + USERS_PER_BLOCK]
            mean_BK, _ = self.reader(sets_of(known.take(some_B)).to(device))
            user_UK[torch.from_numpy(some_B).to(device)] = mean_BK
        return user_UK


class Vae(OrderLearner):
    """The learner."""

    Settings = VaeSettings
    space: ClassVar[Space] = {
        "hidden": Between(200, 800, log=True),
        "latent": Between(64, 256, log=True),
        "dropout": Between(0.1, 0.6),
        "divergence": Between(0.0003, 0.03, log=True),
        "learning_rate": Between(0.001, 0.02, log=True),
    }
    movie_weights: ClassVar[dict[str, str]] = {
        "reader.movie.weight": "hidden",
        "output_MK": "latent",
        "bias_M": "",
    }
    settings: VaeSettings
    module: Autoencoder

    def __init__(self, settings: VaeSettings, data: HistoryData, seed: int) -> None:
        torch.manual_seed(seed)
        self.settings, self.data = settings, data
        reader = Reader(data.movies, settings)
        reader.known_M.copy_(data.counts.movie_M > 0)
        super().__init__(Autoencoder(reader, settings), settings, data)
        # Codes and what is left out are drawn.
        self.draws = True
        steps = max(1, math.ceil(sum(data.rows_R) / settings.batch_size))
        self.steps, self.rising = steps, settings.divergence_epochs * steps
        self.weight = settings.divergence

    def step(self, batch: Sets, step: Step) -> Tensor:
        """As any step, with the divergence's weight of that moment."""
        _, epoch, number, _ = step.place
        done = (epoch - 1) * self.steps + number
        self.weight = self.settings.divergence * min(1.0, done / self.rising if self.rising else 1)
        if number == 0 and self.module.earlier is not None:
            self.module.earlier.load_state_dict(self.module.reader.state_dict())
        return super().step(batch, step)

    def losses(self, batch: Sets) -> Tensor:  # type: ignore[override]
        """The sum over users of what the softmax lacks, and of the weighted divergences."""
        module, settings = self.module, self.settings
        if not len(batch):
            # Of gradients that are zero the other ranks still have to be told.
            return sum((weight.sum() * 0 for weight in module.parameters()), torch.tensor(0.0))
        kept_P = torch.ones(len(batch.movie_P), device=batch.movie_P.device)
        kept_P = nn.functional.dropout(kept_P, settings.dropout)
        mean_BK, log_variance_BK = module.reader(batch, kept_P)
        code_BK = mean_BK + torch.randn_like(mean_BK) * (log_variance_BK / 2).exp()
        if module.earlier is None:
            away_B = from_normal(mean_BK, log_variance_BK)
        else:
            with torch.no_grad():
                earlier = module.earlier(batch)
            away_B = log_density(code_BK, mean_BK, log_variance_BK).sum(1)
            away_B = away_B - log_composite(code_BK, *earlier).sum(1)
        weight_B = self.weight * (batch.count_B if settings.divergence_by_user else 1)
        missed = multinomial_loss(code_BK, batch, module.output_MK, module.bias_M)
        return missed + (weight_B * away_B).sum()

    @property
    def made(self) -> VaeEncoder:
        """What makes users' rows, with the weights of this moment."""
        return VaeEncoder(self.module.reader)

    @property
    def movie_MK(self) -> Tensor:
        """The dense layer's."""
        return self.module.output_MK.detach()

    @property
    def movie_bias_M(self) -> Tensor:
        """Its biases."""
        return self.module.bias_M.detach()

    @staticmethod
    def earlier_weights(factors: Factors, folder: Path) -> Weights:
        """The reader's and the dense layer's; the reader of an epoch ago begins as the reader."""
        return with_reader(factors, folder / ENCODER)

    def save_encoder(self, folder: Path) -> None:
        """The reader's weights and the settings."""
        own = folder / ENCODER
        own.mkdir()
        torch.save(self.module.reader.state_dict(), own / "reader.pt")
        text = json.dumps(asdict(self.settings), indent=2)
        (own / "settings.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> VaeEncoder:
        """From those files."""
        own = folder / ENCODER
        settings = VaeSettings(**json.loads((own / "settings.json").read_text(encoding="utf-8")))
        weights = torch.load(own / "reader.pt", map_location="cpu", weights_only=True)
        reader = Reader(len(weights["known_M"]), settings)
        reader.load_state_dict(weights)
        return VaeEncoder(reader.to(device))


def multinomial_loss(row_BK: Tensor, batch: Sets, output_MK: Tensor, bias_M: Tensor) -> Tensor:
    """The sum over all movies of all users of -log their share in the softmax of M scores.

    That of n times one movie, and by how much the scores of the others differ from that one's.
    """
    one_B = batch.movie_P[batch.first_B]
    count_B = batch.count_B.float()
    loss = softmax_loss(row_BK, one_B, count_B, output_MK, bias_M)
    one_score_B = (row_BK * output_MK[one_B]).sum(1) + bias_M[one_B]
    sum_BK = nn.functional.embedding_bag(batch.movie_P, output_MK, batch.first_B, mode="sum")
    score_B = (row_BK * sum_BK).sum(1)
    return loss + (count_B * one_score_B - score_B).sum() - bias_M[batch.movie_P].sum()


def from_normal(mean_BK: Tensor, log_variance_BK: Tensor) -> Tensor:
    """The divergence of B normal distributions from the standard one."""
    return (mean_BK.square() + log_variance_BK.exp() - 1 - log_variance_BK).sum(1) / 2


def log_density(code_BK: Tensor, mean_BK: Tensor, log_variance_BK: Tensor) -> Tensor:
    """Of each number in a normal distribution."""
    away_BK = (code_BK - mean_BK).square() / log_variance_BK.exp()
    return -(log_variance_BK + math.log(2 * math.pi) + away_BK) / 2


def log_composite(code_BK: Tensor, mean_BK: Tensor, log_variance_BK: Tensor) -> Tensor:
    """Of each number in the composite prior, where the earlier encoder gives mean and variance."""
    none_BK = torch.zeros_like(code_BK)
    parts = (none_BK, none_BK), (mean_BK, log_variance_BK), (none_BK, none_BK + WIDE)
    densities = [
        log_density(code_BK, *part) + math.log(share)
        for share, part in zip(SHARES, parts, strict=True)
    ]
    return torch.stack(densities).logsumexp(0)
