"""Rows of movies by what their titles and genres mean, from word embeddings that a package ships.

WordLlama (github.com/dleemiller/WordLlama, 2024) has embeddings of a language model's tokens,
trained so that the mean over a text says what the text is about. Of the package only its files are
read: the table of embeddings and the tokeniser. Nothing is downloaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.movie_content import YEAR
from model.data.side_information import Told, columns_of

PACKAGES = ("wordllama", "safetensors", "tokenizers")
WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENISER = "tokenizers/l2_supercat_tokenizer_config.json"


def text_rows(table: Told, ids_M: NDArray[np.integer]) -> NDArray[np.float32]:
    """The principal components of M movies' texts, M x K, the leading ones first.

    Rows of movies that the table does not know are zero. Raises ValueError if the table cannot be
    read, or if the packages are not installed.
    """
    row_ME = embedded(texts(table, ids_M))
    known_M = row_ME.any(1)
    row_ME[known_M] -= row_ME[known_M].mean(0)
    _, _, axis_KE = np.linalg.svd(row_ME, full_matrices=False)
    return (row_ME @ axis_KE.T).astype(np.float32)


def texts(table: Told, ids_M: NDArray[np.integer]) -> list[str]:
    """Title, without its year, and genres of each movie; empty of one that the table lacks."""
    read = columns_of(table, ["movie_id", "title", "genres"])
    told = zip(*(read[name].to_pylist() for name in read.column_names), strict=True)
    text_of = {
        movie: " ".join([YEAR.sub("", title or "").strip(), *(genres or [])])
        for movie, title, genres in told
    }
    return [text_of.get(movie, "") for movie in ids_M.tolist()]


def embedded(text_M: list[str]) -> NDArray[np.float32]:
    """The mean embedding of each text's tokens, at length 1; zero of an empty text."""
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ValueError(
            f"start_from=text needs the package {missing[0]}, which is not installed: run "
            "`make text`, on every host that trains."
        )
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    (table_TE,) = load_file(folder / WEIGHTS).values()
    tokeniser = Tokenizer.from_file(str(folder / TOKENISER))
    found = tokeniser.encode_batch(text_M, add_special_tokens=False)
    row_ME = np.zeros((len(text_M), table_TE.shape[1]), np.float32)
    for row_E, tokens in zip(row_ME, found, strict=True):
        if tokens.ids:
            row_E[:] = table_TE[tokens.ids].mean(0, dtype=np.float32)
    return row_ME / np.linalg.norm(row_ME, axis=1, keepdims=True).clip(min=1e-12)
