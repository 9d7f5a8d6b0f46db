"""Which movies of two releases are the same, by title and year.

Ids differ between releases and titles hardly: an article stands before or behind, another title may
follow in brackets, and accents and punctuation come and go.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.data.side_information import Told, columns_of

FILE = "movies.parquet"
"""In the folder of a model's `Factors`: titles and years of its movies."""
COLUMNS = ["movie_id", "title", "year"]
YEAR = re.compile(r"\((\d{4})[^)]*\)\s*$")
BRACKETS = re.compile(r"\([^)]*\)")
# Behind a comma at the end, as in "Matrix, The" and "Misérables, Les".
ARTICLE = re.compile(
    r"^(?P<rest>.*), (?P<article>the|a|an|la|le|les|l'|el|los|las|il|lo|i|gli|der|die|das|den|det)$"
)

Key = tuple[str, int]


def key_of(title: str | None, year: int | None) -> Key | None:
    """What is alike in two writings of a title; None without a title or a year."""
    title = title or ""
    told = YEAR.search(title)
    year = year if year is not None else int(told[1]) if told else None
    bare = BRACKETS.sub(" ", title).casefold()
    bare = " ".join(bare.split())
    if found := ARTICLE.match(bare):
        bare = f"{found['article']} {found['rest']}"
    plain = unicodedata.normalize("NFKD", bare)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = re.findall(r"[^\W_]+", plain.replace("&", " and "))
    return (" ".join(words), year) if words and year is not None else None


def save_titles(table: Told, ids_M: NDArray[np.integer], folder: Path) -> None:
    """Beside the `Factors` of M movies: a later training may start from them."""
    told = columns_of(table, COLUMNS)
    own = pc.is_in(told["movie_id"], pa.array(ids_M))
    pq.write_table(told.filter(own), folder / FILE)


def titles_beside(folder: Path) -> pa.Table:
    """Those of a saved model. Raises ValueError if there are none."""
    if not (folder / FILE).exists():
        raise ValueError(
            f"{folder} has no titles to match movies by: it was trained on a release without a "
            "table of movies, or before titles were kept beside models. Train it anew."
        )
    return columns_of(pq.read_table(folder / FILE), COLUMNS)


def same_movies(
    here: Told,
    ids_M: NDArray[np.integer],
    there: pa.Table,
    ids_T: NDArray[np.integer],
    count_T: NDArray[np.integer],
) -> NDArray[np.int64]:
    """The row number there of each of M movies; -1 where there is none of its title and year.

    Of several there it is the one of the most ratings. Raises ValueError if a table cannot be read.
    """
    key_M, key_T = keys(here, ids_M), keys(there, ids_T)
    place: dict[Key, int] = {}
    for number in np.argsort(count_T, kind="stable"):
        if key := key_T[number]:
            place[key] = int(number)
    return np.array([place.get(key, -1) if key else -1 for key in key_M], np.int64)


def keys(table: Told, ids_M: NDArray[np.integer]) -> list[Key | None]:
    """Of each movie; None of one that the table does not know."""
    read = columns_of(table, COLUMNS)
    told = zip(*(read[name].to_pylist() for name in COLUMNS), strict=True)
    key = {movie: key_of(title, year) for movie, title, year in told}
    return [key.get(movie) for movie in ids_M.tolist()]
