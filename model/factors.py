"""A folder that appears whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
SCALARS = ("mean", "rating_min", "rating_max")
# Absent from models that earlier versions of Nightreel saved.
LATER = {"movie_count_M"}


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; if all goes well it then takes the place of `folder`.

    When writing fails, `folder` stays as it was.
    """
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        # On a full disk, what is half written stands in the way of the next attempt.
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


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
    movie_count_M: Int | None = None
    """Training ratings of each movie; None in models saved before it was kept."""
    manifest: dict[str, Any] = field(default_factory=dict)
    """Configuration, metrics and data fingerprint of the training."""

    def source(self, user_idx: Int, movie_idx: Int) -> NDArray[np.str_]:
        """What `predict` rests on for each of P pairs: 'model', 'popular' or 'mean'."""
        by_movie = np.where(known(user_idx, self.user_trained_U), "model", "popular")
        return np.where(known(movie_idx, self.movie_trained_M), by_movie, "mean")

    def predict(self, user_idx: Int, movie_idx: Int, clip: bool = True) -> Float:
        """Ratings of P pairs given as row numbers; -1 stands for an id that is not in the index.

        Known user and movie ('model'): the score. Only the movie known ('popular'): `popular_M`.
        Movie not known ('mean'): the mean training rating, plus the user's bias where known.
        """
        user_known = known(user_idx, self.user_trained_U)
        source = self.source(user_idx, movie_idx)
        score = np.full(len(user_idx), self.manifest["train_mean"], dtype=np.float32)
        learned = np.flatnonzero(source == "model")
        # Blocks keep the gathered rows in the cache and the memory bounded.
        for start in range(0, len(learned), 65_536):
            pair = learned[start : start + 65_536]
            users, movies = user_idx[pair], movie_idx[pair]
            score[pair] = (
                self.mean
                + self.user_bias_U[users]
                + self.movie_bias_M[movies]
                + np.einsum("pk,pk->p", self.user_UK[users], self.movie_MK[movies])
            )
        popular = source == "popular"
        score[popular] = self.popular_M[movie_idx[popular]]
        only_user = user_known & (source == "mean")
        score[only_user] += self.user_bias_U[user_idx[only_user]]
        return np.clip(score, self.rating_min, self.rating_max) if clip else score

    def user_idx(self, user_ids: Int) -> Int:
        """Row numbers of users; -1 where the model does not know the id."""
        return positions(self.user_ids_U, user_ids)

    def movie_idx(self, movie_ids: Int) -> Int:
        """Row numbers of movies; -1 where the model does not know the id."""
        return positions(self.movie_ids_M, movie_ids)

    def save(self, folder: Path) -> None:
        """Write all arrays and manifest.json; `folder` appears whole or not at all."""
        scalars = {name: float(getattr(self, name)) for name in SCALARS}
        text = json.dumps(scalars | {"manifest": self.manifest}, indent=2)
        with whole_folder(folder) as temporary:
            for name in array_names():
                if (array := getattr(self, name)) is not None:
                    np.save(temporary / f"{name}.npy", array)
            (temporary / "manifest.json").write_text(text + "\n", encoding="utf-8")


def array_names() -> list[str]:
    return [f.name for f in fields(Factors) if f.name not in (*SCALARS, "manifest")]


def load_factors(folder: Path) -> Factors:
    """Memory-map a saved `Factors`. Raises ValueError, naming the file, if it is not whole."""
    try:
        text = (folder / "manifest.json").read_text(encoding="utf-8")
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in array_names()
            if name not in LATER or (folder / f"{name}.npy").exists()
        }
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} does not hold a whole model: {error}") from error
    return Factors(**arrays, **json.loads(text))


def known(idx: Int, trained: Bool) -> Bool:
    """Which row numbers, -1 for none, are those of trained rows."""
    answer = idx >= 0
    answer[answer] = trained[idx[answer]]
    return answer


def positions(ids: Int, wanted: Int) -> Int:
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
