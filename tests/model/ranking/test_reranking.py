"""Lists chosen for more than scores: by hand, and as a slow and plain reference chooses them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.list_metrics import calibration, first, intra_list_distance
from model.ranking import reranking
from model.ranking.genres import SMOOTHING, distribution, genre_shares
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked
from model.ranking.reranking import Reranking, Wanted
from tests.model.list_examples import GENRES, USERS, example

WANTED = st.builds(
    Wanted,
    st.sampled_from([0, 0.1, 0.4]),
    st.sampled_from([0, 0.3, 0.5]),
    st.sampled_from([None, 1, 2, 4]),
)


def reference(scores: list[float], genres: list[set], history: dict, wanted: Wanted, k: int):
    """The places of the chosen, of one user's movies, best first, by nothing but the definition."""
    pool = range(min(len(scores), reranking.pool_of(k)))
    best, least = (scores[0], scores[pool[-1]]) if scores else (0, 0)
    relevance = [(score - least) / (best - least) if best > least else 0 for score in scores]

    def similarity(a: set, b: set) -> float:
        return len(a & b) / len(a | b) if a | b else 1

    def divergence(movies: list[int]) -> float:
        told = [genres[movie] for movie in movies if genres[movie]]
        listed = {g: sum((g in of) / len(of) for of in told) / max(len(told), 1) for g in history}
        return sum(
            share * np.log(share / ((1 - SMOOTHING) * listed[g] + SMOOTHING * share))
            for g, share in history.items()
        )

    def value(movie: int, chosen: list[int]) -> float:
        nearest = max((similarity(genres[movie], genres[other]) for other in chosen), default=0)
        d, c = wanted.diversity, wanted.calibration
        found = (1 - d - c) * relevance[movie] - d * nearest
        return round(found - (c * divergence([*chosen, movie]) if c else 0), 8)

    chosen: list[int] = []
    while len(chosen) < k:
        left = [
            movie
            for movie in range(len(scores))
            if movie not in chosen
            and all(
                sum(genre in genres[other] for other in chosen) < (wanted.genre_cap or k)
                for genre in genres[movie]
            )
        ]
        if not left:
            break
        in_pool = [movie for movie in left if movie in pool]
        chosen.append(max(in_pool or left[:1], key=lambda movie: value(movie, chosen)))
    return chosen


@st.composite
def rankings(draw):
    """Lists of a few users, best first; movies of up to three genres, some of which are equal."""
    movies, genres = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    genre_MG = np.array(
        draw(
            st.lists(
                st.lists(st.booleans(), min_size=genres, max_size=genres),
                min_size=movies,
                max_size=movies,
            )
        )
    )
    lists = draw(st.lists(st.lists(st.integers(0, movies - 1), unique=True), max_size=5))
    of_lists = [
        sorted(draw(st.lists(st.integers(-6, 6), min_size=len(own), max_size=len(own))))[::-1]
        for own in lists
    ]
    histories = [draw(st.lists(st.integers(0, movies - 1), max_size=4)) for _ in lists]
    return genre_MG, lists, of_lists, histories


@settings(deadline=None)
@given(rankings(), WANTED, st.integers(1, 6), st.sampled_from([3, 200]))
def test_as_the_reference_chooses(drawn, wanted, k, pool):
    genre_MG, lists, scores, histories = drawn
    rated = Lists.of([np.array(own, np.int32) for own in histories])
    history_BG = distribution(rated, genre_shares(genre_MG))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reranking, "POOL", pool)
        patch.setattr(reranking, "UNIT", 1e-8)
        made = Reranking(wanted, genre_MG)
        found = made.rerank(ranked_by(lists, scores), history_BG, k)
        for user, own in enumerate(lists):
            history = {g: s for g, s in enumerate(np.nan_to_num(history_BG[user])) if s}
            genres = [set(np.flatnonzero(genre_MG[movie])) for movie in own]
            places = reference(scores[user], genres, history, wanted, k)
            mine = found.row_R == user
            assert found.movie_idx_R[mine].tolist() == [own[place] for place in places]
            assert found.score_R[mine].tolist() == [scores[user][place] for place in places]
            assert found.rank_R[mine].tolist() == list(range(1, len(places) + 1))
            # Whoever stands beside.
            alone = made.rerank(ranked_by([own], [scores[user]]), history_BG[[user]], k)
            assert alone.movie_idx_R.tolist() == found.movie_idx_R[mine].tolist()


def ranked_by(lists: list[list[int]], scores: list[list[float]]) -> Ranked:
    row_R = np.repeat(np.arange(len(lists)), list(map(len, lists)))
    rank_R = np.array([rank for own in lists for rank in range(1, len(own) + 1)], int)
    movie_R = np.array([movie for own in lists for movie in own], int)
    return Ranked(row_R, rank_R, movie_R, np.array([s for own in scores for s in own], np.float32))


def test_lists_become_what_is_wanted():
    shown = example()
    history_BG = distribution(shown.history, genre_shares(shown.genre_MG))

    def lists(**wanted):
        again = Reranking(Wanted(**wanted), shown.genre_MG).rerank(shown.ranked, history_BG, 10)
        return first(again, USERS, 10)

    plain = lists()
    as_ranked = first(shown.ranked, USERS, 10)
    assert plain.value_N.tolist() == as_ranked.value_N.tolist()
    apart = [np.nanmean(intra_list_distance(lists(diversity=d), shown.genre_MG)) for d in (0, 0.3)]
    assert apart[1] > 1.05 * apart[0]
    far = [
        np.nanmean(calibration(lists(calibration=c), shown.history, shown.genre_MG))
        for c in (0, 0.3)
    ]
    assert far[1] < 0.9 * far[0]
    capped = lists(genre_cap=3)
    owner_N = np.repeat(np.arange(USERS), capped.count_B)
    number_BG = np.zeros((USERS, GENRES), int)
    np.add.at(number_BG, owner_N, shown.genre_MG[capped.value_N])
    # Of the first genre are all movies.
    assert number_BG.max() == capped.count_B.max() == 3
    assert capped.count_B.min() == 2
