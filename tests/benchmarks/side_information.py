"""What `bayesian` gains on validation ratings by what is known of movies, users and times.

    PYTHONPATH=. python tests/benchmarks/side_information.py ../shared/data/ml-100k.zip u1 \
        [--seeds=3] [factors=16 samples=60 patience=60 ...]

Splits as in tests/benchmarks/accuracy.py; test ratings are not read. A line for nothing, for each
column, for both of movies, and for all; then for all and bins of times. The mean clipped RMSE over
seeds from that of conf/ on, and processor seconds of one training.
"""

import contextlib
import io
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from model.bayesian import OF_MOVIES, OF_USERS
from model.training.loop import train
from tests.benchmarks.accuracy import spec_of
from tests.benchmarks.rating_data import deal, write_inputs

COLUMNS = (*OF_MOVIES, *OF_USERS)
BINS: dict[str, Any] = {"user_bins": 32, "movie_bins": 20, "days": True}
TIMES = [(name,) for name in BINS] + [tuple(BINS)]
CHOICES = [
    *[(), *((column,) for column in COLUMNS), OF_MOVIES, COLUMNS],
    *[(*COLUMNS, *times) for times in TIMES],
]


def changes_of(choice: tuple[str, ...]) -> dict[str, Any]:
    """The settings by which what is chosen is learned from, and nothing else."""
    columns = {column: column in choice for column in COLUMNS}
    return columns | {
        name: value if name in choice else type(value)() for name, value in BINS.items()
    }


def main() -> None:
    """Train with each choice, and print."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    [seeds] = [w.partition("=")[2] for w in sys.argv[1:] if w.startswith("--seeds=")] or ["1"]
    if len(words) < 2:
        sys.exit(__doc__)
    pairs = (word.partition("=") for word in words[2:])
    given = {key: yaml.safe_load(value) for key, _, value in pairs}
    dealt = deal(Path(words[0]), words[1])
    print("validation  CPU s  told")
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(dealt, Path(folder))
        for choice in CHOICES:
            spec = spec_of("bayesian", Path(folder), dealt, given | changes_of(choice))
            start, found = time.process_time(), []
            for seed in range(spec.seed, spec.seed + int(seeds)):
                with contextlib.redirect_stdout(io.StringIO()):
                    metrics = train(replace(spec, seed=seed))
                found.append(metrics["validation_rmse_clipped"])
            each = (time.process_time() - start) / len(found)
            mean = sum(found) / len(found)
            print(f"{mean:.4f}      {each:5.1f}  {', '.join(choice) or 'nothing'}", flush=True)


if __name__ == "__main__":
    main()
