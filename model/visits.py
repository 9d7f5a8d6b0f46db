"""What is rated on the next visit: a ridge regression across visits, and what is popular of late.

Most movies are rated in long sittings, in the order of the pages shown. What follows within one
says little of when the user comes back. So the regression is from all that a user had rated before
a visit to what the visit brought, in closed form:

    B = (X'X + penalty I)^-1 (P'WY + any_pair (X'X - diag X'X))

X holds a row per user; P and Y a row per user and visit but the first: what was rated before it,
and in it, a long visit weighing no more than the root of its length (W, its mean 1). The last part,
as in EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019), lends what is known
of tastes from all pairs of movies, of which there are many more. A user's score of a movie is the
sum of the rows of B of the movies rated, over the root of their number; added to it is the root of
the movie's ratings in the days before the user is asked for. So it comes as factors: those of B, of
the popularity at all dates at which anybody is asked for, and one of that of now.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import horovod.torch as hvd
import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from model.data.co_rated import NUMBERS_PER_BLOCK, blocks, rated_together, rows_of, taking_part
from model.data.collectives import sum_over_ranks
from model.data.histories import TEST, UNKNOWN, VALIDATION, Histories
from model.data.history_data import HistoryData
from model.eigenvectors import leading
from model.family import Rows
from model.space import Between, Space
from model.validation_lists import validation_figures

Int = NDArray[np.integer]
ENCODER = "encoder"
DAY = 86_400
# Dates of which recent popularity is counted: some of those at which users are asked for.
MOST_DATES = 1000
# Of each rank, from whose best scores the regression's scale is taken.
USERS_SCALED = 2000


@dataclass(frozen=True)
class VisitsSettings:
    """What counts as a visit, and how much regression and recent popularity weigh."""

    penalty: Annotated[float, Gt(0)]
    """Ridge penalty, in users: what so many have rated together counts by half."""
    any_pair: Annotated[float, Ge(0)]
    """Weight of two movies of one history, whichever came first; that of a movie before a visit and
    one in it is about 1."""
    visit_minutes: Annotated[int, Ge(1)]
    """A visit ends at a gap of more than that."""
    recent_days: Annotated[int, Ge(1)]
    """Days before a user is asked for, of which the ratings are the recent popularity."""
    recent_weight: Annotated[float, Ge(0)]
    """What the most popular movie of these days is worth, beside 1 for the average user's best."""
    recent_factors: Annotated[int, Ge(1)]
    """Rank of what is kept of recent popularity at earlier dates, as of which the measure asks;
    that of now is kept whole."""
    factors: Annotated[int, Ge(1)]
    """Rank of what is kept of the regression; never more than there are movies."""
    most_movies: Annotated[int, Ge(1)]
    """Movies that take part, those with most ratings: memory grows with the square of them."""


