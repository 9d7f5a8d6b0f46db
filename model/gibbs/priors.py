"""What the rows of one side have in common: conditional draws of the parameters of their priors.

All are drawn on every rank from the same statistics and the same generator. Shapes of gamma
distributions are whole or half numbers that rounding does not touch, so that a generator is where
it would be with another number of ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Of the Normal-Wishart prior: how many rows its mean counts for.
MEAN_ROWS = 2.0
# Of the Wishart prior: the inverse scale is this many times the width, over the diagonal.
INVERSE_SCALE = 1 / 20
# Degrees of freedom of the noise of rows: from one row's own almost to one for all.
DEGREES = torch.logspace(0.30103, 2.30103, 64, dtype=torch.float64)


@dataclass
class Prior:
    """Rows of one side are normal around mean + F beta with this precision."""

    mean_K: Tensor
    precision_KK: Tensor
    penalty: float
    """lambda: beta's rows have precision penalty times that of the rows."""
    degrees: float
    """Of the gamma distribution, of mean 1, of a row's noise precision."""

    @staticmethod
    def start(width: int, device: torch.device) -> Prior:
        """Where a chain starts. A penalty that starts higher takes a hundred sweeps to fall."""
        eye_KK = torch.eye(width, device=device)
        return Prior(torch.zeros(width, device=device), 10 * eye_KK, 1.0, 10.0)


def gamma(shape: Tensor, rate: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from gamma distributions."""
    return torch._standard_gamma(shape, generator=generator) / rate


def draw_normal_wishart(
    rows_RK: Tensor, beta_DK: Tensor, penalty: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mean and precision of `rows`, which are those of a side less F beta.

    As Salakhutdinov and Mnih, "Bayesian Probabilistic Matrix Factorization" (2008), formula 14,
    around 0; beta's rows speak of the precision too.
    """
    rows, width = rows_RK.shape
    mean_K = rows_RK.mean(0).double()
    centred_RK = rows_RK - mean_K.float()
    scatter_KK = (centred_RK.T @ centred_RK).double()
    scatter_KK += penalty * (beta_DK.T @ beta_DK).double()
    scatter_KK += rows * MEAN_ROWS / (rows + MEAN_ROWS) * torch.outer(mean_K, mean_K)
    scatter_KK.diagonal().add_(width * INVERSE_SCALE)
    precision_KK = draw_wishart(scatter_KK, width + rows + len(beta_DK), generator)
    lower_KK = torch.linalg.cholesky((rows + MEAN_ROWS) * precision_KK)
    noise_K1 = torch.randn(width, 1, dtype=torch.float64, device=mean_K.device, generator=generator)
    deviation_K1 = torch.linalg.solve_triangular(lower_KK.T, noise_K1, upper=True)
    mean_K = rows / (rows + MEAN_ROWS) * mean_K + deviation_K1[:, 0]
    return mean_K.float(), precision_KK.float()


def draw_wishart(inverse_scale_KK: Tensor, degrees: int, generator: torch.Generator) -> Tensor:
    """A draw by Bartlett's decomposition."""
    width = len(inverse_scale_KK)
    device = inverse_scale_KK.device
    shape_K = (degrees - torch.arange(width, dtype=torch.float64, device=device)) / 2
    root_K = (2 * torch._standard_gamma(shape_K, generator=generator)).sqrt()
    normal_KK = torch.randn(width, width, dtype=torch.float64, device=device, generator=generator)
    bartlett_KK = torch.diag(root_K) + normal_KK.tril(-1)
    # With C C' = W^-1, C^-T T T' C^-1 is a draw.
    lower_KK = torch.linalg.cholesky(inverse_scale_KK)
    factor_KK = torch.linalg.solve_triangular(lower_KK.T, bartlett_KK, upper=True)
    return factor_KK @ factor_KK.T


def draw_penalty(beta_DK: Tensor, precision_KK: Tensor, generator: torch.Generator) -> float:
    """lambda, whose prior is a gamma distribution of shape and rate 1/2."""
    square = ((beta_DK @ precision_KK) * beta_DK).double().sum()
    shape = torch.tensor((1 + beta_DK.numel()) / 2, dtype=torch.float64, device=beta_DK.device)
    return gamma(shape, (1 + square) / 2, generator).item()


def draw_degrees(noise_R: Tensor, generator: torch.Generator) -> float:
    """Degrees of freedom of the precisions of rows, on a grid, all of it equally likely before."""
    noise_R = noise_R.double().cpu()
    half_G = DEGREES / 2
    log_sum, total, rows = noise_R.log().sum(), noise_R.sum(), len(noise_R)
    log_G = rows * (half_G * half_G.log() - torch.lgamma(half_G))
    log_G += (half_G - 1) * log_sum - half_G * total
    below_G = torch.softmax(log_G, 0).cumsum(0)
    uniform = torch.rand((), dtype=torch.float64, device=generator.device, generator=generator)
    place = torch.searchsorted(below_G, uniform.cpu()).clamp(max=len(DEGREES) - 1)
    return DEGREES[place].item()
