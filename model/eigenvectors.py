"""The leading eigenvectors of a large symmetric matrix."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 8
# Columns beside those wanted, so that the last of these come near too.
MORE = 16
# Of fewer rows than so many times the columns all eigenvectors are found as quickly.
FEW = 4


def leading(square_RR: Tensor, factors: int, seed: int) -> Tensor:
    """Those of the largest eigenvalues, R x K, largest first; of many rows by iteration."""
    factors = min(factors, len(square_RR))
    wide = factors + MORE
    if len(square_RR) <= FEW * wide:
        return torch.linalg.eigh(square_RR).eigenvectors.flip(1)[:, :factors].contiguous()
    random = torch.Generator().manual_seed(seed)
    vector_RW = torch.randn(len(square_RR), wide, generator=random).to(square_RR.device)
    for _ in range(ITERATIONS):
        vector_RW = torch.linalg.qr(square_RR @ vector_RW).Q
    _, turn_WW = torch.linalg.eigh(vector_RW.T @ square_RR @ vector_RW)
    return vector_RW @ turn_WW.flip(1)[:, :factors]
