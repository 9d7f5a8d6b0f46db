"""What ranks ask one another: sums, ratings, and whether any of them has something to say."""

from __future__ import annotations

import time
from typing import Any

import horovod.torch as hvd
import torch
from torch import Tensor

from model.data.ratings import Ratings
from model.data.reading import Shard

POLL_SECONDS = 5e-5


def any_rank(here: bool) -> bool:
    """Whether it is so on any rank."""
    return bool(sum_over_ranks(torch.tensor([int(here)])).item())


def sum_over_ranks(numbers: Tensor) -> Tensor:
    """Elementwise sum of a small tensor over all ranks."""
    return numbers if alone() else finish(hvd.allreduce_async(numbers, op=hvd.Sum))


def gather_ratings(shard: Shard, device: torch.device) -> Ratings:
    """The ratings of all ranks, on this rank's device."""
    blocks = [block.to(device).columns for block in shard.blocks()]
    columns = [torch.cat(parts) for parts in zip(*blocks, strict=True)]
    if not alone():
        columns = [finish(hvd.allgather_async(column)) for column in columns]
    return Ratings(*columns)


def finish(handle: Any) -> Tensor:
    """The result of one of Horovod's operations, when it is there."""
    wait(handle)
    return hvd.synchronize(handle)


def wait(handle: Any) -> None:
    """Until one of Horovod's operations has ended.

    Horovod's own wait is a loop around sched_yield: on a host that has no core to spare it keeps
    the thread that does the operation from running, and ranks spend most of their time on it.
    """
    while not hvd.poll(handle):
        time.sleep(POLL_SECONDS)


def alone() -> bool:
    """Whether there is no other rank to tell anything."""
    return not hvd.is_initialized() or hvd.size() == 1


def rank_and_ranks() -> tuple[int, int]:
    """This rank's number, and how many there are."""
    return (0, 1) if alone() else (hvd.rank(), hvd.size())
