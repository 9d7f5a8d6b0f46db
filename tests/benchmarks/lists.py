"""Every model of order and the baselines beside it: how well lists name what comes next.

    PYTHONPATH=. python tests/benchmarks/lists.py --split next-visit
    PYTHONPATH=. python tests/benchmarks/lists.py --split leave-last-out --data ml-1m
    PYTHONPATH=. python tests/benchmarks/lists.py --split 0.9 --data ml-1m-times
    ... --part test                         once all settings are chosen
    ... --members visits ridge --set visits.factors=64
    ... --figures                           all figures of the table `metrics` as well

Data are read from the zips of --releases: ml-1m in the given order without movies rated fewer than
5 times (leave-last-out), ml-1m-times (its users 1 to 2999, whose times are real), ml-100k,
ml-latest-small. Each is split by next visit, last rating, or at a share of all ratings by time.
Measured on the validation part unless told otherwise: HR@10 and NDCG@10 with 95% intervals, NDCG@10
by the gap to the movie before, and seconds of training. What is chosen of a baseline (the
penalty and lag of EASE), is chosen on the validation part in the same run.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from model.bootstrap import difference, intervals
from model.data.histories import TEST, TRAIN, VALIDATION, Histories
from model.factors import Factors, load_factors
from model.family import ORDER_MODELS, Encoder, load
from model.held_out import HeldOut, held_out, rank
from model.list_measure import GAPS, Catalogue, measure
from model.ranking.ranker import Ranked
from model.ranking_metrics import accuracy, ranked_by_score, ranks_of
from model.training.loop import train
from tests.benchmarks.order_baselines import Baselines
from tests.benchmarks.order_data import Release, in_order, release, spec_of, split, write_inputs

RELEASES = Path(__file__).resolve().parents[3] / "shared/data"
PENALTIES = (300, 1000, 3000)
LAGS = (5, 20, 100)
K, LENGTH = 10, 100
# Named by: whom it asks, ranked lists and seconds of learning.
Named = tuple[str, Callable[[HeldOut], Ranked], float]


def read(name: str, folder: Path) -> Release:
    """One of the data sets that this benchmark knows."""
    if name == "ml-1m":
        file = folder / "ml-1m.zip"
        return release(file, in_order(file, folder / "ml-1m-order.csv.gz"))
    if name == "ml-1m-times":
        return release(folder / "ml-1m.zip", most_user=2999)
    return release(folder / f"{name}.zip")


def of_scores(
    score: Callable[[HeldOut], np.ndarray], trained_M: np.ndarray
) -> Callable[[HeldOut], Ranked]:
    """Lists by a baseline's scores, of movies with training ratings."""

    def ranked(held: HeldOut) -> Ranked:
        return ranked_by_score(np.where(trained_M, score(held), -np.inf), held.excluded, LENGTH)

    return ranked


def ndcg(ranked: Ranked, held: HeldOut) -> np.ndarray:
    return accuracy(ranks_of(ranked, held.targets), held.targets, K)["ndcg"]


def baselines(histories: Histories, movies: int) -> Iterator[Named]:
    """Those without a choice, then EASE as it is best on the validation part."""
    made = Baselines(histories, movies)
    trained_M = made.count_M > 0
    for score in (made.popularity, made.popularity_of_30_days, made.bias_order):
        yield score.__name__.replace("_", " "), of_scores(score, trained_M), 0.0
    validation = held_out(histories, VALIDATION)
    for name, lags in (("EASE", (None,)), ("EASE, recent movies weighted", LAGS)):
        tried = {}
        for penalty in PENALTIES:
            for lag in lags:
                started = time.perf_counter()
                ranked = of_scores(made.ease(penalty, lag), trained_M)
                figure = np.nanmean(ndcg(ranked(validation), validation))
                tried[figure] = penalty, lag, ranked, time.perf_counter() - started
        penalty, lag, ranked, seconds = tried[max(tried)]
        yield f"{name} ({penalty}{f', {lag}' if lag else ''})", ranked, seconds


def members(
    names: list[str],
    shown: Release,
    histories: Histories,
    seed: int,
    changes: dict[str, Any],
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Named]:
    """Each trained as conf says, and asked through its encoder and the scoring kernel."""
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(shown, histories, Path(folder))
        for name in names:
            started = clock()
            ranked = trained_member(name, Path(folder), seed, changes.get(name, {}))
            yield name, ranked, clock() - started


@dataclass(frozen=True)
class Trained:
    """A member that has learned: called with whom it asks, it ranks for them."""

    factors: Factors
    encoder: Encoder

    def __call__(self, held: HeldOut) -> Ranked:
        return rank(self.factors, self.encoder.encode(held.known).numpy(), held, LENGTH)


