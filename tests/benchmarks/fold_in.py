"""Users folded in, beside the same users learned from: a tenth of MovieLens 1M, by 80% of theirs.

    PYTHONPATH=. python tests/benchmarks/fold_in.py [--members visits ials] [--ratings bayesian]

Each model learns twice, as conf says: without these users, whose rows then follow from the movies'
rows and 80% of their ratings, and with that 80%. What is held against both are their other ratings.
Members of order make a row by their encoder, of the first 80% in time order: NDCG@10. Models of
ratings, those named after --ratings, have rows by ridge regression on the movies' rows, of a random
80%: RMSE of clipped predictions. The noise is the model's own; with others, beside it, the error is
that of a twentieth of the users learned from, folded in by four fifths of their ratings; the rest
of these also says when a training ends. Users a second are of one thread, with all that a row needs
but reading.
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
import pyarrow as pa
import torch

from model.bootstrap import difference
from model.data.histories import TEST, TRAIN, VALIDATION, Histories
from model.factors import Factors, load_factors
from model.fold_in import ridge_rows
from model.held_out import held_out
from model.metrics import rmse
from model.training.loop import train
from tests.benchmarks import accuracy, rating_data
from tests.benchmarks.hidden_users import hidden, joined, learned_from
from tests.benchmarks.lists import RELEASES, ndcg, read, trained_member
from tests.benchmarks.order_data import Release, write_inputs

SHARE = 0.1
# Other noises than the model's own, in units of it.
NOISES = (0.5, 0.7, 1.0, 1.4)
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


def table(histories: Histories) -> pd.DataFrame:
    """A row per rating."""
    return pd.DataFrame(
        {
            "user_idx": histories.user_U[histories.owner_N],
            "movie_idx": histories.movie_N,
            "rating": histories.rating_N,
            "rated_at": histories.time_N,
        }
    )


def folded(factors: Factors, known: Histories, noise: float) -> Factors:
    """With these users' rows by ridge regression in place of their own."""
    user_UK, user_bias_U = np.array(factors.user_UK), np.array(factors.user_bias_U)
    trained_U = np.array(factors.user_trained_U)
    # Nothing is known of movies that were not learned of.
    known = known.where(factors.movie_trained_M[known.movie_N])
    user_UK[known.user_U], user_bias_U[known.user_U] = ridge_rows(factors, known, noise)
    trained_U[known.user_U] = True
    return replace(factors, user_UK=user_UK, user_bias_U=user_bias_U, user_trained_U=trained_U)


def error(factors: Factors, histories: Histories) -> float:
    """RMSE of these ratings."""
    users = histories.user_U[histories.owner_N]
    return rmse(factors.predict(users, histories.movie_N), histories.rating_N)


def learned_ratings(
    name: str, shown: Release, learned: Histories, tables: dict[str, pa.Table]
) -> Factors:
    """A model of ratings, with the settings of conf."""
    split_N = np.where(learned.split_N == VALIDATION, rating_data.VALIDATION, rating_data.TRAIN)
    ids = {"user": shown.user_ids, "movie": shown.movie_ids}
    of = rating_data.Dealt(table(learned), split_N, ids, tables)
    with tempfile.TemporaryDirectory() as folder:
        rating_data.write_inputs(of, Path(folder))
        spec = accuracy.spec_of(name, Path(folder), of, {})
        with contextlib.redirect_stdout(io.StringIO()):
            train(spec)
        return load_factors(Path(spec.output))


def of_ratings(name: str, shown: Release, seed: int, tables: dict[str, pa.Table]) -> None:
    """A line for a model of ratings, and one for each other noise."""
    others, few = deal(shown, seed, by_time=False)
    known, asked = few.of(TRAIN), few.of(TEST)
    without = learned_ratings(name, shown, others, tables)
    with_them = error(learned_ratings(name, shown, joined([others, known]), tables), asked)
    noise = without.noise
    assert noise is not None
    ending = others.take(np.flatnonzero(others.of(VALIDATION).count_U))
    for tried in NOISES:
        at = folded(without, ending.of(TRAIN), tried * noise)
        print(f"    noise x {tried}: {error(at, ending.of(VALIDATION)):.4f}, validation")
    started = time.process_time()
    ridge_rows(without, known.where(without.movie_trained_M[known.movie_N]), noise)
    seconds = time.process_time() - started
    found = error(folded(without, known, noise), asked)
    print(
        f"{name:20} RMSE {found:.4f} folded in, {with_them:.4f} learned from "
        f"({found - with_them:+.4f}), {error(without, asked):.4f} unknown, {len(asked.movie_N):,} "
        f"ratings, noise {noise:.3f}, {len(known) / seconds:,.0f} users a second",
        flush=True,
    )


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--members", nargs="*", default=MEMBERS)
    parser.add_argument("--ratings", nargs="*", default=[], help="models of ratings")
    parser.add_argument("--data", choices=["ml-1m", "ml-100k"], default="ml-1m")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shown = read(arguments.data, arguments.releases)
    tables = rating_data.read_tables(arguments.releases / f"{arguments.data}.zip")
    for name in arguments.ratings:
        of_ratings(name, shown, arguments.seed, tables)
    of_order(arguments.members, shown, arguments.seed)


if __name__ == "__main__":
    main()
