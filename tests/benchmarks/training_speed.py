"""Training on ML-1M: ratings a second and seconds to an RMSE, beside peers in the same run.

    nightreel ingest --run-id speed --dataset ml-1m --source ../shared/data/ml-1m.zip \
        --set etl.train_share=0.85 --set etl.validation_share=0.05
    nightreel etl --run-id speed
    pip install --no-deps scikit-surprise joblib
    PYTHONPATH=. python tests/benchmarks/training_speed.py <warehouse> speed [spark] [surprise]

The limit is a loop over tensors in memory, written as one would by hand: the same model, optimiser
and batch, nn.Embedding, autograd and torch.optim, on one thread, nothing else. Nightreel's ratings
a second are those of whole epochs, reading and validation left out on both sides. Seconds to an
RMSE are those of training with validation after each epoch, on the same validation rows, clipped.
Of two ranks that exchange gradients in every step it also measures what bounds them: the sum of the
movies' gradients, alone.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jobs.runs.configuration import load_configuration
from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from jobs.training.specs import rating_spec
from model.data.ratings import Ratings, read_ratings
from model.matrix_factorisation import MatrixFactorisationSettings
from model.settings import TrainingSpec, chosen
from tests.benchmarks.accuracy_curve import clipped_rmse
from tests.benchmarks.two_ranks import Epochs, histories, speed
from tests.servers.ranks import launcher

EPOCHS = 5
EXCHANGE = """
import sys, time
import horovod.torch as hvd, torch
from model.training.exchange import Exchange
hvd.init()
torch.set_num_threads(1)
gradient, exchange = torch.zeros(int(sys.argv[1]), int(sys.argv[2])), Exchange("none")
for step in range(220):
    if step == 20:
        start = time.perf_counter()
    exchange.sum(gradient)
if hvd.rank() == 0:
    print("MILLISECONDS", 1000 * (time.perf_counter() - start) / 200)
