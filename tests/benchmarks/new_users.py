"""Lists for users of whom no model has learned: from 80% of their ratings, for the others.

    PYTHONPATH=. python tests/benchmarks/new_users.py                  on validation users
    PYTHONPATH=. python tests/benchmarks/new_users.py --part test      once all settings are chosen
    ... --members vae --set vae.latent=64

Strong generalisation, as Liang et al. ("Variational Autoencoders for Collaborative Filtering",
2018) have it, on all ratings of MovieLens 1M: 1,000 users are for test, 1,000 for validation, and
the others are learned from. Of a twentieth of these, a fifth of the ratings says when a training by
steps is to end; nothing learns from it. NDCG@100, recall@20 and recall@50, these over the most that
could be found, with 95% intervals; seconds of the process on its CPUs. What is chosen of a
baseline (the penalty of EASE, weight and penalty of implicit's iALS: pip install implicit), is
chosen on the validation users in the same run.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from model.bootstrap import intervals
from model.data.histories import TEST, TRAIN, Histories
from model.held_out import HeldOut, held_out
from model.ranking.ranker import Ranked
from model.ranking_metrics import accuracy, ranks_of
from tests.benchmarks.hidden_users import hidden, learned_from
from tests.benchmarks.lists import RELEASES, changes_of, members, of_scores
from tests.benchmarks.order_baselines import Baselines
from tests.benchmarks.order_data import Release, release

try:
    from implicit.als import AlternatingLeastSquares
except ImportError:
    sys.exit("This benchmark needs its peer: pip install implicit")

HELD_USERS = 1000
PENALTIES = (300, 1000, 3000)
FACTORS, SWEEPS = 64, 15
ALPHAS, IALS_PENALTIES = (1, 4, 16), (1, 10, 100)
Named = tuple[str, Callable[[HeldOut], Ranked], float]


def deal(shown: Release, seed: int) -> tuple[Histories, HeldOut, HeldOut]:
    """What is learned from, and what is asked of validation and of test users."""
    place_U = np.random.default_rng(seed).permutation(len(shown.histories))
    test, validation, others = np.split(place_U, [HELD_USERS, 2 * HELD_USERS])
    asked = [held_out(hidden(shown.histories, of, TEST, seed), TEST) for of in (validation, test)]
    return learned_from(shown.histories, others, seed), asked[0], asked[1]


def figures(ranked: Ranked, held: HeldOut) -> np.ndarray:
    """NDCG@100, recall@20 and recall@50 of each user, 3 x B."""
    rank_N, count_B = ranks_of(ranked, held.targets), held.targets.count_B
    recalls = [
        accuracy(rank_N, held.targets, k)["recall"] * count_B / np.minimum(k, count_B)
        for k in (20, 50)
    ]
    return np.stack([accuracy(rank_N, held.targets, 100)["ndcg"], *recalls])


def ials(train: Histories, movies: int, alpha: float, penalty: float) -> Callable:
    """Scores by implicit's iALS."""
    model = AlternatingLeastSquares(
        FACTORS,
        penalty,
        alpha,
        iterations=SWEEPS,
        num_threads=1,
        random_state=7,
    )
    model.fit(csr_matrix(matrix(train, movies)), show_progress=False)

    def score(held: HeldOut) -> np.ndarray:
        known = csr_matrix(matrix(held.known, movies))
        return model.recalculate_user(np.arange(len(held)), known) @ model.item_factors.T

    return score


def matrix(histories: Histories, movies: int) -> csr_array:
    """1 for each rated movie, U x M."""
    ones_N = np.ones(len(histories.movie_N), np.float32)
    shape = (len(histories), movies)
    return csr_array((ones_N, histories.movie_N, histories.offset_U1), shape=shape)


def baselines(learned: Histories, movies: int, validation: HeldOut) -> Iterator[Named]:
    """Popularity, and each of the others as it is best on validation users."""
    made = Baselines(learned, movies)
    trained_M = made.count_M > 0
    yield "popularity", of_scores(made.popularity, trained_M), 0.0
    of_als = list(itertools.product(ALPHAS, IALS_PENALTIES))
    train = made.train.take(np.flatnonzero(made.train.count_U))
    for name, choices, score_of in (
        ("EASE", [(penalty,) for penalty in PENALTIES], made.ease),
        ("implicit iALS", of_als, lambda *of: ials(train, movies, *of)),
    ):
        tried = {}
        for choice in choices:
            started = time.process_time()
            ranked = of_scores(score_of(*choice), trained_M)
            found = figures(ranked(validation), validation)[0].mean()
            tried[found] = f"{name} {choice}", ranked, time.process_time() - started
        yield tried[max(tried)]


def main() -> None:
    """Print a line for each baseline and member."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    parser.add_argument("--members", nargs="*", default=["vae", "elsa", "ials"])
    parser.add_argument("--set", nargs="+", default=[], dest="words")
    parser.add_argument("--without-baselines", action="store_true")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    shown = release(arguments.releases / "ml-1m.zip")
    learned, validation, test = deal(shown, arguments.seed)
    held = test if arguments.part == "test" else validation
    changes = changes_of(arguments.words)
    print(
        f"ml-1m, {len(learned):,} users learned from, {(learned.split_N == TRAIN).sum():,} "
        f"ratings; {len(held):,} {arguments.part} users, {len(held.targets.value_N):,} targets, "
        f"seed {arguments.seed}\n{'':28} NDCG@100                recall@20               recall@50"
        "          CPU seconds",
        flush=True,
    )
    named, seed = arguments.members, arguments.seed
    kinds = [members(named, shown, learned, seed, changes, time.process_time)]
    if not arguments.without_baselines:
        kinds.insert(0, baselines(learned, len(shown.movie_ids), validation))
    for name, ranked, seconds in itertools.chain(*kinds):
        of = intervals(figures(ranked(held), held))
        values = "  ".join(f"{f.value:.4f} [{f.low:.4f} {f.high:.4f}]" for f in of)
        print(f"{name:28} {values} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
