"""Which movies can be among a user's k best: a superset, found fast and proven to hold them.

Both searches score approximately, and know by how much they can be wrong: with u = u' + du and
m = m' + dm, |u.m - u'.m'| <= |u'| |dm| + |du| |m| (Cauchy-Schwarz). A movie whose approximate score
plus that bound does not reach the k-th best lower bound is not among the k best.

Int8Search    rows as 8-bit integers, whose products and sums are exact integers: CPUs with VNNI
DenseSearch   one float32 or bfloat16 product and top-k: GPUs, small catalogues, other CPUs
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from model.ranking.catalogue import LARGEST_CODE, LARGEST_NORM, Catalogue

Int = NDArray[np.integer]
Double = NDArray[np.float64]
# What is lower than every sum of products marks an excluded pair.
EXCLUDED = -(2**31)
# Rounding to float32 of a score is at most 2^-24 of it; four times that covers the sums as well.
ROUNDING = 2.0**-22

with warnings.catch_warnings():
    # Torch says once in a process that sparse tensors are in beta state: here, to nobody.
    warnings.simplefilter("ignore")
    torch.zeros(1, 1).to_sparse_csr()


class Int8Search:
    """Users x blocks of movies in int8; only each group's maximum is kept.

    A block of scores stays in the processor's cache. Maxima of sets of groups give the lower bound
    of the k-th best; groups that reach it, about 2k a user, are scored again in float32.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = c = catalogue
        self.code_PQ = torch.from_numpy(c.code_PQ)
        self.row_PK2 = torch.from_numpy(c.row_PK2)
        self.groups = len(c.code_PQ) // c.movies_per_group
        self.sets = self.groups // c.groups_per_set
        self.block_S = np.arange(self.sets) * c.groups_per_set // self.groups_per_block

    @property
    def groups_per_block(self) -> int:
        return self.catalogue.movies_per_block // self.catalogue.movies_per_group

    def finds(self, k: int) -> bool:
        """Whether there are enough groups to tell the k-th best from."""
        return self.groups >= 4 * k

    def candidates(
        self, row_BK: Double, offset_B: Double, excluded_N: Int, k: int
    ) -> tuple[Int, Int]:
        """Users, in order, and columns of all pairs that can be among the k best.

        `excluded_N` holds column x B + user of the pairs that may not, ascending.
        """
        c = self.catalogue
        code_BQ, scale_B, norm_B, error_B = c.user_codes(row_BK)
        maxima_GB = self.maxima(torch.from_numpy(code_BQ), excluded_N)
        slack_B = ROUNDING * (
            np.abs(offset_B) + abs(c.bias_centre) + (norm_B + error_B) * c.norm_N.max()
        )
        error_NB = c.code_error_N[:, None] * norm_B + c.norm_N[:, None] * error_B + slack_B
        unit_NB = c.scale_N[:, None] * scale_B
        set_SB = maxima_GB.view(self.sets, c.groups_per_set, -1).amax(1)
        kth_B = self.kth_best(maxima_GB, set_SB, unit_NB, error_NB, k)
        least_NB = np.floor((kth_B - error_NB) / unit_NB - 1).clip(EXCLUDED + 1, -EXCLUDED - 1)
        owner_H, group_H = self.reaching(
            maxima_GB, set_SB, torch.from_numpy(least_NB.astype(np.int32))
        )
        return self.rescored(row_BK, kth_B - slack_B, norm_B + error_B, owner_H, group_H)

    def maxima(self, code_BQ: torch.Tensor, excluded_N: Int) -> torch.Tensor:
        """The largest product of codes in each of G groups of movies, for B users."""
        c, users = self.catalogue, len(code_BQ)
        code_QB = code_BQ.T.contiguous()
        maxima_GB = torch.empty(self.groups, users, dtype=torch.int32)
        score_PB = torch.empty(c.movies_per_block, users, dtype=torch.int32)
        starts = np.arange(0, len(self.code_PQ), c.movies_per_block)
        ends = np.append(starts, len(self.code_PQ)) * users
        # Of one type: else numpy converts all the pairs.
        most = np.iinfo(excluded_N.dtype).max
        cuts = np.searchsorted(excluded_N, ends.clip(max=most).astype(excluded_N.dtype))
        for i, start in enumerate(starts.tolist()):
            code_PQ = self.code_PQ[start : start + c.movies_per_block]
            score = score_PB[: len(code_PQ)]
            torch._int_mm(code_PQ, code_QB, out=score)
            pair_N = excluded_N[cuts[i] : cuts[i + 1]].astype(np.int64) - start * users
            score.view(-1).index_fill_(0, torch.from_numpy(pair_N), EXCLUDED)
            score[len(c.movie_idx_C) - start :] = EXCLUDED
            first = start // c.movies_per_group
            group = score.view(-1, c.movies_per_group, users)
            torch.amax(group, 1, out=maxima_GB[first : first + len(group)])
        return maxima_GB

    def kth_best(
        self,
        maxima_GB: torch.Tensor,
        set_SB: torch.Tensor,
        unit_NB: Double,
        error_NB: Double,
        k: int,
    ) -> Double:
        """Each user's lower bound of the k-th best score: k sets, or groups, hold a better one."""
        maxima, block = set_SB.numpy(), self.block_S
        if self.sets < 4 * k:
            maxima = maxima_GB.numpy()
            block = np.arange(self.groups) // self.groups_per_block
        least = maxima * unit_NB[block] - error_NB[block]
        # Not merely low: where movies are all zero, so is the unit.
        least[maxima == EXCLUDED] = -np.inf
        return torch.from_numpy(least.T.copy()).topk(k, 1, sorted=False).values.amin(1).numpy()

    def reaching(
        self, maxima_GB: torch.Tensor, set_SB: torch.Tensor, least_NB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Users and groups of the pairs whose maximum reaches the user's least."""
        per_set, users = self.catalogue.groups_per_set, maxima_GB.shape[1]
        block_S = torch.from_numpy(self.block_S)
        owner_T, set_T = (set_SB >= least_NB[block_S]).T.contiguous().nonzero(as_tuple=True)
        maxima_TG = maxima_GB.view(-1, per_set, users)[set_T, :, owner_T]
        least_T1 = least_NB[block_S[set_T], owner_T][:, None]
        place_H, group_H = (maxima_TG >= least_T1).nonzero(as_tuple=True)
        return owner_T[place_H], set_T[place_H] * per_set + group_H

    def rescored(
        self,
        row_BK: Double,
        kth_B: Double,
        norm_B: Double,
        owner_H: torch.Tensor,
        group_H: torch.Tensor,
    ) -> tuple[Int, Int]:
        """The pairs of these groups whose float32 scores reach the k-th best's lower bound."""
        c, size = self.catalogue, self.catalogue.movies_per_group
        # The usual bound of a sum of K products in float32, doubled; the lower bound is itself
        # one of the summands, so that what is not negative reaches it.
        largest_B = norm_B * c.norm_N.max() + np.abs(kth_B)
        least_B = np.where(
            np.isfinite(kth_B), kth_B - (row_BK.shape[1] + 8) * 2.0**-22 * largest_B, -LARGEST_NORM
        )
        rows_BK2 = np.column_stack([row_BK, np.ones(len(row_BK)), -least_B]).astype(np.float32)
        first_B = offsets(owner_H, len(row_BK)) * size
        column_N = (group_H[:, None] * size + torch.arange(size)).view(-1)
        score_N = pair_scores(torch.from_numpy(rows_BK2), self.row_PK2, first_B, column_N)
        keep_N = (score_N >= 0).nonzero().view(-1)
        return owner_H[keep_N // size].numpy(), column_N[keep_N].numpy()


class DenseSearch:
    """All scores of B users in one product on a device."""

    def __init__(self, catalogue: Catalogue, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        # Otherwise parts of a sum may be added up in bfloat16, which the bound does not allow for.
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        rows_CK = catalogue.exact_row_CK
        self.row_KC = torch.from_numpy(rows_CK.T.copy()).to(device, dtype)
        bias_C = torch.from_numpy(catalogue.exact_bias_C - catalogue.bias_centre)
        self.bias_C = bias_C.to(device, torch.float32)
        difference_CK = rows_CK - self.row_KC.T.to("cpu", torch.float64).numpy()
        self.error = np.linalg.norm(difference_CK, axis=1).max(initial=0)
        self.norm = np.linalg.norm(rows_CK, axis=1).max(initial=0)
        self.centre = abs(catalogue.bias_centre)

    def candidates(
        self, row_BK: Double, offset_B: Double, excluded_N: Int, k: int
    ) -> tuple[Int, Int]:
        """As `Int8Search.candidates`."""
        rows = torch.from_numpy(row_BK).to(self.dtype)
        score_BC = (rows.to(self.device) @ self.row_KC).float() + self.bias_C
        users, width = score_BC.shape
        excluded_N = excluded_N.astype(np.int64)
        place_N = excluded_N % users * width + excluded_N // users
        score_BC.view(-1).index_fill_(0, torch.from_numpy(place_N).to(self.device), -torch.inf)
        kth_B = score_BC.topk(min(k, width), dim=1, sorted=False).values.amin(1)
        error_B = torch.from_numpy(self.errors(row_BK, rows, offset_B)).to(self.device)
        # Twice: the k-th best may be overrated as far as another one is underrated.
        least_B = (kth_B.double() - 2 * error_B).float()
        reach = (score_BC >= least_B[:, None]) & (score_BC > -torch.inf)
        owner_N, column_N = reach.nonzero(as_tuple=True)
        return owner_N.cpu().numpy(), column_N.cpu().numpy()

    def errors(self, row_BK: Double, rows: torch.Tensor, offset_B: Double) -> Double:
        """By how much a score of each user can be wrong."""
        difference_B = np.linalg.norm(row_BK - rows.double().numpy(), axis=1)
        norm_B = np.linalg.norm(row_BK, axis=1) + difference_B
        largest_B = norm_B * (self.norm + self.error)
        coded_B = norm_B * self.error + difference_B * self.norm
        bias = float(self.bias_C.abs().max()) if len(self.bias_C) else 0.0
        sums_B = (row_BK.shape[1] + 8) * 2.0**-23 * (largest_B + bias)
        # The product itself is rounded to the dtype.
        rounded_B = torch.finfo(self.dtype).eps * largest_B
        slack_B = ROUNDING * (np.abs(offset_B) + self.centre + bias + largest_B)
        return coded_B + sums_B + rounded_B + slack_B


def pair_scores(
    row_BK: torch.Tensor, row_PK: torch.Tensor, first_B: torch.Tensor, column_N: torch.Tensor
) -> torch.Tensor:
    """Products of the rows of N pairs, in the rows' precision; user b's from first_B[b] on."""
    values = torch.zeros(len(column_N), dtype=row_BK.dtype)
    shape = (len(row_BK), len(row_PK))
    pairs = torch.sparse_csr_tensor(first_B, column_N, values, shape, check_invariants=False)
    return torch.sparse.sampled_addmm(pairs, row_BK, row_PK.T, beta=0.0).values()


def offsets(owner_N: torch.Tensor, users: int) -> torch.Tensor:
    """Where the pairs of each of B users begin, owners ascending, and where the last ends."""
    first_B1 = torch.zeros(users + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(owner_N, minlength=users), 0, out=first_B1[1:])
    return first_B1


@cache
def int8_is_exact() -> bool:
    """Whether this processor multiplies int8 without saturating: with VNNI it does."""
    code = torch.full((32, 72), LARGEST_CODE, dtype=torch.int8)
    code[::2] = -LARGEST_CODE
    try:
        product = torch._int_mm(code, code.T.contiguous())
    except RuntimeError:
        return False
    return torch.equal(product.double(), code.double() @ code.double().T)


@cache
def int8_is_fast() -> bool:
    """Whether int8 takes no longer than float32: without VNNI it may be fifty times as slow.

    That decides how long the search takes, and not what is found.
    """
    code = torch.ones(1024, 64, dtype=torch.int8)
    row = code.float()

    def seconds(product: Callable[[], object]) -> float:
        tried = []
        for _ in range(3):
            started = time.perf_counter()
            product()
            tried.append(time.perf_counter() - started)
        return min(tried)

    return seconds(lambda: torch._int_mm(code, code.T)) <= seconds(lambda: row @ row.T)
