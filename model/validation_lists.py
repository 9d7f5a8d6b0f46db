"""How well a model of order names the validation ratings, from what came before them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.histories import VALIDATION, Histories
from model.data.history_data import HistoryData
from model.ranking.lists import Lists
from model.ranking_metrics import accuracy

LIST_LENGTH = 10
SCORES_PER_BLOCK = 1 << 24
# Users who are asked after every epoch, over all ranks: with more, the figure changes little.
MOST_ASKED = 20_000


@torch.no_grad()
def validation_figures(
    data: HistoryData,
    encode: Callable[[Histories], Tensor],
    movie_MK: Tensor,
    movie_bias_M: Tensor,
) -> dict[str, float]:
    """NDCG and hit rate at 10 over all ranks' users, of movies that have been learned of.

    `validation_loss` is what NDCG lacks of 1. Raises ValueError where there is nothing to name.
    """
    asked_A = np.flatnonzero(data.histories.of(VALIDATION).count_U)
    every = max(1, math.ceil(len(asked_A) * len(data.rows_R) / MOST_ASKED))
    asked = data.histories.take(asked_A[::every])
    untrained_M = (data.counts.movie_M == 0).to(movie_MK.device)
    sums = torch.zeros(3, dtype=torch.float64)
    step = max(1, SCORES_PER_BLOCK // data.movies)
    for start in range(0, len(asked), step):
        block = asked.slice(start, start + step)
        known, wanted = block.until(VALIDATION), block.of(VALIDATION)
        score_BM = (encode(known) @ movie_MK.T + movie_bias_M).masked_fill_(untrained_M, -math.inf)
        seen_N = (torch.from_numpy(part) for part in (known.owner_N, known.movie_N.astype(int)))
        score_BM[tuple(index.to(score_BM.device) for index in seen_N)] = -math.inf
        best_BK = score_BM.topk(min(LIST_LENGTH, data.movies)).indices.cpu().numpy()
        hit_NK = best_BK[wanted.owner_N] == wanted.movie_N[:, None]
        rank_N = np.where(hit_NK.any(1), hit_NK.argmax(1) + 1, 0)
        found = accuracy(rank_N, Lists(wanted.offset_U1, wanted.movie_N), LIST_LENGTH)
        sums += torch.tensor([len(block), found["ndcg"].sum(), found["hr"].sum()])
    users, ndcg, hits = sum_over_ranks(sums).tolist()
    if not users:
        raise ValueError(
            "No history has a validation rating to measure lists by. Set etl.order_split to "
            "leave-last-out."
        )
    return {
        "validation_loss": 1 - ndcg / users,
        "validation_ndcg": ndcg / users,
        "validation_hit_rate": hits / users,
    }
