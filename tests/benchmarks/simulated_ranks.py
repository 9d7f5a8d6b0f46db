"""How far ranks in strata pay: an epoch at ML-32M's shape, simulated up to 64 from measured parts.

    PYTHONPATH=. python tests/benchmarks/simulated_ranks.py

Measured here: seconds of a step of 16,384 ratings and of each rank's part of it, and of an exchange
as latency and bytes a second (two sizes, two ranks, Gloo's loopback).
Counted: how many ratings each rank has of each block of movies, of made-up ratings whose users are
dealt as etl deals them. In each part of an epoch all wait for the rank with most steps and
ratings, then hand their blocks on; at the end the table of all is added up over a ring. `network`
has the same latency and 10 Gbit/s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from model.data.strata import cut_into_blocks
from model.matrix_factorisation import EmbeddingModel, Objective
from model.training.exchange import NoExchange
from model.training.optimisers import MOMENTS, RowOptimiser
from tests.benchmarks.training_scale import FILES, MOVIES, ROOT, USERS, spec_of
from tests.servers.ranks import launcher

RATINGS, BATCH, FACTORS = 32_000_000, 16_384, 64
RANKS = (1, 2, 4, 8, 16, 32, 64)
NETWORK = 10e9 / 8
EXCHANGE = """
import time
import horovod.torch as hvd, torch
from model.data.collectives import finish
hvd.init()
torch.set_num_threads(1)
splits = torch.zeros(2, dtype=torch.int32)
for rows in (1, 1 << 15):
    block, seconds = torch.zeros(rows, 195), []
    splits[1 - hvd.rank()] = rows
    for _ in range(12):
        hvd.barrier()
        start = time.perf_counter()
        finish(hvd.alltoall_async(block, splits, name="block"))
        seconds.append(time.perf_counter() - start)
    if hvd.rank() == 0:
        print("EXCHANGE", sorted(seconds)[len(seconds) // 2], block.numel() * 4)
"""


def drawn(random: np.random.Generator, ratings: int) -> tuple[np.ndarray, np.ndarray]:
    """Users and movies of made-up ratings; the movie rated most has 0.3% of them, as ML-32M's."""
    user = (random.random(ratings) ** 1.5 * USERS).astype(np.int64)
    return user, (random.random(ratings) ** 2 * MOVIES).astype(np.int64)


def step_seconds() -> dict[int, float]:
    """Seconds of a step of one rank, by the number of ranks that share its ratings."""
    torch.set_num_threads(1)
    spec = spec_of("matrix_factorisation", Path("nowhere"), factors=FACTORS)
    model = EmbeddingModel(USERS, MOVIES, FACTORS, True, 3.5, 0.01)
    loss = Objective(model, spec.settings)
    optimiser = RowOptimiser(model.table, spec.settings, NoExchange())
    random, found = np.random.default_rng(0), {}
    for ranks in RANKS:
        each = []
        for _ in range(60):
            drawn_rows = drawn(random, BATCH // ranks)
            user, movie = (torch.from_numpy(rows.astype(np.int32)) for rows in drawn_rows)
            rating = torch.full((len(user),), 4.0)
            start = time.perf_counter()
            row, gradient, _ = loss.gradient(user, movie, rating, BATCH)
            optimiser.step(row, gradient, 0.002)
            each.append(time.perf_counter() - start)
        # The least: what is left when nothing else is at work.
        found[ranks] = min(each)
    return found


def exchange_seconds() -> tuple[float, float]:
    """Latency of an exchange, and its seconds for each byte."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "exchange.py")
        script.write_text(EXCHANGE)
        done = subprocess.run(
            [*launcher(2), sys.executable, str(script)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    lines = [
        line.split("EXCHANGE")[1].split() for line in done.stdout.splitlines() if "EXCH" in line
    ]
    if done.returncode or len(lines) != 2:
        sys.exit(f"The exchange could not be measured:\n{done.stdout}\n{done.stderr}")
    (short, _), (long, size) = [(float(line[0]), float(line[1])) for line in lines]
    return short, (long - short) / size


def epoch_seconds(
    ranks: int, step_seconds: float, exchange: tuple[float, float]
) -> tuple[float, float, float]:
    """Learning, of which waiting for the slowest rank, and exchange of an epoch."""
    sample = RATINGS // 8
    user, movie = drawn(np.random.default_rng(1), sample)
    block_M = cut_into_blocks(torch.from_numpy(np.bincount(movie, minlength=MOVIES)), ranks).numpy()
    # A file holds the users that are equal to its number, and a rank every so many files.
    files = max(FILES, ranks)
    rank_N, block_N = user % files % ranks, block_M[movie]
    rows_RB = np.bincount(rank_N * ranks + block_N, minlength=ranks**2).reshape(ranks, ranks)
    rows_RB = rows_RB * (RATINGS // sample)
    learning = ideal = 0.0
    for part in range(ranks):
        rows_R = [int(rows_RB[rank, (rank + part) % ranks]) for rank in range(ranks)]
        steps = -(-sum(rows_R) // BATCH)
        # All take as many steps; those of the rank with most ratings are the longest.
        learning += steps * step_seconds * max(rows_R) / (sum(rows_R) / ranks)
        ideal += steps * step_seconds
    if ranks == 1:
        return learning, 0.0, 0.0
    width = (FACTORS + 1) * 4
    block_bytes = -(-MOVIES // ranks) * width * (1 + MOMENTS["adam"])
    table_bytes = (USERS + MOVIES) * width
    handed = ranks * (exchange[0] + block_bytes * exchange[1])
    told = 2 * (ranks - 1) * (exchange[0] + table_bytes / ranks * exchange[1])
    return learning, learning - ideal, handed + told


def main() -> None:
    """Measure, simulate and print."""
    steps, exchange = step_seconds(), exchange_seconds()
    print(f"an exchange: {exchange[0] * 1e3:.2f} ms and {1 / exchange[1] / 1e6:,.0f} MB/s")
    print("ranks      a step  learning  of it waiting  exchange  times one rank  by network")
    alone = epoch_seconds(1, steps[1], exchange)[0]
    for ranks in RANKS:
        learning, waiting, sent = epoch_seconds(ranks, steps[ranks], exchange)
        over_network = epoch_seconds(ranks, steps[ranks], (exchange[0], 1 / NETWORK))[2]
        print(
            f"{ranks:5} {steps[ranks] * 1e3:8.2f} ms {learning:7.2f} s {waiting:12.2f} s "
            f"{sent:7.2f} s {alone / (learning + sent):15.1f} "
            f"{alone / (learning + over_network):11.1f}"
        )


if __name__ == "__main__":
    main()
