"""Strata: a rank's users times a block of movies, so that no two ranks touch one row at a time.

Gemulla, Nijkamp, Haas and Sismanis, "Large-Scale Matrix Factorization with Distributed Stochastic
Gradient Descent", KDD 2011. Ranks own users; movies are cut into as many blocks as there are ranks.
An epoch has as many parts: in each, a rank learns from its users' ratings of one block, and then
hands the block on to the rank before it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import horovod.torch as hvd
import torch
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.reading import MemoryShard, Shard, even_parts


@dataclass(frozen=True)
class Strata:
    """The blocks of movies, and how many training ratings each rank has in each."""

    block_M: Tensor
    rows_RB: list[list[int]]

    def block(self, epoch: int, part: int, rank: int) -> int:
        """Which block a rank works on: an epoch begins with the one that the last ended with."""
        return (rank + part - epoch) % len(self.rows_RB)

    def sizes(self, epoch: int, batch_size: int) -> list[list[list[int]]]:
        """Of each part of an epoch and rank the ratings in each step: near-equal, as many steps."""
        ranks = range(len(self.rows_RB))
        parts = []
        for part in ranks:
            rows_R = [self.rows_RB[rank][self.block(epoch, part, rank)] for rank in ranks]
            steps = -(-sum(rows_R) // batch_size)
            parts.append([even_parts(rows, steps) for rows in rows_R])
        return parts

    def blocks(self, epoch: int, batch_size: int, rank: int) -> list[int]:
        """The block of each step of an epoch."""
        return [
            self.block(epoch, part, rank)
            for part, sizes_R in enumerate(self.sizes(epoch, batch_size))
            for _ in sizes_R[rank]
        ]


def why_no_strata(shard: Shard, touched_U: Tensor) -> str | None:
    """What keeps ranks from it, in words; None if nothing does. The same on every rank."""
    shared = int((sum_over_ranks(touched_U.int()) > 1).sum())
    if os.environ.get("HOROVOD_ELASTIC") == "1":
        return "ranks may come and go (train.elastic)"
    if not isinstance(shard, MemoryShard):
        return "ratings are read in a stream (train.reading)"
    return f"{shared:,} users' ratings lie on several ranks" if shared else None


def strata_of(shard: MemoryShard, count_M: Tensor) -> Strata:
    """The strata of all ranks' shards; `count_M` are the ratings of all."""
    block_M = cut_into_blocks(count_M, hvd.size())
    rows_B = torch.bincount(block_M[shard.ratings.movie_N.long()], minlength=hvd.size())
    return Strata(block_M, hvd.allgather(rows_B[None], name="strata").tolist())


def cut_into_blocks(count_M: Tensor, blocks: int) -> Tensor:
    """The block of each movie: all of about as many movies, and of about as many ratings."""
    place_M = torch.empty_like(count_M)
    place_M[count_M.argsort(descending=True, stable=True)] = torch.arange(len(count_M))
    turn_M, place_M = place_M // blocks, place_M % blocks
    # There and back, so that no block always gets the larger one.
    return torch.where(turn_M % 2 == 0, place_M, blocks - 1 - place_M)


class StrataShard(MemoryShard):
    """A shard in memory whose ratings are shuffled within the parts of an epoch."""

    def __init__(self, shard: MemoryShard, strata: Strata) -> None:
        block_N = strata.block_M[shard.ratings.movie_N.long()]
        super().__init__(shard.ratings.take(block_N.argsort(stable=True)), shard.seed)
        self.strata = strata

    def order(self, epoch: int, generator: torch.Generator) -> Tensor:
        """Block by block, each in an order of its own."""
        rank, ranks = hvd.rank(), hvd.size()
        rows_B = self.strata.rows_RB[rank]
        blocks = [self.strata.block(epoch, part, rank) for part in range(ranks)]
        return torch.cat(
            [sum(rows_B[:b]) + torch.randperm(rows_B[b], generator=generator) for b in blocks]
        )
