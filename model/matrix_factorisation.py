"""Matrix factorisation: the dot product of a user's and a movie's embedding, and biases.

Without biases it is James Le's baseline; with them, biased matrix factorisation (Koren, Bell and
Volinsky, "Matrix Factorization Techniques for Recommender Systems", 2009). A step is too small to
pay for a graph: the gradient is written out (`Objective`) and moves the rows that it touches
(model/training/optimisers.py). Ranks take turns with rows of movies (model/training/turns.py), or
exchange gradients of these (model/training/exchange.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from model.data.dataset import Dataset, of_pairs
from model.data.ratings import Ratings
from model.earlier import Earlier
from model.family import MovieTable, Rows, Step
from model.settings import LoopSettings
from model.space import Between, OneOf, Space
from model.training.exchange import Exchange, NoExchange, sum_rows
from model.training.kernels import RatingGradients
from model.training.optimisers import gradients_of, make_optimiser
from model.training.turns import Turns


@dataclass(frozen=True)
class MatrixFactorisationSettings(LoopSettings):
    """How embeddings are learned."""

    factors: Annotated[int, Ge(1)]
    """Length of a user's and a movie's embedding."""
    biases: bool
    """Learn a bias per user and per movie around the mean rating."""
    init_scale: Annotated[float, Gt(0)]
    """Embeddings start uniform in (-init_scale, init_scale)."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of factors left out of each rating's product while learning."""
    loss: Literal["mse", "huber"]
    """Squared error, or squared up to huber_delta and linear beyond."""
    huber_delta: Annotated[float, Gt(0)]
    """With loss huber: the error, in stars, from which it grows linearly."""
    regularisation: Annotated[float, Ge(0)]
    """L2 penalty per rating on the embeddings and biases that the rating touches."""
    user_regularisation: Annotated[float, Ge(0)] | None
    """The same for users' embeddings alone; null is as regularisation."""
    movie_regularisation: Annotated[float, Ge(0)] | None
    """The same for movies' embeddings alone; null is as regularisation."""
    bias_regularisation: Annotated[float, Ge(0)] | None
    """The same for biases alone; null is as regularisation."""
    gradients: Literal["auto", "dense", "sparse"]
    """Whether a step moves the whole table of embeddings or the rows that it touches, which alone
    the ranks then exchange; auto is by the table's size. For adam and adamax the two differ a
    little: see model/training/optimisers.py."""
    exchange: Literal["auto", "step", "strata"]
    """What several ranks tell one another: the gradients of movies in every step, or, in strata,
    rows of movies a few times an epoch, because no two ranks work on one movie at a time
    (model/data/strata.py). auto takes strata where each user's ratings lie on one rank, are read
    into memory and ranks do not change."""
    precision: Literal["float32", "bf16"]
    """Precision of scores and gradients; weights and their sums are always float32."""


