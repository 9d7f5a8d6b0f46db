"""The regression across visits: by hand, on planted visits, and what is popular when asked."""

import horovod.torch as hvd
import numpy as np
import pytest
import torch

from model.data.co_rated import blocks
from model.data.dataset import Counts
from model.data.histories import TEST, TRAIN, UNKNOWN, Histories
from model.data.history_data import HistoryData
from model.visits import (
    Visits,
    VisitsEncoder,
    compressed,
    dates,
    later_visits,
    leading,
    regression,
)
from tests.model.conftest import settings

DAY = 86_400


def data_of(rated: list[list[tuple[int, int]]], movies: int, split=None) -> HistoryData:
    """Data of histories of (movie, time)."""
    hvd.init()
    offset_U1 = np.cumsum([0, *map(len, rated)])
    flat = np.array([pair for history in rated for pair in history], np.int64).reshape(-1, 2)
    split_N = np.full(len(flat), TRAIN, np.int8) if split is None else np.array(split, np.int8)
    histories = Histories(
        np.arange(len(rated), dtype=np.int32),
        offset_U1,
        flat[:, 0].astype(np.int32),
        np.full(len(flat), 4, np.float32),
        flat[:, 1],
        split_N,
    )
    train = histories.of(TRAIN)
    count_M = torch.bincount(torch.from_numpy(train.movie_N), minlength=movies)
    count_U = torch.from_numpy(histories.count_U)
    touched_N = torch.cat([count_U, count_M]) > 0
    return HistoryData(
        histories=histories,
        window=100,
        rows_R=[len(flat)],
        counts=Counts(count_U, count_M, count_M * 4.0, touched_N),
        mean=4.0,
        popular_M=count_M.float(),
        user_ids=np.arange(len(rated)),
        movie_ids=np.arange(movies),
        rating_min=1,
        rating_max=5,
        device=torch.device("cpu"),
        seed=1,
    )


def test_the_closed_form_by_hand():
    # The first user comes three times, the second twice, the third has no times.
    rated = [
        [(0, 1), (1, 2), (2, DAY), (3, DAY), (4, 2 * DAY)],
        [(1, 5), (3, DAY)],
        [(0, UNKNOWN), (4, UNKNOWN)],
    ]
    x_UM = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1]], float)
    p_VM = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [0, 1, 0, 0, 0]], float)
    y_VM = np.array([[0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]], float)
    weight_V = np.array([2**-0.5, 1, 1])
    both_MM = x_UM.T @ x_UM
    next_MM = p_VM.T @ np.diag(weight_V / weight_V.mean()) @ y_VM
    next_MM += 0.1 * (both_MM - np.diag(both_MM.diagonal()))
    expected_MM = np.linalg.solve(both_MM + 2 * np.eye(5), next_MM)
    best_U = (x_UM @ expected_MM / np.sqrt(x_UM.sum(1))[:, None]).max(1)
    row_RK, movie_RK = regression(
        data_of(rated, 5), np.arange(5), settings("visits", penalty=2, factors=5), 1
    )
    np.testing.assert_allclose(row_RK @ movie_RK.T, expected_MM / best_U.mean(), atol=1e-5)


def test_what_the_next_visit_brings_and_not_what_a_sitting_does():
    """Movies come in the order of pages within a visit; what a visit is of, the one before says."""
    random = np.random.default_rng(1)
    rated, split = [], []
    for user in range(80):
        history = []
        for visit, base in enumerate((0, 20 + 20 * (user % 2))):
            # Of the two halves of each shelf, users have their own, in the second visit as well.
            shelf = base + np.arange(10 * (user % 2), 10 + 10 * (user % 2)) % 20
            movies = np.sort(random.choice(shelf, 6, replace=False))
            history += [(int(movie), visit * DAY + i) for i, movie in enumerate(movies)]
        rated.append(history)
        split += [TRAIN] * 6 + [TEST if user >= 60 else TRAIN] * 6
    data = data_of(rated, 60, split)
    model = Visits(settings("visits", penalty=3, factors=30, recent_weight=0), data, 1)
    rows = model.fit(data)
    known = data.histories.until(TEST).take(np.arange(60, 80))
    score_BM = model.encoder_made.encode(known) @ rows.movie_MK.T
    for user, score_M in zip(known.user_U, score_BM, strict=True):
        score_M[known.movie_N[known.owner_N == user - 60]] = -np.inf
        wanted = range(20, 30) if user % 2 == 0 else range(50, 60)
        assert set(score_M.topk(8).indices.tolist()) <= set(wanted)


