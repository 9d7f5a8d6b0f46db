"""Figures of lists: by hand, by the rules, and as ranx and RecTools have them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ranking.lists import Lists
from model.ranking.ranker import Ranker
from model.ranking_metrics import ACCURACY, accuracy, debiased, ranked_by_score, ranks_of
from tests.model.examples import factors
from tests.model.list_examples import example, ranked_lists

NOTHING = np.array([], np.int32)
# tests/benchmarks/ranking_oracles.py: ranx 0.3.21 and RecTools 0.19.0, which agree.
RECORDED = {
    "hr": (0.5, 0.6481481481481481, 0.7962962962962963),
    "recall": (0.08493892938337382, 0.16125602792269458, 0.41775302886413995),
    "precision": (0.06666666666666667, 0.0638888888888889, 0.03648148148148148),
    "ndcg": (0.07550159357715486, 0.10426113911789774, 0.1998622700082813),
    "mrr": (0.1534097589653145, 0.16292845338037976, 0.167262802159173),
}
# RecTools: NDCG(k, divide_by_achievable=True, debias_config=DebiasConfig(1.5, random_state=20)).
DEBIASED = (0.07212955854525473, 0.10357070473741804, 0.19797550966536318)


def test_by_hand():
    ranked = ranked_lists([[5, 3, 8, 1], [5, 3], [7]])
    # Of the first user's three targets two are found, at ranks 2 and 4; 6 stands in no list.
    targets = Lists.of([np.array([1, 3, 6]), NOTHING, np.array([-1])])
    rank_N = ranks_of(ranked, targets)
    assert rank_N.tolist() == [4, 2, 0, 0]
    of_two = {name: value_B.tolist() for name, value_B in accuracy(rank_N, targets, 2).items()}
    ideal = 1 + 1 / np.log2(3)
    found = {"hr": 1, "recall": 1 / 3, "precision": 1 / 2, "ndcg": 1 / np.log2(3) / ideal}
    for name, value in (found | {"mrr": 1 / 2}).items():
        assert of_two[name] == pytest.approx([value, np.nan, 0], nan_ok=True), name
    of_four = accuracy(rank_N, targets, 4)
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    assert of_four["ndcg"][0] == pytest.approx(gain / (ideal + 1 / 2))
    assert of_four["recall"][0] == pytest.approx(2 / 3)


def test_some_targets_alone():
    ranked = ranked_lists([[5, 3, 8, 1], [5, 3]])
    targets = Lists.of([np.array([1, 3]), np.array([3])])
    among_N = np.array([True, False, False])
    found = accuracy(ranks_of(ranked, targets), targets, 10, among_N)
    assert found["mrr"].tolist() == pytest.approx([1 / 4, np.nan], nan_ok=True)
    assert found["recall"].tolist() == pytest.approx([1, np.nan], nan_ok=True)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_as_ranx_and_rectools(place):
    shown, k = example(), (10, 20, 100)[place]
    rank_N = ranks_of(shown.ranked, shown.targets)
    found = accuracy(rank_N, shown.targets, k)
    for name in ACCURACY:
        assert np.nanmean(found[name]) == pytest.approx(RECORDED[name][place], rel=0, abs=1e-9)
    kept_N = debiased(shown.targets)
    ndcg_B = accuracy(rank_N, shown.targets, k, kept_N)["ndcg"]
    assert np.nanmean(ndcg_B) == pytest.approx(DEBIASED[place], rel=0, abs=1e-9)


def test_no_movie_is_the_target_of_too_many_when_debiased():
    # Of movie 0 six users, of the others one or two: quartiles 1 and 2, so more than 3 is much.
    others = [np.array([1, 2, 3, 4, 5, 6, 7, 8]), np.array([1, 2])]
    targets = Lists.of([np.array([0]) for _ in range(6)] + others)
    kept_N = debiased(targets)
    assert kept_N[6:].all()
    assert kept_N[:6].sum() == 3
    # Another seed takes others.
    assert any(debiased(targets, seed=seed).tolist() != kept_N.tolist() for seed in range(9))
    assert debiased(Lists.of([NOTHING])).tolist() == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_kernel_and_dense_scores_give_the_same_lists(data):
    """With ties, excluded movies and lists shorter than k."""
    numbers = st.lists(st.integers(-2, 2), min_size=6, max_size=6)
    bias_M = np.array(data.draw(numbers), np.float32)
    excluded = Lists.of(
        [np.array(sorted(data.draw(st.sets(st.integers(0, 5)))), np.int32) for _ in range(3)]
    )
    user_UK, movie_MK = np.array([[1], [-1], [0]]), np.array(data.draw(numbers))[:, None]
    model = factors(user_UK, movie_MK, bias_M)
    k = data.draw(st.integers(1, 7))
    kernel = Ranker(model).top_k(np.arange(3), excluded, k)
    dense = ranked_by_score(user_UK @ movie_MK.T + bias_M, excluded, k)
    for name in ("row_R", "rank_R", "movie_idx_R", "score_R"):
        assert getattr(kernel, name).tolist() == getattr(dense, name).tolist()
