"""Learners around a torch module: autograd finds the gradients, Horovod adds them up.

A model that needs no faster way writes its module, `rows` and, where it is not the squared error of
ratings, `losses` and `validate`; see docs/a-new-model.md.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import horovod.torch as hvd
import torch
from torch import Tensor, nn

from model.data.collectives import wait
from model.data.dataset import Dataset, of_pairs
from model.data.history_data import HistoryData
from model.data.ratings import Ratings
from model.family import Step
from model.settings import LoopSettings
from model.training.optimisers import torch_optimiser

COMPRESSION = {"none": hvd.Compression.none, "fp16": hvd.Compression.fp16}


class ModuleLearner:
    """A learner whose scores are those of a module, called with users and movies by row number.

    Every rank holds all weights. Raises ValueError for a compression that Horovod's optimiser
    does not have.
    """

    def __init__(
        self, module: nn.Module, settings: LoopSettings, data: Dataset | HistoryData
    ) -> None:
        self.module = module.to(data.device)
        self.draws = any(part.p for part in module.modules() if isinstance(part, nn.Dropout))
        self.clip: float | None = None
        """The most that the gradient's length may be."""
        self.optimiser: Any = torch_optimiser(list(module.parameters()), settings)
        if hvd.size() > 1:
            if settings.compression not in COMPRESSION:
                raise ValueError(
                    f"compression is {settings.compression}, and this model's ranks know "
                    f"{' and '.join(COMPRESSION)}."
                )
            self.optimiser = hvd.DistributedOptimizer(
                self.optimiser,
                module.named_parameters(),
                compression=COMPRESSION[settings.compression],
                op=hvd.Sum,
            )

    @property
    def form(self) -> str:
        """As torch has it."""
        return "autograd"

    def losses(self, batch: Ratings) -> Tensor:
        """The loss of each of B ratings: its squared error."""
        return (self.module(batch.user_N, batch.movie_N) - batch.rating_N).square()

    def step(self, batch: Any, step: Step) -> Tensor:
        """Move all weights by the gradient of the mean loss over all ranks' rows of the step."""
        if self.draws:
            torch.manual_seed(step.seed)
        self.module.train()
        self.optimiser.zero_grad()
        loss = self.losses(batch).sum()
        (loss / max(step.rows, 1)).backward()
        self.optimiser.param_groups[0]["lr"] = step.rate
        shared = hvd.size() > 1
        if shared:
            # Horovod's own wait takes the time of the thread that it waits for.
            for handle, _ in self.optimiser._handles.values():
                wait(handle)
            self.optimiser.synchronize()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        with self.optimiser.skip_synchronize() if shared else nullcontext():
            self.optimiser.step()
        return loss.detach()

    def score(self, user_B: Tensor, movie_B: Tensor) -> Tensor:
        """The module's own, with nothing left out."""
        self.module.eval()
        return self.module(user_B, movie_B)

    def validate(self, data: Dataset) -> dict[str, float]:
        """Errors of the scores."""
        return data.validation_errors(of_pairs(self.score))

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers."""
        return dict(self.module.state_dict())

    def synchronise(self, moments: bool = False) -> None:
        """All ranks move by the same sums; buffers, as running means, become those of rank 0."""
        if hvd.size() > 1:
            for name, buffer in self.module.named_buffers():
                hvd.broadcast_(buffer, root_rank=0, name=f"buffer.{name}")

    def state_dict(self) -> dict[str, Any]:
        """References to weights and moments."""
        return {"module": self.module.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