class MatrixFactorisation:
    """The learner: embeddings of all users and movies in one table, moved by rows or as a whole."""

    Settings = MatrixFactorisationSettings
    reads = "ratings"
    objective = "rating"
    space: ClassVar[Space] = {
        "factors": Between(16, 256, log=True),
        "init_scale": Between(0.003, 0.1, log=True),
        "regularisation": Between(0.01, 0.2, log=True),
        "learning_rate": Between(0.0005, 0.01, log=True),
        "batch_size": OneOf((1024, 2048, 4096)),
    }

    def __init__(self, settings: MatrixFactorisationSettings, data: Dataset, seed: int) -> None:
        self.settings = settings
        torch.manual_seed(seed)
        self.embeddings = EmbeddingModel(
            data.users,
            data.movies,
            settings.factors,
            settings.biases,
            data.mean,
            settings.init_scale,
        ).to(data.device)
        table = self.embeddings.table
        if data.strata:
            self.turns: Turns | None = Turns(
                data.strata, data.counts, table.detach(), settings.batch_size
            )
            # What it holds comes from the table of all, before the first step.
            self.worked = self.embeddings.of_size(self.turns.users, self.turns.slots)
            self.exchange: Exchange = NoExchange()
        else:
            self.turns, self.worked = None, self.embeddings
            self.exchange = Exchange(settings.compression, data.counts.touched_N.to(data.device))
        # By numbers of all ranks: a rank of strata has its share of the rows and of a step.
        self.gradients = gradients_of(settings.gradients, len(table), settings.batch_size)
        self.optimiser = make_optimiser(self.worked.table, settings, self.gradients, self.exchange)
        self.loss = Objective(self.worked, settings)
        self.generator = torch.Generator(data.device) if settings.dropout else None

    @property
    def form(self) -> str:
        """By rows or not, which decides what the optimiser's state is, and in which order."""
        strata = f" in strata of {self.turns.ranks}" if self.turns else ""
        return f"{self.gradients} gradients{strata}"

    @property
    def bytes_sent(self) -> int:
        """By this rank so far."""
        return self.turns.bytes_sent if self.turns else self.exchange.bytes_sent

    def step(self, batch: Ratings, step: Step) -> Tensor:
        """Move the rows that all ranks' ratings touch; the sum of this rank's squared errors."""
        user_B, movie_B = batch.user_N, batch.movie_N
        if self.turns:
            _, epoch, number, _ = step.place
            self.turns.take(self.worked.table.data, self.optimiser, epoch, number)
            user_B, movie_B = self.turns.places(user_B, movie_B)
        if self.generator:
            self.generator.manual_seed(step.seed)
        pairs = user_B, movie_B, batch.rating_N
        row_D, gradient_DW, error = self.loss.gradient(*pairs, step.rows, self.generator)
        self.optimiser.step(row_D, gradient_DW, step.rate)
        return error

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Dot products, with mean and biases where there are some."""
        return self.embeddings(user_B, movie_B)

    def validate(self, data: Dataset) -> dict[str, float]:
        """Errors of the scores."""
        return data.validation_errors(of_pairs(self.score))

    def weights(self) -> dict[str, Tensor]:
        """The one table."""
        return {"table": self.embeddings.table.data}

    def synchronise(self, moments: bool = False) -> None:
        """Between steps a rank alone knows its own users' rows, and in strata its movies'."""
        if self.turns:
            self.turns.tell(self.worked.table.data)
            if moments:
                self.turns.tell_moments(self.worked.table.data, self.optimiser)
            return
        tables = [self.embeddings.table.data]
        self.exchange.synchronise(tables + self.optimiser.moment_tables() if moments else tables)

    def state_dict(self) -> dict[str, Any]:
        """References to table and moments."""
        state = self.turns.saved if self.turns else self.optimiser.state_dict()
        return {"table": self.embeddings.table.detach(), "optimiser": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.embeddings.table.data.copy_(state["table"])
        if self.turns:
            self.turns.restart(state["optimiser"])
        else:
            self.optimiser.load_state_dict(state["optimiser"])

    def start_from(self, earlier: Earlier) -> str:
        """Copy the trained rows of an earlier model."""
        users, movies = start_from(self.embeddings, earlier)
        return f"the rows of {users:,} users and {movies:,} movies"

    def movie_tables(self) -> list[MovieTable]:
        """Movies' part of the table."""
        model = self.embeddings
        table, K = model.table.data[model.users :], model.factors
        return [MovieTable(table[:, :K], "factors", bias_M=table[:, K] if model.biases else None)]

    def rows(self) -> Rows:
        """The table, cut into its parts."""
        model = self.embeddings
        table_NW = model.table.detach()
        bias_N = (
            table_NW[:, model.factors] if model.biases else table_NW.new_zeros(table_NW.shape[0])
        )
        return Rows(
            table_NW[: model.users, : model.factors],
            table_NW[model.users :, : model.factors],
            bias_N[: model.users],
            bias_N[model.users :],
            model.mean,
        )