class VisitsEncoder:
    """Rows of users: K factors of the R movies that take part, then J of the D dates."""

    def __init__(self, part_M: Int, row_RK: Tensor, date_D: Int, row_DJ: Tensor) -> None:
        self.part_M, self.row_RK, self.date_D, self.row_DJ = part_M, row_RK, date_D, row_DJ

    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x (K + J). Who is asked now has the last date's popularity."""
        device = self.row_RK.device
        known = histories.where(self.part_M[histories.movie_N] >= 0)
        owner_N = torch.from_numpy(known.owner_N).to(device)
        part_N = torch.from_numpy(self.part_M[known.movie_N].astype(np.int64)).to(device)
        user_UK = torch.zeros(len(known), self.row_RK.shape[1], device=device)
        step = max(1, NUMBERS_PER_BLOCK // self.row_RK.shape[1])
        for start in range(0, len(part_N), step):
            block = slice(start, start + step)
            user_UK.index_add_(0, owner_N[block], self.row_RK[part_N[block]])
        count_U = torch.from_numpy(known.count_U).to(device)
        user_UK /= count_U.clamp(min=1).sqrt()[:, None]
        place_U = torch.from_numpy(self.places(histories))
        dated_U = torch.from_numpy(histories.count_U > 0) & (place_U >= 0)
        user_UJ = self.row_DJ[place_U.to(device)] * dated_U.to(device)[:, None]
        return torch.cat([user_UK, user_UJ], 1)

    def parts(self, histories: Histories) -> Tensor:
        """A movie's row over the root of the number of movies; dates add the rest of a row."""
        device = self.row_RK.device
        part_N, owner_N = self.part_M[histories.movie_N], histories.owner_N
        known_N = part_N >= 0
        count_U = np.bincount(owner_N[known_N], minlength=len(histories))
        weight_N = known_N / np.sqrt(count_U.clip(min=1))[owner_N]
        row_NK = self.row_RK[torch.from_numpy(part_N.clip(min=0).astype(np.int64)).to(device)]
        row_NK *= torch.from_numpy(weight_N.astype(np.float32)).to(device)[:, None]
        return torch.cat([row_NK, row_NK.new_zeros(len(row_NK), self.row_DJ.shape[1])], 1)

    def places(self, histories: Histories) -> Int:
        """The last date that is not after the user is asked for; -1 before all of them."""
        last = len(self.date_D) - 1
        if histories.asked_U is None:
            return np.full(len(histories), last)
        place_U = np.searchsorted(self.date_D, histories.asked_U, "right") - 1
        return np.where(histories.asked_U == UNKNOWN, last, place_U)


class Visits:
    """The fitter: each rank counts its own users' pairs, and all solve for the same rows."""

    Settings = VisitsSettings
    reads = "histories"
    objective = "order"
    space: ClassVar[Space] = {
        "penalty": Between(100.0, 10000.0, log=True),
        "any_pair": Between(0.0, 0.5),
        "recent_days": Between(7, 90, log=True),
        "recent_weight": Between(0.0, 2.0),
    }

    def __init__(self, settings: VisitsSettings, data: HistoryData, seed: int) -> None:
        self.settings, self.seed = settings, seed

    def fit(self, data: HistoryData) -> Rows:
        """Rows of all users' whole histories, asked for now."""
        settings = self.settings
        part_M = taking_part(data.counts.movie_M, settings.most_movies)
        row_RK, movie_RK = regression(data, part_M, settings, self.seed)
        date_D = dates(data)
        recent_DM = settings.recent_weight * recent_popularity(data, date_D, settings.recent_days)
        row_DJ, movie_MJ = compressed(recent_DM.to(data.device), settings.recent_factors)
        self.encoder_made = VisitsEncoder(part_M, row_RK, date_D, row_DJ)
        movie_MK = movie_RK.new_zeros(data.movies, movie_RK.shape[1])
        movie_MK[torch.from_numpy(np.flatnonzero(part_M >= 0)).to(data.device)] = movie_RK
        self.movie_MK = torch.cat([movie_MK, movie_MJ], 1)
        user_UK = data.whole_rows(self.encoder_made)
        zeros_U, zeros_M = user_UK.new_zeros(data.users), user_UK.new_zeros(data.movies)
        return Rows(user_UK, self.movie_MK, zeros_U, zeros_M, 0.0)

    def validate(self, data: HistoryData) -> dict[str, float]:
        """What was fitted, on all ranks' validation ratings."""
        none_M = self.movie_MK.new_zeros(data.movies)
        return validation_figures(data, self.encoder_made.encode, self.movie_MK, none_M)

    def save_encoder(self, folder: Path) -> None:
        """The regression's rows, which movie has which, and the dates."""
        made = self.encoder_made
        (folder / ENCODER).mkdir()
        np.save(folder / ENCODER / "part.npy", made.part_M)
        np.save(folder / ENCODER / "rows.npy", made.row_RK.cpu().numpy())
        np.save(folder / ENCODER / "dates.npy", made.date_D)
        np.save(folder / ENCODER / "date_rows.npy", made.row_DJ.cpu().numpy())

    @classmethod
    def encoder(cls, folder: Path, device: Any) -> VisitsEncoder:
        """From those files."""
        part_M, row_RK, date_D, row_DJ = (
            np.load(folder / ENCODER / f"{name}.npy")
            for name in ("part", "rows", "dates", "date_rows")
        )
        rows = [torch.from_numpy(array).to(device) for array in (row_RK, row_DJ)]
        return VisitsEncoder(part_M, rows[0], date_D, rows[1])


def regression(
    data: HistoryData, part_M: Int, settings: VisitsSettings, seed: int
) -> tuple[Tensor, Tensor]:
    """Rows of the R movies that take part, as rated ones and as those to be named: both R x K."""
    train = data.train.where(part_M[data.train.movie_N] >= 0)
    movies = int(part_M.max()) + 1
    both_RR, next_RR = counted(train, part_M, movies, settings.visit_minutes * 60)
    both_RR, next_RR = both_RR.to(data.device), next_RR.to(data.device)
    next_RR += settings.any_pair * (both_RR - both_RR.diagonal().diag())
    penalised_RR = both_RR.clone()
    penalised_RR.diagonal().add_(settings.penalty)
    row_RR = torch.cholesky_solve(next_RR, torch.linalg.cholesky(penalised_RR))
    movie_RK = leading(row_RR.T @ (both_RR @ row_RR), settings.factors, seed)
    row_RK = row_RR @ movie_RK
    return row_RK / scale(train, part_M, row_RK, movie_RK), movie_RK


def counted(train: Histories, part_M: Int, movies: int, gap: int) -> tuple[Tensor, Tensor]:
    """X'X and P'WY of all ranks' users, R x R."""
    both_RR, next_RR = rated_together(train, part_M, movies), torch.zeros(movies, movies)
    part_N = part_M[train.movie_N]
    history_V, first_V, last_V = later_visits(train, gap)
    weight_V = (1 / np.sqrt(last_V - first_V)).astype(np.float32)
    for start, stop in blocks(last_V - history_V):
        first_B, last_B = first_V[start:stop], last_V[start:stop]
        p_BR = csr_array(
            rows_of(history_V[start:stop], first_B, part_N), shape=(stop - start, movies)
        )
        value_N, column_N, offset_B1 = rows_of(first_B, last_B, part_N)
        value_N = np.repeat(weight_V[start:stop], np.diff(offset_B1))
        y_BR = csr_array((value_N, column_N, offset_B1), shape=(stop - start, movies))
        next_RR += torch.from_numpy((p_BR.T @ y_BR).toarray())
    total, visits = sum_over_ranks(
        torch.tensor([weight_V.sum(dtype=float), len(weight_V)])
    ).tolist()
    both_RR, next_RR = sum_over_ranks(both_RR), sum_over_ranks(next_RR)
    return both_RR, next_RR * (visits / total if visits else 0)


def later_visits(train: Histories, gap: int) -> tuple[Int, Int, Int]:
    """Of each visit but a history's first: where the history and the visit begin, where it ends."""
    time_N, owner_N = train.time_N, train.owner_N
    begins_N = np.zeros(len(time_N), bool)
    begins_N[1:] = (owner_N[1:] == owner_N[:-1]) & (time_N[:-1] > UNKNOWN)
    begins_N[1:] &= time_N[1:] - time_N[:-1] > gap
    first_V = np.flatnonzero(begins_N)
    history_V = train.offset_U1[owner_N[first_V]]
    next_V = np.append(first_V[1:], len(time_N))
    return history_V, first_V, np.minimum(next_V, train.offset_U1[owner_N[first_V] + 1])


def scale(train: Histories, part_M: Int, row_RK: Tensor, movie_RK: Tensor) -> float:
    """The mean over users of the best score of any movie."""
    every = max(1, len(train) // USERS_SCALED)
    some = train.take(np.arange(0, len(train), every))
    some = some.take(np.flatnonzero(some.count_U))
    none_DJ = row_RK.new_zeros(1, 0)
    encoder = VisitsEncoder(part_M, row_RK, np.zeros(1, np.int64), none_DJ)
    best_B = (encoder.encode(some) @ movie_RK.T).amax(1)
    total, users = sum_over_ranks(torch.tensor([best_B.double().sum().item(), len(some)])).tolist()
    return max(total / users, np.finfo(np.float32).tiny)


def dates(data: HistoryData, most: int = MOST_DATES) -> Int:
    """Times at which held-out movies are asked for, at most so many, and now, after all of them."""
    asked = [data.histories.until(split).asked_U for split in (VALIDATION, TEST)]
    asked_N = gathered(np.concatenate([asked_U for asked_U in asked if asked_U is not None]))
    latest_N = gathered(np.array([data.histories.time_N.max(initial=UNKNOWN)]))
    asked_N = np.unique(asked_N[asked_N > UNKNOWN])
    if len(asked_N) > most:
        asked_N = asked_N[np.linspace(0, len(asked_N), most, endpoint=False).astype(int)]
    return np.append(asked_N, latest_N.max() + 1)


def recent_popularity(data: HistoryData, date_D: Int, days: int) -> Tensor:
    """The root of each movie's ratings in the days before each date, at most 1; D x M.

    Now, all ratings count; at earlier dates, those of the train split.
    """
    count_DM = torch.zeros(len(date_D), data.movies)
    order_N = np.argsort(data.train.time_N, kind="stable")
    time_N, movie_N = data.train.time_N[order_N], data.train.movie_N[order_N]
    for place, date in enumerate(date_D[:-1]):
        first, last = np.searchsorted(time_N, [max(0, date - days * DAY), date])
        count_DM[place] = torch.from_numpy(np.bincount(movie_N[first:last], minlength=data.movies))
    now_N = data.histories.time_N >= max(0, date_D[-1] - days * DAY)
    movie_N = data.histories.movie_N[now_N]
    count_DM[-1] = torch.from_numpy(np.bincount(movie_N, minlength=data.movies))
    root_DM = (sum_over_ranks(count_DM) + 1).sqrt()
    # Less what movies without any have, which changes no order, most numbers are 0.
    return (root_DM - 1) / root_DM.amax(1, keepdim=True)


def compressed(recent_DM: Tensor, factors: int) -> tuple[Tensor, Tensor]:
    """Rows of dates and of movies, D x J and M x J; the last date's and one column are its own."""
    earlier_DM, now_M = recent_DM[:-1], recent_DM[-1]
    value_D, vector_DD = torch.linalg.eigh(earlier_DM @ earlier_DM.T)
    kept = min(factors, int((value_D > 1e-6 * value_D.max()).sum())) if len(value_D) else 0
    row_DJ = vector_DD.flip(1)[:, :kept]
    rows_DJ = torch.block_diag(row_DJ, row_DJ.new_ones(1, 1))
    return rows_DJ, torch.cat([earlier_DM.T @ row_DJ, now_M[:, None]], 1)


def gathered(number_N: Int) -> Int:
    """All ranks' numbers, one rank's after another's."""
    if hvd.size() == 1:
        return number_N
    return hvd.allgather(torch.from_numpy(number_N)).numpy()
