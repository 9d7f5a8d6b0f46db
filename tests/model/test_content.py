"""What is said of movies as numbers, by hand, and the regression of a user's ratings on them."""

import horovod.torch as hvd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from model.content import Content
from model.data.datasets import read_dataset
from model.data.movie_content import movie_content, shortened, title_words
from tests.model.conftest import MOVIES


def test_words_that_two_titles_have_by_how_rare_they_are():
    told = title_words(["The Sea (1995)", "The sea of Love (1995) (V)", "The 7 (1995)", ""])
    # `of`, `love` and numbers stand in one title or are no words; `sea` in 2 and `the` in 3 of 4.
    the, sea = np.log(5 / 4) + 1, np.log(5 / 3) + 1
    both = np.array([sea, the]) / np.hypot(sea, the)
    np.testing.assert_allclose(told.toarray(), [both, both, [0, 1], [0, 0]], rtol=1e-6)
    assert title_words(["7", "Se7en"]).shape == (2, 0)


def test_what_is_said_of_movies_in_the_order_of_their_ids(tmp_path):
    table = pa.table(
        {
            "movie_id": [30, 10, 99],
            "title": ["Sea (1991)", "Sea (1990)", "Else (1950)"],
            "year": [1991, 1990, None],
            "genres": [["Drama", "War"], ["Drama", "War"], []],
        }
    )
    pq.write_table(table, tmp_path / "0.parquet")
    told = movie_content(str(tmp_path), np.array([10, 20, 30]))
    half = 0.5**0.5
    np.testing.assert_allclose(
        told.toarray(), [[half, half, 1, 1], [0, 0, 0, 0], [half, half, 1, 1]], rtol=1e-6
    )
    short = shortened(told, 1, seed=1)
    np.testing.assert_allclose(short @ short.T, (told @ told.T).toarray(), atol=1e-6)
    with pytest.raises(ValueError, match=r"no table of movies\. Choose another model"):
        movie_content(None, np.array([10]))


def test_a_users_row_is_the_least_of_squares_and_penalty(spec):
    hvd.init()
    chosen = spec(model="content", penalty=2.0)
    data = read_dataset(chosen, torch.device("cpu"))
    rows = Content(chosen.settings, data, seed=1).fit(data)
    assert rows.movie_MK.shape == (MOVIES, 6)
    [ratings] = data.train.blocks()
    own = ratings.take((ratings.user_N == 3).nonzero()[:, 0])
    biases = rows.user_bias_U[3] + rows.movie_bias_M[own.movie_N] + rows.mean
    told = rows.movie_MK[own.movie_N]
    slope = told.T @ (told @ rows.user_UK[3] + biases - own.rating_N) + 2 * rows.user_UK[3]
    assert torch.allclose(slope, torch.zeros(6), atol=1e-4)
