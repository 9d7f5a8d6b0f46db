"""A convolutional network over a history, whose every layer looks further back than the one below.

Layers are causal and dilated (Yuan et al., "A Simple Convolutional Generative Network for Next Item
Recommendation", 2019): of n layers with a kernel of k movies, a place sees (k - 1)(2^n - 1) before
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from model.sequence import SequenceLearner, SequenceSettings


@dataclass(frozen=True)
class ConvolutionSettings(SequenceSettings):
    """The network's size."""

    layers: Annotated[int, Ge(1)]
    """Layers; each looks twice as far back as the one below."""
    kernel: Annotated[int, Ge(2)]
    """Places that a layer takes together."""


class Layer(nn.Module):
    """A causal convolution, added to what goes in."""

    def __init__(self, settings: ConvolutionSettings, dilation: int) -> None:
        super().__init__()
        width = settings.width
        self.norm = nn.LayerNorm(width)
        self.before = (settings.kernel - 1) * dilation
        self.convolution = nn.Conv1d(width, width, settings.kernel, dilation=dilation)
        self.give, self.dropout = nn.Linear(width, width), nn.Dropout(settings.dropout)

    def forward(self, row_BLK: Tensor) -> Tensor:
        """Of the same shape."""
        padded_BKL = nn.functional.pad(self.norm(row_BLK).transpose(1, 2), (self.before, 0))
        found_BLK = nn.functional.gelu(self.convolution(padded_BKL).transpose(1, 2))
        return row_BLK + self.dropout(self.give(found_BLK))


class Convolution(SequenceLearner):
    """The learner."""

    Settings = ConvolutionSettings

    @staticmethod
    def network(settings: ConvolutionSettings) -> nn.Module:
        """Layers one above the other."""
        return nn.Sequential(*(Layer(settings, 2**n) for n in range(settings.layers)))
