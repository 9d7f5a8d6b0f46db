"""A second night of a network of order from the first night's weights, beside one from none.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/warm_start.py [--member gru] \
        [--set epochs=1 ...]

MovieLens 1M in the given order, by last rating. The first night has the release without each user's
last movie, the second the whole: what the first is measured by (its last two ratings of each user)
is then a training and a validation rating. Each training has the settings of conf/, but for `--set`
in the second night. Validation NDCG@10 after each epoch, and CPU seconds of the training.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from model.settings import TrainingSpec
from model.training.loop import train
from tests.benchmarks.lists import RELEASES, read
from tests.benchmarks.order_data import spec_of, split, write_inputs

SPLIT = "leave-last-out"


def trained(spec: TrainingSpec) -> str:
    """Train; how it went."""
    cpu = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        train(spec)
    cpu = time.process_time() - cpu
    manifest = json.loads((Path(spec.output) / "manifest.json").read_text())["manifest"]
    curve = [f"{epoch['validation_ndcg']:.4f}" for epoch in manifest["history"]]
    return f"validation NDCG@10 {', '.join(curve)}; {cpu:.0f} CPU s"


def main() -> None:
    """Print a line for each training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--member", default="gru")
    parser.add_argument("--set", nargs="+", default=[], dest="words")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    words = [word.partition("=") for word in asked.words]
    changes: dict[str, Any] = {key: yaml.safe_load(value) for key, _, value in words}
    shown = read("ml-1m", asked.releases)
    whole = shown.histories
    last_N = np.zeros(len(whole.movie_N), bool)
    last_N[whole.offset_U1[1:] - 1] = True
    with tempfile.TemporaryDirectory() as folder:
        nights = {}
        for name, histories in (("first", whole.where(~last_N)), ("second", whole)):
            night = Path(folder) / name
            write_inputs(shown, split(histories, SPLIT), night)
            nights[name] = night
        first = spec_of(asked.member, nights["first"], asked.seed)
        print(f"{asked.member}, first night: {trained(first)}", flush=True)
        second = spec_of(asked.member, nights["second"], asked.seed, **changes)
        for name, start in (("from the start", None), ("from the first night's", first.output)):
            output = str(nights["second"] / name)
            spec = replace(second, initial_factors=start, output=output)
            print(f"second night, {changes}, {name}: {trained(spec)}", flush=True)


if __name__ == "__main__":
    main()
