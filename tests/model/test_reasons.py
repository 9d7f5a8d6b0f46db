"""Reasons by hand: exact parts, parts by leaving out, and the folder of a model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.fold_in import Equations, ridge_rows
from model.reasons import Explainer, left_out, parts_of, strongest
from tests.model.examples import factors, histories

CPU = torch.device("cpu")


class Lengths:
    """A row is the square of how many movies a history has."""

    def encode(self, histories):
        return torch.from_numpy(histories.count_U.astype(np.float32)[:, None] ** 2)


def test_of_what_is_no_sum_ratings_are_left_out_the_newest_alone():
    known = histories({4: 1, 5: 1, 6: 1}, {}, {7: 1})
    assert left_out(Lengths(), known)[:, 0].tolist() == [5, 5, 5, 1]
    assert left_out(Lengths(), known, most=2)[:, 0].tolist() == [0, 5, 5, 1]
    assert parts_of(Lengths(), known)[:, 0].tolist() == [5, 5, 5, 1]


@given(arrays(np.float32, (4, 3), elements=st.floats(-8, 8, width=16)))
def test_the_strongest_part_and_its_share_of_what_speaks_for_a_movie(part_NR):
    best_R, share_R = strongest(part_NR)
    for part_N, best, share in zip(part_NR.T, best_R, share_R, strict=True):
        if (part_N <= 0).all():
            assert best == -1
            assert np.isnan(share)
        else:
            assert part_N[best] == part_N.max()
            assert share == pytest.approx(part_N.max() / part_N[part_N > 0].sum())


# Rows of users have mean 2 and variance 1; their biases are 0.
RATING = factors(
    [[1], [2], [3]],
    [[1], [0.5], [2], [4]],
    mean=1.0,
    noise=0.5,
    known_U=np.zeros(3, np.uint64),
    movie_ids_M=np.array([10, 11, 12, 13], np.int32),
)


def test_parts_of_a_folded_row_add_up_to_it():
    known = histories({0: 4, 2: 4}, {}, {1: 5, 0: 1, 3: 2})
    part_NW = Equations.of(RATING, 0.5).parts(known)
    row_UK, bias_U = ridge_rows(RATING, known, 0.5)
    sum_UW = np.stack([part_NW[:2].sum(0), np.zeros(2), part_NW[2:].sum(0)])
    mean_W = np.array([2, 0])
    np.testing.assert_allclose(sum_UW + mean_W, np.column_stack([row_UK, bias_U]), atol=1e-6)


def test_reasons_of_a_saved_model_of_ratings(tmp_path):
    RATING.save(tmp_path / "factors")
    explainer = Explainer.of(tmp_path / "factors", CPU)
    assert explainer is not None
    # Expected are 3, 2 and 5: what was rated above that speaks for a movie, by the length of rows,
    # 1 * 1 of movie 0 and 0.5 * 1.5 of movie 1; movie 2 was rated below it, and speaks against all.
    known = histories({0: 4, 1: 3.5, 2: 4}, {}, {2: 4})
    found = explainer.reasons(known, np.array([0, 0, 1, 2]), np.array([3, 3, 3, 3]))
    assert found.movie_R.tolist() == [0, 0, -1, -1]
    np.testing.assert_allclose(found.share_R, [1 / 1.75, 1 / 1.75, np.nan, np.nan], rtol=1e-5)
    # A model of an earlier version cannot say.
    replace(RATING, noise=None).save(tmp_path / "earlier")
    assert Explainer.of(tmp_path / "earlier", CPU) is None
