"""Whether ratings lie as far off as `bayesian` says, and lists ordered by what is sure.

    PYTHONPATH=. python tests/benchmarks/uncertainty.py ../shared/data/ml-1m.zip random \
        [factors=32 ...] [--test]

Splits and settings as in tests/benchmarks/accuracy.py; validation decides when sampling ends.
Prints the shares of ratings inside the intervals that should hold 50% and 90%, and RMSE by tenth of
the stated deviation: of validation ratings, with `--test` of test ratings, which are read once.

Then lists by predicted rating, damped or as lower bounds (model/ranking/lower_bound.py): top 20 of
all movies that a user has no training rating of, against validation ratings of 4 and more.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from jobs.cleaning.file_order import TEST, TRAIN, VALIDATION
from model.calibration import deciles, shares_inside
from model.factors import Factors, load_factors
from model.metrics import rmse
from model.ranking.lists import Lists
from model.ranking.lower_bound import by_rating
from model.ranking.ranker import Ranker
from model.ranking_metrics import accuracy, ranks_of
from model.training.loop import train
from tests.benchmarks.accuracy import spec_of
from tests.benchmarks.rating_data import deal, write_inputs

K, GOOD, FEW = 20, 4, 20
ORDERS: list[tuple[float, float | None]] = [
    *((damping, None) for damping in (0, 5, 20, 100)),
    *((0, z) for z in (0.25, 0.5, 1, 1.5, 2)),
]


def calibration(factors: Factors, held: pd.DataFrame, name: str) -> None:
    """Print how far ratings lie from their predictions, and how far they should."""
    pairs = held["user_idx"].to_numpy(), held["movie_idx"].to_numpy()
    rating = held["rating"].to_numpy()
    predicted = factors.predict(*pairs, time_P=held["rated_at"].to_numpy())
    sd = factors.sd(*pairs)
    shares = shares_inside(predicted, sd, rating)
    inside = ", ".join(f"{share:.1%} inside {percent}%" for percent, share in shares.items())
    print(f"{name}: RMSE {rmse(predicted, rating):.4f}; {inside}; by tenth, stated and RMSE:")
    for tenth in deciles(predicted, sd, rating):
        print(f"    {tenth.sd:.3f}  {tenth.rmse:.3f}")


def lists_of(rows: pd.DataFrame, users: int) -> Lists:
    """The movies of each user, of those rows."""
    rows = rows.sort_values(["user_idx", "movie_idx"])
    count_U = np.bincount(rows["user_idx"], minlength=users)
    offset_U1 = np.concatenate([[0], np.cumsum(count_U)])
    return Lists(offset_U1, rows["movie_idx"].to_numpy(np.int32))


def show_lists(factors: Factors, learned: pd.DataFrame, held: pd.DataFrame) -> None:
    """Print how good lists are by each order."""
    users = len(factors.user_ids_U)
    rated, wanted = lists_of(learned, users), lists_of(held[held["rating"] >= GOOD], users)
    count_M = factors.movie_count_M
    assert count_M is not None
    print(f"damping  z     NDCG@{K}  recall@{K}  of movies with few ratings  movies")
    for damping, z in ORDERS:
        ranker = Ranker(by_rating(factors, damping, z))
        ranked = ranker.top_k(np.arange(users, dtype=np.int32), rated, K)
        found = accuracy(ranks_of(ranked, wanted), wanted, K)
        ndcg, recall = (np.nanmean(found[name]) for name in ("ndcg", "recall"))
        movie = ranked.movie_idx_R
        few = np.mean(count_M[movie] < FEW)
        bound = "none" if z is None else f"{z:g}"
        print(
            f"{damping:<7g}  {bound:<4}  {ndcg:.4f}   {recall:.4f}     {few:<26.1%}  "
            f"{len(np.unique(movie)):,}",
            flush=True,
        )


def main() -> None:
    """Train, and print."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    flags = {word for word in sys.argv[1:] if word.startswith("--")}
    if len(words) < 2 or flags - {"--test"}:
        sys.exit(__doc__)
    pairs = (word.partition("=") for word in words[2:])
    changes = {key: yaml.safe_load(value) for key, _, value in pairs}
    dealt = deal(Path(words[0]), words[1])
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(dealt, Path(folder))
        spec = spec_of("bayesian", Path(folder), dealt, changes)
        with contextlib.redirect_stdout(io.StringIO()):
            metrics = train(spec)
        print(f"{Path(words[0]).stem}, {words[1]}, seed {spec.seed}: {metrics['epochs']} sweeps")
        factors = load_factors(Path(spec.output))
        calibration(factors, dealt.of(VALIDATION), "validation")
        if "--test" in flags:
            calibration(factors, dealt.of(TEST), "test")
        show_lists(factors, dealt.of(TRAIN), dealt.of(VALIDATION))


if __name__ == "__main__":
    main()
