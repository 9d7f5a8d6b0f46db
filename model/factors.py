"""`Factors`: what every model ends as, and its folder of memory-mappable arrays.

    score = mean + user_bias + movie_bias + user_row . movie_row

Rows of users or movies without training ratings hold no knowledge: their rows and biases are zero,
and `user_trained`, `movie_trained` say so. For such users `popular_M` stands in: the rating that a
user about whom nothing is known gives a movie.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.dates import Dates
from model.files import whole_folder

Float = NDArray[np.float32]
Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
SCALARS = ("mean", "rating_min", "rating_max", "train_mean", "noise")
DATES = "dates.npz"
# Absent from models that earlier versions of Nightreel saved.
LATER = {"movie_count_M", "user_sd_US", "movie_sd_MS", "known_U", "user_folded_U"}
LATER |= {"movie_content_M"}
# Blocks of pairs keep the gathered rows in the cache and the memory bounded.
PAIRS_PER_BLOCK = 16_384


@dataclass(frozen=True)
class Factors:
    """U users, M movies, K factors; row i belongs to the i-th smallest id.

    Row numbers are `user_idx` and `movie_idx`. All arrays may be memory-mapped and read-only.
    """

    user_UK: Float
    movie_MK: Float
    user_bias_U: Float
    movie_bias_M: Float
    user_trained_U: Bool
    movie_trained_M: Bool
    popular_M: Float
    """Rating expected of a user about whom nothing is known."""
    user_ids_U: Int
    """The source's ids, ascending."""
    movie_ids_M: Int
    mean: float
    rating_min: float
    rating_max: float
    train_mean: float
    """Mean training rating; `mean` is what scores start from, 0 in a model without biases."""
    movie_count_M: Int | None = None
    """Training ratings of each movie; None in models saved before it was kept."""
    user_sd_US: Float | None = None
    movie_sd_MS: Float | None = None
    """Not below 0; a user's row times a movie's is the standard deviation of the rating around its
    score, in rating points. None in models that do not know it."""
    dates: Dates | None = None
    """What the time of a rating adds to its score; None in models that do not ask. Biases hold what
    any time after all ratings adds."""
    noise: float | None = None
    """Variance of the ratings learned from around their scores. None in models of order, and in
    those saved before it was kept."""
    known_U: NDArray[np.uint64] | None = None
    """Digests of what each user had rated at the training, held back or not
    (model/known_ratings.py). None as `noise`."""
    user_folded_U: Bool | None = None
    """Users whose rows were made after the training (model/fold_in.py). None: nobody's."""
    movie_content_M: Bool | None = None
    """Movies that were not learned, whose rows follow from what is known of them
    (model/new_movies.py). None: none's."""
    manifest: dict[str, Any] = field(default_factory=dict)
    """Configuration, metrics and data fingerprint of the training."""

    def source(self, user_idx_P: Int, movie_idx_P: Int) -> NDArray[np.str_]:
        """What `predict` rests on for each of P pairs.

        That is model, folded_in, content, popular or mean.
        """
        by_movie = np.where(is_trained(user_idx_P, self.user_trained_U), "model", "popular")
        if self.user_folded_U is not None:
            by_movie = np.where(self.is_folded(user_idx_P), "folded_in", by_movie)
        if self.movie_content_M is not None:
            by_movie = np.where(is_trained(movie_idx_P, self.movie_content_M), "content", by_movie)
        return np.where(is_trained(movie_idx_P, self.movie_trained_M), by_movie, "mean")

    def is_folded(self, user_idx_P: Int) -> Bool:
        """Which row numbers of users, -1 for none, are those of rows made after the training."""
        if self.user_folded_U is None:
            return np.zeros(len(user_idx_P), bool)
        return is_trained(user_idx_P, self.user_folded_U)

    def score(self, user_idx_P: Int, movie_idx_P: Int) -> NDArray[np.float64]:
        """The model's scores of P pairs of trained users and movies, given as row numbers.

        They are neither clipped nor rounded, and summed in the order of the scoring kernel.
        """
        score_P = np.empty(len(user_idx_P))
        for start in range(0, len(score_P), PAIRS_PER_BLOCK):
            block = slice(start, start + PAIRS_PER_BLOCK)
            user, movie = user_idx_P[block], movie_idx_P[block]
            rows = self.user_UK[user], self.movie_MK[movie]
            score_P[block] = np.einsum("pk,pk->p", *rows, dtype=np.float64)
            score_P[block] += self.movie_bias_M[movie]
            score_P[block] += self.user_bias_U[user].astype(np.float64) + self.mean
        return score_P

    def predict(
        self, user_idx_P: Int, movie_idx_P: Int, clip: bool = True, time_P: Int | None = None
    ) -> Float:
        """Ratings of P pairs given as row numbers; -1 stands for an id that is not in the index.

        They are those of today, or at the times given, in seconds since 1970, -1 where unknown; of
        rows that were folded in, today's alone.
        User and movie have rows ('model', 'folded_in', 'content'): the score. Only the movie has
        ('popular', 'content'): `popular_M`. The movie has none ('mean'): `train_mean`, plus the
        user's bias if known.
        """
        user_P = is_trained(user_idx_P, self.user_trained_U)
        movie_P = is_trained(movie_idx_P, self.movie_trained_M)
        rating_P = np.full(len(user_idx_P), self.train_mean)
        model, popular = np.flatnonzero(user_P & movie_P), ~user_P & movie_P
        rating_P[model] = self.score(user_idx_P[model], movie_idx_P[model])
        if time_P is not None and self.dates:
            own = np.flatnonzero(self.source(user_idx_P, movie_idx_P) == "model")
            pairs = user_idx_P[own], movie_idx_P[own], np.asarray(time_P)[own]
            rating_P[own] += self.dates.instead(*pairs)
        rating_P[popular] = self.popular_M[movie_idx_P[popular]]
        only_user = user_P & ~movie_P
        rating_P[only_user] += self.user_bias_U[user_idx_P[only_user]]
        rounded_P = rating_P.astype(np.float32)
        return np.clip(rounded_P, self.rating_min, self.rating_max) if clip else rounded_P

    @property
    def knows_sd(self) -> bool:
        """Whether the model says how far a rating may be from what it predicts."""
        return self.user_sd_US is not None and self.movie_sd_MS is not None

    def sd(self, user_idx_P: Int, movie_idx_P: Int) -> Float:
        """Standard deviations of the ratings of P pairs given as row numbers, in rating points.

        NaN where the prediction does not rest on what was trained, or the model does not know it.
        """
        sd_P = np.full(len(user_idx_P), np.nan, np.float32)
        if self.user_sd_US is None or self.movie_sd_MS is None:
            return sd_P
        known = np.flatnonzero(self.source(user_idx_P, movie_idx_P) == "model")
        rows = self.user_sd_US[user_idx_P[known]], self.movie_sd_MS[movie_idx_P[known]]
        sd_P[known] = np.einsum("ps,ps->p", *rows)
        return sd_P

    def user_idx(self, user_ids: Int) -> Int:
        """Row numbers of users; -1 where the model does not know the id."""
        return index_of(self.user_ids_U, user_ids)

    def movie_idx(self, movie_ids: Int) -> Int:
        """Row numbers of movies; -1 where the model does not know the id."""
        return index_of(self.movie_ids_M, movie_ids)

    def learned_users(self, user_ids: Int) -> Int:
        """Row numbers of users; -1 where the model knows the id not, or nothing of the user."""
        place = self.user_idx(user_ids)
        return np.where(is_trained(place, self.user_trained_U), place, -1)

    def learned_movies(self, movie_ids: Int) -> Int:
        """Row numbers of movies; -1 where the model knows the id not, or nothing of the movie."""
        place = self.movie_idx(movie_ids)
        return np.where(is_trained(place, self.movie_trained_M), place, -1)

    def save(self, folder: Path, beside: Callable[[Path], None] | None = None) -> None:
        """Write all arrays and manifest.json; `folder` appears whole or not at all.

        `beside` is called with it to write what else belongs to the model.
        """
        numbers = {name: getattr(self, name) for name in SCALARS}
        scalars = {name: float(value) for name, value in numbers.items() if value is not None}
        text = json.dumps(scalars | {"manifest": self.manifest}, indent=2)
        with whole_folder(folder) as temporary:
            for name in array_names():
                if (array := getattr(self, name)) is not None:
                    np.save(temporary / f"{name}.npy", array)
            if self.dates:
                np.savez(temporary / DATES, **self.dates.arrays())
            (temporary / "manifest.json").write_text(text + "\n", encoding="utf-8")
            if beside:
                beside(temporary)


