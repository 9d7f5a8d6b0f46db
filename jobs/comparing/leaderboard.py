"""The results of a comparison side by side: means over seeds, paired differences, agreement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.comparing.results import Result
from jobs.runs.run import Run
from jobs.training.order_gate import question_of
from jobs.training.order_lists import share_learned
from model.bootstrap import Difference, difference, intervals
from model.data.ratings import read_ratings
from model.list_agreement import overlap, rank_biased_overlap
from model.list_measure import EVERYBODY

Double = NDArray[np.float64]
By = Literal["rating", "order"]


@dataclass(frozen=True)
class Standing:
    """A member in a leaderboard: its trainings' mean, with the 95% interval of drawn users."""

    member: str
    """With a word on its settings where a search has chosen them."""
    trainings: int
    """One for each seed and fold."""
    value: float
    low: float
    high: float
    spread: float
    """The largest less the least over its trainings."""
    against_best: Difference | None
    """Paired, over the same users; above 0 is better. None: it is the best, or flattered."""
    learned: float
    """The share of what it is asked for that it has learned from."""
    results: Sequence[Result]

    def mean(self, name: str, k: int | None = None, segment: str = EVERYBODY) -> float | None:
        """A figure's mean over its trainings; None where one has none."""
        return mean_of([result.value(name, k, segment) for result in self.results])

    @property
    def flattered(self) -> bool:
        """Whether it is better than it should be, so that nobody is compared with it."""
        return self.learned > 0

    @property
    def validated(self) -> float | None:
        """The mean of the figures by which it may be chosen; None of a baseline."""
        return mean_of([result.validated for result in self.results])

    @property
    def folds(self) -> int:
        """How many there are; 0 where it was measured on the split of etl."""
        return len({result.entrant.fold for result in self.results} - {None})

    @property
    def seeds(self) -> int:
        """How many there are; 0 of a baseline."""
        return len({result.entrant.seed for result in self.results} - {None})

    @property
    def seconds(self) -> float:
        """Of one training."""
        return float(np.mean([result.seconds for result in self.results]))

    @property
    def cpu_seconds(self) -> float:
        """Of one training."""
        return float(np.mean([result.cpu_seconds for result in self.results]))


def mean_of(values: Sequence[float | None]) -> float | None:
    """None where one is missing."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def share_learned_of(run: Run, results: Sequence[Result]) -> float:
    """The share of what orders are asked for that models of ratings have learned from.

    0 where none stands in that board.
    """
    if all(result.ndcg_B is None or result.entrant.orders for result in results):
        return 0.0
    return share_learned(question_of(run), read_ratings(run.split("train")))


def standings(results: Sequence[Result], by: By, learned: float = 0.0) -> list[Standing]:
    """The best first: by RMSE of held-back ratings, or by NDCG at 10; who has none is left out.

    `learned`: as `share_learned_of` says; in the order of movies such models are flattered.
    """
    of_users: dict[str, list[Double]] = defaultdict(list)
    of_member: dict[str, list[Result]] = defaultdict(list)
    uncounted = {each.entrant for each in lacking_folds(results)}
    for result in results:
        if result.entrant in uncounted:
            continue
        found = result.squared_U if by == "rating" else result.ndcg_B
        if found is not None:
            of_users[result.entrant.label].append(found)
            of_member[result.entrant.label].append(result)
    if not of_users:
        return []
    # Of each user the mean over seeds and folds, higher is better.
    sign = -1 if by == "rating" else 1
    mean = {member: sign * np.mean(found, axis=0) for member, found in of_users.items()}
    ordered = sorted(mean, key=lambda member: -np.nanmean(mean[member]))
    known = {
        member: 0.0 if by == "rating" or of_member[member][0].entrant.orders else learned
        for member in ordered
    }
    best = next((member for member in ordered if not known[member]), None)
    board = []
    for member in ordered:
        [of_users_drawn] = intervals(abs(mean[member])[None])
        value, low, high = of_users_drawn.value, of_users_drawn.low, of_users_drawn.high
        each = [float(np.nanmean(found)) for found in of_users[member]]
        if by == "rating":
            value, low, high = np.sqrt([value, low, high]).tolist()
            each = np.sqrt(each).tolist()
        against = None
        if best not in (None, member) and not known[member]:
            against = difference(mean[member], mean[best])
        spread = max(each) - min(each)
        share, own = known[member], of_member[member]
        board.append(Standing(member, len(each), value, low, high, spread, against, share, own))
    return board


def lacking_folds(results: Sequence[Result]) -> list[Result]:
    """Those of seeds that lack a fold that others have: these are measured on more ratings."""
    of_seed: dict[tuple[str, int | None], set[int]] = defaultdict(set)
    for result in results:
        if result.entrant.fold:
            of_seed[result.entrant.label, result.entrant.seed].add(result.entrant.fold)
    every = set().union(*of_seed.values())
    return [
        result
        for result in results
        if result.entrant.fold and of_seed[result.entrant.label, result.entrant.seed] < every
    ]


def agreement(standing: Sequence[Standing]) -> Iterator[tuple[str, str, float, float]]:
    """Of every two members: the means over users of overlap at 10 and of rank-biased overlap.

    Of the lists of their first seeds.
    """
    for place, one in enumerate(standing):
        for other in standing[place + 1 :]:
            tops = one.results[0].top_BK, other.results[0].top_BK
            if tops[0] is None or tops[1] is None:
                continue
            pair = tops[0], tops[1]
            both = float(overlap(*pair).mean()), float(rank_biased_overlap(*pair).mean())
            yield one.member, other.member, *both


def rows_of(run: Run, results: Sequence[Result]) -> list[tuple[Any, ...]]:
    """The rows of the table `comparisons`."""
    return [
        (
            run.run_id,
            run.ds,
            run.release,
            result.entrant.member,
            result.entrant.seed,
            *figure,
            *(price_of(result) if result.entrant.seed is not None else [None] * 4),
            result.entrant.fold,
            result.trials,
        )
        for result in results
        for figure in result.figures
    ]


def price_of(result: Result) -> list[Any]:
    """What a training took, and what came of it; of a baseline there is none."""
    return [result.seconds, result.cpu_seconds, result.size, result.settings]
