r"""Training at ML-32M's shape: memory, ratings a second, bytes exchanged, by rows against dense.

    PYTHONPATH=. python tests/benchmarks/training_scale.py [ratings, in millions: default 4] \
        [dense] [sparse]

Made-up ratings of 200,948 users and 87,585 movies, popular ones more often, by biases, a taste of 8
factors and noise, in 16 Parquet files; 64 factors and biases, batches of 16,384, one epoch of at
most the given ratings. Memory is the highest of any rank, the libraries included. Bytes are those
that a rank hands to Horovod in a step.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.runs.configuration import load_configuration
from model.settings import TrainingSpec, chosen
from tests.servers.ranks import launcher

ROOT = Path(__file__).resolve().parents[2]
USERS, MOVIES, FILES, TASTE = 200_948, 87_585, 16, 8
MEASURED = """
import resource, sys
from pathlib import Path
from model import matrix_factorisation
from model.settings import read_spec
from model.training.loop import train

made = []
class Noted(matrix_factorisation.MatrixFactorisation):
    def __init__(self, *given):
        super().__init__(*given)
        made.append(self)
matrix_factorisation.MatrixFactorisation = Noted
metrics = train(read_spec(Path(sys.argv[1])))
[learner] = made
steps = -(-int(sys.argv[2]) // learner.settings.batch_size)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print("FIGURES", metrics["ratings_per_second"], peak, learner.bytes_sent // steps)
"""


def write_ratings(folder: Path, ratings: int, users: int = USERS, movies: int = MOVIES) -> None:
    """Ratings to learn from and 100,000 held back, both with indexes."""
    random = np.random.default_rng(0)
    taste_U9, taste_M9 = (
        random.normal(0, 0.35, (rows, TASTE + 1)).astype(np.float32) for rows in (users, movies)
    )
    for name, rows in (("train", ratings), ("validation", 100_000)):
        (folder / name).mkdir()
        for number in range(FILES):
            size = rows // FILES
            # As etl deals them: all ratings of a user in one file.
            user = (random.random(size) ** 1.5 * (users // FILES)).astype(np.int32)
            user = user * np.int32(FILES) + np.int32(number)
            movie = (random.random(size) ** 4 * movies).astype(np.int32)
            score = 3.5 + (taste_U9[user, 1:] * taste_M9[movie, 1:]).sum(1) * 2
            score += taste_U9[user, 0] + taste_M9[movie, 0] + random.normal(0, 0.8, size)
            rating = (np.clip(score, 0.5, 5) * 2).round().astype(np.float32) / 2
            columns = {"user_idx": user, "movie_idx": movie, "rating": rating}
            columns["rated_at"] = random.integers(0, 10**9, size)
            file = folder / name / f"{number}.parquet"
            pq.write_table(pa.table(columns), file, row_group_size=max(1, size))
    for entity, rows in (("user", users), ("movie", movies)):
        ids = pa.array(np.arange(rows, dtype=np.int32))
        index = pa.table({f"{entity}_id": ids, f"{entity}_idx": ids})
        pq.write_table(index, folder / f"{entity}_index.parquet")


def spec_of(model: str, folder: Path, **changes: Any) -> TrainingSpec:
    """A training with the settings of conf/, but for these changes."""
    told = [f"train.{model}.{name}={json.dumps(value)}" for name, value in changes.items()]
    learning = load_configuration(told).train.learning(model) | {"checkpoint_seconds": 1e9}
    return TrainingSpec(
        **chosen(model, learning),
        train=str(folder / "train"),
        validation=str(folder / "validation"),
        user_index=str(folder / "user_index.parquet"),
        movie_index=str(folder / "movie_index.parquet"),
        output=str(folder / "factors"),
        checkpoints=str(folder / "checkpoints"),
        events=None,
        rating_min=0.5,
        rating_max=5,
        provenance={},
    )


def make_data(folder: Path, ratings: int) -> TrainingSpec:
    """Write the ratings, and the spec of a training on them."""
    write_ratings(folder, ratings)
    return spec_of("matrix_factorisation", folder, epochs=1, batch_size=16384, factors=64)


def measure(spec: TrainingSpec, ranks: int, rows: int, **changes: object) -> list[int]:
    """Ratings a second, MiB of the largest rank, bytes a step and rank."""
    values = asdict(spec)
    values["settings"] |= changes
    file = Path(spec.output).with_name("spec.json")
    file.write_text(json.dumps(values))
    script = file.with_name("measured.py")
    script.write_text(MEASURED)
    command = [*launcher(ranks), sys.executable, str(script), str(file), str(rows)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    lines = [line for line in done.stdout.decode().splitlines() if "FIGURES" in line]
    figures = [[int(word) for word in line.split("FIGURES")[1].split()] for line in lines]
    return [max(column) for column in zip(*figures, strict=True)]


def main() -> None:
    """Measure both kinds of gradients with one rank, and with two and both kinds of exchange."""
    ratings = int(float(sys.argv[1] if len(sys.argv) > 1 else 4) * 1e6)
    kinds = sys.argv[2:] or ["dense", "sparse"]
    rows = ratings // FILES * FILES
    print(f"{rows:,} ratings, {USERS:,} users, {MOVIES:,} movies, 64 factors and biases")
    with tempfile.TemporaryDirectory(prefix="nightreel-scale-") as folder:
        spec = make_data(Path(folder), ratings)
        for ranks, exchange in ((1, "auto"), (2, "strata"), (2, "step")):
            for gradients in kinds:
                changes = {"gradients": gradients, "exchange": exchange}
                rate, peak, sent = measure(spec, ranks, rows, **changes)
                print(
                    f"{ranks} rank(s) {gradients:6} {exchange:6} {rate:10,} ratings/s  "
                    f"{peak:6,} MiB a rank  {sent / 1e6:6.2f} MB a step and rank",
                    flush=True,
                )


if __name__ == "__main__":
    main()
