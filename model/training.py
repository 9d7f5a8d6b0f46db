"""Training of the embedding model with Horovod: the loop that every rank runs.

    python -m model.training spec.json                      one rank
    horovodrun -np 2 python -m model.training spec.json     two ranks

`spec.json` holds a `TrainingSpec`. Each rank reads its shard through petastorm; rank 0 alone
prints and saves. Ranks share one sequence of optimiser steps: a step's gradient is that of the
mean over all ranks' ratings in it, as if one rank held them all; only the order of rows differs.
"""

from __future__ import annotations

import json
import math
import sys
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import horovod.torch as hvd
import numpy as np
import pyarrow.parquet as pq
import torch

from model.embedding import EmbeddingModel
from model.export import count_ratings, export
from model.ratings import Ratings, read_shard


@dataclass(frozen=True)
class TrainingSpec:
    """What to train, on what, and where the `Factors` go. All paths are local folders."""

    train: str
    validation: str
    user_index: str
    movie_index: str
    output: str
    rating_min: float
    rating_max: float
    settings: dict[str, Any]
    """factors, biases, init_scale, regularisation, optimiser, learning_rate, batch_size, epochs,
    patience, seed: as jobs/configuration.py describes them."""
    provenance: dict[str, Any]
    """Copied into the manifest: run, release, fingerprint of the data."""


def train(spec: TrainingSpec) -> dict[str, Any]:
    """Train, keep the weights of the best epoch, save `Factors` at `spec.output`.

    Returns the metrics that the manifest also holds. Raises ValueError with a sentence if a loss
    is not finite.
    """
    hvd.init()
    settings = spec.settings
    device = pick_device()
    train_ratings = read_shard(Path(spec.train), hvd.rank(), hvd.size())
    validation = read_shard(Path(spec.validation), hvd.rank(), hvd.size()).to(device)
    user_ids, movie_ids = read_ids(spec.user_index, "user"), read_ids(spec.movie_index, "movie")
    users, movies = len(user_ids), len(movie_ids)
    rows_R = hvd.allgather(torch.tensor([len(train_ratings)])).tolist()
    counts = count_ratings(train_ratings, users, movies)
    mean = (counts.rating_sum_M.sum() / sum(rows_R)).item()

    torch.manual_seed(settings["seed"])
    model = EmbeddingModel(
        users, movies, settings["factors"], settings["biases"], mean, settings["init_scale"]
    ).to(device)
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    optimiser = hvd.DistributedOptimizer(
        make_optimiser(model, settings), named_parameters=model.named_parameters(), op=hvd.Sum
    )
    say(
        f"training on {sum(rows_R):,} ratings of {users:,} users and {movies:,} movies, "
        f"{hvd.size()} rank(s) with {', '.join(f'{rows:,}' for rows in rows_R)}, on {device}"
    )
    best: dict[str, Any] = {"validation_loss": math.inf}
    best_weights = deepcopy(model.state_dict())
    history = []
    start = time.perf_counter()
    train_ratings = train_ratings.to(device)
    for epoch in range(1, settings["epochs"] + 1):
        figures: dict[str, Any] = {"epoch": epoch}
        figures |= run_epoch(model, optimiser, train_ratings, rows_R, settings, epoch)
        figures |= validate(model, validation, spec.rating_min, spec.rating_max)
        say(describe(figures, settings["epochs"]))
        check_finite(figures, settings["learning_rate"])
        history.append(figures)
        if figures["validation_loss"] < best["validation_loss"]:
            best, best_weights = figures, deepcopy(model.state_dict())
        elif epoch - best["epoch"] >= settings["patience"]:
            say(f"stopping: {settings['patience']} epochs without gain; best was {best['epoch']}")
            break
    seconds = time.perf_counter() - start
    metrics = {
        "best_epoch": best["epoch"],
        "epochs": len(history),
        "validation_loss": best["validation_loss"],
        "validation_rmse": best["validation_rmse"],
        "validation_rmse_clipped": best["validation_rmse_clipped"],
        "ratings_per_second": round(sum(rows_R) * len(history) / seconds),
        "ranks": hvd.size(),
    }
    if hvd.rank() == 0:
        model.load_state_dict(best_weights)
        manifest = {
            "train_mean": mean,
            "settings": settings,
            "metrics": metrics,
            "history": history,
            **spec.provenance,
        }
        scale = (spec.rating_min, spec.rating_max)
        factors = export(model, counts, user_ids, movie_ids, scale, manifest)
        factors.save(Path(spec.output))
    hvd.barrier()
    return metrics


