"""`bayesian` at ML-32M's shape: seconds a sweep, memory, and how both grow; and beside the default.

    PYTHONPATH=. python tests/benchmarks/bayesian_scale.py [ratings, in millions: default 4] \
        [sweeps: default 6]

Made-up ratings of 200,948 users and 87,585 movies with a planted taste (training_scale.py). A line
for the whole, for half of the ratings, of the users and movies, and of the factors, and for two
ranks: seconds are those of the fastest sweep, each rank with one thread, memory the highest of any
rank, the libraries included. Then the default model of ratings, trained until it stops, and
`bayesian` for as many seconds: clipped RMSE on 100,000 ratings held back.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.settings import TrainingSpec
from tests.benchmarks.training_scale import MOVIES, USERS, spec_of, write_ratings
from tests.servers.ranks import launcher

ROOT = Path(__file__).resolve().parents[2]
MEASURED = """
import json, resource, sys
from pathlib import Path
from model.settings import read_spec
from model.training.loop import train

train(read_spec(Path(sys.argv[1])))
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def trained(spec: TrainingSpec, ranks: int = 1) -> tuple[list[dict[str, Any]], int]:
    """The figures of each epoch or sweep, and MiB of the largest rank."""
    file, script = (Path(spec.output).with_name(name) for name in ("spec.json", "measured.py"))
    file.write_text(json.dumps(asdict(spec)))
    script.write_text(MEASURED)
    done = subprocess.run(
        [*launcher(ranks), sys.executable, str(script), str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    lines = [line for line in done.stdout.decode().splitlines() if "PEAK" in line]
    manifest = json.loads((Path(spec.output) / "manifest.json").read_text(encoding="utf-8"))
    peak = max(int(line.split("PEAK")[1]) for line in lines)
    return manifest["manifest"]["history"], peak


def main() -> None:
    """Measure growth, then both models for the same time."""
    ratings = int(float(sys.argv[1] if len(sys.argv) > 1 else 4) * 1e6)
    sweeps = int(sys.argv[2] if len(sys.argv) > 2 else 6)
    print("ratings     users    movies  factors  ranks  s a sweep  MiB a rank", flush=True)
    lines = (
        (ratings, 1, 64, 1),
        (ratings, 1, 64, 2),
        (ratings // 2, 1, 64, 1),
        (ratings, 2, 64, 1),
        (ratings, 1, 32, 1),
        (ratings, 1, 32, 2),
    )
    for rows, part, factors, ranks in lines:
        with tempfile.TemporaryDirectory(prefix="nightreel-scale-") as folder:
            write_ratings(Path(folder), rows, USERS // part, MOVIES // part)
            changes = {"factors": factors, "burn_in": sweeps // 2, "samples": sweeps - sweeps // 2}
            history, peak = trained(spec_of("bayesian", Path(folder), **changes), ranks)
        seconds = min(figures["seconds"] for figures in history)
        print(
            f"{rows:<10,}  {USERS // part:<7,}  {MOVIES // part:<6,}  {factors:<7}  {ranks:<5}  "
            f"{seconds:<9.2f}  {peak:,}",
            flush=True,
        )
    with tempfile.TemporaryDirectory(prefix="nightreel-scale-") as folder:
        write_ratings(Path(folder), ratings)
        history, _ = trained(spec_of("matrix_factorisation", Path(folder)))
        budget = sum(figures["seconds"] for figures in history)
        least = min(figures["validation_rmse_clipped"] for figures in history)
        print(f"matrix_factorisation: RMSE {least:.4f} after {budget:.1f} s", flush=True)
        history, _ = trained(spec_of("bayesian", Path(folder), seconds=round(budget, 1)))
        seconds = sum(figures["seconds"] for figures in history)
        found = history[-1]["validation_rmse_clipped"]
        print(f"bayesian: RMSE {found:.4f} after {seconds:.1f} s, {len(history)} sweeps")


if __name__ == "__main__":
    main()
