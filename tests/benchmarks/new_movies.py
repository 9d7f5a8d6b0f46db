"""Movies that nobody has rated: predicted ratings and lists by genres, years and titles alone.

    PYTHONPATH=. python tests/benchmarks/new_movies.py [--data ml-1m ml-100k] [--seed 7]
    ... --ratings svdpp --members elsa --width 100 --half 30

Of a twentieth of the rated movies, drawn by the seed, all ratings are taken out; models learn from
the others with the settings of conf/, and get rows of these movies (model/new_movies.py).

Ratings: RMSE, clipped, by these rows; by the mean rating and the user's bias, which stands in
without them; by the mean rating; and by such rows without what users differ in. Then the same with
1 to 5 ratings of each movie, drawn, learned from, beside the model's own rows. All ask for the same
ratings, those beyond five of a movie. Beside it the mean over movies of the RMSE of each, and by
how much that of the mean rating and bias is above that of these rows, with its interval of 95%.

Lists: of the movies taken out alone, for users who have rated one of them and another; recall and
NDCG at 10, recall over the most that could be found, with intervals, by these rows; by what they
are worth to everybody; by chance; by the mean number of ratings of learned movies with the genres;
and by the number of ratings taken out, which nobody knows.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from jobs.cleaning.file_order import TEST
from model import new_movies as rows
from model.bootstrap import difference, intervals
from model.data import movie_content
from model.data.histories import Histories
from model.data.movie_content import CatalogueContent
from model.factors import Factors, load_factors
from model.held_out import HeldOut
from model.metrics import rmse
from model.ranking.lists import Lists
from model.ranking_metrics import accuracy, ranked_by_score, ranks_of
from model.training.loop import train
from tests.benchmarks import rating_data
from tests.benchmarks.accuracy import spec_of
from tests.benchmarks.lists import RELEASES, trained_member
from tests.benchmarks.order_data import Release, release, split, write_inputs

SHARE, MOST_KEPT, K = 0.05, 5, 10


def held_movies(ids_M: np.ndarray, seed: int) -> np.ndarray:
    """The ids of a twentieth of these movies."""
    chosen = np.random.default_rng(seed).permutation(len(ids_M))[: round(SHARE * len(ids_M))]
    return ids_M[np.sort(chosen)]


def with_rows(factors: Factors, known: CatalogueContent, held: np.ndarray) -> Factors:
    """As if the model had learned nothing of the held movies, but for what is known of them."""
    without = ~np.isin(factors.movie_ids_M, held)
    factors = replace(factors, movie_trained_M=factors.movie_trained_M & without)
    return rows.with_new_movies(factors, rows.new_movies(factors, known, held))


def alike_for_all(factors: Factors) -> Factors:
    """The rows of new movies without that in which users differ."""
    _, mean_K = rows.users_told(factors)
    new_M = factors.movie_content_M
    assert new_M is not None
    level_M = factors.movie_bias_M + factors.movie_MK @ mean_K.astype(np.float32)
    return replace(
        factors,
        movie_MK=np.where(new_M[:, None], np.float32(0), factors.movie_MK),
        movie_bias_M=np.where(new_M, level_M, factors.movie_bias_M),
    )


def nth_of_movie(dealt: rating_data.Dealt, seed: int) -> np.ndarray:
    """A number for each rating, from 0, among those of its movie, in random order."""
    movie_N = dealt.ratings["movie_idx"].to_numpy()
    order_N = np.lexsort((np.random.default_rng(seed).random(len(movie_N)), movie_N))
    nth_N = np.empty(len(movie_N), np.int64)
    first_N = np.searchsorted(movie_N[order_N], movie_N[order_N])
    nth_N[order_N] = np.arange(len(movie_N)) - first_N
    return nth_N


def of_ratings(
    name: str, dealt: rating_data.Dealt, known: CatalogueContent, seed: int, kepts: list[int]
) -> None:
    """A line for each number of ratings that are kept of the held movies."""
    held = held_movies(dealt.ids["movie"], seed)
    held_N = np.isin(dealt.ratings["movie_id"], held)
    nth_N = nth_of_movie(dealt, seed)
    asked = dealt.ratings[held_N & (nth_N >= MOST_KEPT)]
    pairs = asked["user_idx"].to_numpy(), asked["movie_idx"].to_numpy()
    rating_N = asked["rating"].to_numpy()
    print(
        f"{name}: {len(held)} movies taken out, {len(asked):,} ratings asked for of "
        f"{asked['movie_id'].nunique()} of them\n"
        "kept  content  mean+bias  mean    alike   own     over movies: content  mean+bias  apart",
        flush=True,
    )

    def by_movie(predicted_N: np.ndarray) -> np.ndarray:
        _, place_N = np.unique(pairs[1], return_inverse=True)
        square_N = np.bincount(place_N, (predicted_N - rating_N) ** 2) / np.bincount(place_N)
        return np.sqrt(square_N)

    for kept in kepts:
        split_N = np.where(held_N & (nth_N >= kept), TEST, dealt.split_N)
        # What the deal itself holds back for a test is learned from here.
        split_N = np.where(~held_N & (split_N == TEST), rating_data.TRAIN, split_N)
        split_N = np.where(held_N & (nth_N < kept), rating_data.TRAIN, split_N)
        own = replace(dealt, split_N=split_N)
        with tempfile.TemporaryDirectory() as folder:
            rating_data.write_inputs(own, Path(folder))
            spec = spec_of(name, Path(folder), own, {})
            with contextlib.redirect_stdout(io.StringIO()):
                train(spec)
            model = load_factors(Path(spec.output))
            told = with_rows(model, known, held)
        learned_M = told.movie_trained_M & ~np.isin(told.movie_ids_M, held)
        untold = replace(told, movie_trained_M=learned_M, movie_content_M=None)
        mean_N = np.full(len(asked), model.train_mean, np.float32)
        ours_N, theirs_N = told.predict(*pairs), untold.predict(*pairs)
        alike_N, own_N = alike_for_all(told).predict(*pairs), model.predict(*pairs)
        errors = [rmse(each, rating_N) for each in (ours_N, theirs_N, mean_N, alike_N, own_N)]
        apart = difference(by_movie(theirs_N), by_movie(ours_N))
        print(
            f"{kept:4}  {errors[0]:.4f}   {errors[1]:.4f}     "
            + "  ".join(f"{error:.4f}" for error in errors[2:4])
            + (f"  {errors[4]:.4f}" if kept else f"  {'':6}")
            + f"               {by_movie(ours_N).mean():.4f}   {by_movie(theirs_N).mean():.4f}     "
            f"{apart.value:+.4f} [{apart.low:+.4f} {apart.high:+.4f}]",
            flush=True,
        )


def asked_for(histories: Histories, held_M: np.ndarray) -> HeldOut:
    """Users with a held movie and another: what they rated of the others, and of the held."""
    held_N = held_M[histories.movie_N]
    known, wanted = histories.where(~held_N), histories.where(held_N)
    place_B = np.flatnonzero((known.count_U > 0) & (wanted.count_U > 0))
    wanted = wanted.take(place_B)
    targets = Lists(wanted.offset_U1, wanted.movie_N)
    return HeldOut(known.take(place_B), targets, np.full(len(wanted.movie_N), -1))


def baselines(shown: Release, held_M: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Scores of all movies, which are the same for everybody."""
    count_M = np.bincount(shown.histories.movie_N, minlength=len(held_M)).astype(float)
    genre_MG = shown.genre_MG.astype(float)
    learned_M = ~held_M
    mean_G = (count_M * learned_M) @ genre_MG / np.maximum(learned_M @ genre_MG, 1)
    of_genres_M = genre_MG @ mean_G / np.maximum(genre_MG.sum(1), 1)
    yield "chance", np.random.default_rng(seed).random(len(held_M))
    yield "ratings of the genres", of_genres_M
    yield "ratings taken out", count_M


