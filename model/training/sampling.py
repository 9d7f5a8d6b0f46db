"""The training of a model that is sampled: sweeps until validation has settled, or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import horovod.torch as hvd

from model.data.collectives import any_rank
from model.data.dataset import Dataset
from model.data.history_data import HistoryData
from model.family import Sampler
from model.settings import Course, SamplingSettings, TrainingSpec
from model.training.progress import Reporter
from model.training.resuming import go_on

STATE = ("history", "kept", "seconds", "chain", "began", "kept_before", "ended")


class Sampling:
    """A sampler, and how far it is; the same on every rank.

    With a course, each chain takes as many sweeps, and keeps as many of the last draws, as that
    says.
    """

    step = 0

    def __init__(
        self, sampler: Sampler, settings: SamplingSettings, course: Course | None = None
    ) -> None:
        self.sampler, self.settings, self.course = sampler, settings, course
        self.history: list[dict[str, Any]] = []
        self.kept, self.seconds = 0, 0.0
        self.chain, self.began, self.kept_before = 0, 0, 0
        """The chain, and the sweeps and kept draws of those before it."""
        self.ended: list[list[int]] = []

    @property
    def form(self) -> str:
        return self.sampler.form

    @property
    def place(self) -> str:
        chains = self.settings.chains
        of_chain = f" of chain {self.chain + 1} of {chains}" if chains > 1 else ""
        return f"sweep {len(self.history)}{of_chain}, {self.kept} kept"

    @property
    def chains(self) -> list[list[int]]:
        """Of each chain so far the sweeps, and how many draws were kept of them."""
        return [*self.ended, [len(self.history) - self.began, self.kept - self.kept_before]]

    @property
    def settled(self) -> bool:
        """Whether the last draws have brought the mean no more than next to nothing."""
        patience = self.settings.patience
        if self.kept - self.kept_before <= patience:
            return False
        then, now = (self.history[-1 - ago]["validation_rmse"] for ago in (patience, 0))
        return then - now < self.settings.gain if self.settings.gain else now > then

    @property
    def chain_ended(self) -> bool:
        """Whether the chain's draws are kept, or more would bring nothing, or its time is up."""
        if self.course:
            return self.chains[-1][0] >= self.course.chains[self.chain][0]
        share = (self.chain + 1) / self.settings.chains
        wanted = round(self.settings.samples * share)
        return self.kept > 0 and (self.kept >= wanted or self.settled or self.spent(share))

    @property
    def finished(self) -> bool:
        """Whether the last chain has ended."""
        return self.chain + 1 == self.settings.chains and self.chain_ended

    @property
    def burnt_in(self) -> bool:
        """Whether the next draw is kept."""
        if self.course:
            sweeps, kept = self.course.chains[self.chain]
            return self.chains[-1][0] >= sweeps - kept
        return (
            self.kept > self.kept_before
            or len(self.history) - self.began >= self.settings.burn_in
            or self.spent((self.chain + 0.5) / self.settings.chains)
        )

    def next_chain(self) -> None:
        """Begin another one."""
        self.ended = self.chains
        self.chain += 1
        self.began, self.kept_before = len(self.history), self.kept
        self.sampler.begin(self.chain)

    def spent(self, share: float) -> bool:
        """Whether so much of the budget has passed, over all attempts, by the clock of rank 0."""
        budget = self.settings.seconds
        if budget is None:
            return False
        return any_rank(hvd.rank() == 0 and self.seconds >= share * budget)

    @property
    def seconds_left(self) -> float:
        """At most, as fast as so far."""
        if self.course:
            to_come = self.course.rounds - len(self.history)
            return to_come * self.seconds / max(len(self.history), 1)
        done = len(self.history) - self.began if self.kept == self.kept_before else math.inf
        sweeps = max(self.settings.burn_in - done, 0) + self.settings.samples - self.kept
        sweeps += (self.settings.chains - self.chain - 1) * self.settings.burn_in
        left = sweeps * self.seconds / max(len(self.history), 1)
        budget = math.inf if self.settings.seconds is None else self.settings.seconds
        return min(left, max(budget - self.seconds, 0))

    def end_sweep(self, figures: dict[str, Any], kept: bool) -> None:
        """Note a sweep's figures."""
        self.history.append(figures)
        self.kept += kept
        self.seconds += figures["seconds"]

    def start_as_rank_0(self) -> None:
        """Draws follow from the seed alone."""

    def synchronise(self) -> None:
        """Ranks tell each other everything within a sweep."""

    def state_dict(self) -> dict[str, Any]:
        """References to all of it."""
        state = {name: getattr(self, name) for name in STATE}
        return state | {"form": self.form, "sampler": self.sampler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in STATE:
            setattr(self, name, state[name])
        self.sampler.load_state_dict(state["sampler"])


def sample(
    sampling: Sampling,
    data: Dataset | HistoryData,
    spec: TrainingSpec,
    reporter: Reporter,
    committed: dict[str, Any] | None = None,
    commit: Callable[[Any], None] | None = None,
) -> None:
    """Run sweeps until the sampling is finished. `committed` and `commit` as in `learn`.

    Raises ValueError with a sentence if a loss is not finite.
    """
    sampler, settings = sampling.sampler, sampling.settings
    reporter.say(f"it learns by {sampler.form}")
    checkpoint = go_on(sampling, spec, reporter.say, committed, commit)
    rows = sum(data.rows_R)
    while not sampling.finished:
        if sampling.chain_ended:
            sampling.next_chain()
            reporter.say(f"chain {sampling.chain + 1} of {settings.chains} begins")
        start, number = time.perf_counter(), len(sampling.history) + 1
        keep = sampling.burnt_in
        figures = {"epoch": number, "train_loss": sampler.sweep(number, keep)}
        if spec.validation:
            figures |= sampler.validate(data)
        seconds = time.perf_counter() - start
        figures |= {
            "seconds": round(seconds, 3),
            "ratings_per_second": round(rows / max(seconds, 1e-9)),
        }
        if not math.isfinite(figures["train_loss"] + figures.get("validation_loss", 0)):
            raise ValueError(f"The loss is not a finite number at sweep {number}.")
        sampling.end_sweep(figures, keep)
        reporter.sweep(figures, sampling.kept, sampling.seconds_left, sampling.finished)
        checkpoint()
    if not spec.course and sampling.kept < settings.samples:
        why = "the time is up" if sampling.spent(1.0) else f"{settings.patience} draws without gain"
        reporter.say(f"stopping: {why}; {sampling.kept} draws are kept")