def trained_member(name: str, folder: Path, seed: int, changes: dict[str, Any]) -> Trained:
    """A member that has learned from the inputs in a folder, as conf says but for these changes."""
    spec = spec_of(name, folder, seed, **changes)
    with contextlib.redirect_stdout(io.StringIO()):
        train(spec)
    output = Path(spec.output)
    return Trained(load_factors(output), load(name).encoder(output, torch.device("cpu")))


def line(name: str, ranked: Ranked, held: HeldOut, seconds: float) -> str:
    rank_N = ranks_of(ranked, held.targets)
    found = accuracy(rank_N, held.targets, K)
    hr, gain = intervals(np.stack([found["hr"], found["ndcg"]]))
    text = f"{name:38} {hr.value:.4f} [{hr.low:.3f} {hr.high:.3f}]  "
    text += f"{gain.value:.4f} [{gain.low:.4f} {gain.high:.4f}] "
    least = -1.0
    for most in GAPS.values():
        among_N = (held.gap_N > least) & (held.gap_N <= most)
        of_gap = accuracy(rank_N, held.targets, K, among_N)["ndcg"]
        text += f" {np.nanmean(of_gap):9.4f}" if among_N.any() else f" {'':9}"
        least = most
    return f"{text} {seconds:8.1f}"


def figures(ranked: Ranked, held: HeldOut, shown: Release, histories: Histories) -> str:
    """All that the table `metrics` has, a line for each segment and k, and how long it took."""
    train = histories.of(TRAIN)
    count_M = np.bincount(train.movie_N, minlength=len(shown.movie_ids))
    started = time.perf_counter()
    found = measure(
        ranked,
        held,
        Catalogue(
            count_M, int((train.count_U > 0).sum()), shown.genre_MG, shown.genres, shown.gender_U
        ),
    )
    text = f"    {len(found)} figures in {time.perf_counter() - started:.1f} s"
    for (segment, k), of_segment in groupby(
        sorted(found, key=lambda f: (f.segment, f.k)), key=lambda f: (f.segment, f.k)
    ):
        values = ", ".join(f"{figure.name} {figure.value:.4f}" for figure in of_segment)
        text += f"\n    {segment} at {k}: {values}"
    return text


def compare(arguments: argparse.Namespace, name: str) -> None:
    """Print all lines of one data set, and what the best of each kind have between them."""
    shown = read(name, arguments.releases)
    histories = split(shown.histories, arguments.split)
    held = held_out(histories, TEST if arguments.part == "test" else VALIDATION)
    learned = int((histories.split_N == TRAIN).sum())
    print(
        f"\n{name}, {arguments.split}, {arguments.part}: {len(held):,} users, "
        f"{len(held.targets.value_N):,} targets, {len(shown.movie_ids):,} movies, {learned:,} "
        f"training ratings, seed {arguments.seed}\n{'':38} HR@10                    NDCG@10"
        f"                  same second  sitting     a day    longer  seconds",
        flush=True,
    )
    kinds = {
        "baseline": baselines(histories, len(shown.movie_ids)),
        "member": members(arguments.members, shown, histories, arguments.seed, arguments.changes),
    }
    best = {}
    for kind, all_of in kinds.items():
        found = {}
        for label, ranked_of, seconds in all_of:
            ranked = ranked_of(held)
            found[label] = ndcg(ranked, held)
            print(line(label, ranked, held, seconds), flush=True)
            if arguments.figures:
                print(figures(ranked, held, shown, histories), flush=True)
        best[kind] = max(found.items(), key=lambda item: np.nanmean(item[1]))
    (label, theirs), (member, ours) = best["baseline"], best["member"]
    apart = difference(ours, theirs)
    print(
        f"{member} is {np.nanmean(ours) / np.nanmean(theirs):.3f} x {label}: {apart.value:+.4f} "
        f"[{apart.low:+.4f} {apart.high:+.4f}], {apart.verdict}"
    )


def changes_of(words: list[str]) -> dict[str, dict[str, Any]]:
    """Settings by member, from `member.key=value`."""
    changes: dict[str, dict[str, Any]] = {}
    for word in words:
        key, _, value = word.partition("=")
        member, _, setting = key.partition(".")
        changes.setdefault(member, {})[setting] = yaml.safe_load(value)
    return changes


def main() -> None:
    """Compare on all data sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--split", default="next-visit")
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    parser.add_argument("--data", nargs="+", default=["ml-1m-times", "ml-100k", "ml-latest-small"])
    # A blend would train its members once more: it is measured if it is named.
    alone = [name for name in ORDER_MODELS if name != "order_blend"]
    parser.add_argument("--members", nargs="+", default=alone)
    parser.add_argument("--set", nargs="+", default=[], dest="words")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--figures", action="store_true")
    arguments = parser.parse_args()
    arguments.changes = changes_of(arguments.words)
    for name in arguments.data:
        compare(arguments, name)


if __name__ == "__main__":
    main()
