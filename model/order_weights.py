"""How much each model of order counts in a blend: the weights of least cross-entropy."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.histories import VALIDATION, Histories
from model.data.history_data import HistoryData
from model.family import Encoder

SCORES_PER_BLOCK = 1 << 22
# Users of all ranks: a handful of weights needs no more.
MOST_ASKED = 4000


@torch.no_grad()
def fit_weights(
    encoders: list[Encoder], movie_rows: list[Tensor], biases: list[Tensor], data: HistoryData
) -> list[float]:
    """Of members by the validation movies of all ranks' users; none is below 0.

    Raises ValueError where there is no such movie.
    """
    learned_M = (data.counts.movie_M > 0).to(data.device)
    asked = with_validation(data, learned_M.cpu().numpy())
    parts = [
        (encoder.encode(asked.until(VALIDATION)), movie_MK, bias_M)
        for encoder, movie_MK, bias_M in zip(encoders, movie_rows, biases, strict=True)
    ]

    def scores(block: slice) -> Tensor:
        return torch.stack([user_UK[block] @ m_MK.T + b_M for user_UK, m_MK, b_M in parts])

    step = max(1, SCORES_PER_BLOCK // data.movies)
    blocks = [slice(start, start + step) for start in range(0, len(asked), step)]
    # Members' scores are of different sizes: the search is for weights of scores of one size.
    sums = torch.zeros(len(parts) + 1, dtype=torch.float64)
    for block in blocks:
        score_SBM = scores(block)[:, :, learned_M]
        sums[:-1] += score_SBM.std(2).double().sum(1).cpu()
        sums[-1] += score_SBM.shape[1]
    sums = sum_over_ranks(sums)
    if not sums[-1]:
        raise ValueError("No history has a validation rating to choose the weights of a blend by.")
    size_S = (sums[:-1] / sums[-1]).clamp(min=1e-12).numpy()
    users = float(sums[-1])

    def loss(weight_S: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        found = torch.zeros(len(parts) + 1, dtype=torch.float64)
        weights = torch.from_numpy(weight_S / size_S).float().to(data.device)
        for block in blocks:
            part = asked.slice(block.start, block.stop)
            found += cross_entropy(weights, scores(block), part, learned_M).cpu()
        value, *slope = (sum_over_ranks(found) / users).tolist()
        return value, np.array(slope) / size_S

    start = np.full(len(parts), 1 / len(parts))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(parts))
    return [float(weight) for weight in found.x / size_S]


def with_validation(data: HistoryData, learned_M: NDArray[np.bool_]) -> Histories:
    """This rank's users with a validation movie that can be named, not more than enough of them."""
    histories = data.histories
    named = histories.where((histories.split_N < VALIDATION) | learned_M[histories.movie_N])
    place_A = np.flatnonzero(named.of(VALIDATION).count_U)
    every = max(1, math.ceil(len(place_A) * len(data.rows_R) / MOST_ASKED))
    return named.take(place_A[::every])


def cross_entropy(
    weight_S: Tensor, score_SBM: Tensor, asked: Histories, learned_M: Tensor
) -> Tensor:
    """The sum over B users of the mean over their validation movies, and its slope by weight."""
    known, wanted = asked.until(VALIDATION), asked.of(VALIDATION)
    total_BM = torch.einsum("s,sbm->bm", weight_S, score_SBM)
    total_BM[:, ~learned_M] = -math.inf
    places = (torch.from_numpy(part) for part in (known.owner_N, known.movie_N.astype(int)))
    total_BM[tuple(place.to(total_BM.device) for place in places)] = -math.inf
    share_BM, log_B = total_BM.softmax(1), total_BM.logsumexp(1)
    owner = torch.from_numpy(wanted.owner_N).to(total_BM.device)
    movie = torch.from_numpy(wanted.movie_N.astype(int)).to(total_BM.device)
    part_N = 1 / torch.from_numpy(wanted.count_U).to(total_BM.device)[owner]
    loss = log_B.double().sum() - (part_N * total_BM[owner, movie]).double().sum()
    expected_S = torch.einsum("bm,sbm->s", share_BM, score_SBM).double()
    found_S = (part_N * score_SBM[:, owner, movie]).double().sum(1)
    return torch.cat([loss[None], expected_S - found_S])
