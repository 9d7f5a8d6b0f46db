"""Side information in a Gibbs sampler: the prior mean of a row is regressed on its features.

A = mu + F beta + noise, with beta ~ N(0, (lambda Lambda)^-1) by row. beta is drawn by noise
injection: the solution of a least squares problem with perturbed right hand sides is a draw (Simm
et al., "Macau", 2017). The implicit features of a user are the movies rated, each 1 / sqrt(their
number), and of a movie its users: the sets of SVD++, on both sides (Rendle, Zhang and Koren, "On
the Difficulty of Evaluating Baselines", 2019).
"""

from __future__ import annotations

from collections.abc import Callable

import horovod.torch as hvd
import torch
from torch import Tensor

from model.data.collectives import alone, finish
from model.gibbs.sides import Side

STEPS, TOLERANCE = 40, 1e-3


class Links:
    """The features F, R x D, of the rows of one side.

    Those that are implicit are the O rows of the other side; then come those that a release tells.
    """

    def __init__(self, side: Side, other: Side, implicit: bool, told_RF: Tensor) -> None:
        self.side, self.other, self.told_RF = side, other, told_RF
        self.implicit = len(other) if implicit else 0
        self.scale_R1 = side.count_R.float().rsqrt()[:, None]
        # Of F'F: how long the column of a feature is, squared.
        square_F1 = told_RF.square().sum(0)[:, None]
        square_O1 = other.sums(self.scale_R1.square())[: self.implicit]
        self.square_D1 = torch.cat([square_O1, square_F1])

    def __len__(self) -> int:
        return len(self.square_D1)

    def times(self, beta_DK: Tensor) -> Tensor:
        """F beta."""
        told_RK = self.told_RF @ beta_DK[self.implicit :]
        if not self.implicit:
            return told_RK
        return self.side.sums(beta_DK[: self.implicit]).mul_(self.scale_R1).add_(told_RK)

    def transposed_times(self, rows_RK: Tensor) -> Tensor:
        """F' of rows."""
        told_FK = self.told_RF.T @ rows_RK
        if not self.implicit:
            return told_FK
        return torch.cat([self.other.sums(rows_RK * self.scale_R1), told_FK])

    def draw(
        self,
        target_RK: Tensor,
        noise_DK: Tensor,
        start_DK: Tensor,
        penalty: float,
    ) -> tuple[Tensor, Tensor]:
        """A draw of beta, and F beta: (F'F + penalty I) beta = F' target + sqrt(penalty) noise.

        `target` holds the noise of its rows. Ranks share out the columns, of which each is
        solved for by itself, and tell each other the results.
        """
        columns = slice(None) if alone() else share_of_columns(target_RK.shape[1])
        right_DK = self.transposed_times(target_RK[:, columns].contiguous())
        right_DK += penalty**0.5 * noise_DK[:, columns]
        beta_DK = conjugate_gradients(
            lambda values_DK: self.transposed_times(self.times(values_DK)) + penalty * values_DK,
            right_DK,
            start_DK[:, columns].contiguous(),
            self.square_D1 + penalty,
        )
        return gather_columns(beta_DK), gather_columns(self.times(beta_DK))


def conjugate_gradients(
    multiply: Callable[[Tensor], Tensor], right_DK: Tensor, start_DK: Tensor, diagonal_D1: Tensor
) -> Tensor:
    """Solutions of K systems of one symmetric positive definite matrix, with Jacobi's.

    A column stands still once its residual is TOLERANCE of its right hand side, so that its
    solution does not depend on which others are solved for beside it.
    """
    x_DK = start_DK.clone()
    rest_DK = right_DK - multiply(x_DK)
    enough_K = TOLERANCE * right_DK.norm(dim=0)
    z_DK = rest_DK / diagonal_D1
    direction_DK, rho_K = z_DK.clone(), (rest_DK * z_DK).sum(0)
    for _ in range(STEPS):
        open_K = rest_DK.norm(dim=0) > enough_K
        if not open_K.any():
            break
        product_DK = multiply(direction_DK)
        curve_K = (direction_DK * product_DK).sum(0)
        length_K = torch.where(open_K, rho_K / curve_K, 0)
        x_DK.addcmul_(direction_DK, length_K)
        rest_DK.addcmul_(product_DK, length_K, value=-1)
        torch.div(rest_DK, diagonal_D1, out=z_DK)
        next_K = (rest_DK * z_DK).sum(0)
        # A column that stands still keeps its direction, which nothing reads.
        turn_K = torch.where(open_K, next_K / rho_K, 0)
        direction_DK.mul_(turn_K).add_(z_DK)
        rho_K = next_K
    return x_DK


def share_of_columns(columns: int) -> slice:
    """This rank's part of so many columns; it may be empty."""
    rank, ranks = hvd.rank(), hvd.size()
    return slice(columns * rank // ranks, columns * (rank + 1) // ranks)


def gather_columns(own_DK: Tensor) -> Tensor:
    """The columns of all ranks side by side."""
    if alone():
        return own_DK
    return finish(hvd.allgather_async(own_DK.T.contiguous())).T.contiguous()
