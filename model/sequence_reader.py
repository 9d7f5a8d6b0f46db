"""How a network of sequences reads histories: what it is told at each place, and users' rows.

At a place stands a movie; beside it may be told what it was rated, its genres, and how long it was
until the next one was asked for, all added to the movie's embedding. That last gap is known when a
list is made: a next movie within the minute is one of the same page, one a month later is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.data.histories import UNKNOWN, Histories

if TYPE_CHECKING:
    from model.ridge import RidgeEncoder
    from model.sequence import SequenceSettings

USERS_PER_BLOCK = 512
# Ratings from 0 to 5, in halves.
RATINGS = 11
# Powers of 2 of seconds, up to 34 years, and of a gap that is not known.
GAPS = 32
# Who is asked for now is asked for after so many seconds at least: tonight's list is for a later
# visit, even of who has rated a minute ago.
LATER = 86_400


class Reader(nn.Module):
    """Input embeddings and the network over them. `genre_MG` are movies' genres, if it is told."""

    def __init__(
        self,
        movies: int,
        settings: SequenceSettings,
        network: nn.Module,
        genre_MG: Tensor | None = None,
    ) -> None:
        super().__init__()
        width = settings.width
        self.movie = nn.Embedding(movies, width)
        nn.init.normal_(self.movie.weight, std=width**-0.5)
        self.rating = beginning_at_zero(RATINGS, width) if settings.rating else None
        self.gap = beginning_at_zero(GAPS + 1, width) if settings.gap else None
        self.genre_MG: Tensor
        self.genre_GK: nn.Parameter | None = None
        if genre_MG is not None:
            self.register_buffer("genre_MG", genre_MG)
            self.genre_GK = nn.Parameter(torch.zeros(genre_MG.shape[1], width))
        self.dropout = nn.Dropout(settings.input_dropout)
        self.network, self.norm = network, nn.LayerNorm(width)
        # As bytes, because Horovod sends no booleans.
        self.known_M: Tensor
        self.register_buffer("known_M", torch.ones(movies, dtype=torch.uint8))
        self.latest: Tensor
        if self.gap is not None:
            self.register_buffer("latest", torch.tensor(UNKNOWN))

    def forward(
        self, movie_BL: Tensor, rating_BL: Tensor | None = None, gap_BL: Tensor | None = None
    ) -> Tensor:
        """A row at each place of B windows, B x L x K; what it is not to be told may be None."""
        row_BLK = self.movie(movie_BL)
        if self.genre_GK is not None:
            row_BLK = row_BLK + (self.genre_MG @ self.genre_GK)[movie_BL]
        if self.rating is not None:
            assert rating_BL is not None
            row_BLK = row_BLK + self.rating((2 * rating_BL).round().long().clamp(0, RATINGS - 1))
        if self.gap is not None:
            assert gap_BL is not None
            row_BLK = row_BLK + self.gap(bucket(gap_BL))
        return self.norm(self.network(self.dropout(row_BLK)))


def beginning_at_zero(rows: int, width: int) -> nn.Embedding:
    """An embedding that says nothing until it has learned to."""
    return nn.Embedding(rows, width, _weight=torch.zeros(rows, width))


def bucket(gap: Tensor) -> Tensor:
    """Number of a gap's embedding, from its seconds; the last one is of UNKNOWN."""
    power = (gap.clamp(min=0) + 1).double().log2().long().clamp(max=GAPS - 1)
    return torch.where(gap == UNKNOWN, GAPS, power)


class SequenceEncoder:
    """Rows of users: the reader's at the last place, and the regression's beside it."""

    def __init__(self, reader: Reader, window: int, beside: RidgeEncoder | None) -> None:
        self.reader, self.window, self.beside = reader, window, beside

    @torch.no_grad()
    def encode(self, histories: Histories) -> Tensor:
        """Rows, U x K; movies that the model has not learned of are passed over."""
        self.reader.eval()
        device = self.reader.movie.weight.device
        known_M = self.reader.known_M.cpu().numpy() > 0
        known = histories.where(known_M[histories.movie_N])
        gap_N = self.gaps(known) if self.reader.gap is not None else None
        length_U = np.minimum(known.count_U, self.window)
        user_UK = torch.zeros(len(known), self.reader.movie.embedding_dim, device=device)
        order_U = np.argsort(length_U, kind="stable")
        order_U = order_U[length_U[order_U] > 0]
        for start in range(0, len(order_U), USERS_PER_BLOCK):
            user_B = order_U[start : start + USERS_PER_BLOCK]
            length_B = length_U[user_B]
            place_BL = np.arange(length_B.max()) + (known.offset_U1[1:][user_B] - length_B)[:, None]
            # Behind a window's end stands anything: no place before it sees it.
            place_BL = np.minimum(place_BL, len(known.movie_N) - 1)
            read = [known.movie_N[place_BL].astype(np.int64), known.rating_N[place_BL]]
            read += [] if gap_N is None else [gap_N[place_BL]]
            row_BLK = self.reader(*(torch.from_numpy(part).to(device) for part in read))
            last_B = torch.from_numpy(length_B - 1).to(device)
            row_BK = row_BLK[torch.arange(len(user_B), device=device), last_B]
            user_UK[torch.from_numpy(user_B).to(device)] = row_BK
        if self.beside is None:
            return user_UK
        return torch.cat([user_UK, self.beside.encode(known)], 1)

    def gaps(self, known: Histories) -> NDArray[np.int64]:
        """Seconds from each rating to the next one, and from the last to when a user is asked for.

        UNKNOWN where either has no time. Now is after all that was known in training.
        """
        time_N, owner_U = known.time_N, known.count_U > 0
        next_N = np.append(time_N[1:], UNKNOWN)
        last_B = known.offset_U1[1:][owner_U] - 1
        now_B = np.maximum(int(self.reader.latest), time_N[last_B] + LATER)
        asked_B = now_B if known.asked_U is None else known.asked_U[owner_U]
        next_N[last_B] = np.where(asked_B == UNKNOWN, now_B, asked_B)
        both_N = (time_N > UNKNOWN) & (next_N > UNKNOWN)
        return np.where(both_N, np.maximum(next_N - time_N, 0), UNKNOWN)
