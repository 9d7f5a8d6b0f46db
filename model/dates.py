"""What a rating's time adds to its score: effects of bins of time of movies and of users.

    score at a time = score + effect of the movie's bin + of the user's bin + of the user's day

(Koren, "Collaborative Filtering with Temporal Dynamics", 2009). Biases of `Factors` hold the
effects of the last bins, which are those of any time from the last ratings on; a prediction for
another time has these taken out and its own put in. A bin without ratings adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.integer]
Float = NDArray[np.floating]
UNKNOWN = -1
DAY = 86_400
# More days than there are between any two times that 32 bits count.
DAYS = 1 << 17


@dataclass(frozen=True)
class Clock:
    """Which bins a rating's time lies in. Times are seconds since 1970, UNKNOWN for none."""

    movie_bins: int
    """Of equal length, over the times of all ratings; 0: none."""
    user_bins: int
    """Of equal length, from a user's first rating to the last; 0: none."""
    days: bool
    """Whether each day on which a user has rated is a bin."""
    first: int
    last: int
    """Of all ratings that were learned from."""
    first_U: Int
    last_U: Int
    """Of each user's, 0 where none has a time."""

    def keys(self, user_P: Int, movie_P: Int, time_P: Int | None) -> list[Int]:
        """For P pairs of row numbers the bins: the movie's, the user's and the day.

        None stands for any time after all ratings. UNKNOWN is the bin of what has none.
        """
        user_P, movie_P = np.asarray(user_P, np.int64), np.asarray(movie_P, np.int64)
        none_P = np.full(len(user_P), UNKNOWN)
        known_P = (user_P >= 0) & (movie_P >= 0)
        by_movie: Int = none_P + self.movie_bins
        by_user: Int = none_P + self.user_bins
        by_day: Int = none_P
        if time_P is not None:
            time_P = np.asarray(time_P, np.int64)
            known_P = known_P & (time_P != UNKNOWN)
            by_movie = binned(time_P, self.first, self.last, self.movie_bins)
            by_user = binned(time_P, self.first_U[user_P], self.last_U[user_P], self.user_bins)
            by_day = user_P * DAYS + time_P // DAY if self.days else none_P
        return [
            np.where(known_P & (key_P >= 0), key_P, UNKNOWN)
            for key_P in (
                movie_P * self.movie_bins + by_movie if self.movie_bins else none_P,
                user_P * self.user_bins + by_user if self.user_bins else none_P,
                by_day,
            )
        ]


def binned(time_P: Int, first: Int | int, last: Int | int, bins: int) -> Int:
    """Which of so many bins of equal length; times outside of them lie in the nearest."""
    place_P = (time_P - first) * bins // (last - first + 1)
    return np.clip(place_P, 0, max(bins - 1, 0))


def clock_of(user_N: Int, time_N: Int, users: int, bins: tuple[int, int, bool]) -> Clock:
    """The clock of these ratings, of which those without a time say nothing."""
    dated_N = time_N != UNKNOWN
    user_D, time_D = user_N[dated_N], time_N[dated_N]
    first_U = np.full(users, np.iinfo(np.int64).max)
    last_U = np.full(users, np.iinfo(np.int64).min)
    np.minimum.at(first_U, user_D, time_D)
    np.maximum.at(last_U, user_D, time_D)
    empty_U = first_U > last_U
    first_U[empty_U], last_U[empty_U] = 0, 0
    return Clock(*bins, int(time_D.min(initial=2**40)), int(time_D.max(initial=0)), first_U, last_U)


@dataclass(frozen=True)
class Effects:
    """The bins of one kind that have ratings, ascending, and what each adds, in rating points."""

    key_G: Int
    value_G: Float

    def of(self, key_P: Int) -> Float:
        """What the bins add; nothing where there were no ratings."""
        if not len(self.key_G):
            return np.zeros(len(key_P))
        place_P = np.minimum(np.searchsorted(self.key_G, key_P), len(self.key_G) - 1)
        return np.where(self.key_G[place_P] == key_P, self.value_G[place_P], 0.0)

    def last(self, rows: int, bins: int) -> Float:
        """What the last of so many bins of each row adds."""
        return self.of(np.arange(1, rows + 1) * bins - 1)


@dataclass(frozen=True)
class Dates:
    """A clock, and the effects of its bins."""

    clock: Clock
    movie: Effects
    user: Effects
    day: Effects

    @property
    def kinds(self) -> tuple[Effects, Effects, Effects]:
        """In the order of a clock's keys."""
        return self.movie, self.user, self.day

    def at(self, user_P: Int, movie_P: Int, time_P: Int | None) -> Float:
        """What the times of P pairs of row numbers add to their scores; None: after all ratings."""
        keys = self.clock.keys(user_P, movie_P, time_P)
        added = [kind.of(key_P) for kind, key_P in zip(self.kinds, keys, strict=True)]
        return np.sum(added, axis=0)

    def instead(self, user_P: Int, movie_P: Int, time_P: Int) -> Float:
        """What to add to scores by `Factors`, whose biases hold the effects of the last bins."""
        return self.at(user_P, movie_P, time_P) - self.at(user_P, movie_P, None)

    def last_of_users(self, users: int) -> Float:
        """What the last bin of each user adds to the user's bias."""
        return self.user.last(users, self.clock.user_bins)

    def last_of_movies(self, movies: int) -> Float:
        """What the last bin of each movie adds to the movie's bias."""
        return self.movie.last(movies, self.clock.movie_bins)

    def times(self, weight: float) -> Dates:
        """With all effects times a weight."""
        scaled = [Effects(kind.key_G, weight * kind.value_G) for kind in self.kinds]
        return Dates(self.clock, *scaled)

    def moved(self, place_U: Int, users: int) -> Dates:
        """With other row numbers, which ascend, for users; `users` are there in all."""
        first_U, last_U = np.zeros(users, np.int64), np.zeros(users, np.int64)
        first_U[place_U], last_U[place_U] = self.clock.first_U, self.clock.last_U
        kinds = [self.movie]
        for kind, bins in ((self.user, max(self.clock.user_bins, 1)), (self.day, DAYS)):
            key_G = place_U[kind.key_G // bins] * bins + kind.key_G % bins
            kinds.append(Effects(key_G, kind.value_G))
        return Dates(replace(self.clock, first_U=first_U, last_U=last_U), *kinds)

    def with_movies_at(self, place_M: Int) -> Dates:
        """With other row numbers, which ascend, for movies."""
        bins = max(self.clock.movie_bins, 1)
        key_G = place_M[self.movie.key_G // bins] * bins + self.movie.key_G % bins
        return replace(self, movie=Effects(key_G, self.movie.value_G))

    def arrays(self) -> dict[str, NDArray]:
        """All of it, by name."""
        clock = {f.name: np.asarray(getattr(self.clock, f.name)) for f in fields(Clock)}
        kinds = zip(("movie", "user", "day"), self.kinds, strict=True)
        effects = {
            f"{name}_{part}": getattr(kind, part)
            for name, kind in kinds
            for part in ("key_G", "value_G")
        }
        return clock | effects

    @staticmethod
    def of_arrays(arrays: dict[str, NDArray]) -> Dates:
        """What `arrays` gave. Raises KeyError where one is missing."""
        kinds = [
            Effects(arrays[f"{name}_key_G"], arrays[f"{name}_value_G"])
            for name in ("movie", "user", "day")
        ]
        told = {f.name: arrays[f.name] for f in fields(Clock)}
        scalars = {name: value.item() for name, value in told.items() if value.ndim == 0}
        return Dates(Clock(**told | scalars), *kinds)
