"""Whether reasons are true: parts against scores, and what deleting the named movie does.

    PYTHONPATH=. python tests/benchmarks/reasons.py --data ml-100k ml-1m
    ... --members visits vae --ratings matrix_factorisation

Each model learns as conf says; users' rows are made of whole histories, as a night makes them, and
everybody's best 20 movies get their reasons. Printed for each: the most by which a score differs
from the sum of its parts and of what is the same for all users, of those whose parts are exact;
among the best 10 of 300 users, how often the score falls further without the named movie than
without another of the history, drawn at random, both rows made anew; the mean share; and CPU
seconds of all reasons, in one thread. Of models of ratings, rows are those that fold users in.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.data.histories import Histories
from model.factors import Factors
from model.family import ORDER_MODELS, Explaining
from model.fold_in import Equations, ridge_rows, with_bias
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, Ranker
from model.reasons import Explainer, without
from tests.benchmarks.fold_in import learned_ratings
from tests.benchmarks.lists import RELEASES, read, trained_member
from tests.benchmarks.order_data import Release, split, write_inputs
from tests.benchmarks.rating_data import read_tables

USERS, TOP, LENGTH = 300, 10, 20


@dataclass(frozen=True)
class Learned:
    """A model, what makes users' rows, and what explains their scores."""

    factors: Factors
    encode: Callable[[Histories], np.ndarray]
    """The rows that are multiplied with `explainer.movie_MW`."""
    explainer: Explainer
    exact: bool
    """Whether parts and what is the same for all users add up to the score."""

    def ranked(self, known: Histories) -> Ranked:
        """The best movies of each user."""
        users = len(known)
        factors = replace(
            self.factors,
            user_UK=self.encode(known).astype(np.float32),
            movie_MK=self.explainer.movie_MW,
            user_bias_U=np.zeros(users, np.float32),
            user_trained_U=known.count_U > 0,
            user_ids_U=np.arange(users),
        )
        return Ranker(factors).top_k(
            np.arange(users), Lists(known.offset_U1, known.movie_N), LENGTH
        )

    def scores(self, row_RW: np.ndarray, movie_R: np.ndarray) -> np.ndarray:
        """Of R pairs of a user's row and a movie."""
        product_R = np.einsum("rw,rw->r", row_RW.astype(float), self.explainer.movie_MW[movie_R])
        return product_R + self.factors.movie_bias_M[movie_R] + self.factors.mean


def of_order(name: str, shown: Release, learned: Histories, seed: int) -> Learned:
    """A member of order."""
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(shown, learned, Path(folder))
        made = trained_member(name, Path(folder), seed, {})
        explainer = Explainer.of(Path(folder) / "factors", torch.device("cpu"))
    assert explainer is not None
    exact = isinstance(made.encoder, Explaining) and name != "order_blend"
    return Learned(made.factors, lambda known: made.encoder.encode(known).numpy(), explainer, exact)


def of_ratings(name: str, shown: Release, learned: Histories, tables: dict[str, Any]) -> Learned:
    """A model of ratings, by the rows that fold users in."""
    factors = learned_ratings(name, shown, learned, tables)
    noise = factors.noise
    assert noise is not None
    explainer = Explainer(
        Equations.of(factors, noise).parts, with_bias(factors.movie_MK), factors.movie_ids_M
    )
    return Learned(
        factors, lambda known: np.column_stack(ridge_rows(factors, known, noise)), explainer, True
    )


def apart(of: Learned, known: Histories, ranked: Ranked) -> float:
    """The most by which a score differs from the sum of its parts and of what all have."""
    part_UW = np.zeros((len(known), of.explainer.movie_MW.shape[1]))
    for start in range(0, len(known), USERS):
        block = known.slice(start, start + USERS)
        np.add.at(part_UW, start + block.owner_N, of.explainer.parts(block))
    rest_W = of.encode(known.slice(0, 1))[0] - part_UW[0]
    sum_R = of.scores((part_UW + rest_W)[ranked.row_R], ranked.movie_idx_R)
    return float(np.abs(sum_R - ranked.score_R).max())


def named_falls_further(
    of: Learned, known: Histories, ranked: Ranked, named_R: np.ndarray, seed: int
) -> tuple[float, int]:
    """How often a score falls further without the movie named than without another; of how many."""
    random = np.random.default_rng(seed)
    several_U = np.flatnonzero(known.count_U > 1)
    users = random.choice(several_U, min(USERS, len(several_U)), replace=False)
    chosen_R = np.isin(ranked.row_R, users) & (ranked.rank_R <= TOP) & (named_R >= 0)
    rows = np.flatnonzero(chosen_R)
    pairs: list[tuple[int, int]] = []
    for row in rows:
        first, last = known.offset_U1[ranked.row_R[row] :][:2]
        named = first + int(np.flatnonzero(known.movie_N[first:last] == named_R[row])[0])
        other = first + int(random.integers(last - first - 1))
        pairs.append((named, other + (other >= named)))
    movie_R = ranked.movie_idx_R[rows]
    named_P, other_P = np.array(pairs).T
    without_it, without_other = (
        of.scores(of.encode(without(known, place_P)), movie_R) for place_P in (named_P, other_P)
    )
    return float(np.mean(without_it < without_other)), len(rows)


def line(name: str, of: Learned, histories: Histories, seed: int) -> str:
    """What is printed of a model."""
    known = histories.where(of.factors.movie_trained_M[histories.movie_N])
    known = known.take(np.flatnonzero(known.count_U))
    ranked = of.ranked(known)
    started = time.process_time()
    found = of.explainer.reasons(known, ranked.row_R, ranked.movie_idx_R)
    seconds = time.process_time() - started
    share, rows = named_falls_further(of, known, ranked, found.movie_R, seed)
    sums = f"{apart(of, known, ranked):.1e}" if of.exact else "-"
    return (
        f"{name:22} {sums:>8} apart, {share:6.1%} of {rows:,} fall further, reasons of "
        f"{np.mean(found.movie_R >= 0):.1%} of {len(found.movie_R):,} rows, mean share "
        f"{np.nanmean(found.share_R):.1%}, {seconds:.1f} CPU seconds"
    )


def main() -> None:
    """Print a line for each model and data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    alone = [name for name in ORDER_MODELS if name != "order_blend"]
    parser.add_argument("--data", nargs="+", default=["ml-100k", "ml-1m"])
    parser.add_argument("--members", nargs="*", default=alone)
    parser.add_argument("--ratings", nargs="*", default=["matrix_factorisation"])
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for data in arguments.data:
        shown = read(data, arguments.releases)
        histories = split(shown.histories, "next-visit")
        print(f"{data}: {len(histories):,} users, {len(histories.movie_N):,} ratings", flush=True)
        for name in arguments.members:
            of = of_order(name, shown, histories, arguments.seed)
            print(line(name, of, histories, arguments.seed), flush=True)
        tables = read_tables(arguments.releases / f"{data.removesuffix('-times')}.zip")
        for name in arguments.ratings:
            of = of_ratings(name, shown, histories, tables)
            print(line(name, of, histories, arguments.seed), flush=True)


if __name__ == "__main__":
    main()
