"""How often the gates take chance for a difference: trainings that differ by their seed alone.

    PYTHONPATH=. python tests/benchmarks/gate.py ../shared/data/ml-100k.zip \
        [--member elsa] [--trainings 20]

The first training is the champion, and the gates of evaluate judge each of the others against it:
by a paired bootstrap over users, the model of order by NDCG@10 (next visit, test visits), the
default model of ratings by squared errors (80/10/10 by hash, test ratings).
Nothing is chosen by what is found. A model of order that is found better or worse is so by the
luck of its seed; so is a model of ratings that is refused. Members that are learned in closed form,
as visits, have no seed and no luck.
"""

import argparse
import contextlib
import io
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from jobs.cleaning.file_order import TEST as TEST_RATINGS
from jobs.cleaning.order_splits import TEST
from jobs.runs.configuration import load_configuration
from jobs.training import order_gate, rating_gate
from model.bootstrap import difference
from model.data.columns import COLUMNS
from model.data.ratings import Ratings
from model.factors import load_factors
from model.held_out import held_out
from model.list_metrics import coverage, first
from model.training.loop import train
from tests.benchmarks import accuracy, order_data, rating_data
from tests.benchmarks.lists import ndcg, of_scores, trained_member
from tests.benchmarks.order_baselines import Baselines


def verdicts_of_order(release: Path, member: str, trainings: int) -> None:
    """Print what the gate says of each but the first, and of how many."""
    shown = order_data.release(release)
    histories = order_data.split(shown.histories, "next-visit")
    held, least_share = held_out(histories, TEST), load_configuration().evaluate.coverage_share
    popular = Baselines(histories, len(shown.movie_ids))
    baseline = ndcg(of_scores(popular.popularity, popular.count_M > 0)(held), held)
    found, champion, told = Counter[str](), None, 0.0
    with tempfile.TemporaryDirectory() as folder:
        order_data.write_inputs(shown, histories, Path(folder))
        for seed in range(trainings):
            ranked = trained_member(member, Path(folder), seed, {})(held)
            lists = first(ranked, len(held), 10)
            gain, named = ndcg(ranked, held), coverage(lists, len(shown.movie_ids))
            if champion is None:
                champion, told = gain, named
                continue
            apart = difference(gain, champion)
            good, _ = order_gate.decide(difference(gain, baseline), apart, named, told, least_share)
            found[apart.verdict] += 1
            found["good enough"] += good
            print(f"{member}, seed {seed}: {np.nanmean(gain):.4f}, {apart.verdict}", flush=True)
    print(f"{release.stem}, {member}: {dict(found)} of {trainings - 1}, {len(held):,} users")


def verdicts_of_ratings(release: Path, trainings: int) -> None:
    """The same of the default model of ratings."""
    dealt, errors = rating_data.deal(release, "random"), []
    test = dealt.of(TEST_RATINGS)
    held = Ratings(*(torch.from_numpy(test[name].to_numpy()) for name in COLUMNS))
    pairs = test["user_idx"].to_numpy(), test["movie_idx"].to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        rating_data.write_inputs(dealt, Path(folder))
        for seed in range(trainings + 1):
            member = "matrix_factorisation" if seed else "biases"
            spec = replace(accuracy.spec_of(member, Path(folder), dealt, {}), seed=seed)
            with contextlib.redirect_stdout(io.StringIO()):
                train(spec)
            predicted = load_factors(Path(spec.output)).predict(*pairs)
            errors.append(rating_gate.errors_by_user(predicted, held))
    bias, champion, *others = errors
    found = Counter(rating_gate.decide(own, bias, champion).scores for own in others)
    rmse = [rating_gate.root(own) for own in errors[1:]]
    print(
        f"{release.stem}, matrix_factorisation: {dict(found)} of {trainings - 1}; RMSE from "
        f"{min(rmse):.4f} to {max(rmse):.4f}, deviation {np.std(rmse):.4f}"
    )


def main() -> None:
    """Both gates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--member", default="elsa")
    parser.add_argument("--trainings", type=int, default=20)
    asked = parser.parse_args()
    verdicts_of_ratings(asked.release, asked.trainings)
    verdicts_of_order(asked.release, asked.member, asked.trainings)


if __name__ == "__main__":
    main()
