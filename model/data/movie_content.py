"""What a release says of movies, as numbers that stay the same whoever rates them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from scipy.sparse.linalg import norm, svds

from model.data.side_information import LEAST_ROWS, Told, columns_of, features

# The year, which is a feature of its own, and what follows it; then words of two letters or more.
YEAR = re.compile(r"\(\d{4}.*$")
WORD = re.compile(r"[^\W\d_]{2,}")
# Numbers to which what is known of the movies of a catalogue is cut.
WIDTH = 100


@dataclass(frozen=True)
class CatalogueContent:
    """What is known of the T movies of a catalogue, whose ids ascend."""

    ids_T: NDArray[np.integer]
    content: csr_array

    @classmethod
    def of(cls, table: Told) -> CatalogueContent:
        """All movies of a table. Raises ValueError if it cannot be read."""
        ids_T = np.sort(columns_of(table, ["movie_id"])["movie_id"].to_numpy())
        return cls(ids_T, movie_content(table, ids_T))

    @cached_property
    def row_TW(self) -> NDArray[np.float64]:
        """In few numbers."""
        return shortened(self.content, WIDTH, seed=0).astype(float)

    @property
    def digest(self) -> str:
        """Of all of it."""
        content = self.content
        arrays = self.ids_T, content.data, content.indices, content.indptr
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def movie_content(table: Told | None, ids_M: NDArray[np.integer]) -> csr_array:
    """Genres, five years each, and words of the title of M movies, M x P.

    A movie's genres, its years and its words have length 1 each, words by TF-IDF. Raises ValueError
    if there is no table of movies, or it cannot be read.
    """
    if table is None:
        raise ValueError(
            "The model learns from what a release says of movies, and the training has no table "
            "of movies. Choose another model."
        )
    told = csr_array(features(table, "movie", ids_M, ["genres", "year"]))
    return csr_array(hstack([told, title_words(titles(table, ids_M))]))


def titles(table: Told, ids_M: NDArray[np.integer]) -> list[str]:
    """Of each movie; empty where the table has none."""
    read = columns_of(table, ["movie_id", "title"])
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
