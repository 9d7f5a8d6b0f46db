"""The movies that may be recommended, laid out for the scoring kernel; a folder to memory-map.

A movie's place among them is its column. Columns are ordered by the size of the movies' largest
number, because a block of them shares one scale of 8-bit integers: rows of like size lose least.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.factors import Factors
from model.files import whole_folder

Int = NDArray[np.integer]
LARGEST_CODE = 127
# One scale serves factors and biases: a bias that is larger than the factors is dealt out to
# several equal columns of codes, at most these.
MOST_BIAS_CODES = 8
UNUSABLE = "The model gives scores that are not numbers, or too large: train it again."
# Beyond this, sums of products overflow float32.
LARGEST_NORM = 1e15


@dataclass(frozen=True)
class Catalogue:
    """C candidate movies, K factors; P columns when padded to whole groups; Q codes a movie.

    A row and its bias, less `bias_centre`, become Q codes: row = scale x code, up to a difference
    whose length is at most `code_error`, for all movies of one of N blocks.
    """

    movie_idx_C: NDArray[np.int32]
    column_M: NDArray[np.int32]
    """Column of each movie of the factors, -1 if it is no candidate; one more -1 at the end."""
    row_PK2: NDArray[np.float32]
    """Row, bias less `bias_centre`, and 1; the bias of padding is minus infinity."""
    exact_row_CK: NDArray[np.float64]
    exact_bias_C: NDArray[np.float64]
    popular_C: NDArray[np.float32]
    popular_column_C: NDArray[np.int32]
    """Columns by falling `popular_C`, equal ones by movie."""
    code_PQ: NDArray[np.int8]
    scale_N: NDArray[np.float64]
    code_error_N: NDArray[np.float64]
    norm_N: NDArray[np.float64]
    """Largest length of a row of codes' numbers in the block."""
    bias_weight: float
    """The user's number in each of the columns that hold the bias."""
    bias_centre: float
    movies_per_block: int
    movies_per_group: int
    """Movies of which the search keeps the maximum only."""
    groups_per_set: int
    """Groups of which it looks at the maximum first."""

    def user_codes(
        self, row_BK: NDArray[np.float64]
    ) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Codes of B users, their scales, the lengths of the coded rows and of the differences."""
        bias_columns = self.code_PQ.shape[1] - row_BK.shape[1]
        row_BQ = np.hstack([row_BK, np.full((len(row_BK), bias_columns), self.bias_weight)])
        scale_B = np.abs(row_BQ).max(axis=1) / LARGEST_CODE
        code_BQ = np.rint(row_BQ / scale_B[:, None])
        coded_BQ = code_BQ * scale_B[:, None]
        error_B = np.linalg.norm(row_BQ - coded_BQ, axis=1)
        return code_BQ.astype(np.int8), scale_B, np.linalg.norm(coded_BQ, axis=1), error_B

    def save(self, folder: Path) -> None:
        """Write all arrays; `folder` appears whole or not at all."""
        scalars = {}
        with whole_folder(folder) as temporary:
            for field in fields(self):
                value = getattr(self, field.name)
                if isinstance(value, np.ndarray):
                    np.save(temporary / f"{field.name}.npy", value)
                else:
                    scalars[field.name] = value
            (temporary / "scalars.json").write_text(json.dumps(scalars), encoding="utf-8")


def load_catalogue(folder: Path) -> Catalogue:
    """Memory-map a saved `Catalogue`: processes of one host share one copy."""
    scalars = json.loads((folder / "scalars.json").read_text(encoding="utf-8"))
    names = [field.name for field in fields(Catalogue) if field.name not in scalars]
    # Copy-on-write rather than read-only, which torch warns of; nobody writes.
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in names}
    return Catalogue(**arrays, **scalars)


def prepare_catalogue(
    factors: Factors,
    movie_ids: Int | None = None,
    movies_per_block: int = 1024,
    movies_per_group: int = 16,
    groups_per_set: int = 16,
) -> Catalogue:
    """The movies with training ratings, narrowed to `movie_ids` if given.

    A block must hold whole sets of groups. Raises ValueError if a number of a candidate is not
    finite or too large to score with.
    """
    movies_per_set = movies_per_group * groups_per_set
    if movies_per_block % movies_per_set:
        raise ValueError(f"{movies_per_block} is no multiple of {movies_per_set} movies")
    candidate_M = np.asarray(factors.movie_trained_M)
    if movie_ids is not None:
        candidate_M = candidate_M & np.isin(factors.movie_ids_M, movie_ids)
    movie_idx_C = np.flatnonzero(candidate_M).astype(np.int32)
    row_CK = factors.movie_MK[movie_idx_C].astype(np.float64)
    bias_C = factors.movie_bias_M[movie_idx_C].astype(np.float64)
    popular_C = factors.popular_M[movie_idx_C]
    # NaN fails the comparison, too.
    sizes = np.abs(np.hstack([row_CK, bias_C[:, None], popular_C[:, None]])).max(initial=0)
    if not sizes <= LARGEST_NORM:
        raise ValueError(UNUSABLE)

    centre = (bias_C.max() + bias_C.min()) / 2 if len(bias_C) else 0.0
    weight, bias_columns = share_bias(factors, row_CK, bias_C - centre)
    share_C = (bias_C - centre) / (weight * bias_columns)
    wide_CQ = np.hstack([row_CK, np.repeat(share_C[:, None], bias_columns, axis=1)])
    # A stable sort keeps movies of the same size, and so a reader's debugging, in movie order.
    order_C = np.argsort(-np.abs(wide_CQ).max(axis=1), kind="stable")
    movie_idx_C, row_CK, bias_C = movie_idx_C[order_C], row_CK[order_C], bias_C[order_C]
    popular_C, wide_CQ = popular_C[order_C], wide_CQ[order_C]

    column_M = np.full(len(factors.movie_ids_M) + 1, -1, dtype=np.int32)
    column_M[movie_idx_C] = np.arange(len(movie_idx_C))
    padded = -(-len(movie_idx_C) // movies_per_set) * movies_per_set
    row_PK2 = np.zeros((padded, row_CK.shape[1] + 2), np.float32)
    row_PK2[: len(row_CK), :-2] = row_CK
    row_PK2[:, -2] = -np.inf
    row_PK2[: len(row_CK), -2] = bias_C - centre
    row_PK2[:, -1] = 1
    code_PQ = np.zeros((padded, wide_CQ.shape[1]), np.int8)
    scales, errors, norms = [], [], []
    for start in range(0, len(wide_CQ), movies_per_block):
        block = wide_CQ[start : start + movies_per_block]
        scale = max(float(np.abs(block).max()), 1e-30) / LARGEST_CODE
        codes = np.rint(block / scale)
        code_PQ[start : start + len(block)] = codes
        scales.append(scale)
        errors.append(np.linalg.norm(block - codes * scale, axis=1).max())
        norms.append(np.linalg.norm(block, axis=1).max())
    return Catalogue(
        movie_idx_C=movie_idx_C,
        column_M=column_M,
        row_PK2=row_PK2,
        exact_row_CK=row_CK,
        exact_bias_C=bias_C,
        popular_C=popular_C,
        popular_column_C=np.lexsort((movie_idx_C, -popular_C)).astype(np.int32),
        code_PQ=code_PQ,
        scale_N=np.array(scales),
        code_error_N=np.array(errors),
        norm_N=np.array(norms),
        bias_weight=weight,
        bias_centre=float(centre),
        movies_per_block=movies_per_block,
        movies_per_group=movies_per_group,
        groups_per_set=groups_per_set,
    )


def share_bias(
    factors: Factors, row_CK: NDArray[np.float64], bias_C: NDArray[np.float64]
) -> tuple[float, int]:
    """The user's number for the bias, and to how many columns it is dealt.

    With a typical user's largest factor as the former, users keep their scale; the movie's part
    then should not exceed a typical movie's largest factor. Neither changes any result.
    """
    some = np.linspace(0, max(len(factors.user_UK) - 1, 0), 4096).astype(int)
    users = np.abs(factors.user_UK[np.unique(some)]) if len(factors.user_UK) else np.ones((1, 1))
    sizes = users.max(axis=1, initial=0)
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    weight = float(np.median(sizes)) if len(sizes) else 1.0
    typical = float(np.median(np.abs(row_CK).max(axis=1, initial=0))) if len(row_CK) else 0.0
    largest = np.abs(bias_C).max(initial=0) / weight
    columns = MOST_BIAS_CODES if largest > typical * MOST_BIAS_CODES else largest / (typical or 1)
    return weight, max(1, int(np.ceil(columns)))
