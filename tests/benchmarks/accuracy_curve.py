"""Seconds against RMSE: models of ratings beside Surprise SVD++, Spark ALS and myFM, in one run.

    python3.11 -m venv peers; peers/bin/pip install 'numpy<2' pandas scikit-surprise myfm
    PYTHONPATH=. python tests/benchmarks/accuracy_curve.py ../shared/data/ml-1m.zip kfold \
        --peers peers/bin/python [--only bayesian myfm ...]

Splits as in tests/benchmarks/accuracy.py. All learn from the training ratings; RMSE is clipped, on
the validation ratings, test ratings are not read. Settings are those of conf/ and the peers' own
defaults, but for what a line says. Seconds are those of learning, reading left out, on one thread,
Spark's on all cores. Ours come from one training each, as validation follows every epoch or sweep;
of a peer each line is a training of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

# Of a training, the parts of its seconds at which its RMSE is shown.
PARTS = (0.1, 0.25, 0.5, 1)
OURS = {
    "matrix_factorisation": {},
    "svdpp": {},
    "bayesian": {},
    "bayesian, 64 factors": {"factors": 64, "samples": 120, "patience": 120},
}
Columns = dict[str, np.ndarray]


def clipped_rmse(predicted: np.ndarray, rating: np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.clip(predicted, 1, 5) - rating) ** 2)))


def tell(name: str, seconds: float, rmse: float) -> None:
    print(f"{seconds:8.1f}  {rmse:.4f}  {name}", flush=True)


def ours(release: Path, split: str, only: set[str]) -> Columns:
    """Train our own and print their curves; what peers learn from and are measured on."""
    from jobs.cleaning.file_order import TRAIN, VALIDATION
    from model.factors import load_factors
    from model.training.loop import train
    from tests.benchmarks.accuracy import spec_of
    from tests.benchmarks.rating_data import deal, write_inputs

    dealt = deal(release, split)
    for title, changes in OURS.items():
        member = title.partition(",")[0]
        if member not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(dealt, Path(folder))
            spec = spec_of(member, Path(folder), dealt, changes)
            with contextlib.redirect_stdout(io.StringIO()):
                train(spec)
            history = load_factors(Path(spec.output)).manifest["history"]
        seconds_E = np.cumsum([figures["seconds"] for figures in history])
        rmse_E = [figures["validation_rmse_clipped"] for figures in history]
        for place in sorted({int(np.argmax(seconds_E >= p * seconds_E[-1])) for p in PARTS}):
            tell(title, seconds_E[place], rmse_E[place])
    columns = ("user_idx", "movie_idx", "rating")
    return {
        f"{name}_{column}": dealt.of(part)[column].to_numpy()
        for name, part in (("train", TRAIN), ("held", VALIDATION))
        for column in columns
    }


def surprise(train: Columns, held: Columns) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """SVD++ after several numbers of its epochs, 20 by default."""
    import pandas as pd
    from surprise import Dataset, Reader, SVDpp

    data = Dataset.load_from_df(pd.DataFrame(train), Reader(rating_scale=(1, 5)))
    whole = data.build_full_trainset()
    for epochs in (5, 10, 20):

        def fit(epochs: int = epochs) -> np.ndarray:
            model = SVDpp(n_epochs=epochs, random_state=0, cache_ratings=True).fit(whole)
            pairs = zip(held["user_idx"].tolist(), held["movie_idx"].tolist(), strict=True)
            return np.array([model.predict(user, movie).est for user, movie in pairs])

        yield f"Surprise SVD++, {epochs} epochs", fit


def myfm(train: Columns, held: Columns) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Bayesian factorisation machines on ids, with the implicit features of SVD++ on both sides."""
    from myfm import MyFMGibbsRegressor, RelationBlock
    from scipy import sparse

    users, movies = (int(train[c].max()) + 1 for c in ("user_idx", "movie_idx"))
    users = max(users, int(held["user_idx"].max()) + 1)
    movies = max(movies, int(held["movie_idx"].max()) + 1)
    ones = np.ones(len(train["rating"]))
    rated_UM = sparse.csr_matrix((ones, (train["user_idx"], train["movie_idx"])), (users, movies))

    def block(one_NN: sparse.csr_matrix, set_NN: sparse.csr_matrix) -> sparse.csr_matrix:
        count_N = np.maximum(np.asarray(set_NN.sum(1)).ravel(), 1)
        return sparse.hstack([one_NN, sparse.diags(count_N**-0.5) @ set_NN]).tocsr()

    of_user = block(sparse.eye(users, format="csr"), rated_UM)
    of_movie = block(sparse.eye(movies, format="csr"), rated_UM.T.tocsr())

    def blocks(rows: Columns) -> list[RelationBlock]:
        return [
            RelationBlock(rows["user_idx"], of_user),
            RelationBlock(rows["movie_idx"], of_movie),
        ]

    groups = [users, movies, movies, users]
    for rank, sweeps in ((10, 100), (32, 120)):

        def fit(rank: int = rank, sweeps: int = sweeps) -> np.ndarray:
            model = MyFMGibbsRegressor(rank=rank, random_seed=0)
            model.fit(
                None,
                train["rating"],
                X_rel=blocks(train),
                n_iter=sweeps,
                n_kept_samples=sweeps - 20,
                group_shapes=groups,
            )
            return model.predict(None, X_rel=blocks(held))

        yield f"myFM, SVD++ features, rank {rank}, {sweeps} sweeps", fit


