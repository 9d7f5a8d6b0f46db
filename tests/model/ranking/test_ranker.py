"""The scoring kernel against worked examples, and against brute force in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.factors import Factors
from model.ranking.catalogue import load_catalogue, prepare_catalogue
from model.ranking.ranker import Ranker
from model.ranking.search import DenseSearch, Int8Search
from tests.model.examples import factors

NOTHING = np.array([], dtype=np.int32)


class Int8Ranker(Ranker):
    """Blocks, sets and groups so small that a few movies fill several of each."""

    def __init__(self, model: Factors, movie_ids=None) -> None:
        catalogue = prepare_catalogue(model, movie_ids, 8, 2, 2)
        super().__init__(model, catalogue=catalogue, users_per_block=3)
        self.only = Int8Search(catalogue)

    def search(self, k: int) -> Int8Search | DenseSearch:
        return self.only if self.only.groups >= k else super().search(k)


class Bfloat16Ranker(Ranker):
    """What a GPU does, on the CPU."""

    def search(self, k: int) -> DenseSearch:
        return DenseSearch(self.catalogue, "cpu", torch.bfloat16)


RANKERS = pytest.mark.parametrize("ranker", [Ranker, Int8Ranker, Bfloat16Ranker])


def ranked(ranker: Callable[[Factors], Ranker], model: Factors, rated, k, user=0) -> list[int]:
    answer = ranker(model).top_k(np.array([user], np.int32), [np.array(rated, np.int32)], k)
    assert answer.rank_R.tolist() == list(range(1, len(answer.rank_R) + 1))
    return answer.movie_idx_R.tolist()


def brute_force(model: Factors, user: int, rated, k) -> tuple[list[int], list[float]]:
    """Movies and scores in float64, rounded to float32; ties by movie."""
    movies = np.arange(len(model.movie_MK))
    score_M = model.score(np.full(len(movies), user), movies).astype(np.float32)
    left = np.setdiff1d(np.flatnonzero(model.movie_trained_M), rated)
    best = left[np.lexsort((left, -score_M[left]))][:k].tolist()
    return best, score_M[best].tolist()


@RANKERS
def test_best_first_without_rated(ranker):
    # Scores 3, 1, 4, 2 for the only user.
    model = factors([[1]], [[3], [1], [4], [2]])
    assert ranked(ranker, model, [], 2) == [2, 0]
    assert ranked(ranker, model, [2], 2) == [0, 3]
    assert ranked(ranker, model, [], None) == [2, 0, 3, 1]


def test_biases_and_mean_count():
    model = factors([[1]], [[3], [1]], movie_bias_M=[0, 2.5], mean=0.5)
    answer = Ranker(model).top_k(np.array([0], np.int32), [NOTHING], 2)
    assert answer.movie_idx_R.tolist() == [1, 0]
    assert answer.score_R.tolist() == [4.0, 3.5]


@RANKERS
def test_ties_go_to_the_smaller_movie_id(ranker):
    # The k-th place is contested by movies 1, 2 and 4.
    model = factors([[1]], [[5], [2], [2], [9], [2]])
    assert ranked(ranker, model, [], 3) == [3, 0, 1]
    assert ranked(ranker, model, [1], 4) == [3, 0, 2, 4]


@RANKERS
def test_fewer_than_k_are_left(ranker):
    model = factors([[1]], [[3], [1], [4]])
    assert ranked(ranker, model, [0, 2], 5) == [1]
    assert ranked(ranker, model, [0, 1, 2], 2) == []


@RANKERS
def test_movie_number_zero_can_be_recommended_and_excluded(ranker):
    model = factors([[1]], [[9], [1]])
    assert ranked(ranker, model, [], 1) == [0]
    assert ranked(ranker, model, [0], 1) == [1]


@RANKERS
def test_one_movie_and_none(ranker):
    assert ranked(ranker, factors([[1]], [[-3]]), [], 1) == [0]
    nobody = factors([[1]], [[3]], movie_trained_M=np.array([False]))
    assert ranked(ranker, nobody, [], 1) == []
    assert ranked(ranker, nobody, [0], None) == []
    assert len(ranker(nobody).top_k(NOTHING, [], 1).row_R) == 0


@RANKERS
def test_untrained_movies_are_never_scored(ranker):
    # Untrained weights of movie 1 would win.
    model = factors([[1]], [[3], [100]], movie_trained_M=np.array([True, False]))
    assert ranked(ranker, model, [], 2) == [0]
    assert ranked(ranker, model, [1], 2) == [0]


@RANKERS
def test_users_without_knowledge_get_the_popular_movies(ranker):
    popular_M = np.array([2.0, 4.0, 4.0, 3.0], np.float32)
    trained = np.array([True, False])
    movies = [[9], [1], [5], [7]]
    model = factors([[1], [1]], movies, popular_M=popular_M, user_trained_U=trained)
    assert ranked(ranker, model, [], 2, user=1) == [1, 2]
    # -1 is a user, or a movie, whom the factors do not know at all.
    users = np.array([-1, 0, 1], np.int32)
    rated = [np.array([1, -1], np.int32), NOTHING, np.array([2, 3], np.int32)]
    answer = ranker(model).top_k(users, rated, 2)
    assert answer.row_R.tolist() == [0, 0, 1, 1, 2, 2]
    assert answer.movie_idx_R.tolist() == [2, 3, 0, 3, 1, 0]
    assert ranker(model).top_k(users, rated, None).row_R.tolist() == [0] * 3 + [1] * 4 + [2] * 2


def test_candidates_can_be_narrowed():
    ranker = Ranker(factors([[1]], [[3], [1], [4]]), movie_ids=np.array([10, 11]))
    assert ranker.top_k(np.array([0], np.int32), [NOTHING], 3).movie_idx_R.tolist() == [0, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_what_is_no_number_is_refused(bad):
    one = factors([[1]], [[3], [1]])
    with pytest.raises(ValueError, match="not numbers"):
        ranked(Ranker, factors([[bad]], [[3], [1]]), [], 1)
    for name in ("movie_MK", "movie_bias_M", "popular_M", "user_bias_U"):
        array = getattr(one, name).copy()
        array[0] = bad
        with pytest.raises(ValueError, match="not numbers"):
            ranked(Ranker, replaced(one, name, array), [], 1)
    with pytest.raises(ValueError, match="not numbers"):
        ranked(Ranker, replaced(one, "mean", bad), [], 1)


def replaced(model: Factors, name: str, value) -> Factors:
    return Factors(**{**vars(model), name: value})


def test_a_prepared_catalogue_is_the_same(tmp_path):
    model = factors([[1, 2]], [[3, 0], [1, 1], [0, 4]], movie_bias_M=[1, 2, 3])
    prepare_catalogue(model, np.array([10, 12])).save(tmp_path / "catalogue")
    ranker = Ranker(model, catalogue=load_catalogue(tmp_path / "catalogue"))
    answer = ranker.top_k(np.array([0], np.int32), [NOTHING], 2)
    assert answer.movie_idx_R.tolist() == [2, 0]
    assert answer.score_R.tolist() == [11, 4]


@st.composite
def problems(draw):
    """Users, movies and rated ones: half of them in small whole numbers, so that ties abound."""
    users, movies, width = draw(st.tuples(st.integers(1, 7), st.integers(1, 70), st.integers(1, 5)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([1e-3, 1, 100]))
    if draw(st.booleans()):
        user_UK = random.integers(-2, 3, (users, width)).astype(float)
        movie_MK = random.integers(-2, 3, (movies, width)).astype(float)
        bias_M = random.integers(-3, 4, movies).astype(float)
    else:
        user_UK = random.normal(0, scale, (users, width))
        # Some movies are a thousand times as long as others, and some have no length.
        lengths = random.choice([0, 0.01, 1, 10], (movies, 1))
        movie_MK = random.normal(0, 1, (movies, width)) * lengths
        bias_M = random.normal(0, draw(st.sampled_from([0, 1, 30])), movies)
    model = factors(
        user_UK,
        movie_MK,
        bias_M,
        user_bias_U=random.normal(0, 1, users).astype(np.float32),
        movie_trained_M=random.random(movies) < 0.9,
        mean=3.5,
    )
    share = draw(st.sampled_from([0, 0.1, 0.9, 1]))
    rated = [np.flatnonzero(random.random(movies) < share) for _ in range(users)]
    return model, rated, draw(st.integers(1, 12))


@RANKERS
@settings(deadline=None, max_examples=60)
@given(problem=problems())
def test_same_as_brute_force(ranker, problem):
    model, rated, k = problem
    answer = ranker(model).top_k(np.arange(len(rated)), rated, k)
    for user in range(len(rated)):
        movies, scores = brute_force(model, user, rated[user], k)
        assert answer.movie_idx_R[answer.row_R == user].tolist() == movies
        assert answer.score_R[answer.row_R == user].tolist() == scores


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32), st.sampled_from([1, 20, 60]))
def test_catalogue_of_several_blocks(seed, k):
    """The sizes that are used, with threads; a user's answer does not depend on the others."""
    random = np.random.default_rng(seed)
    model = factors(
        random.normal(0, 0.3, (300, 8)),
        random.normal(0, 0.3, (5000, 8)) * random.gamma(1, 1, (5000, 1)),
        random.normal(0, 0.4, 5000),
    )
    rated = [random.choice(5000, random.integers(0, 300), replace=False) for _ in range(300)]
    rated[7] = np.arange(5000)
    rated[8] = np.arange(10, 5000)
    ranker = Ranker(model, threads=2, users_per_block=128)
    answer = ranker.top_k(np.arange(300), rated, k)
    for user in (0, 7, 8, 128, 299):
        movies, scores = brute_force(model, user, rated[user], k)
        assert answer.movie_idx_R[answer.row_R == user].tolist() == movies
        assert answer.score_R[answer.row_R == user].tolist() == scores
        alone = ranker.top_k(np.array([user]), [rated[user]], k)
        assert alone.score_R.tolist() == scores
