"""Users folded in, beside the same users learned from: a tenth of MovieLens 1M, by 80% of theirs.

    PYTHONPATH=. python tests/benchmarks/fold_in.py [--members visits ials ...] [--ratings]

Each model learns twice, as conf says: without these users, whose rows then follow from the movies'
rows and 80% of their ratings, and with that 80%. What is held against both are their other ratings.
Members of order make a row by their encoder, of the first 80% in time order: NDCG@10. With
--ratings also matrix factorisation, of a random 80%: a row and a bias by ridge regression on the
movies' rows, with the penalty of the training, or a little more: RMSE of clipped predictions. Users
a second are of one thread, with all that a row needs but reading. Of a twentieth of the other users
a fifth of the ratings says when a training by steps ends, and which penalty it is.
"""

import argparse
import contextlib
import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from model.bootstrap import difference
from model.data.histories import TEST, TRAIN, VALIDATION, Histories
from model.factors import Factors, load_factors
from model.held_out import held_out
from model.metrics import rmse
from model.training.loop import train
from tests.benchmarks import accuracy, rating_data
from tests.benchmarks.hidden_users import hidden, joined, learned_from
from tests.benchmarks.lists import RELEASES, ndcg, read, trained_member
from tests.benchmarks.order_data import Release, write_inputs

SHARE = 0.1
# Of the ridge regression, times that of the training.
PENALTIES = (1, 1.25, 1.5)
MEMBERS = ["visits", "ials", "elsa"]


def deal(shown: Release, seed: int, by_time: bool) -> tuple[Histories, Histories]:
    """What is learned from in any case, and the histories of a tenth of the users."""
    place_U = np.random.default_rng(seed).permutation(len(shown.histories))
    few, others = np.split(place_U, [round(SHARE * len(place_U))])
    return (
        learned_from(shown.histories, others, seed),
        hidden(shown.histories, few, TEST, seed, by_time),
    )


def of_order(members: list[str], shown: Release, seed: int) -> None:
    """A line for each member."""
    others, few = deal(shown, seed, by_time=True)
    held = held_out(few, TEST)
    for name in members:
        found, seconds = [], 0.0
        for learned in (others, joined([others, few.of(TRAIN)])):
            with tempfile.TemporaryDirectory() as folder:
                write_inputs(shown, learned, Path(folder))
                ranked = trained_member(name, Path(folder), seed, {})
                started = time.process_time()
                ranked.encoder.encode(held.known)
                seconds = time.process_time() - started
                found.append(ndcg(ranked(held), held))
        folded, with_them = (np.nanmean(each) for each in found)
        apart = difference(*found)
        print(
            f"{name:12} NDCG@10 {folded:.4f} folded in, {with_them:.4f} learned from "
            f"({folded / with_them - 1:+.1%}; {apart.value:+.4f} [{apart.low:+.4f} "
            f"{apart.high:+.4f}]), {len(held) / seconds:,.0f} users a second",
            flush=True,
        )


def ridge_rows(factors: Factors, known: Histories, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and biases of users that are least in squares on the movies' rows.

    Minimises the sum over a user's n ratings of the squared error, plus n times the penalty times
    the squared length of row and bias: the user's part of the loss of matrix factorisation.
    """
    one_M1 = np.ones((len(factors.movie_MK), 1), np.float32)
    movie_MW = np.concatenate([factors.movie_MK, one_M1], 1)
    rest_N = known.rating_N - factors.mean - factors.movie_bias_M[known.movie_N]
    # Nothing is known of movies that were not learned of.
    known = replace(known, rating_N=rest_N.astype(np.float32))
    known = known.where(factors.movie_trained_M[known.movie_N])
    row_UW = np.zeros((len(known), movie_MW.shape[1]), np.float32)
    for user, (first, last) in enumerate(zip(known.offset_U1, known.offset_U1[1:], strict=False)):
        if last > first:
            movie_PW = movie_MW[known.movie_N[first:last]]
            left_WW = movie_PW.T @ movie_PW + penalty * (last - first) * np.eye(len(row_UW[0]))
            row_UW[user] = np.linalg.solve(left_WW, movie_PW.T @ known.rating_N[first:last])
    return row_UW[:, :-1], row_UW[:, -1]


def table(histories: Histories) -> pd.DataFrame:
    """A row per rating."""
    return pd.DataFrame(
        {
            "user_idx": histories.user_U[histories.owner_N],
            "movie_idx": histories.movie_N,
            "rating": histories.rating_N,
        }
    )


def folded(factors: Factors, known: Histories, penalty: float) -> Factors:
    """With these users' rows by ridge regression in place of their own."""
    user_UK, user_bias_U = np.array(factors.user_UK), np.array(factors.user_bias_U)
    trained_U = np.array(factors.user_trained_U)
    user_UK[known.user_U], user_bias_U[known.user_U] = ridge_rows(factors, known, penalty)
    trained_U[known.user_U] = True
    return replace(factors, user_UK=user_UK, user_bias_U=user_bias_U, user_trained_U=trained_U)


def error(factors: Factors, histories: Histories) -> float:
    """RMSE of these ratings."""
    users = histories.user_U[histories.owner_N]
    return rmse(factors.predict(users, histories.movie_N), histories.rating_N)


def learned_ratings(shown: Release, learned: Histories) -> tuple[Factors, float]:
    """Matrix factorisation, and its penalty."""
    split_N = np.where(learned.split_N == VALIDATION, rating_data.VALIDATION, rating_data.TRAIN)
    ids = {"user": shown.user_ids, "movie": shown.movie_ids}
    of = rating_data.Dealt(table(learned), split_N, ids)
    with tempfile.TemporaryDirectory() as folder:
        rating_data.write_inputs(of, Path(folder))
        spec = accuracy.spec_of("matrix_factorisation", Path(folder), of, {})
        with contextlib.redirect_stdout(io.StringIO()):
            train(spec)
        return load_factors(Path(spec.output)), spec.settings.regularisation


def of_ratings(shown: Release, seed: int) -> None:
    """A line for matrix factorisation."""
    others, few = deal(shown, seed, by_time=False)
    known, asked = few.of(TRAIN), few.of(TEST)
    without, penalty = learned_ratings(shown, others)
    # A training that stops early leaves rows shorter than where its loss is least.
    ending = others.take(np.flatnonzero(others.of(VALIDATION).count_U))
    tried = {
        error(folded(without, ending.of(TRAIN), penalty * times), ending.of(VALIDATION)): times
        for times in PENALTIES
    }
    times = tried[min(tried)]
    started = time.process_time()
    ridge_rows(without, known, penalty * times)
    seconds = time.process_time() - started
    own, by_ridge = (error(folded(without, known, penalty * of), asked) for of in (1, times))
    with_them = error(learned_ratings(shown, joined([others, known]))[0], asked)
    print(
        f"matrix_factorisation RMSE {by_ridge:.4f} folded in (penalty x {times}; {own:.4f} with "
        f"x 1), {with_them:.4f} learned from ({by_ridge - with_them:+.4f}), "
        f"{error(without, asked):.4f} unknown, {len(asked.movie_N):,} ratings; "
        f"{len(known) / seconds:,.0f} users a second",
        flush=True,
    )


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--members", nargs="*", default=MEMBERS)
    parser.add_argument("--ratings", action="store_true")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shown = read("ml-1m", arguments.releases)
    if arguments.ratings:
        of_ratings(shown, arguments.seed)
    of_order(arguments.members, shown, arguments.seed)


if __name__ == "__main__":
    main()