class EmbeddingModel(nn.Module):
    """U users and M movies with K factors each, in one table: a step is then one gather.

    Rows 0 to U-1 are users, the M after them movies; columns 0 to K-1 are factors, and column K,
    where there are biases, is the bias. `mean` is the mean training rating; it is part of the score
    only where there are biases. Factors start uniform in (-init_scale, init_scale), biases at zero.
    """

    def __init__(
        self, users: int, movies: int, factors: int, biases: bool, mean: float, init_scale: float
    ) -> None:
        super().__init__()
        self.users, self.factors, self.biases = users, factors, biases
        self.mean = mean if biases else 0.0
        table_NW = torch.zeros(users + movies, factors + biases)
        table_NW[:, :factors].uniform_(-init_scale, init_scale)
        self.table = nn.Parameter(table_NW)

    def of_size(self, users: int, movies: int) -> EmbeddingModel:
        """The same, of other numbers of users and movies."""
        made = EmbeddingModel(users, movies, self.factors, self.biases, self.mean, 1.0)
        return made.to(self.table.device)

    def rows(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """The 2 B rows of the table that B pairs touch: users first, then movies."""
        return torch.cat([user_B.long(), movie_B.long() + self.users])

    def score(self, user_BW: Tensor, movie_BW: Tensor) -> Tensor:
        """Scores of B pairs, unclipped, from their rows."""
        K = self.factors
        score_B = (user_BW[:, :K] * movie_BW[:, :K]).sum(1)
        if self.biases:
            score_B = score_B + user_BW[:, K] + movie_BW[:, K] + self.mean
        return score_B

    def forward(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Scores of B pairs, unclipped."""
        weight_CW = self.table.index_select(0, self.rows(user_B, movie_B))
        return self.score(*weight_CW.chunk(2))


class Objective:
    """Squared or Huber loss plus L2 on all that a rating touches, per rating.

    The Huber loss is twice the usual one, e² up to huber_delta and linear beyond, so that one
    learning rate serves both (Huber, "Robust Estimation of a Location Parameter", 1964).
    """

    def __init__(self, model: EmbeddingModel, settings: MatrixFactorisationSettings) -> None:
        self.model = model
        self.delta = settings.huber_delta if settings.loss == "huber" else None
        self.dropout = settings.dropout
        self.dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
        table = model.table
        self.user_l2_W, self.movie_l2_W = (
            penalty.to(table.device, self.dtype) for penalty in penalties(model, settings)
        )
        self.kernel: RatingGradients | None = None
        """None on a GPU, with dropout and in another precision."""
        if table.device.type == "cpu" and self.dtype == torch.float32 and not self.dropout:
            sizes = model.users, len(table) - model.users, model.factors
            self.kernel = RatingGradients(*sizes, self.user_l2_W, self.movie_l2_W)

    def gradient(
        self,
        user_B: Tensor,
        movie_B: Tensor,
        rating_B: Tensor,
        step_rows: int,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The D different rows touched, the gradient by each, and the sum of squared errors.

        It is that of the loss summed over the batch and divided by `step_rows`, the ratings that
        all ranks have in this step. Computed in the settings' precision from float32 weights;
        `generator` draws dropout's mask.
        """
        model = self.model
        if self.kernel:
            table, mean = model.table.detach(), model.mean
            return self.kernel(table, user_B, movie_B, rating_B, mean, self.delta, step_rows)
        row_C = model.rows(user_B, movie_B)
        gradient_CW, error = self.gradient_by_torch(row_C, rating_B, step_rows, generator)
        return *sum_rows(row_C, gradient_CW), error

    def gradient_by_torch(
        self, row_C: Tensor, rating_B: Tensor, step_rows: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """The gradient by each of the 2 B touched rows, and the sum of squared errors."""
        model, K, B = self.model, self.model.factors, len(rating_B)
        weight_CW = model.table.detach().index_select(0, row_C).to(self.dtype)
        user_BW, movie_BW = weight_CW[:B], weight_CW[B:]
        if self.dropout:
            # The same factors of both sides are dropped: their product is.
            keep_BW = torch.empty_like(user_BW).bernoulli_(1 - self.dropout, generator=generator)
            keep_BW = keep_BW / (1 - self.dropout)
            keep_BW[:, K:] = 1
            seen_user_BW, seen_movie_BW = user_BW * keep_BW, movie_BW * keep_BW
        else:
            seen_user_BW, seen_movie_BW = user_BW, movie_BW
        error_B = model.score(seen_user_BW, movie_BW).float() - rating_B
        slope_B = error_B if self.delta is None else error_B.clamp(-self.delta, self.delta)
        slope_B1 = (slope_B * (2 / step_rows)).to(self.dtype)[:, None]
        gradient_CW = torch.empty_like(weight_CW)
        torch.mul(seen_movie_BW, slope_B1, out=gradient_CW[:B])
        torch.mul(seen_user_BW, slope_B1, out=gradient_CW[B:])
        if model.biases:
            gradient_CW[:B, K:] = slope_B1
            gradient_CW[B:, K:] = slope_B1
        gradient_CW[:B].addcmul_(user_BW, self.user_l2_W, value=2 / step_rows)
        gradient_CW[B:].addcmul_(movie_BW, self.movie_l2_W, value=2 / step_rows)
        return gradient_CW.float(), error_B.square().sum()


def penalties(model: EmbeddingModel, settings: MatrixFactorisationSettings) -> list[Tensor]:
    """L2 weight of each column, of users' rows and of movies'."""
    default, bias = settings.regularisation, settings.bias_regularisation
    result = []
    for own in (settings.user_regularisation, settings.movie_regularisation):
        penalty_W = torch.full((model.table.shape[1],), default if own is None else own)
        penalty_W[model.factors :] = default if bias is None else bias
        result.append(penalty_W)
    return result


def start_from(model: EmbeddingModel, earlier: Earlier) -> tuple[int, int]:
    """Copy the trained rows of known users and movies; returns how many there were of each.

    Pairs of known users and movies keep their score: a mean that has changed moves to the biases.
    Raises ValueError if the model has another number of factors, or no biases to put theirs in.
    """
    factors = earlier.factors
    known = factors.user_UK.shape[1]
    if known != model.factors:
        raise ValueError(
            f"The model to start from has {known} factors, and "
            f"train.matrix_factorisation.factors is {model.factors}. Set it to {known}, or start "
            f"without an earlier model: {earlier.without}."
        )
    with_biases = factors.mean != 0 or factors.user_bias_U.any() or factors.movie_bias_M.any()
    if with_biases and not model.biases:
        raise ValueError(
            "The model to start from has biases, and train.matrix_factorisation.biases is false. "
            f"Set it to true, or start without an earlier model: {earlier.without}."
        )
    sides = (
        (0, earlier.user_U, factors.user_UK),
        (model.users, earlier.movie_M, factors.movie_MK),
    )
    biases = (factors.user_bias_U, factors.movie_bias_M + (factors.mean - model.mean))
    table = model.table.detach()
    counts = []
    for (first, idx, rows), bias in zip(sides, biases, strict=True):
        here = np.flatnonzero(idx >= 0)
        there = idx[here]
        values = rows[there]
        if model.biases:
            values = np.concatenate([values, bias[there, None]], axis=1, dtype=np.float32)
        table[torch.from_numpy(here + first)] = torch.tensor(values, device=table.device)
        counts.append(len(here))
    return counts[0], counts[1]
