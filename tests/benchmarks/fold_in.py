"""Users folded in, beside the same users learned from: a tenth of MovieLens 1M, by 80% of theirs.

    PYTHONPATH=. python tests/benchmarks/fold_in.py [--members visits ials ...] [--ratings]

Each model learns twice, as conf says: without these users, whose rows then follow from the movies'
rows and 80% of their ratings, and with that 80%. What is held against both are their other ratings.
Members of order make a row by their encoder, of the first 80% in time order: NDCG@10. With
--ratings also matrix factorisation, of a random 80%: a row and a bias by ridge regression on the
movies' rows, with the penalty of the training, or with the mean and covariance of the rows of the
users learned from: RMSE of clipped predictions. Users a second are of one thread, with all that a
row needs but reading. Of a twentieth of the other users a fifth of the ratings says when a training
by steps ends, and how much noise ratings have.
"""

import argparse
import contextlib
import io
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
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
# Of the ridge regression on the movies' rows: variance of the errors of ratings.
NOISES = (0.35, 0.5, 0.7)
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


@dataclass(frozen=True)
class Prior:
    """What a user's row and bias, W numbers, are pulled towards, and how hard."""

    mean_W: np.ndarray
    penalty_WW: np.ndarray
    """Per rating where it is `by_rating`, else once."""
    by_rating: bool = False


def of_training(factors: Factors, regularisation: float) -> Prior:
    """Zero, by the penalty of the training: the user's part of its loss is then least."""
    width = factors.user_UK.shape[1] + 1
    return Prior(np.zeros(width), regularisation * np.eye(width), by_rating=True)


def of_users(factors: Factors, noise: float) -> Prior:
    """Mean and covariance of those learned from; errors of ratings have the variance `noise`."""
    row_UW = np.concatenate([factors.user_UK, factors.user_bias_U[:, None]], 1)
    row_UW = row_UW[factors.user_trained_U].astype(float)
    return Prior(row_UW.mean(0), noise * np.linalg.inv(np.cov(row_UW.T)))


def ridge_rows(factors: Factors, known: Histories, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Rows and biases of users that are least in squares on the movies' rows, and by the prior."""
    one_M1 = np.ones((len(factors.movie_MK), 1))
    movie_MW = np.concatenate([factors.movie_MK, one_M1], 1)
    # Nothing is known of movies that were not learned of.
    known = known.where(factors.movie_trained_M[known.movie_N])
    row_UW = np.tile(prior.mean_W, (len(known), 1))
    rest_N = known.rating_N - factors.mean - factors.movie_bias_M[known.movie_N]
    rest_N = rest_N - movie_MW[known.movie_N] @ prior.mean_W
    for user, (first, last) in enumerate(pairwise(known.offset_U1)):
        movie_PW = movie_MW[known.movie_N[first:last]]
        penalty_WW = prior.penalty_WW * (last - first if prior.by_rating else 1)
        if last > first:
            left_WW = movie_PW.T @ movie_PW + penalty_WW
            row_UW[user] += np.linalg.solve(left_WW, movie_PW.T @ rest_N[first:last])
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


def folded(factors: Factors, known: Histories, prior: Prior) -> Factors:
    """With these users' rows by ridge regression in place of their own."""
    user_UK, user_bias_U = np.array(factors.user_UK), np.array(factors.user_bias_U)
    trained_U = np.array(factors.user_trained_U)
    user_UK[known.user_U], user_bias_U[known.user_U] = ridge_rows(factors, known, prior)
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
    without, regularisation = learned_ratings(shown, others)
    ending = others.take(np.flatnonzero(others.of(VALIDATION).count_U))
    tried = {}
    for noise in NOISES:
        prior = of_users(without, noise)
        tried[error(folded(without, ending.of(TRAIN), prior), ending.of(VALIDATION))] = noise, prior
    noise, prior = tried[min(tried)]
    priors = {
        "the penalty of the training": of_training(without, regularisation),
        f"the users learned from, noise {noise}": prior,
    }
    with_them = error(learned_ratings(shown, joined([others, known]))[0], asked)
    print(
        f"matrix_factorisation RMSE {with_them:.4f} learned from, {error(without, asked):.4f} "
        f"unknown, {len(asked.movie_N):,} ratings",
        flush=True,
    )
    for name, prior in priors.items():
        started = time.process_time()
        ridge_rows(without, known, prior)
        seconds = time.process_time() - started
        found = error(folded(without, known, prior), asked)
        print(
            f"    {found:.4f} folded in by {name} ({found - with_them:+.4f}), "
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
