"""The most similar movies are those of brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.scoring.similar import most_similar
from tests.model.ranking.test_likeness import correlations, made


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 50), st.booleans())
def test_the_most_similar_are_those_of_brute_force(seed, k, narrowed):
    one, other = made(seed), made(seed + 1, users=20, width=3)
    every = one.movie_ids_M
    ids = every[::3] if narrowed else every
    of_R, similar_R, found = most_similar([one, other], every, ids, k)
    assert np.unique(of_R).tolist() == every.tolist()
    whole_MM = (correlations(one) + correlations(other)) / 2
    for place, movie in enumerate(every):
        own_R = of_R == movie
        named = similar_R[own_R]
        assert set(named) <= set(ids) - {movie}
        best = np.sort(whole_MM[place, np.isin(every, ids) & (every != movie)])[::-1][:k]
        assert found.score_R[own_R] == pytest.approx(best, abs=1e-5)
        assert whole_MM[place, named - every[0]] == pytest.approx(best, abs=1e-5)


def test_movies_that_only_one_model_knows_and_models_that_know_none():
    model, fewer = made(1), made(1, movies=10)
    assert set(most_similar([model, fewer], model.movie_ids_M, model.movie_ids_M, 50)[1]) == set(
        fewer.movie_ids_M
    )
    biases = replace(model, user_UK=np.zeros((30, 0)), movie_MK=np.zeros((40, 0)))
    both, one = (
        most_similar(models, model.movie_ids_M, model.movie_ids_M, 3)[1]
        for models in ([biases, model], [model])
    )
    assert both.tolist() == one.tolist()
    assert not len(most_similar([biases], model.movie_ids_M, model.movie_ids_M, 3)[0])
