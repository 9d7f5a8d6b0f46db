"""Half a sweep: all rows of one side are drawn, and then what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from model.data.collectives import rank_and_ranks, sum_over_ranks
from model.gibbs.links import Links
from model.gibbs.priors import Prior, draw_degrees, draw_normal_wishart, draw_penalty
from model.gibbs.rows import draw_rows, weighted_others
from model.gibbs.sides import Side, gather_rows

# Streams of random numbers within half a sweep.
ROWS, NOISE, TARGET, FEATURES, PENALTY, HYPER, DEGREES = range(7)
# Pairs whose rows are gathered together.
BLOCK = 1 << 14
STATE = ("row_RK", "mean_RK", "noise_R", "beta_DK", "regressed_RK")

Stream = Callable[[int], torch.Generator]


class Half:
    """The rows of one side, their prior, and the ratings of those that this rank owns.

    Of K columns the last is the bias. All but the ratings is the same on every rank.
    """

    def __init__(
        self,
        side: Side,
        other: Side,
        factors: int,
        implicit: bool,
        row_noise: bool,
        told_RF: Tensor | None = None,
    ) -> None:
        width = factors + 1
        self.side, self.row_noise = side, row_noise
        if told_RF is None:
            told_RF = torch.zeros(len(side), 0, device=side.count_R.device)
        links = Links(side, other, implicit, told_RF)
        self.links = links if len(links) else None
        self.buckets = list(side.buckets(*rank_and_ranks(), width, len(other)))
        self.width, self.features = width, len(links)
        self.aim(side.rating_C)
        self.start()

    def aim(self, rating_C: Tensor) -> None:
        """What rows are drawn to explain: of each rating, in the side's order."""
        # The place of padding holds 0.
        self.target_C1 = torch.cat([rating_C, rating_C.new_zeros(1)])

    def start(self) -> None:
        """All as before the first draw."""
        width, device = self.width, self.side.count_R.device
        self.prior = Prior.start(width, device)
        self.row_RK = torch.zeros(len(self.side), width, device=device)
        self.mean_RK = self.row_RK.clone()
        """What rows were drawn around."""
        self.noise_R = torch.ones(len(self.side), device=device)
        """Noise precisions of rows, around 1."""
        self.beta_DK = torch.zeros(self.features, width, device=device)
        self.regressed_RK = torch.zeros_like(self.row_RK)
        """F beta."""

    def draw(self, other: Half, precision: float, stream: Stream) -> tuple[float, float]:
        """Draw rows and noise, then the prior; tensors that were there stay as they are.

        Returns the sums over all ratings of squared errors, and of these times precisions of rows.
        """
        sums = self.draw_rows(other, precision, stream)
        if self.links:
            self.draw_links(self.links, stream)
        rest_RK = self.row_RK - self.regressed_RK
        penalty = self.prior.penalty
        mean_K, precision_KK = draw_normal_wishart(rest_RK, self.beta_DK, penalty, stream(HYPER))
        degrees = self.prior.degrees
        if self.row_noise:
            degrees = draw_degrees(self.noise_R, stream(DEGREES))
        self.prior = Prior(mean_K, precision_KK, penalty, degrees)
        return sums

    def draw_rows(self, other: Half, precision: float, stream: Stream) -> tuple[float, float]:
        """Each rank draws the rows that it owns, of random numbers that all ranks have."""
        prior, (rows, width) = self.prior, self.row_RK.shape
        others = weighted_others(other.row_RK, other.noise_R, precision)
        centre_RK = self.regressed_RK + prior.mean_K
        normal_RK = normal((rows, width), stream(ROWS))
        gamma_R = None
        if self.row_noise:
            shape_R = (prior.degrees + self.side.count_R.double()) / 2
            gamma_R = torch._standard_gamma(shape_R, generator=stream(NOISE)).float()
        parts: list[Tensor] = []
        sums = torch.zeros(2, dtype=torch.float64)
        for bucket in self.buckets:
            row_R = bucket.row_R
            drawn = draw_rows(
                bucket,
                self.target_C1.index_select(0, bucket.at_RL.view(-1)).view_as(bucket.at_RL),
                others,
                centre_RK[row_R],
                prior.precision_KK,
                self.noise_R[row_R],
                normal_RK[row_R],
                None if gamma_R is None else gamma_R[row_R],
                prior.degrees,
            )
            parts.append(torch.cat([drawn.row_RK, drawn.mean_RK, drawn.noise_R[:, None]], 1))
            sums += torch.stack([drawn.squares, drawn.weighted_squares]).cpu()
        own = torch.cat(parts) if parts else self.row_RK.new_zeros(0, 2 * width + 1)
        drawn_R = gather_rows(own, rows)
        self.row_RK = drawn_R[:, :width].contiguous()
        self.mean_RK = drawn_R[:, width:-1].contiguous()
        self.noise_R = drawn_R[:, -1].contiguous()
        squares, weighted = sum_over_ranks(sums).tolist()
        return squares, weighted

    def draw_links(self, links: Links, stream: Stream) -> None:
        """Draw beta, and the penalty on it."""
        prior = self.prior
        lower_KK = torch.linalg.cholesky(prior.precision_KK.double())
        eye_KK = torch.eye(len(lower_KK), dtype=torch.float64, device=lower_KK.device)
        # Z L^-1 has rows of covariance (L L')^-1.
        root_KK = torch.linalg.solve_triangular(lower_KK, eye_KK, upper=False).float()
        target_RK = self.row_RK - prior.mean_K
        target_RK += normal(self.row_RK.shape, stream(TARGET)) @ root_KK
        noise_DK = normal(self.beta_DK.shape, stream(FEATURES)) @ root_KK
        self.beta_DK, self.regressed_RK = links.draw(
            target_RK, noise_DK, self.beta_DK, prior.penalty
        )
        prior.penalty = draw_penalty(self.beta_DK, prior.precision_KK, stream(PENALTY))

    def state_dict(self) -> dict[str, Any]:
        """References to all that a draw changes."""
        return {name: getattr(self, name) for name in STATE} | {"prior": dict(vars(self.prior))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        device = self.row_RK.device
        for name in STATE:
            setattr(self, name, state[name].to(device))
        prior = Prior(**state["prior"])
        prior.mean_K, prior.precision_KK = prior.mean_K.to(device), prior.precision_KK.to(device)
        self.prior = prior


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, device=generator.device, generator=generator)


def scores(user_RK: Tensor, movie_RK: Tensor, user_P: Tensor, movie_P: Tensor) -> Tensor:
    """Of P pairs of rows, whose last columns are biases."""
    score_P = torch.empty(len(user_P), device=user_RK.device)
    for start in range(0, len(user_P), BLOCK):
        block = slice(start, start + BLOCK)
        user_BK = user_RK.index_select(0, user_P[block])
        movie_BK = movie_RK.index_select(0, movie_P[block])
        score_P[block] = (user_BK[:, :-1] * movie_BK[:, :-1]).sum(1)
        score_P[block] += user_BK[:, -1] + movie_BK[:, -1]
    return score_P
