"""All figures of lists, by segment."""

import math

import numpy as np
import pytest

from model.data.histories import TRAIN, Histories
from model.held_out import HeldOut
from model.list_measure import KS, Catalogue, Figure, measure
from model.ranking_metrics import accuracy, ranks_of
from tests.model.list_examples import USERS, example


@pytest.fixture(scope="module")
def figures() -> dict[tuple[str, str, int], Figure]:
    shown = example()
    history = shown.history
    known = Histories(
        np.arange(USERS, dtype=np.int32),
        history.offset_B1.astype(np.int64),
        history.value_N.astype(np.int32),
        np.ones(len(history.value_N), np.float32),
        np.zeros(len(history.value_N), np.int64),
        np.full(len(history.value_N), TRAIN, np.int8),
    )
    gap_N = np.resize([0, 0, 3600, 3601, 90_000], len(shown.targets.value_N))
    held = HeldOut(known, shown.targets, gap_N)
    gender_U = np.array(["F", "M", ""])[np.arange(USERS) % 3]
    genres = list("ABCDEF")
    catalogue = Catalogue(shown.count_M, USERS, shown.genre_MG, genres, gender_U)
    return {figure[:3]: figure for figure in measure(shown.ranked, held, catalogue)}


def test_every_figure_has_a_value_and_means_an_interval(figures):
    of_all = {"coverage", "gini", "personalisation"}
    for (segment, name, k), figure in figures.items():
        assert math.isfinite(figure.value)
        assert k in KS if segment == "all" else k == 10
        if name in of_all:
            assert math.isnan(figure.low)
        else:
            assert figure.low <= figure.value <= figure.high
    names = {name for segment, name, k in figures if (segment, k) == ("all", 20)}
    assert names == of_all | {
        *("hr", "recall", "precision", "ndcg", "mrr", "debiased_ndcg"),
        *("mean_popularity", "novelty", "intra_list_distance", "calibration"),
    }
    assert figures["all", "ndcg", 10].value == pytest.approx(0.07550159357715486, abs=1e-9)


def test_segments(figures):
    shown = example()
    segments = {segment for segment, _, _ in figures}
    assert {"gap: same second", "gap: a sitting", "gap: a day", "gap: longer"} <= segments
    # Nobody has rated more than 7 movies, and of no target is the gap unknown.
    assert "ratings: 20 to 49" not in segments
    assert "gap: unknown" not in segments
    assert {f"genre: {genre}" for genre in "ABCDEF"} <= segments
    rank_N = ranks_of(shown.ranked, shown.targets)
    ndcg_B = accuracy(rank_N, shown.targets, 10)["ndcg"]
    ours = figures["gender: M", "ndcg", 10].value
    assert ours == pytest.approx(np.nanmean(ndcg_B[np.arange(USERS) % 3 == 1]))
    second_N = np.arange(len(rank_N)) % 5 < 2
    recall_B = accuracy(rank_N, shown.targets, 10, second_N)["recall"]
    assert figures["gap: same second", "recall", 10].value == pytest.approx(np.nanmean(recall_B))