def array_names() -> list[str]:
    return [f.name for f in fields(Factors) if f.name not in (*SCALARS, "manifest", "dates")]


def load_factors(folder: Path) -> Factors:
    """Memory-map a saved `Factors`. Raises ValueError, naming the folder, if it is not whole."""
    try:
        values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in array_names()
            if name not in LATER or (folder / f"{name}.npy").exists()
        }
        if "train_mean" not in values:
            # Earlier versions of Nightreel kept it in the manifest only.
            values["train_mean"] = values["manifest"]["train_mean"]
        if (folder / DATES).exists():
            with np.load(folder / DATES) as dates:
                values["dates"] = Dates.of_arrays(dict(dates))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"{folder} does not hold a whole model: {error}") from error
    return Factors(**arrays, **values)


@dataclass(frozen=True)
class Joining:
    """How rows by ascending id, and further ones, become rows by ascending id of all of them."""

    ids_J: Int
    at_O: Int
    """Where the rows that there were stand then."""
    at_N: Int
    """Where the further ones do, perhaps in the place of another."""

    @classmethod
    def of(cls, ids_O: Int, ids_N: Int) -> Joining:
        """Of rows with these ids, and further ones with those."""
        ids_J = np.union1d(ids_O, ids_N).astype(ids_O.dtype)
        return cls(ids_J, np.searchsorted(ids_J, ids_O), np.searchsorted(ids_J, ids_N))

    def __call__(self, row_O: NDArray, row_N: NDArray | float) -> NDArray:
        """One array of both."""
        row_J = np.zeros((len(self.ids_J), *row_O.shape[1:]), row_O.dtype)
        row_J[self.at_O], row_J[self.at_N] = row_O, row_N
        return row_J


def is_trained(idx: Int, trained: Bool) -> Bool:
    """Which row numbers, -1 for none, are those of trained rows."""
    answer = idx >= 0
    answer[answer] = trained[idx[answer]]
    return answer


def index_of(ids: Int, wanted: Int) -> Int:
    """Where each of `wanted` stands in ascending `ids`; -1 where it does not."""
    if len(ids) == 0:
        return np.full(len(wanted), -1, dtype=np.int32)
    low, span = int(ids[0]), int(ids[-1]) - int(ids[0]) + 1
    if span <= 4 * len(wanted):
        # Ids that lie close together: a table of them all answers faster than any search.
        table = np.full(span + 1, -1, dtype=np.int32)
        table[np.asarray(ids, dtype=np.int64) - low] = np.arange(len(ids), dtype=np.int32)
        place = np.asarray(wanted, dtype=np.int64) - low
        place[(place < 0) | (place > span)] = span
        return table[place]
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1).astype(np.int32)
