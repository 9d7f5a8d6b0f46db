"""A recurrent network, a gated recurrent unit, that reads a history movie by movie.

Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from model.sequence import SequenceLearner, SequenceSettings


@dataclass(frozen=True)
class GruSettings(SequenceSettings):
    """The network's size."""

    layers: Annotated[int, Ge(1)]
    """Recurrent layers, one above the other."""


class Recurrent(nn.Module):
    """What has been read so far, added to the movie itself."""

    def __init__(self, settings: GruSettings) -> None:
        super().__init__()
        dropout = settings.dropout if settings.layers > 1 else 0.0
        width = settings.width
        self.gru = nn.GRU(width, width, settings.layers, batch_first=True, dropout=dropout)
        self.give, self.dropout = nn.Linear(width, width), nn.Dropout(settings.dropout)

    def forward(self, row_BLK: Tensor) -> Tensor:
        """Of the same shape."""
        read_BLK, _ = self.gru(row_BLK)
        return row_BLK + self.give(self.dropout(read_BLK))


class Gru(SequenceLearner):
    """The learner."""

    Settings = GruSettings

    @staticmethod
    def network(settings: GruSettings) -> nn.Module:
        """The recurrent unit."""
        return Recurrent(settings)