"""


def by_hand(
    train: Ratings, users: int, movies: int, settings: MatrixFactorisationSettings
) -> float:
    """Ratings a second of the hand-written loop, its fastest epoch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tables = [
        torch.nn.Embedding(size, width)
        for size, width in (
            (users, settings.factors),
            (movies, settings.factors),
            (users, 1),
            (movies, 1),
        )
    ]
    user, movie, user_bias, movie_bias = tables
    weights = [table.weight for table in tables]
    for weight in weights:
        torch.nn.init.uniform_(weight, -settings.init_scale, settings.init_scale)
    rate = settings.learning_rate
    optimiser = {
        "adam": lambda: torch.optim.Adam(weights, lr=rate, fused=True),
        "adamax": lambda: torch.optim.Adamax(weights, lr=rate),
        "adagrad": lambda: torch.optim.Adagrad(weights, lr=rate),
        "sgd": lambda: torch.optim.SGD(weights, lr=rate),
    }[settings.optimiser]()
    user_N, movie_N = train.user_N.long(), train.movie_N.long()
    mean, penalty = train.rating_N.mean(), settings.regularisation
    best = 0.0
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for rows in torch.randperm(len(train)).split(settings.batch_size):
            u, m, rating = user_N[rows], movie_N[rows], train.rating_N[rows]
            user_BK, movie_BK = user(u), movie(m)
            user_bias_B, movie_bias_B = user_bias(u).squeeze(1), movie_bias(m).squeeze(1)
            score = (user_BK * movie_BK).sum(1) + user_bias_B + movie_bias_B + mean
            squares = user_BK.square().sum() + movie_BK.square().sum()
            squares = squares + user_bias_B.square().sum() + movie_bias_B.square().sum()
            loss = ((score - rating).square().sum() + penalty * squares) / len(rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        best = max(best, len(train) / (time.perf_counter() - start))
    return best


def nightreel(spec: TrainingSpec, ranks: int, **changes: Any) -> tuple[float, Epochs]:
    """Ratings a second of the fastest epoch, and the history."""
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(spec.settings, **changes)
        chosen = replace(spec, settings=settings, output=f"{folder}/factors", events=None)
        [history] = histories(chosen, ranks)
        return speed(history), history


def exchange_milliseconds(rows: int, width: int) -> float:
    """What two ranks take to add a gradient up that has rows of this width."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(EXCHANGE)
        script.flush()
        command = [sys.executable, script.name, str(rows), str(width)]
        done = subprocess.run(
            launcher(2) + command,
            check=True,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
    return float(done.stdout.decode().split("MILLISECONDS")[1].split()[0])


def with_surprise(train: Ratings, validation: Ratings, epochs: int) -> tuple[float, float]:
    """Seconds to fit Surprise's SVD, its defaults, and its RMSE."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    columns = {n: c.numpy() for n, c in zip("umr", train.columns, strict=True)}
    data = Dataset.load_from_df(pd.DataFrame(columns), Reader(rating_scale=(1, 5)))
    trainset = data.build_full_trainset()
    start = time.perf_counter()
    model = SVD(n_epochs=epochs, random_state=0).fit(trainset)
    seconds = time.perf_counter() - start
    pairs = zip(*(column.tolist() for column in validation.columns[:2]), strict=True)
    predicted = np.array([model.predict(u, m).est for u, m in pairs])
    return seconds, clipped_rmse(predicted, validation.rating_N.numpy())


def with_spark(spec: TrainingSpec) -> tuple[float, float]:
    """Seconds to fit Spark ALS, rank 64, reg 0.08, 15 iterations, and its RMSE."""
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import functions as F

    from jobs.engines.spark import spark_session

    with tempfile.TemporaryDirectory() as folder:
        spark = spark_session("training_speed", Path(folder))
        train = spark.read.parquet(spec.train).cache()
        train.count()
        als = ALS(rank=64, regParam=0.08, maxIter=15, seed=0)
        als = als.setUserCol("user_idx").setItemCol("movie_idx").setRatingCol("rating")
        start = time.perf_counter()
        model = als.fit(train)
        model.userFactors.count()
        seconds = time.perf_counter() - start
        held = spark.read.parquet(str(spec.validation))
        scored = model.transform(held).na.fill(3.5, ["prediction"])
        clipped = F.least(F.greatest("prediction", F.lit(1.0)), F.lit(5.0))
        [(mse,)] = scored.select(F.avg((clipped - F.col("rating")) ** 2)).collect()
        spark.stop()
        return seconds, float(mse**0.5)


def seconds_to(history: list[dict[str, Any]], rmse: float) -> str:
    """When the validation RMSE was first as low, in words."""
    seconds = 0.0
    for epoch in history:
        seconds += epoch["seconds"]
        if epoch["validation_rmse_clipped"] <= rmse:
            return f"{seconds:.1f} s"
    return "never"


def main() -> None:
    """Measure one and two ranks, and the peers that were asked for."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    run = open_run(Warehouse(Path(sys.argv[1]).resolve()), sys.argv[2])
    learning = load_configuration().train.learning("matrix_factorisation")
    spec = replace(rating_spec(run), **chosen("matrix_factorisation", learning))
    settings = spec.settings
    train, validation = (read_ratings(run.split(name)) for name in ("train", "validation"))
    users, movies = (len(read_ratings_index(i)) for i in (spec.user_index, spec.movie_index))
    limit = by_hand(train, users, movies, settings)
    print(f"by hand, 1 thread            {limit:12,.0f} ratings/s", flush=True)
    for ranks, exchange in ((1, "auto"), (2, "strata"), (2, "step")):
        for gradients in ("dense", "sparse"):
            changes = {"gradients": gradients, "exchange": exchange}
            rate, _ = nightreel(spec, ranks, epochs=EPOCHS, patience=EPOCHS, **changes)
            name = f"{ranks} rank(s), {gradients}" + (f", {exchange}" if ranks > 1 else "")
            print(f"{name:28} {rate:12,.0f} ratings/s  {rate / limit:5.2f} of it", flush=True)
    histories = []
    for ranks in (1, 2):
        start = time.perf_counter()
        histories.append(nightreel(spec, ranks)[1])
        seconds = time.perf_counter() - start
        best = min(epoch["validation_rmse_clipped"] for epoch in histories[-1])
        learning = sum(epoch["seconds"] for epoch in histories[-1])
        print(
            f"nightreel, {ranks} rank(s): RMSE {best:.4f} in {learning:.1f} s of epochs, "
            f"{seconds:.1f} s start to end",
            flush=True,
        )
    history = histories[0]
    step = 1000 * settings.batch_size / max(e["ratings_per_second"] for e in histories[1])
    milliseconds = exchange_milliseconds(movies, settings.factors + settings.biases)
    print(f"2 ranks: {step:.2f} ms a step; the sum of {movies:,} rows alone {milliseconds:.2f} ms")
    if "surprise" in sys.argv:
        took, rmse = with_surprise(train, validation, 20)
        ours = seconds_to(history, rmse)
        print(f"Surprise SVD: RMSE {rmse:.4f} in {took:.1f} s; nightreel {ours}", flush=True)
    if "spark" in sys.argv:
        took, rmse = with_spark(spec)
        print(f"Spark ALS: RMSE {rmse:.4f} in {took:.1f} s; nightreel {seconds_to(history, rmse)}")


def read_ratings_index(folder: str) -> np.ndarray:
    import pyarrow.parquet as pq

    return pq.read_table(folder).column(0).to_numpy()


if __name__ == "__main__":
    main()
