"""What lists are like: by hand, and as RecTools has it."""

import numpy as np
import pytest

from model.list_metrics import (
    calibration,
    coverage,
    first,
    gini,
    intra_list_distance,
    mean_popularity,
    novelty,
    personalisation,
)
from model.ranking.lists import Lists
from tests.model.list_examples import USERS, example, ranked_lists

NOTHING = np.array([], np.int32)
# tests/benchmarks/ranking_oracles.py: RecTools 0.19.0, at 10, 20 and 100.
RECORDED = {
    "mean_popularity": (1.4516666666666669, 1.4105099924585218, 1.3680701531853716),
    "novelty": (5.472196225864975, 5.479736739809967, 5.48317550487451),
    "intra_list_distance": (0.5577654320987654, 0.5606878076129237, 0.5602261628455121),
    "coverage": (0.98, 1.0, 1.0),
}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_as_rectools(place):
    shown, k = example(), (10, 20, 100)[place]
    lists, count_M = first(shown.ranked, USERS, k), shown.count_M
    found = {
        "mean_popularity": mean_popularity(lists, count_M).mean(),
        "novelty": novelty(lists, count_M, USERS).mean(),
        "intra_list_distance": intra_list_distance(lists, shown.genre_MG).mean(),
        "coverage": coverage(lists, len(count_M)),
    }
    for name, values in RECORDED.items():
        assert found[name] == pytest.approx(values[place], rel=0, abs=1e-9), name


def test_of_one_user_by_hand():
    lists = first(ranked_lists([[0, 1, 2], [2], []]), 3, 2)
    assert [list(lists[place]) for place in range(3)] == [[0, 1], [2], []]
    count_M = np.array([8, 2, 0])
    assert mean_popularity(lists, count_M) == pytest.approx([5, 0, np.nan], nan_ok=True)
    assert novelty(lists, count_M, 8) == pytest.approx([1, 3, np.nan], nan_ok=True)
    genre_MG = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], bool)
    distance_B = intra_list_distance(lists, genre_MG)
    assert distance_B == pytest.approx([2 / 3, np.nan, np.nan], nan_ok=True)
    without = Lists.of([np.array([0, 2])])
    assert intra_list_distance(without, genre_MG).tolist() == [1]


def test_calibration_by_hand():
    genre_MG = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)
    history = Lists.of([np.array([0, 2]), np.array([0, 1]), np.array([3])])
    lists = Lists.of([np.array([1]), np.array([2]), np.array([0])])
    # The first's history is 3/4 of the one genre; his list, all of the other, has 1% of that.
    far = 3 / 4 * np.log(100) + 1 / 4 * np.log((1 / 4) / (0.99 + 0.01 / 4))
    assert calibration(lists, history, genre_MG) == pytest.approx([far, 0, np.nan], nan_ok=True)


def test_of_all_lists_by_hand():
    lists = Lists.of([np.array([0, 1]), np.array([0, 2]), np.array([0, 1])])
    assert coverage(lists, 4) == 3 / 4
    # Pairs share 1, 1 and 2 of 2 movies.
    assert personalisation(lists, 2) == pytest.approx(1 - (1 / 2 + 1 / 2 + 1) / 3)
    # Shown 0, 1, 2 and 3 times: the mean difference of 16 pairs, 5/4, over twice the mean, 3/2.
    assert gini(lists, 4) == pytest.approx((5 / 4) / (2 * 3 / 2))
    assert gini(Lists.of([np.array([0, 1])]), 2) == 0
    assert np.isnan(gini(Lists.of([NOTHING]), 3))
    assert np.isnan(personalisation(Lists.of([NOTHING]), 3))