def als(train: Columns, held: Columns) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Spark's ALS, rank 64, regParam 0.08."""
    import pandas as pd
    from pyspark.ml.recommendation import ALS

    from jobs.engines.spark import spark_session

    with tempfile.TemporaryDirectory() as folder:
        spark = spark_session("accuracy_curve", Path(folder))
        rows, asked = (spark.createDataFrame(pd.DataFrame(part)).cache() for part in (train, held))
        rows.count(), asked.count()
        for iterations in (5, 15):

            def fit(iterations: int = iterations) -> np.ndarray:
                learner = ALS(rank=64, regParam=0.08, maxIter=iterations, seed=0)
                learner = learner.setUserCol("user_idx").setItemCol("movie_idx")
                model = learner.setRatingCol("rating").fit(rows)
                scored = model.transform(asked).na.fill(3.5, ["prediction"])
                columns = ("user_idx", "movie_idx", "prediction")
                table = scored.select(*columns).toArrow()
                found = {name: table[name].to_numpy() for name in columns}
                # Pairs come back in another order.
                order = np.lexsort((found["movie_idx"], found["user_idx"]))
                predicted = np.empty(len(order))
                predicted[np.lexsort((held["movie_idx"], held["user_idx"]))] = found["prediction"][
                    order
                ]
                return predicted

            yield f"Spark ALS, rank 64, {iterations} iterations", fit
        spark.stop()


PEERS = {"surprise": surprise, "myfm": myfm, "als": als}


def measure(peer: str, file: Path) -> None:
    """Train a peer and print its lines."""
    with np.load(file) as arrays:
        train, held = (
            {name.partition("_")[2]: arrays[name] for name in arrays if name.startswith(part)}
            for part in ("train", "held")
        )
    for title, fit in PEERS[peer](train, held):
        start = time.perf_counter()
        predicted = fit()
        tell(title, time.perf_counter() - start, clipped_rmse(predicted, held["rating"]))


def main() -> None:
    """Ours in this process, each peer in one of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("split")
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    members = [title.partition(",")[0] for title in OURS]
    parser.add_argument("--only", nargs="+", default=[*members, *PEERS])
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peer:
        measure(asked.peer, asked.release)
        return
    print(" seconds  RMSE    model")
    arrays = ours(asked.release, asked.split, set(asked.only))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratings.npz"
        np.savez(file, **arrays)
        for peer in [name for name in PEERS if name in asked.only]:
            python = sys.executable if peer == "als" else asked.peers
            command = [python, __file__, str(file), asked.split, "--peer", peer]
            subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
