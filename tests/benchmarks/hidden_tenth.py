"""RMSE of what a night publishes on ratings that it has never seen, with a refit and without.

    PYTHONPATH=. python tests/benchmarks/hidden_tenth.py ../shared/data/ml-1m.zip <folder> \
        [--hidden-seed 0] [--profile accurate] [--set KEY=VALUE ...]

Takes a tenth of the release's ratings out, drawn at random, and writes the rest as a delivery into
the folder. Makes a whole night of it, step by step as commands, in a warehouse there. Then
`nightreel predict --pairs` predicts the hidden tenth, and what comes is compared with what was
rated. What would have been published with train.refit=false is what the same version was measured
by. Prints the RMSE of both, the error that the night itself has measured, and seconds: of the step,
and in brackets those of its process on the CPUs, its start included.
"""

import argparse
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jobs.questions.pairs import predict_pairs
from jobs.runs.run import STEPS, Run, open_run
from jobs.runs.warehouse import Warehouse
from jobs.training.registry import Registry
from model.dates import UNKNOWN
from model.metrics import rmse

# The file of ratings in each layout: what separates its fields, and lines before the first rating.
RATINGS = {"ratings.dat": ("::", 0), "u.data": ("\t", 0), "ratings.csv": (",", 1)}


def hide(release: Path, folder: Path, seed: int) -> tuple[Path, pd.DataFrame]:
    """Write the release without a tenth of its ratings; the delivery, and what was taken out."""
    with zipfile.ZipFile(release) as archive:
        archive.extractall(folder)
    [file] = [file for name in RATINGS for file in folder.glob(f"*/{name}")]
    separator, head = RATINGS[file.name]
    lines = file.read_text(encoding="latin-1").splitlines(keepends=True)
    first, rated = lines[:head], lines[head:]
    hidden = np.random.default_rng(seed).permutation(len(rated)) < len(rated) // 10
    left = [line for line, out in zip(rated, hidden, strict=True) if not out]
    file.write_text("".join(first + left), encoding="latin-1")
    rows = [line.split(separator)[:4] for line, out in zip(rated, hidden, strict=True) if out]
    taken = pd.DataFrame(rows, columns=["user_id", "movie_id", "rating", "rated_at"])
    kinds = {"user_id": int, "movie_id": int, "rating": float, "rated_at": int}
    return file.parent, taken.astype(kinds).replace({"rated_at": {0: UNKNOWN}})


def night(delivery: Path, folder: Path, options: list[str]) -> tuple[Run, dict[str, float]]:
    """A night in a warehouse of its own, and the CPU seconds of each step."""
    given = ["--dataset", delivery.name, "--source", str(delivery.resolve()), *options]
    cpu = {
        step: call(folder, step, "--run-id", "night", *(given if step == "ingest" else []))
        for step in STEPS
    }
    return open_run(Warehouse(folder), "night"), cpu


def call(folder: Path, *words: str) -> float:
    """Run one command on the warehouse; its CPU seconds. What it says is shown if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "jobs.nightreel", *words]
    environment = os.environ | {"NIGHTREEL_WAREHOUSE": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def predicted(folder: Path, taken: pd.DataFrame) -> NDArray[np.float32]:
    """What `nightreel predict --pairs` says of the hidden ratings."""
    pairs, out = folder / "pairs.csv", folder / "predictions.csv"
    taken[["user_id", "movie_id", "rated_at"]].to_csv(pairs, index=False)
    call(folder, "predict", "--pairs", str(pairs), "--out", str(out))
    return pd.read_csv(out)["predicted_rating"].to_numpy()


def main() -> None:
    """Make the night, and print what both models say of the hidden tenth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path, help="a zip of MovieLens")
    parser.add_argument("folder", type=Path, help="where everything is written; must not exist")
    parser.add_argument("--hidden-seed", type=int, default=0)
    parser.add_argument("--profile")
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True)
    delivery, taken = hide(asked.release, asked.folder, asked.hidden_seed)
    print(f"{delivery.name}: {len(taken):,} ratings hidden, seed {asked.hidden_seed}", flush=True)
    options = [f"--profile={asked.profile}"] if asked.profile else []
    options += [f"--set={setting}" for setting in asked.set]
    folder = (asked.folder / "warehouse").resolve()
    run, cpu = night(delivery, folder, options)
    scored = predicted(folder, taken)
    _, measured = Registry.of(run).measured(str(run.model_version))
    told = (taken[name].to_numpy() for name in ("user_id", "movie_id", "rated_at"))
    before, _ = predict_pairs(measured, *told)
    actual, seconds = taken["rating"].to_numpy(), {s: run.record(s)["seconds"] for s in run.steps()}
    print(
        f"measured by the night on its own test ratings: {run.record('publish')['test_rmse']:.4f}"
    )
    for name, who, steps in (
        ("train.refit=false", before, [s for s in seconds if s != "refit"]),
        ("train.refit=true", scored, list(seconds)),
    ):
        of_cpu = sum(cpu[step] for step in steps)
        whole = f"{sum(seconds[step] for step in steps):.1f} s ({of_cpu:.1f})"
        print(f"{name:<18} hidden tenth {rmse(who, actual):.4f}, the night {whole}")
    for step in ("train", "refit"):
        print(f"{step:<18} {seconds[step]:.1f} s ({cpu[step]:.1f})")


if __name__ == "__main__":
    main()
