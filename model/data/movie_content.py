"""What a release says of movies, as numbers that stay the same whoever rates them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import norm, svds

from model.data.side_information import LEAST_ROWS, features

# The year, which is a feature of its own, and what follows it; then words of two letters or more.
YEAR = re.compile(r"\(\d{4}.*$")
WORD = re.compile(r"[^\W\d_]{2,}")


def movie_content(table: str | None, ids_M: NDArray[np.integer]) -> csr_array:
    """Genres, five years each, and words of the title of M movies, M x P.

    A movie's genres, its years and its words have length 1 each, words by TF-IDF. `table` is a
    folder of schemas.MOVIES. Raises ValueError if there is none, or it cannot be read.
    """
    if table is None:
        raise ValueError(
            "The model learns from what a release says of movies, and the training has no table "
            "of movies. Choose another model."
        )
    told = csr_array(features(table, "movie", ids_M, ["genres", "year"]))
    return csr_array(hstack([told, title_words(titles(table, ids_M))]))


def titles(table: str, ids_M: NDArray[np.integer]) -> list[str]:
    """Of each movie; empty where the table has none."""
    try:
        read = pq.read_table(table, columns=["movie_id", "title"])
    except Exception as error:
        raise ValueError(f"{table} cannot be read: {error}") from error
    title_of = dict(zip(read["movie_id"].to_pylist(), read["title"].to_pylist(), strict=True))
    return [title_of.get(movie) or "" for movie in ids_M.tolist()]


def title_words(title_M: list[str]) -> csr_array:
    """Rows of TF-IDF, at length 1; words of one title alone, and years, are left out."""
    words_M = [set(WORD.findall(YEAR.sub("", title).lower())) for title in title_M]
    count = Counter(word for words in words_M for word in words)
    known = sorted(word for word, titles in count.items() if titles >= LEAST_ROWS)
    place, idf = {}, np.zeros(len(known), np.float32)
    for number, word in enumerate(known):
        place[word], idf[number] = number, np.log((1 + len(title_M)) / (1 + count[word])) + 1
    column_MW = [sorted(place[word] for word in words if word in place) for words in words_M]
    offset_M1 = np.cumsum([0, *map(len, column_MW)])
    column_N = np.fromiter((column for row in column_MW for column in row), np.int64)
    rows = csr_array((idf[column_N], column_N, offset_M1), shape=(len(title_M), len(known)))
    length_M = norm(rows, axis=1) if known else np.zeros(len(title_M))
    rows.data /= np.repeat(length_M, np.diff(offset_M1))
    return rows


def shortened(content: csr_array, width: int, seed: int) -> NDArray[np.float32]:
    """Rows of at most `width` numbers, whose products are nearest to those of the content's."""
    if width >= min(content.shape):
        return content.toarray()
    left_MK, value_K, _ = svds(content, width, rng=np.random.default_rng(seed))
    return (left_MK * value_K).astype(np.float32)
