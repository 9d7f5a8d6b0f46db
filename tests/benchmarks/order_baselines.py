"""Orders that any model of what comes next must beat: scores of held-out users for all movies."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from model.data.co_rated import rated_together
from model.data.histories import TRAIN, UNKNOWN, Histories
from model.held_out import HeldOut
from model.item_linear import ease

DAY = 86_400
BIAS_DAMPING = 10.0


class Baselines:
    """Learned from the train split; each gives scores B x M of the users of `held`."""

    def __init__(self, histories: Histories, movies: int) -> None:
        self.train, self.movies = histories.of(TRAIN), movies
        self.count_M = np.bincount(self.train.movie_N, minlength=movies)
        self.inverse: dict[float, np.ndarray] = {}

    def popularity(self, held: HeldOut) -> np.ndarray:
        """Training ratings of a movie."""
        return np.tile(self.count_M.astype(np.float32), (len(held), 1))

    def popularity_of_30_days(self, held: HeldOut) -> np.ndarray:
        """Training ratings of the 30 days before each user is asked; ties by all of them."""
        order_N = np.argsort(self.train.time_N, kind="stable")
        time_N, movie_N = self.train.time_N[order_N], self.train.movie_N[order_N]
        asked_B = held.known.asked_U
        assert asked_B is not None
        # Who is asked at an unknown time, is asked now.
        asked_B = np.where(asked_B == UNKNOWN, time_N.max(initial=0) + 1, asked_B)
        share_M = self.count_M / self.count_M.sum()
        score_BM = np.empty((len(held), self.movies), np.float32)
        for place, asked in enumerate(asked_B):
            first, last = np.searchsorted(time_N, [max(0, asked - 30 * DAY), asked])
            score_BM[place] = np.bincount(movie_N[first:last], minlength=self.movies) + share_M
        return score_BM

    def bias_order(self, held: HeldOut) -> np.ndarray:
        """Mean rating of a movie, moved towards the mean of all by ten ratings."""
        rest_N = self.train.rating_N - self.train.rating_N.mean()
        sum_M = np.bincount(self.train.movie_N, rest_N, self.movies)
        return np.tile((sum_M / (self.count_M + BIAS_DAMPING)).astype(np.float32), (len(held), 1))

    def ease(self, penalty: float, lag: float | None = None) -> Callable[[HeldOut], np.ndarray]:
        """EASE (Steck, 2019); with `lag`, a movie rated n movies ago counts e^(-n / lag)."""

        def score(held: HeldOut) -> np.ndarray:
            known = held.known
            ago_N = (
                np.repeat(known.offset_U1[1:], known.count_U) - 1 - np.arange(len(known.movie_N))
            )
            weight_N = np.exp(-ago_N / lag) if lag else np.ones(len(ago_N))
            shape = (len(known), self.movies)
            x = csr_array((weight_N, known.movie_N, known.offset_U1), shape=shape)
            return (x @ self.ease_weights(penalty)).astype(np.float32)

        return score

    def ease_weights(self, penalty: float) -> np.ndarray:
        if penalty not in self.inverse:
            both_MM = rated_together(self.train, np.arange(self.movies), self.movies)
            self.inverse = {penalty: ease(both_MM, penalty).numpy()}
        return self.inverse[penalty]
