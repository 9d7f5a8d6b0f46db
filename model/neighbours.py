"""Nearest neighbours: a rating told by the movies most like the movie, or the users like the user.

    rating = mean + user_bias + movie_bias
             + (sum over the k neighbours i of j: likeness_ij deviation_ui) / (damping + expected_j)

for user u and movie j, where a deviation is what the biases leave of a rating, 0 of none (Koren,
"Factor in the Neighbors", 2010, section 2.2; `by: user` is the same with users and movies swapped).
The usual denominator is the sum of the likenesses of those neighbours that u has rated; as that is
no product of a row of u's and one of j's, it is the mean of that sum over those who rated j.

It is a model of ratings: divided by nothing, the sums would order movies as those of `item_linear`,
with weights that are not even solved for. Scores of all users and movies are the matrix of
deviations times the sparse one of weights; the two exported matrices are its leading factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import LinearOperator, svds

from model.biases import BiasesSettings, biases_of
from model.data.co_rated import taking_part
from model.data.collectives import gather_ratings
from model.data.dataset import Dataset
from model.family import Rows
from model.space import Between, OneOf, Space

Float = NDArray[np.float32]
# Likenesses that are held at a time.
NUMBERS_PER_BLOCK = 1 << 22
# A row whose ratings are all as the biases say is like no other.
LEAST = 1e-9


@dataclass(frozen=True)
class NeighboursSettings(BiasesSettings):
    """What is alike, how that is measured, and how many neighbours are asked."""

    by: Literal["movie", "user"]
    """Whether neighbours are movies that the user has rated, or users who have rated the movie."""
    likeness: Literal["cosine", "pearson"]
    """Of deviations: cosine of all there are, 0 where there is none; or correlation of those that
    both have."""
    shrinkage: Annotated[float, Ge(0)]
    """Ratings in common at which a likeness counts by half."""
    neighbours: Annotated[int, Ge(1)]
    """How many of a movie or user: those most like it, or most unlike, which tell as much."""
    damping: Annotated[float, Gt(0)]
    """Added to the expected sum of likenesses: the higher, the less few neighbours tell."""
    most_rows: Annotated[int, Ge(1)]
    """Movies or users that take part, those with most ratings: time grows with the square of them.
    Of others the biases alone are known."""
    factors: Annotated[int, Ge(1)]
    """Length of a row."""


class Neighbours:
    """The fitter: ranks gather all ratings, and each makes the same of them, on its CPU."""

    Settings = NeighboursSettings
    reads = "ratings"
    objective = "rating"
    space: ClassVar[Space] = {
        "by": OneOf(("movie", "user")),
        "likeness": OneOf(("cosine", "pearson")),
        "shrinkage": Between(1.0, 100.0, log=True),
        "neighbours": Between(20, 200, log=True),
        "damping": Between(0.1, 5.0, log=True),
    }

    def __init__(self, settings: NeighboursSettings, data: Dataset, seed: int) -> None:
        self.settings, self.seed = settings, seed

    def fit(self, data: Dataset) -> Rows:
        """Biases of all, and the leading factors of what neighbours add to them."""
        counts, settings = data.counts, self.settings
        user_bias_U, movie_bias_M, _ = biases_of(data, settings)
        ratings = gather_ratings(data.train, torch.device("cpu"))
        user_N, movie_N = ratings.user_N.long(), ratings.movie_N.long()
        rest_N = (
            ratings.rating_N - data.mean - user_bias_U[user_N] - movie_bias_M[movie_N]
        ).float()
        by_movie = settings.by == "movie"
        own_N, other_N = (movie_N, user_N) if by_movie else (user_N, movie_N)
        part_O = taking_part(counts.movie_M if by_movie else counts.user_U, settings.most_rows)
        known_N = part_O[own_N] >= 0
        place_N = other_N.numpy()[known_N], part_O[own_N][known_N]
        others = data.users if by_movie else data.movies
        rest = csr_array((rest_N.numpy()[known_N], place_N), (others, int(part_O.max()) + 1))
        other_K, part_K = leading(rest, weights(rest, settings), settings.factors, self.seed)
        own_K = np.zeros((len(part_O), part_K.shape[1]), np.float32)
        own_K[part_O >= 0] = part_K
        user_UK, movie_MK = (other_K, own_K) if by_movie else (own_K, other_K)
        return Rows(
            torch.from_numpy(user_UK).to(data.device),
            torch.from_numpy(movie_MK).to(data.device),
            user_bias_U.float().to(data.device),
            movie_bias_M.float().to(data.device),
            data.mean,
        )


def weights(rest: csr_array, settings: NeighboursSettings) -> csr_array:
    """R x R: in each column the weights of a row's neighbours, from deviations, others x R."""
    rows, by_column = rest.shape[1], rest.tocsc()
    most = min(settings.neighbours, rows)
    parts = []
    width = max(1, NUMBERS_PER_BLOCK // rows)
    for start in range(0, rows, width):
        place_B = np.arange(start, min(start + width, rows))
        like_RB, both_RB = likenesses(by_column, place_B, settings.likeness)
        like_RB *= both_RB / np.maximum(both_RB + settings.shrinkage, 1)
        count_B = both_RB[place_B, place_B - start]
        like_RB[place_B, place_B - start] = 0
        nearest_KB = np.argpartition(-abs(like_RB), most - 1, axis=0)[:most]
        like_KB, both_KB = (np.take_along_axis(x, nearest_KB, 0) for x in (like_RB, both_RB))
        expected_B = (abs(like_KB) * both_KB).sum(0) / count_B
        column_KB = np.broadcast_to(place_B, nearest_KB.shape)
        parts.append((like_KB / (settings.damping + expected_B), nearest_KB, column_KB))
    weight_N, row_N, column_N = (
        np.concatenate([part.ravel() for part in of_all]) for of_all in zip(*parts, strict=True)
    )
    weight_RR = csr_array((weight_N, (row_N, column_N)), shape=(rows, rows))
    weight_RR.eliminate_zeros()
    return weight_RR


def likenesses(
    rest: csc_array, place_B: NDArray[np.integer], likeness: Literal["cosine", "pearson"]
) -> tuple[Float, Float]:
    """R x B: how alike R columns of deviations and B of these are, and what both have rated."""

    def products(left: csc_array, right: csc_array) -> Float:
        return (left.T @ right[:, place_B]).toarray()

    rated, square = rest.copy(), rest.copy()
    rated.data, square.data = np.ones_like(rest.data), rest.data**2
    both_RB, product_RB = products(rated, rated), products(rest, rest)
    if likeness == "cosine":
        length_R = np.sqrt(square.sum(0)).astype(np.float32)
        return product_RB / np.maximum(np.outer(length_R, length_R[place_B]), LEAST), both_RB
    # Sums over what both have rated, of the deviations of each of the two and of their squares.
    left_RB, right_RB = products(rest, rated), products(rated, rest)
    left2_RB, right2_RB = products(square, rated), products(rated, square)
    left2_RB, right2_RB = both_RB * left2_RB - left_RB**2, both_RB * right2_RB - right_RB**2
    # Of one rating in common, nothing varies.
    varies_RB = np.sqrt(np.maximum(left2_RB, 0) * np.maximum(right2_RB, 0))
    like_RB = (both_RB * product_RB - left_RB * right_RB) / np.maximum(varies_RB, LEAST)
    return np.where(both_RB > 1, like_RB.clip(-1, 1), 0), both_RB


def leading(rest: csr_array, weight: csr_array, factors: int, seed: int) -> tuple[Float, Float]:
    """Others x K and R x K, whose product is nearest to deviations times weights of all of rank K.

    It is equal to them where that many factors are as many as there are rows.
    """
    others, rows = rest.shape
    if factors >= rows:
        return (rest @ weight).toarray(), np.eye(rows, dtype=np.float32)
    if factors >= others:
        return np.eye(others, dtype=np.float32), (rest @ weight).toarray().T
    if not weight.nnz:
        # Nothing is alike, and ARPACK knows no product that is zero.
        return np.zeros((others, factors), np.float32), np.zeros((rows, factors), np.float32)
    # The product itself has no zeros, and would be as large as users times movies.
    product = LinearOperator(
        rest.shape,
        matvec=lambda x: rest @ (weight @ x),
        rmatvec=lambda y: weight.T @ (rest.T @ y),
        dtype=np.float32,
    )
    left_OK, value_K, right_KR = svds(product, factors, rng=np.random.default_rng(seed))
    root_K = np.sqrt(value_K)
    return left_OK * root_K, right_KR.T * root_K
