"""Which genres a release says that each movie has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.factors import index_of


def movie_genres(movies: Path, ids_M: NDArray[np.integer]) -> tuple[NDArray[np.bool_], list[str]]:
    """Flags of M movies, whose ids ascend, and G genres; and the genres' names, ascending.

    `movies` is a folder of schemas.MOVIES; a movie that it does not have is of no genre.
    """
    table = pq.read_table(movies, columns=["movie_id", "genres"])
    place_T = index_of(ids_M, table["movie_id"].to_numpy())
    names_T = table["genres"].to_pylist()
    place_of = {name: g for g, name in enumerate(sorted({n for of in names_T for n in of or []}))}
    genre_MG = np.zeros((len(ids_M), len(place_of)), bool)
    for place, names in zip(place_T, names_T, strict=True):
        if place >= 0:
            genre_MG[place, [place_of[name] for name in names or []]] = True
    return genre_MG, list(place_of)
