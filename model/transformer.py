"""A transformer over the last movies of a history, which look back at those before them.

Blocks are pre-norm, and places known by their distance alone: a learned bias per head and distance
is added to the attention (as in T5; Kang and McAuley, "Self-Attentive Sequential Recommendation",
2018, add learned places to the inputs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from model.sequence import SequenceLearner, SequenceSettings


@dataclass(frozen=True)
class TransformerSettings(SequenceSettings):
    """The network's size."""

    blocks: Annotated[int, Ge(1)]
    """Blocks of attention and a dense layer each."""
    heads: Annotated[int, Ge(1)]
    """Heads of attention, a divisor of the width."""
    expansion: Annotated[int, Ge(1)]
    """How many times the width the inner dense layer is wide."""


class Attention(nn.Module):
    """Each place looks at itself and those before it."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        if width % self.heads:
            raise ValueError(f"a width of {width} cannot be shared by {self.heads} heads.")
        self.ask, self.give = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.distance_HW = nn.Parameter(torch.zeros(self.heads, settings.window))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, row_BLK: Tensor) -> Tensor:
        """Of the same shape."""
        batch, length, width = row_BLK.shape
        parts = self.ask(row_BLK).view(batch, length, 3, self.heads, width // self.heads)
        query_BHLk, key_BHLk, value_BHLk = parts.permute(2, 0, 3, 1, 4)
        place_L = torch.arange(length, device=row_BLK.device)
        back_LL = place_L[:, None] - place_L
        bias_HLL = self.distance_HW[:, back_LL.clamp(min=0)]
        bias_HLL = bias_HLL.masked_fill(back_LL < 0, -torch.inf)
        query_BHLk = query_BHLk * (width // self.heads) ** -0.5
        weight_BHLL = (query_BHLk @ key_BHLk.transpose(-1, -2) + bias_HLL).softmax(-1)
        seen_BHLk = self.dropout(weight_BHLL) @ value_BHLk
        return self.give(seen_BHLk.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Attention and a dense layer, each added to what goes in."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width, inner = settings.width, settings.expansion * settings.width
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(settings)
        self.dense = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, inner),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(inner, width),
        )
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, row_BLK: Tensor) -> Tensor:
        """Of the same shape."""
        row_BLK = row_BLK + self.dropout(self.attention(self.attention_norm(row_BLK)))
        return row_BLK + self.dropout(self.dense(row_BLK))


class Transformer(SequenceLearner):
    """The learner."""

    Settings = TransformerSettings

    @staticmethod
    def network(settings: TransformerSettings) -> nn.Module:
        """Blocks one after the other."""
        return nn.Sequential(*(Block(settings) for _ in range(settings.blocks)))
