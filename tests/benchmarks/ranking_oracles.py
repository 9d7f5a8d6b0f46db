"""What ranx and RecTools make of the lists of tests/model/list_examples.py.

    pip install ranx rectools torch
    PYTHONPATH=. python tests/benchmarks/ranking_oracles.py

Prints the values that tests/model/test_ranking_metrics.py and test_list_metrics.py hold; in an
environment of its own, as both bring versions of packages that Nightreel does not use.
"""

import pprint
import sys

import numpy as np
import pandas as pd

from tests.model.list_examples import example

try:
    import ranx
    from rectools import Columns
    from rectools.metrics import (
        MRR,
        NDCG,
        AvgRecPopularity,
        CatalogCoverage,
        DebiasConfig,
        HitRate,
        IntraListDiversity,
        MeanInvUserFreq,
        Precision,
        Recall,
    )
except ImportError:
    sys.exit("This needs its peers: pip install ranx rectools")

KS = (10, 20, 100)


def table(lists) -> pd.DataFrame:
    owner = np.repeat(np.arange(len(lists)), lists.count_B)
    return pd.DataFrame({Columns.User: owner, Columns.Item: lists.value_N})


class Jaccard:
    """What RecTools asks of distances: those of pairs of items."""

    def __init__(self, genre_MG):
        self.genre_MG = genre_MG

    def __getitem__(self, pairs):
        one, other = (self.genre_MG[np.asarray(items, dtype=int)] for items in pairs)
        return 1 - (one & other).sum(1) / (one | other).sum(1)


def of_ranx(ranked, targets) -> dict[str, float]:
    with_targets = np.flatnonzero(targets.count_B)
    names = [
        f"{name}@{k}" for name in ("hit_rate", "recall", "precision", "ndcg", "mrr") for k in KS
    ]
    qrels = {f"u{user}": {f"m{m}": 1 for m in targets[user]} for user in with_targets}
    run = {
        f"u{user}": {
            f"m{m}": float(-rank)
            for m, rank in zip(
                ranked.movie_idx_R[ranked.row_R == user],
                ranked.rank_R[ranked.row_R == user],
                strict=True,
            )
        }
        for user in with_targets
    }
    return ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), names)


def of_rectools(shown) -> dict[str, float]:
    reco = pd.DataFrame(
        {
            Columns.User: shown.ranked.row_R,
            Columns.Item: shown.ranked.movie_idx_R,
            Columns.Rank: shown.ranked.rank_R,
        }
    )
    wanted, before = table(shown.targets), table(shown.history)
    found = {}
    for k in KS:
        for name, metric in {
            "hr": HitRate(k),
            "recall": Recall(k),
            "precision": Precision(k),
            "ndcg": NDCG(k, divide_by_achievable=True),
            "mrr": MRR(k),
            "debiased_ndcg": NDCG(
                k, divide_by_achievable=True, debias_config=DebiasConfig(1.5, random_state=20)
            ),
        }.items():
            found[f"{name}@{k}"] = metric.calc(reco, wanted)
        found[f"mean_popularity@{k}"] = AvgRecPopularity(k).calc(reco, before)
        found[f"novelty@{k}"] = MeanInvUserFreq(k).calc(reco, before)
        distance = IntraListDiversity(k, Jaccard(shown.genre_MG))
        found[f"intra_list_distance@{k}"] = distance.calc(reco)
        every = np.arange(len(shown.count_M))
        found[f"coverage@{k}"] = CatalogCoverage(k, normalize=True).calc(reco, every)
    return found


def main() -> None:
    shown = example()
    pprint.pprint({"ranx": of_ranx(shown.ranked, shown.targets), "RecTools": of_rectools(shown)})


if __name__ == "__main__":
    main()
