"""Decayed averages of a history, and a dense layer: cheap, and linear in the movies' embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, MinLen
from torch import Tensor, nn

from model.sequence import SequenceLearner, SequenceSettings


@dataclass(frozen=True)
class RecencySettings(SequenceSettings):
    """What is averaged."""

    decays: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)]
    """After how many movies the part of an older one has fallen to 1/e, of each average."""


class Averages(nn.Module):
    """A dense layer over the averages, added to the movie itself."""

    def __init__(self, settings: RecencySettings) -> None:
        super().__init__()
        self.decays = settings.decays
        self.give = nn.Linear(settings.width * len(self.decays), settings.width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, row_BLK: Tensor) -> Tensor:
        """Of the same shape."""
        place_L = torch.arange(row_BLK.shape[1], device=row_BLK.device)
        back_LL = place_L[:, None] - place_L
        averages = []
        for decay in self.decays:
            part_LL = (-back_LL / decay).exp().masked_fill(back_LL < 0, 0)
            averages.append((part_LL / part_LL.sum(1, keepdim=True)) @ row_BLK)
        return row_BLK + self.give(self.dropout(torch.cat(averages, -1)))


class Recency(SequenceLearner):
    """The learner."""

    Settings = RecencySettings

    @staticmethod
    def network(settings: RecencySettings) -> nn.Module:
        """The averages."""
        return Averages(settings)
