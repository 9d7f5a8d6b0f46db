"""What movies' rows gain by starting from another release's model, or from titles and genres.

    make text
    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/transfer.py [--members svdpp ...] \
        [--shares 1 0.1] [--set factors=32 ...]

ml-100k's ratings, dealt 80/10/10 by hash as etl does (`random`), and of the training ratings each
of these shares, drawn at random. Each member learns from them with the settings of conf/, but for
--set: from chance, from the same member as it has learned ml-latest-small, and from texts. Movies
are matched by title and year. Validation RMSE, clipped, and how many epochs it took to the best:
means of 3 seeds, each beside that of a start by chance. Test ratings are not read.
"""

import argparse
import contextlib
import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jobs.cleaning.file_order import TRAIN
from model.settings import TrainingSpec
from model.training.loop import train
from tests.benchmarks.accuracy import spec_of
from tests.benchmarks.lists import RELEASES
from tests.benchmarks.rating_data import Dealt, deal, write_inputs

SEEDS = (7, 8, 9)
# A split that is no part of any.
LEFT_OUT = -1


def part_of(dealt: Dealt, share: float) -> Dealt:
    """The same with so much of the training ratings."""
    random = np.random.default_rng(0).random(len(dealt.split_N))
    left_N = (dealt.split_N == TRAIN) & (random >= share)
    return replace(dealt, split_N=np.where(left_N, LEFT_OUT, dealt.split_N))


def trained(spec: TrainingSpec) -> tuple[float, int, str]:
    """Validation RMSE, its epoch, and what was said of the start."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        metrics = train(spec)
    lines = [line for line in said.getvalue().splitlines() if "starting from" in line]
    return metrics["validation_rmse_clipped"], metrics["best_epoch"], " ".join(lines)


def main() -> None:
    """Train the other release's models, then all, and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--members", nargs="+", default=["matrix_factorisation", "svdpp"])
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0, 0.1])
    parser.add_argument("--set", nargs="+", default=[], dest="words")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    asked = parser.parse_args()
    words = [word.partition("=") for word in asked.words]
    changes: dict[str, Any] = {key: yaml.safe_load(value) for key, _, value in words}
    other = deal(asked.releases / "ml-latest-small.zip", "random")
    whole = deal(asked.releases / "ml-100k.zip", "random")
    with tempfile.TemporaryDirectory() as name:
        there = Path(name) / "there"
        there.mkdir()
        write_inputs(other, there)
        for member in asked.members:
            source = replace(spec_of(member, there, other, changes), output=str(there / member))
            print(f"{member} of ml-latest-small: {trained(source)[0]:.4f}", flush=True)
            for share in asked.shares:
                here = Path(name) / f"{member}-{share}"
                here.mkdir()
                dealt = part_of(whole, share)
                write_inputs(dealt, here)
                rows = len(dealt.of(TRAIN))
                print(f"{member}, {rows:,} ratings of ml-100k", flush=True)
                for start in (None, "ml-latest-small/1", "text"):
                    spec = spec_of(member, here, dealt, changes | {"start_from": start})
                    spec = replace(spec, transfers={member: source.output})
                    found = [trained(replace(spec, seed=seed)) for seed in SEEDS]
                    rmse, epochs = np.mean([one[:2] for one in found], axis=0)
                    each = ", ".join(f"{one[0]:.4f}" for one in found)
                    said = found[0][2].partition("starting from ")[2]
                    print(
                        f"  {start or 'chance'}: {rmse:.4f} ({each}), {epochs:.1f} epochs {said}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
