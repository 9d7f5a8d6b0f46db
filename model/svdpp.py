"""SVD++ of both sides: rows that also tell which movies a user rated, and who rated a movie.

    user_row = own + ratings^-1/2 sum of the implicit rows of the movies that the user rated
    movie_row = own + ratings^-1/2 sum of the implicit rows of the users who rated it

Koren, "Factorization Meets the Neighborhood", 2008, for users; for movies too as in Rendle, Zhang
and Koren, "On the Difficulty of Evaluating Baselines", 2019. A point estimate by gradients.

Own rows and biases move in every step, as in matrix factorisation. Implicit rows stand still for
`implicit_every` steps, so that the sums of them stay exact, and then move by the gradient of all
ratings since. Gradient and new sums take two passes over all ratings, which every rank holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from model.data.collectives import alone, gather_ratings, sum_over_ranks
from model.data.dataset import Dataset
from model.data.ratings import Ratings
from model.family import MovieTable, Rows, Step
from model.settings import LoopSettings
from model.space import Between, Space
from model.training.exchange import Exchange, sum_rows
from model.training.optimisers import gradients_of, make_optimiser, torch_optimiser


@dataclass(frozen=True)
class SvdppSettings(LoopSettings):
    """How rows are learned."""

    factors: Annotated[int, Ge(1)]
    """Length of a user's and a movie's row."""
    init_scale: Annotated[float, Gt(0)]
    """Own rows start uniform in (-init_scale, init_scale), implicit ones and biases at zero."""
    regularisation: Annotated[float, Ge(0)]
    """L2 penalty per rating on the own rows and biases that the rating touches."""
    implicit_regularisation: Annotated[float, Ge(0)]
    """The same on the implicit rows of its user and its movie."""
    implicit_every: Annotated[int, Ge(1)]
    """Steps after which implicit rows move."""
    implicit_rate: Annotated[float, Gt(0)]
    """Their learning rate, as a multiple of that of own rows."""


class Svdpp:
    """The learner. Tables have a row per user, then one per movie; the last column is the bias."""

    Settings = SvdppSettings
    reads = "ratings"
    objective = "rating"
    space: ClassVar[Space] = {
        "factors": Between(16, 256, log=True),
        "init_scale": Between(0.003, 0.1, log=True),
        "regularisation": Between(0.01, 0.2, log=True),
        "implicit_regularisation": Between(0.005, 0.1, log=True),
        "learning_rate": Between(0.0005, 0.01, log=True),
    }

    def __init__(self, settings: SvdppSettings, data: Dataset, seed: int) -> None:
        self.settings, self.users, self.mean = settings, data.users, data.mean
        self.graph = Graph(gather_ratings(data.train, data.device), data.users, data.movies)
        self.share_N1 = self.graph.count_N1 / sum(data.rows_R)
        random = torch.Generator().manual_seed(seed)
        rows, K = data.users + data.movies, settings.factors
        table_NW = torch.zeros(rows, K + 1)
        table_NW[:, :K].uniform_(-settings.init_scale, settings.init_scale, generator=random)
        self.table = nn.Parameter(table_NW.to(data.device))
        self.exchange = Exchange(settings.compression, data.counts.touched_N.to(data.device))
        self.gradients = gradients_of("auto", len(self.table), settings.batch_size)
        self.optimiser = make_optimiser(self.table, settings, self.gradients, self.exchange)
        self.implicit = nn.Parameter(torch.zeros(rows, K, device=data.device))
        self.implicit_optimiser = torch_optimiser([self.implicit], settings)
        self.sum_NK = torch.zeros_like(self.implicit.detach())
        """What a row has of the implicit rows of the other side."""
        self.own_NK, self.told_NK = torch.zeros_like(self.sum_NK), torch.zeros_like(self.sum_NK)
        """Gradients by these sums since implicit rows last moved: of this rank's ratings, and of
        all ranks' up to when they last told each other."""
        self.waiting, self.seen = 0, 0
        """Steps and ratings of all ranks since then."""

    @property
    def form(self) -> str:
        """How it learns, for the log."""
        return f"{self.gradients} gradients, implicit rows every {self.settings.implicit_every}"

    def step(self, batch: Ratings, step: Step) -> Tensor:
        """Move own rows, and implicit ones if it is their turn; the sum of squared errors."""
        K, B, penalty = self.settings.factors, len(batch), self.settings.regularisation
        row_C = torch.cat([batch.user_N.long(), batch.movie_N.long() + self.users])
        own_CW = self.table.detach().index_select(0, row_C)
        whole_CK = own_CW[:, :K] + self.sum_NK.index_select(0, row_C)
        user_BK, movie_BK = whole_CK[:B], whole_CK[B:]
        bias_B = own_CW[:B, K] + own_CW[B:, K] + self.mean
        error_B = (user_BK * movie_BK).sum(1) + bias_B - batch.rating_N
        error_B1 = 2 * error_B[:, None]
        gradient_CK = torch.cat([movie_BK * error_B1, user_BK * error_B1])
        self.own_NK.index_add_(0, row_C, gradient_CK)
        gradient_CW = torch.cat([gradient_CK, error_B1.repeat(2, 1)], 1)
        gradient_CW.add_(own_CW, alpha=2 * penalty).div_(step.rows)
        self.optimiser.step(*sum_rows(row_C, gradient_CW), step.rate)
        self.waiting, self.seen = self.waiting + 1, self.seen + step.rows
        if self.waiting == self.settings.implicit_every:
            self.move_implicit(step.rate)
        return error_B.square().sum()

    def move_implicit(self, rate: float) -> None:
        """Move implicit rows by the mean gradient since they last moved, and add them up anew."""
        gradient_NK = (self.told_NK + sum_over_ranks(self.own_NK)) / self.seen
        penalty_N1 = 2 * self.settings.implicit_regularisation * self.share_N1
        implicit_NK = self.implicit.detach()
        self.implicit.grad = self.graph.back(gradient_NK).addcmul_(penalty_N1, implicit_NK)
        self.implicit_optimiser.param_groups[0]["lr"] = rate * self.settings.implicit_rate
        self.implicit_optimiser.step()
        self.sum_NK.copy_(self.graph.sums(implicit_NK))
        self.own_NK.zero_()
        self.told_NK.zero_()
        self.waiting, self.seen = 0, 0

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """Those of the rows."""
        return self.rows().score(user_B.long(), movie_B.long())

    def validate(self, data: Dataset) -> dict[str, float]:
        """Errors of the scores."""
        return data.validation_errors(self.rows().rate)

    def movie_tables(self) -> list[MovieTable]:
        """Movies' own rows."""
        table = self.table.data[self.users :]
        return [MovieTable(table[:, :-1], "factors", bias_M=table[:, -1])]

    def weights(self) -> dict[str, Tensor]:
        """Own rows, implicit ones, and the sums of these."""
        return {
            "table": self.table.data,
            "implicit": self.implicit.data,
            "sums": self.sum_NK,
        }

    def synchronise(self, moments: bool = False) -> None:
        """Between steps a rank alone knows its own users' rows, and its ratings' gradients."""
        tables = [self.table.data]
        self.exchange.synchronise(tables + self.optimiser.moment_tables() if moments else tables)
        if moments and not alone():
            self.told_NK += sum_over_ranks(self.own_NK)
            self.own_NK.zero_()

    def state_dict(self) -> dict[str, Any]:
        """References to tables, moments and what waits."""
        return {
            **self.weights(),
            "optimiser": self.optimiser.state_dict(),
            "implicit_optimiser": self.implicit_optimiser.state_dict(),
            "own": self.own_NK,
            "told": self.told_NK,
            "waiting": self.waiting,
            "seen": self.seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name, weight in self.weights().items():
            weight.copy_(state[name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.implicit_optimiser.load_state_dict(state["implicit_optimiser"])
        self.own_NK.copy_(state["own"])
        self.told_NK.copy_(state["told"])
        self.waiting, self.seen = state["waiting"], state["seen"]

    def rows(self) -> Rows:
        """Own rows and what they have of implicit ones, together."""
        table_NW = self.table.detach()
        whole_NK, bias_N = table_NW[:, :-1] + self.sum_NK, table_NW[:, -1]
        users = self.users
        return Rows(whole_NK[:users], whole_NK[users:], bias_N[:users], bias_N[users:], self.mean)


class Graph:
    """Who rated what: N rows, users first, each joined to the rows of the other side."""

    def __init__(self, ratings: Ratings, users: int, movies: int) -> None:
        user_C, movie_C = ratings.user_N.long(), ratings.movie_N.long() + users
        row_C, other_C = torch.cat([user_C, movie_C]), torch.cat([movie_C, user_C])
        order = torch.argsort(row_C * (users + movies) + other_C)
        count_N = torch.bincount(row_C, minlength=users + movies)
        kind = torch.int32 if len(order) < 2**31 else torch.int64
        self.other_C = other_C[order].to(kind)
        self.first_N1 = torch.cat([count_N.new_zeros(1), count_N.cumsum(0)]).to(kind)
        self.count_N1 = count_N[:, None].float()
        self.root_N1 = self.count_N1.clamp(min=1).sqrt()

    def sums(self, values_NK: Tensor) -> Tensor:
        """For each row the sum of the values of those joined to it, over the root of their number.

        Zero for a row without ratings.
        """
        return self.added(values_NK) / self.root_N1

    def back(self, gradient_NK: Tensor) -> Tensor:
        """The gradient by the values, from that by their sums."""
        return self.added(gradient_NK / self.root_N1)

    def added(self, values_NK: Tensor) -> Tensor:
        return embedding_bag(
            self.other_C, values_NK, self.first_N1, mode="sum", include_last_offset=True
        )