def test_popular_is_what_was_so_when_the_user_is_asked():
    # Until day 50 all rate movie 1, afterwards movie 2; user 8 is asked on day 40, user 9 now.
    rated = [[(0, 0), (1, 30 * DAY), (2, (80 + user) * DAY)] for user in range(8)]
    rated += [[(0, 0), (3, 40 * DAY)], [(0, 0)]]
    split = [TRAIN] * 25 + [TEST, TRAIN]
    data = data_of(rated, 4, split)
    model = Visits(settings("visits", recent_weight=1, recent_days=30), data, 1)
    rows = model.fit(data)
    known = data.histories.until(TEST).take(np.array([8, 9]))
    width = model.encoder_made.row_DJ.shape[1]
    recent_BM = model.encoder_made.encode(known)[:, -width:] @ rows.movie_MK[:, -width:].T
    # Of eight ratings each: (root of 9 less 1) / root of 9.
    high = 2 / 3
    np.testing.assert_allclose(recent_BM, [[0, high, 0, 0], [0, 0, high, 0]], atol=1e-6)
    # Nothing is known of a time before the first date, and of nobody without a history.
    early = VisitsEncoder(np.arange(4), torch.zeros(4, 1), np.array([10, 20]), torch.zeros(2, 1))
    assert early.places(known).tolist() == [1, 1]
    empty = data.histories.where(np.zeros(len(split), bool))
    assert not model.encoder_made.encode(empty).any()


def test_dates_are_some_of_those_asked_for_and_now():
    rated = [[(0, 0), (1, 100 + user)] for user in range(20)]
    data = data_of(rated, 2, [TRAIN, TEST] * 20)
    assert dates(data, 50).tolist() == [*range(100, 120), 120]
    assert dates(data, 5).tolist() == [100, 104, 108, 112, 116, 120]


def test_later_visits_and_blocks():
    data = data_of([[(0, 0), (1, DAY)], [], [(0, UNKNOWN), (1, 0), (2, 1), (3, DAY)]], 4)
    found = [part.tolist() for part in later_visits(data.histories, 3600)]
    assert found == [[0, 2], [1, 5], [2, 6]]
    assert list(blocks(np.array([3, 0, 1]))) == [(0, 3)]
    large = np.array([5 << 20, 5 << 20, 1, 20 << 20])
    assert list(blocks(large)) == [(0, 1), (1, 3), (3, 4)]


def test_popularity_of_dates_is_kept_to_a_rank_and_of_now_whole():
    recent_DM = torch.rand(6, 9, generator=torch.Generator().manual_seed(1))
    row_DJ, movie_MJ = compressed(recent_DM, 9)
    assert row_DJ.shape == (6, 6)
    np.testing.assert_allclose(row_DJ @ movie_MJ.T, recent_DM, atol=1e-5)
    row_DJ, movie_MJ = compressed(recent_DM, 2)
    near_DM = row_DJ @ movie_MJ.T
    np.testing.assert_allclose(near_DM[-1], recent_DM[-1], atol=1e-6)
    value_D = torch.linalg.svdvals(recent_DM[:-1])
    lost = torch.linalg.norm(near_DM[:-1] - recent_DM[:-1])
    np.testing.assert_allclose(lost, torch.linalg.norm(value_D[2:]), rtol=1e-4)
    assert compressed(recent_DM[-1:], 3)[0].tolist() == [[1]]


@pytest.mark.parametrize("factors", [3, 50])
def test_leading_eigenvectors(factors):
    square_RR = torch.randn(40, 40, generator=torch.Generator().manual_seed(2)) * 0.1
    square_RR = square_RR @ square_RR.T + torch.diag(torch.arange(40.0) ** 2)
    _, vector_RR = torch.linalg.eigh(square_RR)
    found_RK = leading(square_RR, factors, 1)
    kept = min(factors, 40)
    assert found_RK.shape == (40, kept)
    closeness = (found_RK.T @ vector_RR.flip(1)[:, :kept]).abs().diagonal()
    np.testing.assert_allclose(closeness, 1, atol=1e-3)
