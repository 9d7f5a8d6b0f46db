"""How well lists name what their users went on to rate: figures of each user.

A target is a movie that the user rated later. The rules:

- A list holds movies that the user has not rated before, best first, equal scores by row number.
- A target that is not in the list is not found, also where the model cannot know the movie.
- A user without targets takes no part: the figures are nan, and means leave them out.

With T targets, of which those at ranks r are found among the first k: hit rate, whether there is
any; recall, found / T; precision, found / k; MRR, 1 / least r; NDCG, the sum of 1 / log2(r + 1)
over what it would be if the first min(T, k) were all targets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, best_first

Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
Double = NDArray[np.float64]
ACCURACY = ("hr", "recall", "precision", "ndcg", "mrr")
DEBIAS_SEED = 20


def ranked_by_score(score_BM: NDArray[np.floating], excluded: Lists, k: int) -> Ranked:
    """The k best of B users' scores of M movies in float32, none of the excluded ones."""
    score_BM = score_BM.astype(np.float32)
    users, movies = score_BM.shape
    score_BM[np.repeat(np.arange(users), excluded.count_B), excluded.value_N] = -np.inf
    k = min(k, movies)
    kth_B = np.partition(score_BM, movies - k, axis=1)[:, movies - k]
    # All that equal the k-th best, so that row numbers and not the partition decide among them.
    row_N, movie_N = np.nonzero((score_BM >= kth_B[:, None]) & (score_BM > -np.inf))
    score_N = score_BM[row_N, movie_N]
    order_N = best_first(row_N, score_N, movie_N)
    row_N = row_N[order_N]
    rank_N = np.arange(len(row_N)) - np.searchsorted(row_N, row_N)
    keep_N = rank_N < k
    chosen_R = order_N[keep_N]
    return Ranked(
        row_R=row_N[keep_N].astype(np.int32),
        rank_R=(rank_N[keep_N] + 1).astype(np.int32),
        movie_idx_R=movie_N[chosen_R].astype(np.int32),
        score_R=score_N[chosen_R],
    )


def ranks_of(ranked: Ranked, targets: Lists) -> Int:
    """The rank of each of N targets in the list of its user; 0 where it is not in it."""
    if len(ranked.row_R) == 0 or len(targets.value_N) == 0:
        return np.zeros(len(targets.value_N), np.int32)
    movies = np.int64(max(ranked.movie_idx_R.max(), targets.value_N.max()) + 1)
    key_R = ranked.row_R * movies + ranked.movie_idx_R
    order_R = np.argsort(key_R)
    key_N = np.repeat(np.arange(len(targets)), targets.count_B) * movies + targets.value_N
    place_N = np.searchsorted(key_R, key_N, sorter=order_R)
    place_N = order_R[np.minimum(place_N, len(order_R) - 1)]
    # -1, a movie that the model does not know, has the key of another user's last movie.
    found_N = (key_R[place_N] == key_N) & (targets.value_N >= 0)
    return np.where(found_N, ranked.rank_R[place_N], 0).astype(np.int32)


def accuracy(rank_N: Int, targets: Lists, k: int, among_N: Bool | None = None) -> dict[str, Double]:
    """All of `ACCURACY` at k for B users, from the ranks of their targets.

    `among_N` takes some targets only: the others are then neither asked for nor found.
    """
    users = len(targets)
    owner_N = np.repeat(np.arange(users), targets.count_B)
    if among_N is not None:
        owner_N, rank_N = owner_N[among_N], rank_N[among_N]
    targets_B = np.bincount(owner_N, minlength=users).astype(np.float64)
    targets_B[targets_B == 0] = np.nan
    found_N = (rank_N > 0) & (rank_N <= k)
    owner_N, rank_N = owner_N[found_N], rank_N[found_N]
    found_B = np.bincount(owner_N, minlength=users)
    gain_K1 = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2))])
    gain_B = np.bincount(owner_N, 1 / np.log2(rank_N + 1.0), users)
    first_B = np.full(users, np.inf)
    np.minimum.at(first_B, owner_N, rank_N)
    takes_part_B = np.where(np.isnan(targets_B), np.nan, 1.0)
    ideal_B = gain_K1[np.minimum(np.nan_to_num(targets_B, nan=1), k).astype(int)]
    return {
        "hr": (found_B > 0) * takes_part_B,
        "recall": found_B / targets_B,
        "precision": found_B / k * takes_part_B,
        "ndcg": gain_B / ideal_B * takes_part_B,
        "mrr": takes_part_B / first_B,
    }


def debiased(targets: Lists, spread: float = 1.5, seed: int = DEBIAS_SEED) -> Bool:
    """Which of N targets are left when no movie may be the target of unusually many users.

    Unusual is what lies above the third quartile of the movies' numbers of targets by more than
    `spread` times the distance of the quartiles; of such a movie's targets, chance takes as many as
    are usual. With these alone, naming the best-known movies to everybody gains less. This is
    the debiased validation of RecTools (`DebiasConfig`), to the same draw for the same seed.
    """
    movie_N = targets.value_N
    if len(movie_N) == 0:
        return np.zeros(0, bool)
    _, place_N, count_T = np.unique(movie_N, return_inverse=True, return_counts=True)
    low, high = np.quantile(count_T, [0.25, 0.75])
    most = int(high + spread * (high - low))
    kept_N = count_T[place_N] <= most
    drawn = np.flatnonzero(~kept_N)
    # NumPy promises that RandomState never changes.
    drawn = drawn[np.random.RandomState(seed).permutation(len(drawn))]
    drawn = drawn[np.argsort(place_N[drawn], kind="stable")]
    nth = np.arange(len(drawn)) - np.searchsorted(place_N[drawn], place_N[drawn])
    kept_N[drawn[nth < most]] = True
    return kept_N