def pick_device() -> torch.device:
    """This rank's GPU where there is one; else one core of the CPU.

    A step is so small that more threads wait for one another longer than they work, and much
    longer on a busy machine: more cores are for more ranks.
    """
    if torch.cuda.is_available() and not hvd.nccl_built():
        say(
            "There is a GPU, but this Horovod has no NCCL to use it: training on "
            "the CPU. To build it anew, with nvcc and NCCL: rm .venv/.ready && make environments"
        )
    elif torch.cuda.is_available():
        if hvd.local_size() > torch.cuda.device_count():
            raise ValueError(
                f"{hvd.local_size()} ranks on a host with {torch.cuda.device_count()} GPU(s): each "
                "rank needs its own. Lower train.ranks, or hide the GPUs: CUDA_VISIBLE_DEVICES=''"
            )
        torch.cuda.set_device(hvd.local_rank())
        return torch.device("cuda", hvd.local_rank())
    torch.set_num_threads(1)
    return torch.device("cpu")


def read_ids(index: str, entity: str) -> np.ndarray:
    """The source's ids by row number, from an index of <entity>_id and <entity>_idx."""
    table = pq.read_table(index).sort_by(f"{entity}_idx")
    return table[f"{entity}_id"].to_numpy().astype(np.int32)


def make_optimiser(model: EmbeddingModel, settings: dict[str, Any]) -> torch.optim.Optimizer:
    rate = settings["learning_rate"]
    if settings["optimiser"] == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    if settings["optimiser"] == "adamax":
        return torch.optim.Adamax(model.parameters(), lr=rate, foreach=True)
    return torch.optim.SGD(model.parameters(), lr=rate)


def run_epoch(
    model: EmbeddingModel,
    optimiser: torch.optim.Optimizer,
    shard: Ratings,
    rows_R: list[int],
    settings: dict[str, Any],
    epoch: int,
) -> dict[str, float]:
    """One pass over all ratings; returns training loss and ratings per second.

    Every rank cuts its shard into the same number of near-equal steps, whatever its size, so that
    no rank waits in an allreduce that another never enters.
    """
    start = time.perf_counter()
    steps = math.ceil(sum(rows_R) / settings["batch_size"])
    seed = np.random.SeedSequence([settings["seed"], epoch, hvd.rank()])
    generator = torch.Generator().manual_seed(int(seed.generate_state(1)[0]))
    order = torch.randperm(len(shard), generator=generator).to(shard.rating_N.device)
    squared_error = torch.zeros((), dtype=torch.float64, device=order.device)
    for step, rows in enumerate(torch.tensor_split(order, steps)):
        step_rows = sum(total // steps + (step < total % steps) for total in rows_R)
        batch = shard.take(rows)
        score_B, square_B = model(batch.user_N, batch.movie_N)
        error_sum = (score_B - batch.rating_N).square().sum()
        loss = (error_sum + settings["regularisation"] * square_B.sum()) / step_rows
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        squared_error += error_sum.detach()
    total_error = hvd.allreduce(squared_error.cpu(), op=hvd.Sum).item()
    seconds = time.perf_counter() - start
    return {
        "train_loss": total_error / sum(rows_R),
        "seconds": round(seconds, 3),
        "ratings_per_second": round(sum(rows_R) / seconds),
    }


@torch.no_grad()
def validate(
    model: EmbeddingModel, shard: Ratings, rating_min: float, rating_max: float
) -> dict[str, float]:
    """Mean squared error and RMSE over all ranks' validation ratings, clipped and not."""
    sums = torch.zeros(3, dtype=torch.float64)
    for rows in torch.arange(len(shard), device=shard.rating_N.device).split(65_536):
        batch = shard.take(rows)
        score_B, _ = model(batch.user_N, batch.movie_N)
        sums[0] += (score_B - batch.rating_N).square().sum().item()
        sums[1] += (score_B.clamp(rating_min, rating_max) - batch.rating_N).square().sum().item()
        sums[2] += len(rows)
    error, clipped_error, rows_seen = hvd.allreduce(sums, op=hvd.Sum).tolist()
    return {
        "validation_loss": error / rows_seen,
        "validation_rmse": math.sqrt(error / rows_seen),
        "validation_rmse_clipped": math.sqrt(clipped_error / rows_seen),
    }


def describe(figures: dict[str, Any], epochs: int) -> str:
    return (
        f"epoch {figures['epoch']:>3}/{epochs}  train loss {figures['train_loss']:.4f}  "
        f"validation loss {figures['validation_loss']:.4f}  "
        f"RMSE {figures['validation_rmse']:.4f}  "
        f"{figures['ratings_per_second']:>10,} ratings/s  {figures['seconds']:.1f} s"
    )


def check_finite(figures: dict[str, Any], learning_rate: float) -> None:
    if not all(math.isfinite(figures[name]) for name in ("train_loss", "validation_loss")):
        raise ValueError(
            f"The loss is not a finite number after epoch {figures['epoch']} "
            f"at learning rate {learning_rate:g}. Try a smaller train.learning_rate."
        )


def say(line: str) -> None:
    if hvd.rank() == 0:
        print(line, flush=True)


def main() -> None:
    """Train as the spec file on the command line says."""
    spec = TrainingSpec(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    try:
        train(spec)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
