"""Models trained on what was known at cuts in the past, and how good their lists were after each.

A training lies in runs/<run>/replay/<part>, `result.json` written last: what has one, of the same
settings and data, is not trained again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.comparing.entrants import BASELINES
from jobs.comparing.periods import Period, moment, periods_of, trained_in
from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, read_json, write_json
from jobs.runs.run import Run
from jobs.training.launchers import launch
from jobs.training.metrics_table import known
from jobs.training.order_gate import catalogue_of, ndcg_10
from jobs.training.order_lists import Question, by_factors, by_order, question
from jobs.training.specs import training_spec
from jobs.training.transfers import refuse_transfers
from model.data.histories import TEST, Histories, read_histories, write_histories
from model.data.indexes import read_ids
from model.factors import load_factors
from model.files import make_folder
from model.list_measure import Catalogue, Figure, measure
from model.ranking.ranker import Ranked
from model.settings import TrainingSpec

Measured = tuple[list[Figure], NDArray[np.float64]]


@dataclass(frozen=True)
class Part:
    """A member, and the period at whose start it is trained."""

    member: str
    period: Period

    @property
    def name(self) -> str:
        """What it is called: visits-3."""
        return f"{self.member}-{self.period.number}"


@dataclass(frozen=True)
class Outcome:
    """The figures of one period's lists; of a baseline, policy, trained and seconds are None."""

    member: str
    policy: str | None
    period: Period
    trained: Period | None
    seconds: float | None
    """Of the training at the period's start; 0 where there was none."""
    figures: list[Figure]
    ndcg_B: NDArray[np.float64]
    """NDCG at 10 of each user who took part."""


def histories_of(run: Run) -> Histories:
    """Of all that etl found, whatever split it dealt them to."""
    return read_histories(run.data("histories"))


def periods(run: Run, histories: Histories) -> list[Period]:
    """What the run's settings make of its histories. Raises JobError if they are too few."""
    etl = run.conf.etl
    share = etl.validation_share / (etl.train_share + etl.validation_share)
    return periods_of(histories.time_N, run.conf.replay, share)


def parts_of(run: Run, found: list[Period]) -> list[Part]:
    """All trainings that the policies need.

    Raises JobError if one starts from another model, which may know what came after the cuts.
    """
    conf = run.conf.replay
    refuse_transfers(run, conf.members, "cuts")
    needed = {period for policy in conf.policies for period in trained_in(policy, found)}
    ordered = sorted(needed, key=lambda period: period.number)
    return [Part(member, period) for member in conf.members for period in ordered]


def part_named(parts: list[Part], name: str) -> Part:
    """One of these. Raises JobError, naming them, if there is none of the name."""
    named = {part.name: part for part in parts}
    if name not in named:
        raise JobError(f"This replay trains no {name}, but: {', '.join(named)}.")
    return named[name]


def folder_of(run: Run, part: Part) -> Path:
    """Where its training lies."""
    return run.output("replay") / part.name


def train_part(run: Run, part: Part, histories: Histories) -> float:
    """Train a member on what was known, unless that was done; the seconds that it took.

    Raises JobError with the sentence of a training that failed.
    """
    folder, asked = folder_of(run, part), fingerprint(run, part)
    make_folder(folder)
    with exclusive(folder / ".lock", f"another attempt at {part.name} to end"):
        earlier = read_json(folder / "result.json")
        if earlier and earlier["fingerprint"] == asked:
            return float(earlier["seconds"])
        print(f"replay: {part.name}", flush=True)
        # Users' rows are made of all that is written: nothing of what is to be named.
        known_then = part.period.of(histories).until(TEST)
        write_histories(known_then, folder / "histories", run.conf.etl.min_row_groups)
        start = time.perf_counter()
        launch(spec_of(run, part), run.conf.train, run.staging / part.name)
        seconds = round(time.perf_counter() - start, 2)
        write_json(folder / "result.json", {"fingerprint": asked, "seconds": seconds})
    return seconds


def spec_of(run: Run, part: Part) -> TrainingSpec:
    """The run's training of the member, on the histories of then."""
    spec = training_spec(run, part.member, f"replay/{part.name}/factors")
    data = spec.provenance["data"] | {"order_split": "replay", "until": part.period.start}
    return replace(
        spec,
        histories=str(folder_of(run, part) / "histories"),
        events=None,
        provenance=spec.provenance | {"data": data},
    )


def fingerprint(run: Run, part: Part) -> str:
    """Of all that decides a training; an etl that was made again makes others."""
    own = run.conf.train.learning(part.member)
    cut = part.period.start, part.period.validation_from
    parts = [own, run.record("etl"), run.digest, *cut]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def outcomes(run: Run, found: list[Period], histories: Histories) -> Iterator[Outcome]:
    """Every period's, baselines first; what is not trained yet is."""
    conf = run.conf.replay
    user_ids_U = read_ids(str(run.data("user_index")), "user")
    movie_ids_M = read_ids(str(run.data("movie_index")), "movie")
    for place, period in enumerate(found):
        asked = question(period.of(histories), user_ids_U, movie_ids_M)
        if len(asked.held) == 0:
            print(f"replay: in period {period.number} nobody came back, so it is left out")
            continue
        catalogue = catalogue_of(run, asked)
        for name, baseline in BASELINES.items():
            figures, ndcg_B = measured(asked, baseline(asked), catalogue)
            yield Outcome(name, None, period, None, None, figures, ndcg_B)
        for member in conf.members:
            # Policies that have the same training have the same lists.
            of_lists: dict[tuple[Period, bool], Measured] = {}
            for policy in conf.policies:
                trained = trained_in(policy, found)[place]
                part = Part(member, trained)
                took = train_part(run, part, histories)
                kind = trained, policy != "never"
                if kind not in of_lists:
                    ranked = lists_of(run, asked, part, fresh=kind[1])
                    of_lists[kind] = measured(asked, ranked, catalogue)
                seconds = took if trained == period else 0.0
                yield Outcome(member, policy, period, trained, seconds, *of_lists[kind])


def lists_of(run: Run, asked: Question, part: Part, fresh: bool) -> Ranked:
    """With rows of what is known of users now, or those of the training."""
    folder = folder_of(run, part) / "factors"
    factors = load_factors(folder)
    return by_order(asked, factors, folder) if fresh else by_factors(asked, factors)


def measured(asked: Question, ranked: Ranked, catalogue: Catalogue) -> Measured:
    """All figures of lists, and NDCG at 10 of each user."""
    return measure(ranked, asked.held, catalogue), ndcg_10(asked, ranked)


def rows_of(run: Run, found: list[Outcome]) -> list[tuple[Any, ...]]:
    """The rows of the table `replays`."""
    return [
        (
            *(run.run_id, run.ds, run.release, each.member, each.policy, each.period.number),
            *(moment(each.period.start), moment(each.period.stop)),
            moment(each.trained.start) if each.trained else None,
            len(each.ndcg_B),
            *known(figure),
            each.seconds,
        )
        for each in found
        for figure in each.figures
    ]
