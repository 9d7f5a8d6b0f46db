"""The state of a training: what a checkpoint holds, and what ranks that join are told."""

from __future__ import annotations

import math
from typing import Any

import torch

from model.data.dataset import Dataset
from model.embedding import EmbeddingModel
from model.settings import TrainingSpec
from model.training.exchange import Exchange
from model.training.optimisers import make_optimiser


class Training:
    """The model, its optimiser and how far they are.

    All of it is the same on every rank after `tell`; between steps a rank alone knows its own rows.
    """

    def __init__(self, spec: TrainingSpec, data: Dataset) -> None:
        settings = self.settings = spec.settings
        torch.manual_seed(settings.seed)
        self.model = EmbeddingModel(
            data.users,
            data.movies,
            settings.factors,
            settings.biases,
            data.mean,
            settings.init_scale,
        ).to(data.device)
        touched_N = data.counts.touched_N.to(data.device)
        self.exchange = Exchange(settings.compression, touched_N)
        self.optimiser, self.gradients = make_optimiser(self.model.table, settings, self.exchange)
        self.epoch, self.step, self.error_sum = 1, 0, 0.0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"epoch": 0, "validation_loss": math.inf}
        self.best_table = self.model.table.detach().clone()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or enough of them in a row brought nothing."""
        return self.epoch > self.settings.epochs or self.waited >= self.settings.patience

    @property
    def waited(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - self.best["epoch"]

    def end_epoch(self, figures: dict[str, Any]) -> None:
        """Note an epoch's figures, and keep its weights if they are the best so far."""
        self.history.append(figures)
        if figures["validation_loss"] < self.best["validation_loss"]:
            self.best = figures
            self.best_table.copy_(self.model.table.detach())
        self.epoch, self.step, self.error_sum = self.epoch + 1, 0, 0.0

    def tell(self, moments: bool = False) -> None:
        """Bring the table, and the moments if they matter, to the same state on every rank."""
        tables = [self.model.table.data]
        self.exchange.tell(tables + self.optimiser.moment_tables() if moments else tables)

    def state_dict(self) -> dict[str, Any]:
        """References to all of it; of several ranks after `tell` alone."""
        names = ("epoch", "step", "error_sum", "history", "best", "best_table")
        state = {name: getattr(self, name) for name in names}
        state["table"] = self.model.table.detach()
        return state | {"optimiser": self.optimiser.state_dict(), "gradients": self.gradients}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in ("epoch", "step", "error_sum", "history", "best"):
            setattr(self, name, state[name])
        self.best_table.copy_(state["best_table"])
        self.model.table.data.copy_(state["table"])
        self.optimiser.load_state_dict(state["optimiser"])
