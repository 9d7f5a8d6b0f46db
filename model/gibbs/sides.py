"""The ratings of all ranks as a Gibbs sampler reads them: by user, and by movie.

A side numbers its rows with ratings anew, those with few ratings first, and rows of about as many
ratings make a padded bucket. Of `ranks`, a rank owns every `ranks`-th row: all have as much to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import horovod.torch as hvd
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from model.data.collectives import alone, finish
from model.data.ratings import Ratings

# Rows of a bucket have at most so many times the ratings of its first row.
PADDING = 1.15
# Numbers of a bucket's gathered rows: what a core's cache holds, and what fills a GPU.
BUCKET_NUMBERS = {"cpu": 1 << 20, "cuda": 1 << 26}


@dataclass(frozen=True)
class Bucket:
    """R rows of one side with at most L ratings each; padding names the row after the last."""

    own: slice
    """Which of this rank's rows."""
    row_R: Tensor
    other_RL: Tensor
    at_RL: Tensor
    """Where its ratings stand in the side's order; padding stands after the last."""


@dataclass(frozen=True)
class Side:
    """The R users, or movies, with ratings; `row_N` and the ratings are in the new numbers."""

    row_N: Tensor
    """Of every user of the data the number here, and R where there are no ratings."""
    old_R: Tensor
    """Of every row here the number in the data."""
    count_R: Tensor
    first_R: Tensor
    """Where the ratings of each row begin in `other_C`, and their number."""
    other_C: Tensor
    """The rows of the other side, by row of this one."""
    rating_C: Tensor

    def __len__(self) -> int:
        return len(self.old_R)

    @property
    def ratings(self) -> int:
        return len(self.other_C)

    def sums(self, values_ON: Tensor) -> Tensor:
        """For each row, the sum of the values of those of the other side that it has ratings of."""
        # Several times faster than a product with a sparse matrix.
        return embedding_bag(
            self.other_C, values_ON, self.first_R, mode="sum", include_last_offset=True
        )

    def whole(self, values_R: Tensor) -> Tensor:
        """Values of rows, for every user of the data; zero where there are no ratings."""
        padded = torch.cat([values_R, values_R.new_zeros(1, *values_R.shape[1:])])
        return padded[self.row_N]

    def buckets(self, rank: int, ranks: int, width: int, others: int) -> Iterator[Bucket]:
        """This rank's rows, whose gathered rows of the other side are `width` numbers each."""
        room = BUCKET_NUMBERS[self.other_C.device.type] // width
        counts, own = self.count_R[rank::ranks].tolist(), 0
        while own < len(counts):
            last = own
            while (
                last + 1 < len(counts)
                and counts[last + 1] <= max(counts[own] * PADDING, counts[own] + 2)
                and counts[last + 1] * (last + 2 - own) <= room
            ):
                last += 1
            yield self.bucket(slice(own, last + 1), rank, ranks, others)
            own = last + 1

    def bucket(self, own: slice, rank: int, ranks: int, others: int) -> Bucket:
        row_R = torch.arange(rank, len(self), ranks, device=self.first_R.device)[own]
        count_R = self.count_R[row_R]
        place_L = torch.arange(int(count_R.max()), device=row_R.device)
        at_RL = self.first_R[row_R].long()[:, None] + place_L
        real_RL = place_L < count_R[:, None]
        at_RL.masked_fill_(~real_RL, 0)
        other_RL = self.other_C[at_RL].masked_fill_(~real_RL, others)
        at_RL.masked_fill_(~real_RL, self.ratings)
        return Bucket(own, row_R, other_RL, at_RL.to(self.first_R.dtype))


def sides(ratings: Ratings, users: int, movies: int) -> tuple[Side, Side]:
    """Users' and movies' sides of the ratings of all ranks, in any order."""
    user_N, user_R, user_count_R = numbered(ratings.user_N, users)
    movie_N, movie_R, movie_count_R = numbered(ratings.movie_N, movies)
    user_C, movie_C = user_N[ratings.user_N.long()], movie_N[ratings.movie_N.long()]
    return (
        side(user_C, movie_C, ratings.rating_N, len(movie_R), (user_N, user_R, user_count_R)),
        side(movie_C, user_C, ratings.rating_N, len(user_R), (movie_N, movie_R, movie_count_R)),
    )


def numbered(row_C: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """New numbers by old ones, old ones by new, and counts: those with few ratings first."""
    count_N = torch.bincount(row_C, minlength=rows)
    order = torch.argsort(count_N, stable=True)
    old_R = order[count_N[order] > 0]
    row_N = torch.full((rows,), len(old_R), device=row_C.device)
    row_N[old_R] = torch.arange(len(old_R), device=row_C.device)
    return row_N, old_R, count_N[old_R]


def side(
    row_C: Tensor,
    other_C: Tensor,
    rating_C: Tensor,
    others: int,
    numbers: tuple[Tensor, Tensor, Tensor],
) -> Side:
    """One side, its ratings sorted by row and then by the other side's row."""
    row_N, old_R, count_R = numbers
    order = torch.argsort(row_C * others + other_C)
    first_R = torch.cat([count_R.new_zeros(1), count_R.cumsum(0)])
    kind = torch.int32 if len(order) < 2**31 else torch.int64
    return Side(
        row_N,
        old_R,
        count_R,
        first_R.to(kind),
        other_C[order].to(kind),
        rating_C[order].float(),
    )


def gather_rows(own_RK: Tensor, rows: int) -> Tensor:
    """The rows of all ranks, of which each owns every so manyth."""
    if alone():
        return own_RK
    gathered = finish(hvd.allgather_async(own_RK.contiguous()))
    ranks = hvd.size()
    whole = torch.empty_like(gathered)
    sizes = [len(range(rank, rows, ranks)) for rank in range(ranks)]
    for rank, part in enumerate(gathered.split(sizes)):
        whole[rank::ranks] = part
    return whole
