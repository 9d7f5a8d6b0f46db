"""The past of a release, cut at moments: what was known at each, and what came until the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.settings.comparing import ReplaySettings
from model.data.histories import UNKNOWN, Histories

Ints = NDArray[np.integer]
WEEK = 7 * 86_400


@dataclass(frozen=True)
class Period:
    """From a cut to before the next; moments are seconds since 1970."""

    number: int
    """From 1."""
    start: int
    stop: int
    validation_from: int
    """What is known at the start is validated by from here on, and learned from before."""

    def of(self, histories: Histories) -> Histories:
        """What was known at the start, in train and validation, and what came after it as test.

        Ratings without a time come first in a history, and are known.
        """
        until = histories.where(histories.time_N < self.stop)
        split_N = (until.time_N >= self.validation_from).astype(np.int8)
        return replace(until, split_N=split_N + (until.time_N >= self.start))


def periods_of(time_N: Ints, conf: ReplaySettings, validation_share: float) -> list[Period]:
    """The periods of ratings with these times, UNKNOWN where they have none.

    `validation_share` is that of the ratings known at a cut. Raises JobError if there are too few.
    """
    dated = np.sort(time_N[time_N > UNKNOWN])
    if len(dated) == 0:
        raise JobError("No rating has a time, so there is no past to play again.")
    if conf.cuts:
        starts = [int(datetime.fromisoformat(f"{cut}T00:00Z").timestamp()) for cut in conf.cuts]
    else:
        left = 1 - conf.from_share
        shares = conf.from_share + left * np.arange(conf.periods) / conf.periods
        starts = dated[(shares * len(dated)).astype(int)].tolist()
    stops = [*starts[1:], int(dated[-1]) + 1]
    found = []
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True), 1):
        known = dated[: np.searchsorted(dated, start)]
        later = int(np.searchsorted(dated, stop)) - len(known)
        validation_from = int(known[int((1 - validation_share) * len(known))]) if len(known) else 0
        if len(known) == 0 or validation_from <= known[0] or later <= 0:
            raise JobError(
                f"Period {number}, {written(start)} to {written(stop)}, has {len(known):,} dated "
                f"ratings before it and {max(0, later):,} in it: too few. Lower replay.periods or "
                f"raise replay.from_share, or say other replay.cuts: ratings were given from "
                f"{written(dated[0])} to {written(dated[-1])}."
            )
        found.append(Period(number, start, stop, validation_from))
    return found


def trained_in(policy: str, periods: Sequence[Period]) -> list[Period]:
    """Of each period, the one at whose start the model was trained that makes its lists."""
    found: list[Period] = []
    for period in periods:
        due = not found or policy == "always"
        if policy == "weekly" and found:
            due = period.start - found[-1].start >= WEEK
        found.append(period if due else found[-1])
    return found


def moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def written(second: int) -> str:
    """2000-11-20."""
    return moment(int(second)).date().isoformat()