def of_order(name: str, shown: Release, known: CatalogueContent, seed: int) -> None:
    """A line for a model of order, and one for each baseline."""
    held = held_movies(shown.movie_ids, seed)
    held_M = np.isin(shown.movie_ids, held)
    histories = split(shown.histories, "next-visit")
    asked = asked_for(shown.histories, held_M)
    learned = histories.where(~held_M[histories.movie_N])
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(shown, learned, Path(folder))
        made = trained_member(name, Path(folder), seed, {})
    told = with_rows(made.factors, known, held)
    user_BK = made.encoder.encode(asked.known).numpy()
    alike = alike_for_all(told)
    scores: list[tuple[str, np.ndarray]] = [
        (name, user_BK @ told.movie_MK.T + told.movie_bias_M),
        ("alike for all", np.broadcast_to(alike.movie_bias_M, (len(asked), len(held_M)))),
    ]
    scores += [
        (label, np.broadcast_to(score_M, (len(asked), len(held_M))))
        for label, score_M in baselines(shown, held_M, seed)
    ]
    print(
        f"{len(asked):,} users, {len(asked.targets.value_N):,} targets, {held_M.sum()} movies\n"
        f"{'':24} recall@{K}                NDCG@{K}"
    )
    for label, score_BM in scores:
        ranked = ranked_by_score(np.where(held_M, score_BM, -np.inf), asked.excluded, K)
        found = accuracy(ranks_of(ranked, asked.targets), asked.targets, K)
        count_B = asked.targets.count_B
        recall_B = found["recall"] * count_B / np.minimum(K, count_B)
        figures = intervals(np.stack([recall_B, found["ndcg"]]))
        values = "  ".join(f"{f.value:.4f} [{f.low:.4f} {f.high:.4f}]" for f in figures)
        print(f"{label:24} {values}", flush=True)


def main() -> None:
    """Print the tables of each release."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["ml-1m", "ml-100k"])
    parser.add_argument("--ratings", nargs="*", default=["matrix_factorisation"])
    parser.add_argument("--members", nargs="*", default=["visits"])
    parser.add_argument("--width", type=int, default=movie_content.WIDTH)
    parser.add_argument("--half", type=float, default=rows.HALF)
    parser.add_argument("--kept", nargs="+", type=int, default=list(range(MOST_KEPT + 1)))
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows.HALF, movie_content.WIDTH = arguments.half, arguments.width
    for data in arguments.data:
        file = arguments.releases / f"{data}.zip"
        print(f"\n{data}, seed {arguments.seed}", flush=True)
        dealt = rating_data.deal(file, "random")
        known = CatalogueContent.of(dealt.tables["movies"])
        for name in arguments.ratings:
            of_ratings(name, dealt, known, arguments.seed, arguments.kept)
        for name in arguments.members:
            of_order(name, release(file), known, arguments.seed)


if __name__ == "__main__":
    main()
