"""What ranks tell each other in a step: gradients of a whole table, or of touched rows."""

from __future__ import annotations

import time
from typing import Any

import horovod.torch as hvd
import torch
from torch import Tensor

POLL_SECONDS = 5e-5
COMPRESSED = {"none": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Exchange:
    """Sums of gradients over all ranks, sent in the chosen precision; adds up what it sends."""

    def __init__(self, compression: str) -> None:
        self.dtype = COMPRESSED[compression]
        # Means over a batch are small: in float16 they would lose digits near its smallest number.
        self.scale = 256.0 if compression == "fp16" else 1.0
        self.bytes_sent = 0

    def add_up(self, gradient_NW: Tensor) -> None:
        """Replace the gradient of a whole table by its sum over ranks."""
        if alone():
            return
        self.bytes_sent += gradient_NW.numel() * self.dtype.itemsize
        if self.dtype == torch.float32:
            finish(hvd.allreduce_async_(gradient_NW, op=hvd.Sum, name="table"))
            return
        # Horovod adds up no bfloat16, and float16 on a CPU number by number.
        sent_NW = (gradient_NW * self.scale).to(self.dtype)
        gathered = finish(hvd.allgather_async(sent_NW.view(torch.uint8), name="table"))
        gathered = gathered.view(self.dtype)
        torch.sum(gathered.view(hvd.size(), *gradient_NW.shape).float(), 0, out=gradient_NW)
        gradient_NW.div_(self.scale)

    def gather_rows(self, row_D: Tensor, gradient_DW: Tensor) -> tuple[Tensor, Tensor]:
        """All ranks' rows, ascending, and the sums of their gradients.

        Row numbers travel in front of their gradients, so that a step is one allgather. Every rank
        adds the same numbers in the same order, and all tables stay equal to the last bit.
        """
        if alone():
            return row_D, gradient_DW
        # As bytes, which every one of Horovod's transports takes.
        number = row_D.to(torch.int32)[:, None].view(torch.uint8)
        values = (gradient_DW * self.scale).to(self.dtype).view(torch.uint8)
        sent = torch.cat([number, values], 1)
        self.bytes_sent += sent.numel()
        gathered = finish(hvd.allgather_async(sent, name="rows"))
        row_E = gathered[:, :4].contiguous().view(torch.int32)[:, 0].long()
        gradient_EW = gathered[:, 4:].contiguous().view(self.dtype).float() / self.scale
        return sum_rows(row_E, gradient_EW)


def sum_rows(row_C: Tensor, gradient_CW: Tensor) -> tuple[Tensor, Tensor]:
    """The D different rows, ascending, and the sum of the gradients of each."""
    row_D, place_C = torch.unique(row_C, return_inverse=True)
    gradient_DW = gradient_CW.new_zeros(len(row_D), gradient_CW.shape[1])
    return row_D, gradient_DW.index_add_(0, place_C, gradient_CW)


def sum_over_ranks(numbers: Tensor) -> Tensor:
    """Elementwise sum of a small tensor over all ranks."""
    return numbers if alone() else finish(hvd.allreduce_async(numbers, op=hvd.Sum))


def finish(handle: Any) -> Tensor:
    """The result of one of Horovod's operations, when it is there.

    Horovod's own wait is a loop around sched_yield: on a host that has no core to spare it keeps
    the thread that does the operation from running, and ranks spend most of their time on it.
    """
    while not hvd.poll(handle):
        time.sleep(POLL_SECONDS)
    return hvd.synchronize(handle)


def alone() -> bool:
    """Whether there is no other rank to tell anything."""
    return not hvd.is_initialized() or hvd.size() == 1
