"""A blend of other models: their rows side by side, weighted by what validation ratings say.

    score = mean + sum over members of weight (member's score - mean)

Weights are those of non-negative least squares on the validation ratings (Breiman, "Stacked
Regressions", 1996). The product of all rows is cut to its nearest of fewer columns, which weighs
users and movies by their ratings; users x movies is never formed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Len
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.dataset import Dataset
from model.family import RATING_MODELS, Rows
from model.family import Member as Learned
from model.gibbs.average import Average

if TYPE_CHECKING:
    Member = str
else:
    Member = Literal[tuple(name for name in RATING_MODELS if name != "blend")]
# Directions in which members differ by less than this share of the most are noise.
LEAST_SHARE = 1e-10


@dataclass(frozen=True)
class BlendSettings:
    """What is blended."""

    members: Annotated[list[Member], Len(1)]
    """Models of ratings, trained in this order, each with the settings of its own section."""
    width: Annotated[int, Ge(1)]
    """Most columns of the two matrices."""


class Blend:
    """The combiner."""

    Settings = BlendSettings
    reads = "ratings"
    objective = "rating"

    def __init__(self, settings: BlendSettings, data: Dataset, seed: int) -> None:
        self.settings = settings

    def combine(
        self, members: dict[str, Learned], data: Dataset, chosen: dict[str, float] | None
    ) -> tuple[Rows, dict[str, float]]:
        """All members' rows as two matrices, and their weights."""
        all_rows = [on(member.rows, data.device) for member in members.values()]
        weights = [chosen[f"weight_{name}"] for name in members] if chosen else None
        weights = weights or fit_weights(all_rows, data)
        whole = weighted(all_rows, weights, data.mean)
        # Rows without ratings are divided by their weight too.
        user_count_U = data.counts.user_U.clamp(min=1).to(data.device)
        movie_count_M = data.counts.movie_M.clamp(min=1).to(data.device)
        product = Average(user_count_U, movie_count_M, self.settings.width)
        product.add([(whole.user_UK, whole.movie_MK)])
        user_UK, movie_MK = product.factors()
        rows = replace(whole, user_UK=user_UK, movie_MK=movie_MK)
        return rows, {f"weight_{name}": w for name, w in zip(members, weights, strict=True)}


def on(rows: Rows, device: torch.device) -> Rows:
    """Rows on a device, without deviations: those of a blend are not its members'."""

    def moved(values: Tensor) -> Tensor:
        return values.detach().float().to(device)

    return Rows(
        moved(rows.user_UK),
        moved(rows.movie_MK),
        moved(rows.user_bias_U),
        moved(rows.movie_bias_M),
        rows.mean,
        dates=rows.dates,
    )


def fit_weights(members: list[Rows], data: Dataset) -> list[float]:
    """The weights, none below 0, of least squared error on all ranks' validation ratings."""
    squares = torch.zeros(len(members) + 1, len(members) + 1, dtype=torch.float64)
    for block in data.validation.blocks():
        ratings = block.to(data.device)
        columns = [rows.rate(ratings) for rows in members] + [ratings.rating_N]
        centred_BC = torch.stack([column.double() for column in columns], 1) - data.mean
        squares += (centred_BC.T @ centred_BC).cpu()
    return non_negative(sum_over_ranks(squares).numpy())


def non_negative(squares_CC: NDArray[np.float64]) -> list[float]:
    """Weights of all columns but the last, which they come nearest to, from all products."""
    values, vectors = np.linalg.eigh(squares_CC[:-1, :-1])
    kept = values > LEAST_SHARE * values.max(initial=0)
    root = np.sqrt(np.where(kept, values, 1))
    matrix = (kept * root)[:, None] * vectors.T
    target = kept * (vectors.T @ squares_CC[:-1, -1]) / root
    return [float(weight) for weight in nnls(matrix, target)[0]]


def weighted(members: list[Rows], weights: list[float], mean: float) -> Rows:
    """The weighted sum of scores around the mean, its rows as wide as all members' together."""
    pairs = list(zip(members, weights, strict=True))

    def total(biases: list[Tensor]) -> Tensor:
        return torch.stack(biases).sum(0)

    return Rows(
        torch.cat([weight * rows.user_UK for rows, weight in pairs], 1),
        torch.cat([rows.movie_MK for rows, _ in pairs], 1),
        total([weight * rows.user_bias_U for rows, weight in pairs]),
        total([weight * rows.movie_bias_M for rows, weight in pairs]),
        mean + sum(weight * (rows.mean - mean) for rows, weight in pairs),
        # One member at most knows them.
        dates=next((rows.dates.times(weight) for rows, weight in pairs if rows.dates), None),
    )
