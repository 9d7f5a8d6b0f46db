"""Neighbours: likenesses and weights by hand, one formula whichever way, and what is cut off."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.sparse import csr_array

from model.neighbours import leading, likenesses, weights
from tests.model.conftest import settings

# Deviations of three users from the biases, of three movies; 0 of no rating.
REST = np.array([[1, 2, 0], [2, 1, 1], [0, -1, -1]], np.float32)


def of(values: np.ndarray) -> csr_array:
    return csr_array(values)


def test_cosines_of_all_ratings_and_correlations_of_those_in_common():
    every = np.arange(3)
    like, both = likenesses(of(REST).tocsc(), every, "cosine")
    assert both.tolist() == [[2, 2, 1], [2, 3, 2], [1, 2, 2]]
    assert like[0, 1] == pytest.approx(4 / np.sqrt(5 * 6))
    assert like[1, 2] == pytest.approx(2 / np.sqrt(6 * 2))
    like, _ = likenesses(of(REST).tocsc(), every, "pearson")
    # Movies 0 and 1 move against one another among their two users, 1 and 2 together.
    assert like[0, 1] == pytest.approx(-1)
    assert like[1, 2] == pytest.approx(1)
    # Of one user in common nothing is known.
    assert like[0, 2] == 0


def test_weights_are_likenesses_by_what_a_rater_has_of_them_on_average():
    chosen = settings("neighbours", neighbours=1, shrinkage=2, damping=0.5)
    weight = weights(of(REST), chosen).toarray()
    # Movie 0's neighbour is 1, with 2 users in common; both users of 0 have rated it.
    like = 4 / np.sqrt(30) * 2 / (2 + 2)
    assert weight[:, 0] == pytest.approx([0, like / (0.5 + like), 0])
    # Movie 1's is 0, which 2 of its 3 users have rated.
    assert weight[:, 1] == pytest.approx([like / (0.5 + like * 2 / 3), 0, 0])


def test_where_nothing_is_alike_the_biases_alone_are_left():
    # Each of three users has rated a movie of its own.
    alone = of(np.eye(3, dtype=np.float32))
    weight = weights(alone, settings("neighbours"))
    left, right = leading(alone, weight, 2, seed=1)
    assert (left.shape, right.shape) == ((3, 2), (3, 2))
    assert not (left @ right.T).any()


def test_blocks_make_no_difference(monkeypatch):
    random = np.random.default_rng(0)
    rest = of(random.normal(size=(9, 7)).astype(np.float32) * (random.random((9, 7)) < 0.7))
    whole = weights(rest, settings("neighbours", neighbours=3)).toarray()
    assert ((whole != 0).sum(0) <= 3).all()
    monkeypatch.setattr("model.neighbours.NUMBERS_PER_BLOCK", 15)
    np.testing.assert_allclose(weights(rest, settings("neighbours", neighbours=3)).toarray(), whole)


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(st.integers(3, 12), st.integers(3, 12), st.integers(1, 12), st.integers(0, 99))
def test_the_factors_lose_least_and_nothing_if_there_are_enough(others, rows, factors, seed):
    random = np.random.default_rng(seed)
    rest, weight = random.normal(size=(others, rows)), random.normal(size=(rows, rows))
    left, right = leading(of(rest), of(weight), factors, seed=1)
    lost = np.square(left @ right.T - rest @ weight).sum()
    values = np.linalg.svd(rest @ weight, compute_uv=False)
    assert lost == pytest.approx(np.square(values[factors:]).sum(), abs=1e-3)
