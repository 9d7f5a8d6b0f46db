"""Draws of the rows of one side given the other's: a regression per row, in padded buckets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.gibbs.sides import Bucket


@dataclass(frozen=True)
class Drawn:
    """What a half sweep draws for R rows of this rank; K columns, the last of them the bias."""

    row_RK: Tensor
    mean_RK: Tensor
    """Conditional means: what the rows were drawn around."""
    noise_R: Tensor
    """The row's own noise precision, around 1."""
    weighted_squares: Tensor
    """Sum of squared errors, weighted by both rows' noise precisions."""
    squares: Tensor
    """Sum of squared errors."""


def weighted_others(row_OK: Tensor, noise_O: Tensor, precision: float) -> tuple[Tensor, Tensor]:
    """What a half sweep gathers of the other side: regressors, and bias and weight.

    A rating's regressors are the other row's factors and 1, all times the root of the weight: then
    a bucket's precision matrices are one product. The row of padding is zero.
    """
    root_O1 = (precision * noise_O).sqrt()[:, None]
    regressor_OK = row_OK * root_O1
    regressor_OK[:, -1:] = root_O1
    bias_weight_O2 = torch.cat([row_OK[:, -1:] * root_O1, root_O1], 1)
    nothing_1K = row_OK.new_zeros(1, row_OK.shape[1])
    return (
        torch.cat([regressor_OK, nothing_1K]),
        torch.cat([bias_weight_O2, nothing_1K[:, :1].expand(1, 2)]),
    )


def draw_rows(
    bucket: Bucket,
    rating_RL: Tensor,
    others: tuple[Tensor, Tensor],
    prior_mean_RK: Tensor,
    precision_KK: Tensor,
    noise_R: Tensor,
    normal_RK: Tensor,
    gamma_R: Tensor | None,
    degrees: float,
) -> Drawn:
    """Rows and, if there are draws `gamma_R` of (degrees + ratings) / 2, their noise precisions."""
    regressor_OK, bias_weight_O2 = others
    R, L = bucket.other_RL.shape
    flat = bucket.other_RL.reshape(-1)
    x_RLK = regressor_OK.index_select(0, flat).view(R, L, -1)
    bias_RL, weight_RL = bias_weight_O2.index_select(0, flat).view(R, L, 2).unbind(2)
    target_RL1 = (rating_RL * weight_RL - bias_RL)[:, :, None]
    x_RKL = x_RLK.transpose(1, 2)
    noise_R11 = noise_R[:, None, None]
    precision_RKK = torch.baddbmm(precision_KK, x_RKL, x_RLK * noise_R11)
    right_RK1 = (prior_mean_RK @ precision_KK)[:, :, None] + noise_R11 * (x_RKL @ target_RL1)
    lower_RKK = torch.linalg.cholesky(precision_RKK)
    half_RK1 = torch.linalg.solve_triangular(lower_RKK, right_RK1, upper=False)
    both_RK2 = torch.cat([half_RK1, half_RK1 + normal_RK[:, :, None]], 2)
    both_RK2 = torch.linalg.solve_triangular(lower_RKK.transpose(1, 2), both_RK2, upper=True)
    mean_RK, row_RK = both_RK2[:, :, 0], both_RK2[:, :, 1]
    error_RL = (target_RL1 - x_RLK @ row_RK[:, :, None])[:, :, 0]
    square_R = error_RL.square().sum(1)
    if gamma_R is not None:
        noise_R = gamma_R / ((degrees + square_R) / 2)
    # Where there is no rating the error is 0, and so is the weight.
    squares = (error_RL / weight_RL.clamp(min=1e-30)).square().double().sum()
    return Drawn(row_RK, mean_RK, noise_R, (noise_R * square_R).double().sum(), squares)
