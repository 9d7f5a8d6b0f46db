"""What lists gain and lose by diversity, calibration and a cap on genres, beside lists by score.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/reranking.py
    ... --wanted diversity=0.2 diversity=0.2,calibration=0.1
    ... --part test                                     once all settings are chosen
    ... --data ml-1m --split leave-last-out --costs     the time of all 6,040 users

A model of order learns as conf says, and lists of validation users are chosen of its best 200. All
figures are at 10 and of the same users: NDCG, with the 95% interval of the difference; how
different genres are (intra-list distance, Jaccard); how far genres are from the history's (Steck's
divergence, in nats); the share of movies that anybody is shown. Below, each over that of lists by
score. Then CPU seconds of the lists of 20 of all users in one thread: the 20 best by the scoring
kernel, the 200 best, and the choice of 20 among these.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model.bootstrap import difference
from model.data.histories import TEST, TRAIN, VALIDATION, Histories
from model.held_out import HeldOut, held_out, rank
from model.list_metrics import calibration, coverage, first, intra_list_distance
from model.ranking.genres import distribution, genre_shares
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked
from model.ranking.reranking import POOL, Reranking, Wanted
from tests.benchmarks.lists import RELEASES, Trained, ndcg, read, trained_member
from tests.benchmarks.order_data import Release, split, write_inputs

K, LENGTH = 10, 20
WANTED = [
    *(f"diversity={d}" for d in (0.1, 0.3, 0.4, 0.5, 0.7)),
    *(f"calibration={c}" for c in (0.1, 0.2, 0.4)),
    *(f"genre_cap={n}" for n in (5, 8)),
]


def wanted_of(words: str) -> Wanted:
    """As in diversity=0.2,genre_cap=5."""
    pairs = dict(pair.split("=") for pair in words.split(","))
    cap = pairs.pop("genre_cap", None)
    return Wanted(
        **{name: float(value) for name, value in pairs.items()}, genre_cap=int(cap) if cap else None
    )


def figures(ranked: Ranked, held: HeldOut, shown: Release, count_M: np.ndarray) -> dict[str, float]:
    """Of lists, the means over users."""
    lists = first(ranked, len(held), K)
    return {
        "NDCG": float(np.nanmean(ndcg(ranked, held))),
        "distance": float(np.nanmean(intra_list_distance(lists, shown.genre_MG))),
        "divergence": float(np.nanmean(calibration(lists, held.excluded, shown.genre_MG))),
        "coverage": coverage(lists, int((count_M > 0).sum())),
    }


def cpu(work: Callable[[], object]) -> float:
    """The least seconds of three times."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def cost(made: Trained, known: Histories, reranking: Reranking) -> str:
    """CPU seconds of everybody's lists."""
    rows = made.encoder.encode(known).numpy()
    none = Lists(np.zeros(len(known) + 1, int), np.empty(0, np.int32))
    everybody = HeldOut(known, none, np.empty(0, np.int64))
    pool = rank(made.factors, rows, everybody, POOL)
    history_BG = distribution(everybody.excluded, reranking.share_CG[reranking.set_M])
    parts = {
        f"the {LENGTH} best": lambda: rank(made.factors, rows, everybody, LENGTH),
        f"the {POOL} best": lambda: rank(made.factors, rows, everybody, POOL),
        "chosen among these": lambda: reranking.rerank(pool, history_BG, LENGTH),
    }
    told = ", ".join(f"{name} {cpu(work):.2f} s" for name, work in parts.items())
    return f"{len(known):,} users: {told}"


def compare(arguments: argparse.Namespace, name: str) -> None:
    """Print a line for lists by score, and one for each of what is wanted."""
    shown = read(name, arguments.releases)
    histories = split(shown.histories, arguments.split)
    held = held_out(histories, TEST if arguments.part == "test" else VALIDATION)
    train = histories.of(TRAIN)
    count_M = np.bincount(train.movie_N, minlength=len(shown.movie_ids))
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(shown, histories, Path(folder))
        made = trained_member(arguments.member, Path(folder), arguments.seed, {})
    history_BG = distribution(held.excluded, genre_shares(shown.genre_MG))
    rows = made.encoder.encode(held.known).numpy()
    pool = rank(made.factors, rows, held, POOL)
    plain, by_score = figures(pool, held, shown, count_M), ndcg(pool, held)
    print(
        f"\n{name}, {arguments.split}, {arguments.part}: {arguments.member}, {len(held):,} users, "
        f"seed {arguments.seed}\n{'':32} NDCG@10 {'':26} distance  divergence  coverage\n"
        f"{'by score':32} {plain['NDCG']:.4f} {'':27} {plain['distance']:8.3f}  "
        f"{plain['divergence']:10.3f}  {plain['coverage']:8.3f}",
        flush=True,
    )
    for words in arguments.wanted:
        reranking = Reranking(wanted_of(words), shown.genre_MG)
        ranked = reranking.rerank(pool, history_BG, LENGTH)
        found = {k: v / plain[k] for k, v in figures(ranked, held, shown, count_M).items()}
        apart = difference(ndcg(ranked, held), by_score)
        print(
            f"{words:32} {found['NDCG']:.3f} x [{apart.low:+.4f} {apart.high:+.4f}] "
            f"{'':9} {found['distance']:6.3f} x  {found['divergence']:8.3f} x  "
            f"{found['coverage']:6.3f} x",
            flush=True,
        )
        if words == arguments.wanted[-1] or arguments.costs:
            print(f"    {cost(made, histories, reranking)}", flush=True)


def main() -> None:
    """Compare on all data sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--split", default="next-visit")
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    parser.add_argument("--data", nargs="+", default=["ml-1m-times", "ml-100k"])
    parser.add_argument("--member", default="visits")
    parser.add_argument("--wanted", nargs="+", default=WANTED)
    parser.add_argument("--costs", action="store_true", help="the time of each, not of the last")
    parser.add_argument("--releases", type=Path, default=RELEASES)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    for name in arguments.data:
        compare(arguments, name)


if __name__ == "__main__":
    main()
