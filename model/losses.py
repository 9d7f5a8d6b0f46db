"""The loss of a batch and its gradient, written out: a step is too small to pay for a graph."""

from __future__ import annotations

import torch
from torch import Tensor

from model.embedding import EmbeddingModel
from model.settings import TrainingSettings


class Objective:
    """Squared or Huber loss plus L2 on all that a rating touches, per rating.

    The Huber loss is twice the usual one, e² up to huber_delta and linear beyond, so that one
    learning rate serves both (Huber, "Robust Estimation of a Location Parameter", 1964).
    """

    def __init__(self, model: EmbeddingModel, settings: TrainingSettings) -> None:
        self.model = model
        self.delta = settings.huber_delta if settings.loss == "huber" else None
        self.dropout = settings.dropout
        self.dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
        table = model.table
        self.user_l2_W, self.movie_l2_W = (
            penalty.to(table.device, self.dtype) for penalty in penalties(model, settings)
        )

    def gradient(
        self, row_C: Tensor, rating_B: Tensor, step_rows: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Gradient by each of the 2 B touched rows, and the sum of squared errors.

        It is that of the loss summed over the batch and divided by `step_rows`, the ratings that
        all ranks have in this step. Computed in the settings' precision from float32 weights;
        `generator` draws dropout's mask.
        """
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


def penalties(model: EmbeddingModel, settings: TrainingSettings) -> list[Tensor]:
    """L2 weight of each column, of users' rows and of movies'."""
    default, bias = settings.regularisation, settings.bias_regularisation
    result = []
    for own in (settings.user_regularisation, settings.movie_regularisation):
        penalty_W = torch.full((model.table.shape[1],), default if own is None else own)
        penalty_W[model.factors :] = default if bias is None else bias
        result.append(penalty_W)
    return result
