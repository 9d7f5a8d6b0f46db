"""The state of a training by steps: what a checkpoint holds, and what ranks that join are told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import horovod.torch as hvd

from model.family import Learner
from model.settings import Course, LoopSettings


class Training:
    """A learner, how far it is, and the weights of its best epoch.

    All of it is the same on every rank after the learner's `synchronise`. With a course, the best
    epoch is the last of it, and no other weights are kept.
    """

    def __init__(
        self,
        learner: Learner,
        settings: LoopSettings,
        course: Course | None = None,
        ceilings: Sequence[float | None] = (),
    ) -> None:
        self.learner, self.settings, self.course = learner, settings, course
        self.ceilings = ceilings
        self.epoch, self.step, self.error_sum = 1, 0, 0.0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"epoch": 0, "validation_loss": math.inf}
        weights = {} if course else learner.weights()
        self.best_weights = {name: w.detach().clone() for name, w in weights.items()}

    @property
    def form(self) -> str:
        """How the learner learns."""
        return self.learner.form

    @property
    def place(self) -> str:
        """How far it is, in words."""
        return f"epoch {self.epoch}, step {self.step}"

    def start_as_rank_0(self) -> None:
        """Bring the weights to those of rank 0."""
        for name, weight in self.learner.weights().items():
            hvd.broadcast_(weight, root_rank=0, name=f"weights.{name}")

    def synchronise(self) -> None:
        """Bring all that a checkpoint holds to one state on all ranks."""
        self.learner.synchronise(moments=True)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or enough of them in a row brought nothing."""
        if self.course:
            return self.epoch > self.course.rounds
        return self.ended or self.given_up

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself: by its epochs or its patience."""
        return self.epoch > self.settings.epochs or self.waited >= self.settings.patience

    @property
    def given_up(self) -> bool:
        """Whether it would go on, but its best epoch is worse than it may be after so many."""
        most = dict(enumerate(self.ceilings, 1)).get(len(self.history))
        return most is not None and self.best["validation_loss"] > most and not self.ended

    @property
    def losses(self) -> list[float]:
        """Validation losses of the epochs before this one, by which the schedule goes."""
        if self.course:
            return self.course.losses[: self.epoch - 1]
        return [figures["validation_loss"] for figures in self.history]

    @property
    def waited(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - self.best["epoch"]

    def end_epoch(self, figures: dict[str, Any]) -> None:
        """Note an epoch's figures, and keep its weights if they are the best so far."""
        self.history.append(figures)
        if self.course:
            self.best = figures
        elif figures["validation_loss"] < self.best["validation_loss"]:
            self.best = figures
            for name, weight in self.learner.weights().items():
                self.best_weights[name].copy_(weight)
        self.epoch, self.step, self.error_sum = self.epoch + 1, 0, 0.0

    def restore_best(self) -> None:
        """Put the weights of the best epoch back."""
        weights = self.learner.weights()
        for name, best in self.best_weights.items():
            weights[name].copy_(best)

    def state_dict(self) -> dict[str, Any]:
        """References to all of it; of several ranks after `synchronise` alone."""
        names = ("epoch", "step", "error_sum", "history", "best", "best_weights")
        state = {name: getattr(self, name) for name in names}
        return state | {"form": self.form, "learner": self.learner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in ("epoch", "step", "error_sum", "history", "best"):
            setattr(self, name, state[name])
        for name, weight in state["best_weights"].items():
            self.best_weights[name].copy_(weight)
        self.learner.load_state_dict(state["learner"])


def of_today(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint in today's form: before there was a family, all were of one model's table."""
    if "table" not in state:
        return state
    old = dict(state)
    learner = {"table": old.pop("table"), "optimiser": old.pop("optimiser")}
    return old | {
        "model": "matrix_factorisation",
        "form": f"{old.pop('gradients')} gradients",
        "best_weights": {"table": old.pop("best_table")},
        "learner": learner,
    }
