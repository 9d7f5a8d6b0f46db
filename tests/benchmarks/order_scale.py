"""A model of order on ML-32M's movies: the sampled softmax against the full one.

    PYTHONPATH=. python tests/benchmarks/order_scale.py [ratings, in thousands: default 200] \
        [member: default transformer]

Made-up histories of 160 ratings out of 87,585 movies. What follows is planted: with probability 0.6
one of the movie's four successors, else any movie, popular ones more often; a user rates a movie
once. The last rating of each is validation. One epoch with the settings of conf/ and one thread, by
either loss: seconds of it, and at 32 million ratings if all go as fast, memory at most, libraries
included, and NDCG@10 of the validation ratings among all movies.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from jobs.cleaning.order_splits import TEST, VALIDATION
from model.data.histories import Histories
from tests.benchmarks.bayesian_scale import MEASURED, ROOT
from tests.benchmarks.order_data import Release, spec_of, write_inputs

MOVIES, LENGTH, SUCCESSORS, FOLLOWS = 87_585, 160, 4, 0.6
RATINGS = 32_000_204


def planted(users: int) -> Release:
    """Histories in which one movie leads to another."""
    random = np.random.default_rng(0)
    weight_M = 1 / np.arange(10, MOVIES + 10)
    ends_M = np.cumsum(weight_M / weight_M.sum())

    def popular(count: int) -> np.ndarray:
        return np.minimum(np.searchsorted(ends_M, random.random(count)), MOVIES - 1)

    next_MS = popular(MOVIES * SUCCESSORS).reshape(MOVIES, SUCCESSORS)
    movie_UL = np.empty((users, LENGTH), np.int32)
    movie_UL[:, 0] = popular(users)
    for place in range(1, LENGTH):
        led_U = next_MS[movie_UL[:, place - 1], random.integers(0, SUCCESSORS, users)]
        movie_U = np.where(random.random(users) < FOLLOWS, led_U, popular(users))
        # Who has rated that one goes on to any other.
        while (rated_U := (movie_UL[:, :place] == movie_U[:, None]).any(1)).any():
            movie_U[rated_U] = random.integers(0, MOVIES, int(rated_U.sum()))
        movie_UL[:, place] = movie_U
    split_UL = np.zeros((users, LENGTH), np.int8)
    split_UL[:, -1], split_UL[:, -2] = TEST, VALIDATION
    time_UL = np.tile(np.arange(LENGTH, dtype=np.int64) * 86_400, (users, 1))
    histories = Histories(
        np.arange(users, dtype=np.int32),
        np.arange(users + 1) * LENGTH,
        movie_UL.ravel(),
        np.full(users * LENGTH, 4, np.float32),
        time_UL.ravel(),
        split_UL.ravel(),
    )
    ids = np.arange(1, users + 1), np.arange(1, MOVIES + 1)
    none = np.full(users, ""), [""] * MOVIES
    return Release("planted", histories, *ids, np.zeros((MOVIES, 0), bool), [], *none)


def main() -> None:
    """Train by both losses."""
    ratings = int(float(sys.argv[1] if len(sys.argv) > 1 else 200) * 1000)
    member = sys.argv[2] if len(sys.argv) > 2 else "transformer"
    shown = planted(ratings // LENGTH)
    print(f"{member}, {len(shown.histories.movie_N):,} ratings of {len(shown.user_ids):,} users")
    print("softmax  s an epoch  h for 32 million  MiB    NDCG@10", flush=True)
    for name, above in (("sampled", 0), ("full", MOVIES)):
        with tempfile.TemporaryDirectory(prefix="nightreel-order-") as folder:
            write_inputs(shown, shown.histories, Path(folder))
            spec = spec_of(member, Path(folder), 7, sampled_above=above, epochs=1)
            file, script = Path(folder) / "spec.json", Path(folder) / "measured.py"
            file.write_text(json.dumps(asdict(spec)))
            script.write_text(MEASURED)
            done = subprocess.run(
                [sys.executable, str(script), str(file)],
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            manifest = json.loads((Path(spec.output) / "manifest.json").read_text())
        [epoch] = manifest["manifest"]["history"]
        [peak] = [line.split()[-1] for line in done.stdout.splitlines() if "PEAK" in line]
        hours = epoch["seconds"] * RATINGS / len(shown.histories.movie_N) / 3600
        print(
            f"{name:7}  {epoch['seconds']:10.1f}  {hours:16.1f}  {int(peak):5,}  "
            f"{epoch['validation_ndcg']:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
